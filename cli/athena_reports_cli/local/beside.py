"""What a command of a project runs beside: its folders in Airflow, and services of AWS."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.running import Running, find_running
from athena_reports_cli.local.services import ENVIRONMENT, local_services

DAGS_FOLDER = "AIRFLOW__CORE__DAGS_FOLDER"


class NoServicesError(AthenaReportsError):
    """A command reads what was published, and no environment is named that could have any."""


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
def services_beside(project: Project, *, may_start: bool) -> Iterator[None]:
    """Let this process reach services of AWS, for as long as the context lasts.

    Where the shell names an AWS endpoint or an environment, they are those. Else they are those of
    the `up` that runs in the project. If none runs, services are started, with the tables that the
    project keeps. What is set in the environment of this process stays set after the context.

    Args:
        project: The project.
        may_start: Whether services are started. They are empty but for the kept tables, so a
            command that reads what was published has no use for them.

    Raises:
        NoServicesError: There are none, and none may be started.
        ServicesError: The services could not be started.
    """
    running = find_running(project)
    if _shell_names_environment():
        if running is not None and _uses_services_of(running, os.environ):
            os.environ.update(running.variables())
        yield
        return
    if running is not None:
        _tell(
            f"Beside the `up` at {running.airflow}."
            " Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for other services."
        )
        _forget_aws_of_shell()
        os.environ.update(running.environment)
        os.environ.update(running.variables())
        yield
        return
    if not may_start:
        raise NoServicesError(
            "There is no environment to use: neither ATHENA_REPORTS_ENV nor AWS_ENDPOINT_URL is"
            " set, and no `up` runs in this project. Set ATHENA_REPORTS_ENV to an environment, such"
            " as prd. On this machine, start `athena-reports up` first."
        )
    _forget_aws_of_shell()
    with (
        tempfile.TemporaryDirectory() as folder,
        local_services(Path(folder) / "local-aws.log") as services,
    ):
        _tell("Beside the local services. Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for others.")
        fill_services(services, ENVIRONMENT, project.lake, lambda _: None)
        os.environ.update(services.environment)
        yield


def use_local_names() -> None:
    """Give this process the names of the local environment, unless the shell names another one.

    They are for a command that prints names, such as those of buckets, and calls no service.
    """
    if _shell_names_environment():
        return
    _tell(
        f"For the environment {ENVIRONMENT}, that of the local services."
        " Set ATHENA_REPORTS_ENV for another."
    )
    os.environ["ATHENA_REPORTS_ENV"] = ENVIRONMENT
    # Only a local endpoint has names by default. No process listens there.
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"


def _shell_names_environment() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("ATHENA_REPORTS_ENV"))


def _forget_aws_of_shell() -> None:
    """Remove what could lead an AWS client of this process elsewhere than to the local services.

    AWS_ENDPOINT_URL_S3 takes precedence over AWS_ENDPOINT_URL, and a profile can ignore both
    (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
    """
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull  # botocore takes settings from it, too


def _uses_services_of(running: Running, environment: Mapping[str, str]) -> bool:
    """Return whether a shell has the services of an `up`, and no Airflow of its own."""
    if environment.get("AIRFLOW_URL") or environment.get("AIRFLOW_TOKEN"):
        return False
    endpoint = running.environment["AWS_ENDPOINT_URL"]
    return environment.get("AWS_ENDPOINT_URL") == endpoint


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
