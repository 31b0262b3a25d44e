"""What the repository says of itself: the README's recipe works, versions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import athena_reports
from tests.integrity.dag_rules import RULES, ParsedFolder

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def recipe(language: str) -> str:
    """The code block of the README's recipe in one language."""
    (section,) = re.findall(r"## Add a report\n(.*?)\n## ", README, re.DOTALL)
    block = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return re.sub(r"^   ", "", block[1], flags=re.MULTILINE)


def test_the_readmes_recipe_makes_two_dags_that_keep_every_rule(sql_folder: Path, tmp_path: Path) -> None:
    (sql_folder / "best_users.sql").write_text(recipe("sql"))
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "best_users.py").write_text(recipe("python"))
    parsed = ParsedFolder(dags)
    assert {rule.__name__: rule(parsed) for rule in RULES} == {rule.__name__: [] for rule in RULES}


def test_the_readme_names_settings_that_there_are() -> None:
    listed = re.findall(r"^\| `(ATHENA_REPORTS_\w+)` \|", SETTINGS_PAGE, re.MULTILINE)
    named = re.findall(r"`(ATHENA_REPORTS_[A-Z_]+)`", README)
    assert named
    assert set(named) <= set(listed)


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == athena_reports.__version__
