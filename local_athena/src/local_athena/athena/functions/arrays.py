"""Functions of arrays, and the lambdas on them."""

from __future__ import annotations

from collections.abc import Callable

from local_athena.athena.casts import cast
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.row import Function, on_page
from local_athena.athena.types import (
    DATE,
    TIMESTAMP,
    VARCHAR,
    Expr,
    Type,
    array,
    build,
    is_float,
)


def _array_join(values: Expr, delimiter: Expr, null: Expr | None = None) -> Expr:
    """Elements as varchar; NULL is left out, unless there is a text for it."""
    element = Expr(("each",), values.type.of[0])
    shown = cast(element, VARCHAR)
    if null is not None:
        shown = build("coalesce({0}, {1})", VARCHAR, shown, null)
    listed = build("list_transform({0}, lambda each: {1})", array(VARCHAR), values, shown)
    whole = "coalesce(array_to_string({2}, {1}), '')"
    joined_values = f"CASE WHEN {{0}} IS NOT NULL AND {{1}} IS NOT NULL THEN {whole} END"
    return build(joined_values, VARCHAR, values, delimiter, listed)


def _plain_elements(values: Expr, what: str) -> None:
    """Reject what DuckDB compares otherwise than Trino."""
    if any(
        is_float(Type(base)) or base in ("row", "array", "map") for base in values.type.of[0].bases
    ):
        raise not_supported(f"{what} of {values.type}")


def _extreme(function: str, name: str) -> Function:
    def translate(values: Expr) -> Expr:
        _plain = values.type.of[0]
        missing = "CASE WHEN len(list_filter({0}, lambda each: each IS NULL)) > 0 THEN NULL"
        chosen = f"list_{function}({{0}})"
        if is_float(_plain):
            numbers = "list_filter({0}, lambda each: NOT isnan(each))"
            chosen = f"coalesce(list_{function}({numbers}), list_{function}({{0}}))"
        return build(f"{missing} ELSE {chosen} END", _plain, values)

    answer = "3" if function == "max" else "1"
    return Function(f"{name}(array(T)) -> T", translate, f"{name}(ARRAY[1, 3, 2])", answer)


def _contains(values: Expr, value: Expr) -> Expr:
    if is_float(values.type.of[0]):
        # NaN equals nothing.
        never = "trino_contains({0}, NULL) IS NOT NULL"
        found = f"CASE WHEN isnan({{1}}) THEN {never} ELSE trino_contains({{0}}, {{1}}) END"
        return build(found, Type("boolean"), values, value)
    _plain_elements(values, "contains")
    return build("trino_contains({0}, {1})", Type("boolean"), values, value)


def _plain_numbers(values: Expr) -> Expr:
    """An array of doubles, or a double; the query is refused for what DuckDB compares otherwise."""
    if values.type.base == "array":
        return build("trino_plain_numbers({0})", values.type, values)
    return build("trino_plain_numbers([{0}])[1]", values.type, values)


def _checked(name: str, template: str, result: str) -> Callable[..., Expr]:
    def translate(*args: Expr) -> Expr:
        if is_float(args[0].type.of[0]):
            args = tuple(map(_plain_numbers, args))
        else:
            _plain_elements(args[0], name)
        type_ = {"T": args[0].type, "boolean": Type("boolean"), "bigint": Type("bigint")}[result]
        return build(template, type_, *args)

    return translate


