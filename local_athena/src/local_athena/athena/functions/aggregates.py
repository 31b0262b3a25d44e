"""Aggregate functions.

`@` stands before each call that DISTINCT, ORDER BY, FILTER and OVER belong to.
"""

from __future__ import annotations

from collections.abc import Callable

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.operators import scaled, sort_key
from local_athena.athena.functions.row import Aggregate, Call, on_page
from local_athena.athena.types import (
    BIGINT,
    DOUBLE,
    VARCHAR,
    Expr,
    Type,
    array,
    build,
    coerce,
    decimal,
    is_float,
    is_integer,
)


def _sum(value: Expr) -> Call:
    type_ = value.type
    result = BIGINT if is_integer(type_) else type_
    if type_.base == "decimal":
        result = decimal(38, type_.digits[1])
    return Call(f"CAST(@sum({{0}}) AS {result.duckdb})", result, (value,))


def _avg(value: Expr) -> Call:
    type_ = value.type
    if type_.base == "decimal":
        count = "CAST(nullif(@count({0}), 0) AS HUGEINT)"
        quotient = f"trino_divide(trino_unscaled(@sum({{0}})), {count})"
        return Call(scaled(quotient, type_), type_, (value,))
    if type_.base == "real":
        return Call("CAST(@avg({0}) AS FLOAT)", type_, (value,))
    return Call("@avg({0})", DOUBLE, (coerce(value, DOUBLE),))


def _check_order(name: str, value: Expr) -> None:
    if "map" in value.type.bases:
        message = f"Unexpected parameters ({value.type}) for function {name}"
        raise QueryFailed("FUNCTION_NOT_FOUND", message)


def _min(value: Expr) -> Call:
    _check_order("min", value)
    return Call("@min({0})", value.type, (value,))


def _max(value: Expr) -> Call:
    """NaN counts as less than any number."""
    _check_order("max", value)
    if is_float(value.type):
        numbers = build("CASE WHEN NOT isnan({0}) THEN {0} END", value.type, value)
        return Call("coalesce(@max({0}), @max({1}))", value.type, (numbers, value))
    return Call("@max({0})", value.type, (value,))


def _by(function: str) -> Callable[[Expr, Expr], Call]:
    def translate(value: Expr, key: Expr) -> Call:
        key = sort_key(key)
        if is_float(key.type):
            worst = "-inf" if function == "arg_max_null" else "inf"
            # NaN is less than any number for max_by, and more for min_by.
            ordered = f"CASE WHEN isnan({{0}}) THEN CAST('{worst}' AS DOUBLE) ELSE {{0}} END"
            number = (
                "CASE WHEN {0} IS NOT NULL THEN [CASE WHEN isnan({0}) THEN 0 ELSE 1 END, {1}] END"
            )
            if function == "arg_min_null":
                number = number.replace("THEN 0 ELSE 1", "THEN 1 ELSE 0")
            key = build(number, array(DOUBLE), key, build(ordered, DOUBLE, key))
        return Call(f"@{function}({{0}}, {{1}})", value.type, (value, key))

    return translate


def _several_by(function: str) -> Callable[[Expr, Expr, Expr], Call]:
    def translate(value: Expr, key: Expr, count: Expr) -> Call:
        if is_float(key.type) or count.constant is None:
            raise not_supported("this form of max_by and min_by")
        if int(count.constant) <= 0:
            message = "third argument of max_by/min_by must be a positive integer"
            raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
        template = f"nullif(@{function}({{0}}, {{1}}, {{2}}), [])"
        return Call(template, array(value.type), (value, sort_key(key), count))

    return translate


def _several(function: str) -> Callable[[Expr, Expr], Call]:
    def translate(value: Expr, count: Expr) -> Call:
        if is_float(value.type) or count.constant is None or int(count.constant) <= 0:
            raise not_supported("this form of max and min")
        return Call(f"@{function}({{0}}, {{1}})", array(value.type), (value, count))

    return translate


