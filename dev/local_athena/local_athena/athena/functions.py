"""Trino's functions and operators, each with its DuckDB translation; all others are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_athena.athena.casts import cast, parsed
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    REAL,
    TIMESTAMP,
    TIMESTAMP_UTC,
    UNKNOWN,
    VARCHAR,
    Expr,
    Type,
    array,
    build,
    coerce,
    common_type,
    decimal,
    identifier,
    is_float,
    is_integer,
    is_number,
    joined,
    known_zone,
    local,
    quoted,
    text,
    unify,
)


class WrongArgumentsError(Exception):
    """Arguments that Trino's function does not take."""


def _want(expr: Expr, type_: Type) -> Expr:
    is_cut = expr.type.base == "char" and type_.base != "char"
    if common_type(expr.type, type_) != type_ or is_cut:
        raise WrongArgumentsError
    return coerce(expr, type_)


def _number(expr: Expr) -> Expr:
    if expr.type == UNKNOWN:
        return coerce(expr, INTEGER)
    if not is_number(expr.type):
        raise WrongArgumentsError
    return expr


def _time(expr: Expr) -> Expr:
    if expr.type.base not in ("date", "timestamp", "timestamp with time zone"):
        raise WrongArgumentsError
    return expr


def _literal(expr: Expr, what: str) -> str:
    if expr.constant is None or expr.type.base != "varchar":
        raise not_supported(f"{what} that is not a literal")
    return expr.constant


# --- operators ------------------------------------------------------------------------------------


def arithmetic(operator: str, left: Expr, right: Expr) -> Expr:
    """`+ - * / %` with Trino's result types: integers divide truncating, decimals exactly.

    Raises:
        QueryFailed: TYPE_MISMATCH where Trino has no such operator.
    """
    times = {"date", "timestamp", "timestamp with time zone"}
    if operator in "+-":
        if left.type.base in times and right.type.base.startswith("interval"):
            return _add_interval(left, right, operator)
        if operator == "+" and right.type.base in times and left.type.base.startswith("interval"):
            return _add_interval(right, left, operator)
    for side in (left, right):
        if not is_number(side.type) and side.type != UNKNOWN:
            message = f"Cannot apply operator: {left.type} {operator} {right.type}"
            raise QueryFailed("TYPE_MISMATCH", message)
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
    return _scaled(quotient, type_)


def _scaled(unscaled: Expr, type_: Type) -> Expr:
    """An unscaled HUGEINT as the decimal it stands for."""
    scale = type_.digits[1]
    factor = f" * CAST('0.{1:0{scale}d}' AS DECIMAL({scale}, {scale}))" if scale else ""
    return build(
        f"CAST((CAST({{0}} AS DECIMAL(38, 0)){factor}) AS {type_.duckdb})", type_, unscaled
    )


def _add_interval(moment: Expr, interval: Expr, operator: str) -> Expr:
    months = interval.type.base == "interval year to month"
    if moment.type.base == "date":
        if interval.constant in ("hour", "minute", "second"):
            message = "Cannot add hour, minutes or seconds to a date"
            raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
        return build(f"CAST(({{0}} {operator} {{1}}) AS DATE)", DATE, moment, interval)
    if moment.type.base == "timestamp" or not months:
        # A day to second interval is a span of time: over a change of DST, a day is 24 hours.
        return build(f"({{0}} {operator} {{1}})", moment.type, moment, interval)
    zone = quoted(known_zone(moment.type))
    return build(
        f"timezone({zone}, ({{0}} {operator} {{1}}))", moment.type, local(moment), interval
    )


def negate(value: Expr) -> Expr:
    """Unary minus."""
    value = _number(value)
    return build(f"CAST((-{{0}}) AS {value.type.duckdb})", value.type, value)


