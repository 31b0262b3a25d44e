"""Import each plugin as if packages were missing.

Usage: `python import_plugins.py <plugins folder> <package>...`.

MWAA starts components whose plugins are loaded before requirements.txt is installed, or without it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import distribution
from pathlib import Path
from typing import Any


class _Missing(MetaPathFinder):
    """Finds none of the modules of some packages."""

    def __init__(self, packages: list[str]) -> None:
        self._files = set()
        for name in packages:
            for file in distribution(name).files or ():
                self._files.add(str(file.locate()))

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin in self._files:
            raise ModuleNotFoundError(f"No module named {fullname!r} without requirements.txt")
        return None


if __name__ == "__main__":
    folder, *packages = sys.argv[1:]
    sys.meta_path.insert(0, _Missing(packages))
    sys.path.append(folder)
    for plugin in sorted(Path(folder).glob("*.py")):
        import_module(plugin.stem)
