"""Waits for a query in the triggerer: many queries in one process, none in a worker."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.wait_policy import WaitPolicy

POLLS_PER_SECOND = 40.0  # GetQueryExecution by one triggerer at most; an account may make 100
MAX_FAILED_POLLS = 10  # in a row, then the task is asked to decide
_next_turn = 0.0


class AthenaWaitTrigger(AthenaTrigger):
    """Fires `{"query": <QueryExecution>}` when the query has ended, `{"error": <why>}` when Athena does not answer."""

    def __init__(
        self, query_execution_id: str, submitted_at: str, policy: WaitPolicy | dict[str, Any], **connection: Any
    ) -> None:
        super().__init__(query_execution_id, 1, 1, **connection)  # its own waiter is not used
        self.query_execution_id, self.submitted_at = query_execution_id, submitted_at
        self.policy = WaitPolicy.model_validate(policy)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the metadata database keeps while the task is deferred."""
        names = ("query_execution_id", "submitted_at", "aws_conn_id", "region_name", "verify", "botocore_config")
        fields = {name: getattr(self, name) for name in names} | {"policy": self.policy.model_dump(mode="json")}
        return f"{type(self).__module__}.{type(self).__qualname__}", fields

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the query has ended; the task has asked just now, so a pause comes first."""
        failed, submitted_at = 0, self.submitted_at
        async with await self.hook().get_async_conn() as athena:
            while failed < MAX_FAILED_POLLS:
                await asyncio.sleep(self.policy.pause_after(elapsed_since(submitted_at).total_seconds()) * (1 + failed))
                await _turn()
                try:
                    response = await athena.get_query_execution(QueryExecutionId=self.query_execution_id)
                except (ClientError, BotoCoreError) as error:
                    failed, problem = failed + 1, error
                    self.log.warning("Athena did not answer (%d in a row): %s", failed, error)
                    continue
                failed, execution = 0, QueryExecution.from_response(response, athena.meta.region_name)
                if not execution.is_running:
                    yield TriggerEvent({"query": execution.model_dump(mode="json")})
                    return
                submitted_at = execution.submitted_at
                self.log.info(execution.progress)
        yield TriggerEvent({"error": f"Athena could not be asked about {self.query_execution_id}: {problem}"})

    async def on_kill(self) -> None:
        """Stop the query: somebody decided about the deferred task. Airflow calls this from 3.3 on."""
        self.log.warning("Stopping query %s: its task no longer waits for it.", self.query_execution_id)
        async with await self.hook().get_async_conn() as athena:
            await athena.stop_query_execution(QueryExecutionId=self.query_execution_id)


async def _turn() -> None:
    """Keep calls 1 / POLLS_PER_SECOND apart; all triggers of a triggerer share one event loop."""
    global _next_turn
    now = time.monotonic()
    turn, _next_turn = max(now, _next_turn), max(now, _next_turn) + 1 / POLLS_PER_SECOND
    if turn > now:
        await asyncio.sleep(turn - now)
