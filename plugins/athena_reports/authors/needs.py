"""What the commands need beside the library: an Airflow of its time, and packages of the extras."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

from athena_reports.errors import AthenaReportsError

OLDEST_AIRFLOW = "3.2.1"
"""The oldest Airflow that the library runs in, which Amazon MWAA still offers."""

# Modules of the extra `authors`.
_OF_AUTHORS = ("local_athena", "sqlfluff", "sqlglot", "time_machine", "trino_sql_validator")


class NeedsError(AthenaReportsError):
    """Something is not installed, or is too old."""


def require_airflow() -> None:
    """Raise NeedsError unless an Airflow is installed that the library runs in."""
    try:
        installed = version("apache-airflow")
    except PackageNotFoundError as error:
        raise NeedsError(
            f"Airflow is not installed. Install it: python -m pip install"
            f" 'apache-airflow>={OLDEST_AIRFLOW}'"
        ) from error
    if Version(installed) < Version(OLDEST_AIRFLOW):
        raise NeedsError(
            f"Airflow {installed} is too old: athena-reports needs {OLDEST_AIRFLOW} or later."
            f" Install it: python -m pip install 'apache-airflow>={OLDEST_AIRFLOW}'"
        )


def missing_module(error: ModuleNotFoundError) -> str:
    """Return what to do about a module that a command needs; empty if it is of no extra."""
    module = str(error.name).partition(".")[0]
    if module not in _OF_AUTHORS:
        return ""
    return (
        f"This command needs {module}, which is not installed. Install it:"
        " python -m pip install 'athena-reports[authors]'"
    )
