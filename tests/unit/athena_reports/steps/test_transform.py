"""From the result of a query to what is published, as a worker runs the last two tasks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PublishedPeriod, QueryFacts, RunFacts
from athena_reports.reports.column import Column
from athena_reports.rows import checks, transforms
from athena_reports.settings import Encryption
from athena_reports.steps import preparation
from athena_reports.steps.transform import Recipe, transform_result
from tests.support.airflow_versions import since_3_3
from tests.support.aws_errors import THROTTLED
from tests.support.calendars import WEEK
from tests.support.retried import raises_retried
from tests.unit.athena_reports.steps.last_tasks import (
    ASSETS,
    HEADER,
    ONE_EVENT_EACH,
    SQL,
    LastTasks,
    submitted,
)

GAP = InputCoverage(table="lake.plays", missing="partial", needed=8, absent=("dt=2025-06-14",))
PREFIX = "plays/weekly/2025-06-08/"


def keys_in(last: LastTasks) -> list[str]:
    found = [item["Key"] for item in last.s3.list_objects_v2(Bucket=last.bucket)["Contents"]]
    return [key for key in found if not key.startswith("q-1")]


def test_a_format_is_uploaded_while_the_next_one_is_written(
    last: LastTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, writes = Event(), Event()
    upload, write_file = S3.upload, preparation.write_file

    def upload_beside_a_write(store: S3, path: Path, uri: str, *more: Any, **named: Any) -> None:
        uploads.set()
        assert writes.wait(timeout=30), "the next format is not written during this upload"
        upload(store, path, uri, *more, **named)

    def write_beside_an_upload(table: Any, format: str, engine: Any) -> Any:
        if format == "csv":
            assert uploads.wait(timeout=30), "the format before is not uploaded during this write"
            writes.set()
        return write_file(table, format, engine)

    monkeypatch.setattr(S3, "upload", upload_beside_a_write)
    monkeypatch.setattr(preparation, "write_file", write_beside_an_upload)
    last.published(last.transformed(formats=["parquet", "csv"]))

    assert [item.format for item in last.manifest.objects] == ["parquet", "csv"]


@since_3_3
def test_a_result_is_transformed_checked_uploaded_and_published(last: LastTasks) -> None:
    prepared = last.transformed(
        inputs=(GAP,),
        transforms=[transforms.movement()],
        checks=[checks.unique("rank"), checks.not_null("previous_rank", severity="warn")],
    )
    assert json.loads(json.dumps(prepared)) == prepared

    outcome = last.published(prepared, inputs=(GAP,), **ASSETS)
    manifest = last.manifest
    in_event = {"period", "version", "rows", "provisional", "partial", "published_at"}
    shared = manifest.model_dump(mode="json", include=in_event)
    named = {"manifest": last.location.manifest_uri, "outcome": "published"}
    assert outcome == shared | named | {
        "warnings": ["not_null(previous_rank)"],
        "keys": ONE_EVENT_EACH,
    }
    assert (outcome["version"], outcome["rows"]) == (prepared["version"]["version"], 2)
    assert (manifest.provisional, manifest.partial) == (False, True)
    assert manifest.period == PublishedPeriod.of(WEEK)
    assert (manifest.report, manifest.environment) == ("plays", "dev")
    assert manifest.run == RunFacts(dag_id="plays_weekly", run_id="run-1", max_tries=3)
    assert manifest.missing_partitions == ("lake.plays/dt=2025-06-14",)
    assert [(check.name, check.passed) for check in manifest.checks] == [
        ("unique(rank)", True),
        ("not_null(previous_rank)", False),
    ]
    query = QueryFacts.model_validate(last.query)
    facts = {"reads_previous": False, "sql_sha256": "5ql", "price_usd": 0.0001}
    assert manifest.query == query.model_copy(update=facts)
    rows, _ = S3(last.s3).read(last.location.uri(manifest.objects[0].key))
    assert rows == b'rank,previous_rank,"user_name","movement"\n1,3,"a,b","up 2"\n2,,"","new"\n'


def test_the_owner_the_encryption_and_the_memory_are_those_of_the_deployment(
    last: LastTasks, made_s3: list[S3], memory_limits: list[str]
) -> None:
    recipe = Recipe(report="plays", bucket=last.bucket)
    encryption = Encryption.from_text("alias/reports")
    transform_result(
        last.query,
        submitted(),
        recipe=recipe,
        memory_limit="200MB",
        bucket_owner="123456789012",
        encryption=encryption,
    )
    assert {(each.owner, each.encryption) for each in made_s3} == {("123456789012", encryption)}
    assert memory_limits == ["200MB"]


def test_the_sql_that_ran_is_kept_with_its_version(last: LastTasks) -> None:
    """Beside the rows, so that XComs, the manifest and what follows it stay small."""
    prepared = last.transformed()
    last.published(prepared)
    manifest = last.manifest
    uri = last.location.sql_uri(manifest.version, manifest.query.sql_sha256)
    assert S3(last.s3).read(uri)[0].decode() == SQL
    assert SQL not in json.dumps(prepared) + manifest.model_dump_json()


def test_an_athena_that_does_not_tell_the_sql_is_asked_again_by_a_retry_of_this_task(
    last: LastTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttle(*_: object) -> str:
        raise THROTTLED

    monkeypatch.setattr(preparation, "executed_sql", throttle)
    with raises_retried("ThrottlingException"):
        last.transformed()


def test_a_rerun_uploads_the_same_bytes_as_a_version_of_its_own_which_changes_nothing(
    last: LastTasks,
) -> None:
    """What a cleanup removes is never written again."""
    first, again = (
        last.transformed(formats=formats) for formats in (["csv", "jsonl"], ["jsonl", "csv"])
    )
    versions = [prepared["version"] for prepared in (first, again)]
    sizes = {item["key"]: item["bytes"] for version in versions for item in version["objects"]}
    sizes |= {
        f"{PREFIX}versions/{each['version']}/sql/5ql.sql": len(SQL.encode()) for each in versions
    }
    assert len(sizes) == 6
    assert {item.uri: item.bytes for item in S3(last.s3).list(last.location.folder_uri)} == {
        last.location.uri(key): size for key, size in sizes.items()
    }
    digests = [
        {item["format"]: item["sha256"] for item in version["objects"]} for version in versions
    ]
    assert digests[0] == digests[1]
    assert {last.published(each)["version"] for each in (first, again)} == {versions[0]["version"]}


@pytest.mark.parametrize(
    ("against", "period", "is_compared"),
    [
        ("previous_version", WEEK, True),
        ("previous_period", WEEK.next, True),
        ("previous_version", WEEK.next, False),
        ("previous_period", WEEK, False),
    ],
)
def test_a_change_is_measured_against_what_is_published_of_its_own_or_the_period_before(
    last: LastTasks, against: Any, period: Period, is_compared: bool
) -> None:
    last.published(last.transformed())
    check = checks.change("rows", within=0.1, against=against, severity="warn")

    def first_row(rows: Any, _: Any) -> Any:
        return rows.limit(1)

    prepared = last.transformed(period=period, transforms=[first_row], checks=[check])
    (found,) = prepared["checks"]
    assert (found["passed"], found["value"]) == (not is_compared, 1)
    assert ("compared with 2 in" in found["message"]) == is_compared


@pytest.mark.parametrize("fails", ["a check", "a transform"])
def test_rows_of_an_older_sql_that_fail_are_told_with_what_to_clear(
    last: LastTasks, fails: str
) -> None:
    """The SQL of today may be right, and nothing in the file is wrong."""

    def problem_of(ran: str) -> str:
        recipe: dict[str, Any] = {"checks": [checks.rows(at_least=9)]}
        if fails == "a transform":
            recipe = {"transforms": [lambda rows, _: rows.project("anonymous")]}
        with pytest.raises(AirflowFailException) as caught:
            last.transformed(ran=ran, query_logic="v2:new", **recipe)
        return str(caught.value)

    assert problem_of("v2:old").startswith(
        "Report 'plays', period 2025-06-08 (weekly), with SQL older than the report's current SQL"
        " (clear run_query to run the current SQL): "
    )
    for ran in ("v2:new", ""):  # an older release has handed none on
        assert "SQL older" not in problem_of(ran)


@pytest.mark.parametrize(
    ("rows", "is_same"),
    [
        (b'"1","3","a"\n"2",,"b"\n', True),
        (b'"1","7","a"\n"2","1","b"\n', True),  # only the movement since a still earlier period
        (b'"1","3","a"\n"3",,"b"\n', False),
    ],
)
def test_the_next_period_reads_all_but_what_comes_from_the_period_before(
    last: LastTasks, rows: bytes, is_same: bool
) -> None:
    read = []
    for result in (b'"1","3","a"\n"2",,"b"\n', rows):
        last.put_result(HEADER + result)
        prepared = last.transformed(transforms=[transforms.movement()], reads_previous=True)
        read.append(prepared["version"]["read_by_next"])
    assert (read[0] == read[1]) == is_same


def test_no_digest_is_made_of_rows_that_no_next_period_reads(last: LastTasks) -> None:
    assert last.transformed()["version"]["read_by_next"] == ""


def test_a_check_that_fails_names_the_rows_and_leaves_the_version_for_inspection(
    last: LastTasks,
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        last.transformed(checks=[checks.not_null("previous_rank"), checks.unique("rank")])

    message = str(caught.value)
    assert message.startswith("Report 'plays', period 2025-06-08 (weekly): ")
    assert "not_null(previous_rank)" in message
    assert "unique" not in message
    kept, _sql = keys_in(last)
    assert last.location.uri(kept.rpartition("csv/")[0]) in message
    assert kept.startswith(f"{PREFIX}versions/")


@pytest.mark.parametrize(
    ("empty", "error"), [("fail", AirflowFailException), ("skip", AirflowSkipException)]
)
@pytest.mark.parametrize("statement", ["SELECT", "UNLOAD"])
def test_a_result_without_rows_is_refused_before_anything_is_uploaded(
    last: LastTasks, empty: str, error: type[Exception], statement: str
) -> None:
    query = last.unloaded_nothing() if statement == "UNLOAD" else last.query
    last.put_result(HEADER)
    with pytest.raises(error, match=r"query q-1 returned no rows.*missing in Glue: dt=2025-06-14"):
        last.transformed(query, inputs=(GAP,), empty=empty)
    assert keys_in(last) == []


def test_an_unload_without_rows_has_the_declared_columns_which_no_transform_makes_again(
    last: LastTasks,
) -> None:
    """Athena writes no file then, so nothing says which columns a transform would take."""
    query = last.unloaded_nothing()
    columns = {
        "rank": Column("bigint", "the place"),
        "movement": Column("string", "since the week before"),
    }
    prepared = last.transformed(
        query, empty="publish", columns=columns, transforms=[transforms.movement()]
    )

    described = [
        (column["name"], column["glue"], column["description"])
        for column in prepared["version"]["columns"]
    ]
    assert described == [
        ("rank", "bigint", "the place"),
        ("movement", "string", "since the week before"),
    ]
    assert (prepared["version"]["rows"], prepared["version"]["ordered"]) == (0, False)


def test_what_is_private_is_recorded_with_the_columns_and_kept_of_an_earlier_version(
    last: LastTasks,
) -> None:
    columns = {
        "Rank": Column("bigint", "the place", private=True),
        "previous_rank": Column("bigint", "the place before"),
    }
    last.published(last.transformed(columns=columns, key=["Rank"]))
    recorded = {column.name: column.private for column in last.manifest.columns}
    assert recorded == {"rank": True, "user_name": False, "previous_rank": False}
    assert last.manifest.key == ("rank",), "as the column is called"
    rename = [lambda rows, _: rows.project("rank AS place")]
    last.published(last.transformed(transforms=rename, key=["rank"]))
    manifest = last.manifest
    assert [(each.name, each.private) for each in manifest.columns] == [("place", False)]
    assert manifest.key == (), "a check that only warns let it pass"
    (earlier,) = manifest.earlier_versions
    assert earlier.private_columns == ("rank",)


def test_an_unload_without_rows_cannot_be_published_where_no_column_is_known(
    last: LastTasks,
) -> None:
    """Neither declared nor, as the report has no table, by an earlier period."""
    query = last.unloaded_nothing()
    says = (
        r"q-1 unloaded no rows, so its columns are unknown.*First publish a period with rows, or"
        r" set"
    )
    with pytest.raises(AirflowFailException, match=says):
        last.transformed(query, empty="publish", database="", formats=["csv"])
    assert keys_in(last) == []


@pytest.mark.parametrize("missing", ["query", "submitted", "period"])
def test_without_a_query_or_a_period_the_way_out_is_named(last: LastTasks, missing: str) -> None:
    without_period = {"period": None, "sql_sha256": ""} if missing == "period" else None
    some_query = None if missing == "query" else last.query

    recipe = Recipe(report="plays", bucket=last.bucket)
    with pytest.raises(AirflowFailException, match=r"clear run_query.*submitted=XComArg"):
        transform_result(some_query, without_period, recipe=recipe)


def test_a_worker_without_duckdb_fails_at_once_and_says_where_to_look(
    last: LastTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Amazon MWAA, where a pip that fails is only logged."""
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as if it were not installed
    with pytest.raises(AirflowFailException) as caught:
        last.transformed()

    message = str(caught.value)
    assert message.startswith("Report 'plays', period 2025-06-08 (weekly): could not import DuckDB")
    assert "requirements_install" in message
    assert message.endswith("update the environment, then try again.")
    assert keys_in(last) == []
