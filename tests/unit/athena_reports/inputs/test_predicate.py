"""The predicate selects exactly the partitions that can hold the events of a period.

DuckDB evaluates it over all the partitions that there are around the period.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from athena_reports import Input
from athena_reports.inputs.predicate import MOST_BYTES, input_predicate
from athena_reports.periods.calendar import Period, daily, monthly, quarterly, weekly, yearly
from tests.unit.athena_reports.inputs.clocks import (
    LAYOUTS,
    ROUNDS,
    Case,
    KeysOfTime,
    random_case,
    some_layouts,
)
from tests.unit.athena_reports.inputs.trino import assert_trino_accepts

ALIASES = [None, "p"]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def selected(
    engine: duckdb.DuckDBPyConnection,
    predicate: str,
    names: Sequence[str],
    types: Sequence[str],
    partitions: Sequence[tuple[str, ...]],
) -> set[tuple[str, ...]]:
    """Those of some partitions that a predicate selects, as an engine of SQL sees it."""
    columns = list(zip(*partitions, strict=True))
    texts = pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)})
    engine.register("texts", texts)
    typed = ", ".join(f"{name}::{type} AS {name}" for name, type in zip(names, types, strict=True))
    query = f"SELECT number FROM (SELECT {typed}, number FROM numbered) AS p WHERE {predicate}"
    numbered = "WITH numbered AS (SELECT *, row_number() OVER () - 1 AS number FROM texts) "
    rows = engine.execute(numbered + query).fetchall()
    return {partitions[number] for (number,) in rows}


# Each hour is named: the texts do not sort in time, or no key names the day.
LISTED_HOURS = [
    keys
    for keys in LAYOUTS
    if keys.declared.get("format")
    in ("%d-%m-%Y-%H", "%y%m%d%H", ("%H", "%d.%m.%Y"), ("%Y-%m", "%d-%H"))
]


def assert_exact(engine: duckdb.DuckDBPyConnection, case: Case, keys: KeysOfTime) -> str:
    """Hold the predicate of a case against the oracle, and return how it went."""
    source = keys.source(zone=case.zone, previous=case.previous, last_year=case.last_year)
    alias = ALIASES[case.seed % 2]
    try:
        predicate = input_predicate(source, case.period, case.late_by, alias=alias)
    except ValueError:  # what it says is another test's
        if keys not in LISTED_HOURS:
            raise
        return "refused"
    assert len(predicate.encode()) <= MOST_BYTES
    needed = set(map(keys.values, case.hours))
    there = list(dict.fromkeys([*needed, *map(keys.values, case.hours_around)]))
    found = selected(engine, predicate, keys.names, keys.types, there)
    assert found == needed, (case, str(keys), predicate[:2000])
    if case.seed % 20 == 0:
        assert_trino_accepts(predicate)
    return "exact"


@pytest.mark.parametrize("seeds", ROUNDS, ids=str)
def test_exactly_the_partitions_of_a_period_are_selected(
    engine: duckdb.DuckDBPyConnection, seeds: range
) -> None:
    outcomes: list[str] = []
    for seed in seeds:
        case = random_case(seed)
        outcomes += [assert_exact(engine, case, keys) for keys in some_layouts(seed)]
    assert outcomes.count("exact") > 0.97 * len(outcomes)


@pytest.mark.parametrize("alias", ALIASES)
def test_only_selects_the_listed_values_of_further_keys(
    engine: duckdb.DuckDBPyConnection, alias: str | None
) -> None:
    keys = LAYOUTS[0]
    only = {"region": ["jp", "o'neill", "x') OR (1=1"], "level": [-1, 30]}
    source = keys.source(only=only, previous=True)
    period = weekly("sunday").period("2025-06-22")
    days = [(f"2025-06-{day:02}",) for day in range(1, 31)]
    regions = ["jp", "us", "o'neill", "JP", "", "x') OR (1=1", "__HIVE_DEFAULT_PARTITION__"]
    levels = ["-1", "1", "3", "30"]
    there = [(*day, region, level) for day in days for region in regions for level in levels]
    expected = {
        (*day, region, level)
        for day in days[14:28]
        for region in ("jp", "o'neill", "x') OR (1=1")
        for level in ("-1", "30")
    }

    predicate = input_predicate(source, period, timedelta(0), alias=alias)
    types = ("VARCHAR", "VARCHAR", "INTEGER")
    assert selected(engine, predicate, ["dt", "region", "level"], types, there) == expected
    assert_trino_accepts(predicate)
    # Every key has the alias.
    assert set(re.findall(r"([\w.]+) IN \(", predicate)) == {
        name if alias is None else f"{alias}.{name}" for name in ("dt", "region", "level")
    }


WEEK = weekly("sunday", "UTC").period("2025-06-22")
DATES_OF_WEEK = [f"DATE '2025-06-{day}'" for day in range(22, 29)]


@pytest.mark.parametrize(
    ("fields", "period", "expected"),
    [
        ({"columns": "dt"}, monthly().period("2025-06"), None),
        (
            {"columns": "datehour", "format": "%Y/%m/%d/%H"},
            yearly("Asia/Kolkata").period("2025"),
            "(datehour BETWEEN '2024/12/31/18' AND '2025/12/31/18')",
        ),
        (
            {"columns": "datehour", "format": "%Y%m%d%H", "kind": "integer"},
            yearly().period("2025"),
            "(datehour BETWEEN 2025010100 AND 2025123123)",
        ),
        (
            {"columns": ("year", "month", "day", "hour")},
            yearly().period("2025"),
            "((year IN ('2025')))",
        ),
        (
            {"columns": ("year", "month", "day", "hour"), "kind": "integer"},
            monthly("Asia/Tokyo").period("2025-06"),
            "((year = 2025 AND month = 5 AND day = 31 AND hour IN"
            " (15, 16, 17, 18, 19, 20, 21, 22, 23))"
            f" OR (year = 2025 AND month = 6 AND day IN ({', '.join(map(str, range(1, 30)))}))"
            " OR (year = 2025 AND month = 6 AND day = 30 AND hour IN"
            f" ({', '.join(map(str, range(15)))})))",
        ),
        (
            {"columns": ("dt", "hour"), "format": ("%Y-%m-%d", "%H"), "kind": ("date", "integer")},
            WEEK,
            f"((dt IN ({', '.join(DATES_OF_WEEK)})))",
        ),
        (
            {"columns": ("year", "month")},
            WEEK,
            "((year = '2025' AND month IN ('06')))",
        ),
        (
            {"columns": ("year", "month", "day", "hour")},
            monthly().period("2025-02"),
            "((year = '2025' AND month IN ('02')))",
        ),
        # One condition, whatever stands beside it.
        (
            {"columns": "dt", "previous": True},
            daily().period("2025-06-22"),
            "((dt IN ('2025-06-21')) OR (dt IN ('2025-06-22')))",
        ),
        (
            {
                "columns": "event date",
                "format": "%F",
                "only": {"order": ["a"], "level": [1, 2]},
            },
            daily().period("2025-06-22"),
            """(("event date" IN ('2025-06-22')) AND "order" IN ('a') AND level IN (1, 2))""",
        ),
    ],
)
def test_whole_days_months_and_years_need_no_term_on_what_is_below_them(
    fields: dict[str, Any], period: Period, expected: str | None
) -> None:
    predicate = input_predicate(Input("plays", **fields), period, timedelta(0))
    if expected is None:  # dates of one key are few: each is named
        dates = ", ".join(f"'2025-06-{day:02}'" for day in range(1, 31))
        expected = f"(dt IN ({dates}))"
    assert predicate == expected


@pytest.mark.parametrize(
    ("fields", "period"),
    [
        ({"format": "%d-%m-%Y-%H"}, yearly().period("2025")),
        # Each of the three alone has room.
        (
            {"format": "%d-%m-%Y-%H", "previous": True, "last_year": True},
            quarterly().period("2025-Q2"),
        ),
        ({"only": {"user": [f"user-{number:06}" for number in range(10_000)]}}, WEEK),
        # Fewer characters than bytes.
        ({"only": {"user": ["é" * 30_000, "ü" * 30_000]}}, WEEK),
    ],
)
def test_a_predicate_that_leaves_the_query_no_room_is_refused(
    fields: dict[str, Any], period: Period
) -> None:
    says = (
        r"^the filter on the partitions has \d{3},\d{3} bytes, more than the 100,000 that leave"
        r" room for the query\. Report shorter periods, name fewer values in only=, or read a"
        " table whose hours sort in time, as those of %Y-%m-%d-%H do$"
    )
    with pytest.raises(ValueError, match=says):
        input_predicate(Input("plays", **fields), period, timedelta(0))


def test_a_predicate_may_have_as_many_bytes_as_are_said() -> None:
    def with_user(length: int) -> str:
        source = Input("plays", only={"user": ["x" * length]})
        return input_predicate(source, WEEK, timedelta(0))

    longest = MOST_BYTES - len(with_user(0))
    assert len(with_user(longest)) == MOST_BYTES
    with pytest.raises(ValueError, match="has 100,001 bytes"):
        with_user(longest + 1)


def test_a_quarter_of_hours_that_do_not_sort_has_room() -> None:
    source = Input("plays", format="%d-%m-%Y-%H")
    predicate = input_predicate(source, quarterly().period("2025-Q2"), timedelta(0))
    assert predicate.count(", ") == 91 * 24 - 1
