"""What a command of a project runs beside: its folders in Airflow, and services of AWS."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running, find_running
from athena_reports_cli.local.services import ENVIRONMENT, forget_aws_of_shell, local_services
from athena_reports_cli.local.words import print_note

DAGS_FOLDER = "AIRFLOW__CORE__DAGS_FOLDER"


class NoServicesError(AthenaReportsError):
    """No environment is selected, and the command reads what one has published."""


def configure_airflow(project: Project) -> None:
    """Let Airflow in this process use the folders of a project, unless the shell names others.

    Airflow reads its configuration when it is imported, so this comes before that.
    """
    variables = {
        "AIRFLOW_HOME": str(project.airflow),
        DAGS_FOLDER: str(project.dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project.plugins),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    if os.environ.get(DAGS_FOLDER) in (None, "", str(project.dags)):
        variables |= project.sql_settings()
    for variable, value in variables.items():
        if not os.environ.get(variable):
            os.environ[variable] = value


@contextmanager
def services_beside(project: Project) -> Iterator[None]:
    """Let this process reach services of AWS, for as long as the context lasts.

    They are those that the shell names, or those of the `up` that runs in the project. Without
    either, services are started, with the tables that the project keeps. Beside an `up` or started
    services, AWS_* and the profiles of the shell are ignored. What is set in the environment of
    this process stays set after the context.
    """
    if _use_running(project) is not None or _shell_names_environment():
        yield
        return
    forget_aws_of_shell()
    with (
        tempfile.TemporaryDirectory() as folder,
        local_services(Path(folder) / "local-aws.log") as services,
    ):
        print_note(
            "Using local services. To use others, set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV."
        )
        fill_services(services, ENVIRONMENT, project.lake, lambda _: None)
        os.environ.update(services.environment)
        yield


def published_services(project: Project) -> Running | None:
    """Let this process reach services that have publications, and return the `up` they belong to.

    None if the shell names other services. NoServicesError if it names none, and no `up` runs.
    """
    running = _use_running(project)
    if running is None and not _shell_names_environment():
        raise NoServicesError(
            "No environment is selected: ATHENA_REPORTS_ENV and AWS_ENDPOINT_URL are not set, and"
            " no `up` is running in this project. On this machine, start `athena-reports up` first."
            " For an environment on AWS, set ATHENA_REPORTS_ENV to its name, such as prd."
        )
    return running


def _use_running(project: Project) -> Running | None:
    """Let this process reach the services of a project's `up`, unless the shell names others."""
    running = find_running(project)
    if running is None:
        return None
    if not _shell_names_environment():
        print_note(
            f"Using the `up` at {running.airflow}."
            " To use other services, set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV."
        )
    elif os.environ.get("AWS_ENDPOINT_URL") != running.environment["AWS_ENDPOINT_URL"]:
        return None
    forget_aws_of_shell()
    os.environ.update(running.environment)
    return running


def use_local_names() -> None:
    """Give this process the names of the local environment, unless the shell names another one.

    They are for a command that prints names, such as those of buckets, and calls no service.
    """
    if _shell_names_environment():
        return
    print_note(
        f"Using the names of the local environment {ENVIRONMENT}."
        " To use another, set ATHENA_REPORTS_ENV."
    )
    os.environ["ATHENA_REPORTS_ENV"] = ENVIRONMENT
    # Only a local endpoint has names by default. No process listens there.
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"


def _shell_names_environment() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("ATHENA_REPORTS_ENV"))
