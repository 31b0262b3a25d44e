"""The code blocks of Markdown pages."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its language, and its text without the indent of its fence."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    found, opened = [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if fence := re.match(r"( *)```(.*)$", line):
            if opened is None:
                opened, lines = (number, fence[1], fence[2].strip()), list[str]()
            else:
                found.append(
                    Block(page, opened[0], opened[2], "".join(f"{each}\n" for each in lines))
                )
                opened = None
        elif opened is not None:
            lines.append(line.removeprefix(opened[1]))
    assert opened is None, f"{page}: the block of line {opened} has no end"
    return found


def commands_of(block: Block) -> list[str]:
    """What a console block types after its prompts;
    a command goes on where its line ends with a backslash.
    """
    text = block.text.replace("\\\n", "")
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def files_of(page: Path) -> list[tuple[str, Block]]:
    """The blocks of a page that are to be saved,
    each with the path that the paragraph before it ends with.
    """
    lines, found = page.read_text(encoding="utf-8").splitlines(), []
    for block in blocks_of(page):
        before = itertools.takewhile(str.strip, reversed(lines[: block.line - 2]))
        paths = re.findall(r"`([\w./]+/[\w.]+\.(?:py|sql|csv))`", " ".join(reversed([*before])))
        if paths and block.language in {"python", "sql", "csv"}:
            found.append((paths[-1], block))
    return found
