"""Names as a query writes them, beside two parsers of Athena's SQL."""

from __future__ import annotations

import duckdb
import pytest
import sqlglot
import trino_sql_validator

from athena_reports.sql.names import quoted, sql_name
from tests.support.sql_words import words_of_sql


def test_every_word_can_name_a_table_and_a_column() -> None:
    words = words_of_sql()
    assert {"order", "select", "user", "end", "limit", "date"} <= set(words)
    for word in words:
        name = sql_name(word)
        sql = f"SELECT {name} FROM {name} WHERE {name} > 0 GROUP BY {name} ORDER BY {name}"
        verdict = trino_sql_validator.validate(sql, jinja="reject")
        assert (verdict.error, verdict.statement_count) == (None, 1), sql
        query = sqlglot.parse_one(sql, read="athena")
        assert [table.name for table in query.find_all(sqlglot.exp.Table)] == [word]
        assert {column.name for column in query.find_all(sqlglot.exp.Column)} == {word}, sql


@pytest.mark.parametrize("name", ["user_id", "date", "orders", "_"])
def test_a_name_that_sql_does_not_reserve_has_no_quotes(name: str) -> None:
    assert sql_name(name) == name


@pytest.mark.parametrize("name", ["event date", "event-date", "2day", "a.b", 'say "when"', "日付"])
def test_a_name_of_other_characters_is_quoted(name: str) -> None:
    sql = f"SELECT p.{sql_name(name)} FROM plays AS p"
    assert trino_sql_validator.validate(sql, jinja="reject").error is None
    (column,) = sqlglot.parse_one(sql, read="athena").find_all(sqlglot.exp.Column)
    assert column.name == name


def test_duckdb_takes_every_quoted_name() -> None:
    names = [*words_of_sql(), "at", "qualify", 'say "when"', "a.b"]
    values = ", ".join(f"1 AS {quoted(name)}" for name in names)
    assert duckdb.sql(f"SELECT {values}").columns == names
