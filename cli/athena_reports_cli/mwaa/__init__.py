"""The bundle for Amazon MWAA, its check in a twin of MWAA's image, and its deployment."""

from pathlib import PurePosixPath

from athena_reports.errors import AthenaReportsError

HOME = PurePosixPath("/usr/local/airflow")
"""AIRFLOW_HOME on MWAA; `dags/`, `plugins/`, `requirements/` and `startup/` lie in it."""


class DeployError(AthenaReportsError):
    """Something is wrong with what was asked for; the message says what, and what to do."""
