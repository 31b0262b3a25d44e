"""Stands for a DAG run of Airflow and its task instances: what tasks look at and write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from tests.support.calendars import WEEK
from tests.support.virtual_clock import START


@dataclass(frozen=True)
class DagRun:
    """A DAG run; by default the scheduled one of `WEEK`."""

    run_type: str = "scheduled"
    run_after: datetime = START
    data_interval_start: datetime | None = WEEK.start_utc
    data_interval_end: datetime | None = WEEK.end_utc
    clear_number: int = 0
    start_date: datetime | None = None
    logical_date: datetime | None = None
    conf: Mapping[str, str] | None = None
    partition_key: str | None = None

    @classmethod
    def manual(cls, run_after: datetime) -> DagRun:
        """A run that somebody has triggered; it has no interval."""
        return cls("manual", run_after, data_interval_start=None, data_interval_end=None)


@dataclass
class TaskInstance:
    """The task instances of a run, one after the other: `task_id` names the one that runs.

    `values` has the XComs of the run, by task and key. A mapped task has its index in its name.
    `states` says how the tasks have ended, and `active_runs` which runs of any DAG have not.
    """

    task_id: str = "run_query"
    dag_id: str = "plays_weekly"
    run_id: str = "run-1"
    map_index: int | None = -1
    try_number: int = 1
    max_tries: int = 3
    start_date: datetime = START
    bundle_version: str | None = None  # a folder has no versions
    first_reschedule_date: datetime | None = None
    task: Any = None
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    active_runs: set[tuple[str, str]] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bundle_instance(self) -> Any:
        """The DAG bundle of the task's code; as in `dag.test()`, there may be none."""
        if self.bundle_version is None:
            raise AttributeError
        return SimpleNamespace(version=self.bundle_version)

    @property
    def pushed(self) -> dict[str, Any]:
        """The XComs of the task that runs, by key."""
        own_name = _name(self.task_id, self.map_index)
        return {key: value for (name, key), value in self.values.items() if name == own_name}

    def xcom_push(self, key: str, value: Any) -> None:
        own_name = _name(self.task_id, self.map_index)
        self.values[own_name, key] = json.loads(json.dumps(value))

    def xcom_pull(
        self,
        task_ids: str,
        key: str,
        default: Any = None,
        map_indexes: int | None = None,
        dag_id: str = "",
        run_id: str = "",
    ) -> Any:
        """What a task of this run has pushed; without an index, a list if several of them have."""
        if (dag_id or self.dag_id, run_id or self.run_id) != (self.dag_id, self.run_id):
            return default
        if map_indexes is not None:
            return self.values.get((_name(task_ids, map_indexes), key), default)
        found = []
        for (name, pushed_key), value in self.values.items():
            if pushed_key == key and name.partition("[")[0] == task_ids:
                found.append(value)
        if len(found) > 1:
            return found
        return found[0] if found else default

    def get_task_states(self, dag_id: str, **_: Any) -> dict[str, dict[str, str]]:
        """The states of this run's tasks; no other DAG has a run."""
        return {self.run_id: self.states} if dag_id == self.dag_id else {}

    def get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(dag_id=dag_id, is_paused=False)

    def get_dr_count(self, *, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        self.asked.append({"dag_id": dag_id, "run_ids": run_ids, "states": states})
        assert states == ["queued", "running"]
        return len(self.active_runs & {(dag_id, run_id) for run_id in run_ids})

    def get_first_reschedule_date(self, _: Mapping[str, Any]) -> datetime | None:
        return self.first_reschedule_date

    def begin_next_try(self) -> None:
        """Airflow forgets the XComs of a task when it starts the task again."""
        self.try_number += 1
        self.first_reschedule_date = None
        own_name = _name(self.task_id, self.map_index)
        for key in self.pushed:
            del self.values[own_name, key]


def _name(task_id: str, map_index: int | None) -> str:
    """What tells the instances of a mapped task apart: `run_query[3]`."""
    if map_index is None or map_index < 0:
        return task_id
    return f"{task_id}[{map_index}]"


@dataclass
class StateStore:
    """The task state store of Airflow 3.3: it outlives tries and clears of one task of one run."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.values[key] = json.dumps(value)


def context(run: DagRun | None = None, param: str | None = "", **of_task: Any) -> Any:
    return {
        "dag_run": run or DagRun(),
        "params": {"period": param},
        "ti": TaskInstance(**of_task),
        "run_id": "run-1",
        "ds": "1999-01-01",
    }
