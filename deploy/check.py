"""Proves a bundle in a twin of MWAA's image: everything is imported, and both reports run to their end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from airflow_local.client import AirflowClient, AirflowRuntimeError
from airflow_local.databases import are_installed, postgresql, redis
from airflow_local.runtime import COMPONENTS, AirflowConfig, AirflowRuntime, Progress
from airflow_local.services import Services, ServicesError, local_services
from demo.run import DemoError, Job, Watch, finish, start
from demo.run import Progress as Printed
from demo.seed import fill
from demo.show import latest_manifest
from deploy import image as mwaa
from deploy.bundle import read_bundle
from deploy.errors import CheckError
from deploy.twin import Image, Twin, build_twin

PLUGIN = "athena_reports"
TIMETABLES = frozenset({"PeriodTimetable"})
MACROS = frozenset({"period", "literal", "daily", "weekly", "monthly", "quarterly", "yearly"})

JOBS = (
    Job("user_ranking", "weekly", "Asia/Tokyo", "2025-06-22", "2025-06-22"),
    Job("user_ranking", "monthly", "Asia/Tokyo", "2025-06-01", "2025-06-01"),
    Job("carrier_ranking", "weekly", "America/New_York", "2013-11-04", "2013-11-04", ["2013-03-04"]),
    Job("carrier_ranking", "monthly", "America/New_York", "2013-12-01", "2013-12-01", ["2013-11"]),
)
"""What the reports are run for: a backfill, which asks the timetable, and single periods by their param."""

# They name what is in an AWS account; the local services have the names that follow from the environment.
_NAMES_IN_AWS = frozenset(
    f"ATHENA_REPORTS_{name}"
    for name in (
        *("AWS_CONN_ID", "BUCKET", "BUCKET_OWNER", "DATABASE", "ENCRYPTION", "POOL", "QUERY_RESULTS"),
        *("REPORT_DATABASE", "WORKGROUP"),
    )
)
_ENVIRONMENT = "ATHENA_REPORTS_ENV"
_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
_PARSE_SECONDS = 120
_POLL_SECONDS = 1.0


def check_bundle(bundle: Path, image: Image, *, work: Path, python: str = "", progress: Progress | None = None) -> None:
    """Check a bundle; what it finds out is told to `progress`.

    Args:
        bundle: Folder of the bundle.
        image: Which image of MWAA.
        work: Folder in which twins are kept.
        python: Looked at first for a Python 3.12; may be empty.
        progress: Told what happens; by default it is printed.

    Raises:
        CheckError: The bundle would not work; the message says what is wrong and what to do.
    """
    say = progress or Printed(Console())
    read_bundle(bundle)
    twin = build_twin(image, bundle, work, python, say)
    say(f"requirements.txt adds {_listed(f'{name} {v}' for name, v in twin.added.items())}")
    for name, (before, after) in twin.changed.items():
        say(f"requirements.txt changes {name} from the image's {before} to {after}")
    twin.import_plugins()
    say("plugins can be imported without what requirements.txt installs")
    variables = twin.startup_variables(say)
    say(f"startup.sh sets {_listed(f'{name}={value}' for name, value in variables.items())}")
    if _ENVIRONMENT not in variables:
        raise CheckError(f"startup.sh does not set {_ENVIRONMENT}: on MWAA no DAG file could be imported.")
    log = twin.folder / "local-aws.log"
    try:
        with local_services(log) as services:
            fill(services, variables[_ENVIRONMENT], say)
            with _airflow(twin, variables, services, say) as airflow:
                _check_airflow(airflow, twin, services, variables[_ENVIRONMENT], say)
    except (
        *(ServicesError, AirflowRuntimeError, DemoError),
        *(LookupError, BotoCoreError, ClientError),
    ) as error:
        raise CheckError(f"{error}\nLogs: {twin.home / 'logs'} (Airflow), {log} (local services)") from error
    say(f"the bundle works in the twin of MWAA's image for Airflow {image.version}")


@contextmanager
def _airflow(twin: Twin, variables: Mapping[str, str], services: Services, say: Progress) -> Iterator[AirflowRuntime]:
    """The twin's Airflow; with a Celery worker, as on MWAA, if this machine can."""
    as_deployed = are_installed()
    if not as_deployed:
        say("PostgreSQL or Redis is not installed: metadata in SQLite, and tasks without Celery workers")
    environment = {name: value for name, value in variables.items() if name not in _NAMES_IN_AWS}
    if left_out := sorted(variables.keys() - environment.keys()):
        say(f"left out, for they name what is in AWS: {', '.join(left_out)}")
    with ExitStack() as stack:
        databases: dict[str, str] = {}
        if as_deployed:
            databases = {**stack.enter_context(postgresql()).environment, **stack.enter_context(redis())}
        config = AirflowConfig(
            home=twin.home,
            dags_folder=twin.home / "dags",
            plugins_folder=twin.home / "plugins",
            python=twin.python,
            components=(*COMPONENTS, "worker") if as_deployed else COMPONENTS,
            environment={
                **mwaa.DEFAULTS,
                **environment,
                **mwaa.FORCED,
                **services.environment,
                **databases,
                "AIRFLOW__CORE__AUTH_MANAGER": _AUTH_MANAGER,
                # The lakes end in the past: a run for last week would find nothing.
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            },
        )
        twin.add_probe()
        jobs = [job.dag_id for job in JOBS]
        yield stack.enter_context(AirflowRuntime(config, dag_ids=jobs, on_progress=say))


