"""What a new report's names may be. The command line asks it at each question of `init` and `new`.

So it imports nothing that imports Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from athena_reports.errors import AthenaReportsError

if TYPE_CHECKING:
    from athena_reports_cli.local.project import Project


class NewReportError(AthenaReportsError):
    """The report cannot be written."""


def require_new_name(name: str, project: Project) -> None:
    """Raise NewReportError if a report cannot have a name, or a project has a report of it."""
    require_name(name)
    require_absent([dag_file(name, project), sql_file(name, project)], project)


def require_name(name: str) -> None:
    """Raise NewReportError if a report cannot have a name."""
    from athena_reports.reports.report import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name):
        raise NewReportError(
            f'"{name}" is not a valid report name: use up to 64 lower-case letters, digits and _,'
            " and begin with a letter."
        )


def require_table_name(name: str) -> None:
    """Raise NewReportError if a template could not name a table `inputs.<name>`."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise NewReportError(
            f'"{name}" is not a valid table name: use lower-case letters, digits and _, and begin'
            " with a letter."
        )


def require_column_name(name: str) -> None:
    """Raise NewReportError if a column of Glue cannot have a name."""
    if not re.fullmatch("[a-z_][a-z0-9_]*", name):
        raise NewReportError(
            f'"{name}" is not a valid column name: use lower-case letters, digits and _.'
        )


def require_partition_key(name: str) -> None:
    """Raise NewReportError if the filter of the partitions could not name a column."""
    from athena_reports.sql.names import is_reserved

    require_column_name(name)
    if is_reserved(name):
        raise NewReportError(f'The partition key "{name}" is a reserved word in SQL.')


def require_date(text: str) -> None:
    """Raise NewReportError if a text is no date."""
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise NewReportError(f'"{text}" is not a date. Use a date such as 2025-06-01.') from error


def require_owner(owner: str) -> None:
    """Raise NewReportError if a text is not one line."""
    if not owner.strip() or owner.splitlines() != [owner]:
        raise NewReportError("The owner must be one line of text.")


def require_absent(files: Iterable[Path], project: Project) -> None:
    """Raise NewReportError if one of the files of a new report is in the project already."""
    existing = [str(path.relative_to(project.root)) for path in files if path.exists()]
    if existing:
        raise NewReportError(
            f"Already in the project: {', '.join(existing)}. Choose another name, or delete them."
            " Nothing was written."
        )


def dag_file(name: str, project: Project) -> Path:
    """Return the DAG file of a new report."""
    return project.dags / f"{name}.py"


def sql_file(name: str, project: Project) -> Path:
    """Return the SQL file of a new report."""
    return project.sql / f"{name}.sql"
