"""The state of every period of a report: published, missing, failed or out of date.

It follows from the partitions of the published table and from the runs that Airflow has. No manifest is read, so years
of periods need no more than a list of partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from statistics import fmean
from typing import NamedTuple

from pydantic import ValidationError

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.publication.restatement import stale


class RangeError(AthenaReportsError):
    """A range of periods that a report does not have."""


class State(StrEnum):
    """The states of a period, the most important one first. Several can hold at once."""

    RUNNING = "running"
    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    PARTIAL = "partial"
    WARNED = "warned"
    PROVISIONAL = "provisional"
    PUBLISHED = "published"


class Run(NamedTuple):
    """A run of a report's DAG: its state as Airflow names it, and when it ended, with a zone."""

    run_id: str
    state: str
    ended_at: datetime | None = None

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("queued", "running")

    def failed_after(self, published: PartitionFacts | None) -> bool:
        """Whether it failed, and nothing was published since."""
        if self.state != "failed" or published is None or self.ended_at is None:
            return self.state == "failed"
        return self.ended_at.astimezone(UTC).isoformat(timespec="milliseconds") > published.published_at


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


class Start(NamedTuple):
    """How to run a period: clear the run `run_id`; if that is empty, trigger one, with a logical date or without."""

    period: Period
    run_id: str
    has_logical_date: bool


class Plan(NamedTuple):
    """One start per period, earliest first, and what their queries will scan and cost; None if not known."""

    starts: Sequence[Start]
    scanned_bytes: int | None
    price_usd: float | None


def coverage(
    cadence: Cadence,
    partitions: Mapping[str, Mapping[str, str]],
    runs: Mapping[str, Run],
    *,
    since: datetime,
    now: datetime,
    delay: timedelta = timedelta(0),
) -> Coverage:
    """Return the state of every period that starts at or after `since` and whose run is due, `delay` after its end.

    Other periods are listed if they are published, or if they have a run and have ended. Partition parameters and the
    runs that count (`current_runs`) come by period id.
    """
    problems: list[str] = []
    published: dict[str, PartitionFacts] = {}
    for period_id, parameters in partitions.items():
        try:
            published[period_id] = PartitionFacts.from_parameters(parameters)
        except ValidationError as error:
            first = error.errors()[0]
            problems.append(
                f"The partition {period_id!r} is not of this package ({first['loc'][0]}: {first['msg']}). "
                f"Drop it, or clear the run of its period."
            )
    periods = {period.id: period for period in cadence.between(since, cadence.last_complete(now - delay).end_utc)}
    for period_id in sorted({*published, *runs} - periods.keys()):
        try:
            period = cadence.period(period_id)
        except PeriodError as error:
            problems.append(f"{error}. If the cadence was changed, drop the partition.")
        else:
            if period_id in published or period.end_utc <= now:
                periods[period_id] = period
    out_of_date = set(stale(published))
    cells = [_cell(each, published.get(id), runs.get(id), id in out_of_date) for id, each in periods.items()]
    return Coverage(sorted(cells, key=lambda cell: cell.period.first_date), problems)


def current_runs(runs: Iterable[tuple[str, Run]]) -> dict[str, Run]:
    """Return the run that counts for each period id: an active one, else the one that ended last."""

    def weight(run: Run) -> tuple[bool, float]:
        return run.is_active, run.ended_at.timestamp() if run.ended_at else 0.0

    current: dict[str, Run] = {}
    for period_id, run in runs:
        current[period_id] = max(current.get(period_id, run), run, key=weight)
    return current


def plan(
    cells: Sequence[Cell], first_id: str, last_id: str, states: Iterable[State], dated_runs: Mapping[str, str]
) -> Plan:
    """Return what to start for the periods from `first_id` to `last_id` that have one of the states and do not run.

    Airflow has one run per logical date, in `dated_runs` by period id. That run is cleared; without one the period gets
    a new run with the date. If that run cannot run the period, its id is empty, and the new run has no date.

    Raises:
        RangeError: The range is inverted, or names a period that the report does not have.
    """
    wanted = frozenset(states)
    starts = [
        Start(cell.period, dated_runs.get(cell.period.id, ""), cell.period.id not in dated_runs)
        for cell in _range(cells, first_id, last_id)
        if wanted & set(cell.states) and State.RUNNING not in cell.states
    ]
    paid = [cell.published for cell in cells if cell.published]
    if not paid:
        return Plan(starts, None, None)
    scanned, price = fmean(each.scanned_bytes for each in paid), fmean(each.price_usd for each in paid)
    return Plan(starts, round(len(starts) * scanned), len(starts) * price)


def _cell(period: Period, published: PartitionFacts | None, run: Run | None, is_stale: bool) -> Cell:
    running = run is not None and run.is_active
    failed = run is not None and run.failed_after(published)
    holds = {
        State.RUNNING: running,
        State.FAILED: failed,
        State.MISSING: published is None,
        State.STALE: is_stale,
        State.PARTIAL: published and published.partial,
        State.WARNED: published and published.checks_warned,
        State.PROVISIONAL: published and published.provisional,
        State.PUBLISHED: published,
    }
    return Cell(period, tuple(state for state in State if holds[state]), published, run if running or failed else None)


def _range(cells: Sequence[Cell], first_id: str, last_id: str) -> Sequence[Cell]:
    places = {cell.period.id: place for place, cell in enumerate(cells)}
    for each in (first_id, last_id):
        if each not in places:
            raise RangeError(f"{each!r} is not a period of this report that has ended. Choose one that the page shows.")
    if places[last_id] < places[first_id]:
        raise RangeError(f"The range is inverted: {last_id} lies before {first_id}. Exchange the two periods.")
    return cells[places[first_id] : places[last_id] + 1]
