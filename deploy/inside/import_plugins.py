"""`python import_plugins.py <plugins folder> <package>...`: import each plugin as if packages were missing.

MWAA starts components whose plugins are loaded before requirements.txt is installed, or without it. The first
plugin that needs a package of it ends this with exit code 1 and says which.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType


class _Missing(MetaPathFinder):
    """Finds none of the modules that are among some files."""

    def __init__(self, files: frozenset[str]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin in self._files:
            raise ModuleNotFoundError(f"No module named {fullname!r} without requirements.txt", name=fullname)
        return None


def main(folder: Path, packages: Sequence[str]) -> int:
    """Import the plugins of a folder; returns the exit code."""
    files = {str(file.locate()) for name in packages for file in distribution(name).files or ()}
    sys.meta_path.insert(0, _Missing(frozenset(files)))
    sys.path.append(str(folder))
    for path in sorted(folder.glob("*.py")):
        try:
            import_module(path.stem)
        except Exception as error:
            print("".join(traceback.format_tb(error.__traceback__)))
            print(f"plugins/{path.name}: {type(error).__name__}: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
