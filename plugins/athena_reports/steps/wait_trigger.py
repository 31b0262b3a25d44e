"""Waits for a query in the triggerer: many queries in one process, none in a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import BaseTrigger, TriggerEvent
from airflow.utils.state import TaskInstanceState

from athena_reports.steps.airflow_errors import status_code
from athena_reports.steps.query_poller import NoAnswerError, QueryPoller
from athena_reports.steps.shared_poller import Connection

AWAITED_XCOM = "awaited_query"
"""What a deferred task waits for: the id of the query, pushed before each deferral."""

# Long, since the first task state that a triggerer asks for takes seconds: it loads Airflow's API.
STOP_WITHIN_SECONDS = 120


class AthenaWaitTrigger(BaseTrigger):
    """Fires when the query has ended, or when Athena does not answer any more.

    The payload is `{"query": <QueryExecution as JSON>, "successors_left": <number>}` or
    `{"error": <why>}`. What an error means is decided by the task: its next try asks Athena itself.
    """

    def __init__(
        self, query_execution_id: str, successors_left: int = 0, **connection: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.query_execution_id = query_execution_id
        self.successors_left = successors_left
        self.connection = connection
        self._stopping: asyncio.Task[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the metadata database keeps while the task is deferred."""
        fields = {
            "query_execution_id": self.query_execution_id,
            "successors_left": self.successors_left,
            **self.connection,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", fields

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until Athena reports the end of the query."""
        payload: dict[str, Any] = {"successors_left": self.successors_left}
        try:
            async for execution in self._poller.states(self.query_execution_id):
                if execution.is_running:
                    self.log.info(execution.progress)
                else:
                    payload["query"] = execution.model_dump(mode="json")
        except NoAnswerError as error:
            payload = {"error": str(error)}
        yield TriggerEvent(payload)

    async def on_kill(self) -> None:
        """Stop the query if its task no longer waits for it. Airflow calls this from 3.3 on.

        It does so when somebody fails, clears or marks the task. After a clear the new try may have
        deferred already: Airflow 3.3 cancels the trigger only when that try is scheduled
        (`Trigger.clean_unused` passes over tasks without a state). Airflow 3.3 also does so when
        another triggerer has taken the trigger over, because this one's heartbeat was late
        (https://github.com/apache/airflow/issues/73454). The query that the task waits for tells
        these cases apart.
        """
        # Airflow cancels the trigger again at each sync of the triggerer, about every second, until
        # it has ended (`TriggerRunnerSupervisor.cancelling_triggers`), and after
        # `triggerer.on_kill_timeout`. That must not end a stop that is still at work.
        self._stopping = asyncio.create_task(self._stop_unless_awaited())
        await self.cleanup()

    async def cleanup(self) -> None:
        """Wait for the stop, if one has begun. Airflow calls this last.

        Cancels do not end the wait. Airflow calls `on_kill` in `asyncio.wait_for`, which in Python
        3.11 does not wait for it after a second cancel.
        """
        while self._stopping is not None and not self._stopping.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._stopping])

    @cached_property
    def _poller(self) -> QueryPoller:
        # Made late: a worker, which only makes the trigger, has none.
        return QueryPoller.of(Connection(**self.connection))

    async def _stop_unless_awaited(self) -> None:
        query_id = self.query_execution_id
        try:
            async with asyncio.timeout(STOP_WITHIN_SECONDS):
                if await self._is_awaited():
                    self.log.info(
                        "Query %s continues: another trigger is waiting for it.", query_id
                    )
                    return
                self.log.warning(
                    "Stopping query %s: its task is no longer waiting for it.", query_id
                )
                await self._poller.stop(query_id)
        except Exception as error:
            # If Airflow does not answer, the query may still be wanted, and one that is stopped has
            # to be paid again.
            self.log.warning(
                "Could not stop query %s within %d s (%r). It may still be running. "
                "Stop it in the Athena console if no run needs it.",
                query_id,
                STOP_WITHIN_SECONDS,
                error,
            )

    async def _is_awaited(self) -> bool:
        # The task waits for another query if the run was cleared.
        task: Any = self.task_instance
        request = GetTaskStates(
            dag_id=task.dag_id,
            run_ids=[task.run_id],
            task_ids=[task.task_id],
            map_index=task.map_index,
        )
        response: Any = await task_runner.SUPERVISOR_COMMS.asend(request)
        key = task.task_id
        if task.map_index >= 0:
            key = f"{task.task_id}_{task.map_index}"  # as Airflow names the state of a mapped task
        states = response.task_states.get(task.run_id, {})
        if states.get(key) != TaskInstanceState.DEFERRED:
            return False
        try:
            awaited_id: str | None = await XCom.aget_one(
                key=AWAITED_XCOM,
                dag_id=task.dag_id,
                run_id=task.run_id,
                task_id=task.task_id,
                map_index=task.map_index,
            )
        except AirflowRuntimeError as error:
            # Airflow 3.4 denies XComs to the trigger of a try that is over, so a newer try has
            # deferred. It nearly always waits for another query, and this one would run unwanted.
            if status_code(error) == HTTPStatus.FORBIDDEN:
                return False
            raise
        return awaited_id in (None, self.query_execution_id)
