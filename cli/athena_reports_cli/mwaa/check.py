"""Checks a bundle in a twin of MWAA's image.

The reports whose tables the project keeps in `.lake/` are run, one period of each DAG.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import AthenaReportsError
from athena_reports.settings import PAGE_PATH
from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.runs import follow_run, require_success
from athena_reports_cli.local.runtime import AirflowConfig, AirflowRuntime, Progress
from athena_reports_cli.local.services import Services, local_services
from athena_reports_cli.mwaa import BundleError
from athena_reports_cli.mwaa.twin import DEFAULTS, FORCED, Twin, build_twin

_RUN_TIMEOUT_SECONDS = 600  # a task may wait for ever, such as for a pool of the account

_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
# They name what is in an AWS account.
# The local services have the names that follow from the environment.
_NAMES_IN_AWS = re.compile(
    r"ATHENA_REPORTS_(AWS_CONN_ID|BUCKET|BUCKET_OWNER|DATABASE|ENCRYPTION|POOL|QUERY_RESULTS"
    r"|REPORT_DATABASE|WORKGROUP)"
)


def check_in_twin(project: Project, bundle: Path, version: str, progress: Progress) -> None:
    """Run the bundle in a folder in the twin of an image, named by its version of Airflow.

    BundleError if the bundle does not work, or its twin cannot be made.
    """
    work = project.airflow / "mwaa"
    try:
        twin = build_twin(version, bundle, work, progress)
        _check(twin, project, progress)
    except (AthenaReportsError, BotoCoreError, ClientError) as error:
        raise BundleError(f"{error}\nLogs are in {work}.") from error
    progress(f"the bundle works in the twin of MWAA's image for Airflow {version}")


def _check(twin: Twin, project: Project, progress: Progress) -> None:
    installed = twin.installed
    progress(f"requirements.txt adds {', '.join(installed.added) or 'nothing'}")
    if installed.needs_index:
        progress("requirements.txt needs a package index; without one, pip installs nothing")
    else:
        progress("requirements.txt needs no package index")
    twin.import_plugins()
    exported, protected = twin.startup_variables()
    if protected:
        progress(f"MWAA ignores these exports of startup.sh: {', '.join(protected)}")
    variables = {
        name: value for name, value in exported.items() if not _NAMES_IN_AWS.fullmatch(name)
    }
    environment = variables["ATHENA_REPORTS_ENV"]  # which each bundle exports
    with local_services(twin.folder / "local-aws.log") as services:
        fill_services(services, environment, project.lake, progress)
        variables.update(services.environment)
        with _airflow(twin, variables, progress) as airflow:
            check_plugin(airflow)
            airflow.wait_until_parsed([path.name for path in twin.dags.glob("*.py")])
            periods = twin.report_periods(variables)
            _run_periods(airflow, periods, services, environment, progress)


def _airflow(twin: Twin, variables: Mapping[str, str], progress: Progress) -> AirflowRuntime:
    """Return the twin's Airflow, not started yet."""
    config = AirflowConfig(
        home=twin.home,
        dags_folder=twin.dags,
        plugins_folder=twin.plugins,
        python=twin.python,
        environment={
            **DEFAULTS,
            **variables,
            **FORCED,
            # Kept tables end in the past: a run for last week would find nothing.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "AIRFLOW__CORE__AUTH_MANAGER": _AUTH_MANAGER,
        },
    )
    return AirflowRuntime(config, on_progress=progress)


def check_plugin(airflow: AirflowRuntime) -> None:
    """Require that all plugins are imported, and that the Reports page requires a login."""
    errors = airflow.client.request("GET", "/api/v2/plugins/importErrors")["import_errors"]
    if errors:
        problems = [f"{error['source']}: {error['error']}" for error in errors]
        raise BundleError("\n".join(["Plugins have import errors:", *problems]))
    path = f"{PAGE_PATH}/api/reports"
    airflow.client.request("GET", path)
    status = httpx.get(f"{airflow.url}{path}", trust_env=False).status_code
    if status != httpx.codes.UNAUTHORIZED:
        raise BundleError(f"Without a login, {path} returns {status} instead of 401.")


def _run_periods(
    airflow: AirflowRuntime,
    periods: Mapping[str, str],
    services: Services,
    environment: str,
    progress: Progress,
) -> None:
    """Run a period of each DAG, and require that it publishes rows."""
    if not periods:
        progress("no report was run: .lake/ contains none of the tables they read")
    client = airflow.client
    for dag_id, period in periods.items():
        client.unpause(dag_id)
        started = client.trigger(dag_id, conf={"period": period})
        progress(f"{dag_id}: running {period}")
        run = follow_run(client, dag_id, started.run_id, progress, _RUN_TIMEOUT_SECONDS)
        require_success(client, run)
        report, _, cadence = dag_id.rpartition("_")
        key = f"{report}/{cadence}/{period}/manifest.json"
        response = services.s3.get_object(Bucket=f"athena-report-{environment}", Key=key)
        rows: int = json.loads(response["Body"].read())["rows"]
        if not rows:
            raise BundleError(f"{dag_id} published no rows for {period}.")
        progress(f"{dag_id}: published {rows} rows for {period}")
