"""Whoever deletes the sample reports keeps a green repository, and can add the README's report."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.pages import README
from tests.support.code_blocks import blocks_of, commands_of, files_of
from tests.support.repository_copy import SHELL, copy_repository, make
from tests.support.wheel_files import carried_small_wheel

pytestmark = pytest.mark.full
MAINTENANCE = "athena_reports_maintenance.py"


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of a copy of the repository."""
    path = os.pathsep.join(str(root / folder) for folder in ("plugins", "cli", "local_athena/src"))
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=SHELL | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with the report of README.md in place of the samples."""
    root = copy_repository(tmp_path_factory.mktemp("without") / "reports")
    for file in [*root.glob("dags/*.py"), *root.glob("include/sql/*.sql")]:
        if file.name != MAINTENANCE:
            file.unlink()
    shutil.rmtree(root / "tests" / "reports")
    for path, block in files_of(README):
        (root / path).write_text(block.text)
    return root


def test_the_report_of_the_readme_passes_the_commands_of_the_readme(repository: Path) -> None:
    kept = make(repository, ".lake/.demo")
    assert kept.returncode == 0, kept.stderr
    said = ""
    commands = [
        shlex.split(command, comments=True)
        for block in blocks_of(README)
        for command in commands_of(block)
        if command.startswith(("athena-reports check", "athena-reports preview"))
    ]
    assert len(commands) == 2
    with carried_small_wheel(repository):
        for _, *arguments in [*commands, ["athena-reports", "bundle", "--env", "prd"]]:
            done = run(repository, "athena_reports_cli", *arguments)
            assert done.returncode == 0, done.stdout + done.stderr
            said += done.stdout

    assert "No findings in 2 DAG files, 2 report DAGs" in said
    assert "10 of 1,000 rows" in said
    golden = (repository / "tests" / "reports" / "best_users" / "golden").iterdir()
    assert sorted(file.name.partition("_")[0] for file in golden) == ["monthly", "weekly"]
    shipped = {file.name for file in (repository / "dist" / "mwaa" / "dags").rglob("best_users.*")}
    assert shipped == {"best_users.py", "best_users.sql"}


@pytest.mark.parametrize(
    "selection",
    [
        ["-m", "not ci and not full"],
        ["tests/services", "tests/compatibility", "-m", "not full"],
    ],
    ids=["make test", "services"],
)
def test_the_tests_pass(repository: Path, selection: list[str]) -> None:
    done = run(repository, "pytest", "-q", "-n", "2", "--dist", "loadfile", *selection)
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr
