"""Proves a bundle in a twin of MWAA's image.

The reports whose tables the project keeps in `.lake/` are run, one period of each DAG.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import AthenaReportsError
from athena_reports.settings import PAGE_PATH
from athena_reports_cli.local.databases import are_installed, postgresql, redis
from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.runs import Watch, finish
from athena_reports_cli.local.runtime import COMPONENTS, AirflowConfig, AirflowRuntime, Progress
from athena_reports_cli.local.services import Services, local_services
from athena_reports_cli.mwaa import DeployError
from athena_reports_cli.mwaa.bundle import BUNDLE
from athena_reports_cli.mwaa.twin import ReportPeriod, Twin, build_twin, deployed_variables

PLUGIN = "athena_reports"
_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"

# They name what is in an AWS account.
# The local services have the names that follow from the environment.
_NAMES_IN_AWS = re.compile(
    r"ATHENA_REPORTS_(AWS_CONN_ID|BUCKET|BUCKET_OWNER|DATABASE|ENCRYPTION|POOL|QUERY_RESULTS"
    r"|REPORT_DATABASE|WORKGROUP)"
)


def check_in_twin(
    project: Project,
    version: str,
    *,
    progress: Progress,
    constraints: str = "",
    python: str = "",
) -> None:
    """Run the bundle that was built last in the twin of an image.

    Args:
        project: The project that it was built of.
        version: The image's version of Airflow; `newest` is the newest on the package index.
        progress: Told what happens.
        constraints: What the image was built with, see `build_twin`.
        python: A Python 3.12; empty for the first one that is found.

    Raises:
        DeployError: Something is wrong with the bundle, or there can be no twin.
    """
    if version == "newest":
        version = _newest_airflow()
    work = project.airflow / "mwaa"
    try:
        twin = build_twin(version, constraints, project.root / BUNDLE, work, python, progress)
        check_bundle(twin, project, progress)
    except (AthenaReportsError, BotoCoreError, ClientError) as error:
        raise DeployError(f"{error}\nLogs are in {work}.") from error
    progress(f"the bundle works in the twin of MWAA's image for Airflow {version}")


def _newest_airflow() -> str:
    """Return the newest version on the package index that pip uses.

    Raises:
        DeployError: pip has no answer from it.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", "apache-airflow"]
    done = subprocess.run(command, capture_output=True, text=True)
    version = re.search(r"\(([\d.]+)\)", done.stdout)
    if version is None:
        raise DeployError(
            "pip finds no version of apache-airflow on its package index. Name the version, such as"
            " 3.3.1, or an index that this machine reaches (PIP_INDEX_URL=...).\n"
            f"{done.stderr.strip()}"
        )
    return version[1]


def check_bundle(twin: Twin, project: Project, progress: Progress) -> None:
    """Run the bundle in its twin.

    Args:
        twin: The twin, with the bundle in it.
        project: The project whose tables are brought in.
        progress: Told what happens.

    Raises:
        DeployError: Something is wrong with the bundle.
        AirflowRuntimeError: A file cannot be imported, or a run failed.
    """
    added = ", ".join(f"{name} {version}" for name, version in twin.added.items())
    progress(f"requirements.txt adds {added or 'nothing'}")
    if twin.needs_index:
        progress(
            "requirements.txt needs a package index. An environment without a route to one installs"
            " none of it, not even the wheels that the bundle carries"
        )
    else:
        progress("requirements.txt needs no package index")
    twin.import_plugins()
    progress("plugins can be imported without what requirements.txt installs")
    variables = twin.startup_variables(progress)
    environment = variables["ATHENA_REPORTS_ENV"]  # which each bundle sets
    with local_services(twin.folder / "local-aws.log") as services:
        fill_services(services, environment, project.lake, progress)
        for name in list(variables):
            if _NAMES_IN_AWS.fullmatch(name):
                del variables[name]
        with _airflow(twin, variables, services, progress) as airflow:
            check_plugin(airflow)
            _run_dags(airflow, twin, services, variables, progress)


