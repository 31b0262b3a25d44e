"""Who may import whom: the rooms, by the rules in pyproject.toml, and what a deployment ships."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SURROUNDINGS = {"athena_reports_cli", "local_athena", "demo", "bench", "tests"}
FILES = [*sorted((ROOT / "dags").rglob("*.py")), *sorted((ROOT / "plugins").glob("*.py"))]


def test_the_rooms_keep_their_layers() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    path = ":".join(
        str(ROOT / folder) for folder in ("plugins", "cli", "local_athena/src", "dev", ".")
    )
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": path}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_deployment_ships_imports_nothing_of_its_surroundings(file: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    assert {name.partition(".")[0] for name in imported}.isdisjoint(SURROUNDINGS)
