"""Two versions of a DAG bundle on one machine: each DAG file runs the SQL of its own version."""

import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.bundles.base import BaseDagBundle
from airflow.providers.git.bundles.git import GitDagBundle

DAG_FILE = """
from athena_reports import Report, build_dag, daily

plays = Report(name="plays", sql="plays.sql", since="2025-01-01", params={"top": 1})
plays_daily = build_dag(plays, daily(), params={"top": 2})
"""


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that keeps bundles in the test's folder, and names no SQL folder."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", "git://")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")


def commit(repository: Path, number: int) -> str:
    """Commit a version of the project, and return its name."""
    sql = repository / "include" / "sql"
    for folder in (repository / "dags", sql):
        folder.mkdir(parents=True, exist_ok=True)
    (repository / "dags" / "plays.py").write_text(DAG_FILE)
    (sql / "plays.sql").write_text(f"{{% include 'part.sql' %}} -- {number}")
    (sql / "part.sql").write_text(f"SELECT {number} AS n, {{{{ params.top }}}} AS top")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", str(number)], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def bundle(repository: Path, version: str | None = None) -> BaseDagBundle:
    bundle = GitDagBundle(
        name="ours", tracking_ref="main", subdir="dags", repo_url=str(repository), version=version
    )
    bundle.initialize()
    return bundle


@pytest.mark.usefixtures("bundles")
def test_each_version_of_a_bundle_reads_its_own_files(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(repository)], check=True)
    first = commit(repository, 1)
    commit(repository, 2)
    of_the_first = bundle(repository, first)
    newest = bundle(repository)
    assert of_the_first.path != newest.path

    for version, number in ((of_the_first, 1), (newest, 2), (of_the_first, 1)):
        names: Any = SimpleNamespace(**runpy.run_path(str(version.path / "plays.py")))
        assert names.plays.sql_text == f"{{% include 'part.sql' %}} -- {number}\n"
        # The report that the DAG runs is declared again, with the params of its cadence.
        dag = names.plays_daily
        rendered = dag.get_template_env().from_string(dag.report.sql_text)
        assert f"SELECT {number} AS n, 2 AS top" in rendered.render(params=dag.report.params)
