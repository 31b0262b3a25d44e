"""Operators, and what has a grammar of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from zoneinfo import available_timezones

from local_athena.athena.casts import cast
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.row import literal
from local_athena.athena.signatures import WrongArgumentsError
from local_athena.athena.types import (
    BOOLEAN,
    DATE,
    DAY_INTERVAL,
    DOUBLE,
    INTEGER,
    MONTH_INTERVAL,
    TIMESTAMP_UTC,
    UNKNOWN,
    VARCHAR,
    Expr,
    Type,
    array,
    at_instant,
    build,
    coerce,
    common_type,
    connected,
    decimal,
    instant,
    is_float,
    is_integer,
    is_number,
    joined,
    local,
    packed,
    row_fields,
    separated,
    text,
    unify,
    zoned,
)

_TIMES = ("date", "timestamp", "timestamp with time zone")


def number(expr: Expr) -> Expr:
    """Return a number, or NULL as one."""
    if expr.type == UNKNOWN:
        return coerce(expr, INTEGER)
    if not is_number(expr.type):
        raise WrongArgumentsError
    return expr


def arithmetic(operator: str, left: Expr, right: Expr) -> Expr:
    """`+ - * / %` with Trino's result types: integers divide truncating, decimals exactly."""
    moment = _moved(operator, left, right)
    if moment is not None:
        return moment
    for side in (left, right):
        if not is_number(side.type) and side.type != UNKNOWN:
            raise _no_operator(operator, left, right)
    type_ = common_type(left.type, right.type) or UNKNOWN
    if type_.base == "decimal":
        sides = [side if side.type != UNKNOWN else coerce(side, type_) for side in (left, right)]
        return _decimal_arithmetic(operator, *sides)
    left, right = (coerce(side, INTEGER if type_ == UNKNOWN else type_) for side in (left, right))
    type_ = left.type
    if is_integer(type_):
        duckdb_operator = "//" if operator == "/" else operator
        return build(f"CAST(({{0}} {duckdb_operator} {{1}}) AS {type_.duckdb})", type_, left, right)
    return build(f"({{0}} {operator} {{1}})", type_, left, right)


def _no_operator(operator: str, left: Expr, right: Expr) -> QueryFailed:
    message = f"Cannot apply operator: {left.type} {operator} {right.type}"
    return QueryFailed("TYPE_MISMATCH", message)


def _moved(operator: str, left: Expr, right: Expr) -> Expr | None:
    """Arithmetic with a moment or an interval; None if there is neither."""
    intervals = [side.type.base.startswith("interval") for side in (left, right)]
    moments = [side.type.base in _TIMES for side in (left, right)]
    if moments[0] and intervals[1] and operator in "+-":
        return _add_interval(left, right, operator)
    if intervals[0] and moments[1] and operator == "+":
        return _add_interval(right, left, operator)
    if all(moments) and operator == "-":
        start, end = unify(left, right)
        if start.type == DATE:
            days = "to_days(CAST({0} - {1} AS INTEGER))"
            return build(days, DAY_INTERVAL, start, end)
        return build("trino_span({0}, {1})", DAY_INTERVAL, instant(start), instant(end))
    if all(intervals) and left.type == right.type and operator in "+-":
        return build(f"({{0}} {operator} {{1}})", left.type, left, right)
    for interval, factor in ((left, right), (right, left)):
        is_interval = interval.type in (DAY_INTERVAL, MONTH_INTERVAL)
        if is_interval and is_integer(factor.type) and operator == "*":
            return build("({0} * CAST({1} AS INTEGER))", interval.type, interval, factor)
        if interval.type == DAY_INTERVAL and is_number(factor.type) and operator == "*":
            return _scaled(interval, "*", factor)
    if left.type == DAY_INTERVAL and is_number(right.type) and operator == "/":
        return _scaled(left, "/", right)
    return None


def _scaled(interval: Expr, operator: str, factor: Expr) -> Expr:
    """An interval of days to seconds times a number or divided by it, in whole milliseconds."""
    milliseconds = f"trunc(trino_interval_ms({{0}}) {operator} {{1}})"
    scaled = f"to_microseconds(CAST({milliseconds} AS BIGINT) * 1000)"
    return build(scaled, interval.type, interval, coerce(factor, DOUBLE))


