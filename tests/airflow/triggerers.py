"""Two triggerers of one Airflow, and which of them has a wait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from athena_reports_cli.local.runtime import COMPONENTS
from tests.airflow.report_run import ReportRun, until

if TYPE_CHECKING:
    from athena_reports_cli.local.services import Services
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

TRIGGERERS = ("triggerer-1", "triggerer-2")


# Airflow imports it in each of its processes. Its own pause of 20 s is held by the tests of the
# poller; here a change is to be seen after a moment.
SETTINGS = """
from athena_reports.steps import partition_poller

partition_poller.PAUSE_SECONDS = 2.0
"""


def start_with_two(
    start_airflow: StartAirflow, services: Services, dags_folder: Path, dag_ids: Sequence[str]
) -> LiveAirflow:
    """On PostgreSQL: SQLite lets two triggerers take one trigger at the same moment."""
    settings = dags_folder.parent / f"settings-of-{dags_folder.name}"
    settings.mkdir()
    (settings / "airflow_local_settings.py").write_text(SETTINGS)
    others = [name for name in COMPONENTS if name != "triggerer"]
    return start_airflow(
        dags_folder,
        dag_ids=dag_ids,
        services=services,
        database="postgresql",
        components=(*others, *TRIGGERERS),
        environment={"PYTHONPATH": str(settings)},
    )


def owner_of(run: ReportRun, task_id: str) -> tuple[str, int]:
    """The triggerer that runs the trigger of a task, by the log that it writes of that,
    and its number in the database.
    """
    part = f"run_id={run.run_id}/task_id={task_id}/"

    def watching() -> tuple[str, int] | None:
        for name in TRIGGERERS:
            for process in run.airflow.processes(name):
                for file in process.open_files():
                    if part in file.path:
                        return name, int(file.path.split(".")[-2])
        return None

    return until(watching, f"a triggerer runs the trigger of {run.run_id}")


def give_to_another(run: ReportRun, task_id: str) -> None:
    """Freeze the triggerer that has a wait until another one has taken it over."""
    owner, number = owner_of(run, task_id)
    frozen = run.airflow.processes(owner)
    for process in frozen:
        process.suspend()
    until(
        lambda: _triggerer_of(run, task_id) not in (None, number),
        "the other triggerer takes the wait over",
    )
    for process in frozen:
        process.resume()


def _triggerer_of(run: ReportRun, task_id: str) -> int | None:
    """The triggerer that the `trigger` table names for a task."""
    path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}"
    trigger = run.airflow.client.request("GET", path)["trigger"]
    return trigger and trigger["triggerer_id"]
