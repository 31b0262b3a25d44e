from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pendulum
import pytest
import time_machine
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import Report, build_dag
from athena_reports.periods.calendar import Cadence, daily, monthly, quarterly, weekly, yearly
from athena_reports.periods.timetable import PeriodTimetable
from tests.parsed import parse_dags

TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"
DELAY = timedelta(minutes=5)
WEEKLY = PeriodTimetable(weekly("sunday", timezone=TOKYO), DELAY)
MONTHLY = PeriodTimetable(monthly(timezone=TOKYO), DELAY)
CADENCES = [
    daily(NEW_YORK),
    weekly("monday", NEW_YORK),
    monthly("America/Sao_Paulo"),
    quarterly("Pacific/Apia"),
    yearly("UTC"),
]
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def instant(text: str) -> pendulum.DateTime:
    """`2025-01-05 00:00 Asia/Tokyo`."""
    day, time, zone = text.split()
    return pendulum.instance(datetime.fromisoformat(f"{day} {time}").replace(tzinfo=ZoneInfo(zone)))


def restriction(earliest: datetime | None, latest: datetime | None = None, *, catchup: bool = True) -> TimeRestriction:
    first, last = (None if at is None else pendulum.instance(at) for at in (earliest, latest))
    return TimeRestriction(first, last, catchup)


def chain(timetable: Timetable, within: TimeRestriction) -> Iterator[DagRunInfo]:
    """The runs that Airflow creates one after the other, each asked for after the one before."""
    last: DataInterval | None = None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=within):
        yield info
        last = info.data_interval


def round_trip(dag: DAG) -> SerializedDAG:
    """The DAG as Airflow's scheduler has it from the metadata database."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def interval_of(info: DagRunInfo) -> DataInterval:
    assert info.data_interval is not None
    return info.data_interval


def saturdays_at_15_05_utc(first: datetime, last: datetime) -> list[datetime]:
    """cron(5 15 ? * SAT *)."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    ticks = [day.replace(hour=15, minute=5) for day in days if day.isoweekday() == 6]
    return [tick for tick in ticks if first <= tick <= last]


def last_days_of_months_at_15_05_utc(first: datetime, last: datetime) -> list[datetime]:
    months = [(year, month) for year in range(first.year, last.year + 1) for month in range(1, 13)]
    ticks = [datetime(year, month, monthrange(year, month)[1], 15, 5, tzinfo=UTC) for year, month in months]
    return [tick for tick in ticks if first <= tick <= last]


@pytest.fixture(params=["as declared", "serialised"])
def timetables(request: pytest.FixtureRequest, dags_folder: Path) -> dict[str, Timetable]:
    """The timetables of a report, before and after Airflow's database."""
    dags = parse_dags(dags_folder / "top_users.py")
    if request.param == "serialised":
        return {id: round_trip(dag).timetable for id, dag in dags.items()}
    return {id: dag.timetable for id, dag in dags.items()}


def test_two_years_of_weekly_runs_are_those_of_the_reference_schedule(
    timetables: dict[str, Timetable],
) -> None:
    begin, end = datetime(2025, 1, 5, tzinfo=UTC), datetime(2027, 1, 10, tzinfo=UTC)
    runs = chain(timetables["top_users_weekly"], restriction(begin - timedelta(days=7)))

    expected = saturdays_at_15_05_utc(begin, end)
    assert len(expected) == 105
    assert [info.run_after for info in islice(runs, len(expected))] == expected


def test_two_years_of_monthly_runs_are_those_of_the_reference_schedule(
    timetables: dict[str, Timetable],
) -> None:
    begin, end = datetime(2024, 1, 15, tzinfo=UTC), datetime(2026, 1, 15, tzinfo=UTC)
    first_start = datetime(2023, 12, 31, 15, tzinfo=UTC)
    runs = chain(timetables["top_users_monthly"], restriction(first_start))

    expected = last_days_of_months_at_15_05_utc(begin, end)
    assert len(expected) == 24
    assert datetime(2024, 2, 29, 15, 5, tzinfo=UTC) in expected
    assert [info.run_after for info in islice(runs, len(expected))] == expected


