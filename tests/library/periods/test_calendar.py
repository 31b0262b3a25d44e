"""What periods are, by example and by property; every zone is walked in `test_zones`."""

import json
import pickle
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

import pendulum
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from athena_reports.errors import PeriodError
from athena_reports.periods.calendar import (
    Cadence,
    Unit,
    Weekday,
    daily,
    monthly,
    quarterly,
    weekly,
    yearly,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
TOKYO_WEEK = weekly("sunday", "Asia/Tokyo")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


zones = st.sampled_from(sorted(available_timezones() - {"localtime"}))
cadences = st.one_of(
    st.builds(weekly, st.sampled_from(get_args(Weekday)), zones),
    st.builds(Cadence, st.sampled_from([unit for unit in get_args(Unit) if unit != "weekly"]), zones),
)
instants = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
    datetime(2100, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)


# --- The algebra, by property


@given(cadences, instants)
def test_an_instant_lies_in_its_period_and_no_other(cadence: Cadence, instant: datetime) -> None:
    period = cadence.containing(instant)
    assert period.start_utc <= instant < period.end_utc
    assert cadence.containing(period.start) == period
    assert cadence.containing(period.end_utc - MOMENT) == period
    assert cadence.containing(period.end) == period.next


@given(cadences, instants)
def test_periods_tile_time(cadence: Cadence, instant: datetime) -> None:
    period = cadence.containing(instant)
    assert period.next.start_utc == period.end_utc
    assert period.previous.end_utc == period.start_utc
    assert period.next.previous == period == period.previous.next
    assert period.previous < period < period.next
    assert period.start_utc < period.end_utc
    assert (period.start, period.end) == (period.start_utc, period.end_utc)


@given(cadences, instants)
def test_an_id_names_its_period(cadence: Cadence, instant: datetime) -> None:
    period = cadence.containing(instant)
    assert cadence.period(period.id) == period
    assert cadence.period(period.id).id == period.id == str(period)
    assert period.next.id > period.id, "ids sort as their periods do"


@given(cadences, instants)
def test_the_last_complete_and_the_first_from_are_the_nearest(cadence: Cadence, at: datetime) -> None:
    around = cadence.containing(at - 3 * DAY).previous
    candidates = [around]
    while candidates[-1].start_utc <= at + 3 * DAY:
        candidates.append(candidates[-1].next)
    assert cadence.last_complete(at) == max(period for period in candidates if period.end_utc <= at)
    assert cadence.first_from(at) == min(period for period in candidates if period.start_utc >= at)


@given(cadences, instants)
def test_a_boundary_ends_one_period_and_begins_the_next(cadence: Cadence, at: datetime) -> None:
    period = cadence.containing(at)
    assert cadence.last_complete(period.end) == period
    assert cadence.last_complete(period.end_utc - MOMENT) == period.previous
    assert cadence.first_from(period.start) == period
    assert cadence.first_from(period.start_utc + MOMENT) == period.next


@given(cadences, instants, st.timedeltas(timedelta(0), timedelta(days=60)))
def test_between_takes_the_periods_that_start_in_the_range(cadence: Cadence, start: datetime, span: timedelta) -> None:
    end = start + span
    found = list(cadence.between(start, end))
    walked = [cadence.containing(start)]
    while walked[-1].start_utc < end:
        walked.append(walked[-1].next)
    assert found == [period for period in walked if start <= period.start_utc < end]


@given(cadences, instants, zones, st.timedeltas(timedelta(0), timedelta(days=40)))
@settings(max_examples=50)
def test_dates_in_a_zone_are_those_that_its_clock_shows(
    cadence: Cadence, instant: datetime, zone: str, late_by: timedelta
) -> None:
    assume(cadence.unit in ("daily", "weekly"))
    period = cadence.containing(instant)
    minutes = int((period.end_utc + late_by - period.start_utc) / (HOUR / 4))
    clock = ZoneInfo(zone)
    readings = [period.start_utc + HOUR / 4 * n for n in range(minutes + 1)]
    readings.append(period.end_utc + late_by - MOMENT)
    shown = {r.astimezone(clock).date() for r in readings if r < period.end_utc + late_by}
    found = period.dates_in(zone, late_by)
    assert found == sorted(set(found))
    assert set(found) >= shown
    assert len(found) <= len(shown) + 1, "at most the first few minutes of a date fall between two readings"


@given(cadences)
def test_a_cadence_survives_serialisation(cadence: Cadence) -> None:
    assert Cadence(**json.loads(json.dumps(asdict(cadence)))) == cadence
    assert cadence.zone.key == cadence.timezone
    copy = pickle.loads(pickle.dumps(cadence))
    assert (copy, hash(copy), copy.description) == (cadence, hash(cadence), cadence.description)


# --- Periods as reports use them


@pytest.mark.parametrize(
    ("cadence", "day", "id", "start", "end"),
    [
        (daily(), "2024-02-29", "2024-02-29", "2024-02-29", "2024-03-01"),
        (weekly("monday"), "2024-12-31", "2024-12-30", "2024-12-30", "2025-01-06"),
        (weekly("sunday"), "2024-12-31", "2024-12-29", "2024-12-29", "2025-01-05"),
        (weekly("wednesday"), "2025-01-01", "2025-01-01", "2025-01-01", "2025-01-08"),
        (monthly(), "2024-02-29", "2024-02", "2024-02-01", "2024-03-01"),
        (monthly(), "2024-12-31", "2024-12", "2024-12-01", "2025-01-01"),
        (quarterly(), "2024-03-31", "2024-Q1", "2024-01-01", "2024-04-01"),
        (quarterly(), "2024-12-01", "2024-Q4", "2024-10-01", "2025-01-01"),
        (yearly(), "2024-12-31", "2024", "2024-01-01", "2025-01-01"),
    ],
)
def test_the_period_of_a_date(cadence: Cadence, day: str, id: str, start: str, end: str) -> None:
    period = cadence.containing(utc(day))
    assert (period.id, period.start_utc, period.end_utc) == (id, utc(start), utc(end))


def test_utc_partitions_of_a_local_period() -> None:
    week = TOKYO_WEEK.period("2026-11-15")
    assert [str(day) for day in week.dates_in()] == [f"2026-11-{day}" for day in range(14, 22)]
    assert [str(day) for day in week.dates_in(late_by=DAY)] == [f"2026-11-{day}" for day in range(14, 23)]
    assert len(week.dates_in(late_by=9 * HOUR)) == 8, "Saturday's partition ends nine hours after the week"
    assert len(week.dates_in(late_by=9 * HOUR + MOMENT)) == 9
    assert [str(day) for day in week.dates_in("Asia/Tokyo")] == [f"2026-11-{day}" for day in range(15, 22)]
    february = monthly("Asia/Tokyo").period("2025-02")
    assert [str(february.dates_in()[n]) for n in (0, -1)] == ["2025-01-31", "2025-02-28"]
    assert len(weekly().period("2026-11-15").dates_in()) == 7
    assert len(weekly().period("2026-11-15").dates_in(late_by=MOMENT)) == 8
    with pytest.raises(PeriodError, match="is negative: it is how long after"):
        week.dates_in(late_by=-MOMENT)


def test_airflow_s_instants_are_accepted_and_do_not_leak() -> None:
    period = TOKYO_WEEK.containing(pendulum.datetime(2026, 11, 15, 0, 0, tz="Asia/Tokyo"))
    assert period.id == "2026-11-15"
    assert [type(value) for value in (period.first_date, period.start_utc, period.last_date)] == [
        date,
        datetime,
        date,
    ]
    assert TOKYO_WEEK.last_complete(pendulum.datetime(2026, 11, 21, 15)) == period


# --- Midnights that do not exist, or come twice


def test_clocks_that_go_forward_from_before_midnight_to_after_it() -> None:
    """Toronto went from 23:30 on the 30th to 00:30 on the 31st; no zone has done so since 1970."""
    day = daily("America/Toronto").period("1919-03-31")
    assert day.start_utc == utc("1919-03-31T04:30")
    assert day.start.isoformat() == "1919-03-31T00:30:00-04:00"
    assert day.previous.end_utc - day.previous.start_utc == 23.5 * HOUR


def test_instants_are_told_apart_where_clocks_show_the_same() -> None:
    havana = daily("America/Havana")
    first = datetime(2024, 11, 3, tzinfo=ZoneInfo("America/Havana"))
    second = first.replace(fold=1)
    assert havana.first_from(first).id == "2024-11-03"
    assert havana.first_from(second).id == "2024-11-04"
    assert [day.id for day in havana.between(first, first + DAY)] == ["2024-11-03"]
    assert list(havana.between(second, second + HOUR)) == []
    assert havana.containing(first - MOMENT).id == "2024-11-02"
    assert havana.containing(first).id == "2024-11-03"


# --- Dates that a zone skipped


@pytest.mark.parametrize(
    ("zone", "skipped", "before", "after", "instant"),
    [
        ("Pacific/Apia", "2011-12-30", "2011-12-29", "2011-12-31", "2011-12-30T10:00"),
        ("Pacific/Fakaofo", "2011-12-30", "2011-12-29", "2011-12-31", "2011-12-30T11:00"),
        ("Pacific/Kwajalein", "1993-08-21", "1993-08-20", "1993-08-22", "1993-08-21T12:00"),
        ("Pacific/Kiritimati", "1994-12-31", "1994-12-30", "1995-01-01", "1994-12-31T10:00"),
        ("Pacific/Enderbury", "1994-12-31", "1994-12-30", "1995-01-01", "1994-12-31T11:00"),
    ],
)
def test_a_skipped_date(zone: str, skipped: str, before: str, after: str, instant: str) -> None:
    days = daily(zone)
    with pytest.raises(PeriodError) as error:
        days.period(skipped)
    assert str(error.value) == (
        f"no day begins on '{skipped}'; the days around it are {before} and {after} (Daily, {zone})"
    )

    assert days.period(before).next == days.period(after)
    assert days.period(after).previous == days.period(before)
    assert days.period(before).end_utc == days.period(after).start_utc == utc(instant)

    weekday = get_args(Weekday)[date.fromisoformat(skipped).weekday()]
    week = weekly(weekday, zone).period(skipped)
    assert week.id == skipped
    assert week.start_utc == utc(instant)
    assert week.start.date() == date.fromisoformat(after)
    assert week.end_utc - week.start_utc == 6 * DAY
    assert week.dates_in(zone)[0] == date.fromisoformat(after)
    assert [len(each.dates_in(zone)) for each in (week, week.previous)] == [6, 7]


# --- Ids that name nothing


@pytest.mark.parametrize(
    ("cadence", "id", "message"),
    [
        (
            TOKYO_WEEK,
            "2026-11-16",
            "no week begins on '2026-11-16'; the weeks around it are 2026-11-15 and 2026-11-22 "
            "(Weekly from Sunday, Asia/Tokyo)",
        ),
        (
            monthly(),
            "2026-13",
            "'2026-13' is not the id of a month: expected YYYY-MM, such as '2026-11' (Monthly, UTC)",
        ),
        (quarterly(), "2026-Q5", "'2026-Q5' is not the id of a quarter"),
        (quarterly(), "2026-Q0", "'2026-Q0' is not the id of a quarter"),
        (daily(), "2026-02-29", "'2026-02-29' is not the id of a day"),
        (daily(), "2026-13-10", "'2026-13-10' is not the id of a day"),
        (
            monthly(),
            "1899-12",
            "year 1899 is out of range: periods begin in the years 1900 to 2199 (Monthly, UTC)",
        ),
        (yearly(), "0000", "'0000' is not the id of a year"),
        (yearly(), "2200", "year 2200 is out of range"),
        (
            daily(),
            "2026-1-15",
            "'2026-1-15' is not the id of a day: expected YYYY-MM-DD, such as '2026-11-15'",
        ),
        (
            TOKYO_WEEK,
            "2026-W46",
            "is not the id of a week: expected the YYYY-MM-DD of its first day, such as",
        ),
        (
            monthly(),
            "2026-1",
            "'2026-1' is not the id of a month: expected YYYY-MM, such as '2026-11' (Monthly, UTC)",
        ),
        (quarterly(), "2026-4", "expected YYYY-Qn, such as '2026-Q4'"),
        (yearly(), "26", "expected YYYY, such as '2026'"),
    ],
)
def test_an_id_that_names_no_period(cadence: Cadence, id: str, message: str) -> None:
    with pytest.raises(PeriodError) as error:
        cadence.period(id)
    assert message in str(error.value)


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
    other_cadences = [other for other in IDS.values() if other != id]
    other_types = [None, 2026, b"2026", date(2026, 11, 15)]
    malformed = [*spaced, *other_digits, *other_lengths, *other_cadences, *other_types, f"{id[:4]}-q4"]
    for wrong in malformed:
        with pytest.raises(PeriodError, match=f"is not the id of a {cadence.noun}: expected"):
            cadence.period(wrong)  # type: ignore[arg-type]


def test_the_facts_of_a_period_are_texts() -> None:
    assert TOKYO_WEEK.period("2026-11-15").facts.model_dump(mode="json") == {
        "id": "2026-11-15",
        "cadence": "weekly",
        "timezone": "Asia/Tokyo",
        "start": "2026-11-15T00:00:00+09:00",
        "end": "2026-11-22T00:00:00+09:00",
        "start_utc": "2026-11-14T15:00:00+00:00",
        "end_utc": "2026-11-21T15:00:00+00:00",
    }


def test_naive_instants_are_refused_everywhere() -> None:
    naive = datetime(2026, 11, 15)  # noqa: DTZ001
    week = TOKYO_WEEK.period("2026-11-15")
    aware = week.start
    for call in (
        lambda: TOKYO_WEEK.containing(naive),
        lambda: TOKYO_WEEK.last_complete(naive),
        lambda: TOKYO_WEEK.first_from(naive),
        lambda: list(TOKYO_WEEK.between(naive, aware)),
        lambda: list(TOKYO_WEEK.between(aware, naive)),
        lambda: TOKYO_WEEK.containing(date(2026, 11, 15)),  # type: ignore[arg-type]
    ):
        with pytest.raises(PeriodError, match="is not an instant: pass a datetime with a time zone"):
            call()


def test_instants_far_away_are_refused() -> None:
    for instant in (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(PeriodError, match="is out of range"):
            TOKYO_WEEK.containing(instant)


# --- Cadences


def test_names_and_descriptions() -> None:
    assert [cadence.name for cadence in IDS] == ["daily", "weekly", "monthly", "quarterly", "yearly"]
    assert [cadence.noun for cadence in IDS] == ["day", "week", "month", "quarter", "year"]
    assert TOKYO_WEEK.description == "Weekly from Sunday, Asia/Tokyo"
    assert monthly("America/New_York").description == "Monthly, America/New_York"


def test_a_first_day_is_a_day_in_lower_case() -> None:
    assert weekly("monday") == Cadence("weekly", "UTC", "monday")
    choices = "monday, tuesday, wednesday, thursday, friday, saturday, sunday"
    for wrong in ("Sunday", "sun", ""):
        with pytest.raises(PeriodError, match=f"first_day '{wrong}' is not one of {choices}"):
            weekly(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "suggestion"),
    [
        ("Asia/Tokio", "did you mean Asia/Tokyo"),
        ("asia/tokyo", "did you mean Asia/Tokyo"),
        ("tokyo", "did you mean Asia/Tokyo?"),
        ("New York", "did you mean America/New_York"),
        ("America/Sao Paulo", "did you mean America/Sao_Paulo"),
        ("Knox", "did you mean America/Indiana/Knox"),
        ("JST", ""),
        ("+09:00", ""),
        ("UTC+9", ""),
        ("local", ""),
        ("Asia", ""),
        ("", ""),
        ("/etc/passwd", ""),
        ("../zoneinfo/UTC", ""),
        ("Asia/Tokyo\0", ""),
    ],
)
def test_a_zone_that_is_no_iana_name(zone: str, suggestion: str) -> None:
    with pytest.raises(PeriodError) as error:
        monthly(zone)
    assert f"timezone {zone!r} is not the name of an IANA time zone" in str(error.value)
    assert suggestion in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": "hourly"}, "unit 'hourly' is not one of daily, weekly, monthly, quarterly, yearly"),
        ({"unit": "weekly", "timezone": "UTC"}, "first_day None is not one of monday"),
        (
            {"unit": "monthly", "first_day": "monday"},
            "first_day 'monday' has no meaning for a monthly cadence",
        ),
    ],
)
def test_fields_that_describe_no_cadence(fields: dict[str, str], message: str) -> None:
    with pytest.raises(PeriodError, match=message):
        Cadence(**fields)  # type: ignore[arg-type]


def test_periods_of_two_cadences_have_no_order() -> None:
    week, other = TOKYO_WEEK.period("2026-11-15"), weekly("sunday", "UTC").period("2026-11-15")
    assert week != other
    assert len({week, other, TOKYO_WEEK.period("2026-11-15")}) == 2
    for compare in (lambda: week < other, lambda: week >= other, lambda: max(week, other)):
        with pytest.raises(TypeError, match="not supported between instances of 'Cadence'"):
            compare()
    with pytest.raises(TypeError):
        sorted([week, "2026-11-15"])  # type: ignore[type-var]
    assert week <= week < week.next
    assert sorted([week.next, week, week.previous]) == [week.previous, week, week.next]
