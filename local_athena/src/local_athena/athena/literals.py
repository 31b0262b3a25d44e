"""Literals and names of types, as Athena writes them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from sqlglot import exp

from local_athena.athena.dialect import SPELLING
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions import json, operators
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DAY_INTERVAL,
    DOUBLE,
    INTEGER,
    JSON,
    MONTH_INTERVAL,
    REAL,
    SMALLINT,
    TIMESTAMP,
    TIMESTAMP_TZ,
    TINYINT,
    VARBINARY,
    VARCHAR,
    Expr,
    Type,
    build,
    decimal,
    quoted,
    same_in_utc,
    text,
    zoned,
)

_TYPES = {
    exp.DType.BOOLEAN: BOOLEAN,
    exp.DType.TINYINT: TINYINT,
    exp.DType.SMALLINT: SMALLINT,
    exp.DType.INT: INTEGER,
    exp.DType.BIGINT: BIGINT,
    exp.DType.FLOAT: REAL,
    exp.DType.DOUBLE: DOUBLE,
    exp.DType.VARCHAR: VARCHAR,
    exp.DType.VARBINARY: VARBINARY,
    exp.DType.DATE: DATE,
    exp.DType.TIMESTAMP: TIMESTAMP,
    exp.DType.TIMESTAMPTZ: TIMESTAMP_TZ,
    exp.DType.JSON: JSON,
}
_SPELLINGS = re.compile(
    "boolean|tinyint|smallint|integer|int|bigint|real|double|double precision|decimal|varchar|char"
    "|varbinary|date|timestamp|json|array|map|row"
)
"""How Athena's types are spelt in a query: not `float`, `string` or `timestamptz`."""


def named_type(node: exp.DataType) -> Type:
    """Return a type as it is written."""
    spelling = re.split(r"[^a-z0-9_ ]", node.meta.get(SPELLING, ""))[0]
    spelling = re.sub(r" with(out)? time zone|\s+$", "", spelling)
    if spelling and not _SPELLINGS.fullmatch(spelling):
        if spelling in ("time", "interval", "ipaddress", "uuid", "numeric", "dec"):
            raise not_supported(f"the type {spelling}")
        raise QueryFailed("TYPE_NOT_FOUND", f"Unknown type: {spelling}")
    if node.this in (exp.DType.ARRAY, exp.DType.MAP):
        return Type(node.this.value.lower(), of=tuple(map(named_type, node.expressions)))
    if node.this == exp.DType.STRUCT:
        kinds = [
            each.args["kind"] if isinstance(each, exp.ColumnDef) else each
            for each in node.expressions
        ]
        names = [each.name if isinstance(each, exp.ColumnDef) else "" for each in node.expressions]
        if not all(isinstance(kind, exp.DataType) for kind in kinds):
            raise not_supported(f"the type {node.sql('trino')}")
        return Type("row", of=tuple(map(named_type, kinds)), fields=tuple(names))
    parameters = [int(parameter.name) for parameter in node.expressions if parameter.name.isdigit()]
    if node.this == exp.DType.DECIMAL:
        precision, scale = [*parameters, *([38, 0][len(parameters) :])]
        return decimal(precision, scale)
    if node.this == exp.DType.CHAR:
        return Type("char", parameters[0] if parameters else 1)
    type_ = _TYPES.get(node.this)
    if type_ is None:
        raise not_supported(f"the type {node.sql('trino')}")
    if type_ == VARCHAR and parameters:
        return Type("varchar", parameters[0])
    if parameters not in ([], [3]):
        raise not_supported(f"the type {node.sql('trino')}")
    return type_


def number(digits: str) -> Expr:
    """Return a numeric literal: integer or bigint, else double.

    Athena reads `1.5` as a double, unlike Trino.
    """
    if re.fullmatch(r"-?\d+", digits):
        if not -(2**63) <= int(digits) < 2**63:
            raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", f"Invalid numeric literal: {digits}")
        type_ = INTEGER if -(2**31) <= int(digits) < 2**31 else BIGINT
    elif re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", digits):
        type_ = DOUBLE
    else:
        raise not_supported(f"the number {digits}")
    return Expr((f"CAST({quoted(digits)} AS {type_.duckdb})",), type_, constant=digits)


