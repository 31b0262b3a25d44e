"""Writes a new project of reports: what the command `init` does.

The project has the wheels that are on no package index. Its texts are the templates in
`templates/project/`, and its first report is one that `new` writes.
"""

from __future__ import annotations

import shutil
import sys
from datetime import date, timedelta
from importlib.metadata import distribution
from pathlib import Path

from rich.console import Console

from athena_reports_cli.authoring.new import NewReport, report_templates, write_report
from athena_reports_cli.authoring.project_folder import (
    InitError,
    folder_beside,
    require_new_folder,
)
from athena_reports_cli.authoring.project_wheels import COMMAND, kept_wheels
from athena_reports_cli.authoring.rules.check import check, show
from athena_reports_cli.authoring.source_tables import TableSchema, write_tables
from athena_reports_cli.local.project import find_project

_ENVIRONMENTS = ("dev", "stg", "prd")
_TEMPLATES = {
    "README.md": "README.md",
    "AGENTS.md": "AGENTS.md",
    "pyproject.toml": "pyproject.toml",
    "requirements.txt": "requirements.txt",
    "requirements-dev.txt": "requirements-dev.txt",
    "docker-compose.yaml": "docker-compose.yaml",
    ".gitignore": "gitignore",
    ".pre-commit-config.yaml": "pre-commit-config.yaml",
    ".sqlfluff": "sqlfluff",
    ".github/workflows/ci.yaml": "ci.yaml",
    ".github/workflows/deploy.yaml": "deploy.yaml",
    "deploy/deploy.sh": "deploy.sh",
    "dags/.airflowignore": "airflowignore",
    "dags/athena_reports_maintenance.py": "maintenance.py",
    "plugins/README.md": "plugins.md",
}


def write_project(folder: Path, report: NewReport) -> None:
    """Write a project with its first report, and print what its check finds.

    The process can do nothing else with Airflow afterwards, as after `check`.

    Args:
        folder: The project's folder, which has its name. It is empty, or is not there yet.
        report: The first report.

    Raises:
        InitError: The folder or its name cannot be that of a project, or an installed package
            cannot be named in a requirements.txt. Nothing is written.
        NewReportError: The report could not run as it is written. Nothing is written.
    """
    folder = folder.absolute()
    require_new_folder(folder)
    wheels = kept_wheels()
    version = distribution(COMMAND).version
    texts = _texts(folder.name, report, version, has_wheels=wheels != [])
    # It is renamed when it is complete, so that a project is there as a whole or not at all.
    with folder_beside(folder) as beside:
        root = Path(beside) / folder.name
        for path, text in texts.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        project = find_project(root)
        write_report(report, project)
        write_tables({report.table: _table(report)}, root)
        for wheel in wheels:
            (root / "wheels").mkdir(exist_ok=True)
            shutil.copy(wheel, root / "wheels")
        sys.dont_write_bytecode = True  # else the check leaves compiled DAG files in the project
        checked = check(project, renew=True)
        show(checked, Console())
        if checked.findings:
            raise InitError("The new project breaks a rule, see above. Nothing was written.")
        try:
            root.rename(folder)
        except OSError as error:
            raise InitError(f"{folder}: {error}. Nothing was written.") from error


def _texts(name: str, report: NewReport, version: str, *, has_wheels: bool) -> dict[str, str]:
    """Return the texts of a project's files by their paths in it, without those of the report."""
    # Dates that have data, for the example of a backfill.
    last_date_with_data = report.until or date.max
    length = min(last_date_with_data - report.since, timedelta(days=30))
    values: dict[str, object] = {
        "name": name,
        "report": report,
        "last_date": report.since + length,
        "version": version,
        "airflow": distribution("apache-airflow").version,
        "wheels": has_wheels,
    }
    templates = report_templates()
    texts = {}
    for path, name_of_template in _TEMPLATES.items():
        template = templates.get_template(f"project/{name_of_template}.jinja")
        texts[path] = template.render(values)
    for environment in _ENVIRONMENTS:
        for suffix in ("env", "yaml"):
            template = templates.get_template(f"project/environment.{suffix}.jinja")
            path = f"deploy/environments/{environment}.{suffix}"
            texts[path] = template.render(environment=environment, airflow=values["airflow"])
    return texts


def _table(report: NewReport) -> TableSchema:
    """Return the table of events as the answers describe it."""
    keys = {report.partition: "string"}
    columns = {report.ranked: "string", report.time: "timestamp"}
    return TableSchema(environment=_ENVIRONMENTS[0], columns=columns, partition_keys=keys)
