"""What a task notes in Airflow's task state store, through the accessor that Airflow gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
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

from athena_reports.steps.execution_notes import TaskStateNotes
from athena_reports.steps.run_query import SUBMITTED_XCOM
from tests.support.airflow_run import DagRun, context
from tests.support.memory_athena import MemoryAthena
from tests.support.tasks import submitted

TI_ID = uuid4()


class Supervisor:
    """The process that keeps the store of one task; `broken` if the API server does not answer."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.broken = False

    def send(self, message: Any) -> Any:
        assert message.ti_id == TI_ID
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


def test_what_is_noted_stays_beside_what_was_noted_before(supervisor: Supervisor) -> None:
    for query_id in ("q-1", "q-2", "q-1", "q-3"):
        TaskStateNotes(given(), "0").add(query_id)
    assert TaskStateNotes(given(), "0").ids() == ["q-1", "q-2", "q-3"]
    assert list(supervisor.rows.values()) == [["q-1", "q-2", "q-3"]], "each is noted once"
    assert TaskStateNotes(given(), "1").ids() == []
    # What is known from elsewhere counts as the oldest: of many, the latest are looked at.
    notes = TaskStateNotes(given(), "0", known_ids=("q-2", "q-0"))
    assert notes.ids() == ["q-2", "q-0", "q-1", "q-3"]


def test_a_retry_finds_what_was_noted_and_a_cleared_run_does_not(
    athena: MemoryAthena, supervisor: Supervisor
) -> None:
    """A key for each clear, so a try of before the clear cannot write over the notes of after."""
    id_ = submitted(given())
    athena.forget_tokens()
    athena.calls.clear()
    assert submitted(given(try_number=2)) == id_
    assert [action for action, _ in athena.calls] == ["BatchGetQueryExecution"]

    cleared = DagRun(clear_number=1)
    assert submitted(given(cleared, try_number=3)) != id_
    assert list(supervisor.rows.values()) == [[id_], ["q-2"]]
    assert all(len(key) < 512 for key in supervisor.rows)  # as long as Airflow's column


def test_a_first_try_makes_no_more_calls_to_aws_than_before(
    athena: MemoryAthena, supervisor: Supervisor
) -> None:
    submitted(given())
    assert [action for action, _ in athena.calls] == ["StartQueryExecution"]


def test_a_store_that_does_not_answer_costs_no_query(
    athena: MemoryAthena, supervisor: Supervisor, logged: Callable[[], list[str]]
) -> None:
    supervisor.broken = True
    first = given()
    id_ = submitted(first)
    _, not_read, not_noted = logged()
    assert not_read.startswith("warning: The notes of queries could not be read: ")
    assert not_noted.startswith(f"warning: Query {id_} could not be noted: ")
    assert first["ti"].pushed[SUBMITTED_XCOM]
    athena.forget_tokens()
    assert submitted(given(try_number=2)) == id_
    assert len(athena.queries) == 1


@pytest.mark.parametrize("value", ["q-1", {"q-1": 1}, 7, ["q-1", 2]])
def test_a_note_that_somebody_has_edited_is_read_as_ids_or_not_at_all(
    athena: MemoryAthena, supervisor: Supervisor, value: Any
) -> None:
    notes = TaskStateNotes(given(), "0")
    notes.add("q-1")
    (key,) = supervisor.rows
    supervisor.rows[key] = value
    assert notes.ids() == (["q-1", "2"] if isinstance(value, list) else [])
    notes.add("q-3")
    assert notes.ids()[-1] == "q-3"


def test_before_airflow_3_3_nothing_is_noted_and_nothing_is_wrong(
    athena: MemoryAthena, logged: Callable[[], list[str]]
) -> None:
    notes = TaskStateNotes(context(), "0", known_ids=("q-1",))
    notes.add("q-2")
    assert notes.ids() == ["q-1"]
    assert logged() == []
