"""`python -m demo.up`: `athena-reports up` on the demo's lakes, with past periods of the samples.

Its plays go on until today. So what the Reports page shows of the samples at first is backfilled
while the user watches. Other reports in dags/ run when somebody asks, as in `athena-reports up`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console

from athena_reports_cli.local.connections import read_connections
from athena_reports_cli.local.runs import TimedProgress
from athena_reports_cli.local.services import ENVIRONMENT, forget_aws_of_shell, local_services
from athena_reports_cli.local.up import (
    airflow_of,
    require_free,
    require_not_running,
    stay_up,
)
from demo.lake import DEMO_PLAYS
from demo.run import CARRIER_JOBS, PROJECT, Job, jobs_of, start, told
from demo.seed import fill


def main() -> None:
    """Start it and wait."""
    parser = argparse.ArgumentParser(prog="python -m demo.up", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8080, help="port of Airflow on 127.0.0.1 (default: 8080)"
    )
    port = parser.parse_args().port
    console = Console()
    progress = TimedProgress(console)
    today = datetime.now(ZoneInfo("Asia/Tokyo")).date()
    # What the Reports page shows at first.
    first_date = str(today - timedelta(days=214))
    last_date = str(today)
    user_jobs = [
        Job("user_ranking", "weekly", "Asia/Tokyo", first_date, last_date),
        Job("user_ranking", "monthly", "Asia/Tokyo", first_date, last_date),
    ]
    forget_aws_of_shell()
    with told(console):
        require_not_running(PROJECT)
        require_free(port)
        connections = read_connections(PROJECT)
        with local_services(PROJECT.airflow / "local-aws.log") as services:
            plays = replace(DEMO_PLAYS, end=today + timedelta(days=1))
            fill(services, ENVIRONMENT, progress, plays)
            with airflow_of(PROJECT, services, progress, connections, port=port) as airflow:
                for job in jobs_of(airflow, [*user_jobs, *CARRIER_JOBS]):
                    if start(airflow.client, job):
                        progress(f"{job.dag_id}: {job.summary}")
                stay_up(airflow, services, PROJECT, console)


if __name__ == "__main__":
    main()
