"""What Airflow's metadata database has of the reports: their DAGs and their runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.models.backfill import Backfill
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from athena_reports.errors import PeriodError, RunPeriodError
from athena_reports.page.coverage import Run, current_runs
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG
from athena_reports.scheduling.timetable import PeriodTimetable


@dataclass(frozen=True)
class ReportDag:
    """The DAG of a report in one cadence; its id is the name of the published table too.

    Its periods start from `since` to `until`, instants; it goes on if that is None.
    """

    dag_id: str
    timetable: PeriodTimetable
    since: datetime
    is_paused: bool
    has_table: bool = True
    until: datetime | None = None
    logic: str = ""  # of its publications from now on; empty for a DAG without

    @property
    def cadence(self) -> Cadence:
        """Its periods."""
        return self.timetable.cadence

    @property
    def report(self) -> str:
        """Name of the report."""
        return self.dag_id.removesuffix(f"_{self.cadence.name}")


def report_dags(dag_ids: Iterable[str], session: Session) -> list[ReportDag]:
    """Return the reports among some DAGs, by id."""
    tagged = select(DagModel.dag_id, DagModel.is_paused).join(DagTag, DagTag.dag_id == DagModel.dag_id)
    wanted = tagged.where(DagTag.name == REPORT_TAG, DagModel.dag_id.in_(set(dag_ids)), ~DagModel.is_stale)
    paused = {row.dag_id: row.is_paused for row in session.execute(wanted)}
    serialized = SerializedDagModel.get_latest_serialized_dags(dag_ids=list(paused), session=session)
    found = (_report_dag(row.dag_id, row.data or {}, paused[row.dag_id]) for row in serialized)
    return sorted((dag for dag in found if dag), key=lambda dag: dag.dag_id)


def unfinished_runs(dags: Sequence[ReportDag], session: Session) -> dict[str, dict[str, Run]]:
    """Return for each DAG, by period id, the run that counts; of one that succeeded, the partitions show the period."""
    cadences = {dag.dag_id: dag.cadence for dag in dags}
    found: dict[str, list[tuple[str, Run]]] = {dag_id: [] for dag_id in cadences}
    for run in session.scalars(select(DagRun).where(DagRun.dag_id.in_(cadences), DagRun.state != "success")):
        if period_id := _period_id(cadences[run.dag_id], run):
            ended_at = run.end_date.astimezone(UTC).isoformat(timespec="milliseconds") if run.end_date else ""
            found[run.dag_id].append((period_id, Run(run.run_id, run.state, ended_at)))
    return {dag_id: current_runs(runs) for dag_id, runs in found.items()}


def dated_runs(dag: ReportDag, session: Session) -> dict[str, str]:
    """Return by period id the run that has its logical date; an empty id if clearing that one would not run it."""
    # Either it reports another period, or its backfill is cancelled: Airflow keeps it paused (apache/airflow#72337).
    cancelled = select(Backfill.id).where(Backfill.is_paused.is_(True), Backfill.completed_at.is_not(None))
    may_run = DagRun.backfill_id.is_(None) | DagRun.backfill_id.not_in(cancelled)
    dated = select(DagRun, may_run).where(DagRun.dag_id == dag.dag_id, DagRun.logical_date.is_not(None))
    found = {}
    for run, is_allowed in session.execute(dated):
        period = dag.cadence.containing(run.logical_date)
        if period.start_utc == run.logical_date:
            found[period.id] = run.run_id if is_allowed and _period_id(dag.cadence, run) == period.id else ""
    return found


def _report_dag(dag_id: str, data: Mapping[str, Any], is_paused: bool) -> ReportDag | None:
    try:
        timetable = PeriodTimetable.deserialize(data["dag"]["timetable"]["__var"])
    except (KeyError, TypeError, PeriodError):  # it has the tag, but another kind of schedule
        return None
    since, until = (
        each and datetime.fromtimestamp(each, UTC) for each in (data["dag"]["start_date"], data["dag"].get("end_date"))
    )
    has_table = NO_TABLE_TAG not in data["dag"].get("tags", ())
    logic = (each["__var"].get("logic", "") for each in data["dag"]["tasks"])
    return ReportDag(dag_id, timetable, since, is_paused, has_table, until, next(filter(None, logic), ""))


def _period_id(cadence: Cadence, run: Any) -> str:
    """Return the period that a run reports; empty if it reports none, and failed for that reason."""
    try:
        return period_of_run(cadence, run, param=(run.conf or {}).get(PERIOD_PARAM) or "").id
    except RunPeriodError:
        return ""
