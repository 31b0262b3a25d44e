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
    found = Table(database, location, glue).published_periods()
    indexes = {each: period.cadence.period(each).index for each in found}
    nearest = sorted(found, key=lambda each: (abs(indexes[each] - period.index), each))[:NEAREST]
    if not nearest:
        return None
    return ScanEstimate(
        round(median(found[each].scanned_bytes for each in nearest)), f"median of {', '.join(sorted(nearest))}"
    )
