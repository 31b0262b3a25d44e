"""Where the parts of a project of reports are.

A project is a folder with a `pyproject.toml` that has a table `[tool.athena-reports]`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from athena_reports.errors import AthenaReportsError

KEPT_FOLDER = ".lake"
"""The folder of a project in which loaded tables are kept. No repository has it."""
_FILE = "pyproject.toml"
_TABLE = "athena-reports"


class ProjectError(AthenaReportsError):
    """There is no project, or its `pyproject.toml` cannot be read."""


@dataclass(frozen=True)
class Project:
    """A project of reports.

    Attributes:
        root: Its folder, an absolute path. Not all folders in it have to exist.
    """

    root: Path

    @property
    def dags(self) -> Path:
        """The folder of the DAG files."""
        return self.root / "dags"

    @property
    def plugins(self) -> Path:
        """The folder of the team's own plugins."""
        return self.root / "plugins"

    @property
    def include(self) -> Path:
        """The folder that is shipped beside the DAG files."""
        return self.root / "include"

    @property
    def tests(self) -> Path:
        """The folder with a folder for each report: golden SQL and cases."""
        return self.root / "tests" / "reports"

    @property
    def environments(self) -> Path:
        """The folder of the environments that are deployed to Amazon MWAA."""
        return self.root / "deploy" / "environments"

    @property
    def sql(self) -> Path:
        """The folder of the SQL files."""
        return self.include / "sql"

    def sql_settings(self) -> dict[str, str]:
        """Return the setting of the library that names the folder of the SQL files.

        There is none if the project has no such folder: the SQL may also be inside the folder of
        the DAG files, where the library looks by itself.
        """
        if not self.sql.is_dir():
            return {}
        return {"ATHENA_REPORTS_SQL_FOLDER": str(self.sql)}

    @property
    def lake(self) -> Path:
        """The folder in which loaded tables are kept."""
        return self.root / KEPT_FOLDER

    @property
    def airflow(self) -> Path:
        """The folder of what runs on this machine, with its logs. No repository has it."""
        return self.root / ".airflow"


def find_project(start: Path | None = None) -> Project:
    """Return the project of a folder: that of the nearest `pyproject.toml` with the table.

    The folder is the working directory by default. ProjectError if there is no project.
    """
    folder = (start or Path.cwd()).resolve()
    for root in (folder, *folder.parents):
        if _has_table(root / _FILE):
            return Project(root)
    raise ProjectError(
        f"{folder} is not in a reports project. Change to a folder of a project; its {_FILE} has a"
        f" [tool.{_TABLE}] table."
    )


def _has_table(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProjectError(f"{file} is not valid TOML: {error}. Correct it.") from error
    return _TABLE in settings.get("tool", {})
