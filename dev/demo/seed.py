"""`python -m demo.seed`: fill the demo's lakes in the local services that `AWS_ENDPOINT_URL` names."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from airflow_local.services import Services
from demo.lake import LoadResult, seed_flights, seed_plays


def main() -> int:
    """Fill the lakes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.seed", description=__doc__)
    parser.add_argument("--env", default="dev", help="environment whose lakes to fill (default: dev)")
    environment = parser.parse_args().env
    endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint_url:
        print("AWS_ENDPOINT_URL is not set: start `make local-aws` and set it to the address it prints.")
        return 2
    fill(Services(endpoint_url), environment, print)
    return 0


def fill(services: Services, environment: str, progress: Callable[[str], None]) -> None:
    """Create the buckets and the workgroup of an environment, and fill both lakes.

    Args:
        services: Where.
        environment: Its short name, such as `dev`.
        progress: Told what was done.
    """
    services.prepare(environment)
    plays = seed_plays(environment, s3=services.s3, glue=services.glue)
    progress(f"lake of plays: {_loaded(plays)}")
    flights = seed_flights(environment, s3=services.s3, glue=services.glue)
    progress(f"lake of flights: {_loaded(flights)}")


def _loaded(result: LoadResult) -> str:
    return f"{result.rows:,} rows, {result.partitions} partitions, {result.bytes / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
