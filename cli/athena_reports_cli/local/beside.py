"""What a command of a project runs beside: its folders in Airflow, and services of AWS."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running, find_running
from athena_reports_cli.local.services import ENVIRONMENT, forget_aws_of_shell, local_services

DAGS_FOLDER = "AIRFLOW__CORE__DAGS_FOLDER"


class NoServicesError(AthenaReportsError):
    """No environment is named, and the command reads what one has published."""


def configure_airflow(project: Project) -> None:
    """Let Airflow in this process use the folders of a project, unless the shell names others.

    Airflow reads its configuration when it is imported, so this comes before that.
    """
    _set_unless_named("AIRFLOW_HOME", str(project.airflow))
    _set_unless_named(DAGS_FOLDER, str(project.dags))
    _set_unless_named("AIRFLOW__CORE__PLUGINS_FOLDER", str(project.plugins))
    _set_unless_named("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    has_its_dags = os.environ[DAGS_FOLDER] == str(project.dags)
    if has_its_dags:
        for variable, folder in project.sql_settings().items():
            _set_unless_named(variable, folder)


def _set_unless_named(variable: str, value: str) -> None:
    if not os.environ.get(variable):
        os.environ[variable] = value


@contextmanager
def services_beside(project: Project, *, may_start: bool) -> Iterator[Running | None]:
    """Let this process reach services of AWS, for as long as the context lasts.

    Where the shell names an AWS endpoint or an environment, they are those. Else they are those of
    the `up` that runs in the project. If none runs, services are started, with the tables that the
    project keeps. Beside an `up` or started services, AWS_* and the profiles of the shell are
    ignored. What is set in the environment of this process stays set after the context.

    Yields the `up` whose services they are; None if they are others.

    Args:
        project: The project.
        may_start: Whether services may be started. They have the kept tables and no publications,
            so a command that reads publications does not start them.

    Raises:
        NoServicesError: Services would have to be started, and may not be.
        ServicesError: The services could not be started.
    """
    running = find_running(project)
    if _shell_names_environment() and (running is None or not _shell_names_services_of(running)):
        yield None
        return
    if running is not None:
        if not _shell_names_environment():
            _print_note(
                f"Using the `up` at {running.airflow}."
                " Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for other services."
            )
        forget_aws_of_shell()
        os.environ.update(running.environment)
        yield running
        return
    if not may_start:
        raise NoServicesError(
            "No environment is named: ATHENA_REPORTS_ENV and AWS_ENDPOINT_URL are not set, and no"
            " `up` runs in this project. Set ATHENA_REPORTS_ENV to the environment's name, such as"
            " prd. On this machine, start `athena-reports up` first."
        )
    forget_aws_of_shell()
    with (
        tempfile.TemporaryDirectory() as folder,
        local_services(Path(folder) / "local-aws.log") as services,
    ):
        _print_note(
            "Using the local services. Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for others."
        )
        fill_services(services, ENVIRONMENT, project.lake, lambda _: None)
        os.environ.update(services.environment)
        yield None


def use_local_names() -> None:
    """Give this process the names of the local environment, unless the shell names another one.

    They are for a command that prints names, such as those of buckets, and calls no service.
    """
    if _shell_names_environment():
        return
    _print_note(
        f"Using the names of the local environment {ENVIRONMENT}."
        " Set ATHENA_REPORTS_ENV for another."
    )
    os.environ["ATHENA_REPORTS_ENV"] = ENVIRONMENT
    # Only a local endpoint has names by default. No process listens there.
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"


def _shell_names_environment() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("ATHENA_REPORTS_ENV"))


def _shell_names_services_of(running: Running) -> bool:
    return os.environ.get("AWS_ENDPOINT_URL") == running.environment["AWS_ENDPOINT_URL"]


def _print_note(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
