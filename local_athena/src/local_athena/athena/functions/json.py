"""Functions of JSON: a value of the type json is its text, as Trino writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from local_athena.athena import json_paths
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.row import Function, literal, on_page
from local_athena.athena.results import java_double
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    JSON,
    VARCHAR,
    Expr,
    Type,
    build,
    is_float,
    quoted,
    text,
)

_STEP = re.compile(r'\.([A-Za-z0-9_]+)|\[(\d+)\]|\["((?:[^"\\])*)"\]|\.(")')


def _path(path: Expr) -> Expr:
    """A path of Trino's (`$.a["b"][0]`) as one of DuckDB's; what searches is refused."""
    form = literal(path, "a JSON path")
    if not form.startswith("$"):
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", f"Invalid JSON path: '{form}'")
    translated, end = "$", 1
    while end < len(form):
        step = _STEP.match(form, end)
        if step is None or step[4]:
            raise not_supported(f"the JSON path {form!r}")
        end = step.end()
        if step[2] is not None:
            translated += f"[{step[2]}]"
        else:
            translated += f'."{step[1] if step[3] is None else step[3]}"'
    return text(translated)


def _parsed(value: Expr) -> Expr:
    if value.constant is not None:
        try:
            return literal_json(value.constant)
        except QueryFailed as error:  # the query fails when it runs, and TRY gives NULL then
            return build("trino_invalid({0})", JSON, text(error.message))
    if value.sql == "CAST(NULL AS VARCHAR)":  # of which DuckDB cannot tell a list of nodes
        return value.as_type(JSON)
    return build("trino_json_parse({0})", JSON, value)


def literal_json(source: str) -> Expr:
    """JSON '...': its text as Trino keeps it, with sorted keys and numbers as Java's."""
    try:
        value = json.loads(source, parse_constant=_no_constant)
    except ValueError:
        message = f"Cannot convert value to JSON: '{source}'"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message) from None
    return Expr((quoted(_canonical(value)),), JSON)


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{_canonical(key)}:{_canonical(value[key])}" for key in sorted(value))
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    if isinstance(value, float):
        return java_double(value)
    shown = json.dumps(value, ensure_ascii=False)
    return re.sub(r"\\u[0-9a-f]{4}", lambda found: found[0][:2] + found[0][2:].upper(), shown)


def _unsorted(value: Expr) -> Expr:
    """json_parse without sorting the keys, for a function that does not show them."""
    first = value.parts[0]
    if isinstance(first, str) and first == _PARSE:
        return replace(value, parts=("trino_json_read(", *value.parts[1:]))
    return value


_PARSE = "trino_json_parse("


def _with_path(template: str, type_: Type) -> Callable[[Expr, Expr], Expr]:
    def translate(value: Expr, path: Expr) -> Expr:
        if type_ != JSON:
            value = _unsorted(value)
        return build(template, type_, value, _path(path))

    return translate


def _with_standard_path(template: str, type_: Type) -> Callable[[Expr, Expr], Expr]:
    """A function with a path of the SQL standard."""

    def translate(document: Expr, path: Expr) -> Expr:
        form = literal(path, "a JSON path")
        try:
            json_paths.read(form)
        except json_paths.PathNotReadError:
            raise not_supported(f"the JSON path {form!r}") from None
        return build(template, type_, document, path)

    return translate


def _array_contains(value: Expr, searched: Expr) -> Expr:
    kind, shown = "['VARCHAR']", "{1}"
    if searched.type.base == "bigint":
        kind, shown = "['BIGINT', 'UBIGINT']", "CAST({1} AS VARCHAR)"
    elif searched.type.base == "boolean":
        kind, shown = "['BOOLEAN']", "CAST({1} AS VARCHAR)"
    elif is_float(searched.type):
        raise not_supported("json_array_contains of a double")
    found = f"trino_json_contains({{0}}, {kind}, {shown})"
    return build(found, Type("boolean"), value, searched)


def _of_text_or_json(
    signature: str, duckdb: str | Callable[..., Expr], example: str, answer: str | None
) -> tuple[Function, Function]:
    """A function that takes a varchar or a json as its first argument."""
    return (
        Function(signature, duckdb, example, answer),
        Function(signature.replace("(varchar", "(json", 1), duckdb, _as_json(example), answer),
    )


def _as_json(example: str) -> str:
    return re.sub(r"\('", "(JSON '", example, count=1)


