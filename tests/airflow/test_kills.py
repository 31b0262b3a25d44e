"""Kills and stops under a real scheduler: one query for each clear of a run."""

from __future__ import annotations

import datetime as dt
import re
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from athena_reports_cli.local.client import AirflowApiError
from athena_reports_cli.local.services import Services
from local_athena.faults import Drop, End, Faults, Hold, QueryFault, Slow, SlowDown
from tests.airflow.report_run import Query, ReportRun, logs_stop_of, until
from tests.support.inbox import Inbox

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

PERIOD = "2025-06-08"
DAGS = (
    "steady_weekly",
    "expiring_weekly",
    "impatient_weekly",
    "doomed_weekly",
    "told_weekly",
    "mapped",
    "edited",
)
DAG_FILE = """
from datetime import timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import DAG, XComArg

from athena_reports import AthenaSubmitOperator, AthenaWaitSensor
from athena_reports import Report, RetryPolicy, build_dag, transforms, weekly


def build(name, **options):
    report = Report(
        name=name,
        sql="top_users.sql",
        owner="tests",
        since="2025-01-01",
        params={"top": 100},
        transform=transforms.movement(),
        doc="Runs whose query is held, and whose tasks are killed.",
    )
    sundays = weekly(first_day="sunday", timezone="Asia/Tokyo")
    retry = RetryPolicy(retries=2, first_pause=timedelta(seconds=1))
    return build_dag(report, sundays, retry=retry, **options)


nobody, somebody = (
    SnsNotifier(
        target_arn=f"arn:aws:sns:us-east-1:123456789012:{topic}",
        subject="{{ alert.subject }}",
        message="{{ alert.message }}",
    )
    for topic in ("there-is-none", "alerts")
)
steady = build("steady")
expiring = build("expiring", run_timeout=timedelta(seconds=30), on_failure=[somebody])
told = build("told", on_failure=[nobody, somebody], on_late=[nobody, somebody])
doomed = build("doomed")
impatient = build("impatient", wait=timedelta(seconds=5))

defaults = {"environment": "dev", "retries": 2, "retry_delay": timedelta(seconds=1)}
with DAG("mapped", schedule=None, is_paused_upon_creation=False, default_args=defaults):
    queries = ["SELECT 0", "SELECT 1"]
    submit = AthenaSubmitOperator.partial(task_id="run_query", workgroup="dev")
    run_query = submit.expand(query=queries)
    AthenaWaitSensor.partial(task_id="wait_for_query").expand(query_execution_id=run_query.output)


def fail_the_first_try(context, result):
    if context["ti"].try_number == 1:
        raise RuntimeError("It is to be tried again.")


with DAG("edited", schedule=None, is_paused_upon_creation=False, default_args=defaults):
    run_query = AthenaSubmitOperator(
        task_id="run_query",
        query="SELECT {{ ti.try_number }}",
        workgroup="dev",
        post_execute=fail_the_first_try,
    )
    AthenaWaitSensor(
        task_id="wait_for_query",
        query_execution_id=run_query.output,
        submitted=XComArg(run_query, key="submitted"),
    )
"""


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> LiveAirflow:
    dags_folder = tmp_path_factory.mktemp("dags")
    (dags_folder / "kills.py").write_text(DAG_FILE)
    return start_airflow(
        dags_folder,
        dag_ids=DAGS,
        services=services,
    )


class Row:
    """A run named after its test, and the faults that its queries alone suffer."""

    def __init__(self, airflow: LiveAirflow, services: Services, name: str) -> None:
        self.airflow = airflow
        self.faults = Faults(services.endpoint_url)
        self.services = services
        self._name = name

    def strike(self, kind: type[QueryFault], **fields: Any) -> str:
        return self.faults.add(kind(sql=self._name, **fields))

    def begin(self, dag_id: str = "steady_weekly") -> ReportRun:
        return ReportRun.begin(self.airflow, self.services, dag_id, self._name, PERIOD)

    def begin_and_hold(self, dag_id: str = "steady_weekly") -> tuple[ReportRun, Query]:
        """Begin a run and bring it where a triggerer watches its query, which does not end."""
        self.strike(Hold)
        run = self.begin(dag_id)
        query = run.wait_for_query()
        run.wait_until_watched()
        return run, query

    def begin_and_stop_at(self, task_id: str) -> tuple[ReportRun, str]:
        """Begin a run and bring it to a call of S3, of a task after the query, that is not served.

        The fault is returned beside the run.
        """
        hold = self.strike(Hold)
        run = self.begin()
        query = run.wait_for_query()
        manifest = {"Bucket": "athena-report-dev", "Key": f"steady/weekly/{PERIOD}/manifest.json"}
        self.services.s3.delete_object(**manifest)  # else there may be nothing to write
        bucket, key_prefix, method = {
            "transform": ("athena-query-result-dev", query.id, "GET"),
            "publish": (manifest["Bucket"], manifest["Key"], "PUT"),
        }[task_id]
        slow_down = SlowDown(bucket=bucket, key_prefix=key_prefix, method=method, times=None)
        fault_id = self.faults.add(slow_down)
        self.faults.clear(hold)
        self.wait_until_struck(fault_id)
        return run, fault_id

    def wait_until_struck(self, fault_id: str) -> None:
        def has_struck() -> bool:
            return any(fault["id"] == fault_id and fault["struck"] for fault in self.faults.list())

        until(has_struck, f"fault {fault_id} of {self._name} strikes")


