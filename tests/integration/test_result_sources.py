"""One query's result by each of the ways in which Athena gives it, from the local Athena."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from athena_reports.errors import ResultError
from athena_reports.queries.execution import QueryExecution, get_query_execution
from athena_reports.queries.failures import has_succeeded
from athena_reports.queries.ownership import Marker, Submission
from athena_reports.result import Result, open_result
from athena_reports.storage import Storage, StorageError
from demo.plays import PlaysSpec
from demo.services import Services
from local_aws.faults import CutBody, Faults, SlowDown
from tests.integration.conftest import ENVIRONMENT

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


@dataclass(frozen=True)
class Lake:
    """The local Athena with its lake, and the ways to run a query there."""

    services: Services

    @property
    def storage(self) -> Storage:
        return Storage(self.services.s3)

    def run(self, sql: str, way: str) -> QueryExecution:
        """Run a query to its end, in one of the `WAYS`."""
        managed = way.startswith(MANAGED)
        submission = Submission.make(
            sql,
            owner=Marker(
                environment=ENVIRONMENT,
                dag_id="sources",
                run_id=str(uuid.uuid4()),
                task_id="run_query",
                generation="0",
            ),
            context={"Database": f"database_{ENVIRONMENT}", "Catalog": "AwsDataCatalog"},
            workgroup=MANAGED if managed else ENVIRONMENT,
            result_configuration={} if managed else {"OutputLocation": f"s3://{RESULTS}/"},
            unload_to=f"s3://{RESULTS}/unload/" if way.endswith("UNLOAD") else None,
        )
        request: dict[str, Any] = {
            "QueryString": submission.sql(0),
            "QueryExecutionContext": submission.context,
            "WorkGroup": submission.workgroup,
            "ResultConfiguration": dict(submission.result_configuration),
            "ClientRequestToken": submission.token(0),
        }
        id_ = self.services.athena.start_query_execution(**request)["QueryExecutionId"]
        deadline = time.monotonic() + 60
        while not has_succeeded(execution := get_query_execution(self.services.athena, id_)):
            assert time.monotonic() < deadline
        return execution

    def open(self, execution: QueryExecution) -> Result:
        return open_result(execution, athena=self.services.athena, storage=self.storage)

    def rows(self, sql: str, way: str) -> pa.Table:
        result = self.open(self.run(sql, way))
        return pa.Table.from_batches(list(result.batches), result.schema)


@pytest.fixture
def lake(services: Services, plays_lake: PlaysSpec) -> Lake:
    groups = services.athena.list_work_groups()["WorkGroups"]
    if MANAGED not in {group["Name"] for group in groups}:
        services.athena.create_work_group(
            Name=MANAGED, Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}}
        )
    return Lake(services)


@pytest.fixture
def faults(services: Services) -> Iterator[Faults]:
    faults = Faults(services.endpoint_url)
    yield faults
    faults.clear()


def test_all_ways_give_the_same_rows_and_types(lake: Lake) -> None:
    csv, *others = (lake.rows(TYPES, way).sort_by("n") for way in WAYS)

    assert csv.num_rows == 3
    assert csv.schema.field("price").type == pa.decimal128(22, 2)
    assert [other == csv for other in others] == [True] * 3


def test_all_ways_give_all_rows_of_a_larger_result(lake: Lake, plays_lake: PlaysSpec) -> None:
    order = [(name, "ascending") for name in ("played_at", "user_id", "score")]
    csv, *others = (lake.rows(PLAYS, way).sort_by(order) for way in WAYS)

    assert csv.num_rows == plays_lake.events
    assert [other == csv for other in others] == [True] * 3


def test_a_result_without_rows_has_the_same_columns_by_all_ways(lake: Lake) -> None:
    empty = [lake.rows(f"{TYPES}WHERE n > 3", way) for way in WAYS]

    assert [table.num_rows for table in empty] == [0] * 4
    assert [table.schema for table in empty] == [lake.rows(TYPES, "SELECT").schema] * 4


def test_an_unload_without_rows_spells_its_columns_as_one_with_rows_does(lake: Lake) -> None:
    sql = 'SELECT n AS "Number" FROM (VALUES 1, 2) AS t (n)'
    some, none = lake.rows(sql, "UNLOAD"), lake.rows(f"{sql} WHERE n > 2", "UNLOAD")

    assert (some.num_rows, none.num_rows) == (2, 0)
    assert some.schema == none.schema


def test_the_executions_tell_the_ways_apart(lake: Lake) -> None:
    csv, files, pages, managed_files = (lake.run(TYPES, way) for way in WAYS)

    assert [each.statement for each in (csv, files, pages, managed_files)] == ["SELECT", "UNLOAD"] * 2
    assert csv.output_location.endswith(".csv")
    assert pages.output_location == managed_files.output_location == ""
    assert files.data_manifest.startswith(f"s3://{RESULTS}/")
    assert csv.data_manifest == pages.data_manifest == managed_files.data_manifest == ""
    assert csv.database == f"database_{ENVIRONMENT}"


def test_asking_again_for_the_columns_of_nothing_starts_no_other_query(lake: Lake) -> None:
    execution = lake.run(f"{TYPES}WHERE n > 3", "UNLOAD")
    lake.open(execution)
    ids = lake.services.athena.list_query_executions(WorkGroup=ENVIRONMENT)["QueryExecutionIds"]
    lake.open(execution)

    assert lake.services.athena.list_query_executions(WorkGroup=ENVIRONMENT)["QueryExecutionIds"] == ids


def test_the_files_of_an_unload_are_found_as_they_are(lake: Lake) -> None:
    result = lake.open(lake.run(PLAYS, "UNLOAD"))
    assert result.find_files is not None
    files = result.find_files()

    assert files
    assert sum(file.rows for file in files) == lake.rows(PLAYS, "SELECT").num_rows


@pytest.mark.parametrize("way", ["SELECT", "UNLOAD"])
def test_a_read_that_breaks_off_goes_on_where_it_stopped(lake: Lake, faults: Faults, way: str) -> None:
    execution = lake.run(PLAYS, way)
    faults.add(CutBody(bucket=RESULTS, after_bytes=50_000, times=2))
    result = lake.open(execution)

    assert sum(batch.num_rows for batch in result.batches) == lake.rows(PLAYS, "SELECT").num_rows
    assert faults.list()[0]["struck"] > 0


def test_a_read_that_breaks_off_forever_is_an_error_that_may_pass(lake: Lake, faults: Faults) -> None:
    execution = lake.run(PLAYS, "SELECT")
    faults.add(CutBody(bucket=RESULTS, after_bytes=50_000, times=None))
    batches = lake.open(execution).batches

    with pytest.raises(StorageError, match=f"Query {execution.id}: .*it broke off") as caught:
        list(batches)
    assert caught.value.retryable


def test_an_s3_that_is_too_busy_is_an_error_that_may_pass(lake: Lake, faults: Faults) -> None:
    execution = lake.run(TYPES, "SELECT")
    faults.add(SlowDown(bucket=RESULTS, times=None))

    with pytest.raises(StorageError, match=f"Query {execution.id}: ") as caught:
        lake.open(execution)
    assert caught.value.retryable


@pytest.mark.parametrize("way", ["SELECT", "UNLOAD"])
def test_a_result_that_was_deleted_says_what_to_do(lake: Lake, way: str) -> None:
    execution = lake.run(TYPES, way)
    lake.storage.delete([execution.data_manifest or execution.output_location])

    with pytest.raises(ResultError, match="clear run_query with all that is downstream"):
        lake.open(execution)


def test_a_query_that_athena_does_not_know_says_so(lake: Lake) -> None:
    execution = replace(lake.run(TYPES, WAYS[2]), id=str(uuid.uuid4()))

    with pytest.raises(ResultError, match=f"Query {execution.id}: GetQueryResults does not give") as caught:
        lake.open(execution)
    assert isinstance(caught.value.__cause__, ClientError)