FUNCTIONS = on_page(
    "functions/json",
    Function(
        "is_json_scalar(varchar) -> boolean",
        "trino_json_is_scalar({0})",
        "is_json_scalar('[1, 2, 3]')",
        "false",
    ),
    *_of_text_or_json(
        "json_array_contains(varchar, bigint) -> boolean",
        _array_contains,
        "json_array_contains('[1, 2, 3]', 2)",
        "true",
    ),
    *_of_text_or_json(
        "json_array_contains(varchar, varchar) -> boolean",
        _array_contains,
        "json_array_contains('[\"a\"]', 'b')",
        "false",
    ),
    *_of_text_or_json(
        "json_array_contains(varchar, boolean) -> boolean",
        _array_contains,
        "json_array_contains('[true]', true)",
        "true",
    ),
    *_of_text_or_json(
        "json_array_length(varchar) -> bigint",
        "trino_json_length({0})",
        "json_array_length('[1, 2, 3]')",
        "3",
    ),
    *_of_text_or_json(
        "json_extract(varchar, varchar) -> json",
        _with_path("trino_json_extract({0}, {1})", JSON),
        "json_extract('{\"a\": [1, 2.50]}', '$.a')",
        "[1,2.5]",
    ),
    *_of_text_or_json(
        "json_extract_scalar(varchar, varchar) -> varchar",
        _with_path("trino_json_scalar({0}, {1})", VARCHAR),
        "json_extract_scalar('[1, 2.50, 3]', '$[1]')",
        "2.50",
    ),
    Function("json_format(json) -> varchar", "{0}", "json_format(JSON '{\"a\": 1}')", '{"a":1}'),
    Function(
        "json_exists(varchar, varchar) -> boolean",
        _with_standard_path("python_json_exists({0}, {1})", BOOLEAN),
        """json_exists('{"a": [1, {"b": 2}]}', 'lax $.a.b')""",
        "true",
    ),
    Function(
        "json_query(varchar, varchar) -> varchar",
        _with_standard_path("python_json_query({0}, {1})", VARCHAR),
        """json_query('{"a": [1, 2]}', 'lax $.a')""",
        "[1,2]",
    ),
    Function(
        "json_value(varchar, varchar) -> varchar",
        _with_standard_path("python_json_value({0}, {1})", VARCHAR),
        """json_value('{"a": {"b": "x"}}', 'lax $.a.b')""",
        "x",
    ),
    Function(
        "json_parse(varchar) -> json",
        _parsed,
        'json_parse(\'{"b": 1, "a": [true, null]}\')',
        '{"a":[true,null],"b":1}',
    ),
    *_of_text_or_json(
        "json_size(varchar, varchar) -> bigint",
        _with_path("trino_json_size({0}, {1})", BIGINT),
        'json_size(\'{"x": {"a": 1, "b": 2}}\', \'$.x\')',
        "2",
    ),
    *_of_text_or_json(
        "json_array_get(varchar, bigint) -> json",
        "trino_json_get({0}, {1})",
        "json_array_get('[\"a\", [3, 9]]', 1)",
        "[3,9]",
    ),
)
# JSON '2.50' is 2.5.
FUNCTIONS = tuple(
    Function(row.signature, row.duckdb, row.example, "2.5", row.page)
    if row.example.startswith("json_extract_scalar(JSON")
    else row
    for row in FUNCTIONS
)

_SORT_DEPTH = 2


def _sorting(depth: int) -> str:
    """The macro that sorts the keys of objects that are `depth` deep.

    A member is the text before its value, and where its value is.
    """
    return f"""trino_json_sorted{depth}(value) AS list_transform([value], lambda j{depth}: CASE
        WHEN NOT contains(j{depth}, '{{') OR json_type(j{depth}) NOT IN ('ARRAY', 'OBJECT')
            THEN j{depth}
        ELSE list_transform([array_to_string(list_transform(
            trino_json_members(j{depth}),
            lambda m{depth}: m{depth}.before || trino_json_sorted{depth - 1}(
                CAST(json_extract(j{depth}, m{depth}.place) AS VARCHAR))
        ), ',')], lambda inner{depth}:
            CASE WHEN json_type(j{depth}) = 'ARRAY' THEN '[' || inner{depth} || ']'
            ELSE '{{' || inner{depth} || '}}' END)[1]
    END)[1]"""


