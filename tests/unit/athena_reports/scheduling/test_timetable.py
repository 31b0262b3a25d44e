from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
import time_machine
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.utils.types import DagRunType
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import Report, build_dag
from athena_reports.periods.calendar import Cadence, daily, monthly, quarterly, weekly, yearly
from athena_reports.scheduling.timetable import ALL_BUT_BACKFILLS, PeriodTimetable

TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"
DAY, DELAY = timedelta(days=1), timedelta(minutes=5)
WEEKLY = PeriodTimetable(weekly("sunday", timezone=TOKYO), DELAY)
MONTHLY = PeriodTimetable(monthly(timezone=TOKYO), DELAY)
CADENCES = [
    daily(NEW_YORK),
    weekly("monday", NEW_YORK),
    monthly("America/Sao_Paulo"),
    quarterly("Pacific/Apia"),
    yearly("UTC"),
]
INSTANTS = st.datetimes(datetime(2012, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def instant(text: str) -> pendulum.DateTime:
    """A wall time in Tokyo."""
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(TOKYO)))


def restriction(
    earliest: datetime | None, latest: datetime | None = None, *, catchup: bool = True
) -> TimeRestriction:
    first, last = (None if at is None else pendulum.instance(at) for at in (earliest, latest))
    return TimeRestriction(first, last, catchup)


def chain(
    timetable: Timetable, within: TimeRestriction, last: DataInterval | None = None
) -> Iterator[DagRunInfo]:
    """The runs that Airflow creates one after the other, each asked for after the one before."""
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=within):
        yield info
        last = info.data_interval


def interval_of(info: DagRunInfo) -> DataInterval:
    assert info.data_interval is not None
    return info.data_interval


@pytest.mark.parametrize(
    ("timetable", "holds"),
    [
        (WEEKLY, lambda day: day.isoweekday() == 6),  # cron(5 15 ? * SAT *)
        (MONTHLY, lambda day: (day + DAY).day == 1),  # cron(5 15 L * ? *)
    ],
    ids=["weekly", "monthly"],
)
def test_four_years_of_runs_are_those_of_the_reference_schedule(
    timetable: Timetable, holds: Callable[[datetime], bool]
) -> None:
    begin = datetime(2024, 2, 1, 15, 5, tzinfo=UTC)
    expected = [day for n in range(4 * 366) if holds(day := begin + n * DAY)]
    runs = (info.run_after for info in chain(timetable, restriction(begin - 60 * DAY)))

    found = [at for at in takewhile(lambda at: at <= expected[-1], runs) if at >= begin]
    assert found == expected
    assert len(expected) >= 48


@given(
    st.sampled_from(CADENCES), INSTANTS, st.sampled_from([timedelta(0), DELAY, timedelta(hours=30)])
)
def test_the_data_interval_is_the_period_exactly_and_the_run_comes_a_delay_after_its_end(
    cadence: Cadence, start: datetime, delay: timedelta
) -> None:
    """The first is the first whole period from the start date on."""
    runs = list(islice(chain(PeriodTimetable(cadence, delay), restriction(start)), 5))
    for info in runs:
        interval = interval_of(info)
        period = cadence.containing(interval.start)
        assert (interval.start, interval.end) == (period.start_utc, period.end_utc)
        assert (info.run_after, info.logical_date) == (interval.end + delay, interval.start)
    for before, after in pairwise(runs):
        assert interval_of(before).end == interval_of(after).start
    first = cadence.containing(interval_of(runs[0]).start)
    assert first.previous.start_utc < start <= first.start_utc


def test_no_period_is_scheduled_that_begins_after_the_end_date() -> None:
    within = restriction(instant("2025-01-05 00:00"), instant("2025-01-19 00:00"))

    starts = [interval_of(info).start for info in chain(WEEKLY, within)]
    assert starts == [instant(f"2025-01-{day} 00:00") for day in ("05", "12", "19")]
    assert list(chain(WEEKLY, restriction(None))) == []


SINCE = instant("2025-01-01 00:00")


