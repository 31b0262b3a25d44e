"""Lists the Python files that Airflow reads from a DAGs folder.

Airflow has no public function for it, and renames its own between minor versions.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from airflow.configuration import conf
from pathspec import PathSpec

_IGNORE_FILE = ".airflowignore"

_Rule = Callable[[Path, bool], bool | None]
"""Returns whether to ignore a path, which may be a folder; None if no pattern matches."""


def dag_files(folder: Path) -> list[Path]:
    """Return the Python files below a folder, sorted; without those that `.airflowignore` names.

    Like Airflow, it follows links and reads the `.airflowignore` of each folder. The lines are
    patterns in the syntax of `[core] dag_ignore_file_syntax`: `glob`, the default, or `regexp`.
    """
    files: list[Path] = []
    rules_of_folder: dict[Path, Sequence[_Rule]] = {folder.resolve(): ()}
    for root, subfolders, names in os.walk(folder, followlinks=True):
        current = Path(root)
        rules = rules_of_folder[current.resolve()]
        if _IGNORE_FILE in names:
            rules = (*rules, _read_rule(current / _IGNORE_FILE, folder))
        followed = []
        for name in subfolders:
            target = (current / name).resolve()
            is_seen = target in rules_of_folder  # a link can lead back to where it is
            if not is_seen and not _is_ignored(current / name, rules, is_folder=True):
                rules_of_folder[target] = rules
                followed.append(name)
        subfolders[:] = followed  # `os.walk` goes on with these
        for name in names:
            path = current / name
            if path.suffix == ".py" and not _is_ignored(path, rules, is_folder=False):
                files.append(path)
    return sorted(files)


def _is_ignored(path: Path, rules: Sequence[_Rule], *, is_folder: bool) -> bool:
    """Return whether to ignore a path. Of the rules that match it, the innermost one decides."""
    for rule in reversed(rules):
        is_ignored = rule(path, is_folder)
        if is_ignored is not None:
            return is_ignored
    return False


def _read_rule(ignore_file: Path, dags_folder: Path) -> _Rule:
    lines = [
        re.sub(r"\s*#.*", "", line) for line in ignore_file.read_text(encoding="utf-8").splitlines()
    ]
    patterns = [line for line in lines if line]
    if conf.get("core", "dag_ignore_file_syntax", fallback="glob") == "regexp":
        return _regexp_rule(patterns, dags_folder)
    return _glob_rule(patterns, ignore_file.parent)


def _glob_rule(patterns: Sequence[str], folder: Path) -> _Rule:
    """Return the rule of a file like `.gitignore`, whose patterns are relative to its folder."""
    spec = PathSpec.from_lines("gitignore", patterns)

    def is_ignored(path: Path, is_folder: bool) -> bool | None:
        relative = path.relative_to(folder).as_posix()
        if is_folder:
            relative += "/"
        return spec.check_file(relative).include

    return is_ignored


def _regexp_rule(patterns: Sequence[str], dags_folder: Path) -> _Rule:
    """Return the rule of regular expressions, which match paths relative to the DAGs folder."""
    expressions = [re.compile(pattern) for pattern in patterns]

    def is_ignored(path: Path, _: bool) -> bool | None:
        relative = str(path.relative_to(dags_folder))
        if any(expression.search(relative) for expression in expressions):
            return True
        return None

    return is_ignored
