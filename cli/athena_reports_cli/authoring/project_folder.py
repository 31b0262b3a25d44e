"""The folder of a new project: what its name may be, and where it can be.

The command `init` asks it before its questions, so it imports nothing that imports Airflow.
"""

import keyword
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from athena_reports.errors import AthenaReportsError

# Docker Compose takes no other name.
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


class InitError(AthenaReportsError):
    """The project cannot be written."""


def require_new_folder(folder: Path) -> None:
    """Raise InitError unless a project can be written there, and overwrites nothing.

    Args:
        folder: An absolute path. Its last part is the name of the project.
    """
    _require_name(folder.name)
    try:
        _require_place(folder)
        folder_beside(folder).cleanup()
    except OSError as error:
        raise InitError(
            f"{folder} cannot be written: {error.strerror}. Choose another folder. Nothing is"
            " written."
        ) from error


def folder_beside(folder: Path) -> TemporaryDirectory[str]:
    """Return a temporary folder beside a project's folder; OSError if it cannot be written."""
    return TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InitError(
            f"{name!r} is not the name of a project: use lower-case letters, digits, '-' and '_',"
            " and begin with a letter. Nothing is written."
        )
    if keyword.iskeyword(name):
        raise InitError(
            f"{name!r} is a keyword of Python. Choose another name. Nothing is written."
        )


def _require_place(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InitError(f"{folder} is not a folder. Choose another name. Nothing is written.")
    if folder.is_dir() and any(folder.iterdir()):
        raise InitError(
            f"{folder} is not empty. Choose another folder, such as {folder.name}-2, and move what"
            " you want. Nothing is written."
        )
    if folder == Path.cwd():
        raise InitError(
            f"{folder} is the working directory, which is replaced. Go to the folder above it, and"
            f" run `athena-reports init {folder.name}`. Nothing is written."
        )
    if not folder.parent.is_dir():
        raise InitError(f"There is no folder {folder.parent}. Create it. Nothing is written.")
