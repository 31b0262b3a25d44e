"""A client of Airflow's REST API, as far as reports need it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

_PAGE_ROWS = 100  # the default of [api] maximum_page_limit
_POLL_SECONDS = 0.2


class AirflowRuntimeError(Exception):
    """Airflow could not be started, or does not do what it was asked."""


class AirflowApiError(AirflowRuntimeError):
    """The REST API refused a request.

    Attributes:
        method: HTTP method of the request.
        path: Its path.
        status: HTTP status of the answer.
        body: The answer, decoded where it was JSON, else as text.
    """

    def __init__(self, method: str, path: str, status: int, body: Any) -> None:
        self.method = method
        self.path = path
        self.status = status
        self.body = body
        super().__init__(f"{method} {path} was answered with {status}: {body}")


class AirflowUnreachableError(AirflowRuntimeError):
    """The API server did not answer."""


class AirflowTimeoutError(AirflowRuntimeError):
    """What was waited for did not happen in time; the message says how far it got."""


@dataclass(frozen=True)
class DagImportError:
    """A file in the DAGs folder that cannot be imported."""

    filename: str
    stack_trace: str


@dataclass(frozen=True)
class DagRun:
    """A DAG run as the API tells it; times are aware, in UTC."""

    dag_id: str
    run_id: str
    run_type: str
    state: str
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    run_after: datetime
    start_date: datetime | None
    end_date: datetime | None
    conf: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether it succeeded or failed."""
        return self.state in {"success", "failed"}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Of the API's answer."""
        return cls(
            dag_id=row["dag_id"],
            run_id=row["dag_run_id"],
            run_type=row["run_type"],
            state=row["state"],
            logical_date=_time(row["logical_date"]),
            data_interval_start=_time(row["data_interval_start"]),
            data_interval_end=_time(row["data_interval_end"]),
            run_after=datetime.fromisoformat(row["run_after"]),
            start_date=_time(row["start_date"]),
            end_date=_time(row["end_date"]),
            conf=row["conf"] or {},
        )


@dataclass(frozen=True)
class TaskInstance:
    """A task of a run as the API tells it; times are aware, in UTC. One not yet considered has no state."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    operator_name: str | None
    start_date: datetime | None
    end_date: datetime | None
    rendered_fields: Mapping[str, Any]

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Of the API's answer."""
        return cls(
            dag_id=row["dag_id"],
            run_id=row["dag_run_id"],
            task_id=row["task_id"],
            map_index=row["map_index"],
            state=row["state"],
            try_number=row["try_number"],
            max_tries=row["max_tries"],
            operator_name=row["operator_name"],
            start_date=_time(row["start_date"]),
            end_date=_time(row["end_date"]),
            rendered_fields=row["rendered_fields"],
        )


