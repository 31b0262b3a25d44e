"""Reads SQL with sqlglot, which only the commands of authors need: no run parses SQL."""

import sqlglot
from sqlglot import Token, exp
from sqlglot.dialects.athena import Athena
from sqlglot.errors import SqlglotError

from athena_reports.errors import AthenaReportsError

DIALECT = "athena"
# Words that have a meaning in the SQL of Athena, in lower case.
KEYWORDS = frozenset(keyword.lower() for keyword in Athena.Tokenizer.KEYWORDS)


class SqlError(AthenaReportsError):
    """The SQL cannot be read. It may be right all the same."""


def parse_query(sql: str) -> exp.Query:
    """Return the query that some SQL is; SqlError if sqlglot does not read it as one query."""
    try:
        statements = sqlglot.parse(sql, read=DIALECT)
    except (SqlglotError, RecursionError) as error:
        raise _unreadable(error) from error
    # What follows the last semicolon: nothing, or comments.
    while statements and isinstance(statements[-1], exp.Semicolon | None):
        statements.pop()
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SqlError("sqlglot does not read the SQL as one query.")
    query = statements[0]
    for column in query.find_all(exp.Column):
        # sqlglot takes the reserved word of `TABLE plays`, which is short for SELECT * FROM plays,
        # for a column.
        if column.name.upper() == "TABLE" and not column.this.args.get("quoted"):
            raise SqlError("sqlglot does not read TABLE as a query. Write SELECT * FROM.")
    return query


def tokens(sql: str) -> list[Token]:
    """Return the words and signs of SQL with their places; SqlError if it does not end."""
    try:
        return sqlglot.tokenize(sql, read=DIALECT)
    except SqlglotError as error:
        raise _unreadable(error) from error


def not_understood(error: Exception) -> SqlError:
    """Return what to raise if sqlglot reads a query, but cannot resolve its names."""
    return SqlError(f"sqlglot does not understand the SQL: {_first_line(error)}")


def _unreadable(error: Exception) -> SqlError:
    return SqlError(f"sqlglot cannot read the SQL: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
