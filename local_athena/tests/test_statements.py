"""Statements with Athena's answers: right ones stay right, and none is wrong without being known.

The README in the folder `statements` describes their files and the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests import judgement, statement_tables
from tests.account import Account
from tests.judgement import Verdict
from tests.statement import Statement, load

STATEMENTS = load()
KNOWN = judgement.read_ledger()


@pytest.fixture(scope="module")
def lake() -> Iterator[Account]:
    with statement_tables.serve() as account:
        yield account


@pytest.mark.full
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.id)
def test_the_answer_is_athenas_or_its_difference_is_known(
    lake: Account, statement: Statement
) -> None:
    judged = judgement.judge(statement, lake)
    known = KNOWN.get(statement.id, Verdict.RIGHT)
    assert judged.verdict is known, (
        f"\n{statement.sql}\nAthena: {statement.errors or statement.rows}\n"
        f"here: {judged.answered}\nThe ledger says: {known}. Renew it if that is better now."
    )


def test_the_ledger_and_the_statements_agree() -> None:
    ids = [statement.id for statement in STATEMENTS]
    assert [id_ for id_, count in Counter(ids).items() if count > 1] == []
    assert set(KNOWN) - set(ids) == set()
