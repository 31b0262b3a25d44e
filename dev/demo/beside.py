"""`python -m demo.beside COMMAND ...`: run a command beside local services with the lakes.

Where the shell names an AWS endpoint or an environment, the command gets that. Else it gets the
services of the `make up` that runs in this checkout. Only if none runs, services are started for
it, unless the first word is `--join`: for a command that needs an Airflow.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_local.services import local_services
from demo.running import Running, find_running
from demo.seed import fill


def main() -> int:
    """Run the command; returns its exit code."""
    command = sys.argv[1:]
    only_joins = command[0] == "--join"
    if only_joins:
        command.pop(0)
    running = find_running()
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
        fill(services, "dev", lambda _: None)
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
