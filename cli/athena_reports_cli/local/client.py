"""A client of Airflow's REST API: of an Airflow at an address, or of an Amazon MWAA environment."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, Field

from athena_reports.errors import AthenaReportsError

_API = "/api/v2"
_TOKEN_VARIABLE = "AIRFLOW_TOKEN"
_SHOWN_CHARACTERS = 1000  # of a response that is an error


class AirflowRuntimeError(AthenaReportsError):
    """Airflow could not be started, or does not do what it was asked."""


class AirflowApiError(AirflowRuntimeError):
    """The REST API rejected a request, or did not respond.

    Attributes:
        status: The HTTP status of the response; None if there was none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_rejection(self) -> bool:
        """Whether Airflow certainly did nothing. Otherwise it may have done what was asked."""
        return self.status is not None and self.status < HTTPStatus.INTERNAL_SERVER_ERROR


class DagRun(BaseModel):
    """A DAG run, as the API shows it."""

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


class TaskInstance(BaseModel):
    """The latest try of a task, as the API shows it. One not yet scheduled has no state."""

    run_id: str = Field(alias="dag_run_id")
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    operator_name: str | None
    start_date: datetime | None
    end_date: datetime | None
    rendered_fields: dict[str, Any]


class Backfill(BaseModel):
    """A backfill of a DAG, as the API shows it. Its bounds are the starts of periods."""

    id: int
    from_date: datetime
    to_date: datetime


