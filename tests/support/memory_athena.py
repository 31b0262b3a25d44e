"""An Athena in memory: queries that take their time by the test's clock, tokens, stopping.

It behaves as the API reference says, and knows nothing of SQL. How each query goes is a `Plan`;
what goes wrong with calls is up to the functions `before` and `after`, which are told each action
and may raise. The names of arguments are boto3's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook

from tests.support.aws_errors import api_error

FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class Plan:
    """How a query goes."""

    # Each state before the end, and for how many seconds.
    states: tuple[tuple[str, float], ...] = (("QUEUED", 0.5), ("RUNNING", 1.5))
    end: str | None = "SUCCEEDED"  # None for a query that never ends
    reason: str = ""  # StateChangeReason
    error: Mapping[str, Any] | None = None  # AthenaError
    scanned_bytes: int = 20_000_000

    @classmethod
    def failing(
        cls, error_type: int | None, *, category: int = 1, retryable: bool | None = None
    ) -> Plan:
        error = {"ErrorCategory": category, "ErrorType": error_type, "Retryable": retryable}
        given = {name: value for name, value in error.items() if value is not None}
        return cls(end="FAILED", reason=f"Failed with type {error_type}", error=given)

    @classmethod
    def endless(cls) -> Plan:
        """A query that runs until it is stopped."""
        return cls(states=(("RUNNING", 1e9),), end=None)


@dataclass
class Query:
    """A query execution."""

    id: str
    request: Mapping[str, Any]
    submitted_at: datetime
    plan: Plan
    cancelled_at: datetime | None = None

    def state_at(self, now: datetime) -> str:
        at = self.submitted_at
        for state, seconds in self.plan.states:
            at += timedelta(seconds=seconds)
            if self.cancelled_at is not None and self.cancelled_at <= min(now, at):
                return "CANCELLED"
            if now < at:
                return state
        return self.plan.end or "RUNNING"


def nothing(action: str) -> None:
    """No fault."""


@dataclass
class MemoryAthena:
    """Stands for the client of boto3, in so far as it is used.

    Attributes:
        plan: How the next queries go, by the number of queries before.
        stop_seconds: How long it takes a query to be CANCELLED after it was asked to stop.
        before: Called with each action before it is done; what it raises is the answer.
        after: Called with each action when it is done; what it raises is the answer.
        queries: All queries, oldest first.
        calls: The actions that were asked for, each with its time.
        default_output: Where results lie of requests that name no location; empty for results that
            Athena manages.
    """

    plan: Callable[[int], Plan] = lambda _: Plan()
    stop_seconds: float = 0.0
    before: Callable[[str], None] = nothing
    after: Callable[[str], None] = nothing
    queries: dict[str, Query] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, datetime]] = field(default_factory=list)
    default_output: str = "s3://results/"

    @property
    def meta(self) -> SimpleNamespace:
        return SimpleNamespace(
            region_name="us-east-1",
            endpoint_url="https://athena.us-east-1.amazonaws.com",
            service_model=SimpleNamespace(service_name="athena"),
        )

    # --- what the client does

    def start_query_execution(self, **request: Any) -> dict[str, Any]:
        with self._called("StartQueryExecution"):
            return {"QueryExecutionId": self._start(request)}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
        with self._called("GetQueryExecution"):
            return {"QueryExecution": self.describe(QueryExecutionId)}

    def batch_get_query_execution(self, QueryExecutionIds: list[str]) -> dict[str, Any]:
        assert len(QueryExecutionIds) <= 50
        with self._called("BatchGetQueryExecution"):
            known = set(QueryExecutionIds) & set(self.queries)
            unprocessed = [
                {
                    "QueryExecutionId": id_,
                    "ErrorCode": "INVALID_INPUT",
                    "ErrorMessage": f"QueryExecution {id_} was not found",
                }
                for id_ in QueryExecutionIds
                if id_ not in known
            ]
            # The answer has no order that could be relied on.
            return {
                "QueryExecutions": [self.describe(id_) for id_ in sorted(known)],
                "UnprocessedQueryExecutionIds": unprocessed,
            }

    def stop_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
        with self._called("StopQueryExecution"):
            query = self.queries[QueryExecutionId]
            if query.cancelled_at is None:
                query.cancelled_at = self.now + timedelta(seconds=self.stop_seconds)
            return {"ResponseMetadata": {"HTTPStatusCode": 200}}

    # --- what a test asks and does

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @property
    def states(self) -> list[str]:
        return [query.state_at(self.now) for query in self.queries.values()]

    def count(self, action: str) -> int:
        return sum(called == action for called, _ in self.calls)

    def cancel(self, id_: str) -> None:
        """Stop a query in the console, which has no effect on one that has ended."""
        if self.queries[id_].state_at(self.now) not in FINAL:
            self.queries[id_].cancelled_at = self.now

    def forget_tokens(self) -> None:
        """As Athena does after a time that is not documented."""
        self.tokens.clear()

    def describe(self, id_: str) -> dict[str, Any]:
        """A QueryExecution of the service model."""
        if id_ not in self.queries:
            raise api_error("InvalidRequestException", f"QueryExecution {id_} was not found")
        query = self.queries[id_]
        state = query.state_at(self.now)
        status: dict[str, Any] = {"State": state, "SubmissionDateTime": query.submitted_at}
        if state == "CANCELLED" and query.cancelled_at is not None:
            status |= {
                "StateChangeReason": "Query cancelled by user",
                "CompletionDateTime": query.cancelled_at,
            }
        elif state == query.plan.end:
            status |= {"StateChangeReason": query.plan.reason} if query.plan.reason else {}
            status |= {"AthenaError": query.plan.error} if query.plan.error else {}
        return {
            "QueryExecutionId": id_,
            "Query": query.request["QueryString"],
            "WorkGroup": query.request["WorkGroup"],
            "QueryExecutionContext": {
                name: value.lower() if name == "Catalog" else value
                for name, value in query.request["QueryExecutionContext"].items()
            },
            "ResultConfiguration": self._result_configuration(query),
            "Status": status,
            "Statistics": {"DataScannedInBytes": query.plan.scanned_bytes},
        }

    def _result_configuration(self, query: Query) -> dict[str, Any]:
        """That of the answer: the client's, with the result object in the place of its folder."""
        configuration = dict(query.request.get("ResultConfiguration", {}))
        output = configuration.get("OutputLocation", self.default_output)
        if output:
            configuration["OutputLocation"] = f"{output}{query.id}.csv"
        return configuration

    def _start(self, request: dict[str, Any]) -> str:
        token = request.pop("ClientRequestToken", None)
        if token in self.tokens:
            known = self.queries[self.tokens[token]]
            if known.request != request:
                raise api_error("InvalidRequestException", "Idempotent parameters do not match")
            return known.id
        id_ = f"q-{len(self.queries) + 1}"
        self.queries[id_] = Query(id_, request, self.now, self.plan(len(self.queries)))
        if token is not None:
            assert 32 <= len(token) <= 128
            self.tokens[token] = id_
        return id_

    @contextmanager
    def _called(self, action: str) -> Iterator[None]:
        self.calls.append((action, self.now))
        self.before(action)
        yield
        self.after(action)


def serve(athena: MemoryAthena, patch: pytest.MonkeyPatch) -> None:
    """Let every hook of this process talk to it."""
    patch.setattr(AthenaHook, "get_conn", lambda _: athena)
    patch.setattr(AthenaHook, "conn_region_name", "ap-northeast-1")
    patch.setattr(AthenaHook, "conn_partition", "aws")
