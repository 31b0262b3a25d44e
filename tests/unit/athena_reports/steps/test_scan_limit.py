"""What a query will scan, by the published periods; tests/services/test_publication.py runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from athena_reports.periods.calendar import Cadence, weekly
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition
from athena_reports.publication.scan_estimate import ScanEstimate
from athena_reports.rows.columns import TableColumn
from athena_reports.steps.scan_limit import ScanLimitError, measured_scan, require_within
from tests.support.calendars import WEEKS
from tests.support.partition_facts import facts

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

PERIOD = WEEKS.period("2025-06-15")
LOCATION = ReportLocation.of("reports", "plays", WEEKS)


def publish(table: Table, cadence: Cadence, scanned_by_id: dict[str, int]) -> None:
    """Put a partition for each period, whose query scanned so many bytes."""
    columns = [TableColumn(name="rank", type="BIGINT", glue="bigint")]
    for period_id, scanned_bytes in scanned_by_id.items():
        of_period = facts(cadence.period(period_id), scanned_bytes=scanned_bytes, price_usd=0.0)
        table.put_partition(period_id, columns, Partition("s3://reports/x/", of_period))


def test_weeks_of_another_first_day_measure_nothing(glue: GlueClient, database: str) -> None:
    table = Table(database, LOCATION, glue)
    publish(table, weekly("monday", "Asia/Tokyo"), {"2025-06-02": 1, "2025-06-09": 1})
    assert measured_scan(PERIOD, glue, database=database, location=LOCATION) is None

    publish(table, WEEKS, {"2025-06-08": 9})
    estimate = measured_scan(PERIOD, glue, database=database, location=LOCATION)
    assert estimate == ScanEstimate(9, "median of 2025-06-08", 0.0)


def test_a_query_may_scan_as_much_as_its_limit_and_not_more() -> None:
    estimate = ScanEstimate(1_000_000, "median of 2025-06-08")
    require_within(1_000_000, estimate)

    with pytest.raises(ScanLimitError) as caught:
        require_within(999_999, estimate)
    assert "about 1,000,000 bytes (median of 2025-06-08)" in str(caught.value)
    assert "max_scan is 999,999. No query was started." in str(caught.value)
    assert not caught.value.retryable
