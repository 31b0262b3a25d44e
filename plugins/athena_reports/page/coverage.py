"""The state of every period of a report.

It is derived from the partitions of the report's Glue table and the runs of its DAG alone. No
manifest is read.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from athena_reports.errors import PeriodError
from athena_reports.maintenance.restatement import stale_periods
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.publication.parts import PublishedOf, changed_parts
from athena_reports.reports.logic_digest import is_outdated
from athena_reports.scheduling.timetable import PeriodTimetable


class State(StrEnum):
    """A state of a period. Several can hold at once; `Cell` has them in their order."""

    RUNNING = "running"
    FAILED = "failed"
    MISSING = "missing"
    BROKEN = "broken"
    STALE = "stale"
    OUTDATED = "outdated"
    PARTIAL = "partial"
    WARNED = "warned"
    EMPTY = "empty"
    PROVISIONAL = "provisional"
    PUBLISHED = "published"


class Run(NamedTuple):
    """A run of a report's DAG that is active or has failed; id and state are Airflow's."""

    run_id: str
    state: str
    ended_at: str = ""  # in the form of the times of a manifest; empty if it has not ended
    waits: str = ""  # since when it waits for which input; empty if it does not

    @property
    def is_active(self) -> bool:
        """Whether it waits for its turn or is under way."""
        return self.state in ("queued", "running")


class Cell(NamedTuple):
    """One period of a report."""

    period: Period
    states: Sequence[State]  # all that hold, the most important one first
    published: PartitionFacts | None
    run: Run | None  # that is active, or has failed after the publication


class PeriodCoverage(NamedTuple):
    """All periods of a report in order, and a problem for each partition that is of none."""

    cells: Sequence[Cell]
    problems: Sequence[str]


def period_coverage(
    timetable: PeriodTimetable,
    published: Mapping[str, PartitionFacts],
    runs: Mapping[str, Run],
    *,
    since: datetime,
    until: datetime | None,
    now: datetime,
    logic: str,
    published_of: PublishedOf,
) -> PeriodCoverage:
    """Return the periods of a report that are due, and others that are published or have a run.

    Of these others, one without a publication counts only if it has ended.

    Args:
        timetable: When the report runs.
        published: The facts of its partitions in Glue, by period id.
        runs: Of each period the run that counts, by period id.
        since: The first instant at which a period that is due may start.
        until: The last such instant; None if the report goes on.
        now: The instant by which the run of a period has to be due.
        logic: The digest of what makes the report's rows today; empty if unknown.
        published_of: Returns what is published of a report that this one reads.
    """
    problems = []
    periods = _due_periods(timetable, since, until, now)
    other_ids = {*published, *runs} - periods.keys()
    for period_id in sorted(other_ids):
        try:
            period = timetable.cadence.period(period_id)
        except PeriodError as error:  # of a partition: a run always has a period of the cadence
            problems.append(f"{error}. If the cadence was changed, drop the partition.")
            continue
        has_ended = period.end_utc <= now
        if period_id in published or has_ended:
            periods[period_id] = period

    stale = set(stale_periods(published))
    stale.update(changed_parts(published, published_of))
    cells = []
    for period in sorted(periods.values(), key=lambda period: period.first_date):
        facts = published.get(period.id)
        run = runs.get(period.id)
        if run is not None and _is_published_since(facts, run):
            run = None
        states = _states(facts, run, is_stale=period.id in stale, logic=logic)
        cells.append(Cell(period, states, facts, run))
    return PeriodCoverage(cells, problems)


def _due_periods(
    timetable: PeriodTimetable, since: datetime, until: datetime | None, now: datetime
) -> dict[str, Period]:
    """Return the periods whose run is due, by id; those that start from `since` to `until`."""
    end = timetable.cadence.last_complete(now - timetable.delay).end_utc
    if until is not None:
        after_until = until + timedelta(seconds=1)  # `between` leaves out its end
        end = min(end, after_until)
    return {period.id: period for period in timetable.cadence.between(since, end)}


def _states(
    published: PartitionFacts | None,
    run: Run | None,
    *,
    is_stale: bool,
    logic: str,
) -> list[State]:
    """Return the states of a period that hold, the most important one first."""
    states = []
    if run is not None:
        states.append(State.RUNNING if run.is_active else State.FAILED)
    if published is None:
        states.append(State.MISSING)
        return states
    if published.broken:
        states.append(State.BROKEN)
    if is_stale:
        states.append(State.STALE)
    if is_outdated(published.logic, logic):
        states.append(State.OUTDATED)
    if published.partial:
        states.append(State.PARTIAL)
    if published.checks_warned > 0:
        states.append(State.WARNED)
    if published.rows == 0:
        states.append(State.EMPTY)
    if published.provisional:
        states.append(State.PROVISIONAL)
    if not published.broken:
        states.append(State.PUBLISHED)
    return states


def _is_published_since(published: PartitionFacts | None, run: Run) -> bool:
    """Whether a period was published after its run had ended."""
    if published is None or not run.ended_at:
        return False
    return run.ended_at <= published.published_at
