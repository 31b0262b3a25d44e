"""One look at all the queries that the waits of a triggerer wait for.

It asks for 50 queries in a call, about once a second.

Source of the quotas: https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
(BatchGetQueryExecution: 20 calls a second). That a call takes 50 ids at most is in its API
reference.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import AthenaReportsError
from athena_reports.queries.execution import QueryExecution
from athena_reports.steps.shared_look import SharedLook, Turns

PAUSE_SECONDS = 1.0
"""Between two looks."""
LONGEST_PAUSE_SECONDS = 16.0
"""Between two looks while Athena throttles."""
CALLS_PER_SECOND = 5.0
"""Of one triggerer at most, for all its connections. The account has 20."""
ANSWER_WITHIN_SECONDS = 300.0
"""A wait whose query could not be asked about for so long ends with an error."""
IDS_PER_CALL = 50

log = logging.getLogger(__name__)
_turns = Turns()


class NoAnswerError(AthenaReportsError):
    """Athena could not be asked about a query."""


class Wait:
    """One wait for the end of a query.

    The look calls `answer` or `fail`. Whoever waits calls `next_change`, in the context of the
    task, so that its lines are in the task's log.
    """

    def __init__(self, query_execution_id: str) -> None:
        self.query_execution_id = query_execution_id
        self.asked_at = time.monotonic()
        self._answered_at = time.monotonic()
        self._state = ""
        self._is_failing = False
        self._changes: asyncio.Queue[QueryExecution | str | NoAnswerError] = asyncio.Queue()

    async def next_change(self) -> QueryExecution:
        """Return the query once its state is another one than before.

        Raises:
            NoAnswerError: Athena could not be asked about the query for a long time.
        """
        while True:
            change = await self._changes.get()
            if isinstance(change, QueryExecution):
                return change
            if isinstance(change, NoAnswerError):
                raise change
            log.warning("Athena did not answer, and is asked again: %s", change)

    def answer(self, execution: QueryExecution) -> None:
        """Take what Athena says of the query."""
        self._answered_at = time.monotonic()
        self._is_failing = False
        if execution.state != self._state:
            self._state = execution.state
            self._changes.put_nowait(execution)

    def fail(self, problem: str) -> None:
        """Take that Athena said nothing of the query, and why."""
        unanswered_seconds = time.monotonic() - self._answered_at
        if unanswered_seconds >= ANSWER_WITHIN_SECONDS:
            error = NoAnswerError(
                f"Athena could not be asked about query {self.query_execution_id} "
                f"for {unanswered_seconds:.0f} s: {problem}"
            )
            self._changes.put_nowait(error)
        elif not self._is_failing:
            self._changes.put_nowait(problem)
        self._is_failing = True


class QueryLook(SharedLook[Wait]):
    """Looks at the queries of all waits of one connection."""

    @property
    def pauses_seconds(self) -> tuple[float, float]:
        """The pause between two looks, and the longest one, while Athena throttles."""
        return PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

    def new_clients(self, hook: SharedSessionHook) -> Any:
        """Make a client of Athena."""
        return hook.get_conn()

    def waiting(self, query_execution_id: str) -> AbstractContextManager[Wait]:
        """Look at a query for as long as the context lasts."""
        return self.joined(Wait(query_execution_id))

    async def stop(self, query_execution_id: str) -> None:
        """Stop a query."""
        athena = await self.clients()
        await asyncio.to_thread(athena.stop_query_execution, QueryExecutionId=query_execution_id)

    async def look(self) -> bool:
        """Ask for each query once, and return whether Athena served anything.

        A look ends at the first call that Athena throttles.
        """
        # Those that a look has left out come first in the next one.
        waits = sorted(self.waits, key=lambda wait: wait.asked_at)
        ids = list(dict.fromkeys(wait.query_execution_id for wait in waits))
        for first in range(0, len(ids), IDS_PER_CALL):
            is_throttled = await self._ask(ids[first : first + IDS_PER_CALL])
            if is_throttled:
                return first > 0
        return True

    async def _ask(self, ids: Sequence[str]) -> bool:
        """Ask for at most 50 queries in one call, and return whether Athena throttled it."""
        await _turns.wait(CALLS_PER_SECOND)
        for wait in self._waits_for(ids):
            wait.asked_at = time.monotonic()
        try:
            executions, problems = await self._batch_get(ids)
        except Exception as error:  # whatever it is: without the look no wait would ever end
            return await self._take_error(ids, error)
        for wait in self._waits_for(ids):
            query_id = wait.query_execution_id
            if query_id in executions:
                wait.answer(executions[query_id])
            else:
                wait.fail(problems.get(query_id, "the answer does not have it"))
        return False

    async def _take_error(self, ids: Sequence[str], error: Exception) -> bool:
        """Let waits know of an error of their call, and return whether Athena throttled it."""
        kind = None
        if isinstance(error, (ClientError, BotoCoreError)):
            kind = error_kind(error)
        may_succeed_later = kind is not None and kind.retryable
        if not may_succeed_later:
            self.drop_clients()
            if len(ids) > 1:
                # It may be for one of the queries, and must not fail the waits for the others.
                for query_id in ids:
                    if await self._ask([query_id]):
                        return True
                return False
        for wait in self._waits_for(ids):
            wait.fail(str(error))
        return kind is ErrorKind.THROTTLED

    async def _batch_get(
        self, ids: Sequence[str]
    ) -> tuple[Mapping[str, QueryExecution], Mapping[str, str]]:
        """Return the queries that Athena knows, by id, and for others why it does not say more."""
        athena = await self.clients()
        response = await asyncio.to_thread(
            athena.batch_get_query_execution, QueryExecutionIds=list(ids)
        )
        executions: dict[str, QueryExecution] = {}
        for described in response.get("QueryExecutions", []):
            execution = QueryExecution.from_response(
                {"QueryExecution": described}, athena.meta.region_name
            )
            executions[execution.id] = execution
        problems: dict[str, str] = {}
        for unprocessed in response.get("UnprocessedQueryExecutionIds", []):
            code = unprocessed.get("ErrorCode", "")
            message = unprocessed.get("ErrorMessage", "")
            problems[unprocessed["QueryExecutionId"]] = f"{message} ({code})"
        return executions, problems

    def _waits_for(self, ids: Sequence[str]) -> list[Wait]:
        return [wait for wait in self.waits if wait.query_execution_id in ids]
