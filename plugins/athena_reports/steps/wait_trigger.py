"""Waits for a query in the triggerer: many queries in one process, none in a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetTaskStates
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import TriggerEvent
from airflow.utils.state import TaskInstanceState

from athena_reports.steps.query_poller import NoAnswerError, QueryPoller
from athena_reports.steps.shared_poller import Connection

AWAITED_XCOM = "awaited_query"
"""What a deferred task waits for: the id of the query, pushed before each deferral."""

# Long, since the first task state that a triggerer asks for takes seconds: it loads Airflow's API.
STOP_WITHIN_SECONDS = 120
_STOP_IT = "Stop it in the Athena console if no run needs it."


class AthenaWaitTrigger(AthenaTrigger):
    """Fires when the query has ended, or when Athena does not answer any more.

    The payload is `{"query": <QueryExecution as JSON>, "successors_left": <number>}` or
    `{"error": <why>}`. What an error means is decided by the task: its next try asks Athena itself.
    """

    def __init__(
        self, query_execution_id: str, *, successors_left: int = 0, **connection: Any
    ) -> None:
        # The waiter of AthenaTrigger is not used, so its arguments have no effect.
        super().__init__(query_execution_id, waiter_delay=1, waiter_max_attempts=1, **connection)
        self.query_execution_id = query_execution_id
        self.successors_left = successors_left
        self._stopping: asyncio.Task[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the metadata database keeps while the task is deferred."""
        fields = {
            "query_execution_id": self.query_execution_id,
            "successors_left": self.successors_left,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", fields

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until Athena reports the end of the query."""
        with self._poller.waiting(self.query_execution_id) as wait:
            try:
                execution = await wait.next_change()
                while execution.is_running:
                    self.log.info(execution.progress)
                    execution = await wait.next_change()
            except NoAnswerError as error:
                event = TriggerEvent({"error": str(error)})
            else:
                event = TriggerEvent(
                    {
                        "query": execution.model_dump(mode="json"),
                        "successors_left": self.successors_left,
                    }
                )
        yield event

    async def on_kill(self) -> None:
        """Stop the query if its task no longer waits for it. Airflow calls this from 3.3 on.

        Airflow calls it when somebody fails, clears or marks the task. After a clear it does so
        only when the new try is scheduled (`Trigger.clean_unused` passes over tasks without a
        state), so that one may have deferred already. Airflow also calls it when another triggerer
        has taken the trigger over, because this triggerer's heartbeat was late
        (https://github.com/apache/airflow/issues/73454). The query that the task waits for tells
        these cases apart.

        Airflow cancels the trigger again at each sync of the triggerer, about every second, until
        it has ended (`TriggerRunnerSupervisor.cancelling_triggers`), and after
        `triggerer.on_kill_timeout`. That must not end a stop that is still at work, so the work is
        done in a task of its own.
        """
        self._stopping = asyncio.create_task(self._stop_unless_awaited())
        await self._stop_has_ended()
        self._stopping.result()

    async def cleanup(self) -> None:
        """Let the stop end, if one has begun. Airflow calls this last."""
        # Airflow calls `on_kill` in `asyncio.wait_for`, which in Python 3.11 does not wait for it
        # after a second cancel. What is still at work when the trigger has ended may be cancelled.
        await self._stop_has_ended()

    @cached_property
    def _poller(self) -> QueryPoller:
        """The poller that this trigger shares. A worker, which only makes the trigger, has none."""
        connection = Connection(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        return QueryPoller.of(connection)

    async def _stop_has_ended(self) -> None:
        """Wait for the stop, if one has begun. Cancels of this task do not end the wait."""
        while self._stopping is not None and not self._stopping.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._stopping])

    async def _stop_unless_awaited(self) -> None:
        try:
            async with asyncio.timeout(STOP_WITHIN_SECONDS):
                await self._stop_if_unwanted()
        except TimeoutError:
            # Athena does not serve, or the process stood still.
            problem = f"could not confirm within {STOP_WITHIN_SECONDS:g} s that it stopped"
            self.log.warning("Query %s: %s. %s", self.query_execution_id, problem, _STOP_IT)

    async def _stop_if_unwanted(self) -> None:
        query_id = self.query_execution_id
        awaited_query: str | None = None
        try:
            state = await self._task_state()
            if state == TaskInstanceState.DEFERRED:
                awaited_query = await self._awaited_query()
        except Exception as error:
            # The query may still be wanted, and a query that is stopped has to be paid again.
            problem = f"could not get what its task waits for ({error!r})"
            self.log.warning("Query %s is left running: %s. %s", query_id, problem, _STOP_IT)
            return
        if awaited_query == query_id:
            self.log.info(
                "Query %s is left running: its task still waits for it, in another trigger.",
                query_id,
            )
            return
        if awaited_query is not None:
            reason = f"waits for query {awaited_query} now"
        elif state is not None:
            reason = f"is {state}"
        else:
            reason = "was cleared or deleted"
        self.log.warning("Stopping query %s: its task %s.", query_id, reason)
        await self._poller.stop(query_id)

    async def _task_state(self) -> str | None:
        """Ask Airflow for the state of the task.

        None if the task was cleared, or is gone with its run.
        """
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
        states: dict[str, str | None] = response.task_states.get(task.run_id, {})
        return states.get(key)

    async def _awaited_query(self) -> str:
        """Ask Airflow for the query that the deferred task waits for.

        It is another one than that of this trigger if the run was cleared.
        """
        task: Any = self.task_instance
        query_id: str | None = await XCom.aget_one(
            key=AWAITED_XCOM,
            dag_id=task.dag_id,
            run_id=task.run_id,
            task_id=task.task_id,
            map_index=task.map_index,
        )
        if query_id is None:
            raise LookupError(f"it has no XCom {AWAITED_XCOM}")
        return query_id
