"""Whether a query may scan what it will: an estimate from published periods, held against the report's limit."""

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_NEAREST = 3  # so many published periods give an estimate


class ScanLimitError(AthenaReportsError):
    """A query would scan more than its report allows, so it was not started."""


class ScanEstimate(NamedTuple):
    """What a query will scan, in bytes, and where that comes from."""

    bytes: int
    basis: str


def measured_scan(
    period: Period, glue: "GlueClient", *, database: str, location: ReportLocation
) -> ScanEstimate | None:
    """Return the median of the nearest published periods of a report; None without."""
    published = Table(database, location, glue).periods_of(period.cadence)
    nearest = sorted(published, key=lambda other: (abs(other.index - period.index), other))[:_NEAREST]
    if not nearest:
        return None
    scanned = median(published[other].scanned_bytes for other in nearest)
    return ScanEstimate(round(scanned), f"median of {', '.join(map(str, sorted(nearest)))}")


def require_within(limit: int, estimate: ScanEstimate) -> None:
    """Raise ScanLimitError if more bytes than the limit are expected."""
    if estimate.bytes > limit:
        problem = f"the query would scan about {estimate.bytes:,} bytes ({estimate.basis}); max_scan is {limit:,}"
        raise ScanLimitError(f"{problem}. No query was started. Read fewer columns or partitions, or raise max_scan.")
