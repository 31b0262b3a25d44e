"""Which periods a fill runs, what it costs, and by which requests it runs them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.page.coverage import Cell, Run, State, period_coverage
from athena_reports.page.fill import FillPlan, ReadReport, plan_fill
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import daily
from athena_reports.publication.manifest import PartitionFacts, Reading
from athena_reports.publication.scan_estimate import estimate_scans
from athena_reports.scheduling.timetable import PeriodTimetable
from tests.support.calendars import WEEKS
from tests.support.partition_facts import facts, periods_from, text

WEEKLY = PeriodTimetable(WEEKS)
PERIODS = periods_from(WEEKS.period("2026-03-01"), 8)
IDS = [period.id for period in PERIODS]
WEEK_DAG = ReportDag("plays_weekly", WEEKLY, PERIODS[0].start_utc, is_paused=False)
DAILY = daily(WEEKS.timezone)
DAYS = [*DAILY.between(PERIODS[0].start_utc, PERIODS[-1].end_utc)]
DAY_DAG = ReportDag("days_daily", PeriodTimetable(DAILY), DAYS[0].start_utc, is_paused=False)


def cells_of(
    partitions: Mapping[str, PartitionFacts],
    runs: Mapping[str, Run] = {},
    *,
    timetable: PeriodTimetable = WEEKLY,
    now: datetime = PERIODS[-1].end_utc,
) -> Sequence[Cell]:
    return period_coverage(
        timetable,
        partitions,
        runs,
        since=PERIODS[0].start_utc,
        until=None,
        now=now,
        logic="v3:today",
        published_of=lambda _: {},
    ).cells


def fill(
    cells: Sequence[Cell],
    first_id: str,
    last_id: str,
    states: Collection[State] = (State.MISSING,),
    *read_reports: ReadReport,
) -> FillPlan:
    return plan_fill(
        WEEK_DAG,
        cells,
        first_id,
        last_id,
        states,
        read_reports=read_reports,
        dated_runs={},
        now=PERIODS[-1].end_utc,
    )


def started(plan: FillPlan) -> list[str]:
    return [start.period for start in plan.starts]


@given(
    st.dictionaries(st.sampled_from(IDS), st.booleans()),
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["failed", "queued", "running"])),
    st.sets(st.sampled_from([State.MISSING, State.FAILED, State.PARTIAL])),
    st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)).map(sorted),
)
def test_a_plan_has_the_chosen_periods_of_the_range_without_an_active_run(
    partial: Any, runs: Any, wanted: set[State], ends: list[str]
) -> None:
    partitions = {id: facts(WEEKS.period(id), partial=flag) for id, flag in partial.items()}
    cells = cells_of(partitions, {id: Run("x", state) for id, state in runs.items()})
    assert started(fill(cells, *ends, wanted)) == [
        cell.period.id
        for cell in cells
        if ends[0] <= cell.period.id <= ends[1]
        and wanted & set(cell.states)
        and runs.get(cell.period.id) not in ("queued", "running")
    ]


@pytest.mark.parametrize(
    ("first_price", "price", "total"), [(0.25, 0.25, 0.75), (0, 0, 0), (None, 0.25, None)]
)
def test_a_plan_costs_what_the_queries_of_its_periods_are_estimated_to(
    first_price: float | None, price: float, total: float | None
) -> None:
    """The price of a period that ran on a reservation is not known."""
    megabytes = [10, 30, None, 40, 50, 60]  # of a lake that grows
    published = {
        period: facts(period, scanned_bytes=size * 10**6, price_usd=price)
        for period, size in zip(PERIODS, megabytes, strict=False)
        if size is not None
    }
    published[PERIODS[0]] = facts(PERIODS[0], scanned_bytes=10**7, price_usd=first_price)
    holes = [PERIODS[2], *PERIODS[6:]]
    scans = [scan.bytes for scan in estimate_scans(holes, published).values()]
    cells = cells_of({period.id: week for period, week in published.items()})
    plan = fill(cells, IDS[0], IDS[-1])
    assert started(plan) == [period.id for period in holes]
    assert plan.scanned_bytes == sum(scans) == 130_000_000
    assert plan.price_usd == total


def test_before_the_first_publication_it_is_not_known_what_a_plan_costs() -> None:
    plan = fill(cells_of({}), IDS[0], IDS[0])
    assert (len(plan.starts), plan.scanned_bytes, plan.price_usd) == (1, None, None)


@given(
    st.sets(st.sampled_from([day.id for day in DAYS])),
    st.dictionaries(st.sampled_from([day.id for day in DAYS]), st.sampled_from(["running"])),
)
def test_a_period_waits_for_the_parts_that_are_not_there(
    published: set[str], running: dict[str, str]
) -> None:
    partitions = {day: facts(DAILY.period(day)) for day in published}
    runs = {day: Run("x", state) for day, state in running.items()}
    days = ReadReport.of(DAY_DAG, cells_of(partitions, runs, timetable=DAY_DAG.timetable))
    plan = fill(cells_of({}), IDS[0], IDS[-1], [State.MISSING], days)

    held = {each.period: each.parts for each in plan.held}
    for week in PERIODS:
        open_days = [
            day.id
            for day in DAYS
            if week.start_utc <= day.start_utc < week.end_utc
            and (day.id not in published or day.id in running)
        ]
        assert list(held.get(week.id, [])) == open_days
        assert (week.id in started(plan)) == (not open_days)


def test_a_period_waits_for_parts_of_which_the_page_has_no_cell() -> None:
    """As those before the first period of their report."""
    plan = fill(cells_of({}), IDS[0], IDS[0], [State.MISSING], ReadReport.of(DAY_DAG, []))
    (held,) = plan.held
    assert (held.period, len(held.parts)) == (IDS[0], 7)
    assert started(plan) == []


@pytest.mark.parametrize(
    ("changes", "run", "holds"),
    [
        ({}, None, False),
        ({"broken": "the manifest is gone"}, None, True),
        ({}, Run("x", "running"), True),
        ({}, Run("x", "queued"), True),
        # It is published and whole, however it came about.
        ({}, Run("x", "failed", "2030-01-01T00:00:00.000+00:00"), False),
        ({"partial": True}, None, False),
        ({"provisional": True}, None, False),
        ({"checks_warned": 1}, None, False),
        ({"logic": "v3:other"}, None, False),
        # The day before was restated after this one had read it.
        ({"reads_previous": True}, None, True),
    ],
)
def test_a_part_comes_first_if_it_is_not_there_or_will_be_another_one(
    changes: dict[str, Any], run: Run | None, holds: bool
) -> None:
    first, day = DAYS[:2]
    partitions = {each.id: facts(each) for each in DAYS[:7]}
    partitions[day.id] = facts(day, **changes)
    later = Reading(digest="b", since=text(day.end_utc + timedelta(days=1)))
    earlier = Reading(digest="a", since=text(first.end_utc))
    partitions[first.id] = facts(first, readings=(later, earlier))
    runs = {} if run is None else {day.id: run}
    cells = cells_of(partitions, runs, timetable=DAY_DAG.timetable, now=DAYS[6].end_utc)
    plan = fill(cells_of({}), IDS[0], IDS[0], [State.MISSING], ReadReport.of(DAY_DAG, cells))
    assert [(each.period, each.dag_id, each.parts) for each in plan.held] == (
        [(IDS[0], "days_daily", [day.id])] if holds else []
    )