class AirflowClient:
    """Airflow's REST API, as far as reports need it.

    Every method raises AirflowApiError if the API refuses the request, and AirflowUnreachableError if it does
    not answer.

    Args:
        url: Where the API server is, without a trailing slash.
        username: A user of the auth manager.
        password: The user's password.
        check: Called while waiting, and when there is no answer; raises to end the wait with a better reason.
    """

    def __init__(self, url: str, username: str, password: str, *, check: Callable[[], None] = lambda: None) -> None:
        self.url = url
        self._login = {"username": username, "password": password}
        self._check = check
        self._http = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def token(self) -> str:
        """A new token, to be sent as `Authorization: Bearer`."""
        return str(_decoded(self._send("POST", "/auth/token", json=self._login))["access_token"])

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Send any request, logged in, and return the decoded answer, None for an empty one.

        Args:
            method: HTTP method.
            path: From `/api/v2` on, its parts quoted.
            params: Query parameters.
            json: Body, to be sent as JSON.
        """
        response = self._send(method, path, params=params, json=json)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._http.headers["Authorization"] = f"Bearer {self.token()}"
            response = self._send(method, path, params=params, json=json)
        return _decoded(response)

    def health(self) -> Mapping[str, Any]:
        """What each component says of itself; needs no login. A component never seen has status None."""
        health: Mapping[str, Any] = _decoded(self._send("GET", "/api/v2/monitor/health"))
        return health

    def parsed_dags(self) -> dict[str, datetime]:
        """When each DAG that still exists was last parsed."""
        return {row["dag_id"]: datetime.fromisoformat(row["last_parsed_time"]) for row in self._dags()}

    def dag_files(self) -> dict[str, Path]:
        """The file that each DAG came from."""
        return {row["dag_id"]: Path(row["fileloc"]) for row in self._dags()}

    def import_errors(self) -> list[DagImportError]:
        """The DAG files that cannot be imported."""
        rows = self._all("/api/v2/importErrors", "import_errors")
        return [DagImportError(row["filename"], row["stack_trace"]) for row in rows]

    def pause(self, dag_id: str) -> None:
        """Let a DAG begin no tasks."""
        self.request("PATCH", _path("dags", dag_id), json={"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self.request("PATCH", _path("dags", dag_id), json={"is_paused": False})

    def trigger(
        self,
        dag_id: str,
        *,
        logical_date: datetime | None = None,
        run_after: datetime | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> DagRun:
        """Make a manual run.

        Args:
            dag_id: Of which DAG.
            logical_date: Aware; without one, as from the UI's plain trigger, the run has no data interval.
            run_after: Aware; when the run may begin, by default now.
            conf: Values for the DAG's params.
        """
        body: dict[str, Any] = {"logical_date": _iso(logical_date), "conf": dict(conf or {})}
        if run_after is not None:
            body["run_after"] = _iso(run_after)
        return DagRun.from_json(self.request("POST", _path("dags", dag_id, "dagRuns"), json=body))

    def backfill(
        self,
        dag_id: str,
        from_date: datetime,
        to_date: datetime,
        *,
        reprocess: Literal["none", "failed", "completed"] = "none",
        max_active_runs: int = 10,
        run_backwards: bool = False,
        conf: Mapping[str, Any] | None = None,
    ) -> int:
        """Make a run of each period that begins in a range and has ended.

        A DAG has one backfill at a time, and Airflow's scheduler looks every 30 s whether it has ended: until
        then, or until it is cancelled, a second one is refused with 409.

        Args:
            dag_id: Of which DAG.
            from_date: Aware; begin of the range.
            to_date: Aware; end of the range, included.
            reprocess: Which of the runs that exist already run again.
            max_active_runs: How many run at the same time.
            run_backwards: Whether the latest period comes first.
            conf: Values for the DAG's params, the same for all runs.

        Returns:
            Its id.
        """
        body = {
            "dag_id": dag_id,
            "from_date": _iso(from_date),
            "to_date": _iso(to_date),
            "reprocess_behavior": reprocess,
            "max_active_runs": max_active_runs,
            "run_backwards": run_backwards,
            "dag_run_conf": dict(conf or {}),
        }
        return int(self.request("POST", "/api/v2/backfills", json=body)["id"])

    def pause_backfill(self, backfill_id: int) -> None:
        """Let a backfill begin no runs; those that have begun go on."""
        self.request("PUT", _path("backfills", str(backfill_id), "pause"))

    def unpause_backfill(self, backfill_id: int) -> None:
        """Let a backfill that was paused go on."""
        self.request("PUT", _path("backfills", str(backfill_id), "unpause"))

    def cancel_backfill(self, backfill_id: int) -> None:
        """End a backfill: its queued runs fail, its running ones go on.

        It stays paused for good, so a run of it that is cleared later waits in the queue for ever: only
        another backfill, which takes the run over, can run it again.
        """
        self.request("PUT", _path("backfills", str(backfill_id), "cancel"))

    def runs(self, dag_id: str) -> list[DagRun]:
        """All runs of a DAG, in the order of their run_after."""
        rows = self._all(_path("dags", dag_id, "dagRuns"), "dag_runs", {"order_by": "run_after"})
        return [DagRun.from_json(row) for row in rows]

    def ended(self, dag_id: str) -> int:
        """How many runs of a DAG are over, whether well or not."""
        query = {"state": ["success", "failed"], "limit": 1}
        return int(self.request("GET", _path("dags", dag_id, "dagRuns"), params=query)["total_entries"])

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return DagRun.from_json(self.request("GET", _path("dags", dag_id, "dagRuns", run_id)))

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The tasks of a run, in their latest try."""
        rows = self._all(_path("dags", dag_id, "dagRuns", run_id, "taskInstances"), "task_instances")
        return [TaskInstance.from_json(row) for row in rows]

    def rendered_fields(self, dag_id: str, run_id: str, task_id: str) -> Mapping[str, Any]:
        """The templated fields of a task as they were rendered."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id)
        return TaskInstance.from_json(self.request("GET", path)).rendered_fields

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """The log of one try of a task, an event a line, further fields as JSON behind it."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "logs", str(try_number))
        events = self.request("GET", path, params={"full_content": True})["content"]
        return "\n".join(_log_line(event) for event in events)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task left for others, decoded."""
        path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries", key)
        return self.request("GET", path, params={"deserialize": False})["value"]

    def clear(
        self,
        dag_id: str,
        run_id: str,
        *,
        task_ids: Collection[str] | None = None,
        only_failed: bool = False,
        downstream: bool = True,
    ) -> list[str]:
        """Let tasks of a run run again.

        Args:
            dag_id: Of which DAG.
            run_id: Of which run.
            task_ids: Which tasks; by default all.
            only_failed: Only those that failed.
            downstream: Those behind them too.

        Returns:
            The ids of the tasks that were cleared.
        """
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": only_failed,
            "include_downstream": downstream,
        }
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        cleared = self.request("POST", _path("dags", dag_id, "clearTaskInstances"), json=body)
        return [row["task_id"] for row in cleared["task_instances"]]

    def set_state(
        self,
        dag_id: str,
        run_id: str,
        state: Literal["queued", "success", "failed", "skipped"],
        *,
        task_id: str | None = None,
    ) -> None:
        """Mark a run, or one task of it, as if it had ended so; runs cannot be skipped, tasks not queued."""
        if task_id is None:
            self.request("PATCH", _path("dags", dag_id, "dagRuns", run_id), json={"state": state})
        else:
            path = _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id)
            self.request("PATCH", path, json={"new_state": state})

    def wait_for_runs(
        self,
        dag_id: str,
        run_ids: Collection[str] | None = None,
        *,
        until: Callable[[Sequence[DagRun]], bool] | None = None,
        timeout_seconds: float,
        on_progress: Callable[[Sequence[DagRun]], None] = lambda _: None,
    ) -> list[DagRun]:
        """Wait for runs of a DAG.

        Args:
            dag_id: Of which DAG.
            run_ids: Which runs; by default all, whose number may grow.
            until: When to return; by default when there is a run and all have finished, in whatever state.
            timeout_seconds: For how long.
            on_progress: Told the runs whenever the state of one has changed.

        Raises:
            AirflowTimeoutError: If it takes longer.
        """
        enough = until or _all_finished
        deadline = time.monotonic() + timeout_seconds
        told: list[tuple[str, str]] = []
        while True:
            runs = [run for run in self.runs(dag_id) if run_ids is None or run.run_id in run_ids]
            states = [(run.run_id, run.state) for run in runs]
            if states != told:
                on_progress(runs)
                told = states
            complete = run_ids is None or len(runs) == len(set(run_ids))
            if complete and enough(runs):
                return runs
            self._check()
            if time.monotonic() > deadline:
                listing = ", ".join(f"{run_id} {state}" for run_id, state in states) or "no runs"
                raise AirflowTimeoutError(f"runs of {dag_id} not done within {timeout_seconds:g} s: {listing}")
            time.sleep(_POLL_SECONDS)

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **content)
        except httpx.TransportError as error:
            self._check()
            raise AirflowUnreachableError(f"no answer to {method} {self.url}{path}: {error!r}") from error

    def _dags(self) -> list[Any]:
        return self._all("/api/v2/dags", "dags", {"exclude_stale": True})

    def _all(self, path: str, key: str, params: Mapping[str, Any] | None = None) -> list[Any]:
        """All rows of a listing, page by page."""
        rows: list[Any] = []
        while True:
            page = {"limit": _PAGE_ROWS, "offset": len(rows)}
            answer = self.request("GET", path, params={**(params or {}), **page})
            rows += answer[key]
            if not answer[key] or len(rows) >= answer["total_entries"]:
                return rows


def _all_finished(runs: Sequence[DagRun]) -> bool:
    return bool(runs) and all(run.finished for run in runs)


def _path(*parts: str) -> str:
    # A run id holds + and :
    return "/api/v2/" + "/".join(quote(part, safe="") for part in parts)


def _iso(moment: datetime | None) -> str | None:
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment}")
    return None if moment is None else moment.isoformat()


def _decoded(response: httpx.Response) -> Any:
    """The body of an answer; raises AirflowApiError if it is a refusal."""
    is_json = "json" in response.headers.get("content-type", "")
    body = response.json() if is_json and response.content else response.text
    if not response.is_success:
        request = response.request
        raise AirflowApiError(request.method, request.url.path, response.status_code, body)
    return body if response.content else None


def _log_line(event: str | Mapping[str, Any]) -> str:
    if isinstance(event, str):
        return event
    extra = {name: value for name, value in event.items() if name not in {"event", "timestamp", "level"}}
    head = " ".join(str(event[name]) for name in ("timestamp", "level", "event") if event.get(name))
    return f"{head} {json.dumps(extra, default=str)}" if extra else head


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
