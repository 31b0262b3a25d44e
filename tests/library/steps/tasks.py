"""What the operators need of Airflow, and the two tasks of a hand-written DAG."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
from airflow.triggers.base import BaseTrigger
from jinja2.utils import import_string

from athena_reports.periods.calendar import weekly
from athena_reports.queries.submission import Submitted
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from tests.simulation.clock import START as NOW

TOKYO_WEEK = weekly("sunday", timezone="Asia/Tokyo")
WEEK = TOKYO_WEEK.period("2025-06-08")
SUBMITTED = Submitted(period=WEEK, sql_sha256="").model_dump(mode="json")


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
    """What Airflow keeps of a task: XComs, tries, and when the first look was."""

    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule_date: datetime | None = None
    try_number: int = 1
    map_index: int | None = -1
    max_tries: int = 3
    start_date: datetime = NOW

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """What run_query pushed, which has the same index."""
        return (
            self.xcoms.get(key)
            if (task_ids, map_indexes) == ("run_query", self.map_index)
            else None
        )

    def get_first_reschedule_date(self, _: Mapping[str, Any]) -> datetime | None:
        return self.first_reschedule_date

    def begin_next_try(self) -> None:
        self.try_number, self.first_reschedule_date, self.xcoms = self.try_number + 1, None, {}


@dataclass
class StateStore:
    """The task state store of Airflow 3.3: it outlives tries and clears of one task of one run."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.values[key] = json.dumps(value)


def context(run: Run | None = None, param: str | None = "", **of_task: Any) -> Any:
    return {
        "dag_run": run or Run(),
        "params": {"period": param},
        "ti": TaskInstance(**of_task),
        "run_id": "run-1",
        "ds": "1999-01-01",
    }


def submit_task(query: str = "SELECT 1 AS a", **fields: Any) -> Any:
    usual: dict[str, Any] = {"database": "database_dev", "workgroup": "dev", "environment": "dev"}
    usual |= {"output_location": "s3://results/", "cadence": TOKYO_WEEK, "retries": 3}
    with DAG("plays_weekly", schedule=None):
        return AthenaSubmitOperator(task_id="run_query", query=query, **usual | fields)


def submitted(given: Any, query: str = "SELECT 1 AS a", **fields: Any) -> str:
    """Run one try of run_query."""
    task = submit_task(query, **fields)
    task.render_template_fields(given)
    id_: str = task.execute(given)
    return id_


def wait_task(id_: str = "q-1", **fields: Any) -> Any:
    usual: dict[str, Any] = {"submitted": SUBMITTED, "environment": "dev", "retries": 3}
    with DAG("plays_weekly", schedule=None):
        return AthenaWaitSensor(task_id="wait_for_query", query_execution_id=id_, **usual | fields)


def through_the_database(trigger: BaseTrigger) -> Any:
    """A trigger as the triggerer gets it."""
    classpath, fields = trigger.serialize()
    return import_string(classpath)(**json.loads(json.dumps(fields)))


async def first_event(trigger: BaseTrigger) -> Any:
    """What a trigger resumes its task with."""
    try:
        async for event in trigger.run():
            return json.loads(json.dumps(event.payload))
    finally:
        await trigger.cleanup()
    raise AssertionError("the trigger fired nothing")


WAITING = SimpleNamespace(
    dag_id="plays_weekly", run_id="run-1", task_id="wait_for_query", map_index=-1
)
"""The task instance that a trigger is run for."""


class Supervisor:
    """The process that a trigger asks for the state of its task."""

    def __init__(self, state: str | None) -> None:
        self._state = state

    async def asend(self, question: GetTaskStates) -> TaskStatesResult:
        assert question.run_ids
        assert question.task_ids
        return TaskStatesResult(
            task_states={question.run_ids[0]: {question.task_ids[0]: self._state}}
        )


async def kill(trigger: Any, state: str | None = None) -> None:
    """End a trigger as Airflow 3.3 does, while its task is in this state.

    None is that of a task which was cleared.
    """
    trigger.task_instance = WAITING
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(state), raising=False)
        await trigger.on_kill()
        await trigger.cleanup()
