"""Triggers, as a triggerer gets them, waits for them and ends them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    GetTaskStates,
    GetXCom,
    SetXCom,
    TaskStatesResult,
    XComResult,
)
from airflow.triggers.base import BaseTrigger
from jinja2.utils import import_string

from athena_reports.steps import partition_poller, query_poller


def through_the_database(trigger: BaseTrigger) -> Any:
    """A trigger as the triggerer gets it."""
    classpath, fields = trigger.serialize()
    return import_string(classpath)(**json.loads(json.dumps(fields)))


def be_impatient(patch: pytest.MonkeyPatch) -> None:
    """Let triggers that wait in real time look often: the local services need milliseconds."""
    for module in (query_poller, partition_poller):
        patch.setattr(module, "PAUSE_SECONDS", 0.02)
        patch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.1)
    patch.setattr(query_poller, "CALLS_PER_SECOND", 500.0)
    patch.setattr(partition_poller, "TABLES_PER_SECOND", 500.0)


CONNECTION: dict[str, Any] = {
    "aws_conn_id": "aws_games",
    "region_name": "us-west-2",
    "verify": False,
    "botocore_config": {"read_timeout": 42},
}
"""What an author may say of a task's connection, each otherwise than by default."""


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
    """The process that a trigger asks for the state of its task, and tells what it waits for."""

    def __init__(self, state: str | None) -> None:
        self.state = state  # of the task
        self.awaited = ""  # the query that the task waits for, if it is deferred

    async def asend(self, question: Any) -> Any:
        if isinstance(question, SetXCom):
            return None
        if isinstance(question, GetXCom):
            return XComResult(key=question.key, value=self.awaited)
        assert isinstance(question, GetTaskStates)
        assert question.run_ids
        assert question.task_ids
        return TaskStatesResult(
            task_states={question.run_ids[0]: {question.task_ids[0]: self.state}}
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
