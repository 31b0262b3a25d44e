"""Selects from one CTE of a query, by its top-level words: no SQL is parsed."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from athena_reports.errors import AthenaReportsError

_TOKEN = re.compile(r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|[()]|\S""", re.DOTALL)


class CteError(AthenaReportsError):
    """The SQL has no such CTE."""


class _Word(NamedTuple):
    text: str
    start: int


def select_from(cte: str, sql: str) -> str:
    """Return SQL that gives the rows of a CTE, after the others as they are; CteError if there is none."""
    words = list(_outer_words(sql))
    if not words or words[0].text.upper() != "WITH":
        raise CteError(f"The SQL has no CTE {cte!r}: it does not begin with WITH.")
    main = next((word.start for word in words if word.text.upper() in ("SELECT", "VALUES", "TABLE")), len(sql))
    names = [
        word.text.strip('"') for word, after in pairwise(words) if after.text.upper() == "AS" and word.start < main
    ]
    if cte not in names:
        raise CteError(f"The SQL has no CTE {cte!r}. It has {', '.join(names) or 'none'}.")
    return f'{sql[:main]}SELECT * FROM "{cte}"'


def _outer_words(sql: str) -> Iterator[_Word]:
    """Yield the words and quoted names that stand in no parentheses, comment or text."""
    depth = 0
    for match in _TOKEN.finditer(sql):
        text = match[0]
        depth += (text == "(") - (text == ")")
        if depth == 0 and (text[0] == '"' or re.match(r"\w", text)):
            yield _Word(text, match.start())
