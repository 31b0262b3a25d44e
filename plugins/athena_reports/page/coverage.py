"""The state of every period of a report, from the partitions of its table and its runs alone: no manifest is read."""

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from pydantic import ValidationError

from athena_reports.errors import PeriodError
from athena_reports.maintenance.restatement import stale_periods
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.reports.logic_digest import is_outdated
from athena_reports.scheduling.timetable import PeriodTimetable

Partitions = Mapping[str, Mapping[str, str]]  # parameters by period id
_NEAR = 5
_ACTIVE = ("queued", "running")


class State(StrEnum):
    """The states of a period, the most important one first. Several can hold at once."""

    RUNNING = "running"
    FAILED = "failed"
    MISSING = "missing"
    BROKEN = "broken"
    STALE = "stale"
    OUTDATED = "outdated"
    PARTIAL = "partial"
    WARNED = "warned"
    PROVISIONAL = "provisional"
    PUBLISHED = "published"


class Run(NamedTuple):
    """A run of a report's DAG: its state as Airflow names it, and when it ended, as the manifest writes times."""

    run_id: str
    state: str
    ended_at: str = ""


class Cell(NamedTuple):
    """One period: its states in the order of `State`, what is published, and the active or failed run."""

    period: Period
    states: Sequence[State]
    published: PartitionFacts | None
    run: Run | None


class Coverage(NamedTuple):
    """All periods of a report in order, and sentences about partitions that do not belong to one."""

    cells: Sequence[Cell]
    problems: Sequence[str]


class Plan(NamedTuple):
    """The periods to run, earliest first, and what their queries will scan and cost; None if not known."""

    periods: Sequence[Period]
    scanned_bytes: int | None
    price_usd: float | None


def coverage(
    timetable: PeriodTimetable,
    partitions: Partitions,
    runs: Mapping[str, Run],
    since: datetime,
    now: datetime,
    until: datetime | None = None,
    logic: str = "",
) -> Coverage:
    """Return the periods that start from `since` to `until` and whose run is due, and others that are there anyway.

    These are published, or have ended and have a run. `logic` is today's, empty if unknown.
    """
    cadence = timetable.cadence
    end = cadence.last_complete(now - timetable.delay).end_utc
    if until is not None:
        end = min(end, until + timedelta(seconds=1))
    problems: list[str] = []
    published: dict[str, PartitionFacts] = {}
    for period_id, parameters in partitions.items():
        try:
            published[period_id] = PartitionFacts.from_parameters(parameters)
        except ValidationError as error:
            first, advice = error.errors()[0], "Drop it, or clear the run of its period."
            why = f"({first['loc'][0]}: {first['msg']})"
            problems.append(f"The partition {period_id!r} is not of this package {why}. {advice}")
    periods = {period.id: period for period in cadence.between(since, end)}
    for period_id in sorted({*published, *runs} - periods.keys()):
        try:
            period = cadence.period(period_id)
        except PeriodError as error:
            problems.append(f"{error}. If the cadence was changed, drop the partition.")
        else:
            if period_id in published or period.end_utc <= now:
                periods[period_id] = period
    old = set(stale_periods(published))
    other = {id for id, facts in published.items() if is_outdated(facts.logic, logic)}
    cells = [_cell(each, published.get(id), runs.get(id), id in old, id in other) for id, each in periods.items()]
    return Coverage(sorted(cells, key=lambda cell: cell.period.first_date), problems)


def current_runs(runs: Iterable[tuple[str, Run]]) -> dict[str, Run]:
    """Return the run that counts for each period id: an active one, else the one that ended last."""
    return dict(sorted(runs, key=lambda each: (each[1].state in _ACTIVE, each[1].ended_at)))


def plan(cells: Sequence[Cell], first_id: str, last_id: str, states: Iterable[State]) -> Plan:
    """Return the periods of a range that have one of the states and no active run; PeriodError for a wrong range."""
    places = {cell.period.id: place for place, cell in enumerate(cells)}
    if unknown := {first_id, last_id} - places.keys():
        raise PeriodError(f"{min(unknown)!r} is not a period of this report that has ended. Choose one that is shown.")
    if places[last_id] < places[first_id]:
        raise PeriodError(f"The range is inverted: {last_id} lies before {first_id}. Exchange the two periods.")
    wanted, between = frozenset(states), cells[places[first_id] : places[last_id] + 1]
    periods = [each.period for each in between if wanted & {*each.states} and State.RUNNING not in each.states]
    paid = {place: cell.published for place, cell in enumerate(cells) if cell.published}
    if not paid:
        return Plan(periods, None, None)
    near = [_nearest(places[each.id], [*paid]) for each in periods]
    scanned = sum(median(paid[place].scanned_bytes for place in some) for some in near)
    prices = [[paid[place].price_usd for place in some] for some in near]
    known = [[price for price in some if price is not None] for some in prices]
    return Plan(periods, round(scanned), sum(map(median, known)) if known == prices else None)


def _nearest(place: int, places: Sequence[int]) -> list[int]:
    """Return the few of sorted places that are nearest: a lake grows, so periods far away cost something else."""
    at = bisect(places, place)
    return sorted(places[max(at - _NEAR, 0) : at + _NEAR], key=lambda each: abs(each - place))[:_NEAR]


def _cell(period: Period, published: PartitionFacts | None, run: Run | None, is_stale: bool, is_outdated: bool) -> Cell:
    running = run is not None and run.state in _ACTIVE
    is_repaired = run and published and run.ended_at and run.ended_at <= published.published_at
    failed = run is not None and run.state == "failed" and not is_repaired
    broken = published is not None and published.broken
    seen = (published.partial, published.checks_warned, published.provisional, not broken) if published else ()
    holds = (running, failed, not published, broken, is_stale, is_outdated, *seen)  # in the order of State
    states = tuple(state for state, is_so in zip(State, holds, strict=False) if is_so)
    return Cell(period, states, published, run if running or failed else None)
