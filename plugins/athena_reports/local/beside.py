"""Run a command beside local services: `python -m athena_reports.local.beside COMMAND ...`.

Where the shell names an AWS endpoint or an environment, the command gets that. Else it gets the
services of the `make up` that runs in this project. Only if none runs, services are started for
it, with the tables that the project keeps. They are not if the first word is `--join`: for a
command that needs an Airflow.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from athena_reports.local.lake import Lake, restore
from athena_reports.local.project import find_project
from athena_reports.local.running import Running, find_running
from athena_reports.local.services import local_services

_ENVIRONMENT = "dev"


def main() -> int:
    """Run the command; returns its exit code."""
    command = sys.argv[1:]
    only_joins = command[0] == "--join"
    if only_joins:
        command.pop(0)
    project = find_project()
    running = find_running(project)
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("ATHENA_REPORTS_ENV"):
        environment = dict(os.environ)
        if running is not None and _uses_services_of(running, environment):
            environment |= running.variables()
        return run(command, environment)
    if running is not None:
        print(
            f"Beside `make up` at {running.airflow}."
            " Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for other services.",
            file=sys.stderr,
        )
        return run(command, os.environ | running.environment | running.variables())
    if only_joins:
        return run(command, os.environ)
    with (
        tempfile.TemporaryDirectory() as folder,
        local_services(Path(folder) / "local-aws.log") as services,
    ):
        print(
            "Beside the local services. Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for others.",
            file=sys.stderr,
        )
        services.prepare(_ENVIRONMENT)
        lake = Lake.of_services(services, _ENVIRONMENT)
        restore(project.lake, lake, lambda _: None)
        return run(command, os.environ | services.environment)


def _uses_services_of(running: Running, environment: Mapping[str, str]) -> bool:
    """Return whether a shell has the services of `make up`, and no Airflow of its own."""
    if environment.get("AIRFLOW_URL") or environment.get("AIRFLOW_TOKEN"):
        return False
    endpoint = running.environment["AWS_ENDPOINT_URL"]
    return environment.get("AWS_ENDPOINT_URL") == endpoint


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command until it ends by itself, and return its exit code.

    Ctrl-C reaches the command too, and it may take a while to stop the query that it has paid.
    """
    # A function, and not SIG_IGN, which the command would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(command, env=environment) as process:
            return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