def comparison(operator: str, left: Expr, right: Expr) -> Expr:
    """`= <> < <= > >=` and DISTINCT FROM; NaN compares as in IEEE 754, other than in DuckDB.

    Raises:
        QueryFailed: TYPE_MISMATCH where the types have nothing in common.
    """
    if common_type(left.type, right.type) is None:
        message = f"Cannot apply operator: {left.type} {operator} {right.type}"
        raise QueryFailed("TYPE_MISMATCH", message)
    left, right = unify(left, right)
    if left.type.of or left.type.base.startswith("row("):
        raise not_supported("comparisons of arrays, maps and rows")
    plain = f"({{0}} {operator} {{1}})"
    suspects = [f"isnan({{{i}}})" for i, side in enumerate((left, right)) if side.constant is None]
    if is_float(left.type) and suspects and "DISTINCT" not in operator:
        result = "true" if operator == "<>" else "false"
        missing, nan = "{0} IS NULL OR {1} IS NULL", " OR ".join(suspects)
        plain = f"CASE WHEN {missing} THEN NULL WHEN {nan} THEN {result} ELSE {plain} END"
    return build(plain, BOOLEAN, left, right)


def like(value: Expr, pattern: Expr, escape: Expr | None) -> Expr:
    """LIKE: binary, without an escape character unless one is given."""
    args = [_want(value, VARCHAR), _want(pattern, VARCHAR)]
    if escape is None:
        return build("({0} LIKE {1})", BOOLEAN, *args)
    return build("({0} LIKE {1} ESCAPE {2})", BOOLEAN, *args, _want(escape, VARCHAR))


def at_time_zone(moment: Expr, zone: Expr) -> Expr:
    """AT TIME ZONE: the same instant, read in another zone; a plain timestamp counts as UTC."""
    if moment.type.base not in ("timestamp", "timestamp with time zone"):
        raise QueryFailed("TYPE_MISMATCH", f"Cannot apply AT TIME ZONE to {moment.type}")
    if moment.type.base == "timestamp":
        moment = coerce(moment, TIMESTAMP_UTC)
    return moment.as_type(Type("timestamp with time zone", zone=_zone_name(zone)))


def _zone_name(zone: Expr) -> str:
    name = _literal(zone, "a time zone")
    if not re.fullmatch(r"UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+", name):
        raise not_supported(f"the time zone {name!r} (a name such as Asia/Tokyo, or UTC)")
    return name


# --- scalar functions -----------------------------------------------------------------------------

Translate = Callable[..., Expr]


def _simple(template: str, result: Type | None, *types: Type) -> Translate:
    """A function of fixed types; without a result type it has that of its first argument."""

    def translate(*args: Expr) -> Expr:
        if len(args) != len(types):
            raise WrongArgumentsError
        wanted = [_want(arg, type_) for arg, type_ in zip(args, types, strict=True)]
        return build(
            template, result or (args[0].type if args[0].type != UNKNOWN else types[0]), *wanted
        )

    return translate


def _by_arity(*translates: Translate, first: int = 1) -> Translate:
    """One function under several numbers of arguments, the smallest being `first`."""

    def translate(*args: Expr) -> Expr:
        if not first <= len(args) < first + len(translates):
            raise WrongArgumentsError
        return translates[len(args) - first](*args)

    return translate


def _field(name: str, template: str = "") -> Translate:
    """A part of a date or of a moment as it reads in its zone."""

    def translate(moment: Expr) -> Expr:
        is_below_a_day = name in ("hour", "minute", "second", "millisecond")
        if _time(moment).type.base == "date" and is_below_a_day:
            raise WrongArgumentsError
        part = template or f"CAST(date_part('{name}', {{0}}) AS BIGINT)"
        return build(part, BIGINT, local(moment))

    return translate


