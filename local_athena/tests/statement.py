"""Statements with the answers of Athena, as the files in the folder `statements` give them.

Its README describes their format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "statements"
NO_ROWS = "(no rows)"

_NAME = re.compile(r"-- ([a-z0-9_]+)")
_SOURCE = "-- source: "
_HERE = "-- here: "
_MARKS = {"-->": "rows", "--#": "header", "--!": "errors"}


@dataclass(frozen=True)
class Statement:
    """A statement and what Athena answers to it.

    Attributes:
        id: The name of its file without the ending, a slash, and its own name.
        sql: Its text.
        source: Where the answer comes from.
        rows: The lines of the CSV file without the header; None if Athena refuses the statement.
        header: The first line of the CSV file; None if it does not matter.
        errors: The names of the error, any of which is right; empty if the statement runs.
        here: The error with which the local Athena refuses what Athena runs; empty if it runs it.
    """

    id: str
    sql: str
    source: str
    rows: tuple[str, ...] | None
    header: str | None
    errors: tuple[str, ...]
    here: str


class UnreadableError(ValueError):
    """A block of a file that is not in the format."""


def load() -> list[Statement]:
    """All statements, in the order of the files' names."""
    return [
        statement for path in sorted(FOLDER.glob("*.sql")) for statement in _statements_of(path)
    ]


def _statements_of(path: Path) -> Iterator[Statement]:
    source = ""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8").strip()):
        lines = block.splitlines()
        if all(line.startswith("-- ") for line in lines):
            source = _noted(_SOURCE, lines, default="")
        else:
            yield _statement(path.stem, lines, source)


def _noted(note: str, lines: list[str], default: str) -> str:
    named = [line.removeprefix(note) for line in lines if line.startswith(note)]
    return named[-1] if named else default


def _statement(kind: str, lines: list[str], source: str) -> Statement:
    name = _NAME.fullmatch(lines[0])
    if name is None:
        raise UnreadableError(f"{kind}.sql: {lines[0]!r} is not the name of a statement")
    id_ = f"{kind}/{name[1]}"
    first = next(i for i, line in enumerate(lines) if not line.startswith("-- "))
    source = _noted(_SOURCE, lines[1:first], default=source)
    answer: dict[str, list[str]] = {"rows": [], "header": [], "errors": []}
    sql: list[str] = []
    for line in lines[first:]:
        part = _MARKS.get(line[:3])
        if part is not None:
            answer[part].append(line[3:].strip())
        elif any(answer.values()):
            raise UnreadableError(f"{id_}: {line!r} stands after the answer")
        else:
            sql.append(line)
    if not source:
        raise UnreadableError(f"{id_}: has no source")
    if bool(answer["rows"]) == bool(answer["errors"]):
        raise UnreadableError(f"{id_}: has either rows or an error")
    rows = None if answer["errors"] else tuple(answer["rows"])
    return Statement(
        id=id_,
        sql="\n".join(sql),
        source=source,
        rows=() if rows == (NO_ROWS,) else rows,
        header=answer["header"][0] if answer["header"] else None,
        errors=tuple(" or ".join(answer["errors"]).split(" or ")) if answer["errors"] else (),
        here=_noted(_HERE, lines[1:first], default=""),
    )
