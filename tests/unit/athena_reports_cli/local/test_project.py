"""Where the parts of a project are: found from any folder of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.local.project import ProjectError, find_project


def project_at(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text("[tool.athena-reports]\n")
    return root


def test_a_project_is_found_from_every_folder_in_it_and_has_the_usual_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project_at(tmp_path / "reports")
    inside = root / "include" / "sql"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    project = find_project()
    assert project == find_project(root) == find_project(Path())
    assert project.root == root
    assert project.dags == root / "dags"
    assert project.plugins == root / "plugins"
    assert project.sql == inside
    assert project.tests == root / "tests" / "reports"
    assert project.environments == root / "deploy" / "environments"
    assert (project.lake, project.airflow) == (root / ".lake", root / ".airflow")


def test_the_pyproject_of_something_else_is_passed_over(tmp_path: Path) -> None:
    root = project_at(tmp_path)
    tool = root / "tool"
    tool.mkdir()
    (tool / "pyproject.toml").write_text('[project]\nname = "tool"\n')
    assert find_project(tool).root == root


def test_outside_of_a_project_it_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as raised:
        find_project(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} is not in a reports project. Change to a folder of a project; its"
        " pyproject.toml has a [tool.athena-reports] table."
    )


@pytest.mark.parametrize("text", ["dags = ", "# pr\u00fcfungen"])
def test_a_pyproject_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_bytes(f"[tool.athena-reports]\n{text}\n".encode("latin-1"))
    with pytest.raises(ProjectError, match=r"pyproject\.toml is not valid TOML: .*Correct it\.$"):
        find_project(tmp_path)
