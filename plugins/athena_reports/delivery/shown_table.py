"""The rows of a content as texts, and the bars beside them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import (
    Language,
    in_brackets,
    one_line,
    shortened,
    value_text,
)
from athena_reports.rows.columns import is_number

_ID = re.compile(r"(.*_)?id", re.IGNORECASE)
_GROUPED_FROM = 10_000  # years have no separators


class Bar(NamedTuple):
    """A bar: how much of the width is free before it, and how much it fills, in per cent."""

    before: int
    width: int
    is_negative: bool


@dataclass(frozen=True)
class ShownColumn:
    """A column as texts, each of one line.

    Attributes:
        name: Its name in the rows.
        header: Its name as it is shown.
        unit: What it is counted in; empty for nothing.
        is_number: Whether it has numbers.
        texts: The texts of its values.
        bars: The bar of each value, if the column has bars; None for a value without one.
    """

    name: str
    header: str
    unit: str
    is_number: bool
    texts: Sequence[str]
    bars: Sequence[Bar | None] = ()


def shown_table(content: Content, names: Sequence[str], *, longest: int) -> list[ShownColumn]:
    """Return columns of the rows as they are shown.

    Args:
        content: The content.
        names: The columns, in the order in which they are shown.
        longest: The most characters of a value. A longer one ends in an ellipsis.
    """
    places = {column.name: place for place, column in enumerate(content.columns)}
    table = []
    for name in names:
        place = places[name]
        column = content.columns[place]
        values = [row[place] for row in content.rows]
        grouped = is_grouped(content, place)
        shown = ShownColumn(
            name=name,
            header=one_line(name),
            unit=one_line(column.unit),
            is_number=is_number(column.type),
            texts=[shortened(value_text(value, grouped=grouped), longest) for value in values],
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
        header = with_unit(column.header, column.unit, language)
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
    return any(abs(row[number] or 0) >= _GROUPED_FROM for row in content.rows)


def width_of(text: str) -> int:
    """Return how many places of a fixed-width font a text takes."""
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


def _bars(values: Sequence[Any]) -> Sequence[Bar | None]:
    """Return the bar of each value, on one scale that has 0 on it; none if no value has one."""
    numbers = [math.nan if value is None else float(value) for value in values]
    ends = [0.0, *filter(math.isfinite, numbers)]
    lowest, span = min(ends), max(ends) - min(ends)
    if not span:
        return ()
    zero = round(100 * (-lowest / span))
    bars: list[Bar | None] = []
    for number in numbers:
        if not math.isfinite(number):
            bars.append(None)
            continue
        end = round(100 * ((number - lowest) / span))
        bars.append(Bar(min(zero, end), abs(end - zero), number < 0))
    return bars
