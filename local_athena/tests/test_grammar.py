"""The local Athena runs nothing that Trino's grammar refuses.

The oracle is trino-query-parser, the grammar of Trino 422. It is too slow for the service itself.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from trino_query_parser import TrinoSyntaxError, parse_statement

from tests import statement_tables
from tests.account import Account
from tests.statement import Statement, load

pytestmark = pytest.mark.full

_TOKEN = re.compile(r"\s+|'(?:[^']|'')*'|\"[^\"]*\"|\w+|.", re.DOTALL)
_LONGEST = 300  # characters of a statement that is changed: the parser takes its time
CHANGED = 400


def is_of_the_grammar(sql: str) -> bool:
    try:
        parse_statement(sql)
    except TrinoSyntaxError:
        return False
    return True


def changed(sql: str, chance: random.Random) -> str:
    """A statement with a token more, less, or in another place."""
    tokens = [token for token in _TOKEN.findall(sql) if not token.isspace()]
    place, other = chance.randrange(len(tokens)), chance.randrange(len(tokens))
    match chance.randrange(3):
        case 0:
            del tokens[place]
        case 1:
            tokens.insert(place, tokens[other])
        case 2:
            tokens[place], tokens[other] = tokens[other], tokens[place]
    return " ".join(tokens)


SHORT = [statement for statement in load() if len(statement.sql) <= _LONGEST]


@pytest.fixture(scope="module")
def lake() -> Iterator[Account]:
    with statement_tables.serve() as account:
        yield account


@pytest.mark.parametrize("part", range(8))
def test_what_the_grammar_refuses_does_not_run(lake: Account, part: int) -> None:
    chance = random.Random(part)
    refused = 0
    for _ in range(CHANGED // 8):
        statement: Statement = chance.choice(SHORT)
        sql = changed(statement.sql, chance)
        if is_of_the_grammar(sql):
            continue
        refused += 1
        error, _ = lake.answer(sql)
        assert error is not None, sql
    assert refused > CHANGED // 8 // 4