def _row(*args: Expr) -> Expr:
    """ROW(...), of use only as a key to order by: Trino too compares no rows with NULL in them."""
    nulls = build("[{*}]", UNKNOWN, *(build("({0} IS NULL)", BOOLEAN, arg) for arg in args))
    message = text("NOT_SUPPORTED: ROW comparison not supported for fields with null elements")
    type_ = Type(f"row({', '.join(str(arg.type) for arg in args)})")
    failing = build(
        "CASE WHEN list_contains({0}, true) THEN error({1}) ELSE ", type_, nulls, message
    )
    return joined(failing, build("row({*})", type_, *args), " END", type_=type_)


def named_row(to: Type, values: Sequence[Expr], *, safe: bool) -> Expr:
    """CAST(ROW(...) AS ROW(name type, ...)).

    Raises:
        QueryFailed: TYPE_MISMATCH if there are more or fewer values than fields.
    """
    if len(values) != len(to.of):
        raise QueryFailed("TYPE_MISMATCH", f"Cannot cast a row of {len(values)} fields to {to}")
    pieces: list[str | Expr] = []
    for name, type_, value in zip(to.fields, to.of, values, strict=True):
        pieces += [", " if pieces else "", f"{identifier(name)} := ", cast(value, type_, safe=safe)]
    return joined("struct_pack(", *pieces, ")", type_=to)


def array_of(*elements: Expr) -> Expr:
    """ARRAY[...]."""
    if not elements:
        return build("CAST([] AS INTEGER[])", array(UNKNOWN))
    elements = unify(*elements)
    return build("[{*}]", array(elements[0].type), *elements)


def _map(keys: Expr, values: Expr) -> Expr:
    if keys.type.base != "array" or values.type.base != "array":
        raise WrongArgumentsError
    type_ = Type("map", of=(keys.type.of[0], values.type.of[0]))
    return build("map({0}, {1})", type_, keys, values)


def _concat(*args: Expr) -> Expr:
    if len(args) < 2:
        raise WrongArgumentsError
    result = _want(args[0], VARCHAR)
    for arg in args[1:]:
        result = build("({0} || {1})", VARCHAR, result, _want(arg, VARCHAR))
    return result


def _coalesce(*args: Expr) -> Expr:
    args = unify(*args)
    return build("coalesce({*})", args[0].type, *args)


def _nullif(value: Expr, other: Expr) -> Expr:
    is_other = comparison("=", value, other)
    return build("CASE WHEN {0} THEN NULL ELSE {1} END", value.type, is_other, value)


def _extreme(function: str) -> Translate:
    def translate(*args: Expr) -> Expr:
        args = unify(*args)
        result = args[0]
        for arg in args[1:]:
            template = (
                "CASE WHEN {0} IS NULL OR {1} IS NULL THEN NULL"
                f" ELSE {function}({{0}}, {{1}}) END"
            )
            result = build(template, arg.type, result, arg)
        return result

    return translate


def _round(value: Expr, digits: Expr | None = None) -> Expr:
    value = _number(value)
    places = None if digits is None else _want(digits, BIGINT)
    if is_integer(value.type):
        if digits is None or (digits.constant or "-").isdigit():
            return value
        raise not_supported("round(integer, n) for a negative n or one that is not a literal")
    if is_float(value.type):
        places = places or build("0", BIGINT)
        rounded = f"CAST(trino_round({{0}}, {{1}}) AS {value.type.duckdb})"
        return build(rounded, value.type, value, places)
    precision, scale = value.type.digits
    if places is None:
        type_ = decimal(precision - scale + min(scale, 1), 0)
        return build(f"CAST({{0}} AS {type_.duckdb})", type_, value)
    if digits is None or not (digits.constant or "-").isdigit():
        raise not_supported("round(decimal, n) for a negative n or one that is not a literal")
    type_, kept = decimal(precision + 1, scale), min(int(digits.constant or 0), scale)
    rounded = f"CAST({{0}} AS DECIMAL({min(38, precision + 1)}, {kept}))"
    return build(f"CAST({rounded} AS {type_.duckdb})", type_, value)


