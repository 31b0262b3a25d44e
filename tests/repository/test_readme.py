"""The two READMEs agree, and what the library's pages name exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from athena_reports.settings import Settings
from athena_reports_cli.authoring.commands import app
from tests.repository.pages import PAGES, README, name_of
from tests.support.code_blocks import Block, blocks_of
from tests.support.paths import ROOT
from tests.support.repository_copy import copy_repository, make

JAPANESE = ROOT / "README.ja.md"
SAMPLE = ROOT / "dags" / "user_ranking.py"
# An author writes the files of reports and may delete the samples. The guide writes its answers.
OF_AUTHORS = re.compile(r"dags/(?!athena_reports_).+|include/sql/.*|tests/reports/.*")
# The changelog names what is gone.
NAMING = [page for page in PAGES if page.name != "CHANGELOG.md"]
of_our_readme = pytest.mark.skipif(README not in PAGES, reason="a team has written its own")
_COMMENT = re.compile(r"\s*(?:#|--) .*$")


def without_comments(block: Block) -> list[str]:
    """Its lines; a comment or a docstring has the language of its page."""
    code = re.sub(r'""".*?"""', "", block.text, flags=re.DOTALL)
    return [
        line for line in (_COMMENT.sub("", line).rstrip() for line in code.splitlines()) if line
    ]


def outline(page: Path) -> list[object]:
    """Headings by level, blocks that are code, pictures: in their order."""
    blocks, found, until = {block.line: block for block in blocks_of(page)}, list[object](), 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if number in blocks:
            block = blocks[number]
            until = number + len(block.text.splitlines()) + 1
            if block.language in {"console", "python", "sql"}:
                found.append((block.language, without_comments(block)))
        elif number > until:
            found += [len(each) for each in re.findall(r"^(#+) ", line)]
            found += re.findall(r'(?:src|srcset)="([^"]+)"', line)
    return found


@of_our_readme
def test_both_readmes_have_the_same_headings_blocks_and_pictures() -> None:
    english = outline(README)
    assert sum(isinstance(each, tuple) for each in english) >= 6
    assert outline(JAPANESE) == english


def without_seconds(line: str) -> str:
    """A line of the demo without what is another in each run: its seconds, and a port."""
    return re.sub(r":[0-9]+$", ":PORT", re.sub(r"^ *[0-9]+\.[0-9] s  ", "", line.rstrip()))


@of_our_readme
@pytest.mark.full
@pytest.mark.skipif(not SAMPLE.exists(), reason="a team has removed the samples")
def test_the_demo_prints_what_the_readme_shows_and_more(tmp_path: Path) -> None:
    """It is the first command that a stranger types."""
    (shown,) = [block for block in blocks_of(README) if block.text.startswith("$ make demo\n")]
    repository = copy_repository(tmp_path / "repository")
    done = make(repository, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [without_seconds(line) for line in done.stdout.splitlines()]
    _, *lines = [line for line in shown.text.splitlines() if line != "..."]
    for line in map(without_seconds, lines):
        assert line in printed, done.stdout
    # Each table is printed in the order of the runs, and behind it the queries over them.
    title = r"^ +(\w+, \w+ly [\d-]+|Athena, database \w+) *$"
    titles = re.findall(title, done.stdout, re.MULTILINE)
    assert titles == [
        "user_ranking, weekly 2025-06-22",
        "user_ranking, monthly 2025-06",
        "carrier_ranking, weekly 2013-11-04",
        "carrier_ranking, monthly 2013-12",
        *["Athena, database report_dev"] * 2,
    ]
    # The week that was run again has replaced a version.
    assert len(re.findall("^  before .* since$", done.stdout, re.MULTILINE)) == 1
    (number,) = re.findall(r"(\d+) published objects are mirrored", done.stdout)
    copied = [path for path in (repository / "demo-output").rglob("*") if path.is_file()]
    assert len(copied) == int(number)
    assert (repository / "demo-output/user_ranking/weekly/2025-06-22/manifest.json").is_file()


@pytest.mark.parametrize("page", NAMING, ids=name_of)
def test_commands_that_a_page_names_are_those_of_make(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    of_this_package = ROOT / "local_athena" if "local_athena" in page.parts else ROOT
    for folder, command in re.findall(r"`make (?:-C (\w+) )?([^`]+)`", text):
        makefile = (of_this_package / folder / "Makefile").read_text(encoding="utf-8")
        target, *words = command.split()
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), command
        for variable in re.findall(r"\b([A-Z_]+)=", " ".join(words)):
            assert re.search(rf"\$\({variable}\b", makefile), command


@pytest.mark.parametrize("page", NAMING, ids=name_of)
def test_commands_that_a_page_names_are_those_of_athena_reports(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    commands: Any = typer.main.get_command(app)
    for words in re.findall(r"`(?:\.venv/bin/)?athena-reports ([a-z][^`]*)`", text):
        name, *arguments = words.split()
        assert name in commands.commands, words
        known = {option for param in commands.commands[name].params for option in param.opts}
        named = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        assert named <= known | {"--help"}, words


@pytest.mark.parametrize("page", NAMING, ids=name_of)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    of_this_package = ROOT / "local_athena" if "local_athena" in page.parts else ROOT
    folders = "dags|include|plugins|cli|local_athena|src|tests|deploy|dev|docs|\\.github"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert OF_AUTHORS.fullmatch(path) or (of_this_package / path).exists(), path


@pytest.mark.parametrize("page", NAMING, ids=name_of)
def test_settings_that_a_page_names_are_those_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    settings = {field.alias for field in Settings.model_fields.values()}
    assert set(re.findall(r"\bATHENA_REPORTS_[A-Z_]*[A-Z]\b", text)) <= settings
