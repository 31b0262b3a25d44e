"""Whether a query may scan as much as it will.

An estimate from the published periods of the report is held against the report's limit.
"""

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
    """Return the median of the nearest published periods of a report; None if there is none.

    Args:
        period: The period whose query is to run.
        glue: The client of Glue.
        database: The database of the report's table.
        location: Where the report is published.
    """
    published = Table(database, location, glue).periods_of(period.cadence)

    def distance(other: Period) -> tuple[int, Period]:
        return abs(other.index - period.index), other  # of two that are as near, the earlier one

    nearest = sorted(published, key=distance)[:_NEAREST]
    if not nearest:
        return None
    scanned = median(published[other].scanned_bytes for other in nearest)
    periods = ", ".join(str(other) for other in sorted(nearest))
    return ScanEstimate(round(scanned), f"median of {periods}")


def require_within(limit: int, estimate: ScanEstimate) -> None:
    """Raise ScanLimitError if more bytes than the limit are expected."""
    if estimate.bytes > limit:
        raise ScanLimitError(
            f"the query would scan about {estimate.bytes:,} bytes ({estimate.basis}); "
            f"max_scan is {limit:,}. No query was started. "
            f"Read fewer columns or partitions, or raise max_scan."
        )
