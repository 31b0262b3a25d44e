"""The page of the functions that the local Athena supports, each with its documented example."""

from __future__ import annotations

from collections.abc import Iterator

from local_athena.athena.functions import PAGES
from local_athena.athena.functions.row import Function

_HEAD = """# Functions

The [local Athena](../README.md) supports the functions of this page. Another function of Athena is
`NOT_SUPPORTED`, and one that Athena does not have is `FUNCTION_NOT_FOUND`. Each example is a test.
This page is generated from the rows in `src/local_athena/athena/functions`:
{renew}

| in a signature | |
| --- | --- |
| `T`, `U`, `K`, `V`, `R`, `S` | any type |
| `A` | any type, another one at each place |
| `N`, `I`, `F` | a number, an integer type, a real or double |
| `C` | a varchar or char |
| `M`, `W` | a date or timestamp, a timestamp with or without a time zone |
| `L` | a date or timestamp, another one at each place |
| `...` | the last argument again |

Put an example after `SELECT` to run it. A line break in an answer separates rows.

Operators, `CASE`, `IF`, `TRY`, `CAST`, `TRY_CAST`, `EXTRACT`, `TRIM`, `POSITION`, subscripts,
`row.field`, `now()`, `current_date`, `current_timestamp`, `localtimestamp`, `grouping()` and
`typeof()` have a grammar of their own. They are supported too.
"""
_TRINO = "https://trino.io/docs/current"


def page(renew: str) -> str:
    """The page; `renew` says how it is written anew."""
    return "".join([_HEAD.format(renew=renew), *map(_section, PAGES)])


def _section(kind: tuple[str, tuple[Function, ...]]) -> str:
    title, rows = kind
    pages = sorted({row.page for row in rows})
    links = ", ".join(f"[{name}]({_TRINO}/{name}.html)" for name in pages)
    head = f"\n## {title}\n\nSource: Trino's {links}.\n\n| function | example | answer |\n"
    lines = "\n".join(_lines(rows))
    return f"{head}| --- | --- | --- |\n{lines}\n"


def _lines(rows: tuple[Function, ...]) -> Iterator[str]:
    for row in rows:
        others = "".join(f", also `{name}`" for name in row.aliases)
        yield f"| `{row.signature}`{others} | {_code(row.example)} | {_answer(row.answer)} |"


def _code(text: str) -> str:
    """A cell of code; a bar would end it."""
    return f"`{text}`".replace("|", "\\|")


def _answer(answer: str | None) -> str:
    if answer is None:
        return "NULL"
    return "<br>".join(_code(line) if line else "" for line in answer.split("\n"))