def _to_whole(function: str) -> Translate:
    """floor, ceiling, truncate."""

    def translate(value: Expr) -> Expr:
        value = _number(value)
        if is_integer(value.type) and function != "trunc":
            return value
        type_ = value.type
        if type_.base == "decimal":
            precision, scale = type_.digits
            type_ = decimal(precision - scale + (0 if function == "trunc" else min(scale, 1)), 0)
        elif is_integer(type_):
            value, type_ = coerce(value, DOUBLE), DOUBLE
        return build(f"CAST({function}({{0}}) AS {type_.duckdb})", type_, value)

    return translate


def _abs(value: Expr) -> Expr:
    return build("abs({0})", _number(value).type, _number(value))


def _sign(value: Expr) -> Expr:
    value = _number(value)
    type_ = decimal(1, 0) if value.type.base == "decimal" else value.type
    template = f"CAST(sign({{0}}) AS {type_.duckdb})"
    if is_float(value.type):
        template = f"CASE WHEN isnan({{0}}) THEN {{0}} ELSE {template} END"
    return build(template, type_, value)


def _mod(left: Expr, right: Expr) -> Expr:
    return arithmetic("%", _number(left), _number(right))


_UNITS = ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
_DATE_UNITS = _UNITS[4:]


def _unit(unit: Expr, moment: Expr) -> str:
    name = _literal(unit, "a unit of time").lower()
    if name not in (_DATE_UNITS if moment.type.base == "date" else _UNITS):
        message = f"'{name}' is not a valid {moment.type.base} field"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    return name


def _date_trunc(unit: Expr, moment: Expr) -> Expr:
    name = _unit(unit, _time(moment))
    if moment.type.base != "timestamp with time zone":
        truncated = f"CAST(date_trunc('{name}', {{0}}) AS {moment.type.duckdb})"
        return build(truncated, moment.type, moment)
    wall = local(moment)
    if name in _DATE_UNITS:
        zone = known_zone(moment.type)
        return build(f"timezone({quoted(zone)}, date_trunc('{name}', {{0}}))", moment.type, wall)
    # Below a day the offset stays:
    # going through the wall clock would lose which of two equal hours it was.
    return build(f"({{0}} - ({{1}} - date_trunc('{name}', {{1}})))", moment.type, moment, wall)


def _date_add(unit: Expr, amount: Expr, moment: Expr) -> Expr:
    name, count = _unit(unit, _time(moment)), _want(amount, BIGINT)
    moved = f"({{0}} + CAST({{1}} AS INTEGER) * INTERVAL 1 {name.upper()})"
    if moment.type.base == "date":
        return build(f"CAST({moved} AS DATE)", DATE, moment, count)
    if moment.type.base == "timestamp" or name not in _DATE_UNITS:
        return build(moved, moment.type, moment, count)
    zone = quoted(known_zone(moment.type))
    return build(f"timezone({zone}, {moved})", moment.type, local(moment), count)


def _date_diff(unit: Expr, start: Expr, end: Expr) -> Expr:
    zone = start.type.zone
    start, end = unify(_time(start), _time(end))
    name = _unit(unit, start)
    if start.type.base == "timestamp with time zone" and name in _DATE_UNITS:
        type_ = Type(start.type.base, zone=zone)
        start, end = local(start.as_type(type_)), local(end.as_type(type_))
    return build(f"date_sub('{name}', {{0}}, {{1}})", BIGINT, start, end)


def _from_unixtime(seconds: Expr, zone: Expr | None = None) -> Expr:
    type_ = Type("timestamp with time zone", zone="UTC" if zone is None else _zone_name(zone))
    micros = "CAST(floor({0} * 1000 + 0.5) AS BIGINT) * 1000"
    return build(f"timezone('UTC', make_timestamp({micros}))", type_, _want(seconds, DOUBLE))


def _to_unixtime(moment: Expr) -> Expr:
    if _time(moment).type.base == "date":
        raise WrongArgumentsError
    return build("(CAST(epoch_ms({0}) AS DOUBLE) / 1000)", DOUBLE, moment)


