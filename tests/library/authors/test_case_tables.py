"""The CSV files of a case become tables."""

from __future__ import annotations

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
