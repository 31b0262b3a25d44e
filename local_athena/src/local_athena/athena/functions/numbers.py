"""Mathematical functions, and those of bits."""

from __future__ import annotations

import re
from collections.abc import Callable

from local_athena.athena.errors import not_supported
from local_athena.athena.functions.operators import arithmetic, scaled
from local_athena.athena.functions.row import Function, on_page
from local_athena.athena.types import (
    BIGINT,
    DOUBLE,
    Expr,
    build,
    coerce,
    decimal,
    is_float,
    is_integer,
)


def _literal_digits(digits: Expr | None) -> int:
    """How many digits after the point are kept; negative before it."""
    if digits is None:
        return 0
    if not re.fullmatch(r"-?\d{1,2}", digits.constant or "") or int(digits.constant or 0) < -18:
        raise not_supported("round to a number of digits that is not a literal")
    return int(digits.constant or 0)


def _round(value: Expr, digits: Expr | None = None) -> Expr:
    places = None if digits is None else coerce(digits, BIGINT)
    if is_integer(value.type):
        kept = _literal_digits(digits)
        if kept >= 0:
            return value
        unit = 10**-kept
        half_up = f"trino_divide(CAST({{0}} AS HUGEINT), {unit}) * {unit}"
        return build(f"CAST({half_up} AS {value.type.duckdb})", value.type, value)
    if is_float(value.type):
        places = places or build("0", BIGINT)
        rounded = f"CAST(trino_round({{0}}, {{1}}) AS {value.type.duckdb})"
        return build(rounded, value.type, value, places)
    precision, scale = value.type.digits
    if places is None:
        type_ = decimal(precision - scale + min(scale, 1), 0)
        return build(f"CAST({{0}} AS {type_.duckdb})", type_, value)
    type_, kept = decimal(precision + 1, scale), min(_literal_digits(digits), scale)
    if kept < 0:
        unit = 10 ** (scale - kept)
        whole = f"trino_divide(trino_unscaled({{0}}), {unit}) * {unit}"
        return build(scaled(whole, type_), type_, value)
    rounded = f"CAST({{0}} AS DECIMAL({min(38, precision + 1)}, {kept}))"
    return build(f"CAST({rounded} AS {type_.duckdb})", type_, value)


def _to_whole(function: str) -> Callable[[Expr], Expr]:
    """floor, ceiling, truncate."""

    def translate(value: Expr) -> Expr:
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


def _sign(value: Expr) -> Expr:
    type_ = decimal(1, 0) if value.type.base == "decimal" else value.type
    template = f"CAST(sign({{0}}) AS {type_.duckdb})"
    if is_float(value.type):
        template = f"CASE WHEN isnan({{0}}) THEN {{0}} ELSE {template} END"
    return build(template, type_, value)


def _mod(left: Expr, right: Expr) -> Expr:
    return arithmetic("%", left, right)


def _shift(macro: str) -> Callable[[Expr, Expr], Expr]:
    """A shift of the bits that the type of the first argument has."""

    def translate(value: Expr, places: Expr) -> Expr:
        bits = _BITS[value.type.base]
        template = f"CAST({macro}({{0}}, {{1}}, {bits}) AS {value.type.duckdb})"
        return build(template, value.type, value, places)

    return translate


_BITS = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64}


def _of_double(name: str, duckdb: str, example: str, answer: str) -> Function:
    """A function from double to double."""
    return Function(f"{name}(double) -> double", duckdb, example, answer)