def _decimal_arithmetic(operator: str, left: Expr, right: Expr) -> Expr:
    """Result types by Trino's documentation, "Decimal functions and operators"."""
    (p1, s1), (p2, s2) = left.type.digits, right.type.digits
    scale = max(s1, s2)
    if operator in "+-":
        type_ = decimal(max(p1 - s1, p2 - s2) + scale + 1, scale)
        as_type = f"CAST({{0}} AS {type_.duckdb})"
        left, right = (build(as_type, type_, side) for side in (left, right))
        return build(f"CAST(({{0}} {operator} {{1}}) AS {type_.duckdb})", type_, left, right)
    left, right = (coerce(side, decimal(*side.type.digits)) for side in (left, right))
    if operator == "*":
        type_ = decimal(p1 + p2, s1 + s2)
        # DuckDB would multiply two decimals of up to 18 digits in 64 bits.
        left = build(f"CAST({{0}} AS {decimal(p1 + p2, s1).duckdb})", type_, left)
        return build(f"CAST(({{0}} * {{1}}) AS {type_.duckdb})", type_, left, right)
    if operator == "/":
        type_ = decimal(p1 + s2 + max(s2 - s1, 0), scale)
        shift = 10 ** (scale + s2 - s1)
        divide = f"trino_divide(trino_unscaled({{0}}) * {shift}, trino_unscaled({{1}}))"
        quotient = build(divide, type_, left, right)
    else:
        type_ = decimal(min(p2 - s2, p1 - s1) + scale, scale)
        wide = [10 ** (scale - own) for own in (s1, s2)]
        template = f"(trino_unscaled({{0}}) * {wide[0]} % (trino_unscaled({{1}}) * {wide[1]}))"
        quotient = build(template, type_, left, right)
    return build(scaled("{0}", type_), type_, quotient)


def scaled(unscaled: str, type_: Type) -> str:
    """DuckDB's text for the decimal that an unscaled HUGEINT stands for."""
    scale = type_.digits[1]
    factor = f" * CAST('0.{1:0{scale}d}' AS DECIMAL({scale}, {scale}))" if scale else ""
    return f"CAST((CAST({unscaled} AS DECIMAL(38, 0)){factor}) AS {type_.duckdb})"


def _add_interval(moment: Expr, interval: Expr, operator: str) -> Expr:
    months = interval.type == MONTH_INTERVAL
    if moment.type == DATE:
        if not months and interval.constant != "day":
            moved = f"trino_whole_days({{0}} {operator} {{1}})"
            return build(moved, DATE, moment, interval)
        return build(f"CAST(({{0}} {operator} {{1}}) AS DATE)", DATE, moment, interval)
    if moment.type.base == "timestamp":
        return build(f"({{0}} {operator} {{1}})", moment.type, moment, interval)
    if not months:
        # A day to second interval is a span of time: over a change of DST, a day is 24 hours.
        sum_ = build(f"({{0}} {operator} {{1}})", TIMESTAMP_UTC, instant(moment), interval)
        return at_instant(sum_, moment)
    wall = build(f"({{0}} {operator} {{1}})", Type("timestamp"), local(moment), interval)
    return zoned(wall, moment, near=instant(moment))


def negate(value: Expr) -> Expr:
    """Unary minus."""
    if value.type in (DAY_INTERVAL, MONTH_INTERVAL):
        return build("(-{0})", value.type, value)
    if value.type != UNKNOWN and not is_number(value.type):
        raise QueryFailed("TYPE_MISMATCH", f"Cannot negate {value.type}")
    value = number(value)
    return build(f"CAST((-{{0}}) AS {value.type.duckdb})", value.type, value)


def comparison(operator: str, left: Expr, right: Expr) -> Expr:
    """`= <> < <= > >=` and DISTINCT FROM; NaN compares as in IEEE 754, other than in DuckDB."""
    if common_type(left.type, right.type) is None:
        raise _no_operator(operator, left, right)
    left, right = (instant(side) for side in unify(left, right))
    if left.type.of:
        return _compared_elements(operator, left, right)
    plain = f"({{0}} {operator} {{1}})"
    suspects = [f"isnan({{{i}}})" for i, side in enumerate((left, right)) if side.constant is None]
    if is_float(left.type) and suspects and "DISTINCT" not in operator:
        result = "true" if operator == "<>" else "false"
        missing, nan = "{0} IS NULL OR {1} IS NULL", " OR ".join(suspects)
        plain = f"CASE WHEN {missing} THEN NULL WHEN {nan} THEN {result} ELSE {plain} END"
    return build(plain, BOOLEAN, left, right)


