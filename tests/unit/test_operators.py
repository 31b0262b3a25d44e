from __future__ import annotations

import errno
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors
from botocore.stub import Stubber

from athena_reports import Input, Report, WaitPolicy, build_dag, checks, tally, transforms
from athena_reports.errors import (
    CheckError,
    EmptyResultError,
    InputError,
    MissingPartitionsError,
    PublishError,
    ReportError,
    SchemaError,
)
from athena_reports.periods.calendar import weekly
from athena_reports.publication.glue_table import TableError
from athena_reports.publication.publish_operator import S3PublishOperator
from athena_reports.publication.transform_task import Recipe, SkipPeriodError, stage_result
from athena_reports.queries.airflow_errors import period_facts, worked
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.submission import Marker
from athena_reports.queries.submit_operator import PERIOD_XCOM, SUBMITTED_XCOM, AthenaSubmitOperator
from athena_reports.queries.wait_sensor import CLEAR_STOPS_WITHIN, AthenaWaitSensor
from athena_reports.queries.wait_trigger import AthenaWaitTrigger
from athena_reports.reports.sql_template import SqlPeriod, literal
from athena_reports.storage import StorageError
from tests.simulation.clock import START, VirtualClock, virtual_clock
from tests.simulation.memory_athena import LOST, THROTTLED, MemoryAthena, Plan, api_error, serve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")
WEEK = TOKYO_WEEK.period("2025-06-08")
NOW = START


@dataclass(frozen=True)
class Run:
    run_type: str = "scheduled"
    run_after: datetime = NOW
    data_interval_start: datetime | None = WEEK.start_utc
    data_interval_end: datetime | None = WEEK.end_utc
    clear_number: int = 0
    start_date: datetime | None = None
    logical_date: datetime | None = None


@dataclass
class TaskInstance:
    """What the operators need of Airflow's: XComs, tries, and when the first look was."""

    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule_date: datetime | None = None
    try_number: int = 1
    map_index: int | None = -1
    max_tries: int = 3
    start_date: datetime = NOW

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
def clock() -> Iterator[VirtualClock]:
    with virtual_clock() as clock:
        yield clock


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


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        (["AWS_DEFAULT_REGION"], AirflowFailException),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], AirflowException),  # a role may be there in a moment
    ],
)
def test_what_the_environment_lacks_is_named(
    build: BuildDag, monkeypatch: pytest.MonkeyPatch, missing: list[str], error: type[Exception]
) -> None:
    task = rendered(build())
    for name in missing:
        monkeypatch.delenv(name)

    with pytest.raises(error, match=missing[0]) as caught:
        task.execute(context())

    assert type(caught.value) is error


@pytest.fixture
def athena(monkeypatch: pytest.MonkeyPatch) -> MemoryAthena:
    athena = MemoryAthena()
    serve(athena, monkeypatch)
    return athena


@pytest.fixture
def submit(build: BuildDag) -> Any:
    return rendered(build("SELECT 1 AS a"))


def submitted(build: BuildDag, given: dict[str, Any], sql: str = "SELECT 1 AS a") -> str:
    """Run one try of run_query."""
    task: Any = build(sql).get_task("run_query")
    task.render_template_fields(given)
    id_: str = task.execute(given)
    return id_


def test_submitting_is_one_call_and_returns_at_once(
    submit: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    given = context()

    assert submit.execute(given) == "q-1"
    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]
    assert clock.seconds == 0
    sql, marker = athena.queries["q-1"].request["QueryString"].split("\n")
    assert sql == "SELECT 1 AS a"
    assert marker.startswith("-- ")
    assert athena.queries["q-1"].request | {"QueryString": sql} == {
        "QueryString": "SELECT 1 AS a",
        "QueryExecutionContext": {"Database": "database_dev", "Catalog": "AwsDataCatalog"},
        "ResultConfiguration": {"OutputLocation": "s3://athena-query-result-dev/"},
        "WorkGroup": "dev",
    }
    assert given["ti"].xcoms[PERIOD_XCOM] == period_facts(WEEK)
    assert json.loads(json.dumps(given["ti"].xcoms)) == given["ti"].xcoms


