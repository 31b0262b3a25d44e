"""The main job, to its end: two reports, weekly and monthly, by a real Airflow on the local AWS services.

`python -m demo.run` starts the services on free ports, fills both lakes, runs the DAGs for several periods
each, lets late events land and restates their week, prints every latest ranking with its versions and checks,
queries the published tables, mirrors what was published into `demo-output/`, and stops all it started.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from airflow_local.runtime import AirflowClient, AirflowConfig, AirflowRuntime, AirflowRuntimeError, DagRun
from airflow_local.services import Services, ServicesError, local_services
from demo.lake import LakeError, land_late_plays
from demo.seed import fill
from demo.show import latest_manifest, mirror, show_query, show_ranking

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".airflow" / "demo"
SERVICES_LOG = HOME.with_name("local-aws.log")
OUTPUT = ROOT / "demo-output"
ENVIRONMENT = "dev"
REPORT_BUCKET = f"athena-report-{ENVIRONMENT}"
_RUNS_TIMEOUT_SECONDS = 600
_PROGRESS_SECONDS = 5


@dataclass(frozen=True)
class Job:
    """What one DAG is to run: the periods that start in a range, and single ones beside it.

    Attributes:
        report: Name of the report.
        cadence: Name of the cadence.
        timezone: Zone of its periods.
        first: Local date from which periods are backfilled.
        last: Local date to which, included.
        periods: Ids of periods that are triggered one by one, with the param `period`.
    """

    report: str
    cadence: str
    timezone: str
    first: str
    last: str
    periods: Sequence[str] = ()

    @property
    def dag_id(self) -> str:
        """Id of the DAG."""
        return f"{self.report}_{self.cadence}"

    @property
    def summary(self) -> str:
        """What is started, for a person."""
        single = "".join(f", and {period} by its param" for period in self.periods)
        return f"backfill from {self.first} to {self.last}{single}"


# The weeks of carrier_ranking hold both changes of daylight saving time: 2013-03-10 and 2013-11-03.
JOBS = (
    Job("user_ranking", "weekly", "Asia/Tokyo", "2025-06-01", "2025-06-22"),
    Job("user_ranking", "monthly", "Asia/Tokyo", "2025-04-01", "2025-06-01"),
    Job("carrier_ranking", "weekly", "America/New_York", "2013-10-21", "2013-11-04", ["2013-03-04"]),
    Job("carrier_ranking", "monthly", "America/New_York", "2013-10-01", "2013-12-01"),
)


LATE_WEEK = "2025-06-22"
TABLE_QUERIES = (
    """SELECT period, COUNT(*) AS users, SUM(plays) AS plays, MAX(score) AS best_score
FROM user_ranking_weekly
GROUP BY period
ORDER BY period""",
    """SELECT m.period, m.carrier, m."rank", m.flights, m.flights - p.flights AS more_than_a_month_before
FROM carrier_ranking_monthly AS m
INNER JOIN carrier_ranking_monthly AS p ON p.carrier = m.carrier AND p.period = '2013-11'
WHERE m.period = '2013-12' AND m."rank" <= 3
ORDER BY m."rank\"""",
)


class Watch:
    """Says every few seconds how many tasks of all runs are done."""

    def __init__(self, client: AirflowClient, progress: Callable[[str], None]) -> None:
        self._client = client
        self._progress = progress
        self._told_at = time.monotonic()

    def all_finished(self, runs: Sequence[DagRun]) -> bool:
        """Whether the runs have finished; called at each look."""
        if time.monotonic() - self._told_at > _PROGRESS_SECONDS:
            done, created = (self._tasks(**states) for states in ({"state": "success"}, {}))
            self._progress(f"{done} of {created} tasks done")
            self._told_at = time.monotonic()
        return bool(runs) and all(run.finished for run in runs)

    def _tasks(self, **filters: str) -> int:
        path = "/api/v2/dags/~/dagRuns/~/taskInstances"
        return int(self._client.request("GET", path, params={"limit": 1, **filters})["total_entries"])


class DemoError(RuntimeError):
    """A run of the demo failed; the message says which task, and where its log is."""


