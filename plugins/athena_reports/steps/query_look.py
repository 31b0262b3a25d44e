"""One look at all the queries that the waits of a triggerer wait for.

A triggerer runs hundreds of waits in one event loop. If each asked Athena by itself, each would
need a client, and the calls would add up to the quota of the account, which everybody shares. Here
one task asks for all of them, 50 queries in a call, about once a second.

Source of the quotas: https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
(BatchGetQueryExecution: 20 calls a second). That a call takes 50 ids at most is in its API
reference.
"""

import asyncio
import contextvars
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from asgiref.sync import sync_to_async
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.errors import AthenaReportsError
from athena_reports.queries.execution import QueryExecution

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
_looks: dict[str, "QueryLook"] = {}  # by connection; a look is here for as long as somebody waits
_next_call_at = 0.0  # the earliest time.monotonic() of the next call


class NoAnswerError(AthenaReportsError):
    """Athena could not be asked about a query."""


@dataclass(frozen=True)
class Connection:
    """How Athena is reached: the arguments of AthenaHook."""

    aws_conn_id: str | None
    region_name: str | None = None
    verify: bool | str | None = None
    botocore_config: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """A text that is equal for equal connections."""
        fields = [self.aws_conn_id, self.region_name, self.verify, self.botocore_config]
        return json.dumps(fields, sort_keys=True)

    def new_client(self) -> Any:
        """Make a client of Athena. It reads files, and asks Airflow for the connection."""
        config = None if self.botocore_config is None else dict(self.botocore_config)
        hook = AthenaHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=config,
        )
        return hook.get_conn()


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


class QueryLook:
    """Looks at the queries of all waits of one connection, for as long as there are any."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waits: list[Wait] = []
        self._looking: asyncio.Task[None] | None = None
        self._made_client: Any = None

    @classmethod
    def of(cls, connection: Connection) -> "QueryLook":
        """Return the look that all waits of this connection share."""
        return _looks.setdefault(connection.key, cls(connection))

    @contextmanager
    def waiting(self, query_execution_id: str) -> Iterator[Wait]:
        """Look at a query for as long as the context lasts."""
        wait = Wait(query_execution_id)
        self._waits.append(wait)
        if self._looking is None:
            # In the context of the first wait, what is logged would be in the log of its task.
            self._looking = asyncio.get_running_loop().create_task(
                self._keep_looking(), context=contextvars.Context()
            )
        try:
            yield wait
        finally:
            self._waits.remove(wait)
            if not self._waits:
                self._looking.cancel()
                self._looking = None
                _looks.pop(self._connection.key, None)

    async def stop(self, query_execution_id: str) -> None:
        """Stop a query."""
        athena = await self._client()
        await asyncio.to_thread(athena.stop_query_execution, QueryExecutionId=query_execution_id)

    async def _keep_looking(self) -> None:
        pause_seconds = PAUSE_SECONDS
        while True:
            # It comes first, since the task of a new wait has asked Athena just now.
            await asyncio.sleep(pause_seconds)
            is_served = await self._look()
            if is_served:
                pause_seconds = PAUSE_SECONDS
            else:
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    async def _look(self) -> bool:
        """Ask for each query once, and return whether Athena served anything.

        A look ends at the first call that Athena throttles.
        """
        # Those that a look has left out come first in the next one.
        waits = sorted(self._waits, key=lambda wait: wait.asked_at)
        ids = list(dict.fromkeys(wait.query_execution_id for wait in waits))
        for first in range(0, len(ids), IDS_PER_CALL):
            is_throttled = await self._ask(ids[first : first + IDS_PER_CALL])
            if is_throttled:
                return first > 0
        return True

    async def _ask(self, ids: Sequence[str]) -> bool:
        """Ask for at most 50 queries in one call, and return whether Athena throttled it."""
        await _turn()
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
            # The next client has the connection and the credentials of then.
            self._made_client = None
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
        athena = await self._client()
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

    async def _client(self) -> Any:
        """Return the client. It is made at the first call, and in a thread, as that takes a while.

        As in `AwsGenericHook.get_async_conn`, the thread is one of asgiref. The triggerer of
        Airflow 3.2 answers no other one that asks for a connection.
        """
        if self._made_client is None:
            self._made_client = await sync_to_async(self._connection.new_client)()
        return self._made_client

    def _waits_for(self, ids: Sequence[str]) -> list[Wait]:
        return [wait for wait in self._waits if wait.query_execution_id in ids]


async def _turn() -> None:
    """Wait until a call may be made: those of a triggerer are 1 / CALLS_PER_SECOND seconds apart.

    All looks of a triggerer share one event loop, so `_next_call_at` needs no lock.
    """
    global _next_call_at
    now = time.monotonic()
    turn = max(now, _next_call_at)
    _next_call_at = turn + 1 / CALLS_PER_SECOND
    if turn > now:
        await asyncio.sleep(turn - now)
