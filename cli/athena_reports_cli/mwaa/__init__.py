"""The bundle for Amazon MWAA, and its check in a twin of MWAA's image."""

from pathlib import PurePosixPath

from athena_reports.errors import AthenaReportsError

HOME = PurePosixPath("/usr/local/airflow")
"""AIRFLOW_HOME on MWAA; `dags/`, `plugins/`, `requirements/` and `startup/` lie in it."""


class BundleError(AthenaReportsError):
    """The bundle cannot be built, or its check fails."""
