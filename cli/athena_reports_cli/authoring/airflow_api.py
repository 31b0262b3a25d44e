"""Airflow's REST API for authors: its own address with a token, on Amazon MWAA by InvokeRestApi."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.workflows.preflight import AccountCheck

TIMEOUT_SECONDS = 30.0
_TOKEN_VARIABLE = "AIRFLOW_TOKEN"
_PAUSES_SECONDS = (1.0, 2.0, 4.0)  # between the attempts to start what was not answered
_NOT_FOUND = 404
CONFLICT = 409
_SERVER_ERROR = 500


class AirflowApiError(AthenaReportsError):
    """Airflow did not serve a request.

    Attributes:
        status: The HTTP status of the response; None if there was none, or if it does not tell what
            Airflow did.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Whether Airflow certainly did nothing. Otherwise it may have done what was asked."""
        return self.status is not None and self.status < _SERVER_ERROR


class Airflow(Protocol):
    """An Airflow that runs periods."""

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, once, and return the JSON of the response.

        Args:
            method: The HTTP method.
            path: The path below `/api/v2`, such as `/pools/athena`.
            body: What is sent as JSON; None for nothing.
            query: The parameters of the query string; None for none.

        Raises:
            AirflowApiError: It is refused, or not answered.
        """

    def link(self, path: str) -> str:
        """Return where a person sees a page of Airflow, such as `/dags/best_weekly`."""


def connect(address: str) -> Airflow:
    """Return the Airflow of an address.

    Args:
        address: `https://HOST`, for the token in AIRFLOW_TOKEN, or `mwaa:<name>` for the MWAA
            environment of a name, with the credentials of the shell.

    Raises:
        AirflowApiError: It is neither, or there is no token.
        BotoCoreError: The shell has no region for MWAA.
    """
    if address.startswith("mwaa:"):
        # `restate` sends a start again, but only after a look for its run.
        config = Config(retries={"total_max_attempts": 1})
        mwaa = boto3.Session().client("mwaa", config=config)
        return MwaaAirflow(mwaa, address.removeprefix("mwaa:"))
    if not address.startswith(("http://", "https://")):
        problem = f"{address!r} is not the address of an Airflow."
        raise AirflowApiError(f"{problem} Name https://HOST, or mwaa:ENVIRONMENT.")
    url = address.rstrip("/")
    token = os.environ.get(_TOKEN_VARIABLE)
    if not token:
        advice = f"get a token from {url}/auth/token, or name mwaa:ENVIRONMENT."
        raise AirflowApiError(f"{_TOKEN_VARIABLE} is not set: {advice}")
    return RestAirflow(url, token)


class DeployedDag(NamedTuple):
    """A DAG as an Airflow has it.

    Attributes:
        is_paused: Whether its runs wait until somebody unpauses it.
        calendar: What its periods are, as the description of a cadence, such as `Weekly from
            Sunday, Asia/Tokyo`; empty if Airflow does not tell.
        since: The midnight at which its first date with data begins; None for none.
        until: Likewise of its last date.
    """

    is_paused: bool
    calendar: str
    since: datetime | None
    until: datetime | None


def require_dag(airflow: Airflow, dag_id: str, *, environment: str, logic: str) -> DeployedDag:
    """Require that this Airflow has a DAG as the shell has it: of the same environment and logic.

    `build_dag` puts both into the `default_args`, which Airflow shows.

    Args:
        airflow: The Airflow.
        dag_id: The DAG.
        environment: The environment of this shell.
        logic: The digest of the report's logic in the files here.

    Raises:
        AirflowApiError: It has no such DAG, one of another environment or logic, or does not serve
            the request.
    """
    try:
        details = airflow.request("GET", f"/dags/{quote(dag_id, safe='')}/details")
    except AirflowApiError as error:
        if error.status != _NOT_FOUND:
            raise
        advice = "A new file takes Airflow a minute to read. Then run the command again."
        problem = f"{error} This Airflow has no DAG {dag_id}. {advice}"
        raise AirflowApiError(problem, status=error.status) from error
    arguments = details.get("default_args") or {}
    deployed_environment = arguments.get("environment")
    deployed_logic = arguments.get("logic")
    if deployed_environment != environment:
        problem = f"{dag_id} is of environment {deployed_environment} in this Airflow,"
        raise AirflowApiError(
            f"{problem} and the shell is set to {environment}. Name the Airflow of {environment}."
        )
    if deployed_logic != logic:
        problem = f"{dag_id} has other logic in this Airflow ({deployed_logic}) than in these files"
        advice = "Deploy these files. Airflow takes a minute to read an edited file."
        raise AirflowApiError(f"{problem} ({logic}). {advice} Then run the command again.")
    return DeployedDag(
        is_paused=bool(details.get("is_paused")),
        calendar=details.get("timetable_description") or "",
        since=_instant(details.get("start_date")),
        until=_instant(details.get("end_date")),
    )


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    return datetime.fromisoformat(text)


