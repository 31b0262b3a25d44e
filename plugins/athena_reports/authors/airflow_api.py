"""Runs periods again through Airflow's REST API, on Amazon MWAA by its InvokeRestApi."""

import os
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import boto3
import httpx

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.run_period import PERIOD_PARAM

_TOKEN = "AIRFLOW_TOKEN"


class AirflowApiError(AthenaReportsError):
    """Airflow did not take a run."""


class Airflow(Protocol):
    """An Airflow that runs periods."""

    def restate(self, dag_id: str, period_id: str) -> None:
        """Start a run of a period; AirflowApiError if it is refused."""


def connect(where: str) -> Airflow:
    """Return the Airflow of an address, for the token in AIRFLOW_TOKEN, or of the MWAA environment `mwaa:<name>`."""
    if where.startswith("mwaa:"):
        return _Mwaa(boto3.Session().client("mwaa"), where.removeprefix("mwaa:"))
    if not (token := os.environ.get(_TOKEN)):
        raise AirflowApiError(f"{_TOKEN} is not set: get a token from {where}/auth/token, or name mwaa:ENVIRONMENT.")
    return _Rest(where.rstrip("/"), token)


def _body(period_id: str) -> dict[str, Any]:
    return {"logical_date": None, "conf": {PERIOD_PARAM: period_id}}


@dataclass(frozen=True)
class _Rest:
    url: str
    token: str

    def restate(self, dag_id: str, period_id: str) -> None:
        url = f"{self.url}/api/v2/dags/{quote(dag_id, safe='')}/dagRuns"
        try:
            answer = httpx.post(url, json=_body(period_id), headers={"Authorization": f"Bearer {self.token}"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise AirflowApiError(f"Airflow did not take a run of {period_id}: {error}.") from error


@dataclass(frozen=True)
class _Mwaa:
    client: Any
    name: str

    def restate(self, dag_id: str, period_id: str) -> None:
        path = f"/dags/{quote(dag_id, safe='')}/dagRuns"
        self.client.invoke_rest_api(Name=self.name, Path=path, Method="POST", Body=_body(period_id))