@contextmanager
def _airflow(
    twin: Twin, variables: dict[str, str], services: Services, progress: Progress
) -> Iterator[AirflowRuntime]:
    """The twin's Airflow; with a Celery worker, as on MWAA, if this machine can."""
    as_deployed = are_installed()
    if not as_deployed:
        progress(
            "PostgreSQL or Redis is not installed:"
            " metadata in SQLite, and tasks without Celery workers"
        )
    environment = deployed_variables(variables)
    environment.update(services.environment)
    # Kept tables end in the past: a run for last week would find nothing.
    environment["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = "False"
    environment["AIRFLOW__CORE__AUTH_MANAGER"] = _AUTH_MANAGER
    components: tuple[str, ...] = COMPONENTS
    with ExitStack() as stack:
        if as_deployed:
            environment.update(stack.enter_context(postgresql()).environment)
            environment.update(stack.enter_context(redis()))
            components = (*COMPONENTS, "worker")
        config = AirflowConfig(
            home=twin.home,
            dags_folder=twin.home / "dags",
            plugins_folder=twin.home / "plugins",
            python=twin.python,
            components=components,
            environment=environment,
        )
        yield stack.enter_context(AirflowRuntime(config, dag_ids=[], on_progress=progress))


def check_plugin(airflow: AirflowRuntime) -> None:
    """The API server has the plugin whole and once, and its page answers who is logged in."""
    errors = airflow.client.request("GET", "/api/v2/plugins/importErrors")["import_errors"]
    if errors:
        problems = [f"{error['source']}: {error['error']}" for error in errors]
        raise DeployError("Plugins have import errors:\n" + "\n".join(problems))
    listed = airflow.client.request("GET", "/api/v2/plugins")["plugins"]
    plugin: dict[str, Any] = {}
    for row in listed:
        if row["name"] == PLUGIN:
            plugin = row
    is_whole = plugin.get("timetables") and plugin.get("macros")
    if not is_whole:
        raise DeployError(
            f"The API server has not all of the plugin {PLUGIN}, only {plugin}: see its log."
        )
    path = f"{PAGE_PATH}/api/coverage"
    airflow.client.request("GET", path)
    status = httpx.get(f"{airflow.url}{path}", trust_env=False).status_code
    if status != httpx.codes.UNAUTHORIZED:
        raise DeployError(f"Without a login the API server answers {status} to {path}.")


def _run_dags(
    airflow: AirflowRuntime,
    twin: Twin,
    services: Services,
    variables: Mapping[str, str],
    progress: Progress,
) -> None:
    """Every DAG file gives a DAG, and the reports whose tables are there publish a period."""
    files = {path.name for path in airflow.config.dags_folder.glob("*.py")}
    airflow.wait_until_files_parsed(files)
    progress("each DAG file has given a DAG")
    periods = twin.report_periods({**variables, **services.environment})
    if not periods:
        progress("no table of a report is kept in .lake/, so no report is run")
    for dag_id, chosen in periods.items():
        airflow.client.unpause(dag_id)
        airflow.client.trigger(dag_id, conf={"period": chosen.period})
        progress(f"{dag_id} runs {chosen.period}")
    watch = Watch(airflow.client, progress)
    environment = variables["ATHENA_REPORTS_ENV"]
    for dag_id, chosen in periods.items():
        finish(airflow.client, dag_id, watch)
        rows = _published_rows(services, environment, chosen)
        if not rows:
            raise DeployError(f"{dag_id} has published {chosen.period} without a row.")
        progress(f"{dag_id} has published {rows} rows of {chosen.period}")


def _published_rows(services: Services, environment: str, chosen: ReportPeriod) -> int:
    response = services.s3.get_object(
        Bucket=f"athena-report-{environment}",
        Key=f"{chosen.report}/{chosen.cadence}/{chosen.period}/manifest.json",
    )
    rows: int = json.loads(response["Body"].read())["rows"]
    return rows
