"""What periods are, by property and by example; every zone is walked in `test_zones`."""

import json
import operator
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

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

# Dates that no clock showed where a zone moved to the other side of the date line.
SKIPPED_DATES = ("1993-08-21", "1994-12-31", "2011-12-30")
HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)

zones = st.sampled_from(sorted(available_timezones() - {"localtime"}))
cadences = st.one_of(
    st.builds(weekly, st.sampled_from(get_args(Weekday)), zones),
    st.builds(
        Cadence, st.sampled_from([unit for unit in get_args(Unit) if unit != "weekly"]), zones
    ),
)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2100, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


# A day that begins at a midnight that the clock shows twice.
@example(Cadence("daily", "America/Goose_Bay"), datetime(1999, 11, 1, tzinfo=UTC))
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
    assert cadence.period(period.id) == period
    assert cadence.period(period.id).id == period.id == str(period)
    assert period.next.id > period.id, "ids sort as their periods do"


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
        (monthly(), "2024-12-31", "2024-12", "2024-12-01", "2025-01-01"),
        (quarterly(), "2024-03-31", "2024-Q1", "2024-01-01", "2024-04-01"),
        (quarterly(), "2024-04-01", "2024-Q2", "2024-04-01", "2024-07-01"),
        (quarterly(), "2024-12-01", "2024-Q4", "2024-10-01", "2025-01-01"),
        (yearly(), "2024-12-31", "2024", "2024-01-01", "2025-01-01"),
    ],
)
def test_the_period_of_a_date(cadence: Cadence, day: str, id: str, start: str, end: str) -> None:
    at, *bounds = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (day, start, end))
    period = cadence.containing(at)
    assert (period.id, [period.start_utc, period.end_utc]) == (id, bounds)
    assert (str(period.first_date), period.last_date) == (start, bounds[1].date() - DAY)


@given(cadences, instants)
def test_last_year_is_52_weeks_before_or_the_same_months_of_the_year_before(
    cadence: Cadence, instant: datetime
) -> None:
    period = cadence.containing(instant)
    first = period.first_date
    if cadence.unit in ("daily", "weekly"):
        expected = first - timedelta(days=364)
        assume(expected.isoformat() not in SKIPPED_DATES)
    else:
        expected = first.replace(year=first.year - 1)
    assert period.last_year.first_date == expected


def test_dates_in_a_zone_reach_as_far_as_late_events_do() -> None:
    week = WEEKS.period("2026-11-15")
    assert [str(day) for day in week.dates_in()] == [f"2026-11-{day}" for day in range(14, 22)]
    assert len(week.dates_in(late_by=9 * HOUR)) == 8, (
        "Saturday's partition ends nine hours after the week"
    )
    assert len(week.dates_in(late_by=9 * HOUR + MOMENT)) == 9
    assert [str(day) for day in week.dates_in("Asia/Tokyo")] == [
        f"2026-11-{day}" for day in range(15, 22)
    ]
    with pytest.raises(PeriodError, match="is negative: it is how long after"):
        week.dates_in(late_by=-MOMENT)


# --- Midnights that do not exist, or come twice, and dates that a zone skipped


def test_clocks_that_go_forward_from_before_midnight_to_after_it() -> None:
    """Toronto went from 23:30 on the 30th to 00:30 on the 31st; no zone has done so since 1970."""
    day = daily("America/Toronto").period("1919-03-31")
    assert day.start.isoformat() == "1919-03-31T00:30:00-04:00"
    assert day.previous.end_utc - day.previous.start_utc == 23.5 * HOUR


def test_instants_are_told_apart_where_clocks_show_the_same() -> None:
    havana = daily("America/Havana")
    first = datetime(2024, 11, 3, tzinfo=ZoneInfo("America/Havana"))
    second = first.replace(fold=1)
    assert [havana.first_from(at).id for at in (first, second)] == ["2024-11-03", "2024-11-04"]
    assert [day.id for day in havana.between(first, first + DAY)] == ["2024-11-03"]
    assert list(havana.between(second, second + HOUR)) == []


def test_a_day_that_has_begun_goes_on_while_a_clock_shows_the_date_before_again() -> None:
    """In St. John's clocks went from 00:01 on the 7th to 23:01 on the 6th."""
    days, weeks = daily("America/St_Johns"), weekly("sunday", "America/St_Johns")
    midnight = datetime(2010, 11, 7, 2, 30, tzinfo=UTC)
    assert days.period("2010-11-07").start_utc == midnight
    again = midnight + timedelta(minutes=15)
    assert again.astimezone(ZoneInfo("America/St_Johns")).isoformat()[:16] == "2010-11-06T23:15"
    for at, day, week in (
        (midnight - MOMENT, "2010-11-06", "2010-10-31"),
        (midnight, "2010-11-07", "2010-11-07"),
        (again, "2010-11-07", "2010-11-07"),
    ):
        assert (days.containing(at).id, weeks.containing(at).id) == (day, week)


