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

_TOKEN = "AIRFLOW_TOKEN"


class AirflowApiError(AthenaReportsError):
    """Airflow did not serve a request."""


class Airflow(Protocol):
    """An Airflow that runs periods."""

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a request to the REST API; AirflowApiError if it is refused."""


def connect(where: str) -> Airflow:
    """Return the Airflow of an address, for the token in AIRFLOW_TOKEN, or of the MWAA environment `mwaa:<name>`."""
    if where.startswith("mwaa:"):
        return MwaaAirflow(boto3.Session().client("mwaa"), where.removeprefix("mwaa:"))
    if not where.startswith(("http://", "https://")):
        raise AirflowApiError(f"{where!r} is not the address of an Airflow. Name https://HOST, or mwaa:ENVIRONMENT.")
    if not (token := os.environ.get(_TOKEN)):
        raise AirflowApiError(f"{_TOKEN} is not set: get a token from {where}/auth/token, or name mwaa:ENVIRONMENT.")
    return RestAirflow(where.rstrip("/"), token)


def require_dag(airflow: Airflow, dag_id: str) -> None:
    """Ask for a DAG; AirflowApiError if this Airflow has no such DAG, or serves no requests."""
    airflow.request("GET", f"/dags/{quote(dag_id, safe='')}")


def restate(airflow: Airflow, dag_id: str, period_id: str) -> None:
    """Start a run of a period."""
    body = {"logical_date": None, "conf": {PERIOD_PARAM: period_id}}
    airflow.request("POST", f"/dags/{quote(dag_id, safe='')}/dagRuns", body)


def check_pool(airflow: Airflow, name: str) -> AccountCheck:
    """Return whether Airflow has a pool."""
    try:
        airflow.request("GET", f"/pools/{quote(name, safe='')}")
    except AirflowApiError as error:
        return AccountCheck(f"pool {name}", f"{error} Create it, or let ATHENA_REPORTS_POOL name another.")
    return AccountCheck(f"pool {name}")


@dataclass(frozen=True)
class RestAirflow:
    """An Airflow at an address."""

    url: str
    token: str

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a request with the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            httpx.request(method, f"{self.url}/api/v2{path}", json=body, headers=headers).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AirflowApiError(f"Airflow did not serve {method} {path}: {error}.") from error


@dataclass(frozen=True)
class MwaaAirflow:
    """The Airflow of an MWAA environment, by InvokeRestApi: it needs no token, and no way to the web server."""

    client: Any
    name: str

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Send a request through AWS."""
        given = {"Body": body} if body else {}
        try:
            self.client.invoke_rest_api(Name=self.name, Path=path, Method=method, **given)
        except self.client.exceptions.RestApiClientException as error:
            answer = f"{error.response.get('RestApiStatusCode')} {error.response.get('RestApiResponse')}"
            raise AirflowApiError(f"Airflow did not serve {method} {path}: {answer}.") from error