def is_one_of(value: Expr, items: Sequence[Expr]) -> Expr:
    """`value IN (items)`."""
    equal = [comparison("=", value, item) for item in items]
    value, *unified = unify(value, *items)
    type_ = value.type
    if type_.of or is_float(type_) or type_.base == "timestamp with time zone":
        return connected("OR", equal)
    return joined("(", value, " IN (", *separated(", ", unified), "))", type_=BOOLEAN)


def _compared_elements(operator: str, left: Expr, right: Expr) -> Expr:
    type_ = left.type
    if "DISTINCT" in operator and not any(is_float(Type(base)) for base in type_.bases):
        return build(f"({{0}} {operator} {{1}})", BOOLEAN, left, right)
    is_plain = not any(held.of or is_float(held) for held in type_.of)
    if operator in ("<", "<=", ">", ">=") and "map" in type_.bases:
        raise _no_operator(operator, left, right)
    if not is_plain or "DISTINCT" in operator:
        raise not_supported(f"{operator} of {type_.base}s such as {type_}")
    if operator not in ("=", "<>"):
        return build(
            f"({{0}} {operator} {{1}})", BOOLEAN, _without_null(left), _without_null(right)
        )
    if type_.base == "map":
        equal = build("trino_map_equal({0}, {1})", BOOLEAN, left, right)
    elif type_.base == "array":
        equal = build("trino_array_equal({0}, {1})", BOOLEAN, left, right)
    else:
        pairs = zip(row_fields(left), row_fields(right), strict=True)
        equal = connected("AND", [comparison("=", *pair) for pair in pairs])
        missing = "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN {2} END"
        equal = build(missing, BOOLEAN, left, right, equal)
    return equal if operator == "=" else build("(NOT {0})", BOOLEAN, equal)


def _without_null(value: Expr) -> Expr:
    """An array or row that fails if there is NULL in it: Trino puts them in no order."""
    if value.type.base == "row":
        return sort_key(value)
    message = text("NOT_SUPPORTED: ARRAY comparison not supported for arrays with null elements")
    return build("trino_comparable({0}, {1})", value.type, value, message)


def field_of(row: Expr, name: str) -> Expr | None:
    """Return a field of a row by its name, None if there is none."""
    named = {field.lower(): position for position, field in enumerate(row.type.fields) if field}
    position = named.get(name.lower())
    return None if position is None else row_fields(row)[position]


def subscript(value: Expr, key: Expr) -> Expr:
    """`value[key]` of an array, a map or a row."""
    base = value.type.base
    if base == "row":
        position = int(key.constant) if key.constant and key.constant.isdigit() else 0
        if not 1 <= position <= len(value.type.of):
            message = f"Invalid subscript of {value.type}: a constant from 1 to its fields' number"
            raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
        return row_fields(value)[position - 1]
    if base == "array" and (is_integer(key.type) or key.type == UNKNOWN):
        return build("trino_subscript({0}, {1})", value.type.of[0], value, key)
    if base == "map" and common_type(value.type.of[0], key.type) == value.type.of[0]:
        key = coerce(key, value.type.of[0])
        return build("trino_map_value({0}, {1})", value.type.of[1], value, key)
    message = f"Cannot use {key.type} for subscript of {value.type}"
    raise QueryFailed("TYPE_MISMATCH", message)


def like(value: Expr, pattern: Expr, escape: Expr | None) -> Expr:
    """LIKE: binary, without an escape character unless one is given."""
    given = [each for each in (value, pattern, escape) if each is not None]
    for each in given:
        if each.type.base not in ("varchar", "char", "unknown"):
            message = (
                f"Left side of LIKE expression must evaluate to a varchar (actual: {each.type})"
            )
            raise QueryFailed("TYPE_MISMATCH", message)
    args = [coerce(each, VARCHAR) for each in given]
    if escape is None:
        return build("({0} LIKE {1})", BOOLEAN, *args)
    sign, form = escape.constant, pattern.constant
    if sign is None or form is None:
        raise not_supported("LIKE with an ESCAPE that is not a literal")
    if len(sign) != 1:
        message = "Escape string must be a single character"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    escaped = re.escape(sign)
    if not re.fullmatch(f"(?:{escaped}[%_{escaped}]|[^{escaped}])*", form, flags=re.DOTALL):
        message = "Escape character must be followed by '%', '_' or the escape character itself"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    return build("({0} LIKE {1} ESCAPE {2})", BOOLEAN, *args)


