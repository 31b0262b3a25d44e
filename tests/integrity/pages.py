"""The Markdown pages of this repository."""

from pathlib import Path

from tests.support.paths import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for name in ("docs", "dev", "deploy") for page in (ROOT / name).rglob("*.md")),
    ]
)


def name_of(page: Path) -> str:
    """Return the path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()
