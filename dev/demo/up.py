"""`python -m demo.up`: Airflow with the reports, their lakes and the Reports page.

It runs until it is stopped. It starts what the demo starts, but its plays go on until today and
Airflow keeps its schedule. So what the Reports page shows at first is backfilled while the user
watches, and what is added to dags/ runs as it would anywhere.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console

from airflow_local.services import local_services
from demo.lake import DEMO_PLAYS
from demo.run import (
    CARRIER_JOBS,
    ENVIRONMENT,
    HOME,
    Job,
    Progress,
    airflow_of,
    jobs_of,
    start,
    told,
)
from demo.seed import fill


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
    shown = ("Asia/Tokyo", str(today - timedelta(days=214)), str(today))
    users = [Job("user_ranking", cadence, *shown) for cadence in ("weekly", "monthly")]
    with told(console), local_services(HOME.with_name("local-aws.log")) as services:
        fill(services, ENVIRONMENT, progress, replace(DEMO_PLAYS, end=today + timedelta(days=1)))
        with airflow_of(services, progress, port=port) as airflow:
            for job in jobs_of(airflow, [*users, *CARRIER_JOBS]):
                start(airflow.client, job)
                progress(f"{job.dag_id}: {job.summary}")
            user, password = airflow.admin_login
            console.print(
                f"\nAirflow  {airflow.url}  user {user}, password {password}", soft_wrap=True
            )
            console.print(f"Reports  {airflow.url}/athena-reports/", soft_wrap=True)
            variables = " ".join(f"{name}={value}" for name, value in services.environment.items())
            console.print(f"AWS      export {variables}", soft_wrap=True, highlight=False)
            console.print("Ctrl-C stops all of it.")
            while True:
                airflow.check_alive()
                time.sleep(1)


if __name__ == "__main__":
    main()
