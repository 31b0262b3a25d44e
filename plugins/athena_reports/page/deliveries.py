"""What Airflow's metadata database has of the deliveries of a report: `<dag_id>_deliver`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from athena_reports.page.runs import ReportDag
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.reports.report import MAINTENANCE_TAG

_CLEARABLE_STATES = ("success", "failed", "skipped", "upstream_failed", "up_for_retry")


@dataclass(frozen=True)
class DeliveringDag:
    """The DAG that delivers what a report publishes; it has a task for each channel."""

    dag_id: str
    is_paused: bool
    channels: Sequence[str]


@dataclass(frozen=True)
class ClearRequest:
    """A request to Airflow's REST API that clears a task."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class DeliveringTask:
    """The task of a channel in the last run for a period.

    `state` is Airflow's; None until the task is scheduled. `try_number` counts from 1.
    """

    run_id: str
    state: str | None
    try_number: int

    @property
    def can_be_cleared(self) -> bool:
        """Whether it is not under way. A clear would end a task that may be sending just now."""
        return self.state in _CLEARABLE_STATES


def delivering_dag(report: ReportDag, session: Session) -> DeliveringDag | None:
    """Return the DAG that delivers what a report publishes; None if there is none."""
    dag_id = f"{report.dag_id}_deliver"
    tagged = (
        select(DagModel.is_paused)
        .join(DagTag, DagTag.dag_id == DagModel.dag_id)
        .where(DagTag.name == MAINTENANCE_TAG)
        .where(DagModel.dag_id == dag_id)
        .where(~DagModel.is_stale)
    )
    is_paused = session.scalar(tagged)
    if is_paused is None:
        return None
    for stored in SerializedDagModel.get_latest_serialized_dags(dag_ids=[dag_id], session=session):
        # As Airflow serializes it: the fields of an object, such as a task, are its `__var`.
        dag = (stored.data or {}).get("dag", {})
        channels = [task["__var"]["task_id"] for task in dag.get("tasks", ())]
        return DeliveringDag(dag_id=dag_id, is_paused=is_paused, channels=channels)
    return None


def delivering_tasks(
    dag: DeliveringDag, period_id: str, session: Session
) -> dict[str, DeliveringTask]:
    """Return by channel its task in the last run for a period; nothing for one without a run.

    A task delivers what is published when it runs. So what became of earlier ones does not matter.
    """
    of_channels = (
        select(
            DagRun.run_id,
            DagRun.partition_key,
            DagRun.conf,
            TaskInstance.task_id,
            TaskInstance.state,
            TaskInstance.try_number,
        )
        .join(
            TaskInstance,
            and_(TaskInstance.dag_id == DagRun.dag_id, TaskInstance.run_id == DagRun.run_id),
        )
        .where(DagRun.dag_id == dag.dag_id)
        # A run without a key is for the period of its param.
        .where(or_(DagRun.partition_key == period_id, DagRun.partition_key.is_(None)))
        .where(TaskInstance.task_id.in_(dag.channels))
        .order_by(DagRun.id)
    )
    tasks = {}
    for row in session.execute(of_channels):
        conf = row.conf or {}
        if period_id not in (row.partition_key, conf.get(PERIOD_PARAM)):
            continue
        tasks[row.task_id] = DeliveringTask(row.run_id, row.state, row.try_number)
    return tasks


def clear_request(dag: DeliveringDag, channel: str, task: DeliveringTask) -> ClearRequest:
    """Return the request that clears the task of a channel, and so sends again."""
    return ClearRequest(
        path=f"dags/{quote(dag.dag_id, safe='')}/clearTaskInstances",
        body={
            "dag_run_id": task.run_id,
            "task_ids": [channel],
            "include_downstream": False,
            "only_failed": False,
            "prevent_running_task": True,
            "dry_run": False,
        },
    )
