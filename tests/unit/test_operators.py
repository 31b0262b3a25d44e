from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import time_machine
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, PokeReturnValue
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSensorTimeout
from botocore.stub import Stubber

from athena_reports import Report, WaitPolicy, build_dag, transforms
from athena_reports.errors import PublishError, ResultError, TransformError
from athena_reports.operators import (
    PERIOD_XCOM,
    AthenaSubmitOperator,
    AthenaWaitSensor,
    S3PublishOperator,
    period_facts,
    stage_result,
)
from athena_reports.period import weekly
from athena_reports.query import QueryExecution
from athena_reports.sql import SqlPeriod, literal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")
WEEK = TOKYO_WEEK.period("2025-06-08")
NOW = datetime(2025, 6, 18, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Run:
    run_type: str = "scheduled"
    run_after: datetime = NOW
    data_interval_start: datetime | None = WEEK.start_utc
    data_interval_end: datetime | None = WEEK.end_utc


@dataclass
class TaskInstance:
    """What the operators need of Airflow's: XComs, and when the first look was."""

    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule_date: datetime | None = None

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.xcoms[key] = value

    def get_first_reschedule_date(self, _: Mapping[str, Any]) -> datetime | None:
        return self.first_reschedule_date


def context(run: Run | None = None, param: str | None = "") -> dict[str, Any]:
    return {
        "dag_run": run or Run(),
        "params": {"period": param},
        "ti": TaskInstance(),
        "run_id": "run-1",
        "ds": "1999-01-01",
    }


@pytest.fixture(autouse=True)
def _frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


BuildDag = Callable[..., DAG]


@pytest.fixture
def build(sql_folder: Path) -> BuildDag:
    """Builds the DAG of a report with the given SQL template."""

    def make(source: str | None = None, *, wait: WaitPolicy | None = None, **fields: Any) -> DAG:
        if source is not None:
            (sql_folder / "plays.sql").write_text(source)
        report = Report(name="plays", sql="plays.sql", since="2025-01-01", **fields)
        return build_dag(report, TOKYO_WEEK, wait=wait)

    return make


def rendered(dag: DAG, **of_run: Any) -> Any:
    task: Any = dag.get_task("run_query")
    task.render_template_fields(context(**of_run))
    return task


# --- inheritance


def test_the_steps_are_what_the_graph_says_they_are(build: BuildDag) -> None:
    dag = build()

    assert issubclass(AthenaSubmitOperator, AthenaOperator)
    assert issubclass(AthenaWaitSensor, AthenaSensor)
    assert issubclass(S3PublishOperator, AwsBaseOperator)
    assert isinstance(dag.get_task("run_query"), AthenaSubmitOperator)
    assert isinstance(dag.get_task("wait_for_query"), AthenaWaitSensor)
    assert isinstance(dag.get_task("transform"), PythonOperator)
    assert isinstance(dag.get_task("publish"), S3PublishOperator)


def test_every_task_shows_its_period_and_nothing_of_the_provider_is_lost() -> None:
    assert set(AthenaSubmitOperator.template_fields) == {*AthenaOperator.template_fields, "period"}
    assert set(AthenaWaitSensor.template_fields) == {*AthenaSensor.template_fields, "period"}
    assert {"staged", "bucket"} <= set(S3PublishOperator.template_fields)
    assert AthenaSubmitOperator.operator_extra_links == AthenaOperator.operator_extra_links
    assert AthenaSubmitOperator.template_fields_renderers["query"] == "sql"


# --- run_query: rendering


def test_the_query_is_rendered_for_the_period_of_the_run(build: BuildDag) -> None:
    task = rendered(build('SELECT {{ period.contains("at") }} FROM {{ period.previous.partitions("dt") }}'))

    assert task.query == (
        f"SELECT {SqlPeriod(WEEK).contains('at')} FROM {SqlPeriod(WEEK.previous).partitions('dt')}"
    )
    assert task.period == period_facts(WEEK)
    assert task.period == {
        "id": "2025-06-08",
        "cadence": "weekly",
        "timezone": "Asia/Tokyo",
        "start": "2025-06-08T00:00:00+09:00",
        "end": "2025-06-15T00:00:00+09:00",
        "start_utc": "2025-06-07T15:00:00+00:00",
        "end_utc": "2025-06-14T15:00:00+00:00",
    }


def test_the_partitions_follow_the_lateness_of_the_report(build: BuildDag) -> None:
    source = 'SELECT {{ period.partitions("dt") }}'

    assert "'2025-06-15'" not in rendered(build(source)).query
    assert "'2025-06-15'" in rendered(build(source, late_by=timedelta(days=1))).query


@pytest.mark.parametrize(
    ("run", "param", "period_id"),
    [
        (Run(), "", "2025-06-08"),
        (Run(), None, "2025-06-08"),
        (Run("backfill"), "", "2025-06-08"),
        (Run("manual", NOW, None, None), "", "2025-06-08"),
        (Run("manual", NOW - timedelta(days=7), None, None), "", "2025-06-01"),
        (Run("manual"), "2025-05-25", "2025-05-25"),
    ],
)
def test_each_kind_of_run_has_its_period(
    build: BuildDag, run: Run, param: str | None, period_id: str
) -> None:
    task = rendered(build("SELECT '{{ period }}'"), run=run, param=param)

    assert task.query == f"SELECT '{period_id}'"
    assert task.period["id"] == period_id


@pytest.mark.parametrize(
    ("run", "param", "says"),
    [
        (Run("backfill"), "2025-06-08", "belongs to a backfill"),
        (Run("manual", NOW, None, None), "2025-06-15", "is not over"),
        (Run("manual", NOW, None, None), "2025-06-22", "has not begun"),
        (Run("manual", NOW, None, None), "2025-06-09", "2025-06-08"),
        (Run("scheduled", NOW, NOW - timedelta(days=1), NOW), "", "is no period of"),
        (Run("backfill", NOW, *(at for at in (WEEK.next.start_utc, WEEK.next.end_utc))), "", "is not over"),
    ],
)
def test_a_run_without_a_reportable_period_fails_for_good_before_anything_is_called(
    build: BuildDag, run: Run, param: str, says: str
) -> None:
    """No retry helps; and at the address of AWS nobody listens, so a call would be another error."""
    with pytest.raises(AirflowFailException) as caught:
        rendered(build(), run=run, param=param)

    assert str(caught.value).startswith("plays_weekly: ")
    assert says in str(caught.value)


HOSTILE = [
    "{{ period.id }}",
    "{% for x in range(9) %}{{ x }}{% endfor %}",
    "'; DROP TABLE plays; --",
    "{# #}{{ ds }}",
    "plays.sql",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_text_of_a_param_is_never_rendered(build: BuildDag, text: str) -> None:
    task = rendered(build("SELECT {{ params.text }}", params={"text": text}))

    assert task.query == f"SELECT {literal(text)}"


def test_a_param_of_the_run_does_not_reach_the_sql(build: BuildDag) -> None:
    dag = build("SELECT {{ params.top }}", params={"top": 10})
    given = context()
    given["params"] |= {"top": "1; DROP TABLE plays"}

    task: Any = dag.get_task("run_query")
    task.render_template_fields(given)
    assert task.query == "SELECT 10"


def test_without_a_cadence_the_context_is_airflows(sql_folder: Path) -> None:
    with DAG("by_hand", schedule=None, template_searchpath=str(sql_folder)):
        task = AthenaSubmitOperator(task_id="query", query="SELECT '{{ ds }}'")

    task.render_template_fields(context())  # type: ignore[arg-type]
    assert task.query == "SELECT '1999-01-01'"
    assert task.period is None


# --- run_query: submitting


def athena_client(hook: AthenaHook) -> Iterator[Stubber]:
    client = boto3.client("athena")
    hook.conn = client
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def submit(build: BuildDag) -> Any:
    return rendered(build("SELECT 1 AS a"))


def test_submitting_is_one_call_and_returns_at_once(submit: Any) -> None:
    given = context()
    for stubber in athena_client(submit.hook):
        stubber.add_response(
            "start_query_execution",
            {"QueryExecutionId": "q-1"},
            {
                "QueryString": "SELECT 1 AS a",
                "QueryExecutionContext": {"Database": "database_dev", "Catalog": "AwsDataCatalog"},
                "ResultConfiguration": {"OutputLocation": "s3://athena-query-result-dev/"},
                "WorkGroup": "dev",
            },
        )
        assert submit.execute(given) == "q-1"
        stubber.assert_no_pending_responses()

    assert given["ti"].xcoms[PERIOD_XCOM] == period_facts(WEEK)
    assert json.loads(json.dumps(given["ti"].xcoms)) == given["ti"].xcoms


def test_a_killed_submission_stops_its_query(submit: Any) -> None:
    submit.query_execution_id = "q-1"
    for stubber in athena_client(submit.hook):
        accepted = {"ResponseMetadata": {"HTTPStatusCode": 200}}
        stubber.add_response("stop_query_execution", accepted, {"QueryExecutionId": "q-1"})
        for _ in range(2):  # the provider waits for the end, and then asks how it was
            stubber.add_response("get_query_execution", response("CANCELLED"), {"QueryExecutionId": "q-1"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.sleep", lambda _: None)
            submit.on_kill()
        stubber.assert_no_pending_responses()


# --- wait_for_query


def wait_sensor(build: BuildDag, policy: WaitPolicy | None = None) -> Any:
    sensor: Any = build(wait=policy).get_task("wait_for_query")
    sensor.query_execution_id = "q-1"
    sensor.period = period_facts(WEEK)
    return sensor


def response(state: str | None, reason: str = "") -> dict[str, Any]:
    status: dict[str, Any] = {"SubmissionDateTime": NOW, "StateChangeReason": reason}
    if state is not None:
        status["State"] = state
    return {
        "QueryExecution": {
            "QueryExecutionId": "q-1",
            "Status": status,
            "Statistics": {"DataScannedInBytes": 5, "QueryQueueTimeInMillis": 1},
        }
    }


def look(sensor: Any, answer: Mapping[str, Any]) -> PokeReturnValue:
    """One poke, in which exactly one call may be made."""
    for stubber in athena_client(sensor.hook):
        stubber.add_response("get_query_execution", answer, {"QueryExecutionId": "q-1"})
        found: PokeReturnValue = sensor.poke({})
        stubber.assert_no_pending_responses()
    return found


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_look_at_a_running_query_is_one_call(build: BuildDag, state: str) -> None:
    found = look(wait_sensor(build), response(state))

    assert not found
    assert found.xcom_value is None


def test_a_look_at_a_query_that_has_succeeded_hands_its_facts_on(build: BuildDag) -> None:
    found = look(wait_sensor(build), response("SUCCEEDED"))

    assert found
    execution = QueryExecution.from_dict(json.loads(json.dumps(found.xcom_value))["query"])
    assert (execution.id, execution.state, execution.scanned_bytes) == ("q-1", "SUCCEEDED", 5)
    assert execution.submitted_at == NOW.isoformat(timespec="milliseconds")


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "PAUSED", None])
def test_a_query_that_failed_or_is_in_no_known_state_fails_the_wait_for_good(
    build: BuildDag, state: str | None
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        look(wait_sensor(build), response(state, "SYNTAX_ERROR: line 7"))

    message = str(caught.value)
    assert message.startswith("plays_weekly, period 2025-06-08: Query q-1 is ")
    assert ("SYNTAX_ERROR: line 7" in message) == (state in {"FAILED", "CANCELLED"})
    assert "https://ap-northeast-1.console.aws.amazon.com/athena/" in message


def test_between_two_looks_no_worker_is_held(build: BuildDag) -> None:
    assert wait_sensor(build).reschedule


def test_looks_follow_the_policy_from_the_first_on(build: BuildDag) -> None:
    """As Airflow drives it: each look is a process of its own that knows only when the first one was."""
    policy = WaitPolicy(3.0, 2.0, 20.0)
    sensor = wait_sensor(build, policy)
    given = context()
    due = NOW
    looks = []
    for _ in range(6):
        with time_machine.travel(due, tick=False), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sensor, "poke", lambda _: PokeReturnValue(False))
            with pytest.raises(AirflowRescheduleException) as caught:
                sensor.execute(given)
        given["ti"].first_reschedule_date = NOW
        due = caught.value.reschedule_date
        looks.append((due - NOW).total_seconds())

    assert looks == pytest.approx(list(islice(accumulate(policy.pauses()), 6)))


def test_the_wait_gives_up_when_the_policy_says_so(build: BuildDag) -> None:
    sensor = wait_sensor(build, WaitPolicy(give_up_after=timedelta(minutes=10)))
    given = context()
    given["ti"].first_reschedule_date = NOW - timedelta(minutes=10, seconds=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensor, "poke", lambda _: PokeReturnValue(False))
        with pytest.raises(AirflowSensorTimeout):
            sensor.execute(given)


# --- transform and publish


COLUMNS = [("rank", "bigint"), ("previous_rank", "bigint"), ("user_name", "varchar")]
CSV = b'"rank","previous_rank","user_name"\n"1","3","a,b"\n"2",,""\n'


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
        "q-1", "SUCCEEDED", "", f"s3://{bucket}/q-1.csv", submitted, 20_000_000, 1, 2, "Athena 3"
    ).to_dict()


def staged_of(result: Mapping[str, Any], bucket: str, transform: Any = None) -> dict[str, Any]:
    return stage_result(
        {"period": period_facts(WEEK), "query": result},
        cadence=TOKYO_WEEK,
        report="plays",
        transform=transform,
        formats=["csv"],
        bucket=bucket,
        aws_conn_id="aws_default",
    )


def published(staged: Mapping[str, Any], bucket: str, late_by: timedelta = timedelta(0)) -> dict[str, Any]:
    with DAG("plays_weekly", schedule=None):
        task = S3PublishOperator(
            task_id="publish",
            staged=staged,
            bucket=bucket,
            report="plays",
            environment="dev",
            late_by=late_by,
        )
    return task.execute(context())  # type: ignore[arg-type]


def test_a_result_is_transformed_staged_and_published(
    s3: S3Client, bucket: str, result: dict[str, Any]
) -> None:
    staged = staged_of(result, bucket, transforms.movement())
    assert json.loads(json.dumps(staged)) == staged

    outcome = published(staged, bucket)
    assert outcome == {
        "manifest": f"s3://{bucket}/plays/weekly/2025-06-08/manifest.json",
        "outcome": "published",
        "version": staged["staged"]["version"],
        "rows": 2,
        "provisional": False,
    }
    manifest = json.loads(
        s3.get_object(Bucket=bucket, Key="plays/weekly/2025-06-08/manifest.json")["Body"].read()
    )
    assert manifest["report"] == "plays"
    assert manifest["environment"] == "dev"
    assert manifest["period"] == period_facts(WEEK)
    assert manifest["run"] == {"dag_id": "plays_weekly", "run_id": "run-1"}
    assert manifest["published_at"] == NOW.isoformat(timespec="milliseconds")
    assert manifest["query"] == {
        "id": "q-1",
        "submitted_at": result["submitted_at"],
        "scanned_bytes": 20_000_000,
        "price_usd": 0.0001,
        "engine_version": "Athena 3",
    }
    assert s3.get_object(Bucket=bucket, Key=manifest["objects"][0]["key"])["Body"].read() == (
        b'"rank","previous_rank","user_name","movement"\n1,3,"a,b","up 2"\n2,,"","new"\n'
    )


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
    outcome = published(staged_of(result, bucket), bucket, late_by)

    assert outcome["provisional"] is provisional


def test_a_transform_that_breaks_is_named_with_report_and_period(
    s3: S3Client, bucket: str, result: dict[str, Any]
) -> None:
    def broken(batches: Any, period: Any) -> Iterator[Any]:
        yield from batches
        raise KeyError("score")

    with pytest.raises(TransformError, match=r"^Report 'plays', period 2025-06-08 \(weekly\): .*KeyError"):
        staged_of(result, bucket, broken)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["q-1.csv"]


def test_a_result_that_is_gone_is_no_fault_of_the_transform(bucket: str, result: dict[str, Any]) -> None:
    result["output_location"] = f"s3://{bucket}/gone.csv"

    with pytest.raises(ResultError, match="Query q-1: its result at s3://"):
        staged_of(result, bucket, transforms.movement())


def test_publishing_to_a_bucket_that_is_not_there(result: dict[str, Any]) -> None:
    nothing = {"version": "v", "rows": 0, "columns": [], "objects": []}
    with pytest.raises(PublishError, match="s3://no-such-bucket/"):
        published({"period": period_facts(WEEK), "query": result, "staged": nothing}, "no-such-bucket")
