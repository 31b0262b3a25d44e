"""Lists the Python files that Airflow reads from a DAGs folder.

Airflow has no public function for it, and renames its own between minor versions.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pathspec import PathSpec

_Ignore = tuple[Path, "PathSpec[Any]"]  # pathspec is generic from 1.1 on
"""The patterns of an `.airflowignore`, which are relative to its folder."""


def dag_files(folder: Path) -> list[Path]:
    """Return the Python files below a folder, sorted; without those that `.airflowignore` names.

    Like Airflow, it follows links and reads the `.airflowignore` of each folder, in the default
    syntax of `[core] dag_ignore_file_syntax`, `glob`.
    """
    return sorted(_python_files(folder, [], {folder.resolve()}))


def _python_files(folder: Path, ignores: Sequence[_Ignore], seen: set[Path]) -> Iterator[Path]:
    # A link can lead back to one of the folders that were `seen`.
    ignore_file = folder / ".airflowignore"
    if ignore_file.is_file():
        without_comments = re.sub(r"\s*#.*", "", ignore_file.read_text(encoding="utf-8"))
        patterns = PathSpec.from_lines("gitignore", without_comments.splitlines())
        ignores = [*ignores, (folder, patterns)]
    for path in folder.glob("*"):
        if _is_ignored(path, ignores):
            continue
        if path.is_file() and path.suffix == ".py":
            yield path
        if path.is_dir() and path.resolve() not in seen:
            seen.add(path.resolve())
            yield from _python_files(path, ignores, seen)


def _is_ignored(path: Path, ignores: Sequence[_Ignore]) -> bool:
    end = "/" if path.is_dir() else ""
    for folder, patterns in reversed(ignores):  # the innermost file with a pattern for it decides
        relative_path = path.relative_to(folder).as_posix()
        decision = patterns.check_file(f"{relative_path}{end}").include
        if decision is not None:
            return bool(decision)
    return False