MACROS = (
    # DuckDB writes the shortest digits of a double otherwise than Java.
    r"""trino_json_numbers(s) AS CASE
        WHEN NOT regexp_matches(s, '[0-9][.eE]') THEN s
        ELSE array_to_string(list_transform(
            regexp_extract_all(s, '"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+'),
            lambda token: CASE
                WHEN regexp_full_match(token, '-?[0-9]+[.eE].*') THEN trino_double_text(CAST(token
                    AS DOUBLE))
                ELSE token
            END), '')
    END""",
    # json_extract_scalar gives a number as it was written: it is read as a text with a mark.
    r"""trino_json_marked(s) AS CASE
        WHEN NOT regexp_matches(s, '[0-9][.eE]') THEN s
        ELSE array_to_string(list_transform(
            regexp_extract_all(s, '"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+|-'),
            lambda token: CASE
                WHEN regexp_full_match(token, '-?[0-9].*') THEN '"\u0001' || token || '"'
                ELSE token
            END), '')
    END""",
    """trino_json_read(s) AS CASE
        WHEN s IS NULL OR json_valid(s) THEN s
        ELSE trino_invalid('Cannot convert value to JSON: ' || chr(39) || s || chr(39))
    END""",
    """trino_json_extract(s, path) AS CASE
        WHEN json_valid(s) THEN trino_json_numbers(CAST(json_extract(s, path) AS VARCHAR))
    END""",
    """trino_json_scalar(s, path) AS CASE
        WHEN json_valid(s) AND json_type(s, path) NOT IN ('OBJECT', 'ARRAY', 'NULL')
            THEN ltrim(json_extract_string(trino_json_marked(s), path), chr(1))
    END""",
    """trino_json_is_scalar(s) AS CASE
        WHEN NOT json_valid(s) THEN trino_invalid('Invalid JSON value: ' || s)
        ELSE json_type(s) NOT IN ('OBJECT', 'ARRAY')
    END""",
    """trino_json_length(s) AS CASE
        WHEN json_valid(s) AND json_type(s) = 'ARRAY' THEN CAST(json_array_length(s) AS BIGINT)
    END""",
    """trino_json_size(s, path) AS CASE
        WHEN NOT json_valid(s) OR json_type(s, path) IS NULL THEN NULL
        WHEN json_type(s, path) = 'OBJECT' THEN CAST(len(json_keys(s, path)) AS BIGINT)
        WHEN json_type(s, path) = 'ARRAY' THEN CAST(json_array_length(s, path) AS BIGINT)
        ELSE CAST(0 AS BIGINT)
    END""",
    """trino_json_contains(s, kinds, searched) AS CASE
        WHEN NOT json_valid(s) OR json_type(s) <> 'ARRAY' OR searched IS NULL THEN NULL
        ELSE len(list_filter(range(CAST(json_array_length(s) AS BIGINT)), lambda i:
            list_contains(kinds, json_type(s, '/' || i)) AND json_extract_string(s, '/' || i) =
                searched)) > 0
    END""",
    # Each level of sorting makes DuckDB ten times slower to start.
    """trino_json_is_sorted(s) AS len(list_filter(
        list_append(json_extract(CAST(s AS VARCHAR), '$..*'), CAST(s AS JSON)),
        lambda each: json_type(each) = 'OBJECT' AND (json_keys(each) <> list_sort(json_keys(each))
            OR len(json_keys(each)) <> list_unique(json_keys(each))))) = 0""",
    """trino_json_sorted0(value) AS CASE
        WHEN contains(value, '{') THEN trino_undone('JSON objects that are nested so deep')
        ELSE value
    END""",
    """trino_json_members(j) AS CASE
        WHEN json_type(j) = 'ARRAY' THEN list_transform(
            range(CAST(json_array_length(j) AS BIGINT)),
            lambda i: struct_pack(before := '', place := '/' || i))
        WHEN len(json_keys(j)) <> list_unique(json_keys(j))
            THEN trino_undone('JSON objects that have a key twice')
        ELSE list_transform(list_sort(json_keys(j)), lambda k: struct_pack(
            before := CAST(to_json(k) AS VARCHAR) || ':',
            place := '/' || replace(replace(k, '~', '~0'), '/', '~1')))
    END""",
    *(_sorting(depth) for depth in range(1, _SORT_DEPTH + 1)),
    f"""trino_json_parse(s) AS CASE
        WHEN s IS NULL THEN NULL
        WHEN NOT json_valid(s) THEN trino_invalid('Cannot convert value to JSON: ''' || s || '''')
        WHEN trino_json_is_sorted(s) THEN trino_json_numbers(CAST(json(s) AS VARCHAR))
        ELSE trino_json_numbers(trino_json_sorted{_SORT_DEPTH}(CAST(json(s) AS VARCHAR)))
    END""",
    # A text comes out without its quotes, as the documentation warns.
    """trino_json_get(s, i) AS CASE
        WHEN NOT json_valid(s) OR json_type(s) <> 'ARRAY' OR i IS NULL THEN NULL
        WHEN i >= json_array_length(s) OR -i > json_array_length(s) THEN NULL
        WHEN json_type(s, '$[' || i || ']') = 'VARCHAR' THEN
            trino_undone('json_array_get of a text')
        WHEN i < 0 THEN trino_json_extract(s, '$[' || (CAST(json_array_length(s) AS BIGINT) + i) ||
            ']')
        ELSE trino_json_extract(s, '$[' || i || ']')
    END""",
)
