"""A team copies the repository, deletes the sample reports and adds one as the README says:
what it runs is green.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tests.support.code_blocks import blocks_of, commands_of, files_of
from tests.support.paths import ROOT
from tests.support.repository_copy import airflow_up, copy_repository, make

pytestmark = pytest.mark.ci
README = ROOT / "README.md"
MAINTENANCE = "athena_reports_maintenance.py"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree without what belongs to the samples,
    with the report of the README's recipe instead.
    """
    root = copy_repository(tmp_path_factory.mktemp("team") / "reports")
    for file in [*root.glob("dags/*.py"), *root.glob("include/sql/*.sql")]:
        if file.name != MAINTENANCE:
            file.unlink()
    shutil.rmtree(root / "tests" / "reports")
    for path, block in files_of(README):
        (root / path).write_text(block.text)
    return root


def test_the_readmes_report_passes_what_the_readme_runs_and_is_shipped(repository: Path) -> None:
    blocks = [
        block
        for block in blocks_of(README)
        if "best_users" in block.text and block.language == "console"
    ]
    commands = [
        shlex.split(command, comments=True) for block in blocks for command in commands_of(block)
    ]
    said = ""
    for command in [*commands, ["make", "bundle", "ENV=prd"]]:
        assert command[0] == "make"
        done = make(repository, *command[1:])
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout

    assert "No finding in 2 DAG files, 2 DAGs of reports" in said
    assert "10 of 100 rows" in said
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
    with airflow_up(repository) as (client, _):
        assert client.rows("/api/v2/importErrors", "import_errors") == []
        assert all(client.runs(f"best_users_{cadence}") for cadence in ("weekly", "monthly"))


def test_a_change_of_its_sql_is_shown_with_the_way_out_and_not_at_length(repository: Path) -> None:
    file = repository / "include" / "sql" / "best_users.sql"
    file.write_text(file.read_text().replace("SUM(score)", "MAX(score)"))

    done = make(repository, "check")

    assert done.returncode == 2
    assert "-    SUM(score) AS score\n    +    MAX(score) AS score\n" in done.stdout
    assert "run `make golden`" in done.stdout
    assert len(done.stdout.splitlines()) < 30
