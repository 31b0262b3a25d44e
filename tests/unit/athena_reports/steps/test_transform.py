"""From the result of a query to what is published, as a worker runs the last two tasks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from athena_reports.alerts.redaction import error_text
from athena_reports.aws.s3 import S3
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import PublishedPeriod
from athena_reports.reports.column import Column
from athena_reports.rows import checks, transforms
from athena_reports.settings import Encryption
from athena_reports.steps import preparation
from athena_reports.steps.transform import Recipe, transform_result
from tests.support.aws_errors import THROTTLED
from tests.support.calendars import WEEK
from tests.support.published import read_complete
from tests.support.retried import raises_retried
from tests.unit.athena_reports.steps.last_tasks import (
    ASSETS,
    ONE_EVENT_EACH,
    SQL,
    published,
    submitted,
    transformed,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

GAP = InputCoverage(table="lake.plays", missing="partial", needed=8, absent=("dt=2025-06-14",))
PREFIX = "plays/weekly/2025-06-08/"


def keys_in(s3: S3Client, bucket: str) -> list[str]:
    found = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return [key for key in found if not key.startswith("q-1")]


def test_a_format_is_uploaded_while_the_next_one_is_written(
    s3: S3Client, bucket: str, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
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
    published(transformed(query, bucket, formats=["parquet", "csv"]), bucket)

    manifest = read_complete(s3, PeriodLocation.of(bucket, "plays", WEEK))
    assert [item["format"] for item in manifest["objects"]] == ["parquet", "csv"]


def test_a_result_is_transformed_checked_uploaded_and_published(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    prepared = transformed(
        query,
        bucket,
        inputs=(GAP,),
        transforms=[transforms.movement()],
        checks=[checks.unique("rank"), checks.not_null("previous_rank", severity="warn")],
    )
    assert json.loads(json.dumps(prepared)) == prepared

    outcome = published(prepared, bucket, inputs=(GAP,), **ASSETS)
    manifest = read_complete(s3, PeriodLocation.of(bucket, "plays", WEEK))
    shared = {
        name: manifest[name]
        for name in ("period", "version", "rows", "provisional", "partial", "published_at")
    }
    named = {"manifest": f"s3://{bucket}/{PREFIX}manifest.json", "outcome": "published"}
    assert outcome == shared | named | {
        "warnings": ["not_null(previous_rank)"],
        "keys": ONE_EVENT_EACH,
    }
    assert (outcome["version"], outcome["rows"]) == (prepared["version"]["version"], 2)
    assert (manifest["provisional"], manifest["partial"], manifest["period"]) == (
        False,
        True,
        PublishedPeriod.of(WEEK).model_dump(),
    )
    assert (manifest["report"], manifest["environment"]) == ("plays", "dev")
    assert manifest["run"] == {"dag_id": "plays_weekly", "run_id": "run-1", "max_tries": 3}
    assert manifest["missing_partitions"] == ["lake.plays/dt=2025-06-14"]
    assert [(check["name"], check["passed"]) for check in manifest["checks"]] == [
        ("unique(rank)", True),
        ("not_null(previous_rank)", False),
    ]
    of_query = {
        name: query[name]
        for name in ("id", "submitted_at", "statement", "scanned_bytes", "engine_version")
    }
    assert manifest["query"] == of_query | {
        "reads_previous": False,
        "sql_sha256": "5ql",
        "price_usd": 0.0001,
    }
    assert (
        s3.get_object(Bucket=bucket, Key=manifest["objects"][0]["key"])["Body"].read()
        == b'rank,previous_rank,"user_name","movement"\n1,3,"a,b","up 2"\n2,,"","new"\n'
    )


def test_the_owner_the_encryption_and_the_memory_are_those_of_the_deployment(
    bucket: str, query: dict[str, Any], made_s3: list[S3], memory_limits: list[str]
) -> None:
    recipe = Recipe(report="plays", bucket=bucket)
    encryption = Encryption.from_text("alias/reports")
    transform_result(
        query,
        submitted(),
        recipe=recipe,
        memory_limit="200MB",
        bucket_owner="123456789012",
        encryption=encryption,
    )
    assert {(each.owner, each.encryption) for each in made_s3} == {("123456789012", encryption)}
    assert memory_limits == ["200MB"]


def test_the_sql_that_ran_is_kept_with_its_version(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    """Beside the rows, so that XComs, the manifest and what follows it stay small."""
    prepared = transformed(query, bucket)
    published(prepared, bucket)
    location = PeriodLocation.of(bucket, "plays", WEEK)
    manifest = read_complete(s3, location)
    uri = location.sql_uri(manifest["version"], manifest["query"]["sql_sha256"])
    assert S3(s3).read(uri)[0].decode() == SQL
    assert all(SQL not in json.dumps(each) for each in (prepared, manifest))


def test_an_athena_that_does_not_tell_the_sql_is_asked_again_by_a_retry_of_this_task(
    s3: S3Client, bucket: str, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttle(*_: object) -> str:
        raise THROTTLED

    monkeypatch.setattr(preparation, "executed_sql", throttle)
    with raises_retried("ThrottlingException"):
        transformed(query, bucket)


def test_a_rerun_uploads_the_same_bytes_as_a_version_of_its_own_which_changes_nothing(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    """What a cleanup removes is never written again."""
    first, again = (
        transformed(query, bucket, formats=formats)
        for formats in (["csv", "jsonl"], ["jsonl", "csv"])
    )
    versions = [prepared["version"] for prepared in (first, again)]
    sizes = {item["key"]: item["bytes"] for version in versions for item in version["objects"]}
    sizes |= {
        f"{PREFIX}versions/{each['version']}/sql/5ql.sql": len(SQL.encode()) for each in versions
    }
    assert len(sizes) == 6
    assert {item.uri: item.bytes for item in S3(s3).list(f"s3://{bucket}/{PREFIX}")} == {
        f"s3://{bucket}/{key}": size for key, size in sizes.items()
    }
    digests = [
        {item["format"]: item["sha256"] for item in version["objects"]} for version in versions
    ]
    assert digests[0] == digests[1]
    assert {published(each, bucket)["version"] for each in (first, again)} == {
        versions[0]["version"]
    }


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
    bucket: str, query: dict[str, Any], against: Any, period: Period, is_compared: bool
) -> None:
    published(transformed(query, bucket), bucket)
    check = checks.change("rows", within=0.1, against=against, severity="warn")

    def first_row(rows: Any, _: Any) -> Any:
        return rows.limit(1)

    prepared = transformed(query, bucket, period=period, transforms=[first_row], checks=[check])
    (found,) = prepared["checks"]
    assert (found["passed"], found["value"]) == (not is_compared, 1)
    assert ("after 2 in the" in found["message"]) == is_compared


@pytest.mark.parametrize("fails", ["a check", "a transform"])
def test_rows_of_an_older_sql_that_fail_are_told_with_what_to_clear(
    bucket: str, query: dict[str, Any], fails: str
) -> None:
    """The SQL of today may be right, and nothing in the file is wrong."""

    def problem_of(ran: str) -> str:
        recipe: dict[str, Any] = {"checks": [checks.rows(at_least=9)]}
        if fails == "a transform":
            recipe = {"transforms": [lambda rows, _: rows.project("anonymous")]}
        with pytest.raises(AirflowFailException) as caught:
            transformed(query, bucket, ran=ran, query_logic="v2:new", **recipe)
        return str(caught.value)

    assert problem_of("v2:old").startswith(
        "Report 'plays', period 2025-06-08 (weekly), with SQL older than the report's current SQL"
        " (clear run_query to run the current one): "
    )
    for ran in ("v2:new", ""):  # an older release has handed none on
        assert "SQL older" not in problem_of(ran)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (["rank", "user_name"], ["rank", "user_name"]),
        (["USER_NAME", "Rank"], ["user_name", "rank"]),  # as DuckDB finds a column
        (["rank", "game"], []),  # its check only warned
        ([], []),
    ],
)
def test_the_manifest_has_the_key_as_the_columns_are_called(
    s3: S3Client, bucket: str, query: dict[str, Any], key: list[str], expected: list[str]
) -> None:
    published(transformed(query, bucket, key=key), bucket)
    assert read_complete(s3, PeriodLocation.of(bucket, "plays", WEEK))["key"] == expected


@pytest.mark.parametrize(
    ("rows", "is_same"),
    [
        (b'"1","3","a"\n"2",,"b"\n', True),
        (b'"1","7","a"\n"2","1","b"\n', True),  # only the movement since a still earlier period
        (b'"1","3","a"\n"3",,"b"\n', False),
    ],
)
def test_the_next_period_reads_all_but_what_comes_from_the_period_before(
    s3: S3Client, bucket: str, query: dict[str, Any], rows: bytes, is_same: bool
) -> None:
    read = []
    for result in (b'"1","3","a"\n"2",,"b"\n', rows):
        body = b'"rank","previous_rank","user_name"\n' + result
        s3.put_object(Bucket=bucket, Key="q-1.csv", Body=body)
        prepared = transformed(
            query, bucket, transforms=[transforms.movement()], reads_previous=True
        )
        read.append(prepared["version"]["read_by_next"])
    assert (read[0] == read[1]) == is_same


def test_no_digest_is_made_of_rows_that_no_next_period_reads(
    bucket: str, query: dict[str, Any]
) -> None:
    assert transformed(query, bucket)["version"]["read_by_next"] == ""


def test_a_check_that_fails_names_the_rows_and_leaves_the_version_for_inspection(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        transformed(query, bucket, checks=[checks.not_null("previous_rank"), checks.unique("rank")])

    message = str(caught.value)
    assert message.startswith("Report 'plays', period 2025-06-08 (weekly): ")
    assert "not_null(previous_rank)" in message
    assert "unique" not in message
    kept, _sql = keys_in(s3, bucket)
    assert f"s3://{bucket}/{kept.rpartition('csv/')[0]}" in message
    assert kept.startswith(f"{PREFIX}versions/")


@pytest.mark.parametrize(
    ("empty", "error"), [("fail", AirflowFailException), ("skip", AirflowSkipException)]
)
@pytest.mark.parametrize("statement", ["SELECT", "UNLOAD"])
def test_a_result_without_rows_is_refused_before_anything_is_uploaded(
    s3: S3Client,
    bucket: str,
    query: dict[str, Any],
    empty: str,
    error: type[Exception],
    statement: str,
) -> None:
    if statement == "SELECT":
        s3.put_object(Bucket=bucket, Key="q-1.csv", Body=b'"rank","previous_rank","user_name"\n')
    else:
        s3.put_object(Bucket=bucket, Key="q-1-manifest.csv", Body=b"")
        query |= {"statement": "UNLOAD", "data_manifest": f"s3://{bucket}/q-1-manifest.csv"}
    with pytest.raises(error, match=r"query q-1 returned no rows.*missing in Glue: dt=2025-06-14"):
        transformed(query, bucket, inputs=(GAP,), empty=empty)
    assert keys_in(s3, bucket) == []


def test_an_unload_without_rows_has_the_declared_columns_which_no_transform_makes_again(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    """Athena writes no file then, so nothing says which columns a transform would take."""
    s3.put_object(Bucket=bucket, Key="q-1-manifest.csv", Body=b"")
    query |= {"statement": "UNLOAD", "data_manifest": f"s3://{bucket}/q-1-manifest.csv"}
    columns = {
        "rank": Column("bigint", "the place"),
        "movement": Column("string", "since the week before"),
    }
    prepared = transformed(
        query, bucket, empty="publish", columns=columns, transforms=[transforms.movement()]
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
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    columns = {
        "Rank": Column("bigint", "the place", private=True),
        "previous_rank": Column("bigint", "the place before"),
    }
    published(transformed(query, bucket, columns=columns), bucket)
    location = PeriodLocation.of(bucket, "plays", WEEK)
    manifest = read_complete(s3, location)
    recorded = {column["name"]: column["private"] for column in manifest["columns"]}
    assert recorded == {"rank": True, "user_name": False, "previous_rank": False}

    renamed = transformed(query, bucket, transforms=[lambda rows, _: rows.project("rank AS place")])
    published(renamed, bucket)
    manifest = read_complete(s3, location)
    assert [(each["name"], each["private"]) for each in manifest["columns"]] == [("place", False)]
    (earlier,) = manifest["earlier_versions"]
    assert earlier["private_columns"] == ["rank"]


def test_an_unload_without_rows_cannot_be_published_where_no_column_is_known(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    """Neither declared nor, as the report has no table, by an earlier period."""
    s3.put_object(Bucket=bucket, Key="q-1-manifest.csv", Body=b"")
    query |= {"statement": "UNLOAD", "data_manifest": f"s3://{bucket}/q-1-manifest.csv"}
    says = r"q-1 unloaded no rows and so no columns.*Publish one period with rows first, or declare"
    with pytest.raises(AirflowFailException, match=says):
        transformed(query, bucket, empty="publish", database="", formats=["csv"])
    assert keys_in(s3, bucket) == []


@pytest.mark.parametrize("missing", ["query", "submitted", "period"])
def test_without_a_query_or_a_period_the_way_out_is_named(
    missing: str, bucket: str, query: dict[str, Any]
) -> None:
    without_period = {"period": None, "sql_sha256": ""} if missing == "period" else None
    some_query = None if missing == "query" else query

    recipe = Recipe(report="plays", bucket=bucket)
    with pytest.raises(AirflowFailException, match=r"clear run_query.*submitted=XComArg"):
        transform_result(some_query, without_period, recipe=recipe)


def test_a_worker_without_duckdb_fails_at_once_and_says_where_to_look(
    s3: S3Client, bucket: str, query: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Amazon MWAA, where a pip that fails is only logged."""
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as if it were not installed
    with pytest.raises(AirflowFailException) as caught:
        transformed(query, bucket)

    message = str(caught.value)
    assert message.startswith("Report 'plays', period 2025-06-08 (weekly): DuckDB cannot be")
    assert "requirements_install" in message
    assert message.endswith("update the environment, then try again.")
    assert keys_in(s3, bucket) == []


def failing(rows: Any, _: Any) -> Any:
    return rows.project("*, user_name::BIGINT AS number")


def failing_at_once(_: Any, __: Any) -> Any:
    raise ValueError("'a,b'")


@pytest.mark.parametrize("transform", [failing, failing_at_once])
@pytest.mark.parametrize("is_private", [False, True])
def test_an_alert_of_a_failed_transform_quotes_no_private_column(
    bucket: str, query: dict[str, Any], is_private: bool, transform: Any
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        transformed(query, bucket, transforms=[transform])
    assert "'a,b'" in str(caught.value)
    kind = "ConversionException" if transform is failing else "ValueError"
    told = error_text(caught.value, has_private_columns=is_private)
    if is_private:
        assert told == f"{kind}, whose text may quote a private column; see the task log"
    else:
        assert told == str(caught.value)
