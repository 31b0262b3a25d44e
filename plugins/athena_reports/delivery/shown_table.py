"""The rows of a content as texts, and the bars beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from athena_reports.delivery.content import Content
from athena_reports.delivery.language import NULL, Language, one_line, shortened, value_in_words
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
class ShownTable:
    """The rows as texts.

    Attributes:
        headers: The names of the columns.
        units: What each column is counted in; empty for nothing.
        are_numbers: Whether a column has numbers.
        rows: The texts of the values, each of one line.
        bar_column: The number of the column that has bars; None for none.
        bars: The bar of each row; None for one without a value.
    """

    headers: tuple[str, ...]
    units: tuple[str, ...]
    are_numbers: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    bar_column: int | None
    bars: tuple[Bar | None, ...]


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
    bar_column = None
    bars: tuple[Bar | None, ...] = ()
    for number, column in enumerate(content.columns):
        if column.name == content.bar:
            bars = _bars([row[number] for row in content.rows])
            if any(bars):
                bar_column = number
    return ShownTable(
        headers=tuple(one_line(column.name) for column in content.columns),
        units=tuple(one_line(column.unit) for column in content.columns),
        are_numbers=tuple(is_number(column.type) for column in content.columns),
        rows=tuple(rows),
        bar_column=bar_column,
        bars=bars,
    )


def is_grouped(content: Content, number: int) -> bool:
    """Return whether the numbers of a column have separators between thousands.

    A key, a column called `id` or `..._id`, and a year have none.
    """
    column = content.columns[number]
    if not is_number(column.type) or column.name in content.key or _ID.fullmatch(column.name):
        return False
    return any(_size(row[number]) >= _GROUPED_FROM for row in content.rows)


def _size(value: Any) -> float:
    """Return how great a number is, whatever its sign; 0 for what is not a number."""
    if isinstance(value, Decimal):
        return float(abs(value))
    if isinstance(value, int | float):
        return float(abs(value))
    return 0.0


def _bars(values: Sequence[Any]) -> tuple[Bar | None, ...]:
    """Return the bar of each value, on one scale that has 0 on it."""
    zero = Fraction(0)
    numbers: list[Fraction | None] = []
    for value in values:
        is_a_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if is_a_number and math.isfinite(value):
            numbers.append(Fraction(value))
        else:
            numbers.append(None)
    known = [number for number in numbers if number is not None]
    lowest = min([zero, *known])
    span = max([zero, *known]) - lowest
    bars: list[Bar | None] = []
    for number in numbers:
        if number is None or not span:
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
