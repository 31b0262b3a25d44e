"""Who may import whom: the rooms of the library, by the rules in pyproject.toml, and the tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SURROUNDINGS = {"athena_reports_cli", "local_athena", "demo", "bench", "tests"}
SUPPORT = ROOT / "tests" / "support"
# A team that has removed the samples leaves them behind.
OF_THE_SAMPLES = {SUPPORT / "dates.py", SUPPORT / "demo_jobs.py"}
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


def imports_of_tests(file: Path) -> set[str]:
    """The modules of the tests that a file imports."""
    imported = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
            imported |= {f"{node.module}.{name.name}" for name in node.names}
    return {name for name in imported if path_of(name).is_file() and name.startswith("tests.")}


def path_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def test_tests_share_only_what_is_in_support() -> None:
    """Test modules and conftests are imported by nobody,
    and a helper of one folder stays in that folder.
    """
    importers: dict[Path, set[Path]] = {file: set() for file in SUPPORT.glob("*.py")}
    for file in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "dev").rglob("*.py")]:
        for name in imports_of_tests(file):
            imported = path_of(name)
            assert imported.name != "conftest.py", f"{file} imports {name}"
            assert not imported.name.startswith("test_"), f"{file} imports {name}"
            assert imported.parent in {file.parent, SUPPORT}, f"{file} imports {name}"
            if imported.parent == SUPPORT:
                importers[imported].add(file.parent)
    for module, folders in importers.items():
        if module in OF_THE_SAMPLES:
            continue
        assert folders, f"nobody imports {module}"
        assert len(folders) > 1, f"only {folders} imports {module}"
