"""CAST and TRY_CAST as Trino does them: they parse less than DuckDB, and round half up."""

from __future__ import annotations

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.types import (
    BOOLEAN,
    DATE,
    DAY_INTERVAL,
    JSON,
    MONTH_INTERVAL,
    TIMESTAMP,
    TIMESTAMP_TZ,
    TIMESTAMP_UTC,
    UNKNOWN,
    VARCHAR,
    Expr,
    Type,
    array,
    build,
    coerce,
    common_type,
    is_float,
    is_integer,
    is_number,
    joined,
    local,
    packed,
    row_fields,
    separated,
    text,
)

_INTEGER_TEXT = "[+-]?[0-9]+"
_DECIMAL_TEXT = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_FLOAT_TEXT = r"\s*[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)\s*"
_DATE_TEXT = r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\s*"
_TIMESTAMP_TEXT = (
    r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?\s*"
)
_ZONED_TEXT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"( ?(UTC|Z|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+|[+-][0-9]{2}:[0-9]{2}))?"
)
_SECONDS = "'%Y-%m-%d %H:%M:%S.%g'"
_TIMES = ("date", "timestamp", "timestamp with time zone")


def cast(expr: Expr, to: Type, *, safe: bool = False) -> Expr:
    """CAST(expr AS to), or TRY_CAST if `safe`."""
    source = expr.type
    if source == to:
        return expr
    if source == UNKNOWN:
        return build(f"CAST(NULL AS {to.duckdb})", to)
    if source == JSON or to == JSON:
        return _attempted(_json_cast(expr, to), safe)
    if source.of or to.of:
        return _attempted(_cast_inside(expr, to), safe)
    if to.base in ("varchar", "char"):
        return _to_text(expr, to, safe)
    if source.base == "char":
        expr, source = expr.as_type(VARCHAR), VARCHAR
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
    raise _no_cast(source, to)


def _no_cast(source: Type, to: Type) -> QueryFailed:
    return QueryFailed("TYPE_MISMATCH", f"Cannot cast {source} to {to}")


def _attempted(expr: Expr, safe: bool) -> Expr:
    """NULL instead of an error, if `safe`."""
    if not safe:
        return expr
    if expr.opaque:
        raise not_supported(f"TRY_CAST of an aggregate or subquery to {expr.type}")
    return build("TRY({0})", expr.type, expr)


def _element_name(type_: Type) -> str:
    """A name for what a nested type holds, other than those for what that holds in turn."""
    return f"e{_height(type_)}"


def _height(type_: Type) -> int:
    return 1 + max(map(_height, type_.of), default=0)


def _each(values: Expr, element: Type, to: Type) -> Expr:
    """The elements of an array, cast."""
    name = _element_name(array(element))
    body = cast(Expr((name,), element), to)
    return build(f"list_transform({{0}}, lambda {name}: {{1}})", array(to), values, body)


def _cast_inside(expr: Expr, to: Type) -> Expr:
    """A cast of an array, a map or a row: of what it holds."""
    source = expr.type
    if (source.base, len(source.of)) != (to.base, len(to.of)):
        raise _no_cast(source, to)
    if common_type(source, to) == to and source.fields == to.fields:
        return coerce(expr, to)
    if source.base == "array":
        return _each(expr, source.of[0], to.of[0]).as_type(to)
    if source.base == "map":
        keys = _each(build("map_keys({0})", array(source.of[0]), expr), source.of[0], to.of[0])
        held = _each(build("map_values({0})", array(source.of[1]), expr), source.of[1], to.of[1])
        return build("trino_map({0}, {1})", to, keys, held)
    name = _element_name(source)
    fields = row_fields(Expr((name,), source))
    row = packed(to, map(cast, fields, to.of))
    kept = f"CASE WHEN {name} IS NOT NULL THEN {{1}} END"
    return build(f"list_transform([{{0}}], lambda {name}: {kept})[1]", to, expr, row)


def _to_text(expr: Expr, to: Type, safe: bool) -> Expr:
    source = expr.type
    if to.base == "char":
        whole = _to_varchar(expr)
        fixed = f"rpad(left({{0}}, {to.precision}), {to.precision}, ' ')"
        return build(fixed, to, whole)
    if source.base == "char":
        expr, source = expr.as_type(VARCHAR), VARCHAR
    if source.base == "varchar":
        return build(f"left({{0}}, {to.precision})", to, expr) if to.precision else expr.as_type(to)
    shown = _to_varchar(expr)
    if to.precision is None:
        return shown
    failure = (
        "NULL"
        if safe
        else (
            "trino_error('INVALID_CAST_ARGUMENT: Value ' || {0} || ' cannot be represented as"
            f" varchar({to.precision})')"
        )
    )
    return build(
        f"CASE WHEN length({{0}}) > {to.precision} THEN {failure} ELSE {{0}} END", to, shown
    )


def _to_varchar(expr: Expr) -> Expr:
    source = expr.type
    if source.base in ("varchar", "char"):
        return expr.as_type(VARCHAR)
    if source.base == "varbinary":
        raise _no_cast(source, VARCHAR)
    if is_float(source):
        return build("trino_double_text({0})", VARCHAR, expr)
    if source.base == "timestamp":
        return build(f"strftime({{0}}, {_SECONDS})", VARCHAR, expr)
    if source.base == "timestamp with time zone":
        zone = build("({0}).z", VARCHAR, expr) if source.zone is None else text(source.zone)
        return build(f"(strftime({{0}}, {_SECONDS}) || ' ' || {{1}})", VARCHAR, local(expr), zone)
    if source == DAY_INTERVAL:
        return build("trino_interval_text({0})", VARCHAR, expr)
    if source == MONTH_INTERVAL:
        return build("trino_months_text({0})", VARCHAR, expr)
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
    elif to.base == "timestamp with time zone":
        pattern, message = _ZONED_TEXT, "Value cannot be cast to timestamp with time zone: %s"
        value, to = "trino_read_zoned({0})", TIMESTAMP_TZ
    elif to.base == "varbinary":
        return build("encode({0})", to, expr)
    else:
        raise _no_cast(expr.type, to)
    return parsed(expr, pattern, value, to, "" if safe else f"INVALID_CAST_ARGUMENT: {message}")


def parsed(expr: Expr, pattern: str, value: str, to: Type, error: str, *extra: Expr) -> Expr:
    """Return a value read from a text.

    Args:
        expr: The text.
        pattern: What all of it must look like (RE2).
        value: DuckDB's template for the value, NULL where it cannot be read.
        to: The value's type.
        error: The message where it cannot be read, `%s` being the text; empty to give NULL instead.
        extra: Constants that `value` needs beside the text `{0}`, from `{4}` on.
    """
    before, _, after = error.partition("%s")
    failure = "trino_error({2} || v || {3})" if error else "NULL"
    value = value.replace("{0}", "v")
    # A CASE of its own for the value: DuckDB evaluates what is common to two arms before them.
    read = (
        "CASE WHEN v IS NULL THEN NULL"
        f" WHEN regexp_full_match(v, {{1}}) AND {value} IS NOT NULL THEN {value} ELSE {failure} END"
    )
    template = f"list_transform([{{0}}], lambda v: {read})[1]"
    return build(template, to, expr, text(pattern), text(before), text(after), *extra)


def _json_cast(expr: Expr, to: Type) -> Expr:
    return _to_json(expr) if to == JSON else _from_json(expr, to)


