"""Where things are published: the addresses are a contract with whoever reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.periods.calendar import monthly, weekly
from athena_reports.publication.location import PeriodLocation, ReportLocation

WEEK = PeriodLocation.of("reports", "plays", weekly("sunday").period("2026-11-15"))
names = st.text("abcdefgh0123456789_-.", min_size=1)


def test_the_addresses_of_a_period() -> None:
    assert WEEK.report.folder_uri == "s3://reports/plays/weekly/"
    assert WEEK.report.latest_uri == "s3://reports/plays/weekly/latest.json"
    assert WEEK.report.calendar_uri == "s3://reports/plays/weekly/calendar.json"
    assert WEEK.report.table_name == "plays_weekly"
    assert WEEK.folder_uri == "s3://reports/plays/weekly/2026-11-15/"
    assert WEEK.manifest_uri == "s3://reports/plays/weekly/2026-11-15/manifest.json"
    assert WEEK.versions_uri == "s3://reports/plays/weekly/2026-11-15/versions/"
    assert WEEK.version_uri("v1") == "s3://reports/plays/weekly/2026-11-15/versions/v1/"
    sql_uri = "s3://reports/plays/weekly/2026-11-15/versions/v1/sql/0123456789abcdef.sql"
    assert WEEK.sql_uri("v1", "0123456789abcdef" * 4) == sql_uri
    assert WEEK.uri("a/key") == "s3://reports/a/key"
    month = PeriodLocation.of("reports", "plays", monthly().period("2026-11"))
    assert month.folder_uri == "s3://reports/plays/monthly/2026-11/"
    assert month.report == ReportLocation.of("reports", "plays", monthly())
    assert month.report.period_folder("2026-11") == month


@given(names, names, names)
def test_a_location_is_read_back_from_its_folder(
    bucket: str, report: str, cadence_name: str
) -> None:
    location = ReportLocation.of_folder(f"s3://{bucket}/{report}/{cadence_name}/")
    assert location == ReportLocation(bucket, report, cadence_name)
    assert ReportLocation.of_folder(location.folder_uri) == location


@pytest.mark.parametrize(
    "folder_uri", ["s3://reports", "s3://reports/", "s3://reports/plays", "s3://reports/plays/", ""]
)
def test_a_folder_that_names_no_cadence_is_not_the_folder_of_its_location(folder_uri: str) -> None:
    """So a table in Glue with such a location is not one of ours."""
    location = ReportLocation.of_folder(folder_uri)
    assert location.cadence_name == ""
    assert location.folder_uri != folder_uri