FUNCTIONS = on_page(
    "functions/math",
    Function("abs(N) -> N", "abs({0})", "abs(-2.5)", "2.5"),
    _of_double("acos", "acos({0})", "acos(1)", "0.0"),
    _of_double("asin", "asin({0})", "asin(0)", "0.0"),
    _of_double("atan", "atan({0})", "atan(0)", "0.0"),
    Function("atan2(double, double) -> double", "atan2({0}, {1})", "atan2(0, 1)", "0.0"),
    Function(
        "bitwise_and(bigint, bigint) -> bigint",
        "({0} & {1})",
        "bitwise_and(19, 25)",
        "17",
        "functions/bitwise",
    ),
    Function(
        "bitwise_left_shift(I, bigint) -> I",
        _shift("trino_left_shift"),
        "bitwise_left_shift(1, 31)",
        "-2147483648",
        "functions/bitwise",
    ),
    Function(
        "bitwise_not(bigint) -> bigint", "(~{0})", "bitwise_not(19)", "-20", "functions/bitwise"
    ),
    Function(
        "bitwise_or(bigint, bigint) -> bigint",
        "({0} | {1})",
        "bitwise_or(19, 25)",
        "27",
        "functions/bitwise",
    ),
    Function(
        "bitwise_right_shift_arithmetic(I, bigint) -> I",
        _shift("trino_right_shift"),
        "bitwise_right_shift_arithmetic(SMALLINT '-8', 2)",
        "-2",
        "functions/bitwise",
    ),
    Function(
        "bitwise_xor(bigint, bigint) -> bigint",
        "xor({0}, {1})",
        "bitwise_xor(19, 25)",
        "10",
        "functions/bitwise",
    ),
    Function(
        "bit_count(bigint, bigint) -> bigint",
        "trino_bit_count({0}, {1})",
        "bit_count(9, 64)",
        "2",
        "functions/bitwise",
    ),
    _of_double("cbrt", "trino_cbrt({0})", "cbrt(27)", "3.0"),
    Function("ceiling(N) -> N", _to_whole("ceil"), "ceiling(-1.2)", "-1.0", aliases=("ceil",)),
    _of_double("cos", "cos({0})", "cos(0)", "1.0"),
    _of_double("cosh", "cosh({0})", "cosh(0)", "1.0"),
    _of_double("degrees", "degrees({0})", "degrees(0)", "0.0"),
    Function("e() -> double", "CAST(2.718281828459045 AS DOUBLE)", "e()", "2.718281828459045"),
    _of_double("exp", "exp({0})", "exp(0)", "1.0"),
    Function("floor(N) -> N", _to_whole("floor"), "floor(DECIMAL '-1.5')", "-2"),
    Function(
        "from_base(varchar, bigint) -> bigint",
        "trino_from_base({0}, {1})",
        "from_base('ff', 16)",
        "255",
    ),
    Function("infinity() -> double", "CAST('inf' AS DOUBLE)", "infinity()", "Infinity"),
    Function("is_finite(double) -> boolean", "isfinite({0})", "is_finite(1e0)", "true"),
    Function("is_infinite(double) -> boolean", "isinf({0})", "is_infinite(1e0 / 0)", "true"),
    Function("is_nan(double) -> boolean", "isnan({0})", "is_nan(nan())", "true"),
    _of_double("ln", "trino_ln({0})", "ln(e())", "1.0"),
    Function(
        "log(double, double) -> double", "(trino_ln({1}) / trino_ln({0}))", "log(2, 8)", "3.0"
    ),
    _of_double("log2", "trino_log2({0})", "log2(8)", "3.0"),
    _of_double("log10", "trino_log10({0})", "log10(1000)", "3.0"),
    Function("mod(N, N) -> N", _mod, "mod(7, 3)", "1"),
    Function("nan() -> double", "CAST('nan' AS DOUBLE)", "nan()", "NaN"),
    Function("pi() -> double", "pi()", "pi()", "3.141592653589793"),
    Function(
        "power(double, double) -> double", "power({0}, {1})", "power(2, 3)", "8.0", aliases=("pow",)
    ),
    _of_double("radians", "radians({0})", "radians(0)", "0.0"),
    Function("round(N) -> N", _round, "round(-2.5e0)", "-3.0"),
    Function("round(N, bigint) -> N", _round, "round(2.675e0, 2)", "2.68"),
    Function("sign(N) -> N", _sign, "sign(-2.5e0)", "-1.0"),
    _of_double("sin", "sin({0})", "sin(0)", "0.0"),
    _of_double("sinh", "sinh({0})", "sinh(0)", "0.0"),
    _of_double("sqrt", "sqrt({0})", "sqrt(2)", "1.4142135623730951"),
    _of_double("tan", "tan({0})", "tan(0)", "0.0"),
    _of_double("tanh", "tanh({0})", "tanh(0)", "0.0"),
    Function(
        "to_base(bigint, bigint) -> varchar", "trino_to_base({0}, {1})", "to_base(255, 16)", "ff"
    ),
    Function("truncate(N) -> N", _to_whole("trunc"), "truncate(DECIMAL '-1.7')", "-1"),
    Function(
        "width_bucket(double, double, double, bigint) -> bigint",
        "trino_width_bucket({0}, {1}, {2}, {3})",
        "width_bucket(5, 0, 10, 5)",
        "3",
    ),
    Function(
        "bitwise_right_shift(I, bigint) -> I",
        _shift("trino_logical_shift"),
        "bitwise_right_shift(SMALLINT '-8', 2)",
        "16382",
        "functions/bitwise",
    ),
    Function(
        "width_bucket(double, array(double)) -> bigint",
        "trino_bucket({0}, {1})",
        "width_bucket(3, ARRAY[1e0, 3e0, 5e0])",
        "2",
    ),
    Function("rand() -> double", "random()", "rand() < 1e0", "true", aliases=("random",)),
    Function(
        "random(bigint) -> bigint",
        "CAST(floor(random() * {0}) AS BIGINT)",
        "random(10) BETWEEN 0 AND 9",
        "true",
        aliases=("rand",),
    ),
)

