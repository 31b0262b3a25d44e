"""`python -m athena_reports_cli.local.restore`: brings a project's kept tables into local services.

The services are those of `AWS_ENDPOINT_URL`, and the environment is `dev`. Docker Compose runs it
when its services have started.
"""

from __future__ import annotations

import os
import sys

from athena_reports_cli.local.lake import fill_services
from athena_reports_cli.local.project import find_project
from athena_reports_cli.local.services import ENVIRONMENT, Services


def main() -> None:
    """Create what the environment needs in the services, and its tables."""
    endpoint_url = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint_url:
        sys.exit("AWS_ENDPOINT_URL is not set. Set it to the address of the local services.")
    fill_services(Services(endpoint_url), ENVIRONMENT, find_project().lake, print)


if __name__ == "__main__":
    main()
