"""The query of an author's command that is killed, beside the reconciler of a real Airflow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports.maintenance.reconcile import GRACE
from athena_reports.queries.ownership import AuthorMarker
from athena_reports_cli.local.services import Services, local_services
from demo.lake import seed_flights
from local_athena.faults import Faults, Hold
from tests.airflow.environment import PATIENCE
from tests.airflow.report_run import now, until
from tests.support.flown import Flown, write
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from athena_reports_cli.local.runtime import AirflowRuntime
    from tests.airflow.harness import StartAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

RECONCILER = "athena_reports_reconciler"
LIFETIME = dt.timedelta(seconds=20)
# The command of an author, with less patience. The reconciler is as it is: it finds the lifetime
# in the marker.
IMPATIENT = f"""
from datetime import timedelta

from athena_reports.queries import lease

lease.LIFETIME = timedelta(seconds={LIFETIME.total_seconds():.0f})  # half an hour
lease.RENEW_EVERY = timedelta(seconds=2)  # five minutes

from athena_reports_cli.authoring.command_line import main

main()
"""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        running.prepare("dev")
        seed_flights(running, "dev")
        yield running


@pytest.fixture
def flown(services: Services, tmp_path: Path) -> Flown:
    root = tmp_path / "flown"
    write(root)
    return Flown(root, services)


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AirflowRuntime:
    dags_folder = tmp_path_factory.mktemp("dags")
    text = "# Of Airflow\nfrom athena_reports import build_reconciler\n\ndag = build_reconciler()\n"
    (dags_folder / "reconciler.py").write_text(text)
    return start_airflow(
        dags_folder,
        dag_ids=[RECONCILER],
        plugins_folder=ROOT / "plugins",
        environment={
            **services.environment,
            **PATIENCE,
            "ATHENA_REPORTS_ENV": "dev",
            "ATHENA_REPORTS_SQL_FOLDER": str(dags_folder),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        },
    )


def reconcile(airflow: AirflowRuntime) -> list[str]:
    """Let the reconciler run, and return the ids of what it stopped."""
    run = airflow.client.trigger(RECONCILER)
    airflow.client.wait_for_runs(RECONCILER, [run.run_id], timeout_seconds=60)
    stopped: list[str] = airflow.client.xcom(RECONCILER, run.run_id, "stop_unwanted_queries")
    return stopped


def test_the_reconciler_leaves_a_command_its_query_until_the_command_is_killed(
    airflow: AirflowRuntime, flown: Flown, services: Services
) -> None:
    Faults(services.endpoint_url).add(Hold(sql="The miles of each carrier", times=None))

    def the_query() -> dict[str, Any]:
        (query,) = flown.queries().values()
        return query

    preview = ("preview", "flown", "2013-03-11", "--run")
    with flown.start(*preview, program=("-c", IMPATIENT)) as process:
        try:
            until(flown.queries, "the query of the command")
            marker = AuthorMarker.find(the_query()["Query"])
            assert marker is not None
            assert marker.expires_after_seconds == LIFETIME.total_seconds()
            submitted = the_query()["Status"]["SubmissionDateTime"]
            # So that only its lease keeps it.
            until(
                lambda: now() - submitted > max(GRACE, LIFETIME),
                "the query is older than the grace and its lifetime",
                seconds=120,
            )
            assert reconcile(airflow) == []
            assert the_query()["Status"]["State"] == "RUNNING"
            assert process.poll() is None
        finally:
            process.kill()

    (lease,) = services.s3.list_objects_v2(Bucket="athena-query-result-dev", Prefix="leases/")[
        "Contents"
    ]
    stopped = until(lambda: reconcile(airflow), "the query is stopped")
    assert stopped == [the_query()["QueryExecutionId"]]
    status = the_query()["Status"]
    assert status["State"] == "CANCELLED"
    assert status["CompletionDateTime"] >= lease["LastModified"] + LIFETIME
