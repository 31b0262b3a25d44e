from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from botocore.stub import Stubber

from athena_reports import checks, tally, transforms
from athena_reports.publication.publish_operator import S3PublishOperator
from athena_reports.publication.transform_task import Recipe, stage_result
from athena_reports.queries.execution import QueryExecution, QueryState
from tests.library.queries.tasks import FACTS, TOKYO_WEEK, context
from tests.simulation.clock import START as NOW
from tests.simulation.clock import VirtualClock, virtual_clock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(autouse=True)
def clock() -> Iterator[VirtualClock]:
    with virtual_clock() as clock:
        yield clock


# --- transform and publish


COLUMNS = [("rank", "bigint"), ("previous_rank", "bigint"), ("user_name", "varchar")]
CSV = b'"rank","previous_rank","user_name"\n"1","3","a,b"\n"2",,""\n'
GAP = {"table": "lake.plays", "missing": "partial", "needed": 8, "absent": ["dt=2025-06-14"], "outside": []}


@pytest.fixture
def result(s3: S3Client, s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the sensor handed on, of a query whose result lies in S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    s3.put_object(Bucket=bucket, Key="q-1.csv", Body=CSV)
    client = boto3.client("athena")
    stubber = Stubber(client)
    info = [{"Name": name, "Type": type} for name, type in COLUMNS]
    stubber.add_response(
        "get_query_results", {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": info}, "Rows": []}}
    )
    stubber.activate()
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: client)
    submitted = "2025-06-16T00:00:00.000+00:00"
    return QueryExecution(
        id="q-1",
        state=QueryState.SUCCEEDED,
        output_location=f"s3://{bucket}/q-1.csv",
        submitted_at=submitted,
        scanned_bytes=20_000_000,
        engine_version="Athena 3",
        statement="SELECT",
    ).model_dump(mode="json")


def staged_of(
    result: Mapping[str, Any], bucket: str, submitted: Mapping[str, Any] | None = None, **recipe: Any
) -> dict[str, Any]:
    return stage_result(
        result,
        {"period": FACTS, "sql_sha256": ""} | (submitted or {}),
        recipe=Recipe(
            **{"report": "plays", "cadence": TOKYO_WEEK, "bucket": bucket, "formats": ["csv"]} | recipe
        ),
    )


def published(staged: Mapping[str, Any], bucket: str, **arguments: Any) -> dict[str, Any]:
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            staged=staged,
            bucket=bucket,
            report="plays",
            environment="dev",
            **arguments,
        )
    return task.execute(context() | {"outlet_events": OutletEventAccessors()})  # type: ignore[arg-type]


def keys_in(s3: S3Client, bucket: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_a_result_is_transformed_checked_staged_and_published(
    s3: S3Client, bucket: str, result: dict[str, Any]
) -> None:
    staged = staged_of(
        result,
        bucket,
        {"sql_sha256": "5ql", "inputs": [GAP]},
        transforms=[transforms.movement()],
        checks=[checks.unique("rank"), checks.not_null("previous_rank", severity="warn")],
    )
    assert json.loads(json.dumps(staged)) == staged

    outcome = published(staged, bucket)
    assert outcome == {
        "manifest": f"s3://{bucket}/plays/weekly/2025-06-08/manifest.json",
        "outcome": "published",
        "period": FACTS,
        "version": staged["version"]["version"],
        "rows": 2,
        "provisional": False,
        "partial": True,
        "published_at": NOW.isoformat(timespec="milliseconds"),
        "warnings": ["not_null(previous_rank)"],
    }
    manifest = json.loads(
        s3.get_object(Bucket=bucket, Key="plays/weekly/2025-06-08/manifest.json")["Body"].read()
    )
    assert manifest["report"] == "plays"
    assert manifest["environment"] == "dev"
    assert manifest["period"] == FACTS
    assert manifest["run"] == {"dag_id": "plays_weekly", "run_id": "run-1"}
    assert manifest["missing_partitions"] == ["lake.plays/dt=2025-06-14"]
    assert manifest["published_at"] == NOW.isoformat(timespec="milliseconds")
    assert [(check["name"], check["passed"]) for check in manifest["checks"]] == [
        ("unique(rank)", True),
        ("not_null(previous_rank)", False),
    ]
    assert manifest["query"] == {
        "id": "q-1",
        "submitted_at": result["submitted_at"],
        "statement": "SELECT",
        "reads_previous": False,
        "sql_sha256": "5ql",
        "scanned_bytes": 20_000_000,
        "price_usd": 0.0001,
        "engine_version": "Athena 3",
    }
    assert s3.get_object(Bucket=bucket, Key=manifest["objects"][0]["key"])["Body"].read() == (
        b'"rank","previous_rank","user_name","movement"\n1,3,"a,b","up 2"\n2,,"","new"\n'
    )


def test_an_asset_among_the_outlets_tells_what_was_published(
    s3: S3Client, bucket: str, result: dict[str, Any]
) -> None:
    asset, events = Asset("plays_weekly"), OutletEventAccessors()
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            staged=staged_of(result, bucket),
            bucket=bucket,
            report="plays",
            environment="dev",
            outlets=[asset],
        )
    outcome = task.execute(context() | {"outlet_events": events})  # type: ignore[arg-type]

    assert events[asset].extra == outcome
    assert outcome["rows"] == 2


