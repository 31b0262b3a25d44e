"""Why a period is late, as far as Airflow and Athena know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from athena_reports.alerts.report_run import Cause, ReportRun, cause_of_lateness, find_run
from tests.support.calendars import WEEK
from tests.support.memory_athena import MemoryAthena
from tests.support.neighbour import RUN_ID, Airflow


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Finds the run of the week in an Airflow."""

    def find_in(airflow: Airflow) -> ReportRun | None:
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", airflow, raising=False)
        return find_run(airflow, "plays_weekly", WEEK)

    return find_in


def test_the_run_of_a_period_is_found_by_its_logical_date(find: Any) -> None:
    tasks = {"run_query": "failed", "publish": None}
    run = find(Airflow("failed", tasks, clear_number=2))
    assert run == ReportRun("plays_weekly", RUN_ID, "failed", 2, tasks)
    assert find(Airflow()) is None
    never_cleared: Any = None
    run = find(Airflow("failed", tasks, clear_number=never_cleared))
    assert run == ReportRun("plays_weekly", RUN_ID, "failed", 0, tasks)


def test_a_run_that_was_triggered_with_this_logical_date_is_of_the_period_before(find: Any) -> None:
    start = WEEK.start_utc - timedelta(days=7)
    assert find(Airflow("failed", {"run_query": "failed"}, data_interval_start=start)) is None


MISSING = "partitions of 2025-06-14 are missing"


@pytest.mark.parametrize(
    ("airflow", "reason", "next_step"),
    [
        (Airflow(), "its run was never started", "or trigger a run."),
        (Airflow(is_paused=True), "the DAG is paused", "Unpause the DAG."),
        (Airflow("running", {"run_query": "queued"}, is_paused=True), "the DAG is paused", ""),
        (
            Airflow("queued", {"run_query": None}),
            "its run is queued",
            "that max_active_runs has not been reached.",
        ),
        (
            Airflow(
                "running",
                {"run_query": "up_for_retry", "wait_for_query": None},
                {("run_query", "reason"): MISSING},
            ),
            f"run_query is waiting for its retry ({MISSING})",
            "If it fails again, fix the cause",
        ),
        (
            Airflow("running", {"mine": "up_for_retry", "wait_for_query": "deferred"}),
            "mine is waiting for its retry (its last attempt failed)",
            "",
        ),
        (
            Airflow(
                "failed",
                {"run_query": "success", "transform": "failed", "publish": "upstream_failed"},
                {("transform", "reason"): "three rows too many"},
                is_paused=True,
            ),
            "its run failed (transform: three rows too many)",
            "then clear the failed task and its downstream",
        ),
        (Airflow("failed", {"transform": "failed"}), "its run failed (transform: it failed)", ""),
        (
            Airflow("failed", {"run_query": "skipped"}),
            "its run failed (no task failed: the run took longer than its run_timeout or was"
            " marked as failed)",
            "",
        ),
        (
            Airflow("success", {"publish": "skipped"}),
            "its run succeeded without publishing it",
            "Clear the first task that was skipped",
        ),
        *(
            (
                Airflow("running", {"run_query": "success", "transform": state}),
                f"transform is {state}",
                "Check the task log.",
            )
            for state in ("running", "queued", "scheduled", "restarting")
        ),
        # Of tasks of its own, the one that has got on most.
        (
            Airflow("running", {"first": "scheduled", "second": "queued", "third": "running"}),
            "third is running",
            "",
        ),
        (Airflow("running", {"run_query": None}), "its run is waiting", "Check the run's tasks."),
    ],
)
def test_a_late_period_has_a_reason_and_a_next_step(
    find: Any, airflow: Airflow, reason: str, next_step: str
) -> None:
    cause = cause_of_lateness(find(airflow), airflow, "plays_weekly")
    assert cause.reason == reason
    assert next_step in cause.next_step
    assert cause.next_step.endswith(".")


@pytest.fixture
def cause_of_query(find: Any, athena: MemoryAthena) -> Callable[..., Cause]:
    """Returns the cause of a period whose task waits for a query of `athena`, in some state."""

    def cause(query_execution_id: str, state: str = "deferred") -> Cause:
        tasks = {"run_query": "success", "wait_for_query": state}
        airflow = Airflow("running", tasks, {("run_query", "return_value"): query_execution_id})
        return cause_of_lateness(find(airflow), airflow, "plays_weekly")

    return cause


@pytest.fixture
def query(athena: MemoryAthena) -> str:
    """The id of a running query."""
    started = athena.start_query_execution(
        QueryString="SELECT 1", WorkGroup="dev", QueryExecutionContext={}
    )
    return str(started["QueryExecutionId"])


def test_of_a_query_that_was_stopped_it_is_told_in_the_deployment_that_asks(
    cause_of_query: Callable[..., Cause],
    athena: MemoryAthena,
    query: str,
    connections: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_AWS_CONN_ID", "aws_reports")
    athena.stop_query_execution(QueryExecutionId=query)
    cause = cause_of_query(query)
    assert cause.reason == f"its query {query} is CANCELLED, but wait_for_query has not resumed"
    assert "If it makes no progress, clear run_query." in cause.next_step
    assert connections == ["aws_reports"]


@pytest.mark.parametrize("waiting", ["deferred", "up_for_reschedule", "running"])
def test_a_query_that_is_running_is_told_with_its_id_and_since_when(
    cause_of_query: Callable[..., Cause], athena: MemoryAthena, query: str, waiting: str
) -> None:
    status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
    since = f"{status['SubmissionDateTime'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    reason = cause_of_query(query, waiting).reason
    assert reason == f"its query {query} has been running since {since}"
