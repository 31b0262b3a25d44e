"""The rows of a content as texts, and the bars beside them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import (
    NULL,
    Language,
    in_brackets,
    one_line,
    shortened,
    value_in_words,
)
from athena_reports.rows.columns import is_number

_ID = re.compile(r"(.*_)?id", re.IGNORECASE)
_GROUPED_FROM = 10_000  # years have no separators


@dataclass(frozen=True)
class Bar:
    """A bar: how much of the width is free before it, and how much it fills, in per cent."""

    before: int
    width: int
    is_negative: bool


@dataclass(frozen=True)
class ShownColumn:
    """A column as texts.

    Attributes:
        name: Its name.
        unit: What it is counted in; empty for nothing.
        is_number: Whether it has numbers.
        texts: The texts of its values, each of one line.
        bars: The bar of each value, if the column has bars; None for a value without one.
    """

    name: str
    unit: str
    is_number: bool
    texts: Sequence[str]
    bars: Sequence[Bar | None] = ()


def shown_table(
    content: Content, names: Sequence[str], language: Language, *, longest: int
) -> list[ShownColumn]:
    """Return columns of the rows as they are shown.

    Args:
        content: The content.
        names: The columns, in the order in which they are shown.
        language: The language of dates and numbers.
        longest: The most characters of a value. A longer one ends in an ellipsis.
    """
    places = {column.name: place for place, column in enumerate(content.columns)}
    table = []
    for name in names:
        place = places[name]
        column = content.columns[place]
        values = [row[place] for row in content.rows]
        grouped = is_grouped(content, place)
        texts = []
        for value in values:
            text = NULL if value is None else value_in_words(value, language, grouped=grouped)
            texts.append(shortened(one_line(text), longest))
        shown = ShownColumn(
            name=one_line(name),
            unit=one_line(column.unit),
            is_number=is_number(column.type),
            texts=texts,
            bars=_bars(values) if name == content.bar else (),
        )
        table.append(shown)
    return table


def text_lines(table: Sequence[ShownColumn], language: Language) -> list[str]:
    """Return the table in a fixed width: the header, a rule, then a line for each row.

    A wide character, such as a Japanese one, has the width of two.
    """
    cells = []  # of each column, of equal widths
    for column in table:
        header = with_unit(column.name, column.unit, language)
        width = max(width_of(text) for text in (header, *column.texts))
        padded = []
        for text in (header, "-" * width, *column.texts):
            space = " " * (width - width_of(text))
            padded.append(space + text if column.is_number else text + space)
        cells.append(padded)
    return ["  ".join(line).rstrip() for line in zip(*cells, strict=True)]


def with_unit(header: str, unit: str, language: Language) -> str:
    """Return the name of a column with what it is counted in, if there is a unit."""
    if not unit:
        return header
    return header + in_brackets(unit, language)


def is_grouped(content: Content, number: int) -> bool:
    """Return whether the numbers of a column have separators between thousands.

    A key, a column called `id` or `..._id`, and a year have none.
    """
    column = content.columns[number]
    if not is_number(column.type) or column.name in content.key or _ID.fullmatch(column.name):
        return False
    return any(_size(row[number]) >= _GROUPED_FROM for row in content.rows)


def width_of(text: str) -> int:
    """Return how many places of a fixed-width font a text takes."""
    width = 0
    for character in text:
        if unicodedata.combining(character):
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def _size(value: Any) -> float:
    """Return how great a number is, whatever its sign; 0 for what is not a number."""
    return abs(float(value)) if isinstance(value, int | float | Decimal) else 0.0


def _bars(values: Sequence[Any]) -> Sequence[Bar | None]:
    """Return the bar of each value, on one scale that has 0 on it; none if no value has one."""
    numbers: list[float | None] = []
    for value in values:
        is_a_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if is_a_number and math.isfinite(value):
            numbers.append(float(value))
        else:
            numbers.append(None)
    known = [number for number in numbers if number is not None]
    lowest = min([0.0, *known])
    span = max([0.0, *known]) - lowest
    if not span:
        return ()
    bars: list[Bar | None] = []
    for number in numbers:
        if number is None:
            bars.append(None)
            continue
        axis = round(100 * -lowest / span)  # where 0 is
        width = round(100 * abs(number) / span)
        if number and not width:
            width = 1  # a small value is not nothing
        is_negative = number < 0
        before = max(axis - width, 0) if is_negative else min(axis, 100 - width)
        bars.append(Bar(before, width, is_negative))
    return bars
