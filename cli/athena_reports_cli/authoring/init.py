"""Writes a new project of reports: what the command `init` does.

The project has the wheels that are on no package index. Its texts are the templates in
`templates/project/`, and its first report is one that `new` writes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from importlib.metadata import distribution
from pathlib import Path

from athena_reports_cli.authoring.new import NewReport, write_report
from athena_reports_cli.authoring.project_folder import InitError, folder_beside
from athena_reports_cli.authoring.project_wheels import COMMAND, kept_wheels
from athena_reports_cli.authoring.rules.dag_rules import Repository
from athena_reports_cli.authoring.rules.sql_rules import renew
from athena_reports_cli.authoring.source_tables import TableSchema, write_tables
from athena_reports_cli.authoring.text_templates import text_templates
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
    """Write a project with its first report.

    The folder, which is empty or does not exist yet, gives the project its name. InitError or
    NewReportError if the project or the report cannot be written. Then nothing is written.
    """
    folder = folder.absolute()
    wheels = kept_wheels()
    texts = _texts(folder.name, report, has_wheels=wheels != [])
    try:
        _write(folder, texts, report, wheels)
    except OSError as error:
        raise InitError(f"{folder}: {error}. Nothing was written.") from error


def _write(
    folder: Path, texts: Mapping[str, str], report: NewReport, wheels: Sequence[Path]
) -> None:
    """Write a project beside its place, and rename it, so that it is there as a whole or not."""
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
        sys.dont_write_bytecode = True  # else the import leaves compiled DAG files in the project
        renew(Repository(project))
        root.rename(folder)


def _texts(name: str, report: NewReport, *, has_wheels: bool) -> dict[str, str]:
    """Return the texts of a project's files by their paths in it, without those of the report."""
    values: dict[str, object] = {
        "name": name,
        "report": report,
        # That of the example of a backfill, which is about dates that have data.
        "last_date": min(report.until or date.max, report.since + timedelta(days=30)),
        "version": distribution(COMMAND).version,
        "airflow": distribution("apache-airflow").version,
        "wheels": has_wheels,
    }
    templates = text_templates()
    texts = {}
    for path, name_of_template in _TEMPLATES.items():
        texts[path] = templates.get_template(f"project/{name_of_template}.jinja").render(values)
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
