"""A query execution as Athena reports it, and how it is waited for. Pure: no call is made from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

# Athena bills by the terabyte scanned; 5 USD is the price in most regions ("Amazon Athena pricing").
PRICE_USD_PER_TB = 5.0
MINIMUM_BILLED_BYTES = 10_000_000

_RUNNING = frozenset({"QUEUED", "RUNNING"})


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
        error_category: 1 for Athena's own fault, 2 for the query's, 3 for others; None without a failure.
        error_type: Athena's number for the kind of failure; None for none.
        retryable: Whether Athena thinks that the query might succeed if it is started again.
        completed_at: When it ended, written as `submitted_at` is; empty while it has not.
        statement: Athena's SubstatementType, such as SELECT or UNLOAD; empty if Athena does not say.
        data_manifest: `s3://` location of the list of files that an UNLOAD wrote; empty for none.
        database: Glue database that it ran in; empty for none.
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
    error_category: int | None = None
    error_type: int | None = None
    retryable: bool | None = None
    completed_at: str = ""
    statement: str = ""
    data_manifest: str = ""
    database: str = ""

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> QueryExecution:
        """Read the response of GetQueryExecution; whatever Athena left out is empty."""
        execution = response.get("QueryExecution", {})
        status = execution.get("Status", {})
        statistics = execution.get("Statistics", {})
        error = status.get("AthenaError", {})
        submitted, completed = status.get("SubmissionDateTime"), status.get("CompletionDateTime")
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
            error_category=error.get("ErrorCategory"),
            error_type=error.get("ErrorType"),
            retryable=error.get("Retryable"),
            completed_at=_iso_utc(completed) if isinstance(completed, datetime) else "",
            statement=execution.get("SubstatementType", ""),
            data_manifest=statistics.get("DataManifestLocation", ""),
            database=execution.get("QueryExecutionContext", {}).get("Database", ""),
        )

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> QueryExecution:
        """Return the execution that `to_dict` wrote."""
        return cls(**facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for XCom."""
        return asdict(self)

    @property
    def is_running(self) -> bool:
        """Whether Athena is still at it: in the queue, or in the engine."""
        return self.state in _RUNNING

    @property
    def price_usd(self) -> float:
        """What the scan costs, at the price of most regions and Athena's minimum; a failed query is free."""
        if self.state == "FAILED":
            return 0.0
        return max(self.scanned_bytes, MINIMUM_BILLED_BYTES) / 1e12 * PRICE_USD_PER_TB

    @property
    def error_facts(self) -> str:
        """Athena's classification of a failure, in words."""
        category = {1: "system", 2: "user", 3: "other"}.get(self.error_category or 0, "none")
        return f"category {category}, type {'none' if self.error_type is None else self.error_type}"

    def progress(self) -> str:
        """Say in a line how far the query is."""
        return (
            f"Query {self.id} is {self.state}: queued for {self.queue_milliseconds / 1000:.1f} s, "
            f"{self.scanned_bytes:,} bytes scanned so far."
        )


def elapsed_since(submitted_at: str) -> timedelta:
    """Return the time since a query was submitted; none if Athena does not say when."""
    return datetime.now(UTC) - datetime.fromisoformat(submitted_at) if submitted_at else timedelta(0)


def _iso_utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


def console_url(query_execution_id: str, region: str, domain: str = "aws.amazon.com") -> str:
    """Return the page of a query execution in the Athena console; `domain` differs by AWS partition."""
    return (
        f"https://{region}.console.{domain}/athena/home?region={region}"
        f"#/query-editor/history/{query_execution_id}"
    )
