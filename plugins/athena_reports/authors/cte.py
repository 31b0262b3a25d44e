"""Selects from one CTE of a query, by its top-level words: no SQL is parsed."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from athena_reports.errors import AthenaReportsError

# One of these, the first that fits: a comment, a text, a quoted name, a word, a parenthesis, or any
# other character. Spaces are between tokens.
TOKEN = re.compile(r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|[()]|\S""", re.DOTALL)
_BEGINS_NAME = re.compile(r'["\w]')
_MAIN_QUERY = ("SELECT", "VALUES", "TABLE")  # the words that begin the query after the CTEs


class CteError(AthenaReportsError):
    """The SQL has no such CTE."""


class _Word(NamedTuple):
    """A word or a quoted name of a query, and where it starts."""

    text: str
    start: int


def select_from(cte: str, sql: str) -> str:
    """Return SQL that gives the rows of a CTE. The CTEs of the SQL stay as they are.

    Args:
        cte: The name of the CTE, without quotes, as the SQL writes it.
        sql: A query that begins with WITH.

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
            # A list of columns may stand between name and AS, but its words are not outer ones.
            ctes.append(previous.strip('"'))
        previous = word.text
    if cte not in ctes:
        known = "none"
        if ctes:
            known = ", ".join(ctes)
        raise CteError(f"The SQL has no CTE {cte!r}. It has {known}.")
    return f'{sql[:end_of_ctes]}SELECT * FROM "{cte}"'


def _outer_words(sql: str) -> Iterator[_Word]:
    """Yield the words and quoted names outside of parentheses, comments and texts."""
    depth = 0
    for match in TOKEN.finditer(sql):
        text = match[0]
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
        elif depth == 0 and _BEGINS_NAME.match(text):
            yield _Word(text, match.start())
