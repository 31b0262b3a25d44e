"""What the trigger of a wait does when Airflow ends it.

All runs of tests/services take it through the database, and show what it fires.
"""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from airflow.executors.workloads import RunTrigger
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.jobs.triggerer_job_runner import TriggerRunner, messages
from airflow.models.trigger import Trigger
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetTaskStates,
    GetXCom,
    TaskStatesResult,
    XComResult,
)

from athena_reports.steps.query_poller import QueryPoller
from athena_reports.steps.wait_trigger import (
    AWAITED_XCOM,
    STOP_WITHIN_SECONDS,
    AthenaWaitTrigger,
)
from tests.support.airflow_versions import since_3_3
from tests.support.memory_athena import MemoryAthena, Plan
from tests.support.submissions import start_sql
from tests.support.triggers import kill
from tests.support.virtual_clock import VirtualClock


def start(athena: MemoryAthena, seconds: float) -> AthenaWaitTrigger:
    """A query that was submitted just now and runs so long, and the trigger that waits for it."""
    id_ = start_sql(athena, "SELECT 1")
    athena.queries[id_].plan = Plan(states=(("QUEUED", seconds / 2), ("RUNNING", seconds / 2)))
    return AthenaWaitTrigger(id_, successors_left=0, aws_conn_id="aws_default")


class NoLog:
    """Takes the place of the triggerer's log.

    That is written in a thread, which the clock of a test does not know.
    """

    def info(self, *_: Any, **__: Any) -> None: ...

    async def ainfo(self, *_: Any, **__: Any) -> None: ...

    warning = error = exception = info
    awarning = aerror = ainfo


@dataclass
class Supervisor:
    """Stands for `TriggerRunnerSupervisor`, to whom Airflow's real TriggerRunner talks,
    and for the API behind it.

    Attributes:
        workload: The only trigger.
        states: The states of the run's tasks, by task id and map index; an error is raised instead
            of an answer.
        awaited: The query that the deferred task waits for, or an error.
        cancels_from: The sync from which on the trigger is cancelled, at each one until it has
            ended.
        stops_at: The sync at which the triggerer is shut down.
        answer_seconds: How long it takes to tell the states.
    """

    workload: RunTrigger
    states: Mapping[tuple[str, int], str | None] | Exception = field(default_factory=dict)
    awaited: str | Exception | None = "q-1"
    cancels_from: float = 4
    stops_at: float = float("inf")
    answer_seconds: float = 0.0
    cancels: int = 0
    _syncs: int = 0

    async def run(self) -> None:
        """Run the triggerer until the trigger has ended."""
        self._runner = TriggerRunner()
        self._runner.log = NoLog()
        self._runner.init_comms = self._init_comms  # type: ignore[method-assign]
        await self._runner.arun()

    async def asend(self, message: Any) -> Any:
        if isinstance(message, GetTaskStates):
            return await self._task_states(message)
        if isinstance(message, GetXCom):
            assert message.key == AWAITED_XCOM
            assert self.workload.ti is not None
            for field_name in ("dag_id", "run_id", "task_id", "map_index"):
                asked_for = getattr(message, field_name)
                assert asked_for == getattr(self.workload.ti, field_name)
            if isinstance(self.awaited, Exception):
                raise self.awaited
            return XComResult(key=message.key, value=self.awaited)
        assert isinstance(message, messages.TriggerStateChanges)
        self._syncs += 1
        has_ended = bool(message.finished)
        if has_ended or self._syncs == self.stops_at:
            self._runner._handle_signal(signal.SIGTERM, None)
        is_cancelled = self._syncs >= self.cancels_from and not has_ended
        self.cancels += is_cancelled
        return messages.TriggerStateSync(
            to_create=[self.workload] if self._syncs == 1 else [],
            to_cancel={self.workload.id} if is_cancelled else set(),
        )

    async def _init_comms(self) -> None:
        self._reader_task = asyncio.create_task(asyncio.Event().wait())
        self._runner.comms_decoder = self  # type: ignore[assignment]
        task_runner.SUPERVISOR_COMMS = self  # type: ignore[assignment]

    async def _task_states(self, question: GetTaskStates) -> TaskStatesResult:
        """Answer as `airflow.sdk.api.client` and `execution_api.routes.task_instances` do."""
        await asyncio.sleep(self.answer_seconds)
        if isinstance(self.states, Exception):
            raise self.states
        assert self.workload.ti is not None
        assert (question.dag_id, question.run_ids) == (
            self.workload.ti.dag_id,
            [self.workload.ti.run_id],
        )
        found = {}
        for (task_id, map_index), state in self.states.items():
            if (
                question.map_index is not None
                and question.map_index >= 0
                and map_index != question.map_index
            ):
                continue
            if task_id in (question.task_ids or ()):
                found[task_id if map_index < 0 else f"{task_id}_{map_index}"] = state
        return TaskStatesResult(task_states={self.workload.ti.run_id: found} if found else {})


@pytest.fixture(autouse=True)
def _no_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes of it is taken back."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)


def watching(athena: MemoryAthena, map_index: int = -1) -> RunTrigger:
    """A trigger that waits for a query without an end."""
    trigger = start(athena, 60)
    athena.queries["q-1"].plan = Plan.endless()
    task = TaskInstanceDTO(
        id=uuid4(),
        dag_version_id=uuid4(),
        dag_id="plays_weekly",
        run_id="run-1",
        task_id="wait_for_query",
        map_index=map_index,
        try_number=1,
        pool_slots=1,
        priority_weight=1,
        queue="default",
    )
    classpath, fields = trigger.serialize()
    return RunTrigger(
        id=1, classpath=classpath, encrypted_kwargs=Trigger.encrypt_kwargs(fields), ti=task
    )