def _sequence(start: Expr, stop: Expr, step: Expr | None = None) -> Expr:
    """At most 10,000 entries, as in Trino."""
    type_ = start.type
    if type_ == TIMESTAMP and step is None:
        raise not_supported("sequence of timestamps without a step")
    if type_.base not in ("date", "timestamp", "bigint"):
        raise not_supported(f"sequence of {type_}")
    if type_.base == "bigint":
        if step is None:
            return build(
                "trino_sequence({0}, {1}, CASE WHEN {0} <= {1} THEN 1 ELSE -1 END)",
                array(type_),
                start,
                stop,
            )
        return build("trino_sequence({0}, {1}, {2})", array(type_), start, stop, step)
    if step is None:
        step = build(
            "CASE WHEN {0} <= {1} THEN INTERVAL '1 day' ELSE INTERVAL '-1 day' END",
            Type("interval day to second"),
            start,
            stop,
        )
    elif type_ == DATE and step.constant in ("hour", "minute", "second"):
        message = "sequence step must be a day interval if start and end values are dates"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message)
    return build(
        f"CAST(trino_time_sequence({{0}}, {{1}}, {{2}}) AS {type_.duckdb}[])",
        array(type_),
        start,
        stop,
        step,
    )


def _zip(*arrays: Expr) -> Expr:
    """Rows of the elements at the same place, the shorter arrays filled up with NULL."""
    of = tuple(each.type.of[0] for each in arrays)
    type_ = array(Type("row", of=of, fields=("",) * len(of)))
    places = range(len(arrays))
    longest = f"greatest({', '.join(f'len({{{i}}})' for i in places)})"
    # DuckDB reads fields of a row that list_zip fills up with NULL as those of another row.
    filled = ", ".join(f"list_resize({{{i}}}, {longest})" for i in places)
    packed = ", ".join(f"field{i} := elements[{i + 1}]" for i in places)
    listed = f"list_transform(list_zip({filled}), lambda elements: struct_pack({packed}))"
    are_there = " AND ".join(f"{{{i}}} IS NOT NULL" for i in places)
    return build(f"CASE WHEN {are_there} THEN {listed} END", type_, *arrays)