_MYSQL_TO_STRFTIME = {
    "Y": "%Y", "y": "%y", "m": "%m", "c": "%-m", "d": "%d", "e": "%-d", "H": "%H", "k": "%-H",
    "h": "%I", "I": "%I", "l": "%-I", "i": "%M", "s": "%S", "S": "%S", "f": "%f", "p": "%p",
    "M": "%B", "b": "%b", "W": "%A", "a": "%a", "j": "%j",
    "T": "%H:%M:%S", "r": "%I:%M:%S %p", "v": "%V", "x": "%G", "%": "%%",
}  # fmt: skip
_MYSQL_PARSED = "YmdHisST"


def _format(pattern: Expr, allowed: str | None = None) -> Expr:
    """A MySQL date format, as Trino's date_format and date_parse take it, as one of strftime."""

    def specifier(match: re.Match[str]) -> str:
        letter = match[1]
        if letter not in _MYSQL_TO_STRFTIME or (allowed is not None and letter not in allowed):
            raise not_supported(f"%{letter} in this date format")
        return _MYSQL_TO_STRFTIME[letter]

    return text(re.sub(r"%(.)", specifier, _literal(pattern, "a date format"), flags=re.DOTALL))


def _date_format(moment: Expr, pattern: Expr) -> Expr:
    return build("strftime({0}, {1})", VARCHAR, local(_time(moment)), _format(pattern))


def _date_parse(value: Expr, pattern: Expr) -> Expr:
    message = 'INVALID_FUNCTION_ARGUMENT: Invalid format: "%s"'
    format_ = _format(pattern, _MYSQL_PARSED)
    return parsed(
        _want(value, VARCHAR), "(?s).*", "try_strptime({0}, {4})", TIMESTAMP, message, format_
    )


def _from_iso8601_date(value: Expr) -> Expr:
    message = 'INVALID_FUNCTION_ARGUMENT: Invalid format: "%s"'
    pattern = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    return parsed(_want(value, VARCHAR), pattern, "TRY_CAST({0} AS DATE)", DATE, message)


def _from_iso8601_timestamp(value: Expr) -> Expr:
    message = 'INVALID_FUNCTION_ARGUMENT: Invalid format: "%s"'
    pattern = (
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?"
        r"(Z|[+-][0-9]{2}:[0-9]{2})?"
    )
    in_utc = value.constant is not None and not re.search(r"[+-]\d\d:\d\d$", value.constant)
    type_ = Type("timestamp with time zone", zone="UTC" if in_utc else None)
    return parsed(_want(value, VARCHAR), pattern, "TRY_CAST({0} AS TIMESTAMPTZ)", type_, message)


_SAFE_REGEX = re.compile(
    r"(?:\\[dDwWsSbB.\\|()\[\]{}*+?^$/-]"
    r"|\[\^?(?:\\[dDwWsS.\\\]\[^$*+?(){}|/-]|[^\\\[\]&])+\]|\(\?[:i]|\(\?i\)"
    r"|[(|)^$.]|[*+?]\??|\{\d+(?:,\d*)?\}\??|[^\\\[\](){}*+?|^$.])*"
)


def _regexp_like(value: Expr, pattern: Expr) -> Expr:
    """Only patterns that mean the same in Trino's engine (Joni) and in DuckDB's (RE2)."""
    regex = _literal(pattern, "a regular expression")
    if not _SAFE_REGEX.fullmatch(regex) or re.search(r"\(\?(?!:|i\))|[*+?}]\+", regex):
        raise not_supported(f"the regular expression {regex!r}")
    # In Trino `$` also stands before a line break that ends the text.
    translated = re.sub(
        r"\\.|\[\^?(?:\\.|[^\]])+\]|\$", lambda m: r"(?:\n?\z)" if m[0] == "$" else m[0], regex
    )
    return build("regexp_matches({0}, {1})", BOOLEAN, _want(value, VARCHAR), text(translated))


