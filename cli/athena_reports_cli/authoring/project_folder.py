"""The folder of a new project: what its name may be, and where it can be.

The command `init` looks at it before its questions, so it imports nothing that imports Airflow.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from athena_reports.errors import AthenaReportsError

# Docker Compose takes no other name.
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class InitError(AthenaReportsError):
    """The project cannot be written."""


def require_new_folder(folder: Path) -> None:
    """Raise InitError unless a project can be written into an absolute path of its name."""
    if not _NAME.fullmatch(folder.name):
        raise InitError(
            f'"{folder.name}" is not a valid project name: use lower-case letters, digits, - and _,'
            " and begin with a letter."
        )
    if folder == Path.cwd():
        raise InitError(
            f"{folder} is the working directory, which cannot be replaced. Run"
            f" `athena-reports init {folder.name}` in its parent folder."
        )
    try:
        if folder.exists() and any(folder.iterdir()):
            raise InitError(
                f"{folder} is not empty. Choose another folder, such as {folder.name}-2."
            )
        folder_beside(folder).cleanup()
    except OSError as error:
        raise InitError(
            f"Cannot write {folder}: {error.strerror}. Choose another folder."
        ) from error


def folder_beside(folder: Path) -> TemporaryDirectory[str]:
    """Return a temporary folder beside a project's folder; OSError if it cannot be written."""
    return TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
