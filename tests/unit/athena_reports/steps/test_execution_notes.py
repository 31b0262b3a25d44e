"""What a task notes in Airflow's task state store, through the accessor that Airflow gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk._shared.state import TaskScope
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetTaskStateStore,
    OKResponse,
    SetTaskStateStore,
    TaskStateStoreResult,
)
from airflow.sdk.execution_time.context import TaskStateStoreAccessor

from athena_reports.steps.execution_notes import ExecutionNotes
from athena_reports.steps.run_query import SUBMITTED_XCOM
from tests.support.airflow_run import DagRun, context
from tests.support.aws_errors import api_error
from tests.support.memory_athena import MemoryAthena, Plan
from tests.support.tasks import submitted

TI_ID = uuid4()


class Supervisor:
    """The process that keeps the store of one task; `broken` if the API server does not answer."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.broken = False
        self.asked: list[type[Any]] = []

    def send(self, message: Any) -> Any:
        assert message.ti_id == TI_ID
        self.asked.append(type(message))
        if self.broken:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        if isinstance(message, SetTaskStateStore):
            assert message.expires_at is not None, "Airflow deletes the row some day"
            self.rows[message.key] = message.value
            return OKResponse(ok=True)
        assert isinstance(message, GetTaskStateStore)
        if message.key not in self.rows:
            return ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
        return TaskStateStoreResult(value=self.rows[message.key])


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def given(run: DagRun | None = None, **of_task: Any) -> Any:
    scope = TaskScope(dag_id="plays_weekly", run_id="run-1", task_id="run_query", map_index=-1)
    store = TaskStateStoreAccessor(ti_id=TI_ID, scope=scope)
    return context(run, **of_task) | {"task_state_store": store}


def test_what_is_noted_is_found_by_its_token_in_its_own_chain(supervisor: Supervisor) -> None:
    notes = ExecutionNotes(given(), "chain")
    for number in (1, 2, 1):
        notes.add(f"token {number}", f"q-{number}")
    assert notes.are_kept
    for reader in (notes, ExecutionNotes(given(), "chain")):
        assert [reader.find(f"token {number}") for number in (1, 2, 3)] == ["q-1", "q-2", ""]
        assert reader.ids_of_other_chains() == []
    other = ExecutionNotes(given(), "another chain")
    assert other.find("token 1") == ""
    assert other.ids_of_other_chains() == ["q-1", "q-2"]
    other.add("token 3", "q-3")
    again = ExecutionNotes(given(), "chain")
    assert again.ids_of_other_chains() == ["q-3"]
    assert again.find("token 1") == "q-1"
    assert all(len(key) < 512 for key in supervisor.rows)  # as long as Airflow's column


def test_a_retry_finds_what_was_noted_and_a_cleared_run_stops_it(
    athena: MemoryAthena, supervisor: Supervisor
) -> None:
    athena.plan = lambda _: Plan.endless()
    id_ = submitted(given())
    athena.forget_tokens()
    athena.calls.clear()
    assert submitted(given(try_number=2)) == id_
    assert athena.calls == []

    cleared = DagRun(clear_number=1)
    other = submitted(given(cleared, try_number=3))
    assert other != id_
    assert athena.states == ["CANCELLED", "RUNNING"]
    # What is noted now is left alone.
    assert submitted(given(cleared, try_number=4)) == other
    assert athena.states == ["CANCELLED", "RUNNING"]


def test_a_query_of_before_an_edit_is_stopped_before_another_one_is_paid(
    athena: MemoryAthena, supervisor: Supervisor
) -> None:
    athena.plan = lambda _: Plan.endless()
    submitted(given())
    athena.calls.clear()
    submitted(given(try_number=2), "SELECT 2 AS a")
    actions = [action for action, _ in athena.calls]
    assert actions == ["StopQueryExecution", "StartQueryExecution"]
    assert athena.states == ["CANCELLED", "RUNNING"]


@pytest.mark.parametrize(
    ("error", "is_ignored"),
    [(api_error("InvalidRequestException"), True), (api_error("AccessDeniedException"), False)],
)
def test_only_an_execution_that_athena_has_forgotten_is_passed_over(
    athena: MemoryAthena, supervisor: Supervisor, error: Exception, is_ignored: bool
) -> None:
    """It forgets executions after 45 days."""
    submitted(given())

    def refuse(action: str) -> None:
        if action == "StopQueryExecution":
            raise error

    athena.before = refuse
    if is_ignored:
        assert submitted(given(try_number=2), "SELECT 2 AS a") == "q-2"
        return
    with pytest.raises(AirflowFailException, match="AccessDeniedException"):
        submitted(given(try_number=2), "SELECT 2 AS a")
    assert len(athena.queries) == 1


def test_a_first_try_is_one_call_to_athena_and_two_to_airflow(
    athena: MemoryAthena, supervisor: Supervisor
) -> None:
    submitted(given())
    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]
    assert supervisor.asked == [GetTaskStateStore, SetTaskStateStore]


def test_a_store_that_does_not_answer_costs_no_query(
    athena: MemoryAthena, supervisor: Supervisor, logged: Callable[[], list[str]]
) -> None:
    supervisor.broken = True
    first = given()
    id_ = submitted(first)
    warnings = [line for line in logged() if line.startswith("warning: ")]
    assert warnings[0].startswith("warning: Could not read the recorded queries: ")
    assert warnings[-1].startswith(f"warning: Could not record query {id_}: ")
    assert first["ti"].pushed[SUBMITTED_XCOM]
    assert submitted(given(try_number=2)) == id_
    assert len(athena.queries) == 1


@pytest.mark.parametrize("value", ["q-1", 7, ["q-1"], {"chain": 1}, {"chain": {"token": 2}}])
def test_a_note_that_somebody_has_edited_is_ignored(
    supervisor: Supervisor, value: Any, logged: Callable[[], list[str]]
) -> None:
    ExecutionNotes(given(), "chain").add("token", "q-1")
    (key,) = supervisor.rows
    notes = ExecutionNotes(given(), "chain")
    supervisor.rows[key] = value
    assert notes.find("token") == ""
    assert logged()[-1].startswith("warning: Could not read the recorded queries: ")
    notes.add("token", "q-3")
    assert notes.find("token") == "q-3"


def test_before_airflow_3_3_nothing_is_noted_and_nothing_is_wrong(
    athena: MemoryAthena, logged: Callable[[], list[str]]
) -> None:
    notes = ExecutionNotes(context(), "chain")
    notes.add("token", "q-2")
    assert (notes.are_kept, notes.find("token"), notes.ids_of_other_chains()) == (False, "", [])
    assert logged() == []