_WHITE_SPACE_CODES = (
    *(*range(9, 14), *range(28, 33), 0x1680, *range(0x2000, 0x2007)),
    *(*range(0x2008, 0x200B), 0x2028, 0x2029, 0x205F, 0x3000),
)
_WHITE_SPACE = "".join(chr(code) for code in _WHITE_SPACE_CODES)


def trim(kind: str, value: Expr, characters: Expr | None = None) -> Expr:
    """trim, ltrim, rtrim and TRIM(... FROM ...).

    Args:
        kind: DuckDB's function.
        value: What is trimmed.
        characters: What is taken off its ends, white space by default.
    """
    taken = characters or text(_WHITE_SPACE)
    return build(f"{kind}({{0}}, {{1}})", value.type, _want(value, VARCHAR), taken)


def _pad(function: str) -> str:
    return f"trino_pad({function}({{0}}, CAST({{1}} AS INTEGER), {{2}}), {{1}}, {{2}})"


SCALARS: dict[str, Translate] = {
    "abs": _abs,
    "ceil": _to_whole("ceil"),
    "ceiling": _to_whole("ceil"),
    "coalesce": _coalesce,
    "concat": _concat,
    "date": lambda value: cast(value, DATE),
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": _date_format,
    "date_parse": _date_parse,
    "date_trunc": _date_trunc,
    "day": _field("day"),
    "day_of_month": _field("day"),
    "day_of_week": _field("isodow"),
    "day_of_year": _field("doy"),
    "dow": _field("isodow"),
    "doy": _field("doy"),
    "floor": _to_whole("floor"),
    "from_iso8601_date": _from_iso8601_date,
    "from_iso8601_timestamp": _from_iso8601_timestamp,
    "from_unixtime": _from_unixtime,
    "greatest": _extreme("greatest"),
    "hour": _field("hour"),
    "is_finite": _simple("isfinite({0})", BOOLEAN, DOUBLE),
    "is_infinite": _simple("isinf({0})", BOOLEAN, DOUBLE),
    "is_nan": _simple("isnan({0})", BOOLEAN, DOUBLE),
    "least": _extreme("least"),
    "length": _simple("length({0})", BIGINT, VARCHAR),
    "lower": _simple("lower({0})", None, VARCHAR),
    "lpad": _simple(_pad("lpad"), VARCHAR, VARCHAR, BIGINT, VARCHAR),
    "ltrim": lambda value: trim("ltrim", value),
    "map": _map,
    "millisecond": _field("millisecond", "(CAST(date_part('millisecond', {0}) AS BIGINT) % 1000)"),
    "minute": _field("minute"),
    "mod": _mod,
    "month": _field("month"),
    "nullif": _nullif,
    "pow": _simple("power({0}, {1})", DOUBLE, DOUBLE, DOUBLE),
    "power": _simple("power({0}, {1})", DOUBLE, DOUBLE, DOUBLE),
    "quarter": _field("quarter"),
    "regexp_like": _regexp_like,
    "replace": _by_arity(
        _simple("trino_replace({0}, {1}, '')", VARCHAR, VARCHAR, VARCHAR),
        _simple("trino_replace({0}, {1}, {2})", VARCHAR, VARCHAR, VARCHAR, VARCHAR),
        first=2,
    ),
    "reverse": _simple("trino_reverse({0})", None, VARCHAR),
    "round": _round,
    "row": _row,
    "rpad": _simple(_pad("rpad"), VARCHAR, VARCHAR, BIGINT, VARCHAR),
    "rtrim": lambda value: trim("rtrim", value),
    "second": _field("second"),
    "sign": _sign,
    "split_part": _simple("trino_split_part({0}, {1}, {2})", VARCHAR, VARCHAR, VARCHAR, BIGINT),
    "sqrt": _simple("sqrt({0})", DOUBLE, DOUBLE),
    "starts_with": _simple("starts_with({0}, {1})", BOOLEAN, VARCHAR, VARCHAR),
    "strpos": _simple("strpos({0}, {1})", BIGINT, VARCHAR, VARCHAR),
    "substr": _by_arity(
        _simple("trino_substr({0}, {1}, length({0}))", None, VARCHAR, BIGINT),
        _simple("trino_substr({0}, {1}, {2})", None, VARCHAR, BIGINT, BIGINT),
        first=2,
    ),
    "to_unixtime": _to_unixtime,
    "trim": lambda value: trim("trim", value),
    "truncate": _to_whole("trunc"),
    "upper": _simple("upper({0})", None, VARCHAR),
    "week": _field("week"),
    "week_of_year": _field("week"),
    "year": _field("year"),
    "year_of_week": _field("isoyear"),
    "yow": _field("isoyear"),
}  # fmt: skip
SCALARS["substring"] = SCALARS["substr"]


