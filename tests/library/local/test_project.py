"""Where the parts of a project are: found from any folder of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports.local.project import ProjectError, find_project


def project_at(root: Path, table: str = "") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f"[tool.athena-reports]\n{table}\n")
    return root


def test_a_project_is_found_from_every_folder_in_it_and_has_the_usual_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project_at(tmp_path / "reports")
    inside = root / "include" / "sql"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    project = find_project()
    assert project == find_project(root)
    assert project.root == root
    assert project.dags == root / "dags"
    assert project.plugins == root / "plugins"
    assert project.sql == inside
    assert project.tests == root / "tests" / "reports"
    assert project.environments == root / "deploy" / "environments"
    assert (project.lake, project.airflow) == (root / ".lake", root / ".airflow")


def test_a_key_of_the_table_names_another_folder(tmp_path: Path) -> None:
    root = project_at(tmp_path, 'tests = "checks"\ninclude = "shipped"')
    project = find_project(root)
    assert (project.tests, project.sql) == (root / "checks", root / "shipped" / "sql")
    assert project.dags == root / "dags"


def test_the_pyproject_of_something_else_is_passed_over(tmp_path: Path) -> None:
    root = project_at(tmp_path)
    tool = root / "tool"
    tool.mkdir()
    (tool / "pyproject.toml").write_text('[project]\nname = "tool"\n')
    assert find_project(tool).root == root


def test_outside_of_a_project_it_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"is in no project.*\[tool\.athena-reports\]"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("dags_folder = 'x'", "dags_folder: Extra inputs are not permitted. The keys are dags, "),
        ("dags = 3", "dags: Input should be a valid string"),
        ("dags = ", "is not valid TOML"),
    ],
)
def test_a_table_that_is_wrong_is_told_with_its_file(
    table: str, problem: str, tmp_path: Path
) -> None:
    root = project_at(tmp_path, table)
    with pytest.raises(ProjectError) as raised:
        find_project(root)
    assert problem in str(raised.value)
    assert str(root / "pyproject.toml") in str(raised.value)