def _to_json(expr: Expr) -> Expr:
    source = expr.type
    if source == JSON:
        return expr
    if source.base in ("varchar", "char"):
        return build("CAST(to_json({0}) AS VARCHAR)", JSON, expr)
    if is_integer(source) or source.base in ("boolean", "decimal"):
        return build("CAST({0} AS VARCHAR)", JSON, expr)
    if is_float(source):
        finite = "CASE WHEN isfinite({0}) THEN trino_double_text({0}) ELSE"
        return build(f"{finite} '\"' || trino_double_text({{0}}) || '\"' END", JSON, expr)
    if source.base in ("date", "timestamp"):
        return build("('\"' || {0} || '\"')", JSON, _to_varchar(expr))
    name = _element_name(source)
    null = "'null'"
    if source.base == "array":
        element = _to_json(Expr((name,), source.of[0]))
        listed = f"list_transform({{0}}, lambda {name}: coalesce({{1}}, {null}))"
        whole = f"('[' || array_to_string({listed}, ',') || ']')"
        return build(f"CASE WHEN {{0}} IS NOT NULL THEN {whole} END", JSON, expr, element)
    if source.base == "map":
        key, held = source.of
        if not (key.base in ("varchar", "boolean") or is_integer(key)):
            raise not_supported(f"CAST({source} AS json)")
        shown = build(
            "CAST(to_json(CAST({0} AS VARCHAR)) AS VARCHAR)", JSON, Expr((f"{name}[1]",), key)
        )
        value = _to_json(Expr((f"{name}[2]",), held))
        entries = "list_sort(list_zip(map_keys({0}), map_values({0})))"
        listed = (
            f"list_transform({entries}, lambda {name}: {{1}} || ':' || coalesce({{2}}, {null}))"
        )
        whole = f"(chr(123) || array_to_string({listed}, ',') || chr(125))"
        template = f"CASE WHEN {{0}} IS NOT NULL THEN {whole} END"
        return build(template, JSON, expr, shown, value)
    if source.base == "row":
        members = []
        for field, own_name in zip(row_fields(Expr((name,), source)), source.fields, strict=True):
            shown = build("CAST(to_json({0}) AS VARCHAR)", VARCHAR, text(own_name))
            value = build(f"coalesce({{0}}, {null})", JSON, _to_json(field))
            members.append(joined(shown, " || ':' || ", value, type_=JSON))
        body = joined("'{' || ", *separated(" || ',' || ", members), " || '}'", type_=JSON)
        kept = f"CASE WHEN {name} IS NOT NULL THEN {{1}} END"
        return build(f"list_transform([{{0}}], lambda {name}: {kept})[1]", JSON, expr, body)
    raise _no_cast(source, JSON)


def _from_json(expr: Expr, to: Type) -> Expr:
    if to.base == "varchar":
        shown = build("trino_json_varchar({0})", VARCHAR, expr)
        return shown if to.precision is None else cast(shown, to)
    if is_integer(to):
        number = f"trino_json_integer({{0}}, '{to.base}')"
        return build(f"CAST({number} AS {to.duckdb})", to, expr)
    if is_number(to):
        return build(f"CAST(trino_json_number({{0}}, '{to.base}') AS {to.duckdb})", to, expr)
    if to == BOOLEAN:
        return build("trino_json_boolean({0})", BOOLEAN, expr)
    if to.base in ("date", "timestamp"):
        return cast(build("trino_json_varchar({0})", VARCHAR, expr), to)
    name = _element_name(to)
    element = Expr((name,), JSON)
    if to.base == "array":
        body = cast(element, to.of[0])
        listed = f"list_transform(trino_json_elements({{0}}), lambda {name}: {{1}})"
        return build(listed, to, expr, body)
    if to.base == "map" and to.of[0].base == "varchar":
        # Named once: DuckDB would plan a long expression anew at each place.
        whole = f"j{_height(to)}"
        member = f"trino_json_member({whole}, {name})"
        body = cast(Expr((member,), JSON), to.of[1])
        values = f"list_transform(trino_json_keys({whole}), lambda {name}: {{1}})"
        made = f"trino_map(trino_json_keys({whole}), {values})"
        return build(f"list_transform([{{0}}], lambda {whole}: {made})[1]", to, expr, body)
    if to.base == "row" and all(to.fields):
        members = [
            build(f"trino_json_field({{0}}, {{1}}, {position})", JSON, element, text(field))
            for position, field in enumerate(to.fields)
        ]
        row = packed(to, map(cast, members, to.of))
        has_value = f"{name} IS NOT NULL AND json_type({name}) <> 'NULL'"
        bound = f"list_transform([{{0}}], lambda {name}: CASE WHEN {has_value} THEN {{1}} END)[1]"
        return build(bound, to, expr, row)
    raise not_supported(f"CAST(json AS {to})")


