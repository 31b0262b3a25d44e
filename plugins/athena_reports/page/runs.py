"""What Airflow's metadata database has of the reports: their DAGs and their runs."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow.models.backfill import Backfill
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from cachetools import LRUCache  # type: ignore[import-untyped]
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from athena_reports.errors import PeriodError, RunPeriodError
from athena_reports.page.coverage import Run
from athena_reports.periods.calendar import Cadence
from athena_reports.periods.run_period import PERIOD_PARAM, period_of_run
from athena_reports.reports.report import NO_TABLE_TAG, REPORT_TAG
from athena_reports.scheduling.timetable import PeriodTimetable
from athena_reports.steps.missing_inputs import INPUTS_TASK, MISSING_XCOM, MissingInputs

_WAITING_STATES = ("deferred", "up_for_reschedule")  # between two looks


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
    logic: str = ""  # of its runs from now on; empty for a DAG without
    reads: Sequence[str] = ()  # the DAGs of the reports that it reads

    @property
    def cadence(self) -> Cadence:
        """Its periods."""
        return self.timetable.cadence

    @property
    def report(self) -> str:
        """Name of the report."""
        return self.dag_id.removesuffix(f"_{self.cadence.unit}")


# By id and time of the last change; a DAG takes about a kilobyte.
_dags: MutableMapping[tuple[str, datetime], ReportDag | None] = LRUCache(4096)


class DatedRun(NamedTuple):
    """The run whose logical date is the start of a period.

    `can_run_period` says if clearing it runs the period. It does not if the run reports another
    period, or if its backfill was cancelled: Airflow keeps that paused (apache/airflow#72337).
    """

    run_id: str
    can_run_period: bool


def report_dags(dag_ids: Iterable[str], session: Session) -> list[ReportDag]:
    """Return the reports among some DAGs, by id. A DAG that Airflow has not changed is not read."""
    tagged = (
        select(
            DagModel.dag_id,
            DagModel.is_paused,
            func.max(SerializedDagModel.last_updated).label("updated_at"),
        )
        .join(SerializedDagModel, SerializedDagModel.dag_id == DagModel.dag_id)
        .where(DagModel.dag_id.in_(dag_ids), ~DagModel.is_stale)
        .where(DagModel.tags.any(name=REPORT_TAG))
        .group_by(DagModel.dag_id, DagModel.is_paused)
    )
    models = {row.dag_id: row for row in session.execute(tagged)}
    versions = {dag_id: (dag_id, row.updated_at) for dag_id, row in models.items()}
    changed = [dag_id for dag_id, version in versions.items() if version not in _dags]
    for stored in SerializedDagModel.get_latest_serialized_dags(dag_ids=changed, session=session):
        _dags[versions[stored.dag_id]] = _read_report_dag(stored.dag_id, stored.data or {})
    dags = []
    for dag_id in sorted(models):
        dag = _dags.get(versions[dag_id])
        if dag is not None:
            dags.append(replace(dag, is_paused=models[dag_id].is_paused))
    return dags


def last_run_changes(dags: Iterable[ReportDag], session: Session) -> dict[str, datetime | None]:
    """Return when a run of each report and of those that it reads changed last, by DAG.

    There is nothing for a DAG without runs. Airflow changes an active run every few seconds.
    """
    dag_ids = {dag_id for dag in dags for dag_id in (dag.dag_id, *dag.reads)}
    changes = select(DagRun.dag_id, func.max(DagRun.updated_at)).group_by(DagRun.dag_id)
    return dict(session.execute(changes.where(DagRun.dag_id.in_(dag_ids))).tuples().all())


def unfinished_runs(dags: Sequence[ReportDag], session: Session) -> dict[str, dict[str, Run]]:
    """Return for each DAG, by period id, the run that counts among those that did not succeed.

    Of a run that succeeded, the partitions show what it published.
    """
    cadences = {dag.dag_id: dag.cadence for dag in dags}
    runs_by_dag: dict[str, list[tuple[str, Run]]] = {dag_id: [] for dag_id in cadences}
    waits = _waits_for_inputs(cadences, session)
    unfinished = select(DagRun).where(DagRun.dag_id.in_(cadences), DagRun.state != "success")
    for run in session.scalars(unfinished):
        period_id = _period_id(cadences[run.dag_id], run)
        if not period_id:
            continue
        ended_at = ""
        if run.end_date is not None:
            ended_at = run.end_date.astimezone(UTC).isoformat(timespec="milliseconds")
        shown_run = Run(run.run_id, run.state, ended_at, waits.get((run.dag_id, run.run_id), ""))
        runs_by_dag[run.dag_id].append((period_id, shown_run))
    return {dag_id: current_runs(runs) for dag_id, runs in runs_by_dag.items()}


def _waits_for_inputs(dag_ids: Iterable[str], session: Session) -> dict[tuple[str, str], str]:
    """Return by DAG and run what is said of each run that waits for its inputs."""
    notes = (
        select(XComModel.dag_id, XComModel.run_id, XComModel.value)
        .join(XComModel.task)
        .where(XComModel.dag_id.in_(dag_ids))
        .where(XComModel.task_id == INPUTS_TASK, XComModel.key == MISSING_XCOM)
        .where(TaskInstance.state.in_(_WAITING_STATES))
    )
    waits = {}
    for note in session.execute(notes):
        waits[note.dag_id, note.run_id] = str(MissingInputs.model_validate(note.value))
    return waits


def current_runs(runs: Iterable[tuple[str, Run]]) -> dict[str, Run]:
    """Return by period id the run that counts: an active one, else the one that ended last."""
    return dict(sorted(runs, key=_rank))  # of two runs of a period, the later one stays


def _rank(period_and_run: tuple[str, Run]) -> tuple[bool, str]:
    _, run = period_and_run
    return run.is_active, run.ended_at


def dated_runs(dag: ReportDag, session: Session) -> dict[str, DatedRun]:
    """Return by period id the run that has the start of the period as its logical date."""
    of_dag = select(DagRun, Backfill).outerjoin(DagRun.backfill).where(DagRun.dag_id == dag.dag_id)
    runs = {}
    for run, backfill in session.execute(of_dag.where(DagRun.logical_date.is_not(None))):
        period = dag.cadence.containing(run.logical_date)
        if period.start_utc != run.logical_date:
            continue
        is_cancelled = backfill is not None and backfill.is_paused and backfill.completed_at
        reports_period = _period_id(dag.cadence, run) == period.id
        runs[period.id] = DatedRun(run.run_id, reports_period and not is_cancelled)
    return runs


def _read_report_dag(dag_id: str, stored: Mapping[str, Any]) -> ReportDag | None:
    """Return the DAG that Airflow has stored; None if it has another schedule, or no start."""
    # As Airflow serializes it: the fields of an object, such as a timetable, are its `__var`.
    try:
        dag = stored["dag"]
        timetable = PeriodTimetable.deserialize(dag["timetable"]["__var"])
        start_seconds = dag["start_date"]
    except (KeyError, TypeError, PeriodError):
        return None
    end_seconds = dag.get("end_date")
    return ReportDag(
        dag_id=dag_id,
        timetable=timetable,
        since=datetime.fromtimestamp(start_seconds, UTC),
        is_paused=False,
        has_table=NO_TABLE_TAG not in dag.get("tags", ()),
        until=datetime.fromtimestamp(end_seconds, UTC) if end_seconds else None,
        logic=_logic(dag),
        reads=_reads(dag),
    )


def _logic(dag: Mapping[str, Any]) -> str:
    """Return the logic in the `default_args`, where `build_dag` puts it; empty without any."""
    arguments = dag.get("default_args", {}).get("__var", {})
    return str(arguments.get("logic", ""))


def _reads(dag: Mapping[str, Any]) -> Sequence[str]:
    """Return the field `reads` of the one task that has it."""
    return [dag_id for task in dag["tasks"] for dag_id in task["__var"].get("reads", ())]


def _period_id(cadence: Cadence, run: DagRun) -> str:
    """Return the id of the period that a run reports; empty if it reports none, and so failed."""
    conf = run.conf or {}
    try:
        return period_of_run(cadence, run, param=conf.get(PERIOD_PARAM) or "").id
    except RunPeriodError:
        return ""