UNLOADED = re.compile(
    r"UNLOAD \(\n(.*)\n\) TO 's3://athena-query-result-dev/unload/[0-9a-f]{32}/0/' WITH ", re.DOTALL
)


@pytest.mark.parametrize(
    ("sql", "fields", "unloads"),
    [
        ("SELECT 1 AS a", {}, False),  # a CSV is published
        ("SELECT 1 AS a", {"outputs": ["parquet"]}, True),
        ("SELECT 1 AS a ORDER BY a", {"outputs": ["parquet"]}, False),
        ("SELECT 1 AS a LIMIT 5;", {"outputs": ["parquet"], "unload": True}, True),
        ("SELECT 1 AS a", {"outputs": ["parquet"], "unload": False}, False),
        ("SELECT 1 AS a", {"unload": True}, True),
    ],
)
def test_athena_writes_files_if_the_report_or_its_sql_says_so(
    build: BuildDag, athena: MemoryAthena, sql: str, fields: dict[str, Any], unloads: bool
) -> None:
    task: Any = build(sql, **fields).get_task("run_query")
    task.render_template_fields(context())
    task.execute(context())

    text = athena.queries["q-1"].request["QueryString"]
    found = UNLOADED.match(text)
    assert (found is not None) is unloads
    if found:
        assert found[1] == sql.rstrip(";")


