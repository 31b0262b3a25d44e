"""One query's result by each of the ways in which Athena gives it, from the local Athena."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from athena_reports.aws.s3 import S3, S3Error
from athena_reports.errors import ResultError
from athena_reports.queries.execution import QueryExecution, get_query_execution
from athena_reports.queries.request import QueryRequest
from athena_reports.rows.athena_result import FinishedQuery, read_result
from athena_reports.rows.columns import TableColumn, columns_of
from athena_reports.rows.engine import open_engine
from athena_reports_cli.local.services import Services
from demo.plays import PlaysSpec
from local_athena.faults import CutBody, Faults

ENVIRONMENT = "dev"
RESULTS = f"athena-query-result-{ENVIRONMENT}"
MANAGED = "managed"
WAYS = ("SELECT", "UNLOAD", f"{MANAGED} SELECT", f"{MANAGED} UNLOAD")

# Every type that UNLOAD writes, with what is special to it in a CSV.
TYPES = """
SELECT n, flag, small, price, ratio, word, day, at, bytes
FROM (
    VALUES
    (
        1, true, CAST(7 AS smallint), CAST('12345678901234567890.12' AS decimal(22, 2)), 1e10,
        'say "hi", 東京', DATE '0001-01-01', TIMESTAMP '2026-11-24 01:02:03.004', X'00ff'
    ),
    (
        2, false, CAST(-7 AS smallint), CAST('-0.01' AS decimal(22, 2)), -0.1e0,
        '', DATE '9999-12-31', TIMESTAMP '1969-12-31 23:59:59.999', X''
    ),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
) AS t (n, flag, small, price, ratio, word, day, at, bytes)
"""
PLAYS = "SELECT user_id, score, played_at FROM plays"
OF_SOME_DAYS = "WHERE dt < '2025-01-25'"  # a page of results has 1,000 rows


class Table(NamedTuple):
    """Columns, and rows in one order."""

    columns: tuple[TableColumn, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Lake:
    """The local Athena with its lake, and the ways to run a query there."""

    services: Services

    @property
    def s3(self) -> S3:
        return S3(self.services.s3)

    def run(self, sql: str, way: str) -> QueryExecution:
        """Run a query to its end, in one of the `WAYS`."""
        managed = way.startswith(MANAGED)
        made = QueryRequest(
            query=sql,
            comment=str(uuid.uuid4()),
            context={"Database": f"database_{ENVIRONMENT}", "Catalog": "AwsDataCatalog"},
            workgroup=MANAGED if managed else ENVIRONMENT,
            result_configuration={} if managed else {"OutputLocation": f"s3://{RESULTS}/"},
            unload_to=f"s3://{RESULTS}/unload/" if way.endswith("UNLOAD") else None,
        )
        request = made.start_arguments(made.token())
        id_ = self.services.athena.start_query_execution(**request)["QueryExecutionId"]
        deadline = time.monotonic() + 300
        execution = get_query_execution(self.services.athena, id_)
        while execution.is_running:
            assert time.monotonic() < deadline
            time.sleep(0.03)
            execution = get_query_execution(self.services.athena, id_)
        assert execution.state == "SUCCEEDED", execution.reason
        return execution

    def read(
        self, execution: QueryExecution, published: tuple[TableColumn, ...] | None = None
    ) -> Table:
        with open_engine("128MB") as engine:
            result = read_result(
                FinishedQuery.model_validate(execution, from_attributes=True),
                engine=engine,
                athena=self.services.athena,
                s3=self.s3,
                published_columns=lambda: published,
            )
            return Table(columns_of(result.relation), sorted(result.relation.fetchall(), key=str))

    def rows(self, sql: str, way: str) -> Table:
        return self.read(self.run(sql, way))


@pytest.fixture
def lake(services: Services, plays_lake: PlaysSpec) -> Lake:
    with suppress(services.athena.exceptions.InvalidRequestException):  # another test has made it
        services.athena.create_work_group(
            Name=MANAGED, Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}}
        )
    return Lake(services)


def test_all_ways_give_the_same_rows_and_types(lake: Lake) -> None:
    csv, *others = (lake.rows(TYPES, way) for way in WAYS)

    assert len(csv.rows) == 3
    assert {column.name: column.type for column in csv.columns}["price"] == "DECIMAL(22,2)"
    assert others == [csv] * 3


def test_all_ways_give_all_rows_of_a_larger_result(lake: Lake) -> None:
    csv, *others = (lake.rows(f"{PLAYS} {OF_SOME_DAYS}", way) for way in WAYS)

    ((number,),) = lake.rows(f"SELECT count(*) FROM plays {OF_SOME_DAYS}", "SELECT").rows
    assert len(csv.rows) == number > 5_000
    assert [other == csv for other in others] == [True] * 3


def test_a_result_without_rows_has_its_columns(lake: Lake) -> None:
    columns = lake.rows(TYPES, "SELECT").columns
    for way in WAYS:
        execution = lake.run(f"{TYPES}WHERE n > 3", way)
        assert lake.read(execution, published=columns) == Table(columns, [])
        if way.endswith("UNLOAD"):
            with pytest.raises(
                ResultError, match=f"Query {execution.id} .*First publish a period with rows"
            ):
                lake.read(execution)


@pytest.mark.parametrize("way", ["SELECT", "UNLOAD"])
def test_a_download_that_breaks_off_is_repeated(
    lake: Lake, faults: Faults, plays_lake: PlaysSpec, way: str
) -> None:
    execution = lake.run(PLAYS, way)
    prefix = "unload/" if way == "UNLOAD" else ""
    faults.add(CutBody(bucket=RESULTS, key_prefix=prefix, after_bytes=50_000, times=2))

    assert len(lake.read(execution).rows) == plays_lake.events
    assert faults.list()[0]["struck"] > 0


def test_a_download_that_breaks_off_forever_is_an_error_that_may_pass(
    lake: Lake, faults: Faults
) -> None:
    execution = lake.run(PLAYS, "SELECT")
    faults.add(CutBody(bucket=RESULTS, after_bytes=50_000, times=None))

    with pytest.raises(S3Error, match=rf"^Could not read s3://.*{execution.id}\.csv: ") as caught:
        lake.read(execution)
    assert caught.value.retryable
