"""One run of a DAG of two tasks, submit and wait, with all that can happen to it.

`Run` does what Airflow's scheduler, workers and triggerer do around the tasks: it counts tries,
forgets XComs when a retry starts, hands triggers through the metadata database, and is killed where
a scenario says so. The functions below it are the steps of which scenarios are made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred

from athena_reports.steps.execution_notes import ExecutionNotes
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from local_athena.faults import Faults
from tests.support.airflow_run import StateStore, TaskInstance
from tests.support.local_athena import query_executions
from tests.support.triggers import first_event, kill, through_the_database

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

_POLL_SECONDS = 0.02  # without a triggerer
RETRIES = 3
_PATIENCE_SECONDS = 300


class Outcome(Enum):
    """How a task ends."""

    RETURNED = "returned"
    RETRYABLE = "failed, and is retried"
    FAILED = "failed for good"
    STOPPED = "stopped from outside"


class CrashError(BaseException):
    """The process is gone: no code of the task runs any more."""


@dataclass
class Run:
    """A DAG run.

    Attributes:
        dag_id: Names the scenario.
        athena: A client of the local Athena.
        faults: What is wrong with it.
        deferrable: Whether there is a triggerer.
        sql: The rendered query.
        timeout: How long it is waited for.
        workgroup: The workgroup that it runs in, and no other run.
        output_location: Where its result is to lie; None for the workgroup's location.
        run_type: How the run was started.
        clear_number: How often the run was cleared.
        stores: The state stores of the two tasks; None before Airflow 3.3.
        unload_to: Where the folders of an UNLOAD are; None for a SELECT.
        query_execution_id: What run_query returned.
        submitted: What it pushed beside that.
        deferred: The wait that the triggerer has taken over.
    """

    dag_id: str
    athena: AthenaClient
    faults: Faults
    deferrable: bool
    sql: str
    workgroup: str
    timeout: timedelta = timedelta(minutes=5)
    output_location: str | None = None
    run_type: str = "scheduled"
    clear_number: int = 0
    start_date: datetime | None = None
    submitting: TaskInstance = field(default_factory=TaskInstance)
    waiting: TaskInstance = field(default_factory=lambda: TaskInstance("wait_for_query"))
    stores: tuple[StateStore, StateStore] | None = None
    unload_to: str | None = None
    query_execution_id: str = ""
    submitted: Any = None
    deferred: TaskDeferred | None = None

    @property
    def queries(self) -> list[dict[str, Any]]:
        """The queries of the run, oldest first."""
        return query_executions(self.athena, self.workgroup)

    @property
    def states(self) -> tuple[str, ...]:
        """The state of each query, oldest first."""
        return tuple(each["Status"]["State"] for each in self.queries)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what the local Athena does in its own time."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"it never came true; the queries are {self.states}"
            time.sleep(0.03)

    # --- the tasks, each try a process of its own

    def submitter(self) -> AthenaSubmitOperator:
        with DAG(self.dag_id, schedule=None):
            return AthenaSubmitOperator(
                task_id="run_query",
                query=self.sql,
                database="default",
                workgroup=self.workgroup,
                output_location=self.output_location,
                unload_to=self.unload_to,
                environment="dev",
                aws_conn_id="aws_default",
                retries=RETRIES,
            )

    def sensor(self) -> AthenaWaitSensor:
        with DAG(self.dag_id, schedule=None):
            return AthenaWaitSensor(
                task_id="wait_for_query",
                query_execution_id=self.query_execution_id,
                submitted=self.submitted,
                poke_interval=_POLL_SECONDS,
                timeout=self.timeout,
                environment="dev",
                deferrable=self.deferrable,
                aws_conn_id="aws_default",
                retries=RETRIES,
            )

    def context(self, ti: TaskInstance) -> Any:
        rescheduled = int(ti.first_reschedule_date is not None)
        given = {
            "ti": ti,
            "run_id": "run-1",
            "dag_run": self,
            "task_reschedule_count": rescheduled,
        }
        if self.stores is not None:
            given["task_state_store"] = self.stores[ti is self.waiting]
        return given

    def submit(self, task: AthenaSubmitOperator | None = None) -> None:
        self.query_execution_id = (task or self.submitter()).execute(self.context(self.submitting))
        self.submitted = self.submitting.pushed["submitted"]

    def look(self) -> Any:
        """Start, or resume, the wait once: what it returns, or None while it goes on."""
        started = datetime.now(UTC)
        if self.waiting.first_reschedule_date is None:
            self.waiting.start_date = started
        try:
            return self.sensor().execute(self.context(self.waiting))
        except TaskDeferred as deferred:
            self.deferred = deferred
        except AirflowRescheduleException as rescheduled:
            self.waiting.first_reschedule_date = self.waiting.first_reschedule_date or started
            time.sleep(max(0.0, (rescheduled.reschedule_date - datetime.now(UTC)).total_seconds()))
        return None

    def wait(self) -> Any:
        """Wait to the end."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        result = self.resume() if self.deferred else self.look()
        while result is None:
            assert time.monotonic() < deadline, "the wait does not end"
            result = self.resume() if self.deferred else self.look()
        return result

    def resume(self) -> Any:
        """Let the triggerer wait, and the task go on with what the trigger fired,
        or with its timeout.
        """
        assert self.deferred is not None
        deferred, self.deferred = self.deferred, None
        trigger = through_the_database(deferred.trigger)
        left = deferred.timeout.total_seconds() if isinstance(deferred.timeout, timedelta) else None
        try:
            event = asyncio.run(asyncio.wait_for(first_event(trigger), left))
            method, kwargs = deferred.method_name, {"event": event}
        except TimeoutError:
            method, kwargs = "__fail__", {"error": "Trigger timeout"}
        try:
            return self.sensor().resume_execution(method, kwargs, self.context(self.waiting))
        except TaskDeferred as again:
            self.deferred = again
            return None


