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
from athena_reports.periods.calendar import Period, daily, weekly, yearly
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


def assert_exact(engine: duckdb.DuckDBPyConnection, case: Case, keys: KeysOfTime) -> None:
    source = keys.source(zone=case.zone, previous=case.previous, last_year=case.last_year)
    predicate = source.predicate(case.period, case.late_by, ALIASES[case.seed % 2])
    needed = set(map(keys.values, case.hours))
    there = list(dict.fromkeys([*needed, *map(keys.values, case.hours_around)]))
    found = selected(engine, predicate, keys.names, keys.types, there)
    assert found == needed, (case, str(keys), predicate[:2000])
    if case.seed % 20 == 0:
        assert_trino_accepts(predicate)


@pytest.mark.parametrize("seeds", ROUNDS, ids=str)
def test_exactly_the_partitions_of_a_period_are_selected(
    engine: duckdb.DuckDBPyConnection, seeds: range
) -> None:
    for seed in seeds:
        case = random_case(seed)
        for keys in some_layouts(seed):
            assert_exact(engine, case, keys)


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

    predicate = source.predicate(period, timedelta(0), alias)
    types = ("VARCHAR", "VARCHAR", "INTEGER")
    assert selected(engine, predicate, ["dt", "region", "level"], types, there) == expected
    assert_trino_accepts(predicate)
    # Every key has the alias.
    assert set(re.findall(r"([\w.]+) IN \(", predicate)) == {
        name if alias is None else f"{alias}.{name}" for name in ("dt", "region", "level")
    }


@pytest.mark.parametrize(
    ("fields", "period", "expected"),
    [
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
            {"columns": "dt", "kind": "date"},
            daily().period("2025-06-22"),
            "(dt IN (DATE '2025-06-22'))",
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
                "format": "%Y-%m-%d",
                "only": {"order": ["a"], "level": [1, 2]},
            },
            daily().period("2025-06-22"),
            """(("event date" IN ('2025-06-22')) AND "order" IN ('a') AND level IN (1, 2))""",
        ),
    ],
)
def test_predicates(fields: dict[str, Any], period: Period, expected: str) -> None:
    assert Input("plays", **fields).predicate(period, timedelta(0)) == expected


def test_a_year_of_hours_in_four_keys_is_short() -> None:
    """Days of the same hours, and months of the same days, are named together."""
    source = Input("plays", ("year", "month", "day", "hour"))
    predicate = source.predicate(yearly("Asia/Tokyo").period("2025"), timedelta(0))
    assert len(predicate) < 3000
