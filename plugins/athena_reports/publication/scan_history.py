"""What the published periods of a report scanned."""

from statistics import median
from typing import TYPE_CHECKING

from athena_reports.periods.calendar import Period
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import Location
from athena_reports.queries.scan_limit import ScanEstimate

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

NEAREST = 3


def measured_scan(period: Period, glue: "GlueClient", *, database: str, location: Location) -> ScanEstimate | None:
    """Return the median of the nearest published periods of a report, whichever its location names; None without."""
    published = Table(database, location, glue).periods_of(period.cadence)
    nearest = sorted(published, key=lambda other: (abs(other.index - period.index), other))[:NEAREST]
    if not nearest:
        return None
    scanned = median(published[other].scanned_bytes for other in nearest)
    return ScanEstimate(round(scanned), f"median of {', '.join(map(str, sorted(nearest)))}")
