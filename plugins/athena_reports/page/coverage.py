"""What is published, missing, failed or out of date: the state of every period of a report, at a glance.

Everything here follows from the parameters of the published table's partitions, from the runs that Airflow
knows, and from an instant that the caller gives. Nothing is read, so a list of years needs no manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from statistics import fmean
from typing import Self

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import BACKFILL_RUN_IDS
from athena_reports.publication.restatement import stale

ACTIVE = frozenset({"queued", "running"})
"""States of a run that has not ended."""

_FAILED = "failed"


class OverviewError(AthenaReportsError):
    """A partition that is not of this package, or a range of periods that a report does not have."""


class State(StrEnum):
    """What can be said of a period, in the order in which a viewer must see it.

    A period may be several of these at once: the first one that holds is its state, the others stand beside.
    """

    RUNNING = "running"
    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    PARTIAL = "partial"
    WARNED = "warned"
    PROVISIONAL = "provisional"
    PUBLISHED = "published"


@dataclass(frozen=True)
class Run:
    """A run of a report's DAG.

    Attributes:
        run_id: Its id.
        state: Its state, as Airflow names it.
        ended_at: When it ended, with a zone; None if it has not.
        is_of_another: Whether it has the logical date of a period, but reports another one: somebody
            triggered it with that date, or with a param.
    """

    run_id: str
    state: str
    ended_at: datetime | None = None
    is_of_another: bool = False


@dataclass(frozen=True)
class Published:
    """What a partition says of the version that is published.

    Attributes:
        version: Name of the version.
        rows: Number of rows.
        bytes: Size of its objects.
        published_at: When it was published, with a zone.
        provisional: Whether events could still land when it was made.
        partial: Whether partitions of its input were missing.
        scanned_bytes: What its query scanned.
        price_usd: What that cost.
        query_id: Id of the query execution.
        run_id: Id of the run that published it.
        checks_warned: How many checks did not pass and let it through.
        earlier: How many versions were current before.
    """

    version: str
    rows: int
    bytes: int
    published_at: datetime
    provisional: bool
    partial: bool
    scanned_bytes: int
    price_usd: float
    query_id: str
    run_id: str
    checks_warned: int
    earlier: int

    @classmethod
    def from_parameters(cls, facts: Mapping[str, str]) -> Self:
        """Return what the parameters of a partition say.

        Raises:
            OverviewError: They are not of this package.
        """
        try:
            published_at = datetime.fromisoformat(facts["published_at"])
            if published_at.tzinfo is None:
                raise ValueError("published_at has no zone")
            return cls(
                version=facts["version"],
                rows=int(facts["rows"]),
                bytes=int(facts["bytes"]),
                published_at=published_at,
                provisional=facts["provisional"] == "true",
                partial=facts["partial"] == "true",
                scanned_bytes=int(facts["scanned_bytes"]),
                price_usd=float(facts["price_usd"]),
                query_id=facts["query_id"],
                run_id=facts["run_id"],
                checks_warned=int(facts["checks_warned"]),
                earlier=int(facts["earlier"]),
            )
        except KeyError as error:
            raise OverviewError(f"it does not say {error.args[0]!r}") from error
        except ValueError as error:
            raise OverviewError(str(error)) from error


@dataclass(frozen=True)
class Cell:
    """One period of a report.

    Attributes:
        period: The period.
        states: All that holds of it, what a viewer must see first in front.
        published: What is published; None if nothing is.
        run: The run that makes it running or failed; None if it is neither.
    """

    period: Period
    states: Sequence[State]
    published: Published | None = None
    run: Run | None = None

    @property
    def state(self) -> State:
        """What a viewer must see first."""
        return self.states[0]

    @property
    def is_hole(self) -> bool:
        """Whether nothing is published."""
        return self.published is None


@dataclass(frozen=True)
class Overview:
    """All periods of a report in one cadence.

    Attributes:
        cells: One per period, in order.
        problems: Sentences about partitions that could not be placed.
    """

    cells: Sequence[Cell]
    problems: Sequence[str] = ()


def overview(
    cadence: Cadence,
    partitions: Mapping[str, Mapping[str, str]],
    runs: Mapping[str, Run],
    *,
    since: datetime,
    now: datetime,
    delay: timedelta = timedelta(0),
) -> Overview:
    """Return the state of every period that begins at or after `since`, and is due.

    A period that is published, or has a run, is listed although it begins earlier or is not yet due; but not
    for a run that came before its end, since it can only fail.

    Args:
        cadence: The periods.
        partitions: Parameters of the table's partitions, by period id.
        runs: The run that counts for each period, by period id, as `current_runs` returns them.
        since: Where the report begins, with a zone.
        now: The present, with a zone.
        delay: How long after the end of a period its run starts.
    """
    problems: list[str] = []
    published: dict[str, Published] = {}
    for period_id, facts in partitions.items():
        try:
            published[period_id] = Published.from_parameters(facts)
        except OverviewError as error:
            problems.append(
                f"The partition {period_id!r} is not of this package: {error}. See who added it and drop it, "
                f"or clear the run of its period."
            )
    periods = {period.id: period for period in _due(cadence, since, now - delay)}
    for period_id in chain(partitions, runs):
        if period_id not in periods:
            try:
                period = cadence.period(period_id)
            except PeriodError as error:
                problems.append(f"{error}. See whether the cadence was changed, and drop the partition.")
            else:
                if period_id in partitions or period.end_utc <= now:
                    periods[period_id] = period
    out_of_date = frozenset(stale(partitions))
    found = [
        _cell(period, published.get(period_id), runs.get(period_id), is_stale=period_id in out_of_date)
        for period_id, period in periods.items()
    ]
    return Overview(sorted(found, key=lambda cell: cell.period.first_date), problems)


def current_runs(runs: Iterable[tuple[str, Run]]) -> dict[str, Run]:
    """Return the run that counts for each period: one that has not ended, else the one that ended last.

    Args:
        runs: Period ids and runs, in any order.
    """
    current: dict[str, Run] = {}
    for period_id, run in runs:
        known = current.get(period_id)
        if known is None or _weight(run) > _weight(known):
            current[period_id] = run
    return current


@dataclass(frozen=True)
class Backfill:
    """A backfill as Airflow's API takes it.

    Attributes:
        from_date: Start of its first period.
        to_date: Start of its last period.
        reprocess: `none`, or `failed` if runs that failed are to run again.
        periods: Ids of the periods that it runs.
    """

    from_date: datetime
    to_date: datetime
    reprocess: str
    periods: Sequence[str]


@dataclass(frozen=True)
class Rerun:
    """A period that runs again.

    Attributes:
        period_id: The period.
        run_id: The run that is cleared; empty if Airflow has none that it would run again, so one is
            triggered for the period.
    """

    period_id: str
    run_id: str

    @property
    def is_of_backfill(self) -> bool:
        """Whether the run counts for the budget of backfills, by its id.

        One that a backfill reprocessed keeps the id that it had, and is not recognised here.
        """
        return not self.run_id or self.run_id.startswith(BACKFILL_RUN_IDS)


@dataclass(frozen=True)
class Plan:
    """What is to be started to fill holes and to restate, in this order.

    Attributes:
        backfill: One for all holes; None if there is none that a backfill fills.
        reruns: What is cleared or triggered after it, earliest first.
        scanned_bytes: What all that will scan, from what the published periods scanned; None if none is.
        price_usd: What that costs, likewise.
        backfill_bytes: What the runs of backfills among them will scan, likewise; cleared ones count.
    """

    backfill: Backfill | None
    reruns: Sequence[Rerun]
    scanned_bytes: int | None
    price_usd: float | None
    backfill_bytes: int | None

    @property
    def runs(self) -> int:
        """How many runs there will be."""
        return len(self.reruns) + (len(self.backfill.periods) if self.backfill else 0)


def plan(
    cells: Sequence[Cell],
    first_id: str,
    last_id: str,
    states: Iterable[State],
    *,
    scheduled: Mapping[str, Run],
    run_ids: Iterable[str],
) -> Plan:
    """Return what has to be started for the periods of a range that are in one of some states.

    Holes go as one covering backfill, because Airflow has one at a time for a DAG. It skips periods that have
    a run already; where it would not skip one that is not wanted, because Airflow has forgotten the run that
    published it, or it lies before the report's first period, the holes are run one by one. So nothing is
    paid for that was not chosen, and what is running is left alone.

    Args:
        cells: All periods of the report, in order.
        first_id: The first period of the range.
        last_id: The last one, included.
        states: Which periods of the range are wanted, by any of what holds of them.
        scheduled: Runs whose logical date is the start of a period, by that period's id: they decide what a
            backfill creates.
        run_ids: Ids of all runs of the DAG that may be cleared.

    Raises:
        OverviewError: The range is inverted, or names a period that the report does not have.
    """
    chosen, wanted = _range(cells, first_id, last_id), frozenset(states)
    picked = [cell for cell in chosen if wanted & set(cell.states) and State.RUNNING not in cell.states]
    backfill = _covering([cell.period for cell in picked if cell.is_hole], scheduled)
    covered = frozenset(backfill.periods if backfill else ())
    known = frozenset(run_ids)
    reruns = [
        Rerun(cell.period.id, _run_to_clear(cell, scheduled, known))
        for cell in picked
        if cell.period.id not in covered
    ]
    published = [cell.published for cell in cells if cell.published]
    count = len(reruns) + len(covered)
    of_backfills = len(covered) + sum(rerun.is_of_backfill for rerun in reruns)
    mean_bytes = fmean(each.scanned_bytes for each in published) if published else None
    return Plan(
        backfill,
        reruns,
        None if mean_bytes is None else round(count * mean_bytes),
        count * fmean(each.price_usd for each in published) if published else None,
        None if mean_bytes is None else round(of_backfills * mean_bytes),
    )


def _due(cadence: Cadence, since: datetime, until: datetime) -> Iterable[Period]:
    last = cadence.last_complete(until)
    return cadence.between(since, last.end_utc)


def _cell(period: Period, published: Published | None, run: Run | None, *, is_stale: bool) -> Cell:
    running = run is not None and run.state in ACTIVE
    failed = run is not None and run.state == _FAILED and _is_news(run, published)
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
    states = tuple(state for state in State if holds[state])
    return Cell(period, states, published, run if running or failed else None)


def _is_news(run: Run, published: Published | None) -> bool:
    """Whether a failed run says more than what is published: that was published before the run ended."""
    return published is None or run.ended_at is None or run.ended_at > published.published_at


def _weight(run: Run) -> tuple[bool, float]:
    return run.state in ACTIVE, run.ended_at.timestamp() if run.ended_at else 0.0


def _range(cells: Sequence[Cell], first_id: str, last_id: str) -> Sequence[Cell]:
    places = {cell.period.id: place for place, cell in enumerate(cells)}
    for period_id in (first_id, last_id):
        if period_id not in places:
            between = f" from {cells[0].period.id} to {cells[-1].period.id}" if cells else ""
            raise OverviewError(
                f"{period_id!r} is no period of this report that is over. Choose one of its "
                f"{len(cells)}{between}."
            )
    if places[last_id] < places[first_id]:
        raise OverviewError(
            f"The range is inverted: {last_id} lies before {first_id}. Exchange the two periods."
        )
    return cells[places[first_id] : places[last_id] + 1]


def _creates(run: Run | None, reprocess: str) -> bool:
    """Whether a backfill runs a period, by the run that has its logical date already."""
    return run is None or (reprocess == run.state == _FAILED)


def _covering(holes: Sequence[Period], scheduled: Mapping[str, Run]) -> Backfill | None:
    """Return a backfill that runs holes and nothing else; None if there is no such one."""
    filled = [period for period in holes if _fills(scheduled.get(period.id))]
    if not filled:
        return None
    first, last = filled[0], filled[-1]
    reprocess = _FAILED if any(period.id in scheduled for period in filled) else "none"
    between = first.cadence.periods(first.id, last.id)
    if [period for period in between if _creates(scheduled.get(period.id), reprocess)] != filled:
        return None
    return Backfill(first.start, last.start, reprocess, tuple(period.id for period in filled))


def _fills(run: Run | None) -> bool:
    """Whether a backfill reports a period itself, by the run that has its logical date already."""
    return _creates(run, _FAILED) and not (run and run.is_of_another)


def _run_to_clear(cell: Cell, scheduled: Mapping[str, Run], known: frozenset[str]) -> str:
    """Return the run that stands for what is published or failed, as far as Airflow still has it."""
    by_date = scheduled.get(cell.period.id)
    candidates = [
        cell.run.run_id if cell.run else "",
        cell.published.run_id if cell.published else "",
        by_date.run_id if by_date and not by_date.is_of_another else "",
    ]
    return next((run_id for run_id in candidates if run_id in known), "")
