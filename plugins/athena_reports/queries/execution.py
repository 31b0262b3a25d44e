"""A query execution as Athena reports it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AliasPath, BaseModel, BeforeValidator, Field

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

# By AWS's price list of 2026-03-22, from secondary sources. A region that is not here has no price.
USD_PER_TB = {
    "ap-northeast-1": 5.0,
    "ap-southeast-1": 5.0,
    "eu-central-1": 5.0,
    "eu-west-1": 5.0,
    "sa-east-1": 9.0,
    "us-east-1": 5.0,
    "us-east-2": 5.0,
    "us-west-1": 6.75,
    "us-west-2": 5.0,
}
_BYTES_PER_TB = 1e12
_LEAST_BILLED_TB = 1e-5  # 10 MB


class QueryState(StrEnum):
    """State of a query execution. RUNNING can go back to QUEUED."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


def _at(*path: str, default: Any = "") -> Any:
    return Field(default, validation_alias=AliasPath(*path))  # in GetQueryExecution's response


def _iso_utc(instant: object) -> object:
    if not isinstance(instant, datetime):  # such as a text that was stored as JSON
        return instant
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")


_KnownOrOtherState = Annotated[QueryState | str, Field(union_mode="left_to_right")]
Instant = Annotated[str, BeforeValidator(_iso_utc)]  # UTC, milliseconds: such texts sort by time


class QueryExecution(BaseModel, frozen=True, validate_by_name=True, defer_build=True):
    """What Athena knows of one query execution; what it left out is empty or None."""

    id: str = _at("QueryExecutionId")
    state: _KnownOrOtherState = _at("Status", "State", default="UNKNOWN")
    reason: str = _at("Status", "StateChangeReason")
    submitted_at: Instant = _at("Status", "SubmissionDateTime")
    error_category: int | None = _at("Status", "AthenaError", "ErrorCategory", default=None)
    error_type: int | None = _at("Status", "AthenaError", "ErrorType", default=None)
    retryable: bool | None = _at("Status", "AthenaError", "Retryable", default=None)
    statement: str = _at("SubstatementType")
    output_location: str = _at("ResultConfiguration", "OutputLocation")
    data_manifest: str = _at("Statistics", "DataManifestLocation")
    scanned_bytes: int = _at("Statistics", "DataScannedInBytes", default=0)
    queue_milliseconds: int = _at("Statistics", "QueryQueueTimeInMillis", default=0)
    engine_version: str = _at("EngineVersion", "EffectiveEngineVersion")
    # Of a capacity reservation; None for a query that is billed by the bytes that it scans.
    dpu_count: float | None = _at("Statistics", "DpuCount", default=None)
    region: str = ""  # of the client that asked: the response does not name it

    @classmethod
    def from_response(cls, execution: Mapping[str, Any], region: str = "") -> Self:
        """Read a QueryExecution of Athena's API in a region."""
        return cls.model_validate({**execution, "region": region})

    @property
    def is_running(self) -> bool:
        """Whether the query is in Athena's queue or in the engine."""
        return self.state in (QueryState.QUEUED, QueryState.RUNNING)

    @property
    def price_usd(self) -> float | None:
        """The price of the scanned bytes; 0 for a failed query, which Athena does not bill.

        None on a capacity reservation, or if the region's price is not known.
        """
        if self.dpu_count is not None:
            return None
        if self.state is QueryState.FAILED:
            return 0.0
        return price_usd(self.scanned_bytes, self.region)

    @property
    def progress(self) -> str:
        """A sentence for the log."""
        return (
            f"Query {self.id} is {self.state}: queued for {self.queue_milliseconds / 1000:.1f} s, "
            f"{self.scanned_bytes:,} bytes scanned so far."
        )


def price_usd(scanned_bytes: int, region: str) -> float | None:
    """Return the price of a query by the bytes that it scans; None if the region has no price."""
    if region not in USD_PER_TB:
        return None
    billed_tb = max(scanned_bytes / _BYTES_PER_TB, _LEAST_BILLED_TB)
    return billed_tb * USD_PER_TB[region]


def get_query_execution(athena: "AthenaClient", query_execution_id: str) -> QueryExecution:
    """Return what Athena knows of an execution."""
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    return QueryExecution.from_response(response["QueryExecution"], athena.meta.region_name)


def console_url(query_execution_id: str, region: str, domain: str = "aws.amazon.com") -> str:
    """Return the page of a query execution in the Athena console. `domain` differs by partition."""
    console = f"https://{region}.console.{domain}/athena/home?region={region}"
    return f"{console}#/query-editor/history/{query_execution_id}"