MACROS = (
    """trino_read_zoned(s) AS list_transform(
        [struct_pack(
            wall := trino_milliseconds(
                TRY_CAST(regexp_extract(s, '^[0-9-]+ [0-9:.]+') AS TIMESTAMP)),
            z := replace(coalesce(nullif(trim(regexp_extract(s, '^[0-9-]+ [0-9:.]+(.*)$', 1)), ''),
                'UTC'), 'Z', 'UTC')
        )],
        lambda parts: CASE WHEN parts.wall IS NOT NULL THEN
            trino_zoned(trino_earlier(parts.wall, parts.z), parts.z) END)[1]""",
    """trino_json_varchar(s) AS CASE
        WHEN json_type(s) = 'NULL' THEN NULL
        WHEN json_type(s) IN ('OBJECT', 'ARRAY')
            THEN trino_error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to varchar')
        WHEN json_type(s) = 'VARCHAR' THEN json_extract_string(s, '$')
        ELSE s
    END""",
    """trino_json_number(s, name) AS CASE
        WHEN json_type(s) = 'NULL' THEN NULL
        WHEN json_type(s) = 'BOOLEAN' THEN CASE WHEN s = 'true' THEN '1' ELSE '0' END
        WHEN json_type(s) = 'VARCHAR'
            AND regexp_full_match(json_extract_string(s, '$'),
                '[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?')
            THEN json_extract_string(s, '$')
        WHEN json_type(s) IN ('OBJECT', 'ARRAY', 'VARCHAR')
            THEN trino_error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to ' || name)
        ELSE s
    END""",
    """trino_json_integer(s, name) AS CASE
        WHEN json_type(s) = 'VARCHAR' AND NOT regexp_full_match(json_extract_string(s, '$'),
            '[+-]?[0-9]+')
            THEN trino_error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to ' || name)
        WHEN json_type(s) = 'DOUBLE' THEN CAST(round(CAST(s AS DOUBLE)) AS BIGINT)
        ELSE CAST(trino_json_number(s, name) AS BIGINT)
    END""",
    """trino_json_boolean(s) AS CASE
        WHEN json_type(s) = 'NULL' THEN NULL
        WHEN json_type(s) = 'BOOLEAN' THEN s = 'true'
        WHEN json_type(s) IN ('BIGINT', 'UBIGINT') THEN s <> '0'
        WHEN json_type(s) = 'VARCHAR' AND lower(json_extract_string(s, '$')) IN ('true', 'false',
            't', 'f', '1', '0')
            THEN lower(json_extract_string(s, '$')) IN ('true', 't', '1')
        ELSE trino_error('INVALID_CAST_ARGUMENT: Cannot cast ''' || s || ''' to boolean')
    END""",
    """trino_json_elements(s) AS CASE
        WHEN json_type(s) = 'NULL' THEN NULL
        WHEN json_type(s) = 'ARRAY' THEN list_transform(
            range(CAST(json_array_length(s) AS BIGINT)),
            lambda i: trino_json_numbers(CAST(json_extract(s, '/' || i) AS VARCHAR)))
        ELSE trino_error('INVALID_CAST_ARGUMENT: Cannot cast to array: ' || s)
    END""",
    """trino_json_keys(s) AS CASE
        WHEN json_type(s) = 'NULL' THEN NULL
        WHEN json_type(s) = 'OBJECT' THEN json_keys(s)
        ELSE trino_error('INVALID_CAST_ARGUMENT: Cannot cast to map: ' || s)
    END""",
    """trino_json_member(s, k) AS trino_json_numbers(CAST(json_extract(
        s, '/' || replace(replace(k, '~', '~0'), '/', '~1')) AS VARCHAR))""",
    """trino_json_field(s, k, i) AS CASE
        WHEN json_type(s) = 'OBJECT' THEN trino_json_member(s, list_filter(
            json_keys(s), lambda each: lower(each) = lower(k))[1])
        WHEN json_type(s) = 'ARRAY' THEN
            trino_json_numbers(CAST(json_extract(s, '/' || i) AS VARCHAR))
        ELSE trino_error('INVALID_CAST_ARGUMENT: Cannot cast to row: ' || s)
    END""",
)
"""Bodies of macros that stand behind those of JSON."""
