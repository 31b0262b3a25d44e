"""The periods of most tests."""

from athena_reports.periods.calendar import weekly

TOKYO = "Asia/Tokyo"
TOKYO_WEEK = weekly("sunday", TOKYO)
WEEK = TOKYO_WEEK.period("2025-06-08")