@pytest.fixture
def row(airflow: LiveAirflow, services: Services, request: pytest.FixtureRequest) -> Iterator[Row]:
    row = Row(airflow, services, re.sub(r"\W+", "-", request.node.name).strip("-"))
    yield row
    row.faults.clear()


def test_a_killed_submit_leads_back_to_its_query(row: Row) -> None:
    drop = row.strike(Drop, times=None)
    run = row.begin()
    query = run.wait_for_query()

    run.process("run_query").kill()
    row.faults.clear(drop)

    run.wait_until_success()
    assert [each.id for each in run.queries] == [query.id]
    assert run.states == ["SUCCEEDED"]
    assert run.task("run_query").try_number == 2
    assert run.xcom("run_query") == query.id
    assert "Process terminated by signal" in run.log("run_query")


def test_a_submit_taken_for_dead_that_comes_back_costs_no_query(row: Row) -> None:
    row.strike(Hold)
    drop = row.strike(Drop, times=None)
    run = row.begin()
    query = run.wait_for_query()
    process = run.process("run_query")
    supervisor = process.parent()

    for each in (supervisor, process):
        each.suspend()
    row.faults.clear(drop)
    run.wait_until_watched()
    for each in (supervisor, process):
        each.resume()

    process.wait(60)
    row.faults.clear()
    run.wait_until_success()
    assert [(each.id, each.state) for each in run.queries] == [(query.id, "SUCCEEDED")]
    assert (run.task("run_query").try_number, run.task("wait_for_query").try_number) == (2, 1)


@pytest.mark.parametrize("who", ["task", "supervisor"])
def test_a_submit_that_is_terminated_leaves_its_query_to_the_run(row: Row, who: str) -> None:
    """As by an evicted pod, or a deployment, when Athena has accepted the query."""
    hold = row.strike(Hold)
    drop = row.strike(Drop, times=None)
    run = row.begin()
    query = run.wait_for_query()
    process = run.process("run_query")

    terminated = process if who == "task" else process.parent()
    terminated.terminate()
    row.faults.clear(drop)
    run.wait_until_watched()
    row.faults.clear(hold)

    run.wait_until_success()
    assert [(each.id, each.state) for each in run.queries] == [(query.id, "SUCCEEDED")]


def test_sql_edited_between_two_tries_stops_the_query_of_the_first(row: Row) -> None:
    row.strike(Hold)
    run = row.begin("edited")

    run.wait_until_success()
    first, second = run.queries
    assert run.states == ["CANCELLED", "SUCCEEDED"]
    assert run.xcom("wait_for_query")["id"] == second.id
    assert logs_stop_of(first.id, run.log("run_query", 2))


def test_a_killed_wait_asks_for_the_same_query(row: Row) -> None:
    row.strike(Hold)
    slow = row.strike(Slow, action="GetQueryExecution", milliseconds=20_000, times=None)
    run = row.begin()
    row.wait_until_struck(slow)

    run.process("wait_for_query").kill()
    row.faults.clear()

    run.wait_until_success()
    assert run.states == ["SUCCEEDED"]
    assert (run.task("run_query").try_number, run.task("wait_for_query").try_number) == (1, 2)


def test_a_wait_killed_when_it_has_started_a_successor_finds_it(row: Row) -> None:
    row.strike(End, error_type=1602, retryable=True, reason="no capacity")
    row.strike(Drop, skip=1, times=None)
    run = row.begin()
    until(lambda: len(run.queries) == 2, "the failed query has a successor")

    run.process("wait_for_query").kill()
    row.faults.clear()

    run.wait_until_success()
    assert run.states == ["FAILED", "SUCCEEDED"]
    assert (run.task("run_query").try_number, run.task("wait_for_query").try_number) == (1, 2)


