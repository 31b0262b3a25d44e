import re
from pathlib import Path

import pytest
from airflow._shared.module_loading import find_path_from_directory
from airflow.configuration import conf

from athena_reports.workflows.dag_files import dag_files
from tests.support.paths import ROOT

TREE = [
    "report.py",
    "notes.md",
    "idea.py",
    "drafts/first.py",
    "drafts/deep/second.py",
    "include/sql/report.sql",
    "include/helper.py",
    "team/local.py",
    "team/kept.py",
    "team/include/kept.py",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "dags"
    for path in TREE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def listed(folder: Path) -> list[str]:
    """The listed files, which are those that Airflow would read."""
    files = dag_files(folder)
    syntax = conf.get("core", "dag_ignore_file_syntax")
    read = map(Path, find_path_from_directory(folder, ".airflowignore", syntax))
    assert files == sorted(path for path in read if path.suffix == ".py")
    return [path.relative_to(folder).as_posix() for path in files]


def test_every_python_file_is_listed_in_a_fixed_order(folder: Path) -> None:
    assert listed(folder) == sorted(path for path in TREE if path.endswith(".py"))


@pytest.mark.parametrize(
    ("lines", "ignored"),
    [
        ("# a note\nidea.py  # not ready\n", {"idea.py"}),
        ("drafts/\n", {"drafts/first.py", "drafts/deep/second.py"}),
        ("include/**", {"include/helper.py"}),  # what this repository's own file says
        ("*.py\n!report.py", {path for path in TREE if path.endswith(".py")} - {"report.py"}),
        ("report.py/", set()),  # it is not a folder
    ],
)
def test_airflowignore_has_the_patterns_of_gitignore(
    folder: Path, lines: str, ignored: set[str]
) -> None:
    every = set(listed(folder))
    (folder / ".airflowignore").write_text(lines)
    assert every - set(listed(folder)) == ignored


def test_the_airflowignore_of_a_subfolder_counts_below_it_and_outweighs_those_above(
    folder: Path,
) -> None:
    (folder / ".airflowignore").write_text("kept.py\ndrafts/\n")
    (folder / "team" / ".airflowignore").write_text("*\n!kept.py\n!include\n")
    (folder / "drafts" / ".airflowignore").write_text("!first.py\n")  # never read
    assert listed(folder) == [
        "idea.py",
        "include/helper.py",
        "report.py",
        "team/include/kept.py",
        "team/kept.py",
    ]


def test_links_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "linked.py").touch()
    (elsewhere / "back").symlink_to(folder)
    (folder / "more").symlink_to(elsewhere)
    files = dag_files(folder)  # Airflow refuses such a folder
    assert folder / "more" / "linked.py" in files
    assert not [path for path in files if "back" in path.parts]


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert dag_files(tmp_path / "missing") == []


def test_the_library_does_without_the_listing_that_airflow_3_4_has_removed() -> None:
    library = ROOT / "plugins" / "athena_reports"
    files = list(library.rglob("*.py"))
    assert files
    removed = re.compile(
        r"airflow\.utils\.file\b|from airflow\.utils import .*\bfile\b"
        r"|\b(list_py_file_paths|find_dag_file_paths|might_contain_dag)\b"
    )
    assert [file for file in files if removed.search(file.read_text("utf-8"))] == []
