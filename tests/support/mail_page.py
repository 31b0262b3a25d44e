"""The HTML of a mail, read as a browser reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page(HTMLParser):
    """What a browser finds in the HTML: tags, addresses, and the table."""

    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []

    @classmethod
    def of(cls, html: str) -> Page:
        page = cls()
        page.feed(html)
        page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        self.attributes.update(attributes)
        for name in ("href", "src", "action"):
            if name in attributes:
                self.addresses.append(attributes[name] or "")
        if tag in ("meta", "br", "wbr"):
            return
        self.open.append((tag, attributes.get("class") or ""))
        if self.in_bar:
            return
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        elif tag == "th":
            self.headers.append("")

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self.open]
        if "style" not in tags and "title" not in tags:
            self.text += data
        if self.in_bar or ("span", "name") in self.open:
            return
        if "td" in tags:
            self.rows[-1][-1] += data
        elif "th" in tags and "span" not in tags:
            self.headers[-1] += data

    @property
    def in_bar(self) -> bool:
        return ("td", "bar") in self.open

    @property
    def table(self) -> list[list[str]]:
        return [row for row in self.rows if row]
