"""`python -m demo.up`: `athena-reports up` on the demo's lakes, with past periods of the samples.

Its plays go on until today, and what the Reports page shows at first is backfilled meanwhile.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date, datetime, timedelta
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
from demo.plays import PlaysSpec
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
    forget_aws_of_shell()
    with told(console):
        require_not_running(PROJECT)
        require_free(port)
        connections = read_connections(PROJECT)
        with local_services(PROJECT.airflow / "local-aws.log") as services:
            fill(services, ENVIRONMENT, progress, plays_until(today))
            with airflow_of(PROJECT, services, progress, connections, port=port) as airflow:
                for job in jobs_of(airflow, jobs_until(today)):
                    if start(airflow.client, job):
                        progress(f"{job.dag_id}: {job.summary}")
                stay_up(airflow, services, PROJECT, console)


def plays_until(today: date) -> PlaysSpec:
    """Return the demo's plays, the last ones in the partition of today."""
    return replace(DEMO_PLAYS, end=today + timedelta(days=1))


def jobs_until(today: date) -> list[Job]:
    """Return the jobs of what the Reports page shows at first."""
    dates = (str(today - timedelta(days=214)), str(today))
    return [
        Job("user_ranking", "weekly", "Asia/Tokyo", *dates),
        Job("user_ranking", "monthly", "Asia/Tokyo", *dates),
        *CARRIER_JOBS,
    ]


if __name__ == "__main__":
    main()
