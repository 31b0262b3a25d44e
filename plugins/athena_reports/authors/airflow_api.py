"""Airflow's REST API for authors: its own address with a token, on Amazon MWAA by InvokeRestApi."""

import os
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import boto3
import httpx

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.workflows.preflight import AccountCheck

_TOKEN_VARIABLE = "AIRFLOW_TOKEN"


class AirflowApiError(AthenaReportsError):
    """Airflow did not serve a request."""


class Airflow(Protocol):
    """An Airflow that runs periods."""

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a request to the REST API; AirflowApiError if it is refused."""


def connect(address: str) -> Airflow:
    """Return the Airflow of an address.

    Args:
        address: `https://HOST`, for the token in AIRFLOW_TOKEN, or `mwaa:<name>` for the MWAA
            environment of a name, with the credentials of the shell.

    Raises:
        AirflowApiError: It is neither, or there is no token.
    """
    if address.startswith("mwaa:"):
        mwaa = boto3.Session().client("mwaa")
        return MwaaAirflow(mwaa, address.removeprefix("mwaa:"))
    if not address.startswith(("http://", "https://")):
        problem = f"{address!r} is not the address of an Airflow."
        raise AirflowApiError(f"{problem} Name https://HOST, or mwaa:ENVIRONMENT.")
    token = os.environ.get(_TOKEN_VARIABLE)
    if not token:
        advice = f"get a token from {address}/auth/token, or name mwaa:ENVIRONMENT."
        raise AirflowApiError(f"{_TOKEN_VARIABLE} is not set: {advice}")
    return RestAirflow(address.rstrip("/"), token)


def require_dag(airflow: Airflow, dag_id: str) -> None:
    """Ask for a DAG; AirflowApiError if this Airflow has no such DAG, or serves no requests."""
    airflow.request("GET", f"/dags/{quote(dag_id, safe='')}")


def restate(airflow: Airflow, dag_id: str, period_id: str) -> None:
    """Start a run of a period; AirflowApiError if it is refused."""
    # Without a logical date: only one run of a DAG can have it, and that is the scheduled one.
    body = {"logical_date": None, "conf": {PERIOD_PARAM: period_id}}
    airflow.request("POST", f"/dags/{quote(dag_id, safe='')}/dagRuns", body)


def check_pool(airflow: Airflow, name: str) -> AccountCheck:
    """Return the check whether Airflow has a pool of a name."""
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

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a request with the token."""
        url = f"{self.url}/api/v2{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            response = httpx.request(method, url, json=body, headers=headers)
            response.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _not_served(method, path, str(error)) from error


@dataclass(frozen=True)
class MwaaAirflow:
    """The Airflow of an MWAA environment, by MWAA's InvokeRestApi.

    It needs no token, and no network path to the web server.
    """

    client: Any
    name: str

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a request through AWS, which takes a path without `/api/v2`."""
        request: dict[str, Any] = {"Name": self.name, "Method": method, "Path": path}
        if body is not None:
            request["Body"] = body
        try:
            self.client.invoke_rest_api(**request)
        except self.client.exceptions.RestApiClientException as error:
            status = error.response.get("RestApiStatusCode")
            response = error.response.get("RestApiResponse")
            raise _not_served(method, path, f"{status} {response}") from error


def _not_served(method: str, path: str, reason: str) -> AirflowApiError:
    return AirflowApiError(f"Airflow did not serve {method} {path}: {reason}.")