def at_time_zone(moment: Expr, zone: Expr) -> Expr:
    """AT TIME ZONE: the same instant, read in another zone; a plain timestamp counts as UTC."""
    if moment.type.base not in ("timestamp", "timestamp with time zone"):
        raise QueryFailed("TYPE_MISMATCH", f"Cannot apply AT TIME ZONE to {moment.type}")
    if moment.type.base == "timestamp":
        moment = coerce(moment, TIMESTAMP_UTC)
    return in_zone(instant(moment), zone)


def in_zone(moment: Expr, zone: Expr) -> Expr:
    """Return an instant under a zone, a literal or one that differs from row to row."""
    if zone.constant is not None:
        known = Type("timestamp with time zone", zone=zone_name(zone))
        return moment.as_type(known)
    if zone.type.base != "varchar":
        raise WrongArgumentsError
    type_ = Type("timestamp with time zone")
    return build("trino_zoned({0}, {1})", type_, moment, zone)


def zone_name(zone: Expr) -> str:
    """Return a zone as Athena prints it: an IANA name, UTC, or an offset such as +09:00."""
    name = literal(zone, "a time zone")
    if re.fullmatch(r"[+-]\d\d:\d\d", name):
        return "UTC" if name[1:] == "00:00" else name
    if not re.fullmatch(r"UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+", name) or name not in _zones():
        raise not_supported(f"the time zone {name!r} (a name such as Asia/Tokyo, or UTC)")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def named_row(to: Type, values: Sequence[Expr], *, safe: bool) -> Expr:
    """CAST(ROW(...) AS ROW(name type, ...))."""
    if len(values) != len(to.of):
        raise QueryFailed("TYPE_MISMATCH", f"Cannot cast a row of {len(values)} fields to {to}")
    return packed(
        to, [cast(each, type_, safe=safe) for each, type_ in zip(values, to.of, strict=True)]
    )


def row_of(*values: Expr) -> Expr:
    """ROW(...), whose fields have no names."""
    types = tuple(value.type for value in values)
    return packed(Type("row", of=types, fields=("",) * len(values)), values)


def sort_key(expr: Expr) -> Expr:
    """What a row, or anything else, is ordered by: Trino compares no rows with NULL in them."""
    if "map" in expr.type.bases:
        message = f"Type {expr.type} is not orderable, and therefore cannot be used in ORDER BY"
        raise QueryFailed("TYPE_MISMATCH", message)
    if expr.type.base != "row":
        return instant(expr)
    nulls = build(
        "[{*}]", UNKNOWN, *(build("({0} IS NULL)", BOOLEAN, each) for each in row_fields(expr))
    )
    failure = text("NOT_SUPPORTED: ROW comparison not supported for fields with null elements")
    return build(
        "CASE WHEN {2} IS NOT NULL AND list_contains({0}, true) THEN trino_error({1}) ELSE {2} END",
        expr.type,
        nulls,
        failure,
        expr,
    )


def array_of(*elements: Expr) -> Expr:
    """ARRAY[...]."""
    if not elements:
        return build("CAST([] AS INTEGER[])", array(UNKNOWN))
    elements = unify(*elements)
    return build("[{*}]", array(elements[0].type), *elements)


def conditional(conditions: Sequence[Expr], results: Sequence[Expr]) -> Expr:
    """CASE: one result more than conditions, the last being ELSE."""
    unified = unify(*results)
    branches: list[str | Expr] = []
    for condition, result in zip(conditions, unified[:-1], strict=True):
        branches += [" WHEN ", condition, " THEN ", result]
    return joined("CASE", *branches, " ELSE ", unified[-1], " END", type_=unified[0].type)


