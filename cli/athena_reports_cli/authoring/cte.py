"""Selects from one CTE of a query. What stands in its WITH stays the author's text."""

from sqlglot import TokenType

from athena_reports.errors import AthenaReportsError
from athena_reports.sql.names import quoted
from athena_reports_cli.authoring.sql_parser import tokens


class CteError(AthenaReportsError):
    """The SQL has no such CTE."""


def select_from(cte: str, sql: str) -> str:
    """Return SQL that gives the rows of a CTE. The CTEs of the SQL stay as they are.

    Args:
        cte: The name of the CTE, without quotes, as the SQL writes it.
        sql: A query that begins with WITH.

    Raises:
        CteError: If the SQL has no such CTE.
        SqlError: If the SQL cannot be read.
    """
    words = tokens(sql)
    if not words or words[0].token_type != TokenType.WITH:
        raise CteError(f"The SQL has no CTE {cte!r}: it does not begin with WITH.")

    ctes = []
    end_of_ctes = len(sql)
    depth = 0  # how many parentheses are open
    previous = TokenType.WITH
    for word in words[1:]:
        kind = word.token_type
        if depth == 0:
            # The parentheses around the columns of a CTE stand before AS, those of its query before
            # a comma or the main query.
            follows_query = previous == TokenType.R_PAREN
            if follows_query and kind not in (TokenType.COMMA, TokenType.ALIAS):
                end_of_ctes = word.start
                break
            begins_cte = previous in (TokenType.WITH, TokenType.RECURSIVE, TokenType.COMMA)
            if begins_cte and kind != TokenType.RECURSIVE:
                ctes.append(word.text)
        if kind == TokenType.L_PAREN:
            depth += 1
        elif kind == TokenType.R_PAREN:
            depth -= 1
        previous = kind
    if cte not in ctes:
        known = "none"
        if ctes:
            known = ", ".join(ctes)
        raise CteError(f"The SQL has no CTE {cte!r}. It has {known}.")
    return f"{sql[:end_of_ctes]}SELECT * FROM {quoted(cte)}"