@pytest.mark.parametrize(
    ("late_by", "provisional"),
    [
        (timedelta(0), False),
        (timedelta(days=1), False),
        # the query was submitted at 2025-06-16 00:00 UTC, the week ended at 2025-06-14 15:00 UTC
        (timedelta(hours=33), False),
        (timedelta(hours=33, milliseconds=1), True),
        (timedelta(days=2), True),
    ],
)
def test_what_is_published_before_all_events_can_have_landed_is_provisional(
    bucket: str, result: dict[str, Any], late_by: timedelta, provisional: bool
) -> None:
    outcome = published(staged_of(result, bucket), bucket, late_by=late_by)

    assert outcome["provisional"] is provisional


def test_a_transform_that_breaks_is_named_with_report_and_period(
    s3: S3Client, bucket: str, result: dict[str, Any]
) -> None:
    def broken(batches: Any, period: Any) -> Iterator[Any]:
        yield from batches
        raise KeyError("score")

    with pytest.raises(
        AirflowFailException, match=r"^Report 'plays', period 2025-06-08 \(weekly\): .*KeyError"
    ):
        staged_of(result, bucket, transforms=[broken])
    assert keys_in(s3, bucket) == ["q-1.csv"]


def test_a_transform_that_yields_nothing_at_all_is_not_tried_again(
    bucket: str, result: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException, match="yielded no batch"):
        staged_of(result, bucket, transforms=[lambda _batches, _period: iter(())])


@pytest.mark.parametrize(
    ("module", "method", "recipe"),
    [
        (transforms, "write", {"transforms": [transforms.share("rank")]}),
        (tally, "write", {"checks": [checks.unique("rank")]}),
        (tally, "flush", {"checks": [checks.unique("rank")]}),  # when all rows have been seen
    ],
)
def test_a_full_disk_is_left_to_the_retries(
    bucket: str,
    result: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    method: str,
    recipe: dict[str, Any],
) -> None:
    def fail(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    disk = type("FullDisk", (io.BytesIO,), {method: fail})
    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda **_: disk())
    monkeypatch.setattr(transforms, "_SPOOL_BYTES", 0)
    monkeypatch.setattr(tally.Tally.__init__, "__defaults__", (0,))

    with pytest.raises(AirflowException, match="no space left on the worker's disk") as caught:
        staged_of(result, bucket, **recipe)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_check_that_fails_names_the_rows_and_leaves_the_version_for_inspection(
    s3: S3Client, bucket: str, result: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        staged_of(result, bucket, checks=[checks.not_null("previous_rank"), checks.unique("rank")])

    message = str(caught.value)
    assert message.startswith("Report 'plays', period 2025-06-08 (weekly): ")
    assert "not_null(previous_rank)" in message
    assert "unique" not in message
    (kept,) = (key for key in keys_in(s3, bucket) if key != "q-1.csv")
    assert f"s3://{bucket}/{kept.rpartition('csv/')[0]}" in message
    assert kept.startswith("plays/weekly/2025-06-08/versions/")


@pytest.mark.parametrize(
    ("empty", "error"),
    [("fail", AirflowFailException), ("skip", AirflowSkipException), ("publish", None)],
)
def test_a_result_without_rows_follows_the_policy(
    s3: S3Client, bucket: str, result: dict[str, Any], empty: str, error: type[Exception] | None
) -> None:
    s3.put_object(Bucket=bucket, Key="q-1.csv", Body=CSV.splitlines(keepends=True)[0])

    if error is None:
        outcome = published(staged_of(result, bucket, empty=empty, formats=["parquet", "csv"]), bucket)
        assert outcome["rows"] == 0
        return
    with pytest.raises(error, match=r"query q-1 gave no rows.*not registered in Glue: dt=2025-06-14"):
        staged_of(result, bucket, {"inputs": [GAP]}, empty=empty)


def test_a_result_that_is_gone_is_no_fault_of_the_transform(bucket: str, result: dict[str, Any]) -> None:
    result["output_location"] = f"s3://{bucket}/gone.csv"

    with pytest.raises(AirflowFailException, match="Query q-1"):
        staged_of(result, bucket, transforms=[transforms.movement()])


def test_publishing_to_a_bucket_that_is_not_there(result: dict[str, Any]) -> None:
    nothing = {"version": "v", "ordered": True, "rows": 0, "columns": [], "objects": []}
    staged = {
        "query": result,
        "submitted": {"period": FACTS, "sql_sha256": ""},
        "version": nothing,
        "checks": [],
    }
    with pytest.raises(AirflowFailException, match="s3://no-such-bucket/"):
        published(staged, "no-such-bucket")
