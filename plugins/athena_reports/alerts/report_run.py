"""Finds the run of a period for a task of another DAG, and why the period is late.

Functions with an argument `ti` ask Airflow's API through it, and raise what it raises.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetDagRun

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.periods.calendar import Period
from athena_reports.queries.execution import get_query_execution
from athena_reports.settings import settings

REASON_XCOM = "reason"  # where a failed task leaves its error
STEP_AFTER_FAILURE = (
    "Fix the cause (see the task log), then clear the failed task and its downstream tasks."
)
_QUERY_TASK = "run_query"
_WAIT_TASK = "wait_for_query"
_ACTIVE_STATES = ("running", "queued", "scheduled", "restarting")
_WAITING_STATES = ("deferred", "up_for_reschedule", "running")  # of `_WAIT_TASK`, for its query
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportRun:
    """The scheduled or backfilled run of a period.

    Attributes:
        dag_id: The report's DAG.
        run_id: The run.
        state: Its state, such as `failed`.
        clear_number: How often it was cleared.
        task_states: The state of each task by its id; None for one that is not scheduled yet.
    """

    dag_id: str
    run_id: str
    state: str
    clear_number: int
    task_states: Mapping[str, str | None]

    @property
    def xcom_arguments(self) -> Mapping[str, Any]:
        """The arguments of `xcom_pull` for its XComs. Without `map_indexes`, that returns lists."""
        return {"dag_id": self.dag_id, "run_id": self.run_id, "map_indexes": -1}


class Cause(NamedTuple):
    """Why a period is not published, and what to do about it.

    Attributes:
        reason: Why; empty if it is not known.
        next_step: What to do about it.
    """

    reason: str
    next_step: str


def find_run(ti: Any, dag_id: str, period: Period) -> ReportRun | None:
    """Return the run of a period by its logical date; None if there is none."""
    states_by_run = ti.get_task_states(dag_id=dag_id, logical_dates=[period.start_utc])
    for run_id, task_states in states_by_run.items():
        question = GetDagRun(dag_id=dag_id, run_id=run_id)
        run: Any = task_runner.SUPERVISOR_COMMS.send(question)
        if run.data_interval_start != period.start_utc:
            # Somebody triggered it with this logical date. Such a run is of the period before.
            continue
        return ReportRun(
            dag_id=dag_id,
            run_id=run_id,
            state=run.state.value,
            clear_number=run.clear_number or 0,
            task_states=task_states,
        )
    return None


def failure_of(run: ReportRun, ti: Any) -> str:
    """Return why a run has failed, by the errors that its tasks have left."""
    task_id = _first_task_in(run, "failed")
    if task_id is None:
        return "no task failed: the run took longer than its run_timeout or was marked as failed"
    reason = kept_reason(ti, task_id, **run.xcom_arguments) or "it failed"
    return f"{task_id}: {reason}"


def kept_reason(ti: Any, task_id: str, **which: Any) -> str:
    """Return the error that a task has left.

    It is empty if there is none, or Airflow does not return it.
    """
    try:
        reason = ti.xcom_pull(task_ids=task_id, key=REASON_XCOM, **which)
    except Exception:  # an alert without the reason is better than none
        _log.exception("Could not determine why %s failed.", task_id)
        return ""
    return str(reason or "")


def cause_of_lateness(run: ReportRun | None, ti: Any, dag_id: str) -> Cause:
    """Return why a period is not published, as far as Airflow and Athena know.

    The first that applies: the run has ended, cannot go on, or waits for something.
    """
    if run is not None and run.state == "failed":
        reason = f"its run failed ({failure_of(run, ti)})"
        return Cause(reason, STEP_AFTER_FAILURE)
    if run is not None and run.state == "success":
        return Cause(
            "its run succeeded without publishing it",
            "Clear the first task that was skipped or marked as success, and its downstream tasks.",
        )
    if ti.get_dag(dag_id).is_paused:
        return Cause("the DAG is paused", "Unpause the DAG.")
    if run is None:
        return Cause(
            "its run was never started",
            "Check that the scheduler is running and that max_active_runs has not been reached,"
            " or trigger a run.",
        )
    if run.state == "queued":
        return Cause(
            "its run is queued",
            "Check that the scheduler is running and that max_active_runs has not been reached.",
        )
    retried_task = _first_task_in(run, "up_for_retry")
    if retried_task is not None:
        reason = kept_reason(ti, retried_task, **run.xcom_arguments) or "its last attempt failed"
        return Cause(
            f"{retried_task} is waiting for its retry ({reason})",
            "Wait for the retry. If it fails again, fix the cause and clear the task.",
        )
    if run.task_states.get(_WAIT_TASK) in _WAITING_STATES:
        return Cause(
            _state_of_query(run, ti),
            "Check the query in the Athena console. If it makes no progress, clear run_query.",
        )
    for state in _ACTIVE_STATES:
        task_id = _first_task_in(run, state)
        if task_id is not None:
            return Cause(f"{task_id} is {state}", "Check the task log.")
    return Cause("its run is waiting", "Check the run's tasks.")


def _first_task_in(run: ReportRun, state: str) -> str | None:
    for task_id, task_state in run.task_states.items():
        if task_state == state:
            return task_id
    return None


def _state_of_query(run: ReportRun, ti: Any) -> str:
    """Return since when the query of a run has been running in Athena, or how it ended."""
    query_execution_id = ti.xcom_pull(
        task_ids=_QUERY_TASK, key="return_value", **run.xcom_arguments
    )
    athena = SharedSessionHook(aws_conn_id=settings().aws_conn_id).get_conn()
    execution = get_query_execution(athena, query_execution_id)
    query = f"its query {query_execution_id}"
    if not execution.is_running:
        return f"{query} is {execution.state}, but {_WAIT_TASK} has not resumed"
    submitted_at = datetime.fromisoformat(execution.submitted_at)
    return f"{query} has been running since {submitted_at:%Y-%m-%d %H:%M} UTC"