@given(st.sampled_from(CADENCES), INSTANTS, st.sampled_from([timedelta(0), DELAY, timedelta(hours=30)]))
def test_the_data_interval_is_the_period_exactly_and_the_run_comes_a_delay_after_its_end(
    cadence: Cadence, start: datetime, delay: timedelta
) -> None:
    runs = list(islice(chain(PeriodTimetable(cadence, delay), restriction(start)), 5))

    for info in runs:
        interval = interval_of(info)
        period = cadence.containing(interval.start)
        assert (interval.start, interval.end) == (period.start_utc, period.end_utc)
        assert info.run_after == interval.end + delay
        assert info.logical_date == interval.start
    for before, after in pairwise(runs):
        assert interval_of(before).end == interval_of(after).start


@given(st.sampled_from(CADENCES), INSTANTS)
def test_the_first_run_is_for_the_first_whole_period_from_the_start_date_on(cadence: Cadence, start: datetime) -> None:
    info = next(chain(PeriodTimetable(cadence, DELAY), restriction(start)))

    first = cadence.containing(interval_of(info).start)
    assert first.previous.start_utc < start <= first.start_utc


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("2025-01-05 00:00 Asia/Tokyo", "2025-01-05 00:00 Asia/Tokyo"),
        ("2025-01-05 00:01 Asia/Tokyo", "2025-01-12 00:00 Asia/Tokyo"),
        ("2025-01-01 00:00 Asia/Tokyo", "2025-01-05 00:00 Asia/Tokyo"),
        ("2025-01-04 15:00 UTC", "2025-01-05 00:00 Asia/Tokyo"),
    ],
)
def test_a_start_date_in_mid_period(start: str, first: str) -> None:
    info = next(chain(WEEKLY, restriction(instant(start))))

    assert interval_of(info).start == instant(first)


def test_no_period_is_scheduled_that_begins_after_the_end_date() -> None:
    within = restriction(instant("2025-01-05 00:00 Asia/Tokyo"), instant("2025-01-19 00:00 Asia/Tokyo"))

    starts = [interval_of(info).start for info in chain(WEEKLY, within)]
    assert starts == [instant(f"2025-01-{day} 00:00 Asia/Tokyo") for day in ("05", "12", "19")]


def test_without_a_start_date_and_with_catchup_there_is_nothing_to_begin_with() -> None:
    assert list(chain(WEEKLY, restriction(None))) == []


SINCE = "2025-01-01 00:00 Asia/Tokyo"


@pytest.mark.parametrize(
    ("now", "first"),
    [
        # five minutes after a week has ended its run is due, a moment earlier that of the week before
        ("2025-06-15 00:05 Asia/Tokyo", "2025-06-08 00:00 Asia/Tokyo"),
        ("2025-06-15 00:04 Asia/Tokyo", "2025-06-01 00:00 Asia/Tokyo"),
        ("2025-06-18 12:00 Asia/Tokyo", "2025-06-08 00:00 Asia/Tokyo"),
        # nothing before the start date, even if it lies in the future
        ("2025-01-08 12:00 Asia/Tokyo", "2025-01-05 00:00 Asia/Tokyo"),
        ("2024-06-01 00:00 Asia/Tokyo", "2025-01-05 00:00 Asia/Tokyo"),
    ],
)
def test_without_catchup_the_first_run_is_for_the_last_period_that_is_due(now: str, first: str) -> None:
    with time_machine.travel(instant(now), tick=False):
        info = next(chain(WEEKLY, restriction(instant(SINCE), catchup=False)))

    assert interval_of(info).start == instant(first)


def test_without_catchup_a_pause_of_weeks_is_skipped_and_no_period_comes_twice() -> None:
    last = DataInterval(instant("2025-02-02 00:00 Asia/Tokyo"), instant("2025-02-09 00:00 Asia/Tokyo"))
    within = restriction(instant(SINCE), catchup=False)

    def next_start(now: str) -> datetime:
        with time_machine.travel(instant(now), tick=False):
            info = WEEKLY.next_dagrun_info(last_automated_data_interval=last, restriction=within)
        assert info is not None
        return interval_of(info).start

    assert next_start("2025-02-10 09:00 Asia/Tokyo") == last.end
    assert next_start("2025-02-16 00:05 Asia/Tokyo") == last.end
    assert next_start("2025-04-08 09:00 Asia/Tokyo") == instant("2025-03-30 00:00 Asia/Tokyo")


def test_with_catchup_a_pause_of_weeks_is_made_up_for() -> None:
    last = DataInterval(instant("2025-02-02 00:00 Asia/Tokyo"), instant("2025-02-09 00:00 Asia/Tokyo"))

    with time_machine.travel(instant("2025-04-08 09:00 Asia/Tokyo"), tick=False):
        info = WEEKLY.next_dagrun_info(last_automated_data_interval=last, restriction=restriction(instant(SINCE)))
    assert info is not None
    assert interval_of(info).start == last.end


@given(st.sampled_from(CADENCES), INSTANTS)
def test_a_manual_run_takes_the_last_period_complete_at_its_logical_date(
    cadence: Cadence, logical_date: datetime
) -> None:
    interval = PeriodTimetable(cadence, DELAY).infer_manual_data_interval(run_after=pendulum.instance(logical_date))

    period = cadence.containing(interval.start)
    assert (interval.start, interval.end) == (period.start_utc, period.end_utc)
    assert period.end_utc <= logical_date < period.next.end_utc


@pytest.mark.parametrize(
    ("week", "start", "hours"),
    [
        ("2025-03-03", "2025-03-03 05:00 UTC", 167),  # clocks go forward on Sunday the 9th
        ("2025-03-10", "2025-03-10 04:00 UTC", 168),
        ("2025-10-27", "2025-10-27 04:00 UTC", 169),  # and back on Sunday the 2nd of November
        ("2025-11-03", "2025-11-03 05:00 UTC", 168),
    ],
)
def test_the_weeks_in_which_new_york_changes_its_clocks(week: str, start: str, hours: int) -> None:
    timetable = PeriodTimetable(weekly("monday", NEW_YORK), DELAY)
    info = next(chain(timetable, restriction(instant(f"{week} 00:00 {NEW_YORK}"))))

    interval = interval_of(info)
    assert interval.start == instant(start)
    assert interval.end - interval.start == timedelta(hours=hours)
    assert info.run_after.in_timezone(NEW_YORK).strftime("%a %H:%M") == "Mon 00:05"


@pytest.fixture
def dag(sql_folder: Path, cadence: Cadence) -> SerializedDAG:
    return round_trip(build_dag(Report(name="plays", sql="plays.sql", since="2013-01-01"), cadence))


@pytest.mark.parametrize("cadence", CADENCES, ids=lambda cadence: cadence.description)
def test_a_backfill_makes_each_period_that_starts_in_its_range_once(dag: SerializedDAG, cadence: Cadence) -> None:
    first, last = datetime(2024, 10, 30, 17, tzinfo=UTC), datetime(2026, 4, 2, 3, tzinfo=UTC)

    starts = [interval_of(info).start for info in dag.iter_dagrun_infos_between(first, last)]
    hours = (first + timedelta(hours=n) for n in range(int((last - first) / timedelta(hours=1)) + 1))
    expected = {cadence.containing(hour).start_utc for hour in hours}
    assert starts == sorted(start for start in expected if first <= start <= last)
    assert starts


@pytest.mark.parametrize("cadence", [weekly("sunday", timezone=TOKYO)], ids=["weekly"])
def test_both_ends_of_a_backfill_are_included(dag: SerializedDAG, cadence: Cadence) -> None:
    first, last = instant("2025-01-05 00:00 Asia/Tokyo"), instant("2025-01-19 00:00 Asia/Tokyo")

    found = [interval_of(info).start for info in dag.iter_dagrun_infos_between(first, last)]
    assert found == [first, first.add(weeks=1), last]


@pytest.mark.parametrize("cadence", CADENCES, ids=lambda cadence: cadence.description)
def test_a_timetable_survives_the_metadata_database(dag: SerializedDAG, cadence: Cadence) -> None:
    timetable = PeriodTimetable(cadence, DELAY)

    assert dag.timetable == timetable
    assert hash(dag.timetable) == hash(timetable)
    assert dag.timetable.summary == timetable.summary
    assert dag.timetable != PeriodTimetable(cadence)
    assert dag.timetable.periodic is True


def test_the_summary_reads_like_a_sentence() -> None:
    assert WEEKLY.summary == "Weekly from Sunday, Asia/Tokyo, +5 min"
    assert PeriodTimetable(WEEKLY.cadence).summary == WEEKLY.description == "Weekly from Sunday, Asia/Tokyo"


def test_a_run_before_the_end_of_its_period_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="delay"):
        PeriodTimetable(weekly("sunday", timezone=TOKYO), timedelta(minutes=-5))