MACROS = (
    """trino_round(x, places) AS CASE
        WHEN isnan(x) OR isinf(x) THEN x
        WHEN abs(x) * power(10.0, places) >= 9e18 THEN trino_undone('round of so large a double')
        WHEN x < 0 THEN -(round(-x * power(10.0, places)) / power(10.0, places))
        ELSE round(x * power(10.0, places)) / power(10.0, places)
    END""",
    "trino_power_of_two(n) AS CAST(power(2, n) AS HUGEINT)",
    """trino_unsigned(x, bits) AS
        (CAST(x AS HUGEINT) % trino_power_of_two(bits) + trino_power_of_two(bits))
            % trino_power_of_two(bits)""",
    """trino_signed(x, bits) AS CASE
        WHEN x >= trino_power_of_two(bits - 1) THEN x - trino_power_of_two(bits)
        ELSE x
    END""",
    """trino_left_shift(x, n, bits) AS CASE
        WHEN n < 0 THEN trino_undone('this shift of bits')
        WHEN n >= bits THEN 0
        ELSE trino_signed(trino_unsigned(x, bits - n) * trino_power_of_two(n), bits)
    END""",
    """trino_right_shift(x, n, bits) AS CASE
        WHEN n < 0 THEN trino_undone('this shift of bits')
        WHEN n > 63 THEN CASE WHEN x < 0 THEN -1 ELSE 0 END
        ELSE x >> n
    END""",
    """trino_bit_count(x, bits) AS CASE
        WHEN bits NOT BETWEEN 2 AND 64
            THEN trino_invalid('Bits specified must be between 2 and 64')
        WHEN bits = 64 THEN CAST(bit_count(x) AS BIGINT)
        WHEN x < -(1 << (bits - 1)) OR x >= 1 << (bits - 1)
            THEN trino_invalid('Number must be representable with the bits specified')
        ELSE CAST(bit_count(x & ((1 << bits) - 1)) AS BIGINT)
    END""",
    # DuckDB's cube root is a power, and one step of Newton off.
    """trino_cbrt(x) AS list_transform([sign(x) * cbrt(abs(x))], lambda root: CASE
        WHEN root = 0 OR NOT isfinite(root) THEN root
        ELSE root - (root * root * root - x) / (3 * root * root)
    END)[1]""",
    """trino_ln(x) AS CASE
        WHEN x = 0 THEN CAST('-inf' AS DOUBLE) WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE ln(x)
    END""",
    """trino_log2(x) AS CASE
        WHEN x = 0 THEN CAST('-inf' AS DOUBLE) WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE log2(x)
    END""",
    """trino_log10(x) AS CASE
        WHEN x = 0 THEN CAST('-inf' AS DOUBLE) WHEN x < 0 THEN CAST('nan' AS DOUBLE) ELSE log10(x)
    END""",
    """trino_from_base(s, base) AS CASE
        WHEN base NOT BETWEEN 2 AND 36 THEN trino_invalid('Radix must be between 2 and 36')
        WHEN NOT regexp_full_match(s, '[+-]?[0-9A-Za-z]{1,11}') OR len(list_filter(
            trino_characters(lower(ltrim(s, '+-'))),
            lambda c: strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) > base)) > 0
            THEN trino_undone('from_base of ' || s)
        ELSE CASE WHEN starts_with(s, '-') THEN -1 ELSE 1 END * list_reduce(
            list_transform(trino_characters(lower(ltrim(s, '+-'))),
                lambda c: CAST(strpos('0123456789abcdefghijklmnopqrstuvwxyz', c) - 1 AS BIGINT)),
            lambda total, digit: total * base + digit)
    END""",
    """trino_to_base(x, base) AS CASE
        WHEN base NOT BETWEEN 2 AND 36 THEN trino_invalid('Radix must be between 2 and 36')
        WHEN x < 0 THEN '-' || lower(to_base(-x, CAST(base AS INTEGER)))
        ELSE lower(to_base(x, CAST(base AS INTEGER)))
    END""",
    """trino_width_bucket(x, low, high, n) AS CASE
        WHEN n <= 0 THEN trino_invalid('bucketCount must be greater than 0')
        WHEN low >= high OR isnan(x) THEN trino_undone('width_bucket of such bounds')
        WHEN x < low THEN 0
        WHEN x >= high THEN n + 1
        ELSE CAST(floor(n * (x - low) / (high - low)) AS BIGINT) + 1
    END""",
    """trino_logical_shift(x, n, bits) AS CASE
        WHEN n < 0 THEN trino_undone('this shift of bits')
        WHEN n >= bits THEN 0
        ELSE trino_signed(trino_unsigned(x, bits) // trino_power_of_two(n), bits)
    END""",
    """trino_bucket(x, bins) AS CASE
        WHEN isnan(x) OR len(bins) = 0 OR list_sort(bins) <> bins
            THEN trino_undone('width_bucket of such bins')
        ELSE CAST(len(list_filter(bins, lambda bin: bin <= x)) AS BIGINT)
    END""",
)
