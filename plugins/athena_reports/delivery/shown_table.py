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
_LONG_FROM = 32  # places of a fixed-width font
_GAP = 2
_BAR_WIDTH = 12
_GROUPED_FROM = 10_000  # years have no separators


@dataclass(frozen=True)
class Bar:
    """A bar: how much of the width is free before it, and how much it fills, in per cent."""

    before: int
    width: int
    is_negative: bool


@dataclass(frozen=True)
class ShownTable:
    """The rows as texts.

    Attributes:
        headers: The names of the columns.
        units: What each column is counted in; empty for nothing.
        are_numbers: Whether a column has numbers.
        are_long: Whether a column has texts that are long, and may be broken into lines.
        rows: The texts of the values, each of one line.
        bar_column: The number of the column that has bars; None for none.
        bars: The bar of each row; None for one without a value.
    """

    headers: tuple[str, ...]
    units: tuple[str, ...]
    are_numbers: tuple[bool, ...]
    are_long: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    bar_column: int | None
    bars: tuple[Bar | None, ...]

    @property
    def width(self) -> int:
        """How many places of a fixed-width font a row takes, with the gaps and a bar."""
        widths = _widths(self.headers, self.rows)
        width = sum(widths) + _GAP * len(widths)
        if self.bar_column is not None:
            width += _BAR_WIDTH
        return width

    def part(self, *, rows: int, columns: int) -> ShownTable:
        """Return the table with its first rows and columns, without bars."""
        return ShownTable(
            headers=self.headers[:columns],
            units=self.units[:columns],
            are_numbers=self.are_numbers[:columns],
            are_long=self.are_long[:columns],
            rows=tuple(row[:columns] for row in self.rows[:rows]),
            bar_column=None,
            bars=(),
        )


def shown_table(content: Content, language: Language, *, longest: int) -> ShownTable:
    """Return the rows as they are shown.

    Args:
        content: The content.
        language: The language of dates and numbers.
        longest: The most characters of a value. A longer one ends in an ellipsis.
    """
    grouped = [is_grouped(content, number) for number in range(len(content.columns))]
    rows = []
    for row in content.rows:
        texts = []
        for value, separators in zip(row, grouped, strict=True):
            if value is None:
                texts.append(NULL)
                continue
            text = value_in_words(value, language, grouped=separators)
            texts.append(shortened(one_line(text), longest))
        rows.append(tuple(texts))
    are_long = []
    for number in range(len(content.columns)):
        widths = [width_of(row[number]) for row in rows]
        are_long.append(max(widths, default=0) > _LONG_FROM)
    bar_column = None
    bars: tuple[Bar | None, ...] = ()
    for number, column in enumerate(content.columns):
        if column.name == content.bar:
            bars = _bars([row[number] for row in content.rows])
            bar_column = number if bars else None
    return ShownTable(
        headers=tuple(one_line(column.name) for column in content.columns),
        units=tuple(one_line(column.unit) for column in content.columns),
        are_numbers=tuple(is_number(column.type) for column in content.columns),
        are_long=tuple(are_long),
        rows=tuple(rows),
        bar_column=bar_column,
        bars=bars,
    )


def text_lines(table: ShownTable, language: Language) -> list[str]:
    """Return the table in a fixed width: the header, a rule, then a line for each row.

    A wide character, such as a Japanese one, has the width of two.
    """
    headers = []
    for header, unit in zip(table.headers, table.units, strict=True):
        headers.append(with_unit(header, unit, language))
    widths = _widths(headers, table.rows)
    rule = ["-" * width for width in widths]
    lines = []
    for cells in (headers, rule, *table.rows):
        padded = []
        for text, width, is_right in zip(cells, widths, table.are_numbers, strict=True):
            space = " " * (width - width_of(text))
            padded.append(space + text if is_right else text + space)
        lines.append("  ".join(padded).rstrip())
    return lines


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


def _widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return how many places of a fixed-width font each column takes."""
    widths = [width_of(header) for header in headers]
    for row in rows:
        for place, text in enumerate(row):
            widths[place] = max(widths[place], width_of(text))
    return widths


def _size(value: Any) -> float:
    """Return how great a number is, whatever its sign; 0 for what is not a number."""
    return abs(float(value)) if isinstance(value, int | float | Decimal) else 0.0


def _bars(values: Sequence[Any]) -> tuple[Bar | None, ...]:
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
    return tuple(bars)
