"""`python -m demo.beside COMMAND ...`: run a command beside the local services and the demo's lakes.

Where the shell names an AWS endpoint or an environment, the command gets that instead, and nothing is started.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_local.services import local_services
from demo.seed import fill


def main() -> int:
    """Run the command; returns its exit code."""
    command = sys.argv[1:]
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("ATHENA_REPORTS_ENV"):
        return subprocess.run(command).returncode
    with tempfile.TemporaryDirectory() as folder, local_services(Path(folder) / "local-aws.log") as services:
        print("Beside the local services. Set AWS_ENDPOINT_URL or ATHENA_REPORTS_ENV for others.", file=sys.stderr)
        fill(services, "dev", lambda _: None)
        return subprocess.run(command, env=os.environ | services.environment).returncode


if __name__ == "__main__":
    sys.exit(main())
