"""Which pages are the library's: a team that copies the repository may write pages of its own."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import ROOT

README = ROOT / "README.md"
"""It is the library's as long as it has this title."""
_TITLE = "# Athena reports on Airflow"


def _reached() -> list[Path]:
    """README.md and docs/README.md, and the pages that they lead to, link by link."""
    reached: set[Path] = set()
    to_read = [ROOT / "docs" / "README.md"]
    if README.read_text(encoding="utf-8").startswith(_TITLE):
        to_read.append(README)
    while to_read:
        page = to_read.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in re.findall(r"\]\(([^):#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            if target.is_dir():
                to_read += target.glob("*.md")
            elif target.suffix == ".md" and target.is_file():
                to_read.append(target)
    return sorted(reached)


PAGES = _reached()


def name_of(page: Path) -> str:
    """The path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()
