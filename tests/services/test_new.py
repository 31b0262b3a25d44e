"""`new`: what it writes is a report that breaks no rule, and whose case passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.authoring.rules import dag_rules, sql_rules
from athena_reports_cli.authoring.rules.dag_rules import Repository
from athena_reports_cli.local.project import Project
from athena_reports_cli.local.services import Services
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
ASKED = {
    "--table": "plays",
    "--ranked": "user_id",
    "--time": "played_at",
    "--since": "2025-01-01",
    "--owner": "us",
}


def options(**changed: str) -> list[str]:
    given = ASKED | {f"--{name}": text for name, text in changed.items()}
    return [word for pair in given.items() for word in pair]


@pytest.fixture
def root(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", "include/sql")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    (tmp_path / "pyproject.toml").write_text("[tool.athena-reports]\n")
    (tmp_path / "include" / "sql").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("match", {"until": "2025-12-31", "owner": """It's the "best" \\ team 🦊"""}),
        ("order", {"table": "order", "ranked": "end", "time": "from"}),  # reserved words of SQL
        ("events", {"table": "events", "ranked": "events", "time": "at"}),
        # Santiago has days without midnight.
        ("days", {"timezone": "America/Santiago"}),
    ],
)
def test_a_report_of_any_valid_name_breaks_no_rule_and_its_case_passes(
    name: str, changed: dict[str, str], shell: Shell, root: Path
) -> None:
    code, printed = shell("new", name, *options(**changed))
    assert code == 0, printed
    repository = Repository(Project(root))
    assert sql_rules.renew(repository) == []  # `new` has written them
    for rule in [*dag_rules.RULES, *sql_rules.RULES]:
        assert rule(repository) == [], rule.__name__

    assert repository.reports.keys() == {f"{name}_weekly", f"{name}_monthly"}
    for declared in repository.reports.values():
        assert declared.dag.default_args["owner"] == changed.get("owner", ASKED["--owner"])
    code, printed = shell("test", name)
    assert (code, printed.split()[0]) == (0, "passed"), printed