class Restatement(NamedTuple):
    """A run that reports a period again."""

    run_id: str
    state: str  # such as `queued`
    is_earlier: bool  # an earlier command had started it


def restating_run_id(period_id: str, logic: str, version: str) -> str:
    """Return the id of the run that restates a period, the same at each repetition of a command.

    Args:
        period_id: The period.
        logic: The digest of the logic that it is restated with.
        version: The published version that the run replaces. Without it, late data could not be
            restated twice by the same logic, and an edit could not be taken back.
    """
    return f"plan__{period_id}__{logic.replace(':', '-')}__{version}"


def restate(airflow: Airflow, dag_id: str, period_id: str, run_id: str) -> Restatement:
    """Start a run of a period, unless there is one of this id.

    After a request that was not answered it looks for the run, and asks again only if there is
    none.

    Args:
        airflow: The Airflow.
        dag_id: The DAG.
        period_id: The period.
        run_id: The id of the run, from `restating_run_id`.

    Raises:
        AirflowApiError: It is refused, or Airflow does not answer. Then the run may have begun,
            which the message says.
    """
    runs = f"/dags/{quote(dag_id, safe='')}/dagRuns"
    # It has no logical date. Only one run of a DAG can have the logical date of the period, and
    # that is the scheduled run.
    body = {"dag_run_id": run_id, "logical_date": None, "conf": {PERIOD_PARAM: period_id}}
    try:
        started = airflow.request("POST", runs, body)
        return Restatement(run_id, _state(started), is_earlier=False)
    except AirflowApiError as error:
        if error.is_refusal and error.status != CONFLICT:
            raise
        is_earlier = error.status == CONFLICT  # the run seems to exist
        problem = error

    # Look for the run, and start it if it is not there, until one of the two is answered.
    for pause_seconds in (0.0, *_PAUSES_SECONDS):
        time.sleep(pause_seconds)
        try:
            run = airflow.request("GET", f"{runs}/{quote(run_id, safe='')}")
            return Restatement(run_id, _state(run), is_earlier)
        except AirflowApiError as error:
            if error.status != _NOT_FOUND:
                continue  # whether there is such a run is not answered either
        if is_earlier:
            raise problem  # there is no such run, so the conflict is with something else
        try:
            started = airflow.request("POST", runs, body)
            return Restatement(run_id, _state(started), is_earlier=False)
        except AirflowApiError as error:
            if error.is_refusal and error.status != CONFLICT:
                raise
            problem = error
    advice = f"Run {run_id} may have begun. Repeat the command: it starts no second run."
    raise AirflowApiError(f"{problem} {advice}") from problem


class Backfill(NamedTuple):
    """A backfill of a DAG, as Airflow has it. Its bounds are the starts of periods."""

    id: int
    first: datetime
    last: datetime
    is_active: bool


# Failed runs are cleared and run again, runs that succeeded are left alone.
_REPROCESS = "failed"


def runs_of_backfill(
    airflow: Airflow, dag_id: str, first: datetime, last: datetime
) -> list[datetime]:
    """Return the logical dates of the runs that a backfill would start.

    Args:
        airflow: The Airflow.
        dag_id: The DAG.
        first: The start of the first period, an instant.
        last: The start of the last period, which belongs to it.

    Raises:
        AirflowApiError: It is refused, or Airflow does not answer.
    """
    body = _backfill_body(dag_id, first, last)
    response = airflow.request("POST", "/backfills/dry_run", body)
    return [datetime.fromisoformat(run["logical_date"]) for run in response["backfills"]]


def active_backfill(airflow: Airflow, dag_id: str) -> Backfill | None:
    """Return the backfill of a DAG that has not ended; None if there is none.

    Airflow has at most one of a DAG. It looks every 30 seconds if one has ended.
    """
    for backfill in _latest_backfills(airflow, dag_id):
        if backfill.is_active:
            return backfill
    return None


