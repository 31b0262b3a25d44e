"""`python -m demo.up`: Airflow with the reports, their lakes and the Reports page.

It runs until it is stopped. It starts what the demo starts, but its plays go on until today and
Airflow keeps its schedule. So what the Reports page shows of the samples at first is backfilled
while the user watches. Other reports in dags/ run as they would anywhere: by their schedule, within
their `since` and `until`, and never for the past unless somebody asks.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console

from athena_reports.local.running import Running, announced
from athena_reports.local.runs import Progress
from athena_reports.local.services import local_services
from demo.lake import DEMO_PLAYS
from demo.run import (
    CARRIER_JOBS,
    ENVIRONMENT,
    HOME,
    PROJECT,
    Job,
    airflow_of,
    jobs_of,
    start,
    told,
)
from demo.seed import fill

# What `airflow` in another shell needs: the rest is in its airflow.cfg.
_AIRFLOW_HOME = {"AIRFLOW_HOME": str(HOME)}


def main() -> None:
    """Start it and wait."""
    parser = argparse.ArgumentParser(prog="python -m demo.up", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=8080, help="port of Airflow on 127.0.0.1 (default: 8080)"
    )
    port = parser.parse_args().port
    console = Console()
    progress = Progress(console)
    today = datetime.now(ZoneInfo("Asia/Tokyo")).date()
    # What the Reports page shows at first.
    first_date = str(today - timedelta(days=214))
    last_date = str(today)
    user_jobs = [
        Job("user_ranking", "weekly", "Asia/Tokyo", first_date, last_date),
        Job("user_ranking", "monthly", "Asia/Tokyo", first_date, last_date),
    ]
    with told(console), local_services(HOME.with_name("local-aws.log")) as services:
        fill(services, ENVIRONMENT, progress, replace(DEMO_PLAYS, end=today + timedelta(days=1)))
        with airflow_of(services, progress, port=port) as airflow:
            for job in jobs_of(airflow, [*user_jobs, *CARRIER_JOBS]):
                if start(airflow.client, job):
                    progress(f"{job.dag_id}: {job.summary}")
            user, password = airflow.admin_login
            running = Running(airflow.url, user, password, services.environment)
            with announced(running, PROJECT):
                _tell(console, running)
                while True:
                    airflow.check_alive()
                    time.sleep(1)


def _tell(console: Console, running: Running) -> None:
    """Say where all is, and how another shell reaches it."""
    lines = [
        f"Airflow  {running.airflow}  user {running.user}, password {running.password}",
        f"Reports  {running.airflow}/athena-reports/",
        f"Shell    export {_exported({**_AIRFLOW_HOME, **running.environment})}",
        "Yours    make backfill REPORT=... FROM=2025-06-01 TO=2025-06-30, in another shell",
    ]
    console.print()
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print("Ctrl-C stops all of it.")


def _exported(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


if __name__ == "__main__":
    main()
