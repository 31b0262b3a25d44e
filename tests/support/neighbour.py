"""What Airflow's API answers a task that asks for the run of another DAG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from airflow.sdk.api.datamodels._generated import DagRun
from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun

from athena_reports import Period
from tests.support.calendars import WEEK

RUN_ID = "scheduled__2025-06-14T15:05:00+00:00"


@dataclass
class Airflow:
    """A run of a report's DAG, and Airflow's API as far as alerts ask it about that run.

    Without `tasks` there is no run. An object stands for the task instance that asks, and for the
    connection to the API.
    """

    state: str = "running"
    tasks: Mapping[str, str | None] = field(default_factory=dict)
    xcoms: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    is_paused: bool = False
    data_interval_start: datetime | None = None
    clear_number: int = 0
    dag_id: str = "plays_weekly"
    period: Period = WEEK

    def get_task_states(
        self, *, dag_id: str, logical_dates: list[datetime]
    ) -> dict[str, Mapping[str, str | None]]:
        assert (dag_id, logical_dates) == (self.dag_id, [self.period.start_utc])
        return {RUN_ID: self.tasks} if self.tasks else {}

    def get_dag(self, dag_id: str) -> Any:
        assert dag_id == self.dag_id
        return SimpleNamespace(is_paused=self.is_paused)

    def xcom_pull(
        self, *, dag_id: str, run_id: str, task_ids: str, key: str, map_indexes: int
    ) -> Any:
        assert (dag_id, run_id) == (self.dag_id, RUN_ID)
        assert map_indexes == -1, "without one, Airflow gives a list"
        return self.xcoms.get((task_ids, key))

    def send(self, question: GetDagRun) -> DagRunResult:
        """Return the run as Airflow's API does; both models are Airflow's own."""
        assert (question.dag_id, question.run_id) == (self.dag_id, RUN_ID)
        run = DagRun.model_validate(
            {
                "dag_id": self.dag_id,
                "run_id": RUN_ID,
                "logical_date": self.period.start_utc,
                "data_interval_start": self.data_interval_start or self.period.start_utc,
                "data_interval_end": self.period.end_utc,
                "run_after": self.period.end_utc,
                "start_date": self.period.end_utc,
                "end_date": None,
                "clear_number": self.clear_number,
                "run_type": "scheduled",
                "state": self.state,
                "consumed_asset_events": [],
                "partition_key": None,
            }
        )
        return DagRunResult(**run.model_dump())
