"""Where the parts of a project of reports are.

A project is a folder with a `pyproject.toml` that has a table `[tool.athena-reports]`. The table
may be empty. A key of it names another folder than the usual one:

    [tool.athena-reports]
    tests = "reports_tests"
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from athena_reports.errors import AthenaReportsError

KEPT_FOLDER = ".lake"
"""The folder of a project in which loaded tables are kept. No repository has it."""
_FILE = "pyproject.toml"
_TABLE = "athena-reports"


class ProjectError(AthenaReportsError):
    """There is no project, or its `pyproject.toml` cannot be read."""


class _Folders(BaseModel, frozen=True, extra="forbid"):
    """The keys of `[tool.athena-reports]`: folders, relative to that of the project."""

    dags: str = "dags"
    plugins: str = "plugins"
    include: str = "include"
    tests: str = "tests/reports"
    environments: str = "deploy/environments"


@dataclass(frozen=True)
class Project:
    """A project of reports. All paths are absolute; not all of them have to exist.

    Attributes:
        root: Its folder, in which its `pyproject.toml` is.
        dags: The folder of the DAG files.
        plugins: The folder of the team's own plugins.
        include: The folder that is shipped beside the DAG files. Its `sql/` has the SQL files.
        tests: The folder with a folder for each report: golden SQL and cases.
        environments: The folder of the environments that are deployed to Amazon MWAA.
    """

    root: Path
    dags: Path
    plugins: Path
    include: Path
    tests: Path
    environments: Path

    @classmethod
    def usual(cls, root: Path) -> Self:
        """Return the project of a folder whose `pyproject.toml` names no other folders."""
        return cls.with_folders(root, _Folders())

    @classmethod
    def with_folders(cls, root: Path, folders: _Folders) -> Self:
        """Return the project of a folder."""
        return cls(
            root=root,
            dags=root / folders.dags,
            plugins=root / folders.plugins,
            include=root / folders.include,
            tests=root / folders.tests,
            environments=root / folders.environments,
        )

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

    Args:
        start: Where to look first, and then in each folder above it; by default the working
            directory.

    Raises:
        ProjectError: There is none, or its `pyproject.toml` is wrong.
    """
    folder = (start or Path.cwd()).resolve()
    for root in (folder, *folder.parents):
        table = _read_table(root / _FILE)
        if table is not None:
            return _project(root, table)
    raise ProjectError(
        f"{folder} is in no project of reports. Go into the folder of one; its {_FILE} has a table"
        f" [tool.{_TABLE}]."
    )


def _read_table(file: Path) -> Any:
    """Return the table of a `pyproject.toml`; None if there is no such file or table."""
    if not file.is_file():
        return None
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProjectError(f"{file} is not valid TOML: {error}. Correct it.") from error
    return settings.get("tool", {}).get(_TABLE)


def _project(root: Path, table: Any) -> Project:
    try:
        folders = _Folders.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(_Folders.model_fields)
        raise ProjectError(
            f"{root / _FILE}, [tool.{_TABLE}]: {key}: {first['msg']}. The keys are {known}, and"
            " each is the text of a path."
        ) from error
    _require_inside(root, folders)
    return Project.with_folders(root, folders)


def _require_inside(root: Path, folders: _Folders) -> None:
    """Raise ProjectError if a folder is not within that of the project."""
    usual = _Folders()
    for key in _Folders.model_fields:
        folder = getattr(folders, key)
        # By its text: a folder of the project may be a symbolic link.
        if Path(os.path.normpath(root / folder)).is_relative_to(root):
            continue
        raise ProjectError(
            f"{root / _FILE}, [tool.{_TABLE}]: {key} = {folder!r} leads out of the project's folder"
            f' {root}. Write a folder within it, such as {key} = "{getattr(usual, key)}".'
        )