class Progress:
    """Lines with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()

    def __call__(self, message: str) -> None:
        """Print a line."""
        self._console.print(
            f"[dim]{time.monotonic() - self._start:6.1f} s[/dim]  {escape(message)}",
            highlight=False,
            soft_wrap=True,
        )


def main() -> int:
    """Run the demo; returns the exit code."""
    console = Console()
    if not console.is_terminal:
        console.width = 110
    progress = Progress(console)
    try:
        with local_services(SERVICES_LOG) as services:
            progress(f"local S3, Glue and Athena are at {services.endpoint_url}")
            fill(services, ENVIRONMENT, progress)
            run_jobs(services, progress)
            for job in JOBS:
                manifest = latest_manifest(services.s3, REPORT_BUCKET, job.report, job.cadence)
                console.print()
                show_ranking(console, services.s3, REPORT_BUCKET, manifest)
            for sql in TABLE_QUERIES:
                show_query(console, services.athena, f"report_{ENVIRONMENT}", ENVIRONMENT, sql)
            files = mirror(services.s3, REPORT_BUCKET, OUTPUT)
            progress(f"{files} published objects are mirrored in {OUTPUT.relative_to(ROOT)}/")
    except (
        ServicesError,
        AirflowRuntimeError,
        LakeError,
        DemoError,
        LookupError,
        OSError,
        BotoCoreError,
        ClientError,
    ) as error:
        console.print(f"\nThe demo failed: {error}", style="red", markup=False, highlight=False)
        console.print(f"Logs: {HOME / 'logs'} (Airflow), {SERVICES_LOG} (local services)", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything that was started has been stopped.")
        return 130
    progress("done; all that was started has been stopped")
    return 0


def airflow_of(
    services: Services, progress: Progress, *, port: int | None = None, schedule: bool = True
) -> AirflowRuntime:
    """Return an Airflow, not started yet, with this repository's DAGs on the demo's lakes.

    Without its `schedule`, Airflow starts no run by itself, for an asset's event neither.
    """
    config = AirflowConfig(
        home=HOME,
        dags_folder=ROOT / "dags",
        plugins_folder=ROOT / "plugins",
        database_templates=HOME.with_name("databases"),
        port=port,
        environment={
            **services.environment,
            "ATHENA_REPORTS_ENV": ENVIRONMENT,
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedule),
        },
    )
    return AirflowRuntime(config, dag_ids=[job.dag_id for job in JOBS], on_progress=progress)


def run_jobs(services: Services, progress: Progress) -> None:
    """Run every job in Airflow.

    Raises:
        DemoError: A run failed.
    """
    # The lakes end in the past: a run for last week would find nothing.
    with airflow_of(services, progress, schedule=False) as airflow:
        for job in JOBS:
            start(airflow.client, job)
            progress(f"{job.dag_id}: {job.summary}")
        watch = Watch(airflow.client, progress)
        for job in JOBS:
            finish(airflow.client, job.dag_id, watch)
        restated = JOBS[0].dag_id
        land_late_plays(
            ENVIRONMENT,
            date(2025, 6, 29),
            datetime(2025, 6, 28, 14, 59, tzinfo=UTC),
            [70_000],
            s3=services.s3,
        )
        airflow.client.trigger(restated, conf={"period": LATE_WEEK})
        progress(f"{restated}: a play of {LATE_WEEK} landed late, so that week is run again")
        finish(airflow.client, restated, watch)


def finish(client: AirflowClient, dag_id: str, watch: Watch) -> None:
    """Wait for all runs of a DAG.

    Raises:
        DemoError: A run failed.
    """
    runs = client.wait_for_runs(dag_id, until=watch.all_finished, timeout_seconds=_RUNS_TIMEOUT_SECONDS)
    for run in runs:
        if run.state != "success":
            raise DemoError(_failure(client, run))


def start(client: AirflowClient, job: Job) -> None:
    """Start the runs of a job."""
    zone = ZoneInfo(job.timezone)
    first, last = (datetime.fromisoformat(date).replace(tzinfo=zone) for date in (job.first, job.last))
    client.backfill(job.dag_id, first, last)
    for period in job.periods:
        client.trigger(job.dag_id, conf={"period": period})


def _failure(client: AirflowClient, run: DagRun) -> str:
    tasks = client.task_instances(run.dag_id, run.run_id)
    failed = next((task for task in tasks if task.state == "failed"), None)
    if failed is None:
        return f"the run {run.run_id} of {run.dag_id} is {run.state}."
    log = client.task_log(run.dag_id, run.run_id, failed.task_id, failed.try_number)
    return f"{failed.task_id} of {run.dag_id}, run {run.run_id}, failed. Its log ends:\n{log[-2000:]}"


if __name__ == "__main__":
    sys.exit(main())
