"""`python -m demo.seed`: fill the lake in the services that `AWS_ENDPOINT_URL` names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from athena_reports_cli.local.lake import Lake, restore
from athena_reports_cli.local.project import KEPT_FOLDER
from athena_reports_cli.local.services import ENVIRONMENT, Services
from demo.lake import DEMO_PLAYS, TABLES, seed_flights, seed_plays
from demo.plays import PlaysSpec

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Fill the lakes; return the exit code."""
    if not os.environ.get("AWS_ENDPOINT_URL"):
        print(
            "AWS_ENDPOINT_URL is not set:"
            " start `.venv/bin/local-athena serve` and set it to the address it prints."
        )
        return 2
    fill(Services(os.environ["AWS_ENDPOINT_URL"]), ENVIRONMENT, print)
    return 0


def fill(
    services: Services,
    environment: str,
    progress: Callable[[str], None],
    plays: PlaysSpec = DEMO_PLAYS,
) -> None:
    """Prepare an environment, such as `dev`; fill its lake with plays, flights and kept tables."""
    services.prepare(environment)
    progress(f"lake of plays: {seed_plays(services, environment, plays)}")
    progress(f"lake of flights: {seed_flights(services, environment)}")
    # The demo's own are those that it has written just now, which may go on until today.
    lake = Lake.of_services(services, environment)
    restore(ROOT / KEPT_FOLDER, lake, progress, leave_out=TABLES)


if __name__ == "__main__":
    sys.exit(main())
