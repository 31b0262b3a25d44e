"""The two READMEs agree, and what they and the pages for contributors name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integrity.console import MAKEFILE
from tests.support.code_blocks import Block, blocks_of
from tests.support.paths import ROOT

README, JAPANESE = ROOT / "README.md", ROOT / "README.ja.md"
PAGES = [
    README,
    JAPANESE,
    *(ROOT / name for name in ("CONTRIBUTING.md", "AGENTS.md", "docs/tutorial.md")),
]
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


def test_both_readmes_have_the_same_headings_blocks_and_pictures() -> None:
    english = outline(README)
    assert sum(isinstance(each, tuple) for each in english) >= 7
    assert outline(JAPANESE) == english


def test_the_readme_is_short_and_has_two_pictures() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) < 1200
    assert len(re.findall(r"<img ", text)) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_paths_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z][a-z0-9-]*)", text)) <= targets
    for path in re.findall(r"`((?:dags|include|plugins|tests|deploy|dev|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists() or re.search("best_users|late_destinations", path), path


def test_the_tree_is_the_repositorys() -> None:
    (tree,) = (block.text for block in blocks_of(README) if block.text.startswith("dags/"))
    named = re.findall(r"^(\S+)/ ", tree, re.MULTILINE)
    assert set(named) == {
        "dags",
        "include/sql",
        "tests/reports",
        "plugins",
        "tests",
        "deploy",
        "docs",
        "dev",
    }
    assert all((ROOT / name).is_dir() for name in named)
