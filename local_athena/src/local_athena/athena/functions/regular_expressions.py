"""Functions of regular expressions: DuckDB's where they find what Trino's do, else Python's."""

from __future__ import annotations

from local_athena.athena import joni
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.row import Function, on_page
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    INTEGER,
    VARCHAR,
    Expr,
    Type,
    array,
    build,
    text,
)

_EMPTY = text("")
_ZERO = Expr(("0",), BIGINT, constant="0")
_ONE = Expr(("1",), INTEGER, constant="1")


def _read(pattern: Expr) -> joni.Pattern | None:
    """A regular expression; None if it differs from row to row."""
    if pattern.constant is None:
        return None
    try:
        return joni.read(pattern.constant)
    except joni.NotReadError:
        raise not_supported(f"the regular expression {pattern.constant!r}") from None
    except ValueError as error:
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", str(error)) from None


def _re2(pattern: Expr, group: int = 0) -> Expr | None:
    """A regular expression for DuckDB; None if it would find something else, or in this group."""
    read = _read(pattern)
    if read is None or read.re2 is None or not read.re2_finds(group):
        return None
    return text(read.re2)


def _like(value: Expr, pattern: Expr) -> Expr:
    read = _read(pattern)
    if read is not None and read.re2 is not None:
        return build("regexp_matches({0}, {1})", BOOLEAN, value, text(read.re2))
    return build("python_regexp_like({0}, {1})", BOOLEAN, value, pattern)


def _extract(value: Expr, pattern: Expr, group: Expr = _ZERO) -> Expr:
    number = _group(pattern, group)
    regex = None if number is None else _re2(pattern, number)
    if regex is None:
        return build("python_regexp_extract({0}, {1}, {2})", VARCHAR, value, pattern, group)
    found = (
        f"CASE WHEN regexp_matches({{0}}, {{1}}) THEN regexp_extract({{0}}, {{1}}, {number}) END"
    )
    return build(found, VARCHAR, value, regex)


def _extract_all(value: Expr, pattern: Expr, group: Expr = _ZERO) -> Expr:
    number = _group(pattern, group)
    regex = None if number is None else _re2(pattern, number)
    if regex is None:
        all_ = "python_regexp_extract_all({0}, {1}, {2})"
        return build(all_, array(VARCHAR), value, pattern, group)
    all_ = f"regexp_extract_all({{0}}, {{1}}, {number})"
    return build(all_, array(VARCHAR), value, regex)


def _group(pattern: Expr, group: Expr) -> int | None:
    """The number of a group that is there; None if it depends on the row."""
    read = _read(pattern)
    if read is None or group.constant is None:
        return None
    number = int(group.constant)
    if not 0 <= number <= read.python.groups:
        message = f"Pattern has {read.python.groups} groups. Cannot access group {number}"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    return number


def _replace(value: Expr, pattern: Expr, by: Expr = _EMPTY) -> Expr:
    regex = _re2(pattern)
    replacement = None if regex is None else _re2_replacement(pattern, by)
    if regex is None or replacement is None:
        replaced = "python_regexp_replace({0}, {1}, {2})"
        return build(replaced, VARCHAR, value, pattern, by)
    return build("regexp_replace({0}, {1}, {2}, 'g')", VARCHAR, value, regex, replacement)


def _re2_replacement(pattern: Expr, by: Expr) -> Expr | None:
    """A replacement as DuckDB takes it; None if it has none for it."""
    read = _read(pattern)
    if read is None or by.constant is None:
        return None
    try:
        pieces = joni.read_replacement(read, by.constant)
    except ValueError:  # an error of the first row that has a match
        return None
    if any(isinstance(piece, int) and not read.re2_finds(piece) for piece in pieces):
        return None
    shown = [
        f"\\{piece}" if isinstance(piece, int) else piece.replace("\\", "\\\\") for piece in pieces
    ]
    return text("".join(shown))


