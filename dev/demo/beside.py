"""`python -m demo.beside COMMAND ...`: run a command beside the local services and lakes.

Where the shell names an AWS endpoint or an environment, the command gets that instead,
and nothing is started.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from airflow_local.services import local_services
from demo.seed import fill


def main() -> int:
    """Run the command; returns its exit code."""
    command = sys.argv[1:]
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("ATHENA_REPORTS_ENV"):
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


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command until it ends by itself, and return its exit code.

    Ctrl-C reaches the command too, and it may take a while to stop the query that it has paid.
    """
    with subprocess.Popen(command, env=environment) as process:
        while True:
            with suppress(KeyboardInterrupt):
                return process.wait()


if __name__ == "__main__":
    sys.exit(main())