FUNCTIONS = on_page(
    "functions/array",
    Function(
        "all_match(array(T), function(T, boolean)) -> boolean",
        "trino_all(list_transform({0}, {1}))",
        "all_match(ARRAY[1, 2], x -> x > 0)",
        "true",
    ),
    Function(
        "any_match(array(T), function(T, boolean)) -> boolean",
        "trino_any(list_transform({0}, {1}))",
        "any_match(ARRAY[1, 2], x -> x > 1)",
        "true",
    ),
    Function(
        "none_match(array(T), function(T, boolean)) -> boolean",
        "(NOT trino_any(list_transform({0}, {1})))",
        "none_match(ARRAY[1, 2], x -> x > 2)",
        "true",
    ),
    Function(
        "array_distinct(array(T)) -> array(T)",
        _checked("array_distinct", "trino_distinct({0})", "T"),
        "array_distinct(ARRAY[2, 1, 2, NULL, NULL])",
        "[2, 1, null]",
    ),
    Function(
        "array_except(array(T), array(T)) -> array(T)",
        _checked("array_except", "trino_except({0}, {1})", "T"),
        "array_except(ARRAY[1, 2, 2, 3], ARRAY[3])",
        "[1, 2]",
    ),
    Function(
        "array_intersect(array(T), array(T)) -> array(T)",
        _checked("array_intersect", "trino_intersect({0}, {1})", "T"),
        "array_sort(array_intersect(ARRAY[1, 2, 3], ARRAY[3, 1]))",
        "[1, 3]",
    ),
    Function(
        "array_union(array(T), array(T)) -> array(T)",
        _checked("array_union", "trino_union({0}, {1})", "T"),
        "array_union(ARRAY[1, 2], ARRAY[2, 3])",
        "[1, 2, 3]",
    ),
    Function(
        "array_join(array(T), varchar) -> varchar",
        _array_join,
        "array_join(ARRAY[1, NULL, 2], '-')",
        "1-2",
    ),
    Function(
        "array_join(array(T), varchar, varchar) -> varchar",
        _array_join,
        "array_join(ARRAY[1, NULL, 2], '-', 'x')",
        "1-x-2",
    ),
    _extreme("max", "array_max"),
    _extreme("min", "array_min"),
    Function(
        "array_position(array(T), T) -> bigint",
        _checked("array_position", "trino_position({0}, {1})", "bigint"),
        "array_position(ARRAY['a', 'b'], 'b')",
        "2",
    ),
    Function(
        "array_remove(array(T), T) -> array(T)",
        _checked("array_remove", "trino_remove({0}, {1})", "T"),
        "array_remove(ARRAY[1, 2, 1], 1)",
        "[2]",
    ),
    Function(
        "array_sort(array(T)) -> array(T)",
        "list_sort({0}, 'ASC', 'NULLS LAST')",
        "array_sort(ARRAY[3, NULL, 1])",
        "[1, 3, null]",
    ),
    Function(
        "arrays_overlap(array(T), array(T)) -> boolean",
        _checked("arrays_overlap", "trino_overlap({0}, {1})", "boolean"),
        "arrays_overlap(ARRAY[1, 2], ARRAY[2, 3])",
        "true",
    ),
    Function("cardinality(array(T)) -> bigint", "len({0})", "cardinality(ARRAY[1, NULL])", "2"),
    Function(
        "concat(array(T), array(T)...) -> array(T)",
        "trino_concat([{*}])",
        "concat(ARRAY[1], ARRAY[2], ARRAY[3])",
        "[1, 2, 3]",
    ),
    Function(
        "concat(array(T), T) -> array(T)",
        "CASE WHEN {0} IS NOT NULL THEN list_append({0}, {1}) END",
        "ARRAY[1] || 2",
        "[1, 2]",
    ),
    Function(
        "concat(T, array(T)) -> array(T)",
        "CASE WHEN {1} IS NOT NULL THEN list_prepend({0}, {1}) END",
        "1 || ARRAY[2]",
        "[1, 2]",
    ),
    Function(
        "contains_sequence(array(T), array(T)) -> boolean",
        "trino_contains_sequence({0}, {1})",
        "contains_sequence(ARRAY[1, 2, 3, 4, 5, 6], ARRAY[1, 2])",
        "true",
    ),
    Function(
        "contains(array(T), T) -> boolean", _contains, "contains(ARRAY['a', 'b'], 'b')", "true"
    ),
    Function(
        "element_at(array(T), bigint) -> T",
        "trino_element({0}, {1})",
        "element_at(ARRAY['a', 'b'], -1)",
        "b",
    ),
    Function(
        "filter(array(T), function(T, boolean)) -> array(T)",
        "list_filter({0}, {1})",
        "filter(ARRAY[5, -6, NULL, 7], x -> x > 0)",
        "[5, 7]",
    ),
    Function(
        "flatten(array(array(T))) -> array(T)",
        "flatten({0})",
        "flatten(ARRAY[ARRAY[1, 2], ARRAY[3]])",
        "[1, 2, 3]",
    ),
    Function(
        "combinations(array(T), integer) -> array(array(T))",
        "trino_combinations({0}, {1})",
        "combinations(ARRAY['a', 'b', 'c'], 2)",
        "[[a, b], [a, c], [b, c]]",
    ),
    Function(
        "ngrams(array(T), bigint) -> array(array(T))",
        "trino_ngrams({0}, {1})",
        "ngrams(ARRAY['a', 'b', 'c'], 2)",
        "[[a, b], [b, c]]",
    ),
    Function(
        "reduce(array(T), S, function(S, T, S), function(S, R)) -> R",
        "list_transform([list_reduce({0}, {2}, {1})], {3})[1]",
        "reduce(ARRAY[5, 20, 50], 0, (s, x) -> s + x, s -> s)",
        "75",
    ),
    Function(
        "repeat(T, bigint) -> array(T)", "trino_repeat({0}, {1})", "repeat('a', 3)", "[a, a, a]"
    ),
    Function(
        "reverse(array(T)) -> array(T)", "list_reverse({0})", "reverse(ARRAY[1, 2])", "[2, 1]"
    ),
    Function("sequence(bigint, bigint) -> array(bigint)", _sequence, "sequence(1, 3)", "[1, 2, 3]"),
    Function(
        "sequence(bigint, bigint, bigint) -> array(bigint)",
        _sequence,
        "sequence(5, 1, -2)",
        "[5, 3, 1]",
    ),
    Function(
        "sequence(date, date) -> array(date)",
        _sequence,
        "sequence(DATE '2024-02-28', DATE '2024-03-01')",
        "[2024-02-28, 2024-02-29, 2024-03-01]",
    ),
    Function(
        "sequence(date, date, interval day to second) -> array(date)",
        _sequence,
        "sequence(DATE '2024-01-01', DATE '2024-01-15', INTERVAL '7' DAY)",
        "[2024-01-01, 2024-01-08, 2024-01-15]",
    ),
    Function(
        "sequence(date, date, interval year to month) -> array(date)",
        _sequence,
        "sequence(DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1' MONTH)",
        "[2024-01-01, 2024-02-01, 2024-03-01]",
    ),
    Function(
        "sequence(timestamp, timestamp, interval day to second) -> array(timestamp)",
        _sequence,
        "sequence(TIMESTAMP '2024-01-01 00:00', TIMESTAMP '2024-01-01 02:00', INTERVAL '1' HOUR)",
        "[2024-01-01 00:00:00.000, 2024-01-01 01:00:00.000, 2024-01-01 02:00:00.000]",
    ),
    Function(
        "sequence(timestamp, timestamp, interval year to month) -> array(timestamp)",
        _sequence,
        "sequence(TIMESTAMP '2024-01-01 00:00', TIMESTAMP '2024-02-01 00:00', INTERVAL '1' MONTH)",
        "[2024-01-01 00:00:00.000, 2024-02-01 00:00:00.000]",
    ),
    Function(
        "slice(array(T), bigint, bigint) -> array(T)",
        "trino_slice({0}, {1}, {2})",
        "slice(ARRAY[1, 2, 3, 4], -2, 2)",
        "[3, 4]",
    ),
    Function(
        "transform(array(T), function(T, U)) -> array(U)",
        "list_transform({0}, {1})",
        "transform(ARRAY[5, NULL, 6], x -> x + 1)",
        "[6, null, 7]",
    ),
    Function(
        "trim_array(array(T), bigint) -> array(T)",
        "trino_trim_array({0}, {1})",
        "trim_array(ARRAY[1, 2, 3], 1)",
        "[1, 2]",
    ),
    Function(
        "zip_with(array(T), array(U), function(T, U, R)) -> array(R)",
        "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL"
        " THEN list_transform(trino_zipped({0}, {1}), {2}) END",
        "zip_with(ARRAY[1, 3], ARRAY[2, 4], (x, y) -> x + y)",
        "[3, 7]",
        is_pair=True,
    ),
    Function(
        "array_sort(array(T), function(T, T, bigint)) -> array(T)",
        # How each element compares with each other one.
        "trino_by_rank({0}, list_transform({0}, lambda one: list_transform("
        "list_transform({0}, lambda other: row(other, one)), {1})))",
        "array_sort(ARRAY[3, 2, 5], (x, y) -> IF(x < y, 1, IF(x = y, 0, -1)))",
        "[5, 3, 2]",
        is_pair=True,
    ),
    Function(
        "zip(array(T), array(U)) -> array(row(T, U))",
        _zip,
        "zip(ARRAY[1, 2], ARRAY['a'])",
        "[{field0=1, field1=a}, {field0=2, field1=null}]",
    ),
    Function(
        "zip(array(T), array(U), array(V)) -> array(row(T, U, V))",
        _zip,
        "zip(ARRAY[1, 2], ARRAY['a'], ARRAY[true])",
        "[{field0=1, field1=a, field2=true}, {field0=2, field1=null, field2=null}]",
    ),
)

