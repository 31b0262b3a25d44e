"""Selects from one CTE of a query, by its top-level words: no SQL is parsed."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from athena_reports.errors import AthenaReportsError

# A comment, a text, a quoted name, a word, a parenthesis, or any other character.
TOKEN = re.compile(r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|[()]|\S""", re.DOTALL)
_NAME = re.compile(r'["\w]')
_MAIN_QUERY = ("SELECT", "VALUES", "TABLE")  # the words that begin the query after the CTEs


class CteError(AthenaReportsError):
    """The SQL has no such CTE."""


class _Word(NamedTuple):
    text: str
    start: int


def select_from(cte: str, sql: str) -> str:
    """Return SQL that gives the rows of a CTE. The CTEs of the SQL stay as they are.

    Raises:
        CteError: If the SQL has no such CTE.
    """
    words = list(_outer_words(sql))
    if not words or words[0].text.upper() != "WITH":
        raise CteError(f"The SQL has no CTE {cte!r}: it does not begin with WITH.")

    ctes = []
    end_of_ctes = len(sql)
    previous = ""
    for word in words:
        if word.text.upper() in _MAIN_QUERY:
            end_of_ctes = word.start
            break
        if word.text.upper() == "AS":
            ctes.append(previous.strip('"'))
        previous = word.text
    if cte not in ctes:
        known = "none"
        if ctes:
            known = ", ".join(ctes)
        raise CteError(f"The SQL has no CTE {cte!r}. It has {known}.")
    return f'{sql[:end_of_ctes]}SELECT * FROM "{cte}"'


def _outer_words(sql: str) -> Iterator[_Word]:
    """Yield the words and quoted names that stand in no parentheses, comment or text."""
    depth = 0
    for match in TOKEN.finditer(sql):
        text = match[0]
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
        elif depth == 0 and _NAME.match(text):
            yield _Word(text, match.start())