# --- aggregate and window functions ---------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A call to which DISTINCT, FILTER and OVER can still be put.

    Attributes:
        functions: DuckDB's functions, each called with all `args`.
        args: Their arguments.
        type: The result's type.
        result: The template that makes the result of the calls.
    """

    functions: tuple[str, ...]
    args: tuple[Expr, ...]
    type: Type
    result: str = "{0}"

    def expr(self, *, distinct: bool, order: Expr, suffix: Expr) -> Expr:
        """The whole expression; `order` is its own ORDER BY, `suffix` its FILTER and OVER."""
        inner: list[str | Expr] = ["*"] if not self.args and self.functions == ("count",) else []
        for position, arg in enumerate(self.args):
            inner += [", " if position else "", arg]
        word = "DISTINCT " if distinct else ""
        calls = [
            joined(f"{name}({word}", *inner, order, ")", suffix, type_=self.type)
            for name in self.functions
        ]
        return build(self.result, self.type, *calls, opaque=True)


def _count_if(value: Expr) -> Call:
    return Call(("count_if",), (_want(value, BOOLEAN),), BIGINT, "CAST({0} AS BIGINT)")


def _count(*args: Expr) -> Call:
    if len(args) > 1:
        raise WrongArgumentsError
    return Call(("count",), args, BIGINT)


def _sum(value: Expr) -> Call:
    value = _number(value)
    type_ = value.type
    result = BIGINT if is_integer(type_) else type_
    if type_.base == "decimal":
        result = decimal(38, type_.digits[1])
    return Call(("sum",), (value,), result, f"CAST({{0}} AS {result.duckdb})")


def _avg(value: Expr) -> Call:
    value = _number(value)
    type_ = value.type
    if type_.base == "decimal":
        whole = "trino_divide(trino_unscaled({0}), CAST(nullif({1}, 0) AS HUGEINT))"
        result = _scaled(Expr((whole,), type_), type_).sql
        return Call(("sum", "count"), (value,), type_, result)
    if type_ == REAL:
        return Call(("avg",), (value,), REAL, "CAST({0} AS FLOAT)")
    return Call(("avg",), (coerce(value, DOUBLE),), DOUBLE)


def _same(function: str) -> Callable[[Expr], Call]:
    return lambda value: Call((function,), (value,), value.type)


def _by(function: str) -> Callable[[Expr, Expr], Call]:
    return lambda value, key: Call((function,), (value, key), value.type)


def _boolean(function: str) -> Callable[[Expr], Call]:
    return lambda value: Call((function,), (_want(value, BOOLEAN),), BOOLEAN)


AGGREGATES: dict[str, Callable[..., Call]] = {
    "any_value": _same("any_value"),
    "arbitrary": _same("any_value"),
    "array_agg": lambda value: Call(("list",), (value,), array(value.type)),
    "avg": _avg,
    "bool_and": _boolean("bool_and"),
    "bool_or": _boolean("bool_or"),
    "count": _count,
    "count_if": _count_if,
    "every": _boolean("bool_and"),
    "max": _same("max"),
    "max_by": _by("arg_max_null"),
    "min": _same("min"),
    "min_by": _by("arg_min_null"),
    "sum": _sum,
}


def _ranking(function: str, type_: Type = BIGINT) -> Callable[[], Call]:
    return lambda: Call((function,), (), type_)


def _shift(function: str) -> Callable[..., Call]:
    def translate(value: Expr, offset: Expr | None = None, default: Expr | None = None) -> Call:
        args = [value]
        if offset is not None:
            args.append(_want(offset, BIGINT))
        if default is not None:
            args[0], default = unify(value, default)
            args.append(default)
        return Call((function,), tuple(args), args[0].type)

    return translate


WINDOWS: dict[str, Callable[..., Call]] = {
    "cume_dist": _ranking("cume_dist", DOUBLE),
    "dense_rank": _ranking("dense_rank"),
    "first_value": _same("first_value"),
    "lag": _shift("lag"),
    "last_value": _same("last_value"),
    "lead": _shift("lead"),
    "nth_value": lambda value, n: Call(("nth_value",), (value, _want(n, BIGINT)), value.type),
    "ntile": lambda n: Call(("ntile",), (_want(n, BIGINT),), BIGINT),
    "percent_rank": _ranking("percent_rank", DOUBLE),
    "rank": _ranking("rank"),
    "row_number": _ranking("row_number"),
}

MACROS = (
    "trino_unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT)",
    """trino_divide(n, d) AS (n // d + CASE
        WHEN abs(n % d) >= abs(d) - abs(n % d) THEN CAST(sign(n) * sign(d) AS HUGEINT)
        ELSE 0
    END)""",
    """trino_milliseconds(t) AS
        make_timestamp(epoch_us(t) + 500 - ((epoch_us(t) + 500) % 1000 + 1000) % 1000)""",
    "trino_invalid(message) AS error('INVALID_FUNCTION_ARGUMENT: ' || message)",
    "trino_undone(what) AS error('NOT_SUPPORTED: the local Athena does not do ' || what)",
    """trino_round(x, places) AS CASE
        WHEN isnan(x) OR isinf(x) THEN x
        WHEN abs(x) * power(10.0, places) >= 9e18 THEN trino_undone('round of so large a double')
        WHEN x < 0 THEN -(round(-x * power(10.0, places)) / power(10.0, places))
        ELSE round(x * power(10.0, places)) / power(10.0, places)
    END""",
    """trino_substr(s, start, size) AS CASE
        WHEN s IS NULL OR start IS NULL OR size IS NULL THEN NULL
        WHEN start = 0 OR abs(start) > length(s) OR size <= 0 THEN ''
        ELSE substring(s, CASE WHEN start < 0 THEN length(s) + start + 1 ELSE start END, size)
    END""",
    """trino_split_part(s, d, i) AS CASE
        WHEN i < 1 THEN trino_invalid('Index must be greater than zero')
        WHEN d = '' THEN trino_undone('split_part with an empty delimiter')
        WHEN i > len(string_split(s, d)) THEN NULL
        ELSE split_part(s, d, i)
    END""",
    """trino_replace(s, x, y) AS CASE
        WHEN x = '' THEN trino_undone('replace of an empty string')
        ELSE replace(s, x, y)
    END""",
    "trino_reverse(s) AS array_to_string(list_reverse(regexp_extract_all(s, '(?s).')), '')",
    """trino_pad(padded, size, pad) AS CASE
        WHEN pad = '' THEN trino_invalid('Padding string must not be empty')
        WHEN size < 0 THEN trino_invalid('Target length must be in the range [0..2147483647]')
        ELSE padded
    END""",
)
"""Bodies of DuckDB macros that the translations use."""
