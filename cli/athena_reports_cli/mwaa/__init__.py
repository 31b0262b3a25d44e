"""The bundle for Amazon MWAA, and its check in a twin of MWAA's image."""

from pathlib import Path, PurePosixPath

from athena_reports.errors import AthenaReportsError

HOME = PurePosixPath("/usr/local/airflow")
"""AIRFLOW_HOME on MWAA; `dags/`, `plugins/`, `requirements/` and `startup/` lie in it."""
FOLDER = Path(__file__).parent
"""The folder of the scripts, lists and templates beside this module."""


class BundleError(AthenaReportsError):
    """The bundle cannot be built, or its check fails."""
