"""A client of Airflow's REST API, as far as reports need it."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from pydantic import BaseModel, Field

from athena_reports.errors import AthenaReportsError

_DAGS = "/api/v2/dags"


class AirflowRuntimeError(AthenaReportsError):
    """Airflow could not be started, or does not do what it was asked."""


class AirflowApiError(AirflowRuntimeError):
    """The REST API refused a request; `status` and `body` are those of its answer."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.body = response.text
        request = f"{response.request.method} {response.request.url.path}"
        super().__init__(f"{request} was answered with {self.status}: {self.body}")


class DagRun(BaseModel):
    """A DAG run as the API tells it."""

    dag_id: str
    run_id: str = Field(alias="dag_run_id")
    run_type: str
    state: str
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    run_after: datetime
    start_date: datetime | None
    end_date: datetime | None
    conf: dict[str, Any] | None
    partition_key: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it succeeded or failed."""
        return self.state in {"success", "failed"}


def all_finished(runs: Sequence[DagRun]) -> bool:
    """Whether the runs have succeeded or failed."""
    return all(run.finished for run in runs)


class TaskInstance(BaseModel):
    """The latest try of a task as the API tells it. One not yet considered has no state."""

    id: str
    run_id: str = Field(alias="dag_run_id")
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    operator_name: str | None
    start_date: datetime | None
    end_date: datetime | None
    rendered_fields: dict[str, Any]


class AirflowClient:
    """Airflow's REST API; each method raises AirflowRuntimeError if it refuses or does not answer.

    `check` is called while waiting, and when there is no answer; it raises to end the wait with a
    better reason.
    """

    def __init__(
        self, url: str, username: str, password: str, check: Callable[[], None] = lambda: None
    ) -> None:
        self.url = url
        self._login = {"username": username, "password": password}
        self._check = check
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Send a request, logged in, and return the decoded answer."""
        try:
            response = self._http.request(method, path, params=params, json=json)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                login = self._http.post("/auth/token", json=self._login).raise_for_status()
                token = login.json()["access_token"]
                self._http.headers["Authorization"] = f"Bearer {token}"
                response = self._http.request(method, path, params=params, json=json)
        except httpx.HTTPError as error:
            self._check()
            raise AirflowRuntimeError(f"{method} {self.url}{path}: {error!r}") from error
        if not response.is_success:
            raise AirflowApiError(response)
        return response.json() if response.content else None

    def rows(self, path: str, key: str, **params: Any) -> list[Any]:
        """All rows of a listing, page by page."""
        rows: list[Any] = []
        while True:
            page = {"limit": 100, "offset": len(rows)}
            response = self.request("GET", path, params={**params, **page})
            rows += response[key]
            if not response[key] or len(rows) >= response["total_entries"]:
                return rows

    def health(self) -> Mapping[str, Any]:
        """What each component says of itself."""
        health: Mapping[str, Any] = self.request("GET", "/api/v2/monitor/health")
        return health

    def pause(self, dag_id: str) -> None:
        """Let a DAG begin no tasks."""
        self.request("PATCH", f"{_DAGS}/{dag_id}", json={"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self.request("PATCH", f"{_DAGS}/{dag_id}", json={"is_paused": False})

    def trigger(
        self, dag_id: str, *, conf: Mapping[str, Any] | None = None, **dates: datetime
    ) -> DagRun:
        """Make a manual run.

        Without a logical date, as from the UI's plain trigger, it has no data interval.
        """
        body: dict[str, Any] = {"conf": dict(conf or {}), "logical_date": None}
        for name, date in dates.items():
            body[name] = date.isoformat()
        return DagRun(**self.request("POST", f"{_DAGS}/{dag_id}/dagRuns", json=body))

    def backfill(self, dag_id: str, first: datetime, last: datetime, **options: Any) -> int:
        """Make a run of each period that begins from `first` to `last` and has ended.

        A DAG has one backfill at a time, and the scheduler looks every 30 s whether it has ended:
        until then a second one is refused with 409. `options` are further fields of the request.
        Returns the backfill's id.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first.isoformat(),
            "to_date": last.isoformat(),
            **options,
        }
        return int(self.request("POST", "/api/v2/backfills", json=body)["id"])

    def cancel_backfill(self, backfill_id: int) -> None:
        """End a backfill: its queued runs fail, its running ones go on."""
        self.request("PUT", f"/api/v2/backfills/{backfill_id}/cancel")

    def runs(self, dag_id: str) -> list[DagRun]:
        """All runs of a DAG, in the order of their run_after."""
        rows = self.rows(f"{_DAGS}/{dag_id}/dagRuns", "dag_runs", order_by="run_after")
        return [DagRun(**row) for row in rows]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return DagRun(**self.request("GET", f"{_DAGS}/{dag_id}/dagRuns/{run_id}"))

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The tasks of a run; `~` is all runs."""
        rows = self.rows(f"{_DAGS}/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")
        return [TaskInstance(**row) for row in rows]

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """The log of one try of a task, an event a line."""
        path = f"{_DAGS}/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        log = self.request("GET", path, params={"full_content": True, "map_index": map_index})
        return "\n".join(jsonlib.dumps(event, ensure_ascii=False) for event in log["content"])

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"{_DAGS}/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
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
        path = f"{_DAGS}/{dag_id}/dagRuns/{run_id}"
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
        """Wait until a DAG has runs, or these ones, and `until` is true of them.

        By default that is when they have ended.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            runs = self.runs(dag_id)
            if run_ids:
                runs = [run for run in runs if run.run_id in run_ids]
            are_there = len(runs) >= max(1, len(run_ids))
            if are_there and until(runs):
                return runs
            self._check()
            if time.monotonic() > deadline:
                states = ", ".join(f"{run.run_id} {run.state}" for run in runs)
                raise AirflowRuntimeError(
                    f"runs of {dag_id} not done within {timeout_seconds:g} s: {states}"
                )
            time.sleep(0.2)
