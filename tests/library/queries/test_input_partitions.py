from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import InputError
from athena_reports.periods.calendar import Period, weekly, yearly
from athena_reports.periods.sql_period import SqlPeriod
from athena_reports.queries.input_partitions import InputCoverage, find_coverage, needed_dates, why_empty
from athena_reports.reports.report import Input

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

WEEKS = weekly(first_day="sunday", timezone="Asia/Tokyo")
WEEK = WEEKS.period("2025-06-22")  # its dates in UTC are those from 06-21 to 06-28
DAYS = [f"2025-06-{day}" for day in range(21, 29)]
PLAYS = Input("plays", missing="partial")
_numbers = count(1)


@pytest.fixture(scope="module")
def glue(s3_endpoint: str) -> GlueClient:
    client: GlueClient = boto3.client("glue", endpoint_url=s3_endpoint)
    return client


@pytest.fixture
def database(glue: GlueClient) -> Iterator[str]:
    name = f"lake_{next(_numbers)}"
    glue.create_database(DatabaseInput={"Name": name})
    yield name
    glue.delete_database(Name=name)


def create(glue: GlueClient, database: str, keys: list[str], partitions: list[list[str]], **parameters: str) -> None:
    columns: Any = [{"Name": key, "Type": "string"} for key in keys]
    glue.create_table(
        DatabaseName=database, TableInput={"Name": "plays", "PartitionKeys": columns, "Parameters": parameters}
    )
    for values in partitions:
        glue.create_partition(
            DatabaseName=database,
            TableName="plays",
            PartitionInput={"Values": values, "StorageDescriptor": {"Location": "s3://lake/"}},
        )


def look(glue: GlueClient, database: str, source: Input = PLAYS, period: Period = WEEK) -> InputCoverage:
    when: Any = {"late_by": timedelta(0), "now": datetime(2026, 1, 1, tzinfo=UTC)}
    (found,) = find_coverage([source], period, **when, database=database, glue=glue)
    return found


def test_exactly_those_that_glue_lacks_are_missing(glue: GlueClient, database: str) -> None:
    create(glue, database, ["dt"], [[day] for day in DAYS if day[-1] not in "35"])

    found = look(glue, database)
    assert found.absent == ("dt=2025-06-23", "dt=2025-06-25")
    assert found.gaps == [f"{database}.plays/dt=2025-06-23", f"{database}.plays/dt=2025-06-25"]
    assert "2 of the 8 partitions" in str(found)
    assert "not registered in Glue: dt=2025-06-23, dt=2025-06-25" in str(found)


@pytest.mark.parametrize("zeros", [False, True], ids=["6", "06"])
def test_three_keys_in_any_order_and_numbers_with_or_without_zeros(
    glue: GlueClient, database: str, zeros: bool
) -> None:
    form = "{:02d}" if zeros else "{}"
    create(glue, database, ["day", "year", "month"], [[str(day), "2025", form.format(6)] for day in range(21, 28)])

    found = look(glue, database, Input("plays", ["year", "month", "day"], kind="integer", missing="partial"))
    assert found.absent == ("year=2025/month=6/day=28",)


def test_more_partitions_than_a_call_of_glue_takes(glue: GlueClient, database: str) -> None:
    create(glue, database, ["year", "month", "day"], [["2025", "6", "1"], ["2025", "12", "31"]])

    source = Input("plays", ["year", "month", "day"], kind="integer", previous=True, missing="partial")
    found = look(glue, database, source, yearly().period("2025"))
    assert found.needed == 366 + 365
    assert len(found.absent) == found.needed - 2
    assert "and 724 more" in str(found)


@pytest.mark.parametrize(
    ("range_", "outside"),
    [
        ("2025-01-01,NOW", []),
        ("2025-06-23,NOW", ["dt=2025-06-21", "dt=2025-06-22"]),
        ("2025-01-01,2025-06-26", ["dt=2025-06-27", "dt=2025-06-28"]),
        ("NOW-3YEARS,NOW+1DAY", []),
        ("NOW - 1 MONTHS , NOW", [f"dt={day}" for day in DAYS]),
    ],
)
def test_a_projection_answers_for_glue(glue: GlueClient, database: str, range_: str, outside: list[str]) -> None:
    parameters = {"enabled": "true", "dt.type": "date", "dt.format": "yyyy-MM-dd", "dt.range": range_}
    create(glue, database, ["dt"], [], **{f"projection.{name}": value for name, value in parameters.items()})

    found = look(glue, database)
    assert (list(found.outside), list(found.absent)) == (outside, [])
    assert ("outside the range of its partition projection" in str(found)) == bool(outside)


@pytest.mark.parametrize("keys", [None, [], ["day"], ["dt", "country"]])
def test_a_table_that_is_not_there_or_has_other_keys_is_named(glue: GlueClient, database: str, keys: Any) -> None:
    if keys is not None:
        create(glue, database, keys, [])
    says = "is not in Glue" if keys is None else "is partitioned by .*, the report's input says dt"
    with pytest.raises(InputError, match=rf"{database}\.plays {says}"):
        look(glue, database)


LATE = timedelta(days=1)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=50)).map(lambda past: datetime(2025, 6, 1, tzinfo=UTC) + past)


@given(INSTANTS, st.booleans())
def test_needed_is_what_the_sql_reads_as_far_as_it_can_be_there(now: datetime, previous: bool) -> None:
    source = Input("plays", previous=previous)
    period = WEEKS.last_complete(now)
    needed = needed_dates(source, period, LATE, now)

    def read(of: Period) -> str:
        return SqlPeriod(of, LATE).partitions("dt")

    text = read(period) + (read(period.previous) if previous else "")
    assert needed == sorted(set(needed))
    assert all(f"'{day}'" in text and day <= now.date() for day in needed)
    if now >= period.end_utc + LATE:
        assert all(f"'{day}'" in text for day in needed)
        assert text.count("'") // 2 >= len(needed) >= len(period.dates_in("UTC", LATE))
    else:
        assert set(period.dates_in("UTC")) <= set(needed)


def test_an_empty_result_is_told_apart() -> None:
    whole = InputCoverage(table="lake.plays", missing="partial", needed=8)
    absent = whole.model_copy(update={"absent": ("dt=2025-06-21",)})
    outside = whole.model_copy(update={"outside": ("dt=2025-06-21",)})

    says = ["declares no inputs", "no events", "Perhaps.*not registered", "Perhaps.*projection"]
    for inputs, said in zip([[], [whole], [absent], [outside]], says, strict=True):
        assert re.search(said, why_empty(inputs))
