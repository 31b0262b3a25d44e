"""CAST and TRY_CAST as Trino does them: they parse less than DuckDB, and round half up."""

from __future__ import annotations

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.types import (
    DATE,
    TIMESTAMP,
    TIMESTAMP_UTC,
    UNKNOWN,
    VARCHAR,
    Expr,
    Type,
    build,
    coerce,
    common_type,
    is_float,
    is_integer,
    is_number,
    known_zone,
    local,
    text,
)

_INTEGER_TEXT = "[+-]?[0-9]+"
_DECIMAL_TEXT = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_FLOAT_TEXT = r"\s*[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)\s*"
_DATE_TEXT = r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\s*"
_TIMESTAMP_TEXT = (
    r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?\s*"
)
_SECONDS = "'%Y-%m-%d %H:%M:%S.%g'"
_TIMES = ("date", "timestamp", "timestamp with time zone")


def cast(expr: Expr, to: Type, *, safe: bool = False) -> Expr:
    """CAST(expr AS to), or TRY_CAST if `safe`.

    Raises:
        QueryFailed: TYPE_MISMATCH if Trino has no such cast, NOT_SUPPORTED if it is not done here.
    """
    source = expr.type
    if source in (to, UNKNOWN):
        return coerce(expr, to)
    if source.of and common_type(source, to) == to:
        return coerce(expr, to)
    if source.of or to.of or to.base == "char" or source.base == "char":
        raise not_supported(f"CAST({source} AS {to})")
    if to.base == "varchar":
        return _to_varchar(expr, to)
    if source.base == "varchar":
        return _parse(expr, to, safe)
    plain = f"{'TRY_CAST' if safe else 'CAST'}({{0}} AS {to.duckdb})"
    if is_number(source) and is_number(to):
        if is_float(source) and is_integer(to):
            return build(plain.replace("{0}", "round({0})"), to, expr)
        if source.base == "real" and to.base == "decimal":
            raise not_supported(f"CAST({source} AS {to})")
        if source.base == "double" and to.base == "decimal":
            return build(plain.replace("{0}", "CAST({0} AS VARCHAR)"), to, expr)
        return coerce(expr, to) if is_float(to) else build(plain, to, expr)
    if "boolean" in (source.base, to.base) and (is_number(source) or is_number(to)):
        return build(plain, to, expr)
    if source.base in _TIMES and to.base in _TIMES:
        if to.base == "timestamp with time zone":
            return expr if source.base == to.base else coerce(expr, TIMESTAMP_UTC)
        return build(plain, to, local(expr))
    raise QueryFailed("TYPE_MISMATCH", f"Cannot cast {source} to {to}")


def _to_varchar(expr: Expr, to: Type) -> Expr:
    source = expr.type
    if source.base == "varchar":
        return build(f"left({{0}}, {to.precision})", to, expr) if to.precision else expr.as_type(to)
    if to.precision is not None or is_float(source) or source.base == "varbinary":
        raise not_supported(f"CAST({source} AS {to})")
    if source.base == "timestamp":
        return build(f"strftime({{0}}, {_SECONDS})", VARCHAR, expr)
    if source.base == "timestamp with time zone":
        zone = text(" " + known_zone(source))
        return build(f"(strftime({{0}}, {_SECONDS}) || {{1}})", VARCHAR, local(expr), zone)
    return build("CAST({0} AS VARCHAR)", VARCHAR, expr)


def _parse(expr: Expr, to: Type, safe: bool) -> Expr:
    value = f"TRY_CAST({{0}} AS {to.duckdb})"
    message = f"Cannot cast '%s' to {to.base.upper()}"
    if is_integer(to):
        pattern = _INTEGER_TEXT
    elif to.base == "decimal":
        pattern = _DECIMAL_TEXT
    elif is_float(to):
        pattern = _FLOAT_TEXT
    elif to.base == "boolean":
        pattern = "(?i:true|false|t|f|1|0)"
    elif to == DATE:
        pattern, message = _DATE_TEXT, "Value cannot be cast to date: %s"
    elif to == TIMESTAMP:
        pattern, message = _TIMESTAMP_TEXT, "Value cannot be cast to timestamp: %s"
        value = f"trino_milliseconds({value})"
    else:
        raise not_supported(f"CAST({expr.type} AS {to})")
    return parsed(expr, pattern, value, to, "" if safe else f"INVALID_CAST_ARGUMENT: {message}")


def parsed(expr: Expr, pattern: str, value: str, to: Type, error: str, *extra: Expr) -> Expr:
    """A value read from a text.

    Args:
        expr: The text.
        pattern: What all of it must look like (RE2).
        value: DuckDB's template for the value, NULL where it cannot be read.
        to: The value's type.
        error: The message where it cannot be read, `%s` being the text; empty to give NULL instead.
        extra: What `value` needs beside the text `{0}`, from `{4}` on.
    """
    guarded = f"CASE WHEN regexp_full_match({{0}}, {{1}}) THEN {value} END"
    before, _, after = error.partition("%s")
    args = (expr, text(pattern), text(before), text(after), *extra)
    if not error:
        return build(guarded, to, *args)
    failure = "error({2} || {0} || {3})"
    return build(f"coalesce({guarded}, CASE WHEN {{0}} IS NOT NULL THEN {failure} END)", to, *args)
