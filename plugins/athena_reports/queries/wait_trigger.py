"""Waiting for a query in the triggerer: many queries in one process, none in a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.triggers.base import TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.queries.execution import QueryExecution, elapsed_since
from athena_reports.queries.wait_policy import WaitPolicy

POLLS_PER_SECOND = 40.0
"""What one triggerer asks of Athena at most, for all its queries; GetQueryExecution allows 100 an account."""

MAX_FAILED_POLLS = 10
"""After so many looks in a row that were not answered, the task is asked to decide."""


class AthenaWaitTrigger(AthenaTrigger):
    """Looks at a query when its policy says so, until it has ended.

    Fires `{"query": <facts of QueryExecution>}` when the query is no longer under way, or `{"error": <why>}`
    when Athena could not be asked. Stops the query when somebody fails, clears or marks the task (Airflow
    3.3; earlier versions do not tell the trigger).

    Args:
        query_execution_id: The query.
        submitted_at: When Athena accepted it (ISO 8601): the policy counts from there. Empty for now.
        policy: When to look; as a dictionary where Airflow hands the trigger on.
        aws_conn_id: Airflow connection.
        kwargs: What the provider's hooks take: `region_name`, `verify`, `botocore_config`.
    """

    def __init__(
        self,
        query_execution_id: str,
        submitted_at: str,
        policy: WaitPolicy | dict[str, float],
        aws_conn_id: str | None,
        **kwargs: Any,
    ) -> None:
        # The base class's own waiter is not used; it wants its numbers nevertheless.
        super().__init__(query_execution_id, 1, 1, aws_conn_id, **kwargs)
        self.query_execution_id = query_execution_id
        self.submitted_at = submitted_at
        self.policy = policy if isinstance(policy, WaitPolicy) else _policy(policy)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the metadata database keeps while the task is deferred."""
        policy = asdict(self.policy) | {"give_up_after": self.policy.give_up_after.total_seconds()}
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "query_execution_id": self.query_execution_id,
            "submitted_at": self.submitted_at,
            "policy": policy,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the query has ended; the task has looked just now, so a pause comes first."""
        failed, submitted_at = 0, self.submitted_at
        async with await self.hook().get_async_conn() as athena:
            while failed < MAX_FAILED_POLLS:
                elapsed = elapsed_since(submitted_at).total_seconds()
                await asyncio.sleep(self.policy.pause_after(elapsed) * (1 + failed))
                await _turn()
                try:
                    response = await athena.get_query_execution(QueryExecutionId=self.query_execution_id)
                except (ClientError, BotoCoreError) as error:
                    failed, problem = failed + 1, error
                    self.log.warning("Athena did not answer (%d in a row): %s", failed, error)
                else:
                    failed = 0
                    execution = QueryExecution.from_response(response)
                    if not execution.is_running:
                        yield TriggerEvent({"query": execution.to_dict()})
                        return
                    submitted_at = execution.submitted_at
                    self.log.info(execution.progress())
        yield TriggerEvent({"error": f"Athena could not be asked about {self.query_execution_id}: {problem}"})

    async def on_kill(self) -> None:
        """Stop the query: somebody decided about the task while it waited."""
        self.log.warning(
            "Stopping query %s: its task does not wait for it any more.", self.query_execution_id
        )
        async with await self.hook().get_async_conn() as athena:
            await athena.stop_query_execution(QueryExecutionId=self.query_execution_id)


def _policy(fields: dict[str, float]) -> WaitPolicy:
    return WaitPolicy(**{**fields, "give_up_after": timedelta(seconds=fields["give_up_after"])})  # type: ignore[arg-type]


_next_turn = 0.0


async def _turn() -> None:
    """Wait until this triggerer may ask again: polls are at least 1 / POLLS_PER_SECOND apart.

    All triggers run in one event loop, so a number is enough to queue them.
    """
    global _next_turn
    now = time.monotonic()
    turn, _next_turn = max(now, _next_turn), max(now, _next_turn) + 1 / POLLS_PER_SECOND
    if turn > now:
        await asyncio.sleep(turn - now)