def begin_backfill(
    airflow: Airflow, dag_id: str, first: datetime, last: datetime, *, is_serial: bool = False
) -> Backfill:
    """Begin a backfill, once.

    After a request that was not answered it looks for the backfill, and asks again only if there is
    none.

    Args:
        airflow: The Airflow.
        dag_id: The DAG.
        first: The start of the first period, an instant.
        last: The start of the last period, which belongs to it.
        is_serial: Whether its runs go one at a time, the earliest first. Otherwise as many at a
            time as Airflow lets a backfill have.

    Raises:
        AirflowApiError: It is refused, or Airflow does not answer. Then the backfill may have
            begun, which the message says.
    """
    body = _backfill_body(dag_id, first, last)
    if is_serial:
        body["max_active_runs"] = 1
    earlier_ids = {backfill.id for backfill in _latest_backfills(airflow, dag_id)}
    for pause_seconds in _PAUSES_SECONDS:
        try:
            return _as_backfill(airflow.request("POST", "/backfills", body))
        except AirflowApiError as error:
            if error.is_refusal and error.status != CONFLICT:
                raise
            problem = error
        # It may have begun by this request, or by one before, which is then in conflict.
        new_backfill = _new_backfill(airflow, dag_id, earlier_ids, first, last)
        if new_backfill is not None:
            return new_backfill
        if problem.status == CONFLICT:
            raise problem
        time.sleep(pause_seconds)
    advice = "The backfill may have begun. Repeat the command: Airflow has one of a DAG at a time."
    raise AirflowApiError(f"{problem} {advice}") from problem


def _new_backfill(
    airflow: Airflow, dag_id: str, earlier_ids: set[int], first: datetime, last: datetime
) -> Backfill | None:
    """Return the backfill of these bounds that was not there before; None also without answer."""
    try:
        backfills = _latest_backfills(airflow, dag_id)
    except AirflowApiError:
        return None
    for backfill in backfills:
        bounds = (backfill.first, backfill.last)
        if backfill.id not in earlier_ids and bounds == (first, last):
            return backfill
    return None


def _backfill_body(dag_id: str, first: datetime, last: datetime) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "from_date": first.isoformat(),
        "to_date": last.isoformat(),
        "reprocess_behavior": _REPROCESS,
    }


def _latest_backfills(airflow: Airflow, dag_id: str) -> list[Backfill]:
    query = {"dag_id": dag_id, "order_by": "-id"}
    response = airflow.request("GET", "/backfills", query=query)
    return [_as_backfill(backfill) for backfill in response["backfills"]]


def _as_backfill(response: Any) -> Backfill:
    return Backfill(
        id=response["id"],
        first=datetime.fromisoformat(response["from_date"]),
        last=datetime.fromisoformat(response["to_date"]),
        is_active=response["completed_at"] is None,
    )


def _state(run: Any) -> str:
    return str(run.get("state", "unknown"))


def check_pool(airflow: Airflow, name: str) -> AccountCheck:
    """Look for a pool in Airflow, and return what was found as a check of the account."""
    try:
        airflow.request("GET", f"/pools/{quote(name, safe='')}")
    except AirflowApiError as error:
        problem = f"{error} Create it, or let ATHENA_REPORTS_POOL name another."
        return AccountCheck(f"pool {name}", problem)
    return AccountCheck(f"pool {name}")


@dataclass(frozen=True)
class RestAirflow:
    """An Airflow at an address."""

    url: str
    token: str

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request with the token."""
        url = f"{self.url}/api/v2{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            response = httpx.request(
                method, url, json=body, params=query, headers=headers, timeout=TIMEOUT_SECONDS
            )
            response.raise_for_status()
            return response.json()
        except httpx.HTTPStatusError as error:
            raise _not_served(method, path, str(error), error.response.status_code) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _not_served(method, path, str(error), None) from error

    def link(self, path: str) -> str:
        """Return the address of a page."""
        return f"{self.url}{path}"


@dataclass(frozen=True)
class MwaaAirflow:
    """The Airflow of an MWAA environment, by MWAA's InvokeRestApi.

    It needs no token, and no network path to the web server.
    """

    client: Any
    name: str

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request through AWS, which takes a path without `/api/v2`."""
        request: dict[str, Any] = {"Name": self.name, "Method": method, "Path": path}
        if body is not None:
            request["Body"] = body
        if query is not None:
            request["QueryParameters"] = query
        try:
            return self.client.invoke_rest_api(**request)["RestApiResponse"]
        except ClientError as error:
            response: Any = error.response
            status = response.get("RestApiStatusCode")
            if status is not None:
                reason = f"{status} {response.get('RestApiResponse')}"
                raise _not_served(method, path, reason, status) from error
            # Airflow was not reached, so the status is that of AWS.
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            raise _not_served(method, path, str(error), status) from error
        except BotoCoreError as error:
            raise _not_served(method, path, str(error), None) from error

    def link(self, path: str) -> str:
        """Return the page with the name of the environment, whose web address MWAA may change."""
        return f"{path} of the MWAA environment {self.name}"


def _not_served(method: str, path: str, reason: str, status: int | None) -> AirflowApiError:
    problem = f"Airflow did not serve {method} {path}: {reason.removesuffix('.')}."
    return AirflowApiError(problem, status=status)
