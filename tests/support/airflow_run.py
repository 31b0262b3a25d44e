"""Stands for a run of Airflow and its task instances: what tasks look at and write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from tests.support.calendars import WEEK
from tests.support.virtual_clock import START as NOW


@dataclass(frozen=True)
class Run:
    run_type: str = "scheduled"
    run_after: datetime = NOW
    data_interval_start: datetime | None = WEEK.start_utc
    data_interval_end: datetime | None = WEEK.end_utc
    clear_number: int = 0
    start_date: datetime | None = None
    logical_date: datetime | None = None


@dataclass
class TaskInstance:
    """What Airflow keeps of a task: XComs, tries, and when the first look was."""

    xcoms: dict[str, Any] = field(default_factory=dict)
    first_reschedule_date: datetime | None = None
    try_number: int = 1
    map_index: int | None = -1
    max_tries: int = 3
    start_date: datetime = NOW

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """What run_query pushed, which has the same index."""
        return (
            self.xcoms.get(key)
            if (task_ids, map_indexes) == ("run_query", self.map_index)
            else None
        )

    def get_first_reschedule_date(self, _: Mapping[str, Any]) -> datetime | None:
        return self.first_reschedule_date

    def begin_next_try(self) -> None:
        self.try_number, self.first_reschedule_date, self.xcoms = self.try_number + 1, None, {}


@dataclass
class StateStore:
    """The task state store of Airflow 3.3: it outlives tries and clears of one task of one run."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.values[key] = json.dumps(value)


def context(run: Run | None = None, param: str | None = "", **of_task: Any) -> Any:
    return {
        "dag_run": run or Run(),
        "params": {"period": param},
        "ti": TaskInstance(**of_task),
        "run_id": "run-1",
        "ds": "1999-01-01",
    }


@dataclass(frozen=True)
class FakeDagRun:
    """Stands for the DAG run: has what tasks look at."""

    run_after: datetime
    run_type: str = "manual"
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    clear_number: int = 0
    start_date: datetime | None = None
    logical_date: datetime | None = None


@dataclass
class XComs:
    """Stands for the task instance: keeps what tasks push, and how they ended."""

    dag_id: str
    run_id: str = ""
    states: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    task_id: str = ""
    try_number: int = 1
    map_index: int | None = -1
    max_tries: int = 0

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(
        self,
        task_ids: str,
        key: str,
        default: Any = None,
        map_indexes: Any = None,
        dag_id: str = "",
        run_id: str = "",
    ) -> Any:
        if (dag_id or self.dag_id, run_id or self.run_id) != (self.dag_id, self.run_id):
            return default
        return self.values.get((task_ids, key), default)

    def get_task_states(self, dag_id: str, **_: Any) -> dict[str, dict[str, str]]:
        """The states of this run's tasks; no other DAG has a run."""
        return {self.run_id: self.states} if dag_id == self.dag_id else {}

    def get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(dag_id=dag_id, is_paused=False)

    def get_first_reschedule_date(self, _: Mapping[str, Any]) -> datetime | None:
        return None