def _check_airflow(airflow: AirflowRuntime, twin: Twin, services: Services, environment: str, say: Progress) -> None:
    client = airflow.client
    dags = _check_dags(airflow, twin.home / "dags")
    say(f"no import errors; {len(dags)} DAGs: {', '.join(dags)}")
    _check_registered(client)
    say("the API server has the plugin with its timetable and macros")
    _check_page(airflow)
    say("the Reports page answers those who are logged in, by FAB's auth manager, and nobody else")
    for job in JOBS:
        client.unpause(job.dag_id)
        start(client, job)
        say(f"{job.dag_id}: {job.summary}")
    watch = Watch(client, say)
    for job in JOBS:
        finish(client, job.dag_id, watch)
        manifest = latest_manifest(services.s3, f"athena-report-{environment}", job.report, job.cadence)
        if not manifest["rows"]:
            raise CheckError(f"{job.dag_id} has published {manifest['period']['id']} without a row.")
        say(f"{job.dag_id} has published {manifest['rows']} rows of {manifest['period']['id']}")
    say(f"plugins are loaded in {', '.join(_check_components(twin))}")


def _check_dags(airflow: AirflowRuntime, folder: Path) -> list[str]:
    """The ids of all DAGs, once each file of the folder has given one."""
    deadline = time.monotonic() + _PARSE_SECONDS
    files = {path.name for path in folder.glob("*.py")}
    while True:
        airflow.wait_until_parsed([])  # looks for import errors
        rows = airflow.client.rows("/api/v2/dags", "dags")
        found = {row["dag_id"]: Path(row["fileloc"]) for row in rows}
        without = files - {path.name for path in found.values()}
        if not without:
            return sorted(found)
        if time.monotonic() > deadline:
            raise CheckError(f"No DAG came of {', '.join(sorted(without))} within {_PARSE_SECONDS} s.")
        time.sleep(_POLL_SECONDS)


def _check_registered(client: AirflowClient) -> None:
    plugins = {row["name"]: row for row in client.request("GET", "/api/v2/plugins")["plugins"]}
    if PLUGIN not in plugins:
        raise CheckError(f"The API server has no plugin {PLUGIN}, only {_listed(plugins)}: see its log.")
    for kind, expected in (("timetables", TIMETABLES), ("macros", MACROS)):
        missing = expected - {_last_word(each) for each in plugins[PLUGIN][kind]}
        if missing:
            raise CheckError(f"The plugin {PLUGIN} is loaded without its {kind} {_listed(sorted(missing))}.")


def _check_page(airflow: AirflowRuntime) -> None:
    page = f"{airflow.url}/{PLUGIN.replace('_', '-')}/"
    for address, expected in ((page, httpx.codes.OK), (f"{page}api/coverage", httpx.codes.UNAUTHORIZED)):
        status = httpx.get(address, trust_env=False).status_code
        if status != expected:
            raise CheckError(
                f"Without a login the API server answers {status} to {address}, not {expected}: see its log."
            )
    path = f"/{PLUGIN.replace('_', '-')}/api/coverage"
    reports = airflow.client.request("GET", path)["reports"]
    missing = {job.dag_id for job in JOBS} - {row["dag_id"] for row in reports}
    if missing:
        raise CheckError(f"The Reports page does not show {_listed(sorted(missing))}.")


def _check_components(twin: Twin) -> list[str]:
    """The components that have noted all plugins; the API server is asked over HTTP instead.

    Raises:
        CheckError: One has not started, or has not loaded them.
    """
    plugins = {path.stem for path in (twin.home / "plugins").glob("*.py")}
    notes: list[dict[str, Any]] = [json.loads(line) for line in twin.notes.read_text().splitlines()]
    for note in notes:
        if missing := plugins - set(note["plugins"]):
            raise CheckError(f"{note['component']} runs without the plugins {_listed(sorted(missing))}.")
    seen = {note["component"] for note in notes}
    expected = {"scheduler", "dag-processor", "triggerer", "worker"}
    if not expected <= seen:
        raise CheckError(f"No plugin was loaded in {_listed(sorted(expected - seen))}.")
    return sorted(expected)


def _last_word(name: Any) -> str:
    """The name of a class or function, from what the API says of it."""
    return str(name).rstrip(">'").split(" at ")[0].split(".")[-1].split()[-1]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
