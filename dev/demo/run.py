"""Both reports, weekly and monthly, in a real Airflow on the local services: `python -m demo.run`.

It fills the lakes, runs several periods, lets late events land and restates their week, prints
rankings and queries, mirrors what was published into `demo-output/`, and stops all it started.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from athena_reports.errors import AthenaReportsError
from athena_reports_cli.local.client import AirflowClient
from athena_reports_cli.local.project import find_project
from athena_reports_cli.local.runs import TimedProgress, follow_run, require_success
from athena_reports_cli.local.runtime import AirflowRuntime, Progress
from athena_reports_cli.local.services import (
    ENVIRONMENT,
    Services,
    forget_aws_of_shell,
    local_services,
)
from athena_reports_cli.local.up import airflow_of
from athena_reports_cli.local.words import counted
from demo.lake import land_late_plays
from demo.seed import fill
from demo.show import latest_manifest, mirror, show_query, show_ranking

PROJECT = find_project(Path(__file__).parent)
HOME = PROJECT.airflow / "demo"
OUTPUT = PROJECT.root / "demo-output"
BUCKET = f"athena-report-{ENVIRONMENT}"


@dataclass(frozen=True)
class Job:
    """What one DAG is to run: the periods from one date to another, and `periods` beside them."""

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
        single = "".join(f", and a run for {period}" for period in self.periods)
        return f"backfill from {self.first} to {self.last}{single}"


_NEW_YORK = "America/New_York"
# The weeks of carrier_ranking hold both changes of daylight saving time: 2013-03-10 and 2013-11-03.
CARRIER_JOBS = (
    Job("carrier_ranking", "weekly", _NEW_YORK, "2013-10-21", "2013-11-04", ["2013-03-04"]),
    Job("carrier_ranking", "monthly", _NEW_YORK, "2013-10-01", "2013-12-01"),
)
JOBS = (
    Job("user_ranking", "weekly", "Asia/Tokyo", "2025-06-01", "2025-06-22"),
    Job("user_ranking", "monthly", "Asia/Tokyo", "2025-04-01", "2025-06-01"),
    *CARRIER_JOBS,
)
LATE_WEEK = "2025-06-22"
TABLE_QUERIES = (
    """SELECT period, COUNT(*) AS users, SUM(plays) AS plays, MAX(score) AS best_score
FROM user_ranking_weekly
GROUP BY period
ORDER BY period""",
    """SELECT m.period, m.carrier, m."rank", m.flights,
    m.flights - p.flights AS more_than_a_month_before
FROM carrier_ranking_monthly AS m
INNER JOIN carrier_ranking_monthly AS p ON p.carrier = m.carrier AND p.period = '2013-11'
WHERE m.period = '2013-12' AND m."rank" <= 3
ORDER BY m."rank\"""",
)


class DemoError(AthenaReportsError):
    """The demo has nothing to show; the message says why."""


@contextmanager
def told(console: Console) -> Iterator[None]:
    """Tell a person of an error or an interrupt, and exit with 1 or 130."""
    try:
        yield
    except (AthenaReportsError, OSError, BotoCoreError, ClientError) as error:
        message = f"\nFailed: {error}\nLogs: {HOME.parent}"
        console.print(message, style="red", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything that was started has been stopped.")
        sys.exit(130)


def main() -> None:
    """Run the demo."""
    console = Console()
    if not console.is_terminal:
        console.width = 110
    progress = TimedProgress(console)
    forget_aws_of_shell()
    with told(console):
        with local_services(HOME.with_name("local-aws.log")) as services:
            progress(f"local S3, Glue and Athena are at {services.endpoint_url}")
            fill(services, ENVIRONMENT, progress)
            # Without connections: the demo reaches nobody.
            with airflow_of(PROJECT, services, progress, {}, home=HOME) as airflow:
                jobs = run_jobs(services, airflow, progress)
            for job in jobs:
                manifest = latest_manifest(services.s3, BUCKET, job.report, job.cadence)
                console.print()
                show_ranking(console, services.s3, BUCKET, manifest)
            for sql in TABLE_QUERIES if all(job in jobs for job in JOBS) else ():
                show_query(console, services.athena, f"report_{ENVIRONMENT}", ENVIRONMENT, sql)
            files = mirror(services.s3, BUCKET, OUTPUT)
            progress(f"{files} published objects are mirrored in {OUTPUT.name}/")
        progress("done; everything that was started has been stopped")


def jobs_of(airflow: AirflowRuntime, planned: Sequence[Job]) -> list[Job]:
    """Wait until the files of the samples have given a DAG; return the jobs whose DAG exists.

    Other reports, and samples that a team has deleted, are left alone.
    """
    samples = {f"{job.report}.py" for job in planned}
    present = {path.name for path in airflow.config.dags_folder.glob("*.py")}
    airflow.wait_until_parsed(samples & present)
    ids = {row["dag_id"] for row in airflow.client.rows("/api/v2/dags", "dags")}
    return [job for job in planned if job.dag_id in ids]


def run_jobs(services: Services, airflow: AirflowRuntime, progress: Progress) -> list[Job]:
    """Run every job in Airflow, and one week once more for a play that lands late."""
    client, jobs = airflow.client, jobs_of(airflow, JOBS)
    if not jobs:
        raise DemoError(
            "dags/ has none of the demo's reports, so there is nothing to show."
            " `make up` starts Airflow with your reports."
        )
    started = []
    for job in jobs:
        if start(client, job):
            started.append(job)
            progress(f"{job.dag_id}: {job.summary}")
    for job in started:
        finish(client, job.dag_id, progress)
    if JOBS[0] not in started:
        return started
    late = datetime(2025, 6, 28, 14, 59, tzinfo=UTC)
    land_late_plays(services, ENVIRONMENT, date(2025, 6, 29), late, [70_000])
    client.trigger(JOBS[0].dag_id, conf={"period": LATE_WEEK})
    progress(f"{JOBS[0].dag_id}: a play of {LATE_WEEK} arrived late, so that week runs again")
    finish(client, JOBS[0].dag_id, progress)
    return started


def finish(client: AirflowClient, dag_id: str, progress: Progress) -> None:
    """Wait for all runs of a DAG; AirflowRuntimeError with the reason if one failed."""
    runs = client.runs(dag_id)
    for run in runs:
        require_success(client, follow_run(client, dag_id, run.run_id, lambda _: None))
    progress(f"{dag_id}: {counted(len(runs), 'run')} succeeded")


def start(client: AirflowClient, job: Job) -> bool:
    """Start the runs of a job, within what its report has data for; return whether there are any.

    A backfill of Airflow also runs what lies outside of a DAG's start and end date.
    """
    zone = ZoneInfo(job.timezone)
    first, last = (
        datetime.fromisoformat(date).replace(tzinfo=zone) for date in (job.first, job.last)
    )
    dag = client.dag_details(job.dag_id)
    first = max(first, datetime.fromisoformat(dag["start_date"]))
    if dag["end_date"] is not None:
        last = min(last, datetime.fromisoformat(dag["end_date"]))
    if last < first:
        return False
    client.backfill(job.dag_id, first, last)
    for period in job.periods:
        client.trigger(job.dag_id, conf={"period": period})
    return True


if __name__ == "__main__":
    main()