def _decimal(digits: str) -> Expr:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", digits):
        raise not_supported(f"the decimal {digits}")
    whole, _, fraction = digits.lstrip("+-").partition(".")
    type_ = decimal(len(whole.lstrip("0")) + len(fraction), len(fraction))
    return Expr((f"CAST({quoted(digits)} AS {type_.duckdb})",), type_, constant=digits)


def _read_literal(value: str, kind: str) -> Expr:
    """DATE '...' or TIMESTAMP '...' without a zone."""
    match = re.fullmatch(_MOMENT, value)
    if match is None or (kind == "date" and match[4]):
        raise QueryFailed("INVALID_LITERAL", f"'{value}' is not a valid {kind} literal")
    year, month, day, hour, minute, second, fraction = match.groups()
    # Athena rounds to milliseconds.
    thousandths = (Decimal(f"0.{fraction or 0}") * 1000).quantize(Decimal(1), ROUND_HALF_UP)
    try:
        moment = datetime(  # noqa: DTZ001 - a timestamp of Athena has no zone
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        ) + timedelta(milliseconds=int(thousandths))
    except (ValueError, OverflowError):
        message = f"'{value}' is not a valid {kind} literal"
        raise QueryFailed("INVALID_LITERAL", message) from None
    if kind == "date":
        return Expr((f"DATE '{moment.date().isoformat()}'",), DATE)
    return Expr((f"TIMESTAMP '{moment.isoformat(sep=' ')}'",), TIMESTAMP)


_MOMENT = (
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?\s*"
)


_INTERVAL_UNITS = ("year", "month", "day", "hour", "minute", "second")


def interval(node: exp.Interval) -> Expr:
    """INTERVAL '7' DAY, or over a range of units: INTERVAL '1 12:30' DAY TO MINUTE."""
    unit, value = node.args["unit"], node.this
    is_negative = isinstance(value, exp.Neg)
    value = value.this if is_negative else value
    if isinstance(unit, exp.IntervalSpan):
        names = (unit.this.name.lower(), unit.expression.name.lower())
        first, last = (_INTERVAL_UNITS.index(name) for name in names)
        units = _INTERVAL_UNITS[first : last + 1]
    else:
        units = (unit.name.lower(),) if isinstance(unit, exp.Var) else ()
    digits = re.split(r"[- :]", value.name.lstrip("+-"))
    is_shaped = re.fullmatch(r"[+-]?(\d+|\d+-\d+|\d+ \d+|(\d+ )?\d+(:\d+){1,2})", value.name)
    if not is_shaped or len(digits) != len(units) or not set(units) <= set(_INTERVAL_UNITS):
        raise not_supported("this interval")
    sign = "-" if is_negative != value.name.startswith("-") else ""
    listed = " ".join(f"{sign}{int(each)} {name}" for each, name in zip(digits, units, strict=True))
    type_ = MONTH_INTERVAL if units[0] in ("year", "month") else DAY_INTERVAL
    return Expr((f"INTERVAL '{listed}'",), type_, constant=units[-1])


def typed_literal(node: exp.Cast) -> Expr:
    """DECIMAL '1.50' takes its scale from the text, TIMESTAMP '... Asia/Tokyo' its type."""
    value = node.this
    if not isinstance(value, exp.Literal):
        raise not_supported(f"this {node.to.key} literal")
    if node.args["to"].this == exp.DType.DECIMAL:
        return _decimal(value.name)
    if node.args["to"].this == exp.DType.JSON:
        return json.literal_json(value.name)
    if node.args["to"].this == exp.DType.DATE:
        return _read_literal(value.name, "date")
    match = re.fullmatch(r"(\s*\S+(?: \d[\d:.]*)?)\s*(.*)", value.name, flags=re.DOTALL)
    if match is None or not match[2]:
        return _read_literal(value.name, "timestamp")
    local_time, zone = _read_literal(match[1], "timestamp"), match[2]
    in_zone = operators.at_time_zone(local_time, text(zone))
    # What is a day before in UTC is before the clocks of a zone have gone back.
    day_before = build("({0} - INTERVAL 1 DAY)", TIMESTAMP, local_time)
    return zoned(local_time, in_zone, near=same_in_utc(day_before))
