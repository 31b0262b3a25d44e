"""A query execution as Athena reports it, and how it is waited for. Pure: no call is made from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from athena_reports.errors import QueryError

# Athena bills by the terabyte scanned; 5 USD is the price in most regions ("Amazon Athena pricing").
PRICE_USD_PER_TB = 5.0
MINIMUM_BILLED_BYTES = 10_000_000

_RUNNING = frozenset({"QUEUED", "RUNNING"})
_FAILED = frozenset({"FAILED", "CANCELLED"})


@dataclass(frozen=True)
class WaitPolicy:
    """When a running query is looked at: soon at first, then ever more seldom.

    Attributes:
        first_poll_seconds: Pause between the first look and the second.
        factor: Each pause is this many times the one before; at least 1.
        longest_pause_seconds: No pause is longer.
        give_up_after: The wait fails when the query has not ended by then.
    """

    first_poll_seconds: float = 2.0
    factor: float = 1.5
    longest_pause_seconds: float = 60.0
    give_up_after: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        if self.first_poll_seconds <= 0 or self.factor < 1:
            raise ValueError(f"{self}: the first pause must be above 0 and the factor at least 1.")
        if self.longest_pause_seconds < self.first_poll_seconds or self.give_up_after <= timedelta(0):
            raise ValueError(
                f"{self}: the longest pause is below the first, or give_up_after is not above 0."
            )

    def pauses(self) -> Iterator[float]:
        """Yield the pauses in seconds, without end."""
        pause = self.first_poll_seconds
        while True:
            yield pause
            pause = min(pause * self.factor, self.longest_pause_seconds)

    def pause_after(self, elapsed_seconds: float) -> float:
        """Return the seconds from `elapsed_seconds` after the start until the next look is due."""
        due = 0.0
        for pause in self.pauses():
            due += pause
            if due > elapsed_seconds:
                return due - elapsed_seconds
        raise AssertionError("the pauses never end")


PATIENT = WaitPolicy(first_poll_seconds=5.0, longest_pause_seconds=120.0, give_up_after=timedelta(hours=6))
"""For queries that take long, such as a month over a large table."""


@dataclass(frozen=True)
class QueryExecution:
    """What Athena knows of one query execution.

    Attributes:
        id: The QueryExecutionId.
        state: QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED, or what Athena may add.
        reason: Athena's StateChangeReason; empty for none.
        output_location: `s3://` location of the result; empty for none.
        submitted_at: When Athena accepted it: ISO 8601, UTC, milliseconds, so that texts sort by time.
        scanned_bytes: Bytes read so far.
        queue_milliseconds: Time in Athena's queue.
        run_milliseconds: Time in the engine.
        engine_version: Athena's effective engine version.
    """

    id: str
    state: str
    reason: str
    output_location: str
    submitted_at: str
    scanned_bytes: int
    queue_milliseconds: int
    run_milliseconds: int
    engine_version: str

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> QueryExecution:
        """Read the response of GetQueryExecution; whatever Athena left out is empty."""
        execution = response.get("QueryExecution", {})
        status = execution.get("Status", {})
        statistics = execution.get("Statistics", {})
        submitted = status.get("SubmissionDateTime")
        return cls(
            id=execution.get("QueryExecutionId", ""),
            state=status.get("State", ""),
            reason=status.get("StateChangeReason", ""),
            output_location=execution.get("ResultConfiguration", {}).get("OutputLocation", ""),
            submitted_at=_iso_utc(submitted) if isinstance(submitted, datetime) else "",
            scanned_bytes=statistics.get("DataScannedInBytes", 0),
            queue_milliseconds=statistics.get("QueryQueueTimeInMillis", 0),
            run_milliseconds=statistics.get("EngineExecutionTimeInMillis", 0),
            engine_version=execution.get("EngineVersion", {}).get("EffectiveEngineVersion", ""),
        )

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> QueryExecution:
        """Return the execution that `to_dict` wrote."""
        return cls(**facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for XCom."""
        return asdict(self)

    @property
    def price_usd(self) -> float:
        """What the scan costs, at the price of most regions and Athena's minimum; a failed query is free."""
        if self.state == "FAILED":
            return 0.0
        return max(self.scanned_bytes, MINIMUM_BILLED_BYTES) / 1e12 * PRICE_USD_PER_TB

    def progress(self) -> str:
        """Say in a line how far the query is."""
        return (
            f"Query {self.id} is {self.state}: queued for {self.queue_milliseconds / 1000:.1f} s, "
            f"{self.scanned_bytes:,} bytes scanned so far."
        )


def _iso_utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def has_succeeded(execution: QueryExecution) -> bool:
    """Return whether the query has succeeded; False while it is still under way.

    A state that is missing or unknown is neither: guessing would publish a result that is not there.

    Raises:
        QueryError: The query failed or was cancelled, or its state is unknown.
    """
    if execution.state == "SUCCEEDED":
        if not execution.submitted_at:
            raise QueryError(
                f"Query {execution.id} has succeeded, but Athena does not say when it was submitted. "
                f"Clear wait_for_query to ask again."
            )
        return True
    if execution.state in _RUNNING:
        return False
    scanned = f"{execution.scanned_bytes:,} bytes scanned (about {execution.price_usd:.5f} USD)"
    if execution.state in _FAILED:
        cause = execution.reason or "Athena gives no reason"
        raise QueryError(
            f"Query {execution.id} is {execution.state}: {cause} [{scanned}]. "
            f"Mend the cause, then clear run_query with all that is downstream."
        )
    raise QueryError(
        f"Query {execution.id} is in the state {execution.state or 'missing'!r}, which is neither success "
        f"nor failure [{scanned}]. Look at it in the Athena console before clearing run_query."
    )


def console_url(query_execution_id: str, region: str) -> str:
    """Return the page of a query execution in the Athena console."""
    return (
        f"https://{region}.console.aws.amazon.com/athena/home?region={region}"
        f"#/query-editor/history/{query_execution_id}"
    )
