"""The periods of most tests."""

from datetime import date
from zoneinfo import ZoneInfo

from athena_reports.periods.calendar import Period, monthly, weekly
from athena_reports.periods.zones import dates_shown

TOKYO = "Asia/Tokyo"
WEEKS = weekly("sunday", TOKYO)
MONTHS = monthly(TOKYO)
UTC_WEEKS = weekly("sunday")
WEEK = WEEKS.period("2025-06-08")


def utc_dates(period: Period) -> list[date]:
    """The dates in UTC in which the events of a period lie."""
    return dates_shown(ZoneInfo("UTC"), period.start_utc, period.end_utc)