def _approx_distinct(value: Expr, error: Expr) -> Call:
    if error.constant is not None and not 0.0040625 <= float(error.constant) <= 0.26:
        message = f"Standard error must be in [0.0040625, 0.26]: {error.constant}"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    return Call("@count(DISTINCT {0})", BIGINT, (value,))


def _percentile(value: Expr, percentage: Expr) -> Call:
    """The element of the sorted values that Trino's digest gives as long as it keeps them all."""
    many = percentage.type.base == "array"
    sorted_ = "list_sort(@list({0}), 'ASC', 'NULLS LAST')"
    if is_float(value.type):
        sorted_ = "list_sort(trino_no_nan(@list({0})), 'ASC', 'NULLS LAST')"
    name = "trino_percentiles" if many else "trino_percentile"
    result = array(value.type) if many else value.type
    return Call(f"{name}({sorted_}, @count({{0}}), {{1}})", result, (value, percentage))


def _weighted_percentile(value: Expr, weight: Expr, percentage: Expr) -> Call:
    """As if each value stood there as often as its weight says."""
    is_counted = "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL"
    pair = build(f"{is_counted} THEN [{{0}}, {{1}}] END", array(BIGINT), value, weight)
    percentile = "trino_weighted_percentile(list_sort(@list({0})), @sum({0}[2]), {1})"
    return Call(percentile, value.type, (pair, percentage))


def _listagg(value: Expr, separator: Expr | None = None) -> Call:
    if separator is not None and separator.constant is None:
        raise not_supported("listagg with a separator that is not a literal")
    between = separator if separator is not None else Expr(("''",), VARCHAR)
    return Call("@string_agg({0}, {1})", VARCHAR, (value, between))


def _map_agg(key: Expr, value: Expr) -> Call:
    """Of several values of a key it keeps one; rows without a key count for nothing."""
    type_ = Type("map", of=(key.type, value.type))
    entry = build("struct_pack(k := {0}, v := {1})", Type("row"), key, value)
    return Call(f"CAST(trino_map_of(@list({{0}})) AS {type_.duckdb})", type_, (entry,))


def _multimap_agg(key: Expr, value: Expr) -> Call:
    type_ = Type("map", of=(key.type, array(value.type)))
    entry = build("struct_pack(k := {0}, v := {1})", Type("row"), key, value)
    return Call(f"CAST(trino_multimap_of(@list({{0}})) AS {type_.duckdb})", type_, (entry,))


def _map_union(value: Expr) -> Call:
    return Call(f"CAST(trino_map_union(@list({{0}})) AS {value.type.duckdb})", value.type, (value,))


def _histogram(value: Expr) -> Call:
    type_ = Type("map", of=(value.type, BIGINT))
    return Call(f"CAST(@histogram({{0}}) AS {type_.duckdb})", type_, (value,))


def _approx_most_frequent(buckets: Expr, value: Expr, _capacity: Expr) -> Call:
    type_ = Type("map", of=(value.type, BIGINT))
    most = f"CAST(trino_most_frequent(@histogram({{1}}), {{0}}) AS {type_.duckdb})"
    return Call(most, type_, (buckets, value))


def _statistic(name: str, duckdb: str, answer: str, *aliases: str) -> Aggregate:
    example = f"{name}(x) FROM (VALUES 1, 2, 3, 6) AS t (x)"
    return Aggregate(f"{name}(double) -> double", duckdb, example, answer, aliases=aliases)


def _of_two(name: str, duckdb: str, answer: str) -> Aggregate:
    example = f"{name}(y, x) FROM (VALUES (1, 1), (2, 2), (4, 3)) AS t (y, x)"
    return Aggregate(f"{name}(double, double) -> double", duckdb, example, answer)


_NUMBERS = "FROM (VALUES 1, 2, 3) AS t (x)"
_INTERVALS = "FROM (VALUES INTERVAL '1' HOUR, INTERVAL '2' HOUR) AS t (x)"
_PAIRS = "FROM (VALUES ('a', 1), ('b', 3), ('c', 2)) AS t (x, y)"
_TRUTHS = "FROM (VALUES true, false) AS t (x)"

