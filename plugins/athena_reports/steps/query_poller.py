"""One poller for all the queries that the waits of a triggerer wait for.

It asks for 50 queries in a call, about once a second.

Source of the quotas: https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
(BatchGetQueryExecution: 20 calls a second). That a call takes 50 ids at most is in its API
reference.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from athena_reports.aws.errors import ErrorKind, error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import AthenaReportsError
from athena_reports.queries.execution import QueryExecution
from athena_reports.steps.shared_poller import Connection, RateLimiter, SharedPoller

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
_rate_limiter = RateLimiter()


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, (ClientError, BotoCoreError)) and error_kind(error).retryable


class NoAnswerError(AthenaReportsError):
    """The status of a query was not available for a long time."""


class QueryPoller(SharedPoller[str, QueryExecution | str]):
    """Looks at the queries of all waits of one connection; answers with the query, or a problem."""

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

    async def states(self, query_execution_id: str) -> AsyncIterator[QueryExecution]:
        """Yield a query whenever its state has changed, until it has ended.

        NoAnswerError if its status is not available for `ANSWER_WITHIN_SECONDS`.
        """
        state = ""
        unanswered_since: float | None = None
        while True:
            answer = await self.ask(query_execution_id)
            if isinstance(answer, QueryExecution):
                unanswered_since = None
                if answer.state != state:
                    state = answer.state
                    yield answer
                if not answer.is_running:
                    return
                continue
            if unanswered_since is None:
                unanswered_since = time.monotonic()
                log.warning("No response from Athena; will retry: %s", answer)
            unanswered_seconds = time.monotonic() - unanswered_since
            if unanswered_seconds >= ANSWER_WITHIN_SECONDS:
                raise NoAnswerError(
                    f"Could not get the status of query {query_execution_id} "
                    f"for {unanswered_seconds:.0f} s: {answer}"
                )

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

    async def look(self, keys: Sequence[str]) -> bool:
        """Ask for each query once, or until Athena throttles; return False if it did so at once."""
        self._refused_ids.intersection_update(keys)
        is_any_served = False
        for number, ids in enumerate(self._calls(keys)):
            error = await self._ask_for(ids)
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

    async def _ask_for(self, ids: Sequence[str]) -> ErrorKind | None:
        await _rate_limiter.wait(CALLS_PER_SECOND)
        try:
            athena = await self.clients()
            response = await asyncio.to_thread(
                athena.batch_get_query_execution, QueryExecutionIds=list(ids)
            )
            answers: dict[str, QueryExecution | str] = {}
            for item in response.get("QueryExecutions", []):
                execution = QueryExecution.from_response(item, athena.meta.region_name)
                answers[execution.id] = execution
        except Exception as error:  # whatever it is: without the poller no wait would ever end
            kind = error_kind(error)
            if not kind.retryable:
                self._refused_ids.update(ids)
            for query_id in ids:
                self.answer(query_id, str(error))
            return kind
        self._refused_ids.difference_update(ids)
        for item in response.get("UnprocessedQueryExecutionIds", []):
            problem = f"{item.get('ErrorMessage', '')} ({item.get('ErrorCode', '')})"
            answers[item["QueryExecutionId"]] = problem
        for query_id in ids:
            answer = answers.get(query_id, "missing from BatchGetQueryExecution's response")
            self.answer(query_id, answer)
        return None
