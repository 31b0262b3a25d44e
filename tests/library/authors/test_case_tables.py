"""The CSV files of a case become tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.library.authors.scores import PLAYS, run


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user_id,score\na,1\n", "each column of the header needs a type"),
        ("user_id string,score bigint,at timestamp\na,1,2025-06-16\n", "has no column dt"),
        (PLAYS.replace("a,1", "a,one"), "Could not convert string 'one' to INT64"),
        (PLAYS + "c,1\n", "does not read as CSV"),
    ],
)
def test_a_file_that_cannot_become_a_table_says_why(case: Path, text: str, problem: str) -> None:
    (case / "plays.csv").write_text(text)
    result = run(case)
    assert result.outcome == "failed"
    assert problem in result.problem


def test_a_table_without_rows_is_a_table(case: Path) -> None:
    (case / "plays.csv").write_text(PLAYS.partition("\n")[0] + "\n")
    (case / "expected.csv").write_text("user_id,score\n")
    assert run(case).outcome == "passed"


@pytest.mark.parametrize("kind", ["bigit", "array<strng>", "array<string", "decimal(99,2)"])
def test_an_unknown_type_is_named_beside_the_types_that_there_are(case: Path, kind: str) -> None:
    plays = case / "plays.csv"
    plays.write_text(PLAYS.replace("score bigint", f'"score {kind}"'))
    result = run(case)
    assert result.outcome == "failed"
    problem = f"{plays}: the column 'score' has the type {kind!r}, which no table has. "
    assert result.problem.startswith(problem)

    (types,) = re.findall(r"The types are (.*)\.$", result.problem)
    assert {"bigint", "string", "timestamp"} < set(types.split(", "))
    header, *rows = PLAYS.splitlines()
    for number, known in enumerate(types.split(", ")):
        header += f',"column_{number} {known}"'
        rows = [f"{row}," for row in rows]
    plays.write_text("\n".join([header, *rows, ""]))
    assert run(case).outcome == "passed"