AGGREGATES = on_page(
    "functions/aggregate",
    Aggregate(
        "any_value(T) -> T",
        "@any_value({0})",
        "any_value(x) FROM (VALUES NULL, 1) AS t (x)",
        "1",
        aliases=("arbitrary",),
    ),
    Aggregate(
        "approx_distinct(T) -> bigint",
        "@count(DISTINCT {0})",
        "approx_distinct(x) FROM (VALUES 1, 1, 2, NULL) AS t (x)",
        "2",
    ),
    Aggregate(
        "approx_distinct(T, double) -> bigint",
        _approx_distinct,
        "approx_distinct(x, 0.01) FROM (VALUES 1, 1, 2, NULL) AS t (x)",
        "2",
    ),
    *(
        Aggregate(
            f"approx_most_frequent(bigint, {type_}, bigint) -> map({type_}, bigint)",
            _approx_most_frequent,
            f"approx_most_frequent(2, x, 10) FROM (VALUES {values}) AS t (x)",
            answer,
        )
        for type_, values, answer in (
            ("bigint", "1, 2, 2, 3, 3, 3", "{3=3, 2=2}"),
            ("varchar", "'a', 'b', 'b', 'c', 'c', 'c'", "{c=3, b=2}"),
        )
    ),
    Aggregate(
        "approx_percentile(bigint, double) -> bigint",
        _percentile,
        f"approx_percentile(x, 0.5) {_NUMBERS}",
        "2",
    ),
    Aggregate(
        "approx_percentile(real, double) -> real",
        _percentile,
        f"approx_percentile(CAST(x AS real), 0.5) {_NUMBERS}",
        "2.0",
    ),
    Aggregate(
        "approx_percentile(double, double) -> double",
        _percentile,
        f"approx_percentile(x * 1e0, 0.5) {_NUMBERS}",
        "2.0",
    ),
    Aggregate(
        "approx_percentile(bigint, array(double)) -> array(bigint)",
        _percentile,
        f"approx_percentile(x, ARRAY[0.1, 0.9]) {_NUMBERS}",
        "[1, 3]",
    ),
    Aggregate(
        "approx_percentile(double, array(double)) -> array(double)",
        _percentile,
        f"approx_percentile(x * 1e0, ARRAY[0.1, 0.9]) {_NUMBERS}",
        "[1.0, 3.0]",
    ),
    Aggregate(
        "approx_percentile(bigint, bigint, double) -> bigint",
        _weighted_percentile,
        "approx_percentile(x, y, 0.5) FROM (VALUES (1, 1), (2, 3), (3, 1)) AS t (x, y)",
        "2",
    ),
    Aggregate(
        "array_agg(T) -> array(T)",
        "@list({0})",
        "array_agg(x ORDER BY x DESC) FROM (VALUES 1, NULL, 2) AS t (x)",
        "[2, 1, null]",
    ),
    Aggregate("avg(N) -> N", _avg, "avg(x) FROM (VALUES 1, 2) AS t (x)", "1.5"),
    Aggregate(
        "avg(interval day to second) -> interval day to second",
        "to_microseconds(CAST(round(@avg(trino_interval_ms({0}))) AS BIGINT) * 1000)",
        f"avg(x) {_INTERVALS}",
        "0 01:30:00.000",
    ),
    Aggregate(
        "bitwise_and_agg(bigint) -> bigint", "@bit_and({0})", f"bitwise_and_agg(x) {_NUMBERS}", "0"
    ),
    Aggregate(
        "bitwise_xor_agg(bigint) -> bigint", "@bit_xor({0})", f"bitwise_xor_agg(x) {_NUMBERS}", "0"
    ),
    Aggregate(
        "bitwise_or_agg(bigint) -> bigint", "@bit_or({0})", f"bitwise_or_agg(x) {_NUMBERS}", "3"
    ),
    Aggregate(
        "bool_and(boolean) -> boolean",
        "@bool_and({0})",
        f"bool_and(x) {_TRUTHS}",
        "false",
        aliases=("every",),
    ),
    Aggregate("bool_or(boolean) -> boolean", "@bool_or({0})", f"bool_or(x) {_TRUTHS}", "true"),
    _of_two("corr", "trino_finite(@corr({0}, {1}))", "0.9819805060619659"),
    Aggregate("count() -> bigint", "@count(*)", f"count(*) {_NUMBERS}", "3"),
    Aggregate("count(T) -> bigint", "@count({0})", "count(x) FROM (VALUES 1, NULL) AS t (x)", "1"),
    Aggregate(
        "count_if(boolean) -> bigint",
        "CAST(coalesce(@count_if({0}), 0) AS BIGINT)",
        f"count_if(x > 1) {_NUMBERS}",
        "2",
    ),
    _of_two("covar_pop", "@covar_pop({0}, {1})", "1.0"),
    _of_two("covar_samp", "@covar_samp({0}, {1})", "1.5"),
    Aggregate(
        "geometric_mean(double) -> double",
        "exp(@avg(trino_ln({0})))",
        "geometric_mean(x) FROM (VALUES 1, 1) AS t (x)",
        "1.0",
    ),
    Aggregate(
        "histogram(T) -> map(T, bigint)",
        _histogram,
        "histogram(x) FROM (VALUES 'a', 'b', 'a') AS t (x)",
        "{a=2, b=1}",
    ),
    Aggregate(
        "listagg(varchar) -> varchar",
        _listagg,
        f"listagg(x) WITHIN GROUP (ORDER BY x) {_PAIRS}",
        "abc",
    ),
    Aggregate(
        "listagg(varchar, varchar) -> varchar",
        _listagg,
        f"listagg(x, ',') WITHIN GROUP (ORDER BY y) {_PAIRS}",
        "a,c,b",
    ),
    Aggregate("map_agg(K, V) -> map(K, V)", _map_agg, f"map_agg(x, y) {_PAIRS}", "{a=1, b=3, c=2}"),
    Aggregate("max(T) -> T", _max, f"max(x) {_NUMBERS}", "3"),
    Aggregate("max(T, bigint) -> array(T)", _several("max"), f"max(x, 2) {_NUMBERS}", "[3, 2]"),
    Aggregate("max_by(T, U) -> T", _by("arg_max_null"), f"max_by(x, y) {_PAIRS}", "b"),
    Aggregate(
        "max_by(T, U, bigint) -> array(T)",
        _several_by("arg_max"),
        f"max_by(x, y, 2) {_PAIRS}",
        "[b, c]",
    ),
    Aggregate("min(T) -> T", _min, f"min(x) {_NUMBERS}", "1"),
    Aggregate("min(T, bigint) -> array(T)", _several("min"), f"min(x, 2) {_NUMBERS}", "[1, 2]"),
    Aggregate("min_by(T, U) -> T", _by("arg_min_null"), f"min_by(x, y) {_PAIRS}", "a"),
    Aggregate(
        "min_by(T, U, bigint) -> array(T)",
        _several_by("arg_min"),
        f"min_by(x, y, 2) {_PAIRS}",
        "[a, c]",
    ),
    Aggregate(
        "reduce_agg(T, S, function(S, T, S), function(S, S, S)) -> S",
        "list_reduce(nullif(list_filter(@list({0}), lambda each: each IS NOT NULL), []), {2}, {1})",
        f"reduce_agg(x, 0, (a, b) -> a + b, (a, b) -> a + b) {_NUMBERS}",
        "6",
    ),
    _of_two("regr_intercept", "trino_finite(@regr_intercept({0}, {1}))", "-0.6666666666666665"),
    _of_two("regr_slope", "trino_finite(@regr_slope({0}, {1}))", "1.5"),
    _statistic("stddev", "@stddev_samp({0})", "2.160246899469287", "stddev_samp"),
    _statistic("stddev_pop", "@stddev_pop({0})", "1.8708286933869707"),
    Aggregate("sum(N) -> N", _sum, f"sum(x) {_NUMBERS}", "6"),
    Aggregate(
        "sum(interval day to second) -> interval day to second",
        "to_microseconds(CAST(@sum(trino_interval_ms({0})) AS BIGINT) * 1000)",
        f"sum(x) {_INTERVALS}",
        "0 03:00:00.000",
    ),
    _statistic("variance", "@var_samp({0})", "4.666666666666667", "var_samp"),
    _statistic("var_pop", "@var_pop({0})", "3.5"),
    Aggregate(
        "multimap_agg(K, V) -> map(K, array(V))",
        _multimap_agg,
        "multimap_agg(x, y) FROM (VALUES ('a', 1), ('a', 2), ('b', 3)) AS t (x, y)",
        "{a=[1, 2], b=[3]}",
    ),
    Aggregate(
        "map_union(map(K, V)) -> map(K, V)",
        _map_union,
        "map_union(x) FROM (VALUES MAP(ARRAY['a'], ARRAY[1]), MAP(ARRAY['b'], ARRAY[2])) AS t (x)",
        "{a=1, b=2}",
    ),
)

