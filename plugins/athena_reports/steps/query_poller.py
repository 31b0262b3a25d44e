"""One poller for all the queries that the waits of a triggerer wait for.

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
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import AthenaReportsError
from athena_reports.queries.execution import QueryExecution
from athena_reports.steps.shared_poller import Connection, SharedPoller, Turns

PAUSE_SECONDS = 1.0
"""The pause between two looks."""
LONGEST_PAUSE_SECONDS = 16.0
"""The longest pause between two looks while Athena throttles."""
CALLS_PER_SECOND = 5.0
"""Most calls of one triggerer, over all its connections. The account's quota is 20."""
ANSWER_WITHIN_SECONDS = 300.0
"""A wait whose query could not be asked about for so long ends with an error."""
IDS_PER_CALL = 50

log = logging.getLogger(__name__)
_turns = Turns()


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (ClientError, BotoCoreError)) and error_kind(error).retryable


class NoAnswerError(AthenaReportsError):
    """The status of a query was not available for a long time."""


class Wait:
    """One wait for the end of a query.

    The poller notes what Athena says. Whoever waits calls `next_change`, in the context of the
    task, so that its lines are in the task's log.
    """

    def __init__(self, query_execution_id: str) -> None:
        self.query_execution_id = query_execution_id
        self.asked_at = time.monotonic()
        self._state = ""
        self._unanswered_since: float | None = None
        self._changes: asyncio.Queue[QueryExecution | NoAnswerError | str] = asyncio.Queue()

    async def next_change(self) -> QueryExecution:
        """Return the query once its state is another one than before.

        Raises:
            NoAnswerError: The status of the query was not available for a long time.
        """
        while True:
            change = await self._changes.get()
            if isinstance(change, QueryExecution):
                return change
            if isinstance(change, NoAnswerError):
                raise change
            log.warning("No response from Athena; will ask again: %s", change)

    def note_answer(self, execution: QueryExecution) -> None:
        """Note what Athena says of the query; whoever waits learns of a new state."""
        self._unanswered_since = None
        if execution.state != self._state:
            self._state = execution.state
            self._changes.put_nowait(execution)

    def note_no_answer(self, reason: str) -> None:
        """Note that Athena said nothing of the query. In the end, the wait fails."""
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
            self._changes.put_nowait(reason)
        unanswered_seconds = now - self._unanswered_since
        if unanswered_seconds >= ANSWER_WITHIN_SECONDS:
            error = NoAnswerError(
                f"Could not get the status of query {self.query_execution_id} "
                f"for {unanswered_seconds:.0f} s: {reason}"
            )
            self._changes.put_nowait(error)


class QueryPoller(SharedPoller[Wait]):
    """Looks at the queries of all waits of one connection."""

    most_attempts = 1  # a call that fails is made again by the next look

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        # A query that may not be read must not keep the others waiting. After Athena has refused a
        # call, each of its queries is asked for alone until that succeeds.
        self._refused_ids: set[str] = set()

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

    @retry(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(5),
        wait=wait_fixed(1),
        reraise=True,
    )
    async def stop(self, query_execution_id: str) -> None:
        """Stop a query. A call that Athena does not serve is repeated."""
        athena = await self.clients()
        await asyncio.to_thread(athena.stop_query_execution, QueryExecutionId=query_execution_id)

    async def look(self) -> bool:
        """Ask for each query once; return False if Athena throttled the first call already.

        A look ends at the first call that Athena throttles.
        """
        # Those that a look has left out come first in the next one.
        waits = sorted(self.waits, key=lambda wait: wait.asked_at)
        ids = list(dict.fromkeys(wait.query_execution_id for wait in waits))
        self._refused_ids.intersection_update(ids)
        is_any_served = False
        for number, ids_of_call in enumerate(self._calls(ids)):
            error = await self._ask(ids_of_call)
            if error is None or error.retryable:
                is_any_served = True
            if error is ErrorKind.THROTTLED:
                return number > 0
        if not is_any_served:
            self.drop_clients()  # the credentials may have been corrected meanwhile
        return True

    def _calls(self, ids: Sequence[str]) -> list[list[str]]:
        """Return the ids of each call: 50 together, and at last each refused one alone."""
        together = [query_id for query_id in ids if query_id not in self._refused_ids]
        starts = range(0, len(together), IDS_PER_CALL)
        calls = [together[start : start + IDS_PER_CALL] for start in starts]
        calls += [[query_id] for query_id in ids if query_id in self._refused_ids]
        return calls

    async def _ask(self, ids: Sequence[str]) -> ErrorKind | None:
        """Ask for queries in one call; return what kept Athena from answering, if anything did."""
        await _turns.wait(CALLS_PER_SECOND)
        waits = [wait for wait in self.waits if wait.query_execution_id in ids]
        for wait in waits:
            wait.asked_at = time.monotonic()
        try:
            executions, problems = await self._batch_get(ids)
        except Exception as error:  # whatever it is: without the poller no wait would ever end
            kind = error_kind(error)
            if not kind.retryable:
                self._refused_ids.update(ids)
            for wait in waits:
                wait.note_no_answer(str(error))
            return kind
        self._refused_ids.difference_update(ids)
        for wait in waits:
            query_id = wait.query_execution_id
            if query_id in executions:
                wait.note_answer(executions[query_id])
            else:
                wait.note_no_answer(problems.get(query_id, "the response does not have it"))
        return None

    async def _batch_get(
        self, ids: Sequence[str]
    ) -> tuple[Mapping[str, QueryExecution], Mapping[str, str]]:
        """Return the queries that Athena knows, by id, and for others why it does not say more."""
        athena = await self.clients()
        response = await asyncio.to_thread(
            athena.batch_get_query_execution, QueryExecutionIds=list(ids)
        )
        executions: dict[str, QueryExecution] = {}
        for item in response.get("QueryExecutions", []):
            execution = QueryExecution.from_response(
                {"QueryExecution": item}, athena.meta.region_name
            )
            executions[execution.id] = execution
        problems: dict[str, str] = {}
        for unprocessed in response.get("UnprocessedQueryExecutionIds", []):
            code = unprocessed.get("ErrorCode", "")
            message = unprocessed.get("ErrorMessage", "")
            problems[unprocessed["QueryExecutionId"]] = f"{message} ({code})"
        return executions, problems
