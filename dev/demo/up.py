"""`python -m demo.up`: Airflow with the reports, the demo's lakes and the Reports page, until it is stopped.

It starts what the demo starts, and lets the demo's periods run. Unlike there, Airflow keeps its schedule, so what is
added to dags/ runs as it would anywhere. It prints where to look, and waits for Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
import time

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from airflow_local.runtime import AirflowRuntimeError
from airflow_local.services import ServicesError, local_services
from demo.lake import LakeError
from demo.run import ENVIRONMENT, HOME, JOBS, SERVICES_LOG, Progress, airflow_of, start
from demo.seed import fill

_LOOK_SECONDS = 1.0


def main() -> int:
    """Start it and wait; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.up", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of Airflow on 127.0.0.1 (default: 8080)")
    port = parser.parse_args().port
    console = Console()
    progress = Progress(console)
    try:
        with local_services(SERVICES_LOG) as services:
            fill(services, ENVIRONMENT, progress)
            with airflow_of(services, progress, port=port) as airflow:
                for job in JOBS:
                    start(airflow.client, job)
                user, password = airflow.admin_login
                console.print(f"\nAirflow  {airflow.url}  user {user}, password {password}", soft_wrap=True)
                console.print(f"Reports  {airflow.url}/athena-reports/", soft_wrap=True)
                console.print(f"AWS      {services.endpoint_url}  (S3, Glue, Athena)", soft_wrap=True)
                late = "The lakes end in 2013 and 2025: the scheduled runs of the latest periods find no rows and fail."
                console.print(late, soft_wrap=True)
                console.print("Ctrl-C stops all of it.")
                while True:
                    time.sleep(_LOOK_SECONDS)
                    airflow.check_alive()
    except (ServicesError, AirflowRuntimeError, LakeError, OSError, BotoCoreError, ClientError) as error:
        console.print(f"\nIt ended: {error}", style="red", markup=False, highlight=False)
        console.print(f"Logs: {HOME / 'logs'} (Airflow), {SERVICES_LOG} (local services)", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped; nothing is left running.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
