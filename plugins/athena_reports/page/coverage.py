"""The state of every period of a report: published, missing, failed or out of date.

It follows from the partitions of the published table, the runs that Airflow has, and a time that the caller
gives. No manifest is read, so years of periods need no more than a list of partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from statistics import fmean

from pydantic import ValidationError

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.publication.restatement import stale

_ACTIVE = frozenset({"queued", "running"})


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


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a report's DAG: its state as Airflow names it, and when it ended, with a zone."""

    run_id: str
    state: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One period: its states in the order of `State`, what is published, and the running or failed run."""

    period: Period
    states: Sequence[State]
    published: PartitionFacts | None = None
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """All periods of a report in order, and sentences about partitions that do not belong to one."""

    cells: Sequence[Cell]
    problems: Sequence[str] = ()


def coverage(
    cadence: Cadence,
    partitions: Mapping[str, Mapping[str, str]],
    runs: Mapping[str, Run],
    *,
    since: datetime,
    now: datetime,
    delay: timedelta = timedelta(0),
) -> Coverage:
    """Return the state of every period that starts at or after `since` and whose run is due.

    Also listed are a published period outside of these, and one with a run, if the period has ended.

    Args:
        cadence: The periods.
        partitions: Parameters of the table's partitions, by period id.
        runs: The run that counts for each period, by period id (`current_runs`).
        since: Where the report begins; a datetime with a zone, as `now`.
        now: The present.
        delay: How long after the end of a period its run starts.
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
    due = cadence.between(since, cadence.last_complete(now - delay).end_utc)
    periods = {period.id: period for period in due}
    for period_id in (*published, *runs):
        if period_id not in periods:
            try:
                period = cadence.period(period_id)
            except PeriodError as error:
                problems.append(f"{error}. If the cadence was changed, drop the partition.")
            else:
                if period_id in published or period.end_utc <= now:
                    periods[period_id] = period
    out_of_date = frozenset(stale(published))
    cells = [
        _cell(period, published.get(period_id), runs.get(period_id), is_stale=period_id in out_of_date)
        for period_id, period in periods.items()
    ]
    return Coverage(sorted(cells, key=lambda cell: cell.period.first_date), problems)


def current_runs(runs: Iterable[tuple[str, Run]]) -> dict[str, Run]:
    """Return the run that counts for each period id: one that has not ended, else the one that ended last."""
    current: dict[str, Run] = {}
    for period_id, run in runs:
        current[period_id] = max(current.get(period_id, run), run, key=_weight)
    return current


@dataclass(frozen=True, slots=True)
class Start:
    """What runs one period.

    Attributes:
        period: The period.
        run_id: The run to clear; empty for a new run.
        has_logical_date: Whether a new run gets the period's logical date and data interval, by which later
            backfills find it. Else it has the `period` param.
    """

    period: Period
    run_id: str
    has_logical_date: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """One start per period, earliest first, and what their queries will scan and cost; None if not known."""

    starts: Sequence[Start]
    scanned_bytes: int | None
    price_usd: float | None


def plan(
    cells: Sequence[Cell], first_id: str, last_id: str, states: Iterable[State], dated_runs: Mapping[str, str]
) -> Plan:
    """Return what has to be started for the periods of a range that are in one of some states.

    Airflow has one run per logical date. The run that has the date of a period is cleared; without such a run
    the period gets a new one with the date. If the run with the date cannot run the period, the period gets a
    new run without a date. Periods that are running are left alone.

    Args:
        cells: All periods of the report, in order.
        first_id: The first period of the range.
        last_id: The last one, included.
        states: The wanted states.
        dated_runs: The run to clear, by the id of the period whose logical date it has; empty if it cannot
            run that period.

    Raises:
        RangeError: The range is inverted, or names a period that the report does not have.
    """
    wanted = frozenset(states)
    starts = [
        Start(cell.period, dated_runs.get(cell.period.id, ""), cell.period.id not in dated_runs)
        for cell in _range(cells, first_id, last_id)
        if wanted & set(cell.states) and State.RUNNING not in cell.states
    ]
    published = [cell.published for cell in cells if cell.published]
    if not published:
        return Plan(starts, None, None)
    scanned = fmean(each.scanned_bytes for each in published)
    return Plan(starts, round(len(starts) * scanned), len(starts) * fmean(each.price_usd for each in published))


def _cell(period: Period, published: PartitionFacts | None, run: Run | None, *, is_stale: bool) -> Cell:
    running = run is not None and run.state in _ACTIVE
    failed = run is not None and run.state == "failed" and _is_news(run, published)
    holds = {
        State.RUNNING: running,
        State.FAILED: failed,
        State.MISSING: published is None,
        State.STALE: is_stale,
        State.PARTIAL: published is not None and published.partial,
        State.WARNED: published is not None and published.checks_warned > 0,
        State.PROVISIONAL: published is not None and published.provisional,
        State.PUBLISHED: published is not None,
    }
    states = tuple(state for state, is_so in holds.items() if is_so)
    return Cell(period, states, published, run if running or failed else None)


def _is_news(run: Run, published: PartitionFacts | None) -> bool:
    if published is None or run.ended_at is None:
        return True
    return run.ended_at.astimezone(UTC).isoformat(timespec="milliseconds") > published.published_at


def _weight(run: Run) -> tuple[bool, float]:
    return run.state in _ACTIVE, run.ended_at.timestamp() if run.ended_at else 0.0


def _range(cells: Sequence[Cell], first_id: str, last_id: str) -> Sequence[Cell]:
    places = {cell.period.id: place for place, cell in enumerate(cells)}
    for period_id in (first_id, last_id):
        if period_id not in places:
            between = f" from {cells[0].period.id} to {cells[-1].period.id}" if cells else ""
            raise RangeError(
                f"{period_id!r} is not a period of this report that has ended. Choose one of its {len(cells)}{between}."
            )
    if places[last_id] < places[first_id]:
        raise RangeError(f"The range is inverted: {last_id} lies before {first_id}. Exchange the two periods.")
    return cells[places[first_id] : places[last_id] + 1]