def _replace_by_function(value: Expr, pattern: Expr, function: Expr) -> Expr:
    """Each match gives way to what a function makes of its groups; NULL makes all of it NULL."""
    _read(pattern)
    pieces = build("python_regexp_pieces({0}, {1})", Type("row"), value, pattern)
    replaced = "trino_regexp_joined(({0}).around, list_transform(({0}).groups, {1}))"
    return build(replaced, VARCHAR, pieces, function)


def _split(value: Expr, pattern: Expr) -> Expr:
    regex = _re2(pattern)
    if regex is None:
        pieces = "(python_regexp_pieces({0}, {1})).around"
        return build(pieces, array(VARCHAR), value, pattern)
    return build("regexp_split_to_array({0}, {1})", array(VARCHAR), value, regex)


def _count(value: Expr, pattern: Expr) -> Expr:
    regex = _re2(pattern)
    if regex is None:
        return build("python_regexp_count({0}, {1})", BIGINT, value, pattern)
    return build("len(regexp_extract_all({0}, {1}))", BIGINT, value, regex)


def _position(value: Expr, pattern: Expr, start: Expr = _ONE, occurrence: Expr = _ONE) -> Expr:
    _read(pattern)
    position = "python_regexp_position({0}, {1}, {2}, {3})"
    return build(position, INTEGER, value, pattern, start, occurrence)


FUNCTIONS = on_page(
    "functions/regexp",
    Function(
        "regexp_count(varchar, varchar) -> bigint",
        _count,
        "regexp_count('1a 2b 14m', '\\s*[a-z]+\\s*')",
        "3",
    ),
    Function(
        "regexp_extract(varchar, varchar) -> varchar",
        _extract,
        "regexp_extract('1a 2b 14m', '\\d+')",
        "1",
    ),
    Function(
        "regexp_extract(varchar, varchar, bigint) -> varchar",
        _extract,
        "regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)",
        "a",
    ),
    Function(
        "regexp_extract_all(varchar, varchar) -> array(varchar)",
        _extract_all,
        "regexp_extract_all('1a 2b 14m', '\\d+')",
        "[1, 2, 14]",
    ),
    Function(
        "regexp_extract_all(varchar, varchar, bigint) -> array(varchar)",
        _extract_all,
        "regexp_extract_all('1a 2b 14m', '(\\d+)([a-z]+)', 2)",
        "[a, b, m]",
    ),
    Function(
        "regexp_like(varchar, varchar) -> boolean",
        _like,
        "regexp_like('1a 2b 14m', '\\d+b')",
        "true",
    ),
    Function(
        "regexp_position(varchar, varchar, integer) -> integer",
        _position,
        "regexp_position('I have 23 apples, 5 pears', '\\d', 12)",
        "19",
    ),
    Function(
        "regexp_position(varchar, varchar) -> integer",
        _position,
        "regexp_position('I have 23 apples', '\\d')",
        "8",
    ),
    Function(
        "regexp_position(varchar, varchar, integer, integer) -> integer",
        _position,
        "regexp_position('I have 23 apples, 5 pears and 13 oranges', '\\b\\d+\\b', 12, 2)",
        "31",
    ),
    Function(
        "regexp_replace(varchar, varchar) -> varchar",
        _replace,
        "regexp_replace('1a 2b 14m', '\\d+[ab] ')",
        "14m",
    ),
    Function(
        "regexp_replace(varchar, varchar, varchar) -> varchar",
        _replace,
        "regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')",
        "3ca 3cb 14m",
    ),
    Function(
        "regexp_replace(varchar, varchar, function(array(varchar), varchar)) -> varchar",
        _replace_by_function,
        "regexp_replace('new york', '(\\w)(\\w*)', x -> upper(x[1]) || lower(x[2]))",
        "New York",
    ),
    Function(
        "regexp_split(varchar, varchar) -> array(varchar)",
        _split,
        "regexp_split('1a 2b 14m', '\\s*[a-z]+\\s*')",
        "[1, 2, 14, ]",
    ),
)

MACROS = (
    """trino_regexp_joined(around, replaced) AS CASE
        WHEN len(list_filter(replaced, lambda each: each IS NULL)) = 0 THEN array_to_string(
            list_transform(around, lambda piece, i: piece || coalesce(replaced[i], '')), '')
    END""",
)