MACROS = (
    "trino_unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)",
    """trino_divide(n, d) AS (n // d + CASE
        WHEN abs(n % d) >= abs(d) - abs(n % d) THEN CAST(sign(n) * sign(d) AS HUGEINT)
        ELSE 0
    END)""",
    """trino_milliseconds(t) AS
        make_timestamp(epoch_us(t) + 500 - ((epoch_us(t) + 500) % 1000 + 1000) % 1000)""",
    "trino_error(message) AS CASE WHEN CAST(message AS BIGINT) IS NULL THEN NULL END",
    "trino_invalid(message) AS trino_error('INVALID_FUNCTION_ARGUMENT: ' || message)",
    "trino_undone(what) AS error('NOT_SUPPORTED: the local Athena does not support ' || what)",
    "trino_interval_ms(i) AS CAST(epoch_ms(TIMESTAMP '1970-01-01' + i) AS BIGINT)",
    "trino_span(a, b) AS to_microseconds(epoch_us(a) - epoch_us(b))",
    """trino_whole_days(t) AS CASE
        WHEN CAST(CAST(t AS DATE) AS TIMESTAMP) <> t
            THEN trino_invalid('Cannot add hour, minutes or seconds to a date')
        ELSE CAST(t AS DATE)
    END""",
    """trino_offset(z) AS to_minutes(CAST(z[1] || '1' AS INTEGER)
        * (CAST(z[2:3] AS INTEGER) * 60 + CAST(z[5:6] AS INTEGER)))""",
    """trino_wall(t, z) AS CASE
        WHEN z[1] IN ('+', '-') THEN timezone('UTC', t) + trino_offset(z)
        ELSE timezone(z, t)
    END""",
    "trino_kept(wall, z, near) AS near + (wall - timezone(z, near))",
    # Where the clocks of a zone go back, a local time comes twice: it has the offset of the zone at
    # the instant `near`, where DuckDB gives the later one. One that the clocks leave out moves
    # forward by the length of the gap.
    """trino_named_instant(wall, z, near) AS CASE
        WHEN timezone(z, trino_kept(wall, z, near)) = wall THEN trino_kept(wall, z, near)
        ELSE timezone(z, wall)
    END""",
    """trino_instant(wall, z, near) AS CASE
        WHEN z[1] IN ('+', '-') THEN timezone('UTC', wall - trino_offset(z))
        ELSE trino_named_instant(wall, z, near)
    END""",
    # What is a day before in UTC is before the clocks of a zone have gone back.
    "trino_earlier(wall, z) AS trino_instant(wall, z, timezone('UTC', wall - INTERVAL 1 DAY))",
    """trino_zoned(t, z) AS CASE
        WHEN t IS NULL OR z IS NULL THEN NULL
        WHEN NOT regexp_full_match(z, 'UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+|[+-][0-9]{2}:[0-9]{2}')
            THEN trino_undone('the time zone ' || z)
        ELSE struct_pack(t := t, z := CASE WHEN z[2:] = '00:00' THEN 'UTC' ELSE z END)
    END""",
    """trino_array_equal(a, b) AS CASE
        WHEN a IS NULL OR b IS NULL THEN NULL
        WHEN len(a) <> len(b) THEN false
        WHEN len(list_filter(list_zip(a, b), lambda pair: pair[1] <> pair[2])) > 0 THEN false
        WHEN len(list_filter(list_zip(a, b), lambda pair: pair[1] IS NULL OR pair[2] IS NULL)) > 0
            THEN NULL
        ELSE true
    END""",
    """trino_comparable(a, message) AS CASE
        WHEN len(list_filter(a, lambda each: each IS NULL)) > 0 THEN trino_error(message)
        ELSE a
    END""",
    """trino_map_equal(a, b) AS CASE
        WHEN a IS NULL OR b IS NULL THEN NULL
        WHEN cardinality(a) <> cardinality(b) THEN false
        WHEN len(list_filter(map_keys(a), lambda k: NOT map_contains(b, k) OR a[k] <> b[k])) > 0
            THEN false
        WHEN len(list_filter(map_keys(a), lambda k: a[k] IS NULL OR b[k] IS NULL)) > 0 THEN NULL
        ELSE true
    END""",
    """trino_subscript(a, i) AS CASE
        WHEN i = 0 THEN trino_invalid('SQL array indices start at 1')
        WHEN i < 0 THEN trino_invalid('Array subscript is negative: ' || i)
        WHEN i > len(a) THEN trino_invalid('Array subscript must be less than or equal to array'
            || ' length: ' || i || ' > ' || len(a))
        ELSE a[i]
    END""",
    """trino_map_value(m, k) AS CASE
        WHEN m IS NOT NULL AND k IS NOT NULL AND NOT map_contains(m, k)
            THEN trino_invalid('Key not present in map: ' || k)
        ELSE m[k]
    END""",
)