WAIT = ("wait_for_query", -1)
LEFT, STOPPED = "RUNNING", "CANCELLED"
AWAITED = "Query q-1 continues: another trigger is waiting for it."
UNWANTED = "Stopping query q-1: its task is no longer waiting for it."


def api_error(status: int) -> AirflowRuntimeError:
    return AirflowRuntimeError(
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status})
    )


@since_3_3
@pytest.mark.parametrize(
    ("states", "awaited", "state_of_query", "says"),
    [
        ({WAIT: "deferred"}, "q-1", LEFT, AWAITED),
        ({WAIT: "deferred"}, None, LEFT, AWAITED),  # it is not known that it waits for another one
        (RuntimeError("no database"), "q-2", LEFT, "RuntimeError('no database')). It may still be"),
        ({WAIT: "deferred"}, api_error(500), LEFT, "It may still be running."),
        ({WAIT: "deferred"}, api_error(403), STOPPED, UNWANTED),  # Airflow 3.4: a new try waits
        ({WAIT: "deferred"}, "q-2", STOPPED, UNWANTED),
        ({WAIT: "failed"}, "q-1", STOPPED, UNWANTED),
        ({WAIT: "success"}, "q-1", STOPPED, UNWANTED),
        ({WAIT: "scheduled"}, "q-1", STOPPED, UNWANTED),
        ({WAIT: None}, None, STOPPED, UNWANTED),
        ({}, None, STOPPED, UNWANTED),
    ],
)
def test_the_query_is_stopped_only_if_its_try_no_longer_waits_for_it(
    athena: MemoryAthena,
    clock: VirtualClock,
    capsys: pytest.CaptureFixture[str],
    states: Any,
    awaited: str | Exception | None,
    state_of_query: str,
    says: str,
) -> None:
    clock.run(Supervisor(watching(athena), states, awaited).run())
    assert athena.states == [state_of_query]
    assert says in capsys.readouterr().out


@since_3_3
@pytest.mark.parametrize("map_index", [0, 1])
@pytest.mark.parametrize(
    ("own", "other", "state_of_query"), [("deferred", None, LEFT), (None, "deferred", STOPPED)]
)
def test_of_a_mapped_task_only_the_own_instance_counts(
    athena: MemoryAthena,
    clock: VirtualClock,
    own: str | None,
    other: str | None,
    state_of_query: str,
    map_index: int,
) -> None:
    states = {("wait_for_query", index): other for index in (0, 1, 10, 11)}
    states["wait_for_query", map_index] = own
    clock.run(Supervisor(watching(athena, map_index=map_index), states).run())
    assert athena.states == [state_of_query]


@since_3_3
@pytest.mark.parametrize("slow", ["the state", "the stop"])
def test_a_stop_is_not_ended_by_further_cancels_of_the_trigger(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """The supervisor repeats its list at each sync, once a second."""
    supervisor = Supervisor(watching(athena), {WAIT: "failed"})
    if slow == "the state":
        supervisor.answer_seconds = 2.5
    else:
        take_a_while_to_stop(monkeypatch)
    clock.run(supervisor.run())

    assert supervisor.cancels >= 3
    assert athena.states == [STOPPED]


def test_a_trigger_has_not_ended_before_its_stop_has(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Python 3.11 Airflow goes on to `cleanup` at a further cancel, with `on_kill` at work."""
    take_a_while_to_stop(monkeypatch)
    trigger = start(athena, 60)

    async def clean_up_while_it_stops() -> None:
        killing = asyncio.create_task(kill(trigger, "failed"))
        await asyncio.sleep(1)
        cleaning = asyncio.create_task(trigger.cleanup())
        await asyncio.sleep(1)
        cleaning.cancel()
        await cleaning
        assert athena.states == [STOPPED]
        await killing

    clock.run(clean_up_while_it_stops())


def take_a_while_to_stop(patch: pytest.MonkeyPatch) -> None:
    """Let each stop of a query take its time."""
    stop = QueryPoller.stop

    async def slowly(look: QueryPoller, query_execution_id: str) -> None:
        await asyncio.sleep(2.5)
        await stop(look, query_execution_id)

    patch.setattr(QueryPoller, "stop", slowly)


def test_a_stop_that_does_not_end_is_told_and_the_trigger_ends(
    athena: MemoryAthena,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Athena does not serve, or the process stood still."""

    async def for_ever(*_: Any) -> None:
        await asyncio.sleep(1e6)

    monkeypatch.setattr(QueryPoller, "stop", for_ever)
    clock.run(kill(start(athena, 60), "failed"))
    assert clock.seconds == pytest.approx(STOP_WITHIN_SECONDS, abs=10)
    assert (
        "Could not stop query q-1 within 120 s (TimeoutError()). It may still be running. "
        "Stop it in the Athena console if no run needs it."
    ) in capsys.readouterr().out


@since_3_3
def test_without_an_answer_the_query_is_left_running_and_the_trigger_ends(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    clock.run(Supervisor(watching(athena), {WAIT: "failed"}, answer_seconds=1e6).run())
    assert athena.states == [LEFT]
    assert clock.seconds == pytest.approx(STOP_WITHIN_SECONDS, abs=10)


def test_a_triggerer_that_shuts_down_leaves_the_query(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    clock.run(Supervisor(watching(athena), cancels_from=float("inf"), stops_at=4).run())
    assert athena.states == [LEFT]