# --- steps

Step = Callable[[Run], None]


def submit(run: Run) -> None:
    """A try of run_query."""
    run.submit()


def wait(run: Run) -> None:
    """wait_for_query to its end; what it hands on is a query that has succeeded."""
    waited = run.wait()
    assert waited["state"] == "SUCCEEDED"
    assert waited["id"] == run.queries[-1]["QueryExecutionId"]


def begin_wait(run: Run) -> None:
    """wait_for_query up to its first look; the query must still be under way."""
    assert run.look() is None


def retried(step: Step) -> Step:
    """A step that fails so that Airflow starts the task again, which is then about to happen."""

    def failing(run: Run) -> None:
        with pytest.raises(AirflowException) as caught:
            step(run)
        assert not isinstance(caught.value, AirflowFailException)
        _next_try_of(run, step)

    return failing


def _next_try_of(run: Run, step: Step) -> None:
    run.deferred = None
    (run.submitting if step is submit else run.waiting).begin_next_try()


def lose_xcom(run: Run) -> None:
    """The worker of run_query dies after Athena has answered, before the id is saved."""
    run.query_execution_id = ""
    run.submitting.begin_next_try()


def evict_while_submitting(run: Run) -> None:
    """SIGTERM while StartQueryExecution is answered, as from an evicted pod: Airflow calls on_kill,
    and then the process is gone.
    """
    task = run.submitter()

    def terminate() -> None:
        task.on_kill()
        raise CrashError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExecutionNotes, "add", lambda *_: terminate())
        with pytest.raises(CrashError):
            run.submit(task)
    run.submitting.begin_next_try()


def kill_wait(run: Run) -> None:
    """Somebody fails, clears or marks wait_for_query: its trigger is told, if it has one."""
    if run.deferred is None:
        return
    asyncio.run(kill(through_the_database(run.deferred.trigger)))
    run.deferred = None


def clear_run(run: Run) -> None:
    """All tasks are cleared; what waits is told by nobody (as in Airflow 3.0)."""
    run.clear_number += 1
    run.deferred = None
    for ti in (run.submitting, run.waiting):
        ti.max_tries = ti.try_number + RETRIES
        ti.begin_next_try()


def cancel(run: Run) -> None:
    """Somebody stops the latest query in the console."""
    id_ = run.queries[-1]["QueryExecutionId"]
    run.athena.stop_query_execution(QueryExecutionId=id_)
    run.until(lambda: run.states[-1] == "CANCELLED")


def lift(run: Run) -> None:
    """No faults from now on; what is held goes on."""
    run.faults.clear()


def settle(run: Run) -> None:
    """Wait until all queries have ended."""
    run.until(lambda: not {"QUEUED", "RUNNING"} & set(run.states))


def give_up_after(seconds: float) -> Step:
    """Another timeout of the wait."""

    def changing(run: Run) -> None:
        run.timeout = timedelta(seconds=seconds)

    return changing


def outcome_of(step: Step, run: Run) -> tuple[Outcome, str]:
    """Take the last step of a scenario, and say how its task ended and with which message."""
    try:
        step(run)
    except AirflowFailException as error:
        return Outcome.FAILED, str(error)
    except AirflowException as error:
        return Outcome.RETRYABLE, str(error)
    return (Outcome.RETURNED if step in (submit, wait) else Outcome.STOPPED), ""