MACROS = (
    """trino_most_frequent(counts, buckets) AS map_from_entries(list_transform(
        list_sort(list_transform(
            map_entries(counts),
            lambda each: struct_pack(less := -CAST(each.value AS BIGINT), key := each.key)
        ))[1:buckets],
        lambda each: struct_pack(k := each.key, v := -each.less)))""",
    # What is not finite, as for points in a line, is NULL.
    "trino_finite(x) AS CASE WHEN isfinite(x) THEN x END",
    """trino_percentile(sorted, total, p) AS CASE
        WHEN p < 0 OR p > 1 THEN trino_invalid('percentile must be between 0 and 1')
        WHEN total = 0 THEN NULL
        ELSE sorted[least(CAST(floor(p * total) AS BIGINT) + 1, total)]
    END""",
    """trino_weighted_percentile(sorted, total, p) AS CASE
        WHEN p < 0 OR p > 1 THEN trino_invalid('percentile must be between 0 and 1')
        WHEN len(list_filter(sorted, lambda pair: pair[2] <= 0)) > 0
            THEN trino_invalid('percentile weight must be > 0')
        ELSE list_reduce(
            list_filter(sorted, lambda pair: pair IS NOT NULL),
            lambda passed, pair: CASE WHEN passed[2] > 0 THEN [pair[1], passed[2] - pair[2]]
                ELSE passed END,
            [NULL, CAST(least(floor(p * total) + 1, total) AS BIGINT)]
        )[1]
    END""",
    """trino_percentiles(sorted, total, list) AS CASE
        WHEN total = 0 THEN NULL
        ELSE list_transform(list, lambda each: trino_percentile(sorted, total, each))
    END""",
    """trino_no_nan(list) AS CASE
        WHEN len(list_filter(list, lambda each: isnan(each))) > 0 THEN
            trino_undone('approx_percentile of NaN')
        ELSE list
    END""",
    """trino_map_of(entries) AS CASE
        WHEN len(list_filter(entries, lambda each: each.k IS NOT NULL)) = 0 THEN NULL
        ELSE list_transform([list_filter(entries, lambda each: each.k IS NOT NULL)],
            lambda kept: map_from_entries(list_filter(kept, lambda each, i:
                list_position(list_transform(kept, lambda one: one.k), each.k) = i)))[1]
    END""",
    """trino_multimap_of(entries) AS list_transform(
        [list_filter(entries, lambda each: each.k IS NOT NULL)],
        lambda kept: CASE WHEN len(kept) = 0 THEN NULL ELSE list_transform(
            [trino_distinct(list_transform(kept, lambda one: one.k))],
            lambda keys: map(keys, list_transform(keys, lambda key: list_transform(
                list_filter(kept, lambda one: one.k = key), lambda one: one.v)))
        )[1] END)[1]""",
    """trino_map_union(maps) AS trino_map_of(flatten(list_transform(
        list_filter(maps, lambda each: each IS NOT NULL),
        lambda each: list_transform(list_zip(map_keys(each), map_values(each)),
            lambda pair: struct_pack(k := pair[1], v := pair[2])))))""",
)