def test_owner_and_encryption_reach_athena(
    build: BuildDag, athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_BUCKET_OWNER", "012345678901")
    monkeypatch.setenv("ATHENA_REPORTS_ENCRYPTION", "alias/reports")
    submitted(build, context())

    assert athena.queries["q-1"].request["ResultConfiguration"] == {
        "OutputLocation": "s3://athena-query-result-dev/",
        "ExpectedBucketOwner": "012345678901",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": "alias/reports"},
    }


def test_a_workgroup_that_keeps_its_results_is_told_no_location(
    build: BuildDag, athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_QUERY_RESULTS", "managed")
    submitted(build, context())

    assert athena.queries["q-1"].request["ResultConfiguration"] == {}
    with pytest.raises(ReportError, match=r"unload.*ATHENA_REPORTS_QUERY_RESULTS"):
        build(unload=True)


def test_a_missing_partition_fails_the_run_before_anything_is_paid(
    build: BuildDag, athena: MemoryAthena, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "lake"})
    keys: Any = [{"Name": "dt", "Type": "string"}]
    glue.create_table(DatabaseName="lake", TableInput={"Name": "plays", "PartitionKeys": keys})

    def run(missing: str) -> dict[str, Any]:
        given = context()
        task: Any = build(inputs=[Input("plays", database="lake", missing=missing)]).get_task("run_query")
        task.render_template_fields(given)
        task.execute(given)
        handed_on: dict[str, Any] = given["ti"].xcoms[SUBMITTED_XCOM]
        return handed_on

    with pytest.raises(AirflowException, match=r"period 2025-06-08.*lake\.plays.*No query was started"):
        run("fail")
    assert not athena.queries
    (coverage,) = run("partial")["inputs"]
    assert len(coverage["absent"]) == coverage["needed"] == 8
    assert len(athena.queries) == 1


def test_the_marker_names_the_run(submit: Any, athena: MemoryAthena) -> None:
    submit.execute(context(run=Run(clear_number=2)))

    marker = Marker.find(athena.queries["q-1"].request["QueryString"])
    assert marker is not None
    assert (marker.environment, marker.dag_id, marker.run_id, marker.task_id) == (
        "dev",
        "plays_weekly",
        "run-1",
        "run_query",
    )
    assert marker.generation == "2.3.3"


@pytest.mark.parametrize(
    ("run_type", "run_id", "is_refused"),
    [
        ("backfill", "scheduled__2025-06-14T15:05:00+00:00", True),
        ("backfill", "backfill__2025-06-14T15:05:00+00:00", True),
        ("scheduled", "scheduled__2025-06-14T15:05:00+00:00", False),
        ("manual", "backfill__by hand", False),
        ("manual", "fill__2025-06-08__2025-08-01T00:00:00+00:00", True),
    ],
)
def test_the_budget_holds_for_the_runs_of_a_backfill_and_those_that_the_page_triggers(
    submit: Any, athena: MemoryAthena, clock: VirtualClock, run_type: str, run_id: str, is_refused: bool
) -> None:
    """A backfill that reprocesses a scheduled run changes its type and leaves it its id."""
    submit.backfill_budget_bytes = 30_000_000  # each of the queries scans 20 MB
    run = context(run=Run(run_type=run_type))
    submit.execute(run | {"run_id": f"{run_id} before"})
    clock.sleep(3600)

    with pytest.raises(AirflowFailException, match="not started") if is_refused else nullcontext():
        submit.execute(run | {"run_id": run_id})


def test_each_instance_of_a_mapped_task_has_an_intention_of_its_own(
    submit: Any, athena: MemoryAthena
) -> None:
    for index in (0, 1):
        submit.execute(context() | {"ti": TaskInstance(map_index=index)})

    markers = [Marker.find(query.request["QueryString"]) for query in athena.queries.values()]
    assert [marker.task_id for marker in markers if marker] == ["run_query[0]", "run_query[1]"]


def test_the_link_of_the_provider_leads_to_the_query(submit: Any, athena: MemoryAthena) -> None:
    given = context()
    submit.execute(given)

    (link,) = submit.operator_extra_links
    assert given["ti"].xcoms[link.key]["query_execution_id"] == "q-1"
    assert given["ti"].xcoms[link.key]["region_name"] == "ap-northeast-1"


@pytest.mark.parametrize("crash", ["before its id was saved", "as the answer was lost"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_retry_after_a_crash_leads_back_to_the_query(
    build: BuildDag, athena: MemoryAthena, crash: str, forgotten: bool
) -> None:
    """No XCom of the first try is left: Airflow clears them when a retry starts."""

    def lose(action: str) -> None:
        if action == "StartQueryExecution" and "lost" in crash:
            raise LOST

    athena.after = lose
    if "lost" in crash:
        with pytest.raises(AirflowException) as caught:
            submitted(build, context())
        assert not isinstance(caught.value, AirflowFailException)
    else:
        submitted(build, context())
    if forgotten:
        athena.forget_tokens()

    assert submitted(build, context() | {"ti": TaskInstance(try_number=2)}) == "q-1"
    assert len(athena.queries) == 1


def test_a_run_that_is_cleared_is_a_new_intention(build: BuildDag, athena: MemoryAthena) -> None:
    submitted(build, context())

    assert submitted(build, context() | {"ti": TaskInstance(try_number=2, max_tries=4)}) == "q-2"
    cleared = context(run=Run(clear_number=1)) | {"ti": TaskInstance(try_number=3, max_tries=4)}
    assert submitted(build, cleared) == "q-3"


def test_a_retry_with_edited_sql_stops_its_predecessor(build: BuildDag, athena: MemoryAthena) -> None:
    submitted(build, context())

    retry = context() | {"ti": TaskInstance(try_number=2)}
    assert submitted(build, retry, "SELECT 2 AS a") == "q-2"
    assert athena.states == ["CANCELLED", "QUEUED"]


@pytest.mark.parametrize(
    ("error", "retried", "says"),
    [
        (THROTTLED, True, "throttled"),
        (api_error("TooManyRequestsException", "CONCURRENT_QUERY_LIMIT_EXCEEDED"), True, "throttled"),
        (api_error("InternalServerException", status=500), True, "did not answer"),
        (LOST, True, "did not answer"),
        (api_error("InvalidRequestException", "line 1:10: mismatched input"), False, "line 1:10"),
        (api_error("AccessDeniedException", "no identity-based policy"), False, "Grant what is missing"),
    ],
    ids=["throttled", "too many", "internal", "lost", "syntax", "denied"],
)
def test_a_start_that_fails_is_retried_by_airflow_only_where_it_helps(
    submit: Any, athena: MemoryAthena, error: Exception, retried: bool, says: str
) -> None:
    def refuse(action: str) -> None:
        raise error

    athena.before = refuse
    with pytest.raises(AirflowException) as caught:
        submit.execute(context())

    assert isinstance(caught.value, AirflowFailException) is not retried
    assert str(caught.value).startswith("plays_weekly, period 2025-06-08, environment dev: ")
    assert says in str(caught.value)
    assert len(athena.calls) == 1


def test_a_killed_submission_stops_its_query_and_waits_for_nothing(
    submit: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    submit.execute(context())
    submit.on_kill()

    assert athena.states == ["CANCELLED"]
    assert athena.count("GetQueryExecution") == 0
    assert clock.seconds == 0


def test_a_kill_before_anything_was_started_stops_nothing(submit: Any, athena: MemoryAthena) -> None:
    submit.on_kill()

    assert athena.calls == []


def test_a_query_that_is_being_submitted_when_the_kill_comes_is_stopped(
    submit: Any, athena: MemoryAthena
) -> None:
    """Airflow's handler of SIGTERM calls on_kill and returns: the code goes on where it was."""

    def kill(action: str) -> None:
        if action == "StartQueryExecution":
            submit.on_kill()

    athena.after = kill
    given = context()
    with pytest.raises(AirflowException, match="killed while query q-1 was submitted"):
        submit.execute(given)

    assert athena.states == ["CANCELLED"]
    assert given["ti"].xcoms == {}


# --- wait_for_query


@pytest.fixture
def wait(build: BuildDag, athena: MemoryAthena) -> Any:
    """The sensor of a query that was just submitted."""
    return wait_sensor(build, submitted(build, context()))


def wait_sensor(build: BuildDag, id_: str, policy: WaitPolicy | None = None) -> Any:
    sensor: Any = build(wait=policy).get_task("wait_for_query")
    sensor.query_execution_id = id_
    sensor.period = period_facts(WEEK)
    return sensor


def fate(athena: MemoryAthena, plan: Plan, id_: str = "q-1") -> None:
    """Let a query that was submitted go so."""
    athena.queries[id_].plan = plan


def looks(athena: MemoryAthena) -> int:
    return athena.count("GetQueryExecution")


@pytest.mark.parametrize("seconds", [0, 1], ids=["queued", "running"])
def test_a_look_at_a_running_query_is_one_call(
    wait: Any, athena: MemoryAthena, clock: VirtualClock, seconds: float
) -> None:
    clock.sleep(seconds)
    found = wait.poke({})

    assert not found
    assert found.xcom_value is None
    assert looks(athena) == 1


def test_a_query_that_has_succeeded_is_known_at_the_first_look_and_handed_on(
    wait: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    clock.sleep(2)
    found = wait.execute(context())

    assert looks(athena) == 1
    assert json.loads(json.dumps(found)) == found
    assert found["period"] == period_facts(WEEK)
    execution = QueryExecution.from_dict(found["query"])
    assert (execution.id, execution.state, execution.scanned_bytes) == ("q-1", "SUCCEEDED", 20_000_000)
    assert execution.submitted_at == NOW.isoformat(timespec="milliseconds")


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (
            Plan.failing(1006, category=2),
            "is FAILED: Failed with type 1006 [the SQL is not valid; category user",
        ),
        (Plan.failing(None), "[no known reason; category system, type none"),
        (Plan(end="CANCELLED", reason="Bytes scanned limit was exceeded"), "scan limit was exceeded"),
        (Plan(end="CANCELLED", reason="by ops"), "is CANCELLED: by ops [somebody cancelled the query"),
        (Plan(end="PAUSED"), "is in the state 'PAUSED', which is neither"),
    ],
)
def test_a_query_that_failed_or_is_in_no_known_state_fails_the_wait_for_good(
    wait: Any, athena: MemoryAthena, clock: VirtualClock, plan: Plan, says: str
) -> None:
    fate(athena, plan)
    clock.sleep(60)
    with pytest.raises(AirflowFailException) as caught:
        wait.execute(context())

    message = str(caught.value)
    assert message.startswith("plays_weekly, period 2025-06-08, environment dev: Query q-1 is ")
    assert says in message
    assert "20,000,000 bytes scanned (about " in message
    assert "https://ap-northeast-1.console.aws.amazon.com/athena/" in message
    assert len(athena.queries) == 1


def test_a_query_without_a_state_is_no_success(wait: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: Mute())
    with pytest.raises(AirflowFailException, match="in the state 'missing'"):
        wait.execute(context())


class Mute:
    """An Athena that tells nothing."""

    def get_query_execution(self, **_: str) -> dict[str, Any]:
        return {"QueryExecution": {"QueryExecutionId": "q-1", "Status": {}}}


def test_a_query_that_athena_failed_in_passing_is_submitted_again_and_its_id_handed_on(
    wait: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.failing(1403))
    clock.sleep(60)
    with pytest.raises(TaskDeferred) as caught:
        wait.execute(context())

    assert len(athena.queries) == 2
    assert deferred(caught.value).query_execution_id == "q-2"
    clock.sleep(60)
    found = wait.execute(context())
    assert found["query"]["id"] == "q-2"


def test_it_is_submitted_again_a_bounded_number_of_times(
    wait: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.failing(1403))
    athena.plan = lambda _: replace(Plan.failing(1403), states=())
    clock.sleep(60)
    with pytest.raises(AirflowFailException, match="4 executions of the query"):
        wait.execute(context())

    assert athena.states == ["FAILED"] * 4


def test_a_failed_query_of_somebody_else_is_not_submitted_again(
    wait: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    athena.queries["q-1"].request = {**athena.queries["q-1"].request, "QueryString": "SELECT 1"}
    fate(athena, Plan.failing(1403))
    clock.sleep(60)
    with pytest.raises(AirflowFailException, match="not ours to submit again"):
        wait.execute(context())

    assert len(athena.queries) == 1


def test_a_wait_that_is_cleared_alone_submits_what_the_clear_had_stopped(
    wait: Any, athena: MemoryAthena
) -> None:
    athena.cancel("q-1")
    with pytest.raises(TaskDeferred) as caught:
        wait.execute(context() | {"ti": TaskInstance(try_number=2, max_tries=4)})

    assert deferred(caught.value).query_execution_id == "q-2"
    assert athena.states == ["CANCELLED", "QUEUED"]


@pytest.mark.parametrize(
    ("after", "submitted_again"),
    [
        (CLEAR_STOPS_WITHIN - timedelta(milliseconds=1), True),
        (CLEAR_STOPS_WITHIN, False),
    ],
)
def test_a_cancellation_soon_after_a_cleared_wait_began_is_the_clears_own(
    wait: Any, athena: MemoryAthena, after: timedelta, submitted_again: bool
) -> None:
    """The old trigger stops the query a moment after the clear; whoever stops it later means it."""
    athena.cancel("q-1")
    stopped = QueryExecution.from_response(athena.get_query_execution("q-1"))
    event = {"query": replace(stopped, completed_at=(NOW + after).isoformat()).to_dict()}
    ti = TaskInstance(try_number=2, max_tries=4, start_date=NOW)

    with pytest.raises((TaskDeferred, AirflowFailException)) as caught:
        wait.resume_execution("execute_complete", {"event": event}, context() | {"ti": ti})
    assert isinstance(caught.value, TaskDeferred) is submitted_again
    assert len(athena.queries) == 1 + submitted_again


def test_a_look_that_is_not_answered_is_no_failure_and_one_that_is_refused_is(
    wait: Any, athena: MemoryAthena, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> None:
        raise errors.pop()

    athena.before = fail
    errors = [api_error("AccessDeniedException", "not allowed"), THROTTLED, LOST]
    for _ in range(2):
        assert not wait.poke({})
        assert "Athena did not answer" in capsys.readouterr().out
    with pytest.raises(AirflowFailException, match="permission denied"):
        wait.poke({})


# --- wait_for_query: deferred


def deferred(found: TaskDeferred) -> AthenaWaitTrigger:
    assert isinstance(found.trigger, AthenaWaitTrigger)
    return found.trigger


def test_a_running_query_is_handed_over_to_the_triggerer_with_the_time_that_is_left(
    build: BuildDag, athena: MemoryAthena, clock: VirtualClock
) -> None:
    policy = WaitPolicy(give_up_after=timedelta(minutes=10))
    sensor = wait_sensor(build, submitted(build, context()), policy)
    fate(athena, Plan.endless())
    clock.sleep(90)
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(context())

    assert looks(athena) == 1
    assert caught.value.timeout == timedelta(seconds=510)
    assert (deferred(caught.value).query_execution_id, deferred(caught.value).policy) == ("q-1", policy)
    assert caught.value.method_name == "execute_complete"


def test_what_the_trigger_saw_is_believed_without_another_call(
    wait: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    clock.sleep(60)
    seen = QueryExecution.from_response(athena.get_query_execution("q-1")).to_dict()
    athena.calls.clear()

    found = wait.resume_execution("execute_complete", {"event": {"query": seen}}, context())
    assert found == {"period": period_facts(WEEK), "query": seen}
    assert athena.calls == []


def test_a_trigger_that_could_not_ask_leaves_it_to_the_retries(wait: Any, athena: MemoryAthena) -> None:
    event = {"error": "Athena could not be asked about q-1"}
    with pytest.raises(AirflowException, match="could not be asked about q-1") as caught:
        wait.resume_execution("execute_complete", {"event": event}, context())

    assert not isinstance(caught.value, AirflowFailException)
    assert athena.states == ["QUEUED"]


def test_a_wait_that_took_too_long_stops_the_query_and_fails_for_good(
    wait: Any, athena: MemoryAthena
) -> None:
    """As Airflow resumes a task whose trigger timed out."""
    with pytest.raises(AirflowFailException, match="had not ended after 1:00:00, so it was stopped"):
        wait.resume_execution("__fail__", {"error": "Trigger timeout"}, context())

    assert athena.states == ["CANCELLED"]


def test_a_query_that_succeeded_unseen_is_not_thrown_away_when_the_wait_times_out(
    wait: Any, athena: MemoryAthena, build: BuildDag, clock: VirtualClock
) -> None:
    """It ended while no triggerer looked, or within the last pause; the second one was submitted again."""
    clock.sleep(3600)
    timed_out = ("__fail__", {"error": "Trigger timeout"}, context())
    assert wait.resume_execution(*timed_out)["query"]["id"] == "q-1"

    fate(athena, Plan.failing(0))
    athena.plan = lambda _: Plan()
    with pytest.raises(TaskDeferred):
        wait_sensor(build, "q-1").execute(context())
    clock.sleep(3600)
    assert wait_sensor(build, "q-1").resume_execution(*timed_out)["query"]["id"] == "q-2"
    assert athena.states == ["FAILED", "SUCCEEDED"]


def test_a_wait_that_begins_after_its_time_stops_the_query_too(
    wait: Any, athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.endless())
    clock.sleep(3600)
    with pytest.raises(AirflowFailException, match="so it was stopped"):
        wait.execute(context() | {"ti": TaskInstance(try_number=2)})

    assert athena.states == ["CANCELLED"]


def test_a_first_look_that_is_not_answered_hands_over_all_the_same(wait: Any, athena: MemoryAthena) -> None:
    def throttle(_: str) -> None:
        raise THROTTLED

    athena.before = throttle
    with pytest.raises(TaskDeferred) as caught:
        wait.execute(context())

    assert caught.value.timeout == timedelta(hours=1)


def test_a_killed_wait_stops_the_query_and_what_it_was_submitted_again_as(
    wait: Any, athena: MemoryAthena, build: BuildDag, clock: VirtualClock
) -> None:
    fate(athena, Plan.failing(0))
    athena.plan = lambda _: Plan.endless()
    clock.sleep(60)
    with pytest.raises(TaskDeferred):
        wait.execute(context())
    wait_sensor(build, "q-1").on_kill()  # a new process knows the first id alone

    assert athena.states == ["FAILED", "CANCELLED"]


# --- wait_for_query: rescheduled


def rescheduled(build: BuildDag, policy: WaitPolicy | None = None) -> Any:
    sensor = wait_sensor(build, "q-1", policy)
    sensor.deferrable = False
    return sensor


@pytest.mark.usefixtures("athena")
def test_between_two_looks_no_worker_is_held(build: BuildDag) -> None:
    assert rescheduled(build).reschedule


def test_without_a_triggerer_looks_follow_the_policy_from_the_first_on(
    build: BuildDag, athena: MemoryAthena, clock: VirtualClock
) -> None:
    """As Airflow drives it: each look is a process of its own that knows only when the first one was."""
    policy = WaitPolicy(3.0, 2.0, 20.0)
    submitted(build, context())
    fate(athena, Plan.endless())
    athena.calls.clear()
    sensor = rescheduled(build, policy)
    given = context()
    for _ in range(6):
        with pytest.raises(AirflowRescheduleException) as caught:
            sensor.execute(given)
        given["ti"].first_reschedule_date = NOW
        clock.sleep((caught.value.reschedule_date - clock.now).total_seconds())

    found = [(at - NOW).total_seconds() for _, at in athena.calls]
    assert found == pytest.approx([0, 3, 9, 21, 41, 61])


def test_without_a_triggerer_the_wait_gives_up_when_the_policy_says_so_and_stops_the_query(
    build: BuildDag, athena: MemoryAthena, clock: VirtualClock
) -> None:
    submitted(build, context())
    fate(athena, Plan.endless())
    sensor = rescheduled(build, WaitPolicy(give_up_after=timedelta(minutes=10)))
    given = context()
    given["ti"].first_reschedule_date = NOW
    clock.sleep(601)
    with pytest.raises(
        AirflowFailException, match=r"had not ended after 0:10:00, so it was stopped\. Make it"
    ):
        sensor.execute(given)

    assert athena.states == ["CANCELLED"]


def test_without_a_triggerer_a_wait_that_was_cleared_follows_what_it_submitted_again(
    build: BuildDag, athena: MemoryAthena, clock: VirtualClock
) -> None:
    """Each look is a process of its own that knows only the id of the query that was stopped."""
    submitted(build, context())
    athena.cancel("q-1")
    given = context() | {"ti": TaskInstance(try_number=2, max_tries=4)}
    with pytest.raises(AirflowRescheduleException):
        rescheduled(build).execute(given)
    clock.sleep(60)
    found = rescheduled(build).execute(given | {"task_reschedule_count": 1})

    assert found["query"]["id"] == "q-2"
    assert athena.states == ["CANCELLED", "SUCCEEDED"]


@pytest.mark.parametrize("reschedules", [0, 1])
def test_a_query_that_is_cancelled_during_a_wait_is_not_submitted_again(
    build: BuildDag, athena: MemoryAthena, reschedules: int
) -> None:
    """Only where the wait itself was cleared, and begins."""
    submitted(build, context())
    athena.cancel("q-1")
    sensor = rescheduled(build)
    given = context() | {
        "task_reschedule_count": reschedules,
        "ti": TaskInstance(max_tries=4 if reschedules else 3),
    }
    with pytest.raises(AirflowFailException, match="somebody cancelled"):
        sensor.execute(given)

    assert athena.states == ["CANCELLED"]


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
        "q-1",
        "SUCCEEDED",
        "",
        f"s3://{bucket}/q-1.csv",
        submitted,
        20_000_000,
        1,
        2,
        "Athena 3",
        statement="SELECT",
    ).to_dict()


def staged_of(
    result: Mapping[str, Any], bucket: str, submitted: Mapping[str, Any] | None = None, **recipe: Any
) -> dict[str, Any]:
    return stage_result(
        {"period": period_facts(WEEK), "query": result},
        submitted,
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
        "period": period_facts(WEEK),
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
    assert manifest["period"] == period_facts(WEEK)
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


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StorageError("S3 is slow", retryable=True), AirflowException),
        (StorageError("not yours"), AirflowFailException),
        (MissingPartitionsError("dt=1"), AirflowException),
        (InputError("no table"), AirflowFailException),
        (PublishError("lost"), AirflowException),
        (PublishError("not ours", retryable=False), AirflowFailException),
        (SchemaError("int, varchar"), AirflowFailException),
        (TableError("Glue is busy", retryable=True), AirflowException),
        (TableError("not allowed"), AirflowFailException),
        (CheckError("unique"), AirflowFailException),
        (SkipPeriodError("no rows"), AirflowSkipException),
        (EmptyResultError("no rows"), AirflowFailException),
    ],
)
def test_only_what_may_pass_is_left_to_the_retries(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(AirflowException) as caught, worked("about: "):
        raise error

    assert type(caught.value) is raised
    assert str(error) in str(caught.value)


def test_publishing_to_a_bucket_that_is_not_there(result: dict[str, Any]) -> None:
    nothing = {"version": "v", "ordered": True, "rows": 0, "columns": [], "objects": []}
    staged = {
        "period": period_facts(WEEK),
        "query": result,
        "submitted": {},
        "version": nothing,
        "checks": [],
    }
    with pytest.raises(AirflowFailException, match="s3://no-such-bucket/"):
        published(staged, "no-such-bucket")
