"""The periods of most tests."""

from athena_reports.periods.calendar import monthly, weekly

TOKYO = "Asia/Tokyo"
WEEKS = weekly("sunday", TOKYO)
MONTHS = monthly(TOKYO)
UTC_WEEKS = weekly("sunday")
WEEK = WEEKS.period("2025-06-08")
