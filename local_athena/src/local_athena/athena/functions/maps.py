"""Functions of maps."""

from __future__ import annotations

from local_athena.athena.functions.row import Function, on_page
from local_athena.athena.types import UNKNOWN, Expr, Type, array, build, row_fields

_PAIRS = "list_zip(map_keys({0}), map_values({0}))"


def _map_entries(value: Expr) -> Expr:
    key, held = value.type.of
    type_ = array(Type("row", of=(key, held), fields=("", "")))
    packed = "struct_pack(field0 := pair[1], field1 := pair[2])"
    return build(f"list_transform({_PAIRS}, lambda pair: {packed})", type_, value)


def _from_entries(entries: Expr) -> Expr:
    row = entries.type.of[0]
    return build("map_from_entries({0})", Type("map", of=row.of), entries)


def _multimap_from_entries(entries: Expr) -> Expr:
    row = entries.type.of[0]
    key, value = row_fields(Expr(("each",), row))
    packed = build("struct_pack(k := {0}, v := {1})", row, key, value)
    listed = build("list_transform({0}, lambda each: {1})", entries.type, entries, packed)
    type_ = Type("map", of=(row.of[0], array(row.of[1])))
    return build("trino_multimap_of({0})", type_, listed)


FUNCTIONS = on_page(
    "functions/map",
    Function(
        "cardinality(map(K, V)) -> bigint",
        "CAST(cardinality({0}) AS BIGINT)",
        "cardinality(MAP(ARRAY['a', 'b'], ARRAY[1, 2]))",
        "2",
    ),
    Function(
        "element_at(map(K, V), K) -> V",
        "({0})[{1}]",
        "element_at(MAP(ARRAY['a'], ARRAY[1]), 'z')",
        None,
    ),
    Function(
        "map() -> map(U, U)",
        lambda: build("map([], [])", Type("map", of=(UNKNOWN, UNKNOWN))),
        "map()",
        "{}",
    ),
    Function(
        "map(array(K), array(V)) -> map(K, V)",
        "trino_map({0}, {1})",
        "map(ARRAY['a', 'b'], ARRAY[1, NULL])",
        "{a=1, b=null}",
    ),
    Function(
        "map_concat(map(K, V), map(K, V)...) -> map(K, V)",
        "trino_map_concat([{*}], map_concat({*}))",
        "map_concat(MAP(ARRAY['a'], ARRAY[1]), MAP(ARRAY['b'], ARRAY[2]))",
        "{a=1, b=2}",
    ),
    Function(
        "map_entries(map(K, V)) -> array(row(K, V))",
        _map_entries,
        "map_entries(MAP(ARRAY[1, 2], ARRAY['x', 'y']))",
        "[{field0=1, field1=x}, {field0=2, field1=y}]",
    ),
    Function(
        "map_filter(map(K, V), function(K, V, boolean)) -> map(K, V)",
        f"map_from_entries(list_filter({_PAIRS}, {{1}}))",
        "map_filter(MAP(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> v > 1)",
        "{b=2}",
        is_pair=True,
    ),
    Function(
        "map_from_entries(array(row(K, V))) -> map(K, V)",
        _from_entries,
        "map_from_entries(ARRAY[ROW(1, 'x'), ROW(2, 'y')])",
        "{1=x, 2=y}",
    ),
    Function(
        "map_keys(map(K, V)) -> array(K)",
        "map_keys({0})",
        "map_keys(MAP(ARRAY['a', 'b'], ARRAY[1, 2]))",
        "[a, b]",
    ),
    Function(
        "map_values(map(K, V)) -> array(V)",
        "map_values({0})",
        "map_values(MAP(ARRAY['a', 'b'], ARRAY[1, 2]))",
        "[1, 2]",
    ),
    Function(
        "transform_keys(map(K, V), function(K, V, U)) -> map(U, V)",
        f"trino_map(list_transform({_PAIRS}, {{1}}), map_values({{0}}))",
        "transform_keys(MAP(ARRAY[1, 2], ARRAY['a', 'b']), (k, v) -> k + 1)",
        "{2=a, 3=b}",
        is_pair=True,
    ),
    Function(
        "transform_values(map(K, V), function(K, V, U)) -> map(K, U)",
        f"trino_map(map_keys({{0}}), list_transform({_PAIRS}, {{1}}))",
        "transform_values(MAP(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> v * 10)",
        "{a=10, b=20}",
        is_pair=True,
    ),
    Function(
        "multimap_from_entries(array(row(K, V))) -> map(K, array(V))",
        _multimap_from_entries,
        "multimap_from_entries(ARRAY[ROW(1, 'x'), ROW(2, 'y'), ROW(1, 'z')])",
        "{1=[x, z], 2=[y]}",
    ),
    Function(
        "map_zip_with(map(K, V), map(K, U), function(K, V, U, R)) -> map(K, R)",
        "trino_map(trino_keys({0}, {1}), list_transform(list_zip(trino_keys({0}, {1}),"
        " trino_values({0}, {0}, {1}), trino_values({1}, {0}, {1})), {2}))",
        "map_zip_with(MAP(ARRAY[1, 2], ARRAY['a', 'b']), MAP(ARRAY[1, 2], ARRAY['d', 'e']),"
        " (k, v1, v2) -> concat(v1, v2))",
        "{1=ad, 2=be}",
        is_pair=True,
    ),
)

MACROS = (
    """trino_map(keys, held) AS CASE
        WHEN keys IS NULL OR held IS NULL THEN NULL
        WHEN len(keys) <> len(held) THEN
            trino_invalid('Key and value arrays must be the same length')
        WHEN len(list_filter(keys, lambda each: each IS NULL)) > 0
            THEN trino_invalid('map key cannot be null')
        WHEN len(keys) <> list_unique(keys)
            THEN trino_invalid('Duplicate map keys are not allowed')
        ELSE map(keys, held)
    END""",
    """trino_map_concat(maps, whole) AS CASE
        WHEN len(list_filter(maps, lambda each: each IS NULL)) = 0 THEN whole
    END""",
    """trino_keys(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL
        THEN trino_distinct(list_concat(map_keys(a), map_keys(b))) END""",
    "trino_values(m, a, b) AS list_transform(trino_keys(a, b), lambda key: m[key])",
)
