"""Rows as texts, and the bars beside them."""

from __future__ import annotations

import math
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from athena_reports.delivery.content import Content, ContentColumn
from athena_reports.delivery.language import Language
from athena_reports.delivery.shown_table import Bar, ShownColumn, shown_table, text_lines, width_of
from tests.unit.athena_reports.delivery.contents import (
    LANGUAGES,
    all_columns,
    bare_content,
    content,
    require_cells,
    tables,
)

NUMBERS = st.one_of(
    st.none(),
    st.integers(-(10**30), 10**30),
    st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf]),
    st.integers(-(10**20), 10**20).map(lambda number: Decimal(f"{number}E-2")),
)


def one_column(kind: str, *values: Any, name: str = "n", **fields: Any) -> ShownColumn:
    made = bare_content([ContentColumn(name, kind)], *((value,) for value in values), **fields)
    (column,) = shown_table(made, [name], longest=100)
    return column


def bars(*values: Any) -> list[Bar | None]:
    return list(one_column("DOUBLE", *values, bar="n").bars)


def table_of(made: Content, *, longest: int) -> list[ShownColumn]:
    return shown_table(made, all_columns(made).shown, longest=longest)


@given(tables())
def test_each_value_that_is_shown_is_the_value(made: Content) -> None:
    table = table_of(made, longest=10_000)
    require_cells(list(zip(*(column.texts for column in table), strict=True)), made)


@given(tables(), st.sampled_from(LANGUAGES))
def test_columns_of_a_table_of_fixed_width_stand_below_each_other(
    made: Content, language: Language
) -> None:
    table = table_of(made, longest=30)
    lines = text_lines(table, language)
    assert len(lines) == len(made.rows) + 2
    rule = lines[1]
    starts = [0]
    for dashes in rule.split("  ")[:-1]:
        starts.append(starts[-1] + len(dashes) + 2)
    for start, column in zip(starts, table, strict=True):
        for line, text in zip(lines[2:], column.texts, strict=True):
            if not column.is_number and text.strip():
                assert wide(line)[start:].startswith(wide(text).rstrip())


def wide(text: str) -> str:
    """A text with a character for each place that it takes."""
    places = []
    for character in text:
        places.append(character)
        if unicodedata.east_asian_width(character) in "WF":
            places.append("\0")
    return "".join(places)


def test_a_japanese_character_takes_two_places() -> None:
    assert (width_of("café"), width_of("千葉")) == (4, 4)
    # Full-width letters, and half-width kana.
    assert (width_of("\uff21\uff11"), width_of("\uff76\uff85")) == (4, 2)


def test_a_long_text_is_shortened() -> None:
    made = one_column("VARCHAR", "x" * 101, "y" * 100)
    assert made.texts == ["x" * 99 + "…", "y" * 100]


@pytest.mark.parametrize(
    ("name", "values", "texts"),
    [
        ("score", (9_999, 12_000), ("9,999", "12,000")),
        ("year", (2025, 2026), ("2025", "2026")),
        ("score", (9_999, 1_000), ("9999", "1000")),
        ("score", (1_000, 10_000), ("1,000", "10,000")),
        ("score", (-10_000, 1_000), ("-10,000", "1,000")),
        ("score", (Decimal(-10_000), None), ("-10,000", "–")),
        ("score", (-10_000.5, 1_000.0), ("-10,000.5", "1,000")),
        ("user_id", (123_456,), ("123456",)),
        ("ID", (123_456,), ("123456",)),
        ("paid", (123_456,), ("123,456",)),
        ("key", (123_456,), ("123456",)),
    ],
)
def test_years_and_ids_have_no_separators(
    name: str, values: tuple[Any, ...], texts: tuple[str, ...]
) -> None:
    assert tuple(one_column("BIGINT", *values, name=name, key=("key",)).texts) == texts


@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_bars_are_on_one_scale(values: list[Any]) -> None:
    made = bars(*values)
    assume(made)
    known = [(value, bar) for value, bar in zip(values, made, strict=True) if bar is not None]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert len(known) == len(finite)
    for value, bar in known:
        assert bar.before >= 0
        assert bar.before + bar.width <= 100
        assert bar.is_negative == (value < 0)
        assert value != 0 or bar.width == 0
    for value, bar in known:
        for other, other_bar in known:
            if abs(value) <= abs(other):
                assert bar.width <= other_bar.width + 1
    # Negative ones end where positive ones begin.
    ends = {bar.before + bar.width for _, bar in known if bar.is_negative}
    starts = {bar.before for _, bar in known if not bar.is_negative}
    assert len(ends | starts) == 1


def test_bars_of_equal_values_are_equal_and_full() -> None:
    assert bars(7, 7) == [Bar(0, 100, False), Bar(0, 100, False)]
    assert bars(-7, -7) == [Bar(0, 100, True), Bar(0, 100, True)]
    assert bars(5, -5) == [Bar(50, 50, False), Bar(0, 50, True)]


def test_a_column_without_a_value_has_no_bars() -> None:
    for values in ((None, None), (0, 0), (float("nan"),), ()):
        assert one_column("DOUBLE", *values, bar="n").bars == ()
    assert one_column("BIGINT", 5, bar="").bars == ()


def test_bars_stand_beside_their_column() -> None:
    (score, rank) = shown_table(content(), ["score", "rank"], longest=50)
    assert rank.bars == ()
    assert [bar.width for bar in score.bars if bar] == [100, 50, 33]
