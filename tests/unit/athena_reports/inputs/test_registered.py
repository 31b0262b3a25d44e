"""The partitions that Glue has, by what it answers."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from botocore.exceptions import ClientError

from athena_reports import Input
from athena_reports.inputs.registered import registered_folders
from athena_reports.periods.calendar import weekly
from athena_reports.steps.input_coverage import find_partitions
from tests.support.wire import answered, json_error, json_response
from tests.unit.athena_reports.inputs.glue_tables import Lake

DAYS = [f"2025-06-{day:02}" for day in range(1, 31)]
HOURS = [f"{day.replace('-', '/')}/{hour:02}" for day in DAYS for hour in range(24)]
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def stored(table: str, *values: str) -> dict[str, Any]:
    return {"Values": values, "StorageDescriptor": {"Location": f"s3://lake/{table}/"}}


def expressions_of(requests: list[Any]) -> list[str]:
    return [json.loads(request.body)["Expression"] for request in requests]


@pytest.mark.parametrize("form", ["{}", "{:02}"])
def test_integers_are_found_with_and_without_zeros(lake: Lake, form: str) -> None:
    keys = dict.fromkeys(("year", "month", "day", "hour"), "int")
    there = [["2025", form.format(6), form.format(day), form.format(9)] for day in (1, 9, 10, 30)]
    lake.create(keys, there)
    source = Input("plays", tuple(keys), kind="integer")
    table = lake.read(source)

    wanted = [("2025", "6", str(day), str(hour)) for day in range(1, 31) for hour in range(24)]
    folders = registered_folders(table, wanted, lake.glue)
    assert list(folders) == [("2025", "6", str(day), "9") for day in (1, 9, 10, 30)]
    path = f"year=2025/month={form.format(6)}/day={form.format(1)}/hour={form.format(9)}"
    assert folders["2025", "6", "1", "9"] == {
        "year=2025/month=6/day=1/hour=9": f"s3://lake/plays/{path}/"
    }


FREE = [
    # The keys of the table, the input, and the values of its time.
    ({"region": "string", "dt": "string"}, Input("plays"), DAYS),
    ({"dt": "date", "region": "string"}, Input("plays", kind="date"), DAYS),
    (
        {"dt": "int", "region": "string"},
        Input("plays", kind="integer"),
        [day.replace("-", "") for day in DAYS],
    ),
    (
        {"region": "string", "datehour": "string"},
        Input("plays", "datehour", format="%Y/%m/%d/%H"),
        HOURS,
    ),
    (
        {"dt": "string", "region": "string"},
        Input("plays", format="%d-%m-%Y"),
        ["-".join(reversed(day.split("-"))) for day in DAYS],
    ),
]


@pytest.mark.parametrize(("keys", "source", "times"), FREE, ids=range(len(FREE)))
def test_a_time_is_there_if_any_value_of_a_free_key_is(
    lake: Lake, keys: dict[str, str], source: Input, times: list[str]
) -> None:
    (time_key,) = source.columns
    there = []
    for number, time in enumerate(times):
        regions = ["jp", "o'neill"][: number % 3]  # none, one or two
        there += [[time if key == time_key else name for key in keys] for name in regions]
    lake.create(keys, there)
    table = lake.read(source)
    required = [(time,) for time in reversed(times)]  # a range stands for all of them in any order
    with answered(lake.glue, "GetPartitions") as requests:
        folders = registered_folders(table, required, lake.glue)
    assert len(folders) == len(times) * 2 / 3
    for number, time in enumerate(times):
        names = [f"{time_key}={time}/region={name}" for name in ["jp", "o'neill"][: number % 3]]
        assert sorted(folders.get((time,), {})) == names
    assert all(len(expression) <= 2048 for expression in expressions_of(requests))
    assert not [each for each in expressions_of(requests) if "DATE" in each]  # it has texts alone


def test_values_of_only_are_needed_one_by_one(lake: Lake) -> None:
    there = [*product(DAYS, ("jp", "o'neill", "us"), ("0", "1"))]
    there.remove(("2025-06-23", "o'neill", "1"))
    there = [values for values in there if values[:2] != ("2025-06-24", "jp")]
    keys = {"dt": "string", "region": "string", "level": "int"}
    lake.create(keys, there)
    look: Any = {"late_by": timedelta(0), "now": datetime(2026, 1, 1, tzinfo=UTC), "s3": None}
    look |= {"database": lake.database, "glue": lake.glue}
    week = weekly("sunday").period("2025-06-22")

    only = {"region": ["jp", "o'neill"]}
    (found,) = find_partitions([Input("plays", only=only)], week, **look)
    assert found.coverage.needed == 14
    assert found.coverage.absent == ("dt=2025-06-24/region=jp",)
    assert len(found.folders) == 12 * 2 + 1  # of each level
    both = {**only, "level": [0, 1]}
    (found,) = find_partitions([Input("plays", only=both)], week, **look)
    assert found.coverage.needed == 28
    assert found.coverage.absent == (
        "dt=2025-06-23/region=o'neill/level=1",
        "dt=2025-06-24/region=jp/level=0",
        "dt=2025-06-24/region=jp/level=1",
    )


def test_a_table_whose_key_needs_quotes_is_listed_as_a_whole(lake: Lake) -> None:
    """How an expression quotes a name is not documented."""
    lake.create({"event date": "string", "region": "string"}, [["2025-06-02", "jp"]])
    table = lake.read(Input("plays", "event date", format="%Y-%m-%d"))
    with answered(lake.glue, "GetPartitions") as requests:
        assert len(registered_folders(table, [("2025-06-02",)], lake.glue)) == 1
    assert expressions_of(requests) == [""]


def test_an_expression_is_no_longer_than_glue_takes_it(lake: Lake) -> None:
    days = [str(date(2025, 1, 1) + timedelta(days=number)) for number in range(365)]
    lake.create({"dt": "string", "region": "string"}, [*product(days, ("jp",))])
    table = lake.read(Input("plays"))
    with answered(lake.glue, "GetPartitions") as requests:
        assert len(registered_folders(table, [(day,) for day in days], lake.glue)) == 365
    assert [len(expression) <= 2048 for expression in expressions_of(requests)] == [True] * 4


# --- rare answers


@pytest.mark.parametrize("value", [NO_VALUE, "", "x", "12a"])
def test_a_partition_that_is_no_number_is_passed_over(lake: Lake, value: str) -> None:
    """Rows without a key are in __HIVE_DEFAULT_PARTITION__; Athena reads NULL there."""
    lake.create({"dt": "int", "region": "string"})
    table = lake.read(Input("plays", kind="integer"))
    answer = {"Partitions": [stored("a", value, "jp"), stored("b", "20250601", "jp")]}
    with answered(lake.glue, "GetPartitions", json_response(answer)):
        folders = registered_folders(table, [("20250601",), ("20250602",)], lake.glue)
    assert folders == {("20250601",): {"dt=20250601/region=jp": "s3://lake/b/"}}


@pytest.mark.parametrize("call", ["GetPartitions", "BatchGetPartition"])
def test_what_may_not_be_listed_is_not_taken_for_missing(lake: Lake, call: str) -> None:
    keys = {"dt": "string"} if call == "BatchGetPartition" else {"dt": "string", "region": "string"}
    lake.create(keys)
    table = lake.read(Input("plays"))
    denied = json_error("AccessDeniedException", "not allowed")
    with answered(lake.glue, call, denied), pytest.raises(ClientError, match="AccessDenied"):
        registered_folders(table, [("2025-06-01",)], lake.glue)


def test_nothing_is_asked_for_no_partitions(lake: Lake) -> None:
    lake.create({"dt": "string", "region": "string"})
    table = lake.read(Input("plays"))
    with answered(lake.glue, "GetPartitions") as requests:
        assert registered_folders(table, [], lake.glue) == {}
    assert not requests