def test_each_instance_of_a_mapped_task_has_one_query_though_one_is_killed(row: Row) -> None:
    drop = row.faults.add(Drop(sql="SELECT 1\n", times=None))
    run = row.begin("mapped")
    row.wait_until_struck(drop)
    run.process("run_query", 1).kill()
    row.faults.clear(drop)

    run.wait_until_success()
    told = [(each.map_index, each.state) for each in run.queries]
    assert sorted(told) == [(0, "SUCCEEDED"), (1, "SUCCEEDED")]
    assert (run.task("run_query", 1).try_number, run.task("wait_for_query", 1).try_number) == (2, 1)


@pytest.mark.parametrize("task_id", ["transform", "publish"])
def test_a_task_killed_after_the_query_is_repeated_without_one(row: Row, task_id: str) -> None:
    run, slow_down = row.begin_and_stop_at(task_id)

    run.process(task_id).kill()
    row.faults.clear(slow_down)

    run.wait_until_success()
    assert run.states == ["SUCCEEDED"]
    assert (run.task("run_query").try_number, run.task(task_id).try_number) == (1, 2)
    assert "Process terminated by signal" in run.log(task_id)


@pytest.mark.parametrize("task_id", ["transform", "publish"])
def test_a_run_cleared_after_its_query_has_one_more(row: Row, task_id: str) -> None:
    run, slow_down = row.begin_and_stop_at(task_id)

    row.airflow.client.clear(run.dag_id, run.run_id)
    until(lambda: len(run.queries) == 2, "the cleared run has a query of its own")
    row.faults.clear(slow_down)

    run.wait_until_success()
    assert run.states == ["SUCCEEDED", "SUCCEEDED"]
    assert run.xcom("wait_for_query")["id"] == run.queries[1].id


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "shut-down"])
def test_a_triggerer_restarted_goes_on_waiting(row: Row, how: signal.Signals) -> None:
    run, query = row.begin_and_hold()

    for process in row.airflow.processes("triggerer"):
        process.send_signal(how)
    row.airflow.restart("triggerer")
    assert run.states == ["RUNNING"]
    row.faults.clear()

    run.wait_until_success()
    assert [(each.id, each.state) for each in run.queries] == [(query.id, "SUCCEEDED")]
    assert run.task("wait_for_query").try_number == 1
    assert f"Query {query.id} is SUCCEEDED" in run.log("wait_for_query")
    assert "Stopping" not in run.log("wait_for_query")


def test_a_scheduler_killed_with_its_tasks_leads_back_to_the_query(row: Row) -> None:
    row.strike(Drop, times=None)
    run = row.begin()
    query = run.wait_for_query()

    row.airflow.kill("scheduler")
    row.faults.clear()
    row.airflow.restart("scheduler")

    run.wait_until_success()
    assert [(each.id, each.state) for each in run.queries] == [(query.id, "SUCCEEDED")]
    assert run.task("run_query").try_number == 2


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_wait_marked_stops_its_query(row: Row, state: Literal["failed", "success"]) -> None:
    run, query = row.begin_and_hold()

    row.airflow.client.set_state(run.dag_id, run.run_id, state, task_id="wait_for_query")

    run.wait_until_cancelled(query)
    assert run.wait_until_over() == "failed"
    assert run.task("wait_for_query").state == state
    assert run.states == ["CANCELLED"]
    assert f"Stopping query {query.id}" in run.log("wait_for_query")
    if state == "success":
        transform = run.task("transform")
        assert (transform.state, transform.try_number) == ("failed", 1)
        assert "clear run_query and its downstream tasks" in run.log("transform")


def test_a_waiting_run_cleared_gets_a_new_query(row: Row) -> None:
    run, query = row.begin_and_hold()

    row.airflow.client.clear(run.dag_id, run.run_id)

    run.wait_until_cancelled(query)
    run.wait_until_success()
    assert run.states == ["CANCELLED", "SUCCEEDED"]
    # Whichever comes first: the trigger, or the next try of run_query.
    logs = run.log("wait_for_query") + run.log("run_query", 2)
    assert logs_stop_of(query.id, logs)


def test_a_run_marked_failed_stops_its_query(row: Row) -> None:
    run, query = row.begin_and_hold()

    row.airflow.client.set_state(run.dag_id, run.run_id, "failed")

    run.wait_until_cancelled(query)
    assert run.states == ["CANCELLED"]
    assert run.task("wait_for_query").state == "failed"
    assert f"Stopping query {query.id}" in run.log("wait_for_query")


