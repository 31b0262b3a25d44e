"""What `calendar.json` says; tests/services/test_folders.py has the runs that it stops."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from athena_reports.periods.calendar import Cadence, monthly, weekly
from athena_reports.publication.manifest import PublishedPeriod
from athena_reports.publication.published_calendar import PublishedCalendar
from tests.support.publishing import facts
from tests.unit.athena_reports.publication.cadences import cadences

# Some of them skipped a date, or put their clocks over midnight.
FOLDER = "s3://reports/plays/weekly/"


# The zone is put on afterwards: in `datetimes`, Hypothesis would look for all of its transitions.
INSTANTS = st.builds(
    datetime.astimezone,
    st.datetimes(datetime(1902, 1, 2), datetime(2198, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timezones(),
)


@given(cadences(), INSTANTS)
def test_each_period_of_a_cadence_has_its_calendar(cadence: Cadence, at: object) -> None:
    """Also a week whose first date the zone has skipped."""
    period = PublishedPeriod.of(cadence.containing(at))  # type: ignore[arg-type]
    calendar = PublishedCalendar.of("dev", "plays", cadence)
    assert PublishedCalendar.of_facts(facts(period=period)) == calendar


def test_a_week_that_begins_after_a_skipped_date_keeps_its_first_day() -> None:
    """Samoa had no Friday 2011-12-30: the clock shows a Saturday when that week begins."""
    fridays = weekly("friday", "Pacific/Apia")
    week = fridays.period("2011-12-30")
    assert week.start.strftime("%A") == "Saturday"
    found = PublishedCalendar.of_facts(facts(period=PublishedPeriod.of(week)))
    assert found.first_day == "friday"


@given(cadences(), cadences())
def test_two_calendars_conflict_exactly_if_their_periods_differ(one: Cadence, two: Cadence) -> None:
    folder = PublishedCalendar.of("dev", "plays", one)
    conflict = folder.conflict_with(PublishedCalendar.of("dev", "plays", two), FOLDER)
    assert bool(conflict) == (one != two)
    if conflict:
        assert conflict.startswith(FOLDER)
        assert one.timezone in conflict
        assert two.timezone in conflict


def test_the_environment_comes_first() -> None:
    ours = PublishedCalendar.of("dev", "plays", weekly("sunday", "Asia/Tokyo"))
    theirs = PublishedCalendar.of("prd", "plays", weekly("monday", "UTC"))
    assert ours.conflict_with(ours, FOLDER) == ""
    assert f"{FOLDER} belongs to the environment prd, and this is dev" in theirs.conflict_with(
        ours, FOLDER
    )


@pytest.mark.parametrize(
    ("cadence", "description"),
    [
        (weekly("sunday", "Asia/Tokyo"), "weeks from Sunday in Asia/Tokyo"),
        (monthly("America/New_York"), "months in America/New_York"),
    ],
)
def test_a_calendar_is_told_in_words(cadence: Cadence, description: str) -> None:
    assert PublishedCalendar.of("dev", "plays", cadence).description == description


def test_the_bytes_of_a_calendar() -> None:
    calendar = PublishedCalendar.of("dev", "plays", weekly("sunday", "Asia/Tokyo"))
    body = calendar.model_dump_json(indent=2)
    fields = {"calendar_format": 1, "environment": "dev", "report": "plays", "cadence": "weekly"}
    fields |= {"timezone": "Asia/Tokyo", "first_day": "sunday"}
    assert body == json.dumps(fields, indent=2)
    assert PublishedCalendar.model_validate_json(body) == calendar


@pytest.mark.parametrize("name", ["environment", "report", "cadence", "timezone", "first_day"])
def test_a_calendar_without_one_of_its_facts_is_none(name: str) -> None:
    fields = PublishedCalendar.of("dev", "plays", weekly("sunday")).model_dump()
    del fields[name]
    with pytest.raises(ValidationError):
        PublishedCalendar.model_validate(fields)


@given(cadences(), INSTANTS)
def test_the_ids_of_a_calendar_sort_by_time(cadence: Cadence, at: object) -> None:
    """The newest manifest is found by the names of the folders."""
    period = cadence.containing(at)  # type: ignore[arg-type]
    periods = [period.previous, period, period.next]
    assert all(one.id < two.id and one.start_utc < two.start_utc for one, two in pairwise(periods))
