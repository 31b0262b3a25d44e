"""The last two tasks of a run: transform and publish, as a worker runs them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from botocore.stub import Stubber

from athena_reports.aws.s3 import S3
from athena_reports.periods.calendar import weekly
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import PublishedPeriod
from athena_reports.queries.execution import QueryExecution, QueryState
from athena_reports.queries.input_partitions import InputCoverage
from athena_reports.queries.submission import Submitted
from athena_reports.reports.column import Column
from athena_reports.rows import checks, transforms
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.transform import Recipe, transform_result
from tests.library.publication.publishing import read_complete

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")
WEEK = TOKYO_WEEK.period("2025-06-08")
COLUMNS = [("rank", "bigint"), ("previous_rank", "bigint"), ("user_name", "varchar")]
CSV = b'"rank","previous_rank","user_name"\n"1","3","a,b"\n"2",,""\n'
GAP = InputCoverage(table="lake.plays", missing="partial", needed=8, absent=("dt=2025-06-14",))
SQL = "SELECT rank, 'ä' FROM plays"
PREFIX = "plays/weekly/2025-06-08/"


@pytest.fixture
def query(
    s3: S3Client, s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What the sensor handed on, of a query whose result is in S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    s3.put_object(Bucket=bucket, Key="q-1.csv", Body=CSV)
    info = [{"Name": name, "Type": type} for name, type in COLUMNS]
    client = boto3.client("athena")
    stubber = Stubber(client)
    for _ in range(2):
        answer = {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": info}, "Rows": []}}
        stubber.add_response("get_query_results", answer)
    stubber.activate()
    monkeypatch.setattr(
        client, "get_query_execution", lambda **_: {"QueryExecution": {"Query": SQL}}
    )
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: client)
    execution = QueryExecution(
        id="q-1",
        state=QueryState.SUCCEEDED,
        output_location=f"s3://{bucket}/q-1.csv",
        submitted_at="2025-06-16T00:00:00.000+00:00",
        scanned_bytes=20_000_000,
        engine_version="Athena 3",
        statement="SELECT",
        region="us-east-1",
    )
    return execution.model_dump(mode="json")


def submitted(inputs: tuple[InputCoverage, ...] = ()) -> dict[str, Any]:
    """What run_query handed on."""
    return Submitted(period=WEEK, sql_sha256="5ql", inputs=inputs).model_dump(mode="json")


def transformed(
    query: dict[str, Any] | None,
    bucket: str,
    *,
    inputs: tuple[InputCoverage, ...] = (),
    **recipe: Any,
) -> dict[str, Any]:
    usual: dict[str, Any] = {"report": "plays", "bucket": bucket, "formats": ["csv"]}
    return transform_result(query, submitted(inputs), recipe=Recipe(**usual | recipe))


def published(
    prepared: dict[str, Any],
    bucket: str,
    *,
    inputs: tuple[InputCoverage, ...] = (),
    **arguments: Any,
) -> dict[str, Any]:
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            prepared=prepared,
            submitted=submitted(inputs),
            bucket=bucket,
            report="plays",
            environment="dev",
            **arguments,
        )
    context: Any = {"run_id": "run-1", "outlet_events": OutletEventAccessors()}
    returned = task.execute(context)
    # Airflow makes an event for each outlet that the task has now.
    events = {outlet.name: context["outlet_events"][outlet] for outlet in task.outlets}
    assert [event.extra for event in events.values()] == [returned] * len(events)
    return returned | {"keys": {name: event.partition_keys for name, event in events.items()}}


ASSETS: dict[str, Any] = {
    "outlets": [Asset("plays_weekly")],
    "keyed_outlets": [Asset("plays_weekly_periods")],
}
ONE_EVENT_EACH = {"plays_weekly": set(), "plays_weekly_periods": {"2025-06-08"}}


def keys_in(s3: S3Client, bucket: str) -> list[str]:
    found = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return [key for key in found if not key.startswith("q-1")]


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
    assert manifest["run"] == {"dag_id": "plays_weekly", "run_id": "run-1"}
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


def test_there_is_an_event_only_if_something_new_was_published(
    bucket: str, query: dict[str, Any]
) -> None:
    prepared = transformed(query, bucket)
    earlier, later = (
        {
            **prepared,
            "query": (
                query | {"id": f"q-{day}", "submitted_at": f"2025-06-{day}T00:00:00.000+00:00"}
            ),
        }
        for day in (15, 17)
    )
    outcomes = [published(each, bucket, **ASSETS) for each in (prepared, prepared, earlier, later)]

    # The second is a retry after a crash, of which nobody has heard.
    assert [(each["outcome"], each["keys"]) for each in outcomes] == [
        ("published", ONE_EVENT_EACH),
        ("published", ONE_EVENT_EACH),
        ("superseded", {}),
        ("unchanged", {}),
    ]


@pytest.mark.parametrize(
    ("late_by", "provisional"),
    [
        # the query was submitted at 2025-06-16 00:00 UTC, the week ended at 2025-06-14 15:00 UTC
        (timedelta(hours=33), False),
        (timedelta(hours=33, milliseconds=1), True),
    ],
)
def test_what_is_published_before_all_events_can_have_arrived_is_provisional(
    bucket: str, query: dict[str, Any], late_by: timedelta, provisional: bool
) -> None:
    assert (
        published(transformed(query, bucket), bucket, late_by=late_by)["provisional"] is provisional
    )


def test_the_sql_that_ran_is_kept_with_its_version(
    s3: S3Client, bucket: str, query: dict[str, Any]
) -> None:
    """Beside the rows,
    so that what goes through XCom, the manifest and what follows it stay small.
    """
    prepared = transformed(query, bucket)
    published(prepared, bucket)
    location = PeriodLocation.of(bucket, "plays", WEEK)
    manifest = read_complete(s3, location)
    uri = location.sql_uri(manifest["version"], manifest["query"]["sql_sha256"])
    assert S3(s3).read(uri)[0].decode() == SQL
    assert all(SQL not in json.dumps(each) for each in (prepared, manifest))


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
def test_a_result_without_rows_is_refused_before_anything_is_uploaded(
    s3: S3Client, bucket: str, query: dict[str, Any], empty: str, error: type[Exception]
) -> None:
    s3.put_object(Bucket=bucket, Key="q-1-manifest.csv", Body=b"")
    query |= {"statement": "UNLOAD", "data_manifest": f"s3://{bucket}/q-1-manifest.csv"}
    with pytest.raises(
        error, match=r"query q-1 returned no rows.*not registered in Glue: dt=2025-06-14"
    ):
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


@pytest.mark.parametrize("missing", ["query", "submitted", "period"])
def test_without_a_query_or_a_period_the_way_out_is_named(
    missing: str, bucket: str, query: dict[str, Any]
) -> None:
    without_period = {"period": None, "sql_sha256": ""} if missing == "period" else None
    some_query = None if missing == "query" else query

    recipe = Recipe(report="plays", bucket=bucket)
    with pytest.raises(AirflowFailException, match=r"clear run_query.*submitted=XComArg"):
        transform_result(some_query, without_period, recipe=recipe)


@pytest.mark.parametrize("without", [None, {"period": None, "sql_sha256": ""}])
def test_publish_without_a_period_names_the_way_out(
    without: Any, bucket: str, query: dict[str, Any]
) -> None:
    prepared = transformed(query, bucket)
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            prepared=prepared,
            submitted=without,
            bucket=bucket,
            report="plays",
            environment="dev",
        )
    with pytest.raises(
        AirflowFailException, match=r"^Report 'plays': .*Clear run_query.*submitted=XComArg"
    ):
        task.execute({"run_id": "run-1"})  # type: ignore[typeddict-item]