def test_a_failed_run_and_a_late_period_are_told_once_though_a_notifier_fails(
    row: Row, airflow: LiveAirflow, inbox: Inbox
) -> None:
    run = ReportRun.begin(airflow, row.services, "told_weekly", "of+the+future", "2199-01-06")
    assert run.wait_until_over() == "failed"
    ((subject, message),) = until(inbox.take, "the failure is told")
    assert subject == "dev: told_weekly 2199-01-06 failed"
    assert "Reason: run_query: told_weekly: The period 2199-01-06" in message
    assert message.endswith("/dags/told_weekly/runs/of%2Bthe%2Bfuture")

    check = airflow.client.trigger("told_weekly_alerts", logical_date="2025-06-30T00:00:00Z")

    def has_failed() -> bool:
        tasks = airflow.client.task_instances("told_weekly_alerts", check.run_id)
        (task,) = (task for task in tasks if task.task_id == "tell_when_due")
        return task.state == "failed"

    until(has_failed, "the check is given up, as a notifier always fails")
    late, failed = until(inbox.take, "the late period and the failed check are told")
    subject, message = late
    assert subject == "dev: told_weekly 2025-06-22 is late"
    assert "it was due at 2025-06-29 03:00 Asia/Tokyo and has not been published" in message
    assert "its run was never started" in message
    subject, message = failed
    assert subject == "dev: told_weekly_alerts 2025-06-22 failed"
    assert "tell_when_due: Notifier SnsNotifier 1 failed" in message
    with pytest.raises(AirflowApiError, match="told_weekly_alerts' does not allow backfill runs"):
        airflow.client.backfill(
            "told_weekly_alerts", dt.datetime(2025, 6, 1, tzinfo=dt.UTC), check.run_after
        )


def test_a_run_that_times_out_stops_its_query_and_is_told(row: Row, inbox: Inbox) -> None:
    run, query = row.begin_and_hold("expiring_weekly")

    assert run.wait_until_over() == "failed"
    run.wait_until_cancelled(query)
    assert run.states == ["CANCELLED"]
    assert run.task("wait_for_query").state == "skipped"
    assert f"Stopping query {query.id}" in run.log("wait_for_query")
    ((subject, message),) = until(inbox.take, "the time-out is told")
    assert subject == f"dev: expiring_weekly {PERIOD} failed"
    assert "wait_for_query: the run took longer than its run_timeout" in message


def test_a_wait_that_is_given_up_stops_its_query_and_says_so(row: Row) -> None:
    row.strike(Hold)
    run = row.begin("impatient_weekly")
    query = run.wait_for_query()

    run.wait_until_cancelled(query)
    assert run.wait_until_over() == "failed"
    assert run.states == ["CANCELLED"]
    wait = run.task("wait_for_query")
    assert (wait.state, wait.try_number) == ("failed", 1)
    assert "timed out after 0:00:05 and was stopped" in run.log("wait_for_query")


def test_a_dag_deleted_stops_its_query(row: Row) -> None:
    run, query = row.begin_and_hold("doomed_weekly")

    row.airflow.client.request("DELETE", "/api/v2/dags/doomed_weekly")

    run.wait_until_cancelled(query)
    # Airflow 3.3.1's scheduler may end with ObjectDeletedError
    # when it schedules a run of a deleted DAG.
    row.airflow.restart("scheduler")


def test_a_submit_cleared_while_athena_answers_has_one_query_for_each_clear(row: Row) -> None:
    slow = row.strike(Slow, action="StartQueryExecution", milliseconds=2_500, times=1)
    row.strike(Hold)
    run = row.begin()
    row.wait_until_struck(slow)

    row.airflow.client.clear(run.dag_id, run.run_id, task_ids=["run_query"])
    until(lambda: len(run.queries) == 2, "the cleared run has a query of its own")

    row.faults.clear()
    run.wait_until_success()
    # The first one is stopped if it was noted before the process ended.
    assert run.states in (["CANCELLED", "SUCCEEDED"], ["SUCCEEDED", "SUCCEEDED"])


def test_a_finished_run_cleared_pays_twice_on_purpose(row: Row) -> None:
    run = row.begin()
    run.wait_until_success()
    row.airflow.client.clear(run.dag_id, run.run_id, task_ids=["transform"])
    run.wait_until_success()
    assert run.states == ["SUCCEEDED"]

    row.airflow.client.clear(run.dag_id, run.run_id)

    run.wait_until_success()
    assert run.states == ["SUCCEEDED", "SUCCEEDED"]
    first, second = (query.id for query in run.queries)
    # A clear on Airflow 3.4 discards the first note.
    assert run.notes("run_query") in ([first, second], [second])
