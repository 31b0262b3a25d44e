"""The gate: what is refused before a query starts, and the parse tree of the rest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import SqlglotError
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokenizer_core import Token, TokenType
from trino_sql_validator import analyze_statements

from local_athena.athena.errors import ApiError, not_supported_request
from local_athena.athena.locations import s3_folder

LITERAL_WITH_TYPE = "typed_literal"
"""Key in `meta` of a Cast that was written TYPE 'text'."""
SPELLING = "spelling"
"""Key in `meta` of a DataType: how its name is written, in lower case."""
OPERATOR = "operator"
"""Key in `meta` of a set operation: where its word stands in the text."""

_ATHENA_STATEMENTS = re.compile(
    "alter|call|comment|create|delete|deny|describe|drop|execute|explain|grant|insert|merge|msck|optimize"
    "|prepare|deallocate|revoke|set|show|truncate|update|use|vacuum|refresh|analyze"
)
# What the validator says of some thousand values in a list, which Athena takes. sqlglot reads them.
_TOO_LONG = "maximum SQL statement complexity exceeded"
_EXTERNAL_FUNCTION = re.compile(r"(\s|--[^\n]*\n)*USING\s+EXTERNAL\s+FUNCTION\b", re.IGNORECASE)
_COMPRESSIONS = ("GZIP", "NONE", "SNAPPY", "ZSTD")


@dataclass(frozen=True)
class Unload:
    """Where UNLOAD writes a query's result.

    Attributes:
        target: An `s3://` prefix that ends with a slash.
        compression: Codec of the Parquet files: GZIP, NONE, SNAPPY or ZSTD.
    """

    target: str
    compression: str = "GZIP"


@dataclass(frozen=True)
class Statement:
    """A statement that has passed the gate.

    Attributes:
        sql: The query with its parameters filled in, to whose text positions in errors refer.
        unload: Where UNLOAD writes its result; None for a plain query.
    """

    sql: str
    tree: exp.Expr
    unload: Unload | None = None


def _typed_literal(_parser: Any, this: exp.Expr, to: exp.DataType) -> exp.Cast:
    node = exp.Cast(this=this, to=to)
    node.meta[LITERAL_WITH_TYPE] = True
    return node


class _Athena(Trino):
    """Trino's grammar with every function left as written, so that none is translated unseen."""

    # Subscripts stay as they are written.
    INDEX_OFFSET = 0

    class Parser(TrinoParser):
        """Functions parse as `exp.Anonymous`, but for those with a grammar of their own."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: TrinoParser.FUNCTION_PARSERS[name]
            for name in ("CAST", "TRY_CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM")
        }
        # A timestamp with a zone is TIMESTAMP in sqlglot 30.15, and TIMESTAMPTZ in 30.30.
        TYPE_LITERAL_PARSERS: ClassVar[dict[Any, Any]] = dict.fromkeys(
            (
                exp.DType.TIMESTAMP,
                exp.DType.TIMESTAMPTZ,
                exp.DType.DATE,
                exp.DType.DECIMAL,
                exp.DType.JSON,
            ),
            _typed_literal,
        )
        # sqlglot 30.15 gives `%` the precedence of `+`.
        TERM: ClassVar[dict[Any, Any]] = {
            token: node for token, node in TrinoParser.TERM.items() if token != TokenType.MOD
        }
        FACTOR: ClassVar[dict[Any, Any]] = {**TrinoParser.FACTOR, TokenType.MOD: exp.Mod}

        def parse_set_operation(
            self, this: exp.Expr | None, consume_pipe: bool = False
        ) -> exp.Expr | None:
            """INTERSECT binds closer than UNION and EXCEPT, which sqlglot does not know."""
            word = self._curr
            operation = super().parse_set_operation(this, consume_pipe)
            if operation is not None and word is not None:
                operation.meta[OPERATOR] = word.start
            if isinstance(operation, (exp.Union, exp.Except)):
                right: exp.Expr | None = operation.expression
                while self._curr is not None and self._curr.token_type == TokenType.INTERSECT:
                    right = super().parse_set_operation(right, consume_pipe)
                    assert right is not None
                    for modifier in self.SET_OP_MODIFIERS:
                        last = right.expression.args.get(modifier)
                        if last is not None:
                            right.set(modifier, last.pop())
                operation.set("expression", right)
            return operation

        def _parse_derived_table_values(self) -> exp.Values | None:
            """VALUES in FROM; of a set operation that begins with it, sqlglot makes a subquery."""
            return self._try_parse(super()._parse_derived_table_values, retreat=False)

        def _parse_types(self, *args: Any, **options: Any) -> exp.Expr | None:
            """Note how a type is spelt: Athena knows fewer names than sqlglot."""
            start = self._index
            node = super()._parse_types(*args, **options)
            if isinstance(node, exp.DataType):
                spelt = [token.text.lower() for token in self._tokens[start : self._index]]
                node.meta[SPELLING] = " ".join(spelt).partition(" (")[0]
            return node


def parse(sql: str, parameters: Sequence[str] = ()) -> Statement:
    """Parse one query, or that in an UNLOAD, with literals in the place of its `?`.

    Raise ApiError for what Athena rejects at the start, and for what is not supported here.
    """
    sql = _selected(sql)
    is_unload = _check_syntax(sql)
    tokens = _tokens(sql)
    unload = None
    if is_unload:
        sql, unload = _unwrapped(sql, tokens)
        tokens = _tokens(sql)
    if tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        sql = sql[: tokens.pop().start]
    _check_tokens(tokens)
    sql = _with_parameters(sql, tokens, parameters)
    sql = _readable(sql)
    try:
        (tree,) = _Athena().parse(sql)
    except SqlglotError as error:
        raise ApiError(
            f"NOT_SUPPORTED: the local Athena cannot read this query: {str(error).splitlines()[0]}"
        ) from error
    if tree is None:
        raise _mismatch(1, 1, "<EOF>", "a statement")
    _check_tree(tree)
    return Statement(sql, tree, unload)


_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def _check_tree(tree: exp.Expr) -> None:
    """What sqlglot's grammar takes and Trino's does not."""
    for node in tree.walk():
        if isinstance(node, _COMPARISONS) and isinstance(node.this, _COMPARISONS):
            raise _mismatch(*_place(node.expression), "=", "<EOF>")
        if isinstance(node, exp.AtTimeZone):
            zone = node.args["zone"]
            if not (
                isinstance(zone, exp.Interval) or (isinstance(zone, exp.Literal) and zone.is_string)
            ):
                raise _mismatch(*_place(zone), zone.name, "'INTERVAL', <string>")


def _place(node: exp.Expr) -> tuple[int, int]:
    """Line and column of a part of the tree, as far as it knows them."""
    for each in node.walk():
        if "line" in each.meta:
            return each.meta["line"], each.meta["col"] - len(each.name) + 1
    return 1, 1


def _tokens(sql: str) -> list[Token]:
    return list(_Athena().tokenize(sql))


def _unwrapped(sql: str, tokens: Sequence[Token]) -> tuple[str, Unload]:
    """The query in an UNLOAD, at the place where it stood, and what is said of its files."""
    depth = at = 0
    while not at or depth:
        at += 1
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(tokens[at].token_type, 0)
    start, end = tokens[1].start + 1, tokens[at].start
    target, said = tokens[at + 2].text, tokens[at + 3 :]
    properties = {
        name.text.lower(): value.text
        for name, equals, value in zip(said, said[1:], said[2:], strict=False)
        if equals.token_type == TokenType.EQ
    }
    form, compression = (properties.pop(name, "").upper() for name in ("format", "compression"))
    if form != "PARQUET":
        raise not_supported_request(f"UNLOAD in the format '{form}'")
    if compression not in ("", *_COMPRESSIONS) or properties:
        what = ", ".join(properties) or f"the compression {compression}"
        raise not_supported_request(f"UNLOAD with {what}")
    blank = re.sub(r"[^\n]", " ", sql[:start])
    unload = Unload(s3_folder(target, "The target of UNLOAD"), compression or Unload.compression)
    return blank + sql[start:end], unload


def _check_syntax(sql: str) -> bool:
    """Whether a statement is an UNLOAD; else it is a query."""
    if _EXTERNAL_FUNCTION.match(sql):
        raise not_supported_request("USING EXTERNAL FUNCTION")
    analysis = analyze_statements(_for_the_validator(sql), jinja="reject", function_arguments="off")
    kinds = [statement.kind for statement in analysis.statements]
    kind = kinds[0] if kinds else ""
    if kind not in ("", "query", "unload"):
        if _ATHENA_STATEMENTS.fullmatch(kind.split("_")[0]):
            statement = kind.replace("_", " ").upper()
            raise not_supported_request(
                f"{statement} statements, only SELECT, WITH, VALUES and UNLOAD"
            )
        raise _mismatch(1, 1, (sql.split() or [""])[0], "a query")
    error = analysis.validation.error
    if error is not None and _TOO_LONG not in error.message:
        line = error.line or sql.count("\n") + 1
        column = error.column or len(sql.rpartition("\n")[2]) + 1
        message = error.message.removeprefix("sql parser error: ")
        mismatch = re.fullmatch(r"Expected: (.*), found: (.*)", message, flags=re.DOTALL)
        if mismatch is None:
            raise ApiError(f"line {line}:{column}: {message}", athena_code="MALFORMED_QUERY")
        raise _mismatch(line, column, mismatch[2].replace("EOF", "<EOF>"), mismatch[1])
    if len(kinds) != 1:
        message = "line 1:1: mismatched input '<EOF>'"
        if kinds:
            message = "Only one sql statement is allowed."
        raise ApiError(message, athena_code="MALFORMED_QUERY")
    return kind == "unload"


_ROW_TOKENS = (
    *(TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA, TokenType.DASH),
    *(TokenType.NUMBER, TokenType.STRING, TokenType.NULL, TokenType.TRUE, TokenType.FALSE),
    *(TokenType.DATE, TokenType.TIMESTAMP),
)
_FEW_TOKENS = 100


def _for_the_validator(sql: str) -> str:
    """The statement with VALUES as the validator reads it, each word in its place.

    It takes rows in brackets alone, at few places, and not thousands. Their syntax is that of the
    items of a SELECT; what is a literal has none to check.
    """
    try:
        tokens = _tokens(sql)
    except SqlglotError:
        return sql  # the validator says what is wrong with it
    for at, token in enumerate(tokens):
        if token.token_type == TokenType.VALUES and at + 1 < len(tokens):
            sql = f"{sql[: token.start]}SELECT{sql[token.end + 1 :]}"
            rows = list(itertools.takewhile(_is_of_rows, tokens[at + 1 :]))
            comma = _comma_after(rows, _FEW_TOKENS)
            end = _last_row(rows)
            if comma is not None and end is not None and comma < end:
                blank = re.sub(r"[^\n]", " ", sql[comma:end])
                sql = sql[:comma] + blank + sql[end:]
    return sql


def _is_of_rows(token: Token) -> bool:
    return token.token_type in _ROW_TOKENS


def _comma_after(rows: Sequence[Token], count: int) -> int | None:
    """Where the first comma between rows stands after so many tokens."""
    depth = 0
    for position, token in enumerate(rows):
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if depth < 0:
            return None
        if depth == 0 and token.token_type == TokenType.COMMA and position >= count:
            return token.start
    return None


def _last_row(rows: Sequence[Token]) -> int | None:
    """Where the last row ends."""
    depth = 0
    end = None
    for token in rows:
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if depth < 0:
            break
        if depth == 0 and token.token_type != TokenType.COMMA:
            end = token.end + 1
    return end


_BEFORE_A_QUERY = (
    *(TokenType.L_PAREN, TokenType.R_PAREN),
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.ALL, TokenType.DISTINCT),
)


def _selected(sql: str) -> str:
    """The statement with `SELECT * FROM name` for `TABLE name`, which no parser here reads."""
    try:
        tokens = _tokens(sql)
    except SqlglotError:
        return sql  # the validator says what is wrong with it
    threes = list(zip([None, *tokens], tokens, tokens[1:], strict=False))
    for before, token, after in reversed(threes):
        is_query = before is None or before.token_type in _BEFORE_A_QUERY
        is_name = after.token_type != TokenType.L_PAREN
        if token.token_type == TokenType.TABLE and is_query and is_name:
            sql = f"{sql[: token.start]}SELECT * FROM{sql[token.end + 1 :]}"
    return sql


def _mismatch(line: int, column: int, found: str, expected: str) -> ApiError:
    message = f"line {line}:{column}: mismatched input '{found}'. Expecting: {expected}"
    return ApiError(message, athena_code="MALFORMED_QUERY")


def _readable(sql: str) -> str:
    """What sqlglot does not read.

    LIMIT ALL and ON OVERFLOW ERROR say nothing, ROW is ROWS in FETCH and OFFSET, and names of joins
    elsewhere are names.
    """
    tokens = _tokens(sql)
    for number, row in reversed(list(itertools.pairwise(tokens))):
        if row.text.upper() == "ROW" and number.token_type == TokenType.NUMBER:
            sql = sql[: row.start] + "ROWS" + sql[row.end + 1 :]
        elif row.token_type in (TokenType.SEMI, TokenType.ANTI):
            sql = f'{sql[: row.start]}"{row.text.lower()}"{sql[row.end + 1 :]}'
    tokens = _tokens(sql)
    for at, token in enumerate(tokens):
        rest = _IDLE.get(token.text.upper(), ())
        following = tokens[at + 1 : at + 1 + len(rest)]
        if rest and tuple(word.text.upper() for word in following) == rest:
            start, end = token.start, following[-1].end + 1
            sql = sql[:start] + re.sub(r"[^\n]", " ", sql[start:end]) + sql[end:]
    return sql


_IDLE = {"LIMIT": ("ALL",), "ON": ("OVERFLOW", "ERROR")}
"""Words that say what holds without them: the first, and those behind it."""


_INTERVAL_FIELDS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
_BEFORE_SUBSCRIPT = (
    *(TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.VAR, TokenType.IDENTIFIER),
    *(TokenType.ARRAY, TokenType.STRING),
)


def _check_expression(before: Token | None, token: Token, after: Sequence[Token]) -> None:
    """An array without ARRAY, an interval without its field, EXTRACT of a text, FETCH alone."""
    column = token.col - (token.end - token.start)
    if token.text.upper() == "FETCH" and after and after[0].token_type == TokenType.NUMBER:
        raise _mismatch(token.line, column, after[0].text, "'FIRST', 'NEXT'")
    if token.token_type == TokenType.L_BRACKET:
        is_name = before is not None and re.fullmatch(r"[A-Za-z_]\w*", before.text) is not None
        reserved = before is not None and before.text.upper() in _RESERVED
        if (
            before is None
            or reserved
            or (before.token_type not in _BEFORE_SUBSCRIPT and not is_name)
        ):
            raise _mismatch(token.line, column, "[", "an expression")
    elif token.token_type == TokenType.INTERVAL and after:
        signed = after[0].token_type in (TokenType.DASH, TokenType.PLUS)
        value, unit = after[signed], after[1 + signed : 2 + signed]
        if value.token_type == TokenType.STRING and (
            not unit or unit[0].text.upper() not in _INTERVAL_FIELDS
        ):
            found = unit[0] if unit else value
            at = found.col - (found.end - found.start)
            raise _mismatch(
                found.line, at, found.text, "'DAY', 'HOUR', 'MINUTE', 'MONTH', 'SECOND', 'YEAR'"
            )
    elif token.text.startswith("$$"):
        raise _mismatch(token.line, column, token.text, "an expression")
    elif (
        token.text.upper() == "EXTRACT"
        and len(after) > 1
        and after[0].token_type == TokenType.L_PAREN
        and after[1].token_type == TokenType.STRING
    ):
        raise _mismatch(token.line, column, f"'{after[1].text}'", "a field of a date")


_RESERVED = frozenset(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "IN",
        "BETWEEN",
        "LIKE",
        "WHEN",
        "THEN",
        "ELSE",
        "CASE",
        "ON",
        "BY",
        "HAVING",
        "UNION",
        "ALL",
        "DISTINCT",
        "EXISTS",
        "IS",
        "AS",
        "VALUES",
    ]
)


def _check_tokens(tokens: Sequence[Token]) -> None:
    """What the validator lets pass and Trino does not.

    That is LIMIT before OFFSET, a text as a table's name, and what `_check_expression` tells.
    """
    limit_at: set[int] = set()
    depth = 0
    for position, (before, token) in enumerate(zip([None, *tokens], tokens, strict=False)):
        _check_expression(before, token, tokens[position + 1 : position + 4])
        column = token.col - (token.end - token.start)
        if token.token_type in (TokenType.L_PAREN, TokenType.R_PAREN):
            limit_at.discard(depth)
            depth += 1 if token.token_type == TokenType.L_PAREN else -1
        elif token.token_type == TokenType.LIMIT:
            limit_at.add(depth)
        elif token.token_type == TokenType.OFFSET and depth in limit_at:
            raise _mismatch(token.line, column, token.text, "<EOF>")
        elif (
            token.token_type == TokenType.STRING
            and before is not None
            and before.token_type in (TokenType.FROM, TokenType.JOIN)
            and tokens[position - 2].token_type != TokenType.DISTINCT  # IS DISTINCT FROM 'a'
            and depth == 0
        ):
            raise _mismatch(token.line, column, f"'{token.text}'", "a relation")


def _with_parameters(sql: str, tokens: Sequence[Token], parameters: Sequence[str]) -> str:
    holes = [token for token in tokens if token.token_type == TokenType.PLACEHOLDER]
    if len(holes) != len(parameters):
        raise ApiError(
            "INVALID_PARAMETER_USAGE: Incorrect number of parameters: "
            f"expected {len(holes)} but found {len(parameters)}"
        )
    for hole, parameter in reversed(list(zip(holes, parameters, strict=True))):
        sql = f"{sql[: hole.start]}{_literal(parameter)}{sql[hole.end + 1 :]}"
    return sql


def _literal(parameter: str) -> str:
    """A parameter, if it is one literal and nothing else."""
    try:
        (tree,) = _Athena().parse(f"SELECT {parameter}")
        (node,) = tree.expressions if isinstance(tree, exp.Select) else [tree]
        while isinstance(node, (exp.Neg, exp.Cast)):
            node = node.this
        is_literal = isinstance(node, (exp.Literal, exp.Boolean, exp.Null))
        plain = is_literal and set(_set_args(tree)) == {"expressions"}
    except (SqlglotError, ValueError) as error:
        raise _not_a_literal(parameter) from error
    if not plain:
        raise _not_a_literal(parameter)
    return f" {parameter} "


def _not_a_literal(parameter: str) -> ApiError:
    """The limit is that of the local Athena, and not Athena's."""
    return ApiError(
        "NOT_SUPPORTED: the local Athena supports only literals as execution parameters, not"
        f" {parameter!r}. Write the expression into the query."
    )


def _set_args(node: exp.Expr | None) -> list[str]:
    return [name for name, value in (node.args.items() if node else ()) if value]