def test_of_a_skipped_date_there_is_no_day_and_its_week_is_shorter() -> None:
    zone, skipped, after = "Pacific/Apia", "2011-12-30", "2011-12-31"
    with pytest.raises(PeriodError) as error:
        daily(zone).period(skipped)
    around = "the days around it are 2011-12-29 and 2011-12-31 (Daily, Pacific/Apia)"
    assert str(error.value) == f"no day begins on '2011-12-30'; {around}"

    week = weekly("friday", zone).period(skipped)
    assert (week.id, week.start.date().isoformat()) == (skipped, after)
    assert [each.end_utc - each.start_utc for each in (week.previous, week)] == [7 * DAY, 6 * DAY]


# --- Ids that name nothing


@pytest.mark.parametrize(
    ("cadence", "id", "message"),
    [
        (
            WEEKS,
            "2026-11-16",
            "the weeks around it are 2026-11-15 and 2026-11-22 (Weekly from Sunday, Asia/Tokyo)",
        ),
        (quarterly(), "2026-Q5", "expected YYYY-Qn, such as '2026-Q4' (Quarterly, UTC)"),
        (
            daily(),
            "2026-02-29",
            "'2026-02-29' is not the id of a day: expected YYYY-MM-DD, such as '2026-11-15'",
        ),
        (
            WEEKS,
            "2026-W46",
            "is not the id of a week: expected the YYYY-MM-DD of its first day, such as",
        ),
        (
            monthly(),
            "2026-13",
            "'2026-13' is not the id of a month: expected YYYY-MM, such as '2026-11'",
        ),
        (
            monthly(),
            "1899-12",
            "year 1899 is out of range: periods begin in the years 1900 to 2199 (Monthly, UTC)",
        ),
        (yearly(), "2200", "year 2200 is out of range"),
        (yearly(), "0026", "year 0026 is out of range"),
        (yearly(), "26", "expected YYYY, such as '2026'"),
    ],
)
def test_an_id_that_names_no_period_is_told_what_would(
    cadence: Cadence, id: str, message: str
) -> None:
    with pytest.raises(PeriodError) as error:
        cadence.period(id)
    assert message in str(error.value)


IDS = dict.fromkeys([daily(), weekly()], "2026-11-15") | {
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
        "0000",
        f"{id[:4]}-q4",
        f"{id[:4]}-Q0",
        None,
        2026,
    ]
    for wrong in [*spaced, *other_digits, *other_lengths, *others]:
        with pytest.raises(PeriodError, match=f"is not the id of a {cadence.noun}: expected"):
            cadence.period(wrong)  # type: ignore[arg-type]


# --- The wire form


def through_xcom(period: Period) -> Any:
    return json.loads(json.dumps(period.model_dump(mode="json")))


@given(cadences, instants)
def test_a_period_is_its_own_wire_form(cadence: Cadence, instant: datetime) -> None:
    period = cadence.containing(instant)
    received = Period.model_validate(through_xcom(period))
    assert (received, hash(received), str(received)) == (period, hash(period), period.id)
    assert received.cadence == cadence
    assert (received.start, received.end, received.index) == (
        period.start,
        period.end,
        period.index,
    )
    assert (received.next, received.previous) == (period.next, period.previous)
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


@given(cadences, instants, st.integers(min_value=1, max_value=400))
def test_no_other_date_and_no_other_id_is_taken_for_a_period(
    cadence: Cadence, instant: datetime, days: int
) -> None:
    """Nor is one of a period: a date and an id belong together."""
    period = cadence.containing(instant)
    other = period.first_date + timedelta(days)
    with pytest.raises(ValidationError):
        Period.model_validate(through_xcom(period) | {"first_date": other.isoformat()})
    with pytest.raises(ValidationError):
        Period.model_validate(through_xcom(period) | {"id": period.next.id})