class AirflowClient(ABC):
    """Airflow's REST API. Each method raises AirflowApiError if it is rejected or not answered."""

    @abstractmethod
    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Send a request, once, and return the JSON of the response.

        The path is that at the web server, such as `/api/v2/pools/athena`.
        """

    @abstractmethod
    def link(self, path: str) -> str:
        """Return where a person sees a page of Airflow, such as `/dags/best_weekly`."""

    def rows(self, path: str, key: str, **params: Any) -> list[Any]:
        """All rows of a listing, page by page."""
        rows: list[Any] = []
        while True:
            page = {**params, "limit": 100, "offset": len(rows)}
            response = self.request("GET", path, params=page)
            rows += response[key]
            if not response[key] or len(rows) >= response["total_entries"]:
                return rows

    def health(self) -> Any:
        """What each component reports about itself."""
        return self.request("GET", f"{_API}/monitor/health")

    def dag_details(self, dag_id: str) -> Any:
        """A DAG with its schedule and its default arguments."""
        return self.request("GET", f"{_dag(dag_id)}/details")

    def pool(self, name: str) -> Any:
        """A pool."""
        return self.request("GET", f"{_API}/pools/{_quoted(name)}")

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self.request("PATCH", _dag(dag_id), json={"is_paused": False})

    def trigger(self, dag_id: str, **options: Any) -> DagRun:
        """Make a manual run. `options` are fields of the request, such as `conf`.

        Airflow chooses the id of the run unless `dag_run_id` is one of them. Without a
        `logical_date`, as from the UI's plain trigger, it has no data interval.
        """
        body = {"logical_date": None, **options}
        return DagRun(**self.request("POST", f"{_dag(dag_id)}/dagRuns", json=body))

    def backfill(self, dag_id: str, first: datetime, last: datetime, **options: Any) -> int:
        """Make a run of each period that begins from `first` to `last` and has ended.

        A DAG has one backfill at a time, and the scheduler looks every 30 s whether it has ended:
        until then a second one is rejected with 409. `options` are further fields of the request.
        Returns the backfill's id.
        """
        return int(self._post_backfill("", dag_id, first, last, options)["id"])

    def backfill_dates(
        self, dag_id: str, first: datetime, last: datetime, **options: Any
    ) -> list[datetime]:
        """The logical dates of the runs that `backfill` would make. None is made."""
        response = self._post_backfill("/dry_run", dag_id, first, last, options)
        return [datetime.fromisoformat(run["logical_date"]) for run in response["backfills"]]

    def _post_backfill(
        self, path: str, dag_id: str, first: datetime, last: datetime, options: Mapping[str, Any]
    ) -> Any:
        bounds = {"from_date": first.isoformat(), "to_date": last.isoformat()}
        body = {"dag_id": dag_id, **bounds, **options}
        return self.request("POST", f"{_API}/backfills{path}", json=body)

    def active_backfill(self, dag_id: str) -> Backfill | None:
        """The backfill of a DAG that has not ended; None if there is none."""
        params = {"dag_id": dag_id, "order_by": "-id"}
        response = self.request("GET", f"{_API}/backfills", params=params)
        for row in response["backfills"]:
            if row["completed_at"] is None:
                return Backfill(**row)
        return None

    def runs(self, dag_id: str, **filters: str) -> list[DagRun]:
        """All runs of a DAG, or those that the filters leave, in the order of their run_after."""
        path = f"{_dag(dag_id)}/dagRuns"
        rows = self.rows(path, "dag_runs", order_by="run_after", **filters)
        return [DagRun(**row) for row in rows]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return DagRun(**self.request("GET", _run(dag_id, run_id)))

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The tasks of a run; `~` is all runs."""
        rows = self.rows(f"{_run(dag_id, run_id)}/taskInstances", "task_instances")
        return [TaskInstance(**row) for row in rows]

    def log_events(
        self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int
    ) -> list[dict[str, Any]]:
        """The events in the log of one try of a task."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}"
        params = {"full_content": True, "map_index": map_index}
        return list(self.request("GET", path, params=params)["content"])


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _dag(dag_id: str) -> str:
    return f"{_API}/dags/{_quoted(dag_id)}"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{_quoted(run_id)}"


class RestAirflow(AirflowClient):
    """The Airflow at the address of its web server.

    With a login, user name and password, it gets a token when the API asks for one. `check` is
    called when there is no response; it raises if it knows a better reason.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        login: tuple[str, str] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.url = url.rstrip("/")
        self._login = login
        self._check = check
        # A proxy of the shell is not for this machine.
        self._http = httpx.Client(timeout=60, mounts={"all://127.0.0.1": None})
        if token:
            self._use(token)

    def _use(self, token: str) -> None:
        self._http.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Send a request with the token, and once more with a new token if it has expired."""
        url = f"{self.url}{path}"
        try:
            response = self._http.request(method, url, params=params, json=json)
            if response.status_code == HTTPStatus.UNAUTHORIZED and self._login:
                self._log_in(*self._login)
                response = self._http.request(method, url, params=params, json=json)
            response.raise_for_status()
            return response.json() if response.content else None
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            reason = f"{error.response.reason_phrase}: {error.response.text[:_SHOWN_CHARACTERS]}"
            raise _rejected(method, path, status, reason) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            self._check()
            raise _not_answered(method, path, f"{self.url}: {error!r}") from error

    def _log_in(self, user: str, password: str) -> None:
        body = {"username": user, "password": password}
        response = self._http.post(f"{self.url}/auth/token", json=body).raise_for_status()
        self._use(response.json()["access_token"])

    def link(self, path: str) -> str:
        """Return the address of a page."""
        return f"{self.url}{path}"


class MwaaAirflow(AirflowClient):
    """The Airflow of an Amazon MWAA environment, by MWAA's InvokeRestApi.

    It needs no token, and no network path to the web server. The client of MWAA must not repeat a
    request, which could start a second run.
    """

    def __init__(self, mwaa: Any, name: str) -> None:
        self.mwaa = mwaa
        self.name = name

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        """Send a request through AWS, which takes a path without `/api/v2`."""
        request = {"Name": self.name, "Method": method, "Path": path.removeprefix(_API)}
        if json is not None:
            request["Body"] = json
        if params is not None:
            request["QueryParameters"] = params
        try:
            return self.mwaa.invoke_rest_api(**request)["RestApiResponse"]
        except ClientError as error:
            response: Any = error.response
            status = response.get("RestApiStatusCode")
            reason = response.get("RestApiResponse")
            if status is None:  # Airflow was not reached, so the status is that of AWS
                status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                reason = error
            raise _rejected(method, path, status, str(reason)) from error
        except BotoCoreError as error:
            raise _not_answered(method, path, str(error)) from error

    def link(self, path: str) -> str:
        """Return the page with the name of the environment, whose web address MWAA may change."""
        return f"{path} of the MWAA environment {self.name}"


def _rejected(method: str, path: str, status: int, reason: str) -> AirflowApiError:
    return AirflowApiError(
        f"Airflow rejected {method} {path}: {status} {reason.removesuffix('.')}.", status=status
    )


def _not_answered(method: str, path: str, reason: str) -> AirflowApiError:
    return AirflowApiError(f"No response from Airflow to {method} {path}: {reason}.")


def connect(address: str) -> AirflowClient:
    """Return the Airflow of an address.

    It is `https://HOST`, for the token in AIRFLOW_TOKEN, `https://USER:PASSWORD@HOST` for a login,
    or `mwaa:<name>` for the MWAA environment of a name, with the credentials of the shell.
    AirflowApiError if it is none of these, or there is no token.
    """
    if address.startswith("mwaa:"):
        once = Config(retries={"total_max_attempts": 1})
        mwaa = boto3.Session().client("mwaa", config=once)
        return MwaaAirflow(mwaa, address.removeprefix("mwaa:"))
    if not address.startswith(("http://", "https://")):
        shown = address.rpartition("@")[2]  # before it may be a password
        raise AirflowApiError(
            f'"{shown}" is not an Airflow address. Use https://HOST or mwaa:ENVIRONMENT.'
        )
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        raise AirflowApiError(
            "The Airflow address is not a valid URL. Percent-encode special characters in the"
            " password, such as %2F for a slash."
        ) from None  # its message may quote a part of the password
    if url.userinfo:
        plain_url = url.copy_with(userinfo=b"")
        return RestAirflow(str(plain_url), login=(url.username, url.password))
    token = os.environ.get(_TOKEN_VARIABLE)
    if not token:
        raise AirflowApiError(
            f"{_TOKEN_VARIABLE} is not set. Set it to a token from"
            f" {address.rstrip('/')}/auth/token, or use mwaa:ENVIRONMENT."
        )
    return RestAirflow(address, token=token)
