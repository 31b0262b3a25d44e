"""Writes a new project of reports: what the command `init` does.

The project has the wheels that are on no package index. Its texts are the templates in
`templates/project/`, and its first report is one that `new` writes.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import date, timedelta
from importlib.metadata import Distribution, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from athena_reports_cli.authoring.new import NewReport, report_templates, write_report
from athena_reports_cli.authoring.project_folder import (
    InitError,
    folder_beside,
    require_new_folder,
)
from athena_reports_cli.authoring.rules.check import check
from athena_reports_cli.local.project import find_project

_COMMAND = "athena-reports-cli"
_REQUIRED_PACKAGES = ("athena-reports", "local-athena")
"""The other packages of a release, which the command requires."""
_ENVIRONMENTS = ("dev", "stg", "prd")
_TEMPLATES = {
    "README.md": "README.md",
    "AGENTS.md": "AGENTS.md",
    "pyproject.toml": "pyproject.toml",
    "requirements.txt": "requirements.txt",
    "requirements-dev.txt": "requirements-dev.txt",
    "docker-compose.yaml": "docker-compose.yaml",
    ".gitignore": "gitignore",
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
    command = distribution(_COMMAND)
    wheels = _wheels(command)
    texts = _texts(folder.name, report, command.version, has_wheels=wheels != [])
    # It is renamed when it is complete, so that a project is there as a whole or not at all.
    with folder_beside(folder) as beside:
        root = Path(beside) / folder.name
        for path, text in texts.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        project = find_project(root)
        write_report(report, project)
        for wheel in wheels:
            (root / "wheels").mkdir(exist_ok=True)
            shutil.copy(wheel, root / "wheels")
        sys.dont_write_bytecode = True  # else the check leaves compiled DAG files in the project
        is_right = check(project, renew=True)
        if not is_right:
            raise InitError("The new project breaks a rule, as said above, so nothing is written.")
        try:
            root.rename(folder)
        except OSError as error:
            raise InitError(f"{folder}: {error}. Nothing is written.") from error


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


# --- the wheels that are on no package index


def _wheels(command: Distribution) -> list[Path]:
    """Return the wheels that a project keeps: none if they came from a package index."""
    wheel = _installed_from(command)
    if wheel is None:
        return []
    wheels = [wheel]
    for name in _REQUIRED_PACKAGES:
        package = distribution(name)
        wheel_of_package = _installed_from(package)
        if wheel_of_package is not None:
            wheels.append(wheel_of_package)
        else:
            # pip records where a wheel was only if it was named, not if it was found in a folder.
            pattern = f"{name.replace('-', '_')}-{package.version}-*.whl"
            wheels += sorted(wheel.parent.glob(pattern))[:1]
    return wheels


def _installed_from(package: Distribution) -> Path | None:
    """Return the wheel that a package was installed from; None if that was no file or URL.

    pip and uv write it into direct_url.json, as the specification of recorded direct URLs says
    (https://packaging.python.org/en/latest/specifications/direct-url/).
    """
    text = package.read_text("direct_url.json")
    if text is None:
        return None
    url = str(json.loads(text)["url"])
    parts = urlsplit(url)
    wheel = Path(unquote(parts.path))
    if parts.scheme != "file" or wheel.suffix != ".whl":
        raise InitError(
            f"{package.name} was installed from {url}, which is not a wheel in a folder. Install it"
            " from a wheel, such as one that `make build` builds, or from a package index. Nothing"
            " is written."
        )
    if not wheel.is_file():
        raise InitError(
            f"{package.name} was installed from {wheel}, which is not there any more. Put the wheel"
            " back, or install it from another place. Nothing is written."
        )
    return wheel