SKIPPED = through_xcom(daily("Pacific/Apia").period("2011-12-29")) | {
    "first_date": "2011-12-30",
    "id": "2011-12-30",
}
WIRE = through_xcom(WEEKS.period("2026-11-15"))


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (
            SKIPPED,
            "no day begins on '2011-12-30'; the days around it are 2011-12-29 and 2011-12-31",
        ),
        (WIRE | {"first_date": "2026-11-16", "id": "2026-11-16"}, "no week begins on '2026-11-16'"),
        (WIRE | {"id": "2026-11"}, "'2026-11' is not the id of a week that begins on 2026-11-15"),
        (WIRE | {"first_date": "1899-12-31", "id": "1899-12-31"}, "year 1899 is out of range"),
        (WIRE | {"first_date": None}, "first_date"),
        (WIRE | {"first_date": "soon"}, "first_date"),
        (WIRE | {"begin": "2026-11-15"}, "begin"),
        (WIRE | {"cadence": "weekly"}, "cadence"),
        (
            WIRE | {"cadence": WIRE["cadence"] | {"timezone": "Asia/Tokio"}},
            "did you mean Asia/Tokyo",
        ),
        (
            WIRE | {"cadence": WIRE["cadence"] | {"first_day": None}},
            "first_day None is not one of monday",
        ),
        (
            WIRE | {"cadence": WIRE["cadence"] | {"first_day": "monday"}},
            "no week begins on '2026-11-15'",
        ),
        ({"id": "2026-11-15"}, "cadence"),
        (None, "valid dictionary or instance of Period"),
    ],
)
def test_a_wire_form_of_no_period_is_refused(wire: Any, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Period.model_validate(wire)
    assert message in str(error.value)


def test_naive_and_far_away_instants_are_refused_everywhere() -> None:
    naive: Any = datetime(2026, 11, 15)  # noqa: DTZ001
    aware = WEEKS.period("2026-11-15").start
    for call in (WEEKS.containing, WEEKS.last_complete, WEEKS.first_from):
        for wrong in (naive, date(2026, 11, 15)):
            with pytest.raises(
                PeriodError, match="is not an instant: pass a datetime with a time zone"
            ):
                call(wrong)
        for far in (datetime.max, datetime.min):  # noqa: DTZ901
            with pytest.raises(PeriodError, match="is out of range"):
                call(far.replace(tzinfo=UTC))
    for bounds in ((naive, aware), (aware, naive)):
        with pytest.raises(PeriodError, match="is not an instant"):
            list(WEEKS.between(*bounds))


# --- Cadences


@pytest.mark.parametrize(
    ("zone", "suggestion"),
    [
        ("Asia/Tokio", "did you mean Asia/Tokyo"),
        ("tokyo", "did you mean Asia/Tokyo?"),
        ("New York", "did you mean America/New_York"),
        ("Rome", "did you mean Europe/Rome?"),
        ("Louisville", "did you mean America/Kentucky/Louisville or America/Louisville?"),
        ("localtim", "are not accepted)"),
        *(
            (zone, "")
            for zone in (
                "JST",
                "+09:00",
                "UTC+9",
                "Asia",
                "",
                "/etc/passwd",
                "../zoneinfo/UTC",
                "UTC\0",
            )
        ),
    ],
)
def test_a_zone_that_is_no_iana_name_is_told_the_nearest(zone: str, suggestion: str) -> None:
    with pytest.raises(PeriodError) as error:
        monthly(zone)
    assert f"timezone {zone!r} is not the name of an IANA time zone" in str(error.value)
    assert (
        str(error.value).endswith(suggestion)
        if suggestion.endswith(")")
        else suggestion in str(error.value)
    )


DAYS_OF_THE_WEEK = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"unit": "hourly"},
            "unit 'hourly' is not one of daily, weekly, monthly, quarterly, yearly",
        ),
        ({"unit": "weekly"}, "first_day None is not one of monday"),
        *(
            (
                {"unit": "weekly", "first_day": day},
                f"^first_day '{day}' is not one of {DAYS_OF_THE_WEEK}{advice}$",
            )
            for day, advice in (
                ("Sunday", r": write weekly\('sunday'\)"),
                (" MONDAY ", r": write weekly\('monday'\)"),
                ("someday", r": write weekly\('sunday'\)"),
                ("first", ""),
            )
        ),
        (
            {"unit": "monthly", "first_day": "monday"},
            "first_day 'monday' has no meaning for a monthly cadence: leave it out$",
        ),
    ],
)
def test_fields_that_describe_no_cadence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PeriodError, match=message):
        Cadence(**fields)


def test_periods_of_two_cadences_have_no_order() -> None:
    week, other = WEEKS.period("2026-11-15"), weekly("sunday", "UTC").period("2026-11-15")
    assert len({week, other, WEEKS.period("2026-11-15")}) == 2
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError, match="not supported between instances of 'Period'"):
            compare(week, other)
    assert week != other

    own = WEEKS.period("2026-11-15")
    assert own <= week <= own
    assert own >= week >= own
