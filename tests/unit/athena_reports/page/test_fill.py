"""Which periods a fill runs, what it costs, and by which requests it runs them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.page.coverage import Cell, Run, State, period_coverage
from athena_reports.page.fill import FillPlan, ReadReport, plan_fill
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import Period, daily
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
    periods: Sequence[Period] = PERIODS,
) -> Sequence[Cell]:
    since, now = periods[0].start_utc, periods[-1].end_utc
    return period_coverage(
        WEEKLY,
        partitions,
        runs,
        since=since,
        until=None,
        now=now,
        logic="",
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


def test_what_a_plan_costs_is_the_median_of_what_was_paid_nearby() -> None:
    """A lake grows: what a period of long ago cost says little, and one odd price less."""
    weeks = periods_from(WEEKS.period(IDS[0]), 40)
    prices: list[float] = [0.25] * 10 + [0.75] * 30
    prices[38] = 900
    partitions = {
        week.id: facts(week, scanned_bytes=int(4000 * price), price_usd=price)
        for week, price in zip(weeks, prices, strict=True)
        if week not in (weeks[0], weeks[4], weeks[39])
    }
    cells = cells_of(partitions, periods=weeks)
    early, late = (fill(cells, week.id, week.id) for week in (weeks[4], weeks[39]))
    assert (early.scanned_bytes, early.price_usd) == (1000, 0.25)
    assert (late.scanned_bytes, late.price_usd) == (3000, 0.75)
    both = fill(cells, weeks[0].id, weeks[39].id)
    assert (len(both.starts), both.scanned_bytes, both.price_usd) == (3, 5000, 1.25)
    partitions[weeks[38].id] = facts(weeks[38], scanned_bytes=3_600_000)  # on a reservation
    cells = cells_of(partitions, periods=weeks)
    unpriced = fill(cells, weeks[39].id, weeks[39].id)
    assert (unpriced.scanned_bytes, unpriced.price_usd) == (3000, None)
    # The nearest ones lie on both sides of a hole.
    middle = {
        week.id: facts(week, scanned_bytes=int(number), price_usd=0.25)
        for week, number in zip(weeks[:11], "11123x45999", strict=True)
        if number != "x"
    }
    cells = cells_of(middle, periods=weeks[:11])
    assert fill(cells, weeks[5].id, weeks[5].id).scanned_bytes == 3
    # A query that scanned nothing costs nothing, which is a price.
    nothing = {week.id: facts(week, scanned_bytes=0, price_usd=0) for week in weeks[:10]}
    cells = cells_of(nothing, periods=weeks[:11])
    free = fill(cells, weeks[10].id, weeks[10].id)
    assert (free.scanned_bytes, free.price_usd) == (0, 0)
    unknown = fill(cells_of({}), IDS[0], IDS[0])
    assert (len(unknown.starts), unknown.scanned_bytes, unknown.price_usd) == (1, None, None)


def test_a_plan_estimates_a_scan_as_its_run_does() -> None:
    megabytes = [10, 30, 40, 50, 60]  # of a lake that grows
    partitions = {
        period.id: facts(period, scanned_bytes=size * 10**6)
        for period, size in zip(PERIODS, megabytes, strict=False)
    }
    cells = cells_of(partitions)
    period = PERIODS[5]
    plan = fill(cells, period.id, period.id)
    assert plan.scanned_bytes == 50_000_000
    published = {cell.period: cell.published for cell in cells if cell.published is not None}
    assert estimate_scans([period], published)[period].bytes == plan.scanned_bytes


@given(
    st.sets(st.sampled_from([day.id for day in DAYS])),
    st.dictionaries(st.sampled_from([day.id for day in DAYS]), st.sampled_from(["running"])),
)
def test_a_period_waits_for_the_parts_that_are_not_there(
    published: set[str], running: dict[str, str]
) -> None:
    day_cells = period_coverage(
        PeriodTimetable(DAILY),
        {day: facts(DAILY.period(day)) for day in published},
        {day: Run("x", state) for day, state in running.items()},
        since=DAYS[0].start_utc,
        until=None,
        now=DAYS[-1].end_utc + timedelta(hours=1),
        logic="",
        published_of=lambda _: {},
    ).cells
    days = ReadReport(DAY_DAG, {cell.period.id: cell for cell in day_cells})
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
    plan = fill(cells_of({}), IDS[0], IDS[0], [State.MISSING], ReadReport(DAY_DAG, {}))
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
    cells = period_coverage(
        PeriodTimetable(DAILY),
        partitions,
        {} if run is None else {day.id: run},
        since=DAYS[0].start_utc,
        until=None,
        now=DAYS[6].end_utc + timedelta(hours=1),
        logic="v3:today",
        published_of=lambda _: {},
    ).cells
    days = ReadReport(DAY_DAG, {cell.period.id: cell for cell in cells})
    plan = fill(cells_of({}), IDS[0], IDS[0], [State.MISSING], days)
    assert [(each.period, each.dag_id, each.parts) for each in plan.held] == (
        [(IDS[0], "days_daily", [day.id])] if holds else []
    )
