"""What Airflow's metadata database knows of the reports: their DAGs and their runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.models.backfill import Backfill
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import select

from athena_reports.errors import PeriodError, RunPeriodError
from athena_reports.page.coverage import Run, current_runs
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run
from athena_reports.periods.timetable import PeriodTimetable
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_SUCCESS = "success"


@dataclass(frozen=True)
class ReportDag:
    """The DAG of a report in one cadence.

    Attributes:
        dag_id: Its id, which is the name of the published table too.
        timetable: Its schedule, which says the periods.
        since: Where its periods begin, with a zone.
        is_paused: Whether it starts no runs.
        has_table: Whether it publishes Parquet, and so a table in Glue.
    """

    dag_id: str
    timetable: PeriodTimetable
    since: datetime
    is_paused: bool
    has_table: bool = True

    @property
    def cadence(self) -> Cadence:
        """Its periods."""
        return self.timetable.cadence

    @property
    def report(self) -> str:
        """Name of the report."""
        return self.dag_id.removesuffix(f"_{self.cadence.name}")


def report_dags(dag_ids: Iterable[str], session: Session) -> list[ReportDag]:
    """Return those of some DAGs that are reports, by id.

    Args:
        dag_ids: The DAGs, such as those that a viewer may read.
        session: Of the metadata database.
    """
    rows = session.execute(
        select(DagModel.dag_id, DagModel.is_paused)
        .join(DagTag, DagTag.dag_id == DagModel.dag_id)
        .where(DagTag.name == REPORT_TAG, DagModel.dag_id.in_(set(dag_ids)), ~DagModel.is_stale)
    )
    paused = {row.dag_id: row.is_paused for row in rows}
    serialized = SerializedDagModel.get_latest_serialized_dags(dag_ids=list(paused), session=session)
    found = (_report_dag(row.dag_id, row.data or {}, paused[row.dag_id]) for row in serialized)
    return sorted((dag for dag in found if dag), key=lambda dag: dag.dag_id)


def unfinished_runs(dags: Sequence[ReportDag], session: Session) -> dict[str, dict[str, Run]]:
    """Return for each DAG, by period id, the run that counts among those that did not succeed.

    A run that succeeded has published its period, which is seen from the partitions.
    """
    rows = session.execute(
        select(*_COLUMNS).where(DagRun.dag_id.in_([dag.dag_id for dag in dags]), DagRun.state != _SUCCESS)
    ).all()
    return {
        dag.dag_id: current_runs(_placed(dag.cadence, [row for row in rows if row.dag_id == dag.dag_id]))
        for dag in dags
    }


def scheduled_runs(dag: ReportDag, session: Session) -> dict[str, Run]:
    """Return the runs of a DAG whose logical date is the start of a period, by that period's id."""
    rows = session.execute(
        select(*_COLUMNS).where(DagRun.dag_id == dag.dag_id, DagRun.logical_date.is_not(None))
    )
    placed = ((dag.cadence.containing(row.logical_date), row) for row in rows)
    return {
        period.id: replace(_run(row), is_of_another=_period_id(dag.cadence, row) != period.id)
        for period, row in placed
        if period.start_utc == row.logical_date.astimezone(UTC)
    }


def run_ids(dag: ReportDag, session: Session) -> set[str]:
    """Return the ids of the runs of a DAG that may be cleared.

    Those of a cancelled backfill may not: Airflow keeps it paused for good, and with it a run that is cleared
    (apache/airflow#72337).
    """
    cancelled = select(Backfill.id).where(Backfill.is_paused.is_(True), Backfill.completed_at.is_not(None))
    may_run = DagRun.backfill_id.is_(None) | DagRun.backfill_id.not_in(cancelled)
    return set(session.scalars(select(DagRun.run_id).where(DagRun.dag_id == dag.dag_id, may_run)))


def has_pool(name: str, session: Session) -> bool:
    """Return whether there is a pool of that name: without it the tasks that need it wait for ever."""
    return session.scalar(select(Pool.id).where(Pool.pool == name)) is not None


_COLUMNS = (
    DagRun.dag_id,
    DagRun.run_id,
    DagRun.run_type,
    DagRun.state,
    DagRun.logical_date,
    DagRun.run_after,
    DagRun.data_interval_start,
    DagRun.data_interval_end,
    DagRun.end_date,
    DagRun.conf,
)


def _report_dag(dag_id: str, data: Mapping[str, Any], is_paused: bool) -> ReportDag | None:
    """Return the DAG of a report from its serialised form, or None if its schedule is none of ours."""
    dag = data["dag"]
    try:
        timetable = PeriodTimetable.deserialize(dag["timetable"]["__var"])
    except (KeyError, TypeError, PeriodError):
        return None
    since = datetime.fromtimestamp(dag["start_date"], UTC)
    return ReportDag(dag_id, timetable, since, is_paused, NO_TABLE_TAG not in dag.get("tags", ()))


def _placed(cadence: Cadence, rows: Iterable[Any]) -> Iterable[tuple[str, Run]]:
    for row in rows:
        period_id = _period_id(cadence, row)
        if period_id:
            yield period_id, _run(row)


def _period_id(cadence: Cadence, row: Any) -> str:
    """Return the period that a run reports; empty if it stands for none, and failed for that reason."""
    try:
        return period_of_run(cadence, row, param=(row.conf or {}).get(PERIOD_PARAM) or "").id
    except RunPeriodError:
        return ""


def _run(row: Any) -> Run:
    return Run(row.run_id, str(row.state), row.end_date)
