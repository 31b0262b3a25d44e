"""In the built site every link, anchor and picture leads somewhere, and no API entry is empty."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import athena_reports
from tests.support.paths import ROOT

pytestmark = pytest.mark.ci
SITE = ROOT / "dist" / "site"


class Page(HTMLParser):
    """What a page links, and what can be linked in it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    """The pages of a new build. The one for a missing page links from the root of a server."""
    build = [sys.executable, "-m", "website.build"]
    env = {"PYTHONPATH": f"{ROOT / 'dev'}:{ROOT / 'plugins'}"}
    subprocess.run(build, check=True, cwd=ROOT, env=env, capture_output=True)
    return {file: Page(file) for file in SITE.rglob("*.html") if file.name != "404.html"}


def test_no_link_is_dead(pages: dict[Path, Page]) -> None:
    dead = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            is_there = target.is_file() or (target / "index.html").is_file()
            if target in pages and anchor:
                is_there = anchor in pages[target].ids
            if not is_there:
                dead.append(f"{file.relative_to(SITE)}: {link}")
    assert len(pages) > 50
    assert not dead


@pytest.mark.parametrize("name", athena_reports.__all__)
def test_every_public_name_has_an_entry_with_text(pages: dict[Path, Page], name: str) -> None:
    """A module has one for each of its names; `mail` is the name of a class."""
    html = (SITE / "docs" / "reference" / "python.html").read_text(encoding="utf-8")
    exported = getattr(athena_reports, name)
    anchor = f"\\.{getattr(exported, '__qualname__', name)}"
    if inspect.ismodule(exported):
        anchor = rf"\.{name}\.\w+"
    entry = re.search(rf'<h2 id="athena_reports[.\w]*{anchor}"(.*?)(<h2|$)', html, re.DOTALL)
    assert entry
    assert "<p>" in entry[1]


def test_every_page_of_the_docs_is_in_the_navigation() -> None:
    """A decision is reached from their index."""
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = str(configuration["nav"])
    missing = [
        name
        for page in (ROOT / "docs").rglob("*.md")
        if page.parent.name != "adr" or page.name == "README.md"
        if (name := page.relative_to(ROOT).as_posix()) not in listed
    ]
    assert not missing
