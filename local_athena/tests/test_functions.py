"""Each row of the local Athena's functions answers its documented example."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from local_athena.athena.errors import ApiError, QueryFailed
from local_athena.athena.functions import PAGES
from local_athena.athena.functions.row import Function

ROWS = [row for _, rows in PAGES for row in rows]


def _csv(answer: str | None) -> str:
    """An answer as the lines of a result with one column."""
    if answer is None:
        return "\n"
    quoted = (line.replace('"', '""') for line in answer.split("\n"))
    return "".join(f'"{line}"\n' for line in quoted)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.signature)
def test_a_function_answers_its_example(compute: Callable[..., str], row: Function) -> None:
    assert compute(f"SELECT {row.example}") == _csv(row.answer)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.signature)
def test_an_example_calls_its_function(row: Function) -> None:
    names = "|".join((row.name, *row.aliases))
    assert re.search(rf"\b(?:{names})\(", row.example) or (
        row.name == "concat" and "||" in row.example
    )


# A lambda, a window and an ordered aggregate are not called like this.
NO_VALUE = [
    row
    for row in ROWS
    if row.parsed.parameters
    and "function(" not in row.signature
    and "OVER" not in row.example
    and "WITHIN" not in row.example
]


@pytest.mark.parametrize("row", NO_VALUE, ids=lambda row: row.signature)
def test_null_breaks_no_function(compute: Callable[..., str], row: Function) -> None:
    """Whatever NULL as an argument gives, the translation is one that DuckDB takes."""
    nulls = ", ".join(["NULL"] * (len(row.parsed.parameters) + row.parsed.repeats))
    reason = ""
    try:
        compute(f"SELECT {row.name}({nulls})")
    except (ApiError, QueryFailed) as error:
        reason = str(error)
    allowed = r"(FUNCTION_NOT_FOUND|TYPE_MISMATCH|NOT_SUPPORTED: (line 1:8: )?the local Athena).*"
    grammar = r"line 1:\d+: JSON_VALUE requires a JSON path string"
    assert re.fullmatch(f"|{allowed}|{grammar}", reason)
