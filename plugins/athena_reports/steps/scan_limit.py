"""Whether a query stays within the scan limit of its report, by the published periods."""

from typing import TYPE_CHECKING

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.publication.scan_estimate import ScanEstimate, estimate_scans

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from athena_reports.publication.location import ReportLocation


class ScanLimitError(AthenaReportsError):
    """A query would scan more than its report allows, so it was not started."""


def measured_scan(
    period: Period, glue: "GlueClient", *, database: str, location: "ReportLocation"
) -> ScanEstimate | None:
    """Return the median scan of the nearest published periods; None if none is published."""
    from athena_reports.publication.glue_table import Table

    published = Table(database, location, glue).periods_of(period.cadence)
    return estimate_scans([period], published).get(period)


def require_within(limit: int, estimate: ScanEstimate) -> None:
    """Raise ScanLimitError if a query is expected to scan more bytes than the limit."""
    if estimate.bytes > limit:
        raise ScanLimitError(
            f"the query would scan about {estimate.bytes:,} bytes ({estimate.basis}); "
            f"max_scan is {limit:,}. No query was started. "
            "Read fewer columns or partitions, or raise max_scan."
        )
