"""Statements with Athena's answers; the README in the folder `statements` describes their files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests import statement_tables
from tests.account import Account
from tests.statement import Statement, load

STATEMENTS = load()


@pytest.fixture(scope="module")
def lake() -> Iterator[Account]:
    with statement_tables.serve() as account:
        yield account


@pytest.mark.full
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.id)
def test_the_answer_is_athenas_or_its_difference_is_known(
    lake: Account, statement: Statement
) -> None:
    """What Athena refuses may be refused as not supported: that misleads no one."""
    error, answered = lake.answer(statement.sql)
    if statement.here:
        assert error == statement.here, answered
    elif statement.rows is None:
        assert error in (*statement.errors, "NOT_SUPPORTED"), answered
    else:
        header = statement.header or answered.partition("\n")[0]
        assert answered == "".join(f"{line}\n" for line in (header, *statement.rows))


def test_each_statement_has_a_name_of_its_own() -> None:
    assert [
        id_ for id_, count in Counter(each.id for each in STATEMENTS).items() if count > 1
    ] == []
