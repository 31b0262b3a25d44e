"""Whether a report of a name can be written. The command `new` asks it before its questions.

So it imports nothing that imports Airflow.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from athena_reports.errors import AthenaReportsError
from athena_reports.reports.report import NAME_PATTERN
from athena_reports_cli.local.project import Project


class NewReportError(AthenaReportsError):
    """The report cannot be written."""


def require_new_name(name: str, project: Project) -> None:
    """Raise NewReportError if a report cannot have a name, or a project has a report of it."""
    require_name(name)
    require_absent([dag_file(name, project), sql_file(name, project)], project)


def require_name(name: str) -> None:
    """Raise NewReportError if a report cannot have a name."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise NewReportError(
            f"{name!r} is not a name: use up to 64 lower-case letters, digits and '_'."
        )


def require_absent(files: Iterable[Path], project: Project) -> None:
    """Raise NewReportError if one of the files of a new report is in the project already."""
    existing = [str(path.relative_to(project.root)) for path in files if path.exists()]
    if existing:
        verb = "exist"
        if len(existing) == 1:
            verb = "exists"
        advice = "Choose another name, or delete what is there."
        raise NewReportError(
            f"{', '.join(existing)} {verb} already, so nothing is written. {advice}"
        )


def dag_file(name: str, project: Project) -> Path:
    """Return the DAG file of a new report."""
    return project.dags / f"{name}.py"


def sql_file(name: str, project: Project) -> Path:
    """Return the SQL file of a new report."""
    return project.sql / f"{name}.sql"
