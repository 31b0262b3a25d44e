"""What Airflow's metadata database has of the deliveries of a report: `<dag_id>_deliver`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import or_, select
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


def delivering_dag(report: ReportDag, session: Session) -> DeliveringDag | None:
    """Return the DAG that delivers what a report publishes; None if there is none."""
    dag_id = f"{report.dag_id}_deliver"
    tagged = select(DagModel.is_paused).where(
        DagModel.dag_id == dag_id, ~DagModel.is_stale, DagModel.tags.any(name=MAINTENANCE_TAG)
    )
    is_paused = session.scalar(tagged)
    if is_paused is None:
        return None
    stored = SerializedDagModel.get(dag_id, session=session)
    if stored is None or stored.data is None:
        return None
    # As Airflow serializes it: the fields of an object, such as a task, are its `__var`.
    channels = [task["__var"]["task_id"] for task in stored.data["dag"]["tasks"]]
    return DeliveringDag(dag_id=dag_id, is_paused=is_paused, channels=channels)


def delivering_tasks(
    dag: DeliveringDag, period_id: str, session: Session
) -> dict[str, DeliveringTask]:
    """Return by channel its task in the last run for a period; nothing for one without a run.

    A task delivers what is published when it runs. So what became of earlier ones does not matter.
    """
    of_channels = (
        select(
            TaskInstance.task_id,
            TaskInstance.run_id,
            TaskInstance.state,
            TaskInstance.try_number,
            DagRun.partition_key,
            DagRun.conf,
        )
        .join(TaskInstance.dag_run)
        .where(DagRun.dag_id == dag.dag_id, TaskInstance.task_id.in_(dag.channels))
        # A run without a key is for the period of its param.
        .where(or_(DagRun.partition_key == period_id, DagRun.partition_key.is_(None)))
        .order_by(DagRun.id)
    )
    tasks = {}
    for task in session.execute(of_channels):
        conf = task.conf or {}
        if task.partition_key or conf.get(PERIOD_PARAM) == period_id:
            tasks[task.task_id] = DeliveringTask(task.run_id, task.state, task.try_number)
    return tasks


def clear_request(
    dag: DeliveringDag, channel: str, task: DeliveringTask | None
) -> ClearRequest | None:
    """Return the request that clears the task of a channel, and so sends again.

    None without a task, or if it is under way: a clear would end one that may be sending just now.
    """
    if task is None or task.state not in _CLEARABLE_STATES:
        return None
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
