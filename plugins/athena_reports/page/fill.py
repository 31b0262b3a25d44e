"""What fills the holes of a report: which periods, at what cost, and by which requests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import quote

from athena_reports.errors import PeriodError
from athena_reports.page.coverage import Cell, State
from athena_reports.page.runs import DatedRun, ReportDag
from athena_reports.periods.calendar import Period
from athena_reports.periods.run_period import FILL_RUN_ID, PERIOD_PARAM
from athena_reports.publication.scan_estimate import estimate_scans

# A period that has one of these states is run before one that reads it.
_COMES_FIRST = {State.MISSING, State.BROKEN, State.RUNNING, State.STALE}


@dataclass(frozen=True)
class HeldPeriod:
    """A period that is not run yet, since what it reads of another report is not there.

    `dag_id` is the DAG of that report, and `parts` are the ids of its periods that come first.
    """

    period: str
    dag_id: str
    parts: Sequence[str]


@dataclass(frozen=True)
class ReadReport:
    """A report that another one reads: its DAG, and the ids of its periods that can be read."""

    dag: ReportDag
    ready_ids: Collection[str]

    @classmethod
    def of(cls, dag: ReportDag, cells: Sequence[Cell]) -> Self:
        """Return a report with these periods."""
        ready = (cell.period for cell in cells if _COMES_FIRST.isdisjoint(cell.states))
        return cls(dag, {period.id for period in ready})

    def open_parts(self, period: Period) -> list[str]:
        """Return the ids of the parts of a period that have to be run before it."""
        parts = self.dag.cadence.overlapping(period)
        return [part.id for part in parts if part.id not in self.ready_ids]


@dataclass(frozen=True)
class RunRequest:
    """A POST request to Airflow's REST API that runs a period; `path` is below `/api/v2/`."""

    period: str
    action: Literal["clear", "trigger"]
    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class FillPlan:
    """How to fill a range.

    Attributes:
        starts: The requests that run its periods, earliest first.
        backfill: The two instants from which to which a backfill of Airflow takes the same range.
        scanned_bytes: What the queries will scan; None if no period is published yet.
        price_usd: What they will cost; None also if a published period has no price.
        held: The periods that would be run too, if the parts that they read were there.
    """

    starts: Sequence[RunRequest]
    backfill: tuple[str, str]
    scanned_bytes: int | None
    price_usd: float | None
    held: Sequence[HeldPeriod]


def plan_fill(
    dag: ReportDag,
    cells: Sequence[Cell],
    first_id: str,
    last_id: str,
    states: Collection[State],
    *,
    read_reports: Sequence[ReadReport],
    dated_runs: Mapping[str, DatedRun],
    now: datetime,
) -> FillPlan:
    """Plan to run the periods of a range that have one of the states and no active run.

    Args:
        dag: The report.
        cells: All its periods, in order.
        first_id: The first period of the range.
        last_id: The last period of the range, which belongs to it.
        states: The states of the periods to run.
        read_reports: The reports that this one reads. Their periods come first.
        dated_runs: By period id, the run whose logical date is the start of the period.
        now: A part of the ids of new runs.

    Raises:
        PeriodError: One end of the range is not a period of the report, or they are exchanged.
    """
    chosen = _cells_between(first_id, last_id, cells)
    periods: list[Period] = []
    held: list[HeldPeriod] = []
    for cell in chosen:
        if State.RUNNING in cell.states or set(states).isdisjoint(cell.states):
            continue
        held_by = _held_by(cell.period, read_reports)
        held += held_by
        if not held_by:
            periods.append(cell.period)

    scanned_bytes = None
    price_usd = None
    published = {cell.period: cell.published for cell in cells if cell.published is not None}
    if published:
        scans = estimate_scans(periods, published).values()
        scanned_bytes = sum(scan.bytes for scan in scans)
        prices = [scan.price_usd for scan in scans if scan.price_usd is not None]
        if len(prices) == len(scans):
            price_usd = sum(prices)
    # Airflow's backfills take the periods that start between two instants, the last one included.
    first, last = chosen[0].period, chosen[-1].period
    return FillPlan(
        starts=[run_request(dag, period, dated_runs.get(period.id), now) for period in periods],
        backfill=(first.start_utc.isoformat(), last.start_utc.isoformat()),
        scanned_bytes=scanned_bytes,
        price_usd=price_usd,
        held=held,
    )


def _held_by(period: Period, read_reports: Sequence[ReadReport]) -> list[HeldPeriod]:
    """Return what a period waits for, one for each report that it reads."""
    held_by = []
    for report in read_reports:
        parts = report.open_parts(period)
        if parts:
            held_by.append(HeldPeriod(period.id, report.dag.dag_id, parts))
    return held_by


def _cells_between(first_id: str, last_id: str, cells: Sequence[Cell]) -> Sequence[Cell]:
    """Return the periods of a range; PeriodError as `plan_fill` has it."""
    places = {cell.period.id: place for place, cell in enumerate(cells)}
    for period_id in sorted({first_id, last_id}):
        if period_id not in places:
            raise PeriodError(
                f"{period_id!r} is not a completed period of this report. Choose one from the list."
            )
    if places[last_id] < places[first_id]:
        raise PeriodError(
            f"The range is reversed: {last_id} is before {first_id}. Swap the two periods."
        )
    return cells[places[first_id] : places[last_id] + 1]


def run_request(
    dag: ReportDag, period: Period, dated_run: DatedRun | None, now: datetime
) -> RunRequest:
    """Return the request that runs a period: Airflow makes no second run of a logical date."""
    runs_path = f"dags/{quote(dag.dag_id, safe='')}/dagRuns"
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
