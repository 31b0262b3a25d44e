"""Where the parts of a project are: found from any folder of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from athena_reports_cli.local.project import ProjectError, find_project


def project_at(root: Path, table: str = "") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    text = f"[tool.athena-reports]\n{table}\n"
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
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


def test_a_key_of_the_table_names_another_folder(tmp_path: Path) -> None:
    root = project_at(tmp_path, 'tests = "pr\u00fcfungen"\ninclude = "shipped"')
    project = find_project(root)
    assert (project.tests, project.sql) == (root / "pr\u00fcfungen", root / "shipped" / "sql")
    assert project.dags == root / "dags"


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
        f"{tmp_path} is in no project of reports. Go into the folder of one; its pyproject.toml has"
        " a table [tool.athena-reports]."
    )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (
            "dags_folder = 'x'",
            "[tool.athena-reports]: dags_folder: Extra inputs are not permitted. The keys are dags,"
            " plugins, include, tests, environments, and each is the text of a path.",
        ),
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


def test_a_pyproject_in_another_encoding_is_told(tmp_path: Path) -> None:
    file = project_at(tmp_path) / "pyproject.toml"
    file.write_bytes('[tool.athena-reports]\ntests = "pr\u00fcfungen"\n'.encode("latin-1"))
    with pytest.raises(ProjectError, match=r"pyproject\.toml is not valid TOML: .*Correct it\.$"):
        find_project(tmp_path)


@pytest.mark.parametrize("key", ["dags", "plugins", "include", "tests", "environments"])
@pytest.mark.parametrize("folder", ["{outside}", "../elsewhere", "dags/../../elsewhere"])
def test_a_folder_outside_of_the_project_is_refused_with_what_to_write(
    folder: str, key: str, tmp_path: Path
) -> None:
    value = folder.format(outside=tmp_path / "elsewhere")
    root = project_at(tmp_path / "reports", f"{key} = {value!r}")
    with pytest.raises(ProjectError) as raised:
        find_project(root)
    message = str(raised.value)
    assert message.startswith(f"{root / 'pyproject.toml'}, [tool.athena-reports]: {key} = ")
    assert value in message
    # What it says to write is right.
    (line,) = re.findall(rf'{key} = "[^"]+"', message)
    assert find_project(project_at(root, line)).root == root


def test_a_folder_within_the_project_may_be_absolute_or_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    root = project_at(tmp_path / "reports")
    (root / "flows").mkdir()
    (root / "checks").symlink_to(tmp_path / "elsewhere")
    project_at(root, f"dags = '{root / 'flows'}'\ntests = 'flows/../checks'")
    project = find_project(root)
    assert project.dags == root / "flows"
    assert project.tests.samefile(tmp_path / "elsewhere")
