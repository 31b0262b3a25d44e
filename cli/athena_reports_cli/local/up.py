"""Airflow with the reports of a project and the Reports page, until it is stopped."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from athena_reports_cli.local.client import AirflowRuntimeError
from athena_reports_cli.local.connections import read_connections
from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running, announced, find_running
from athena_reports_cli.local.runs import TimedProgress
from athena_reports_cli.local.runtime import AirflowConfig, AirflowRuntime, Progress
from athena_reports_cli.local.services import ENVIRONMENT, Services, ServicesError, local_services


def up(project: Project, port: int, console: Console, *, schedule: bool = False) -> NoReturn:
    """Run Airflow beside local services with the tables that the project keeps.

    Only an error or an interrupt ends it, and then all that it started is stopped. With `schedule`
    Airflow starts runs by itself.
    """
    require_not_running(project)
    require_free(port)
    connections = read_connections(project)
    progress = TimedProgress(console)
    progress("starting local S3, Glue and Athena")
    try:
        with local_services(project.airflow / "local-aws.log") as services:
            fill_services(services, ENVIRONMENT, project.lake, progress)
            with airflow_of(
                project, services, progress, connections, port=port, schedule=schedule
            ) as airflow:
                stay_up(airflow, services, project, console)
    except (AirflowRuntimeError, ServicesError) as error:
        raise AirflowRuntimeError(f"{error}\nLogs: {project.airflow}") from error


def require_not_running(project: Project) -> None:
    """Raise AirflowRuntimeError if `up` runs in a project."""
    running = find_running(project)
    if running is not None:
        raise AirflowRuntimeError(
            f"`up` is already running in this project, at {running.airflow}. Use it, or stop it"
            " with Ctrl-C in its terminal."
        )


def require_free(port: int) -> None:
    """Raise AirflowRuntimeError if a port of 127.0.0.1 is taken."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise AirflowRuntimeError(
            f"Cannot use port {port} on 127.0.0.1: {error.strerror}. Choose another with --port."
        ) from error


def airflow_of(
    project: Project,
    services: Services,
    progress: Progress,
    connections: Mapping[str, str],
    *,
    home: Path | None = None,
    port: int | None = None,
    schedule: bool = False,
) -> AirflowRuntime:
    """Return an Airflow, not started yet, with the DAGs and plugins of a project.

    Its tasks reach the services in place of AWS. The connection by which they do is always that of
    the services, whatever `connections` has. The port is one of 127.0.0.1, by default a free one.
    With `schedule` Airflow starts runs by itself, also for an asset's event. Kept tables usually
    end in the past, where a run for last week fails.
    """
    config = AirflowConfig(
        home=home or project.airflow / "up",
        dags_folder=project.dags,
        plugins_folder=project.plugins,
        port=port,
        environment={
            **connections,
            **services.environment,
            "ATHENA_REPORTS_ENV": ENVIRONMENT,
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedule),
            **project.sql_settings(),
        },
    )
    return AirflowRuntime(config, on_progress=progress)


def stay_up(
    airflow: AirflowRuntime,
    services: Services,
    project: Project,
    console: Console,
) -> NoReturn:
    """Announce an Airflow to a person and to the other commands of the project, and watch over it.

    AirflowRuntimeError if a component of Airflow has ended.
    """
    user, password = airflow.admin_login
    running = Running(airflow.url, user, password, services.environment)
    # What `airflow` in another shell needs: the rest is in its airflow.cfg.
    exported = {"AIRFLOW_HOME": str(airflow.config.home), **running.environment}
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in exported.items())
    lines = [
        f"Airflow  {running.airflow}  user {running.user}, password {running.password}",
        f"Reports  {running.airflow}/athena-reports/",
        f"Shell    export {assignments}",
        "         (only for the commands airflow and aws)",
        "Publish  athena-reports run REPORT PERIOD, in another shell",
    ]
    with announced(running, project):
        console.print()
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        console.print("Press Ctrl-C to stop everything.")
        while True:
            airflow.check_alive()
            time.sleep(1)
