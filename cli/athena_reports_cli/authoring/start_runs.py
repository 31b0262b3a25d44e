"""Starts periods of a report in an Airflow: each once, also if a request is not answered."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.run_period import PERIOD_PARAM
from athena_reports.settings import settings
from athena_reports.workflows.preflight import AccountCheck
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.local.client import (
    AirflowApiError,
    AirflowClient,
    RestAirflow,
    connect,
)
from athena_reports_cli.local.running import Running

_Started = TypeVar("_Started")
_PAUSES_SECONDS = (1.0, 2.0, 4.0)  # between the attempts to start what was not answered


class DeploymentError(AthenaReportsError):
    """An Airflow cannot run a report as the files here have it."""


def airflow_of(address: str, running: Running | None) -> AirflowClient:
    """Return the Airflow that runs periods.

    Uses the address; else the running `up`; else AIRFLOW_URL.
    """
    if not address and running is not None:
        return RestAirflow(running.airflow, login=(running.user, running.password))
    address = address or os.environ.get("AIRFLOW_URL", "")
    if not address:
        raise DeploymentError(
            "No Airflow is selected. Use --airflow URL or --airflow mwaa:NAME."
            " On this machine, start `athena-reports up` first."
        )
    return connect(address)


def deployed_dag(declared: DeclaredReport, airflow: AirflowClient) -> Any:
    """Return the details of a DAG in an Airflow that has it as the files here.

    `build_dag` puts environment and logic into the `default_args`, which Airflow shows. Airflow
    cuts the time of a backfill into the periods that are deployed. DeploymentError if it has no
    such DAG, or one of another environment, logic or schedule.
    """
    dag = declared.dag
    try:
        details = airflow.dag_details(dag.dag_id)
    except AirflowApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise DeploymentError(
            f"{error} This Airflow has no DAG {dag.dag_id}. Deploy its file, wait a minute until"
            " Airflow has read it, then run the command again."
        ) from error
    arguments = details.get("default_args") or {}
    for fact, deployed, ours in (
        ("environment", arguments.get("environment"), settings().environment),
        ("logic", arguments.get("logic"), declared.report.logic),
        ("schedule", details.get("timetable_description"), declared.cadence.description),
    ):
        if deployed != ours:
            raise DeploymentError(
                f"{dag.dag_id} has a different {fact} in this Airflow ({deployed}) than here"
                f" ({ours}). Use --airflow to select another Airflow, or deploy these files there,"
                " wait a minute until Airflow has read them, then run the command again."
            )
    return details


def require_active(declared: DeclaredReport, airflow: AirflowClient) -> None:
    """Raise DeploymentError unless an Airflow has a DAG as the files here, and runs it."""
    if deployed_dag(declared, airflow)["is_paused"]:
        raise DeploymentError(
            f"{declared.dag.dag_id} is paused in this Airflow, so its run would wait."
            " Unpause it first."
        )


def start_run(airflow: AirflowClient, dag_id: str, period_id: str) -> str:
    """Start a run of a period now, and return its id.

    It has no logical date: only one run of a DAG can have that of the period, and that is the
    scheduled run. AirflowApiError if Airflow rejected it, or did not respond. Then it may have
    started, and the message says so.
    """
    run_id = f"run__{period_id}__{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"

    def start() -> str:
        airflow.trigger(dag_id, dag_run_id=run_id, conf={PERIOD_PARAM: period_id})
        return run_id

    def find() -> str | None:
        try:
            airflow.run(dag_id, run_id)
        except AirflowApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None
        return run_id

    return _start_once(start, find, f"Run {run_id} of {dag_id}")


def start_backfill(
    airflow: AirflowClient, dag_id: str, first: datetime, last: datetime, **options: Any
) -> int:
    """Start a backfill of a DAG that has no active one, and return its id.

    `first` and `last` are the starts of periods, both included. The options are further fields of
    the request. AirflowApiError if Airflow rejected it, or did not respond. Then it may have
    started, and the message says so.
    """

    def start() -> int:
        return airflow.backfill(dag_id, first, last, **options)

    def find() -> int | None:
        active = airflow.active_backfill(dag_id)
        if active is None or (active.from_date, active.to_date) != (first, last):
            return None
        return active.id

    return _start_once(start, find, f"The backfill of {dag_id}")


def _start_once(
    start: Callable[[], _Started], find: Callable[[], _Started | None], subject: str
) -> _Started:
    """Start something, and look for it before another attempt if there was no response."""
    problem: AirflowApiError | None = None
    for pause_seconds in (0.0, *_PAUSES_SECONDS):
        time.sleep(pause_seconds)
        try:
            if problem is not None:
                started = find()
                if started is not None:
                    return started
            return start()
        except AirflowApiError as error:
            # After an attempt without a response, a conflict may be with what that has started.
            may_be_ours = problem is not None and error.status == HTTPStatus.CONFLICT
            if error.is_rejection and not may_be_ours:
                raise
            problem = error
    raise AirflowApiError(
        f"{problem} {subject} may have started: look for it in Airflow before you repeat the"
        " command."
    ) from problem


def check_pool(airflow: AirflowClient, name: str) -> AccountCheck:
    """Look for a pool in Airflow, and return what was found as a check of the account."""
    try:
        airflow.pool(name)
    except AirflowApiError as error:
        advice = "Create it, or set ATHENA_REPORTS_POOL to another pool."
        return AccountCheck(f"pool {name}", f"{error} {advice}")
    return AccountCheck(f"pool {name}")
