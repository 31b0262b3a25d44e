"""What fills the holes of a report: which periods, at what cost, and by which requests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from pydantic import BaseModel

from athena_reports.errors import PeriodError
from athena_reports.page.coverage import Cell, State
from athena_reports.page.runs import DatedRun, ReportDag
from athena_reports.periods.calendar import Period
from athena_reports.periods.run_period import FILL_RUN_ID, PERIOD_PARAM
from athena_reports.publication.scan_estimate import estimate_scans

# A period that has one of these states is run before one that reads it.
_COMES_FIRST = frozenset({State.MISSING, State.BROKEN, State.RUNNING, State.STALE})


@dataclass(frozen=True)
class HeldPeriod:
    """A period that is not run yet, since what it reads of another report is not there.

    `dag_id` is the DAG of that report, and `parts` are the ids of its periods that come first.
    """

    period: str
    dag_id: str
    parts: Sequence[str]


class FillPlan(NamedTuple):
    """The periods to run, earliest first, and what their queries will scan and cost.

    `scanned_bytes` is None if no period is published yet, `price_usd` also if one has no price.
    `held` are periods that would be run too, if the parts that they read were there.
    """

    periods: Sequence[Period]
    scanned_bytes: int | None
    price_usd: float | None
    held: Sequence[HeldPeriod]


class ReadReport(NamedTuple):
    """A report that another one reads: its DAG, and its periods by id."""

    dag: ReportDag
    cells: Mapping[str, Cell]

    def open_parts(self, period: Period) -> list[str]:
        """Return the ids of the parts of a period that have to be run before it."""
        parts = []
        for part in self.dag.cadence.overlapping(period):
            cell = self.cells.get(part.id)
            if cell is None or not _COMES_FIRST.isdisjoint(cell.states):
                parts.append(part.id)
        return parts


class RunRequest(BaseModel, frozen=True):
    """A POST request to Airflow's REST API that runs a period; `path` is below `/api/v2/`."""

    period: str
    action: Literal["clear", "trigger"]
    path: str
    body: dict[str, Any]


def plan_fill(
    cells: Sequence[Cell],
    first_id: str,
    last_id: str,
    states: Collection[State],
    read_reports: Sequence[ReadReport],
) -> FillPlan:
    """Return the periods of a range that have one of the states and no active run.

    Args:
        cells: All periods of the report, in order.
        first_id: The first period of the range.
        last_id: The last period of the range, which belongs to it.
        states: The states of the periods to run.
        read_reports: The reports that this one reads. Their periods come first.

    Raises:
        PeriodError: One end of the range is not a period of the report, or they are exchanged.
    """
    periods: list[Period] = []
    held: list[HeldPeriod] = []
    for place in _places_between(first_id, last_id, cells):
        states_held = cells[place].states
        if State.RUNNING in states_held or set(states).isdisjoint(states_held):
            continue
        period = cells[place].period
        held_by = _held_by(period, read_reports)
        held += held_by
        if not held_by:
            periods.append(period)

    published = {cell.period: cell.published for cell in cells if cell.published is not None}
    if not published:
        return FillPlan(periods, None, None, held)
    scanned_bytes = 0
    price_usd: float | None = 0.0
    for scan in estimate_scans(periods, published).values():
        scanned_bytes += scan.bytes
        if price_usd is not None and scan.price_usd is not None:
            price_usd += scan.price_usd
        else:
            price_usd = None
    return FillPlan(periods, scanned_bytes, price_usd, held)


def _held_by(period: Period, read_reports: Sequence[ReadReport]) -> list[HeldPeriod]:
    """Return what a period waits for, one for each report that it reads."""
    held_by = []
    for report in read_reports:
        parts = report.open_parts(period)
        if parts:
            held_by.append(HeldPeriod(period.id, report.dag.dag_id, parts))
    return held_by


def _places_between(first_id: str, last_id: str, cells: Sequence[Cell]) -> range:
    """Return the places in `cells` of the periods of a range; PeriodError as `plan_fill` has it."""
    places = {cell.period.id: place for place, cell in enumerate(cells)}
    for period_id in sorted({first_id, last_id}):
        if period_id not in places:
            problem = f"{period_id!r} is not a period of this report that has ended."
            raise PeriodError(f"{problem} Choose one that is shown.")
    if places[last_id] < places[first_id]:
        problem = f"The range is inverted: {last_id} lies before {first_id}."
        raise PeriodError(f"{problem} Exchange the two periods.")
    return range(places[first_id], places[last_id] + 1)


def run_request(
    dag_id: str,
    period: Period,
    dated_run: DatedRun | None,
    now: datetime,
) -> RunRequest:
    """Return the request that runs a period.

    Args:
        dag_id: The report's DAG.
        period: The period.
        dated_run: The run that has the start of the period as its logical date, if there is one.
            Airflow makes no second run of a logical date.
        now: A part of a new run's id.
    """
    runs_path = f"dags/{quote(dag_id, safe='')}/dagRuns"
    if dated_run is not None and dated_run.can_run_period:
        return RunRequest(
            period=period.id,
            action="clear",
            path=f"{runs_path}/{quote(dated_run.run_id, safe='')}/clear",
            body={"dry_run": False, "only_failed": False},
        )
    body: dict[str, Any] = {"dag_run_id": f"{FILL_RUN_ID}{period.id}__{now.isoformat()}"}
    if dated_run is None:
        body["logical_date"] = period.start_utc.isoformat()
        body["data_interval_start"] = period.start_utc.isoformat()
        body["data_interval_end"] = period.end_utc.isoformat()
    else:
        body["logical_date"] = None
        body["conf"] = {PERIOD_PARAM: period.id}
    return RunRequest(period=period.id, action="trigger", path=runs_path, body=body)