MACROS = (
    """trino_contains_sequence(a, s) AS CASE
        WHEN a IS NOT NULL AND s IS NOT NULL THEN len(list_filter(
            range(1, CAST(len(a) AS BIGINT) - CAST(len(s) AS BIGINT) + 2),
            lambda i: a[i:i + len(s) - 1] IS NOT DISTINCT FROM s)) > 0
    END""",
    # DuckDB reads fields of a row that list_zip fills up with NULL as those of another row.
    """trino_zipped(a, b) AS list_zip(
        list_resize(a, greatest(len(a), len(b))), list_resize(b, greatest(len(a), len(b))))""",
    """trino_any(matches) AS CASE
        WHEN matches IS NULL THEN NULL
        WHEN len(list_filter(matches, lambda each: each)) > 0 THEN true
        WHEN len(list_filter(matches, lambda each: each IS NULL)) > 0 THEN NULL
        ELSE false
    END""",
    """trino_plain_numbers(a) AS CASE
        WHEN len(list_filter(a, lambda each: isnan(each) OR (each = 0 AND signbit(each)))) > 0
            THEN trino_undone('this function for arrays with NaN or -0.0')
        ELSE a
    END""",
    "trino_all(matches) AS NOT trino_any(list_transform(matches, lambda each: NOT each))",
    """trino_distinct(a) AS list_filter(a, lambda each, i: len(list_filter(
        a[1:i - 1], lambda earlier: earlier IS NOT DISTINCT FROM each)) = 0)""",
    """trino_has(a, x) AS len(list_filter(a, lambda each: each IS NOT DISTINCT FROM x)) > 0""",
    """trino_except(a, b) AS CASE WHEN b IS NOT NULL THEN list_filter(trino_distinct(a), lambda x:
        NOT trino_has(b, x)) END""",
    """trino_intersect(a, b) AS CASE WHEN b IS NOT NULL THEN list_filter(trino_distinct(a), lambda
        x: trino_has(b, x)) END""",
    """trino_union(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN
        trino_distinct(list_concat(a, b)) END""",
    """trino_position(a, x) AS CASE
        WHEN a IS NOT NULL AND x IS NOT NULL THEN CAST(coalesce(list_position(a, x), 0) AS BIGINT)
    END""",
    """trino_remove(a, x) AS CASE WHEN x IS NOT NULL THEN list_filter(a, lambda each: each <> x OR
        each IS NULL) END""",
    """trino_contains(a, x) AS CASE
        WHEN a IS NULL OR x IS NULL THEN NULL
        WHEN list_contains(a, x) THEN true
        WHEN len(list_filter(a, lambda each: each IS NULL)) > 0 THEN NULL
        ELSE false
    END""",
    """trino_overlap(a, b) AS CASE
        WHEN a IS NULL OR b IS NULL THEN NULL
        WHEN list_has_any(a, b) THEN true
        WHEN len(a) > 0 AND len(b) > 0
            AND len(list_filter(list_concat(a, b), lambda each: each IS NULL)) > 0 THEN NULL
        ELSE false
    END""",
    """trino_concat(arrays) AS CASE
        WHEN len(list_filter(arrays, lambda each: each IS NULL)) = 0 THEN flatten(arrays)
    END""",
    """trino_element(a, i) AS CASE
        WHEN i = 0 THEN trino_invalid('SQL array indices start at 1')
        WHEN abs(i) > len(a) THEN NULL
        ELSE a[i]
    END""",
    """trino_repeat(x, n) AS CASE
        WHEN n > 10000 THEN
            trino_invalid('count argument of repeat function must be less than or equal to 10000')
        WHEN n < 0 THEN
            trino_invalid('count argument of repeat function must be greater than or equal to 0')
        ELSE list_transform(range(n), lambda i: x)
    END""",
    """trino_sequence(start, stop, step) AS CASE
        WHEN step = 0 THEN trino_invalid('step must not be zero')
        WHEN (step > 0 AND stop < start) OR (step < 0 AND stop > start)
            THEN trino_invalid('sequence stop value should be greater than or equal to start'
                || ' value if'
                || ' step is greater than zero otherwise stop should be less than or equal to'
                || ' start')
        WHEN abs(CAST(stop AS HUGEINT) - start) // abs(step) >= 10000
            THEN trino_invalid('result of sequence function must not have more than 10000 entries')
        ELSE generate_series(start, stop, step)
    END""",
    """trino_time_sequence(start, stop, step) AS CASE
        WHEN start + step = start THEN trino_invalid('interval must not be zero')
        WHEN (start + step > start AND stop < start) OR (start + step < start AND stop > start)
            THEN trino_invalid('sequence stop value should be greater than or equal to start'
                || ' value if'
                || ' step is greater than zero otherwise stop should be less than or equal to'
                || ' start')
        WHEN abs(epoch(stop) - epoch(start)) / abs(epoch(start + step) - epoch(start)) >= 10400
            THEN trino_invalid('result of sequence function must not have more than 10000 entries')
        WHEN len(generate_series(start, stop, step)) > 10000
            THEN trino_invalid('result of sequence function must not have more than 10000 entries')
        ELSE list_transform(
            range(len(generate_series(start, stop, step))), lambda i: start + step * CAST(i AS
                INTEGER))
    END""",
    """trino_slice(a, start, size) AS CASE
        WHEN size < 0 THEN trino_invalid('length must be greater than or equal to 0')
        WHEN start = 0 THEN trino_invalid('SQL array indices start at 1')
        WHEN start < -len(a) OR size = 0 THEN a[1:0]
        WHEN start < 0 THEN a[len(a) + start + 1:len(a) + start + size]
        ELSE a[start:start + size - 1]
    END""",
    """trino_trim_array(a, n) AS CASE
        WHEN n < 0 THEN trino_invalid('size must not be negative: ' || n)
        WHEN n > len(a) THEN trino_invalid('size must not exceed array cardinality ' || len(a) ||
            ': ' || n)
        ELSE a[1:len(a) - n]
    END""",
    """trino_ngrams(a, n) AS CASE
        WHEN n <= 0 THEN trino_invalid('N must be positive')
        ELSE list_transform(
            range(1, len(a) - least(n, len(a)) + 2), lambda i: a[i:i + least(n, len(a)) - 1])
    END""",
    # The places of the elements, whose last decides the order first.
    """trino_places(size, n) AS list_transform(list_sort(list_transform(
        list_reduce(
            range(n),
            lambda chosen, _step: flatten(list_transform(chosen, lambda places: list_transform(
                range(coalesce(places[-1], 0) + 1, size + 1),
                lambda place: list_append(places, place)))),
            [CAST([] AS BIGINT[])]),
        lambda places: list_reverse(places))), lambda places: list_reverse(places))""",
    """trino_combinations(a, n) AS CASE
        WHEN n < 0 THEN trino_invalid('combination size must not be negative: ' || n)
        WHEN n > 5 THEN trino_invalid('combination size must not exceed 5: ' || n)
        WHEN n <= len(a) AND n * list_reduce(
                range(1, n + 1), lambda count, i: count * (len(a) - n + i) // i, 1.0) > 100000
            THEN trino_invalid('combinations exceed max size')
        ELSE list_transform(trino_places(len(a), n), lambda places:
            list_transform(places, lambda place: a[place]))
    END""",
    """trino_by_rank(a, comparisons) AS CASE
        WHEN len(list_filter(flatten(comparisons), lambda each: each IS NULL)) > 0
            THEN trino_undone('array_sort with a comparison that is NULL')
        WHEN len(list_filter(comparisons, lambda row, i: len(list_filter(
            row, lambda c, j: j <> i AND sign(c) <> -sign(comparisons[j][i]))) > 0)) > 0
            THEN trino_undone('array_sort with a comparison that contradicts itself')
        ELSE list_transform(
            list_sort(list_transform(comparisons, lambda row, i: [len(list_filter(
                row, lambda c, j: j <> i AND (c < 0 OR (c = 0 AND j < i)))), i])),
            lambda ranked: a[ranked[2]])
    END""",
)
