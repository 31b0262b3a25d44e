"""A team copies the repository, deletes the sample reports and adds one as the README says: what it runs is green."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_local.client import AirflowClient
from airflow_local.runtime import free_port

ROOT = Path(__file__).resolve().parents[2]
MAINTENANCE = "athena_reports_maintenance.py"


def adopt(root: Path) -> Path:
    """Copy the tree without what belongs to the samples, with the report of the README's recipe instead."""
    kept = shutil.ignore_patterns(
        ".git", ".venv", ".airflow", "demo-output", "dist", "__pycache__", ".*_cache", ".work"
    )
    shutil.copytree(ROOT, root, ignore=kept)
    for file in [*root.glob("dags/*.py"), *root.glob("include/sql/*.sql")]:
        if file.name != MAINTENANCE:
            file.unlink()
    shutil.rmtree(root / "tests" / "reports")
    (section,) = re.findall(r"## Add a report\n(.*?)\n## ", (root / "README.md").read_text(), re.DOTALL)
    for language, path in (("sql", "include/sql/best_users.sql"), ("python", "dags/best_users.py")):
        block = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
        assert block is not None
        (root / path).write_text(re.sub(r"^   ", "", block[1], flags=re.MULTILINE))
    return root


USING = ("READY=", f"RUN={sys.executable}")
# As in a shell that is set up for nothing.
SHELL = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with this interpreter."""
    return subprocess.run(["make", *arguments, *USING], cwd=root, env=SHELL, capture_output=True, text=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adopt(tmp_path_factory.mktemp("team") / "reports")


def test_the_readmes_report_keeps_the_rules_and_is_shipped(repository: Path) -> None:
    done = make(repository, "golden", "bundle", "ENV=prd")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No finding in 2 DAG files, 2 DAGs of reports" in done.stdout
    golden = (repository / "tests" / "reports" / "best_users" / "golden").iterdir()
    assert sorted(file.name.partition("_")[0] for file in golden) == ["monthly", "weekly"]
    shipped = {file.name for file in (repository / "dist" / "mwaa" / "dags").rglob("best_users.*")}
    assert shipped == {"best_users.py", "best_users.sql"}


@pytest.mark.full
def test_the_demo_runs_it_to_its_end(repository: Path) -> None:
    done = make(repository, "demo")

    assert done.returncode == 0, done.stdout + done.stderr
    for cadence in ("weekly", "monthly"):
        assert list((repository / "demo-output" / "best_users" / cadence).glob("*/manifest.json"))


@pytest.mark.full
def test_airflow_with_the_demos_lakes_has_it(repository: Path) -> None:
    port = free_port()
    command = ["make", "up", f"PORT={port}", *USING]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=repository, env=SHELL, stdout=pipe, text=True, start_new_session=True) as up:
        assert up.stdout is not None
        said = list(itertools.takewhile(lambda line: "Ctrl-C" not in line, up.stdout))
        try:
            login = re.search(r"user (\S+), password (\S+)", "".join(said))
            assert login is not None, "".join(said)
            client = AirflowClient(f"http://127.0.0.1:{port}", *login.groups())
            assert client.rows("/api/v2/importErrors", "import_errors") == []
            assert all(client.runs(f"best_users_{cadence}") for cadence in ("weekly", "monthly"))
        finally:
            os.killpg(up.pid, signal.SIGINT)


def test_a_change_of_its_sql_is_shown_with_the_way_out_and_not_at_length(repository: Path) -> None:
    file = repository / "include" / "sql" / "best_users.sql"
    file.write_text(file.read_text().replace("SUM(score)", "MAX(score)"))

    done = make(repository, "check")

    assert done.returncode == 2
    assert "-    SUM(score) AS score\n    +    MAX(score) AS score\n" in done.stdout
    assert "run `make golden`" in done.stdout
    assert len(done.stdout.splitlines()) < 30