@pytest.mark.parametrize(
    ("now", "first"),
    [
        # Five minutes after a week has ended its run is due.
        ("2025-06-15 00:05", "2025-06-08 00:00"),
        ("2025-06-15 00:04", "2025-06-01 00:00"),
        # Nothing is due before the start date.
        ("2024-06-01 00:00", "2025-01-05 00:00"),
    ],
)
def test_without_catchup_the_first_run_is_for_the_last_period_that_is_due(
    now: str, first: str
) -> None:
    with time_machine.travel(instant(now), tick=False):
        info = next(chain(WEEKLY, restriction(SINCE, catchup=False)))
    assert interval_of(info).start == instant(first)


@pytest.mark.parametrize(
    ("now", "catchup", "following"),
    [
        ("2025-02-10 09:00", False, "2025-02-09 00:00"),  # no period comes twice
        ("2025-04-08 09:00", False, "2025-03-30 00:00"),
        ("2025-04-08 09:00", True, "2025-02-09 00:00"),
    ],
)
def test_a_pause_of_weeks_is_skipped_without_catchup_and_made_up_for_with_it(
    now: str, catchup: bool, following: str
) -> None:
    last = DataInterval(instant("2025-02-02 00:00"), instant("2025-02-09 00:00"))
    with time_machine.travel(instant(now), tick=False):
        info = next(chain(WEEKLY, restriction(SINCE, catchup=catchup), last))
    assert interval_of(info).start == instant(following)


@given(st.sampled_from(CADENCES), INSTANTS)
def test_a_manual_run_takes_the_last_period_complete_at_its_logical_date(
    cadence: Cadence, logical_date: datetime
) -> None:
    interval = PeriodTimetable(cadence, DELAY).infer_manual_data_interval(
        run_after=pendulum.instance(logical_date)
    )

    period = cadence.containing(interval.start)
    assert (interval.start, interval.end) == (period.start_utc, period.end_utc)
    assert period.end_utc <= logical_date < period.next.end_utc


@pytest.fixture
def dag(sql_folder: Path, cadence: Cadence) -> SerializedDAG:
    """The DAG of a report as Airflow's scheduler has it from the metadata database."""
    dag = build_dag(Report(name="plays", sql="plays.sql", since="2013-01-01"), cadence)
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


@pytest.mark.parametrize("cadence", CADENCES, ids=lambda cadence: cadence.description)
def test_a_backfill_makes_each_period_that_starts_in_its_range_once(
    dag: SerializedDAG, cadence: Cadence
) -> None:
    """Both ends of the range included."""
    whole = cadence.containing(datetime(2025, 3, 31, 12, tzinfo=UTC))
    some = datetime(2024, 10, 30, 17, tzinfo=UTC), datetime(2026, 4, 2, 3, tzinfo=UTC)
    for first, last in (some, (whole.previous.start_utc, whole.next.start_utc)):
        starts = [interval_of(info).start for info in dag.iter_dagrun_infos_between(first, last)]
        hours = (
            first + timedelta(hours=n) for n in range(int((last - first) / timedelta(hours=1)) + 1)
        )
        expected = {cadence.containing(hour).start_utc for hour in hours}
        assert starts == sorted(start for start in expected if first <= start <= last)
        assert starts


@pytest.mark.parametrize("cadence", CADENCES, ids=lambda cadence: cadence.description)
def test_a_timetable_survives_the_metadata_database(dag: SerializedDAG, cadence: Cadence) -> None:
    timetable = PeriodTimetable(cadence, DELAY)

    assert dag.timetable == timetable != PeriodTimetable(cadence)
    assert (hash(dag.timetable), dag.timetable.summary) == (hash(timetable), timetable.summary)
    assert dag.timetable.periodic is True
    # As Airflow lists the runs: a fill of an old period is not the newest one.
    assert dag.timetable.run_ordering == ("data_interval_end", "logical_date")


def test_the_summary_reads_like_a_sentence() -> None:
    assert PeriodTimetable(WEEKLY.cadence).summary == "Weekly from Sunday, Asia/Tokyo"
    soon = PeriodTimetable(WEEKLY.cadence, timedelta(seconds=90))
    assert soon.summary == "Weekly from Sunday, Asia/Tokyo, +1.5 min"


def test_a_dag_beside_the_reports_takes_every_run_but_one_of_a_backfill() -> None:
    dag = DAG("beside", schedule="@daily", allowed_run_types=ALL_BUT_BACKFILLS)
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    refused = [kind for kind in DagRunType if kind not in stored.allowed_run_types]
    assert refused == [DagRunType.BACKFILL_JOB]
