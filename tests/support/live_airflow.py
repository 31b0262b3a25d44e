"""A local Airflow with what only tests and benchmarks do to one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import psutil

from athena_reports_cli.local.client import (
    AirflowRuntimeError,
    DagRun,
    RestAirflow,
)
from athena_reports_cli.local.runtime import AirflowRuntime

_DAGS = "/api/v2/dags"


def all_finished(runs: Sequence[DagRun]) -> bool:
    """Whether the runs have succeeded or failed."""
    return all(run.finished for run in runs)


class LiveClient(RestAirflow):
    """Airflow's REST API, also for what no command does."""

    def pause(self, dag_id: str) -> None:
        """Let a DAG begin no tasks."""
        self.request("PATCH", f"{_DAGS}/{dag_id}", json={"is_paused": True})

    def cancel_backfill(self, backfill_id: int) -> None:
        """End a backfill: its queued runs fail, its running ones go on."""
        self.request("PUT", f"/api/v2/backfills/{backfill_id}/cancel")

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """The log of one try of a task, an event a line."""
        events = self.log_events(dag_id, run_id, task_id, try_number, map_index)
        return "\n".join(json.dumps(event, ensure_ascii=False) for event in events)

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.request("GET", path, params={"deserialize": False})["value"]

    def clear(self, dag_id: str, run_id: str, **options: Any) -> None:
        """Let a run's tasks, or only `task_ids` and those behind them, run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": False,
            "include_downstream": True,
            **options,
        }
        self.request("POST", f"{_DAGS}/{dag_id}/clearTaskInstances", json=body)

    def set_state(
        self,
        dag_id: str,
        run_id: str,
        state: str,
        *,
        task_id: str | None = None,
        include_downstream: bool = False,
    ) -> None:
        """Mark a run, or one task of it and perhaps those behind it, as if it had ended so."""
        path = _run(dag_id, run_id)
        if task_id is None:
            self.request("PATCH", path, json={"state": state})
        else:
            body = {"new_state": state, "include_downstream": include_downstream}
            self.request("PATCH", f"{path}/taskInstances/{task_id}", json=body)

    def wait_for_runs(
        self,
        dag_id: str,
        run_ids: Collection[str] = (),
        *,
        until: Callable[[Sequence[DagRun]], bool] = all_finished,
        timeout_seconds: float,
    ) -> Sequence[DagRun]:
        """Wait until a DAG has runs, or these ones, and `until` is true of them."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            runs = self.runs(dag_id)
            if run_ids:
                runs = [run for run in runs if run.run_id in run_ids]
            if len(runs) >= max(1, len(run_ids)) and until(runs):
                return runs
            self._check()
            if time.monotonic() > deadline:
                states = ", ".join(f"{run.run_id} {run.state}" for run in runs)
                raise AirflowRuntimeError(
                    f"runs of {dag_id} not done within {timeout_seconds:g} s: {states}"
                )
            time.sleep(0.2)


class LiveAirflow(AirflowRuntime):
    """An Airflow whose components can be looked into and started again.

    Of its components, `worker`, or `worker-1` and so on, are Celery workers. With `supervised`,
    `check_alive` starts again what has ended.
    """

    client: LiveClient
    _client_type = LiveClient

    def __init__(self, *args: Any, supervised: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self._supervised = supervised

    def _command(self, name: str) -> list[str]:
        if not name.startswith("worker"):
            return super()._command(name)
        # A host name only where it is needed: a worker of provider 3.18 that has one takes
        # tasks and never runs them (https://github.com/apache/airflow/issues/59707).
        hostname = [f"--celery-hostname={name}@%h"] if name != "worker" else []
        pid = f"--pid={self._home}/logs/{name}.pid"
        options = [*hostname, "--without-mingle", "--without-gossip", pid]
        return self._airflow("celery", "worker", "--skip-serve-logs", *options)

    def processes(self, name: str) -> list[psutil.Process]:
        """The living processes of a component: its own and all that it started, such as tasks."""
        return self._running[name].members()

    def restart(self, name: str) -> None:
        """Start a component again, and wait until it is healthy."""
        if name in self._running:
            self.kill(name)
        since = datetime.now(UTC)
        self._start_process(name)
        self._wait_until_none(lambda: self._unhealthy([name], since), "healthy")

    def check_alive(self) -> None:
        """Do what an AirflowRuntime does, or start again what has ended."""
        if not self._supervised:
            super().check_alive()
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                self.kill(name)
                self._start_process(name)


def _run(dag_id: str, run_id: str) -> str:
    return f"{_DAGS}/{dag_id}/dagRuns/{quote(run_id, safe='')}"
