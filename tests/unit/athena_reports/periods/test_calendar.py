"""What periods are, by property and by example; every zone is walked in `test_zones`."""

import json
import operator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.errors import PeriodError
from athena_reports.periods.calendar import (
    Cadence,
    Period,
    Unit,
    Weekday,
    daily,
    monthly,
    quarterly,
    weekly,
    yearly,
)
from tests.support.calendars import WEEKS

HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)

zones = st.sampled_from(sorted(available_timezones() - {"localtime"}))
cadences = st.one_of(
    st.builds(weekly, st.sampled_from(get_args(Weekday)), zones),
    st.builds(
        Cadence, st.sampled_from([unit for unit in get_args(Unit) if unit != "weekly"]), zones
    ),
)
instants = st.datetimes(datetime(2012, 1, 2), datetime(2100, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


# A day that begins at a midnight that the clock shows twice, and one whose midnight it never shows.
@example(daily("America/Havana"), datetime(2024, 11, 3, 5, tzinfo=UTC))
@example(daily("America/Sao_Paulo"), datetime(2018, 11, 4, 3, tzinfo=UTC))
@given(cadences, instants)
def test_periods_tile_time_and_an_id_names_its_period(cadence: Cadence, instant: datetime) -> None:
    period = cadence.containing(instant)
    assert period.start_utc <= instant < period.end_utc
    # A time that a clock shows twice is equal to no time of another zone (PEP 495).
    start, end = period.start.astimezone(UTC), period.end.astimezone(UTC)
    assert (start, end) == (period.start_utc, period.end_utc)
    assert cadence.containing(period.start) == cadence.containing(period.end_utc - MOMENT) == period
    assert cadence.containing(period.end) == period.next
    assert (period.next.start_utc, period.previous.end_utc) == (period.end_utc, period.start_utc)
    assert period.next.previous == period == period.previous.next
    assert period.previous < period < period.next
    assert (period.next.index, period.previous.index) == (period.index + 1, period.index - 1)
    assert cadence.period(period.id) == period
    assert cadence.period(period.id).id == period.id == str(period)
    assert period.next.id > period.id, "ids sort as their periods do"
    assert period.last_date == period.next.first_date - DAY


@given(cadences, instants)
def test_the_last_complete_and_the_first_from_are_the_nearest(
    cadence: Cadence, instant: datetime
) -> None:
    for at in (instant, cadence.containing(instant).start):
        last, first = cadence.last_complete(at), cadence.first_from(at)
        assert last.end_utc <= at < last.next.end_utc
        assert first.previous.start_utc < at <= first.start_utc


@given(cadences, instants, st.timedeltas(timedelta(0), timedelta(days=60)))
def test_between_takes_the_periods_that_start_in_the_range(
    cadence: Cadence, start: datetime, span: timedelta
) -> None:
    walked = [cadence.containing(start)]
    while walked[-1].start_utc < start + span:
        walked.append(walked[-1].next)
    expected = [period for period in walked if start <= period.start_utc < start + span]
    assert list(cadence.between(start, start + span)) == expected


@pytest.mark.parametrize(
    ("cadence", "day", "id", "start", "end"),
    [
        (daily(), "2024-02-29", "2024-02-29", "2024-02-29", "2024-03-01"),
        (weekly("monday"), "2024-12-31", "2024-12-30", "2024-12-30", "2025-01-06"),
        (monthly(), "2024-02-29", "2024-02", "2024-02-01", "2024-03-01"),
        (quarterly(), "2024-03-31", "2024-Q1", "2024-01-01", "2024-04-01"),
        (quarterly(), "2024-12-01", "2024-Q4", "2024-10-01", "2025-01-01"),
        (yearly(), "2024-12-31", "2024", "2024-01-01", "2025-01-01"),
    ],
)
def test_the_period_of_a_date(cadence: Cadence, day: str, id: str, start: str, end: str) -> None:
    at, *bounds = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (day, start, end))
    period = cadence.containing(at)
    assert (period.id, [period.start_utc, period.end_utc]) == (id, bounds)
    assert str(period.first_date) == start


@given(cadences, instants)
def test_last_year_is_52_weeks_before_or_the_same_months_of_the_year_before(
    cadence: Cadence, instant: datetime
) -> None:
    period = cadence.containing(instant)
    expected = period.first_date - timedelta(days=364)
    if cadence.unit not in ("daily", "weekly"):
        expected = period.first_date.replace(year=period.first_date.year - 1)
    assert period.last_year.first_date == expected


def test_instants_are_told_apart_where_clocks_show_the_same() -> None:
    havana = daily("America/Havana")
    first = datetime(2024, 11, 3, tzinfo=ZoneInfo("America/Havana"))
    second = first.replace(fold=1)
    assert [havana.first_from(at).id for at in (first, second)] == ["2024-11-03", "2024-11-04"]
    assert [day.id for day in havana.between(first, first + DAY)] == ["2024-11-03"]
    assert list(havana.between(second, second + HOUR)) == []


def test_a_date_that_a_zone_skipped_is_an_empty_day() -> None:
    day = daily("Pacific/Apia").period("2011-12-30")
    assert day.previous.end_utc == day.start_utc == day.end_utc == day.next.start_utc
    assert daily("Pacific/Apia").first_from(day.start_utc) == day.next


# --- Ids that name nothing

IDS = {
    daily(): "2026-11-15",
    weekly(): "2026-11-15",
    monthly(): "2026-11",
    quarterly(): "2026-Q4",
    yearly(): "2026",
}


@pytest.mark.parametrize("cadence", IDS, ids=str)
def test_an_id_is_read_strictly(cadence: Cadence) -> None:
    id = IDS[cadence]
    assert cadence.period(id).id == id
    spaced = [f" {id}", f"{id} ", f"{id}\n", f"{id}\0"]
    other_digits = [id.replace("2", "２"), id.replace("2", "٢")]
    other_lengths = ["", id[:-1], f"{id}0", f"0{id}", f"+{id}", f"{id}T00:00"]
    others = [other for other in IDS.values() if other != id] + [
        *("20261115", "2026-W46", "2026-W46-7", "2026-02-29", "2026-13"),
        *("2026-Q5", "2026-Q0", "2026-q4", "0000", "1899", "2200", "0026-01"),
    ]
    for wrong in [*spaced, *other_digits, *other_lengths, *others]:
        with pytest.raises(PeriodError):
            cadence.period(wrong)


@pytest.mark.parametrize(
    ("cadence", "id", "message"),
    [
        (
            WEEKS,
            "2026-11-16",
            "week (Weekly from Sunday, Asia/Tokyo). Use an id such as 2026-11-15",
        ),
        (weekly("monday"), "last", "week (Weekly from Monday, UTC). Use an id such as 2026-11-09"),
        (quarterly(), "2026-4", "quarter (Quarterly, UTC). Use an id such as 2026-Q4"),
    ],
)
def test_an_id_that_names_no_period_is_told_one_that_does(
    cadence: Cadence, id: str, message: str
) -> None:
    with pytest.raises(PeriodError) as error:
        cadence.period(id)
    assert str(error.value) == f"{id!r} is not the id of a {message}"


def test_naive_instants_and_far_years_are_refused() -> None:
    naive: Any = datetime(2026, 11, 15)  # noqa: DTZ001
    for call in (WEEKS.containing, WEEKS.last_complete, WEEKS.first_from):
        with pytest.raises(PeriodError, match=r"has no time zone\. Pass an aware datetime$"):
            call(naive)
    with pytest.raises(PeriodError):
        list(WEEKS.between(WEEKS.period("2026-11-15").start, naive))
    for year in (1899, 2200):
        with pytest.raises(
            PeriodError, match=f"^year {year} is out of range. Use a year from 1900"
        ):
            yearly().containing(datetime(year, 6, 1, tzinfo=UTC))


# --- The wire form


def through_xcom(period: Period) -> Any:
    return json.loads(json.dumps(period.model_dump(mode="json")))


@given(cadences, instants)
def test_a_period_is_its_own_wire_form(cadence: Cadence, instant: datetime) -> None:
    period = cadence.containing(instant)
    received = Period.model_validate(through_xcom(period))
    assert (received, hash(received), str(received)) == (period, hash(period), period.id)
    assert received.cadence == cadence
    assert (received.start, received.end) == (period.start, period.end)
    assert received.previous < period < received.next


def test_the_wire_form_can_be_read() -> None:
    assert through_xcom(WEEKS.period("2026-11-15")) == {
        "cadence": {"unit": "weekly", "timezone": "Asia/Tokyo", "first_day": "sunday"},
        "first_date": "2026-11-15",
        "id": "2026-11-15",
        "start": "2026-11-15T00:00:00+09:00",
        "end": "2026-11-22T00:00:00+09:00",
        "start_utc": "2026-11-14T15:00:00+00:00",
        "end_utc": "2026-11-21T15:00:00+00:00",
    }


# --- Cadences


@pytest.mark.parametrize("first_day", ["Sunday", " monday", "sun", None])
def test_a_week_begins_with_a_weekday_in_lower_case(first_day: Any) -> None:
    with pytest.raises(PeriodError) as error:
        weekly(first_day)
    weekdays = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"
    assert str(error.value) == f"first_day {first_day!r} is not valid. Use one of {weekdays}"


def test_a_cadence_of_another_release_is_refused() -> None:
    unit: Any = "hourly"
    with pytest.raises(
        PeriodError, match=r"^unit 'hourly' is not valid\. Use one of daily, weekly,"
    ):
        Cadence(unit)


def test_periods_of_two_cadences_have_no_order() -> None:
    week, other = WEEKS.period("2026-11-15"), weekly("sunday", "UTC").period("2026-11-15")
    assert len({week, other, WEEKS.period("2026-11-15")}) == 2
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            compare(week, other)
    assert week != other
