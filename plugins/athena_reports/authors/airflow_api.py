"""Airflow's REST API for authors: its own address with a token, on Amazon MWAA by InvokeRestApi."""

import os
import time
from dataclasses import dataclass
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
_PAUSES_SECONDS = (1.0, 2.0, 4.0)  # between two looks for a run whose start was not answered
_NOT_FOUND = 404
_CONFLICT = 409
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

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, once, and return the JSON of the response.

        Args:
            method: The HTTP method.
            path: The path below `/api/v2`, such as `/pools/athena`.
            body: What is sent as JSON; None for nothing.

        Raises:
            AirflowApiError: It is refused, or not answered.
        """


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
    token = os.environ.get(_TOKEN_VARIABLE)
    if not token:
        advice = f"get a token from {address}/auth/token, or name mwaa:ENVIRONMENT."
        raise AirflowApiError(f"{_TOKEN_VARIABLE} is not set: {advice}")
    return RestAirflow(address.rstrip("/"), token)


def require_dag(airflow: Airflow, dag_id: str, *, environment: str, logic: str) -> None:
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
    details = airflow.request("GET", f"/dags/{quote(dag_id, safe='')}/details")
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
        raise AirflowApiError(f"{problem} ({logic}). Deploy these files, then run the plan again.")


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
    # Without a logical date: only one run of a DAG can have that of the period, and it is the
    # scheduled one.
    body = {"dag_run_id": run_id, "logical_date": None, "conf": {PERIOD_PARAM: period_id}}
    try:
        started = airflow.request("POST", runs, body)
        return Restatement(run_id, _state(started), is_earlier=False)
    except AirflowApiError as error:
        if error.is_refusal and error.status != _CONFLICT:
            raise
        is_earlier = error.status == _CONFLICT  # the run seems to exist
        problem = error

    # Look for the run, and start it if it is not there, until one of both is answered.
    for pause_seconds in (0.0, *_PAUSES_SECONDS):
        time.sleep(pause_seconds)
        try:
            run = airflow.request("GET", f"{runs}/{quote(run_id, safe='')}")
            return Restatement(run_id, _state(run), is_earlier)
        except AirflowApiError as error:
            if error.status != _NOT_FOUND:
                continue  # the look is not answered either
        if is_earlier:
            raise problem  # there is no such run, so something else is in conflict
        try:
            started = airflow.request("POST", runs, body)
            return Restatement(run_id, _state(started), is_earlier=False)
        except AirflowApiError as error:
            if error.is_refusal and error.status != _CONFLICT:
                raise
            problem = error
    advice = f"Run {run_id} may have begun. Repeat the command: it starts no second run."
    raise AirflowApiError(f"{problem} {advice}") from problem


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

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request with the token."""
        url = f"{self.url}/api/v2{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            response = httpx.request(
                method, url, json=body, headers=headers, timeout=TIMEOUT_SECONDS
            )
            response.raise_for_status()
            return response.json()
        except httpx.HTTPStatusError as error:
            raise _not_served(method, path, str(error), error.response.status_code) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _not_served(method, path, str(error), None) from error


@dataclass(frozen=True)
class MwaaAirflow:
    """The Airflow of an MWAA environment, by MWAA's InvokeRestApi.

    It needs no token, and no network path to the web server.
    """

    client: Any
    name: str

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request through AWS, which takes a path without `/api/v2`."""
        request: dict[str, Any] = {"Name": self.name, "Method": method, "Path": path}
        if body is not None:
            request["Body"] = body
        try:
            return self.client.invoke_rest_api(**request)["RestApiResponse"]
        except ClientError as error:
            answer: Any = error.response
            status = answer.get("RestApiStatusCode")
            if status is not None:
                reason = f"{status} {answer.get('RestApiResponse')}"
                raise _not_served(method, path, reason, status) from error
            # Airflow was not reached, so the status is that of AWS.
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            raise _not_served(method, path, str(error), status) from error
        except BotoCoreError as error:
            raise _not_served(method, path, str(error), None) from error


def _not_served(method: str, path: str, reason: str, status: int | None) -> AirflowApiError:
    problem = f"Airflow did not serve {method} {path}: {reason.removesuffix('.')}."
    return AirflowApiError(problem, status=status)
