"""`python -m deploy.check`: prove the bundle in a twin of MWAA's image.

DAGs of the demo's reports are run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from airflow_local.client import AirflowRuntimeError
from airflow_local.databases import are_installed, postgresql, redis
from airflow_local.runtime import COMPONENTS, AirflowConfig, AirflowRuntime
from airflow_local.services import Services, ServicesError, local_services
from demo.run import JOBS, DemoError, Progress, Watch, finish, jobs_of, start
from demo.seed import fill
from demo.show import latest_manifest
from deploy import DeployError
from deploy.twin import DEFAULTS, FORCED, Twin, build_twin

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "athena_reports"
_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"

# They name what is in an AWS account.
# The local services have the names that follow from the environment.
_NAMES_IN_AWS = re.compile(
    r"ATHENA_REPORTS_(AWS_CONN_ID|BUCKET|BUCKET_OWNER|DATABASE|ENCRYPTION|POOL|QUERY_RESULTS"
    r"|REPORT_DATABASE|WORKGROUP)"
)


def check_bundle(twin: Twin, say: Progress) -> None:
    """Run the bundle in its twin."""
    say(f"requirements.txt adds {twin.added or 'nothing'}")
    if twin.needs_index:
        say(
            "requirements.txt needs a package index. An environment without a route to one installs"
            " none of it, not even the wheels that the bundle carries"
        )
    else:
        say("requirements.txt needs no package index")
    twin.import_plugins()
    say("plugins can be imported without what requirements.txt installs")
    variables = twin.startup_variables(say)
    environment = variables["ATHENA_REPORTS_ENV"]  # which each bundle sets
    with local_services(twin.folder / "local-aws.log") as services:
        fill(services, environment, say)
        kept = {
            name: value for name, value in variables.items() if not _NAMES_IN_AWS.fullmatch(name)
        }
        with _airflow(twin, kept, services, say) as airflow:
            _check_plugin(airflow)
            _run_dags(airflow, services, environment, say)


@contextmanager
def _airflow(
    twin: Twin, variables: dict[str, str], services: Services, say: Progress
) -> Iterator[AirflowRuntime]:
    """The twin's Airflow; with a Celery worker, as on MWAA, if this machine can."""
    as_deployed = are_installed()
    if not as_deployed:
        say(
            "PostgreSQL or Redis is not installed:"
            " metadata in SQLite, and tasks without Celery workers"
        )
    # The lakes end in the past: a run for last week would find nothing.
    ours = {
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "AIRFLOW__CORE__AUTH_MANAGER": _AUTH_MANAGER,
    }
    with ExitStack() as stack:
        if as_deployed:
            ours |= stack.enter_context(postgresql()).environment
            ours |= stack.enter_context(redis())
        config = AirflowConfig(
            home=twin.home,
            dags_folder=twin.home / "dags",
            plugins_folder=twin.home / "plugins",
            python=twin.python,
            components=(*COMPONENTS, "worker") if as_deployed else COMPONENTS,
            environment={**DEFAULTS, **variables, **FORCED, **services.environment, **ours},
        )
        yield stack.enter_context(AirflowRuntime(config, dag_ids=[], on_progress=say))


def _check_plugin(airflow: AirflowRuntime) -> None:
    """The API server has the plugin whole and once, and its page answers who is logged in."""
    errors = airflow.client.request("GET", "/api/v2/plugins/importErrors")["import_errors"]
    if errors:
        problems = [f"{error['source']}: {error['error']}" for error in errors]
        raise DeployError("Plugins have import errors:\n" + "\n".join(problems))
    listed = airflow.client.request("GET", "/api/v2/plugins")["plugins"]
    plugin = {row["name"]: row for row in listed}.get(PLUGIN, {})
    if not plugin.get("timetables") or not plugin.get("macros"):
        raise DeployError(
            f"The API server has not all of the plugin {PLUGIN}, only {plugin}: see its log."
        )
    path = f"/{PLUGIN.replace('_', '-')}/api/coverage"
    airflow.client.request("GET", path)
    status = httpx.get(f"{airflow.url}{path}", trust_env=False).status_code
    if status != httpx.codes.UNAUTHORIZED:
        raise DeployError(f"Without a login the API server answers {status} to {path}.")


def _run_dags(airflow: AirflowRuntime, services: Services, environment: str, say: Progress) -> None:
    """Every DAG file gives a DAG, and the samples publish: the demo's lakes have their data."""
    files = {path.name for path in airflow.config.dags_folder.glob("*.py")}
    jobs = [replace(job, first=job.last) for job in jobs_of(airflow, JOBS, files=files)]
    samples = ", ".join(job.dag_id for job in jobs)
    say(f"each DAG file has given a DAG; of the samples: {samples or 'none'}")
    started = []
    for job in jobs:
        airflow.client.unpause(job.dag_id)
        if start(airflow.client, job):
            started.append(job)
            say(f"{job.dag_id}: {job.summary}")
    watch = Watch(airflow.client, say)
    bucket = f"athena-report-{environment}"
    for job in started:
        finish(airflow.client, job.dag_id, watch)
        manifest = latest_manifest(services.s3, bucket, job.report, job.cadence)
        period_id = manifest["period"]["id"]
        if not manifest["rows"]:
            raise DeployError(f"{job.dag_id} has published {period_id} without a row.")
        say(f"{job.dag_id} has published {manifest['rows']} rows of {period_id}")


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.check", description=__doc__)
    for name, default in (("--version", "newest"), ("--constraints", ""), ("--python", "")):
        parser.add_argument(name, default=default)
    options = parser.parse_args()
    say = Progress(Console())
    bundle = ROOT / "dist" / "mwaa"
    work = ROOT / ".airflow" / "mwaa"
    try:
        if options.version == "newest":
            index = [sys.executable, "-m", "pip", "index", "versions", "apache-airflow"]
            answer = subprocess.run(index, capture_output=True, text=True).stdout
            found = re.search(r"\(([\d.]+)\)", answer)
            options.version = found[1] if found else "newest"
        twin = build_twin(options.version, options.constraints, bundle, work, options.python, say)
        check_bundle(twin, say)
    except (
        DeployError,
        ServicesError,
        AirflowRuntimeError,
        DemoError,
        BotoCoreError,
        ClientError,
    ) as error:
        print(f"\n{error}\nLogs are in {work}.", file=sys.stderr)
        return 1
    say(f"the bundle works in the twin of MWAA's image for Airflow {options.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
