"""Functions of strings."""

from __future__ import annotations

import re

from local_athena.athena.casts import cast
from local_athena.athena.errors import not_supported
from local_athena.athena.functions.row import Function, literal, on_page
from local_athena.athena.types import (
    DATE,
    VARCHAR,
    Expr,
    build,
    coerce,
    is_float,
    is_integer,
    joined,
    separated,
    text,
)
from local_athena.athena.types import decimal as decimal_type

_WHITE_SPACE_CODES = (
    *(*range(9, 14), *range(28, 33), 0x1680, *range(0x2000, 0x2007)),
    *(*range(0x2008, 0x200B), 0x2028, 0x2029, 0x205F, 0x3000),
)
_WHITE_SPACE = "".join(chr(code) for code in _WHITE_SPACE_CODES)


def trim(kind: str, value: Expr, characters: Expr | None = None) -> Expr:
    """trim, ltrim, rtrim and TRIM(... FROM ...)."""
    return build(f"{kind}({{0}}, {{1}})", value.type, value, characters or text(_WHITE_SPACE))


_CONVERSION = re.compile(r"%(?:(\d+)\$)?([-,0+]*)(\d+)?(?:\.(\d+))?(t[a-zA-Z]|[a-zA-Z%])")
_DATE_PARTS = {
    "tY": "%Y", "tm": "%m", "td": "%d", "te": "%-d", "tB": "%B", "tb": "%b", "tA": "%A", "ta": "%a",
    "tF": "%Y-%m-%d", "tH": "%H", "tM": "%M", "tS": "%S", "tT": "%H:%M:%S", "tj": "%j",
}  # fmt: skip


def _format(pattern: Expr, *values: Expr) -> Expr:
    """format() of Java: %s, %d, %f and %x with a width, `0`, `-`, `,` and a precision."""
    form = literal(pattern, "a format")
    pieces: list[str | Expr] = ["concat(''"]
    position = end = 0
    for found in _CONVERSION.finditer(form):
        pieces += [", ", text(form[end : found.start()])]
        end = found.end()
        number, flags, width, precision, conversion = found.groups()
        if conversion == "%" and found[0] == "%%":
            pieces += [", ", text("%")]
            continue
        if number is None:
            position += 1
        index = int(number or position) - 1
        if index >= len(values):
            raise not_supported(f"the format {form!r} with {len(values)} values")
        pieces += [", ", _converted(values[index], conversion, flags, width, precision)]
    if "%" in _CONVERSION.sub("", form):
        raise not_supported(f"the format {form!r}")
    pieces += [", ", text(form[end:])]
    return joined(*pieces, ")", type_=VARCHAR)


def _converted(
    value: Expr, conversion: str, flags: str, width: str | None, precision: str | None
) -> Expr:
    shown = f"%{conversion} of {value.type} in format()"
    type_ = value.type
    if conversion == "s" and precision is None and type_ != DATE and not set(flags) - {"-"}:
        if type_.base not in ("varchar", "boolean", "decimal") and not (
            is_integer(type_) or is_float(type_)
        ):
            raise not_supported(shown)
        result = build("coalesce({0}, 'null')", VARCHAR, cast(value, VARCHAR))
    elif conversion == "d" and is_integer(type_) and precision is None:
        result = build("CAST({0} AS VARCHAR)", VARCHAR, value)
    elif conversion == "f" and (is_float(type_) or type_.base == "decimal"):
        rounded = decimal_type(38, int(precision or 6))
        result = build(f"CAST(CAST({{0}} AS {rounded.duckdb}) AS VARCHAR)", VARCHAR, _exact(value))
    elif conversion == "x" and is_integer(type_) and flags in ("", "0"):
        result = build("lower(to_hex(CAST({0} AS BIGINT)))", VARCHAR, value)
    elif conversion in _DATE_PARTS and type_.base in ("date", "timestamp") and not flags:
        result = build("strftime({0}, {1})", VARCHAR, value, text(_DATE_PARTS[conversion]))
    elif conversion == "s" and type_ == DATE and flags in ("", "-"):
        result = build("CAST({0} AS VARCHAR)", VARCHAR, value)
    else:
        raise not_supported(shown)
    if "," in flags:
        result = build("trino_thousands({0})", VARCHAR, result)
    if "+" in flags:
        result = build("CASE WHEN {0} LIKE '-%' THEN {0} ELSE '+' || {0} END", VARCHAR, result)
    if width is not None:
        filled = "trino_zero_padded({0}, %s)" if "0" in flags else "trino_left_padded({0}, %s)"
        if "-" in flags:
            filled = "trino_right_padded({0}, %s)"
        result = build(filled % int(width), VARCHAR, result)
    return result


def _exact(value: Expr) -> Expr:
    """A number whose rounding is that of its shortest decimal digits, as Java's is."""
    if is_float(value.type):
        return build("CAST({0} AS VARCHAR)", VARCHAR, value)
    return value


def _concat(*values: Expr) -> Expr:
    return joined("(", *separated(" || ", values), ")", type_=VARCHAR)


def _concat_ws(separator: Expr, *values: Expr) -> Expr:
    joined_values = "CASE WHEN {0} IS NOT NULL THEN concat_ws({*}) END"
    return build(joined_values, VARCHAR, coerce(separator, VARCHAR), *values)


def _normalized(value: Expr, form: Expr) -> Expr:
    """DuckDB has NFC, which is the form where none is named; the others are Python's."""
    if form.constant == "NFC":
        return build("nfc_normalize({0})", VARCHAR, value)
    return build("python_normalize({0}, {1})", VARCHAR, value, form)


def _data_size(value: Expr) -> Expr:
    type_ = decimal_type(38, 0)
    return build(f"CAST(python_data_size({{0}}) AS {type_.duckdb})", type_, value)


FUNCTIONS = on_page(
    "functions/string",
    Function(
        "format_number(bigint) -> varchar",
        "trino_format_number(CAST({0} AS DOUBLE))",
        "format_number(123456)",
        "123K",
        "functions/conversion",
    ),
    Function(
        "format_number(double) -> varchar",
        "trino_format_number(trunc({0}))",
        "format_number(1000000e0)",
        "1M",
        "functions/conversion",
    ),
    Function(
        "parse_data_size(varchar) -> decimal",
        _data_size,
        "parse_data_size('2.5kB')",
        "2560",
        "functions/conversion",
    ),
    Function("soundex(varchar) -> varchar", "trino_soundex({0})", "soundex('Robert')", "R163"),
    Function(
        "uuid() -> varchar",
        "CAST(uuid() AS VARCHAR)",
        "length(CAST(uuid() AS varchar))",
        "36",
        "functions/uuid",
    ),
    Function("chr(bigint) -> varchar", "chr(CAST({0} AS INTEGER))", "chr(65)", "A"),
    Function("codepoint(varchar) -> integer", "trino_codepoint({0})", "codepoint('A')", "65"),
    Function("concat(varchar, varchar...) -> varchar", _concat, "concat('a', 'b', 'c')", "abc"),
    Function(
        "concat_ws(varchar, varchar...) -> varchar",
        _concat_ws,
        "concat_ws(',', 'a', NULL, 'b')",
        "a,b",
    ),
    Function(
        "concat_ws(varchar, array(varchar)) -> varchar",
        "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL"
        " THEN coalesce(array_to_string({1}, {0}), '') END",
        "concat_ws('-', ARRAY['a', 'b'])",
        "a-b",
    ),
    Function(
        "format(varchar, A...) -> varchar",
        _format,
        "format('%s%%', 123)",
        "123%",
        "functions/conversion",
    ),
    Function(
        "hamming_distance(varchar, varchar) -> bigint",
        "trino_hamming({0}, {1})",
        "hamming_distance('abc', 'abd')",
        "1",
    ),
    Function("length(varchar) -> bigint", "length({0})", "length('日本')", "2"),
    Function(
        "levenshtein_distance(varchar, varchar) -> bigint",
        "trino_levenshtein({0}, {1})",
        "levenshtein_distance('kitten', 'sitting')",
        "3",
    ),
    Function("lower(C) -> C", "lower({0})", "lower('AÉ')", "aé"),
    Function(
        "lpad(varchar, bigint, varchar) -> varchar",
        "trino_lpad({0}, {1}, {2})",
        "lpad('x', 3, 'ab')",
        "abx",
    ),
    Function("ltrim(C) -> C", lambda value: trim("ltrim", value), "ltrim('  x ')", "x "),
    Function(
        "normalize(varchar) -> varchar", "nfc_normalize({0})", "length(normalize('e\u0301'))", "1"
    ),
    Function(
        "normalize(varchar, varchar) -> varchar",
        _normalized,
        "length(normalize('\u00e9', NFD))",
        "2",
    ),
    Function(
        "replace(varchar, varchar) -> varchar",
        "trino_replace({0}, {1}, '')",
        "replace('aXbX', 'X')",
        "ab",
    ),
    Function(
        "replace(varchar, varchar, varchar) -> varchar",
        "trino_replace({0}, {1}, {2})",
        "replace('aXb', 'X', 'yy')",
        "ayyb",
    ),
    Function("reverse(C) -> C", "trino_reverse({0})", "reverse('añb')", "bña"),
    Function(
        "rpad(varchar, bigint, varchar) -> varchar",
        "trino_rpad({0}, {1}, {2})",
        "rpad('x', 4, 'ab')",
        "xaba",
    ),
    Function("rtrim(C) -> C", lambda value: trim("rtrim", value), "rtrim(' x ')", " x"),
    Function(
        "split(varchar, varchar) -> array(varchar)",
        "trino_split({0}, {1})",
        "split('a,b,,c', ',')",
        "[a, b, , c]",
    ),
    Function(
        "split(varchar, varchar, bigint) -> array(varchar)",
        "trino_split_limit({0}, {1}, {2})",
        "split('a,b,c', ',', 2)",
        "[a, b,c]",
    ),
    Function(
        "split_part(varchar, varchar, bigint) -> varchar",
        "trino_split_part({0}, {1}, {2})",
        "split_part('a,b', ',', 2)",
        "b",
    ),
    Function(
        "split_to_map(varchar, varchar, varchar) -> map(varchar, varchar)",
        "trino_split_to_map({0}, {1}, {2})",
        "split_to_map('a=1,b=2', ',', '=')",
        "{a=1, b=2}",
    ),
    Function(
        "starts_with(varchar, varchar) -> boolean",
        "starts_with({0}, {1})",
        "starts_with('abc', 'ab')",
        "true",
    ),
    Function("strpos(varchar, varchar) -> bigint", "strpos({0}, {1})", "strpos('abcb', 'b')", "2"),
    Function(
        "strpos(varchar, varchar, bigint) -> bigint",
        "trino_strpos({0}, {1}, {2})",
        "strpos('abcb', 'b', 2)",
        "4",
    ),
    Function(
        "substr(C, bigint) -> C",
        "trino_substr({0}, {1}, length({0}))",
        "substr('hello', -3)",
        "llo",
        aliases=("substring",),
    ),
    Function(
        "substr(C, bigint, bigint) -> C",
        "trino_substr({0}, {1}, {2})",
        "substr('hello', 2, 2)",
        "el",
        aliases=("substring",),
    ),
    Function(
        "translate(varchar, varchar, varchar) -> varchar",
        "translate({0}, {1}, {2})",
        "translate('abcd', 'ab', 'x')",
        "xcd",
    ),
    Function("trim(C) -> C", lambda value: trim("trim", value), "trim('  x ')", "x"),
    Function("upper(C) -> C", "trino_upper({0})", "upper('aéß')", "AÉß"),
    Function("to_utf8(varchar) -> varbinary", "encode({0})", "to_utf8('aé')", "61 c3 a9"),
    Function("from_utf8(varbinary) -> varchar", "decode({0})", "from_utf8(X'61c3a9')", "aé"),
    Function(
        "from_utf8(varbinary, varchar) -> varchar",
        "python_from_utf8({0}, {1})",
        "from_utf8(X'61ff', '?')",
        "a?",
    ),
    Function(
        "split_to_multimap(varchar, varchar, varchar) -> map(varchar, array(varchar))",
        "trino_multimap_of(trino_split_entries({0}, {1}, {2}))",
        "split_to_multimap('a=1,b=2,a=3', ',', '=')",
        "{a=[1, 3], b=[2]}",
    ),
    Function(
        "luhn_check(varchar) -> boolean",
        "trino_luhn_check({0})",
        "luhn_check('79927398713')",
        "true",
    ),
    Function(
        "human_readable_seconds(double) -> varchar",
        "trino_human_seconds(CAST(round({0}) AS BIGINT))",
        "human_readable_seconds(3762)",
        "1 hour, 2 minutes, 42 seconds",
        "functions/datetime",
    ),
)

MACROS = (
    # Java maps each character to one, and so leaves ß as it is. DuckDB makes it ẞ, and maps all
    # others as Java does.
    """trino_upper(s) AS
        array_to_string(list_transform(string_split(s, 'ß'), lambda part: upper(part)), 'ß')""",
    # Letters of one sound are one digit, vowels are 0, and H and W are not heard.
    """trino_soundex_codes(s) AS translate(
        s, 'AEIOUYBFPVCGJKQSXZDTLMNRHW', '000000111122222222334556--')""",
    """trino_soundex_of(letters, codes) AS letters[1] || rpad(replace(
        regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
            regexp_replace(codes[1] || replace(codes[2:], '-', ''), '0+', '0', 'g'),
            '1+', '1', 'g'), '2+', '2', 'g'), '3+', '3', 'g'), '4+', '4', 'g'), '5+', '5', 'g'),
            '6+', '6', 'g')[2:], '0', ''), 3, '0')[1:3]""",
    """trino_soundex(s) AS CASE
        WHEN regexp_matches(s, '[^\\x00-\\x7F]')
            THEN trino_undone('soundex of letters outside ASCII')
        WHEN NOT regexp_matches(s, '[A-Za-z]') THEN ''
        ELSE list_transform([regexp_replace(upper(s), '[^A-Z]', '', 'g')],
            lambda letters: trino_soundex_of(letters, trino_soundex_codes(letters)))[1]
    END""",
    # Java rounds halves up: a half is moved up before C rounds it.
    """trino_three_digits(x) AS CASE
        WHEN x >= 100 THEN printf('%.0f', nextafter(x, CAST('inf' AS DOUBLE)))
        ELSE rtrim(rtrim(printf(
            CASE WHEN x >= 10 THEN '%.1f' ELSE '%.2f' END,
            CASE WHEN x = 0 THEN x ELSE nextafter(x, CAST('inf' AS DOUBLE) * sign(x)) END
        ), '0'), '.')
    END""",
    """trino_format_number(n) AS CASE
        WHEN n IS NULL THEN NULL
        WHEN abs(n) >= 1e15 THEN trino_three_digits(n / 1000 / 1000 / 1000 / 1000 / 1000) || 'Q'
        WHEN abs(n) >= 1e12 THEN trino_three_digits(n / 1000 / 1000 / 1000 / 1000) || 'T'
        WHEN abs(n) >= 1e9 THEN trino_three_digits(n / 1000 / 1000 / 1000) || 'B'
        WHEN abs(n) >= 1e6 THEN trino_three_digits(n / 1000 / 1000) || 'M'
        WHEN abs(n) >= 1000 THEN trino_three_digits(n / 1000) || 'K'
        ELSE trino_three_digits(n)
    END""",
    """trino_codepoint(s) AS CASE
        WHEN length(s) <> 1 THEN trino_invalid('Input string must be a single character string')
        ELSE unicode(s)
    END""",
    """trino_hamming(a, b) AS CASE
        WHEN length(a) <> length(b)
            THEN trino_invalid('The input strings to hamming_distance function must have the'
                || ' same length')
        WHEN a = '' THEN CAST(0 AS BIGINT)
        ELSE len(list_filter(range(1, length(a) + 1), lambda i: substring(a, i, 1) <> substring(b,
            i, 1)))
    END""",
    """trino_levenshtein(a, b) AS CASE
        WHEN regexp_matches(a || b, '[^\\x00-\\x7f]')
            THEN trino_undone('levenshtein_distance of texts with letters outside ASCII')
        ELSE levenshtein(a, b)
    END""",
    """trino_padding(size, pad) AS CASE
        WHEN pad = '' THEN trino_invalid('Padding string must not be empty')
        WHEN size < 0 OR size > 2147483647
            THEN trino_invalid('Target length must be in the range [0..2147483647]')
        ELSE CAST(size AS INTEGER)
    END""",
    "trino_lpad(s, size, pad) AS lpad(s, trino_padding(size, pad), pad)",
    "trino_rpad(s, size, pad) AS rpad(s, trino_padding(size, pad), pad)",
    "trino_left_padded(s, size) AS lpad(s, CAST(greatest(size, length(s)) AS INTEGER), ' ')",
    "trino_right_padded(s, size) AS rpad(s, CAST(greatest(size, length(s)) AS INTEGER), ' ')",
    """trino_zero_padded(s, size) AS CASE
        WHEN starts_with(s, '-') THEN
            '-' || lpad(substring(s, 2), CAST(greatest(size, length(s)) AS INTEGER) - 1, '0')
        ELSE lpad(s, CAST(greatest(size, length(s)) AS INTEGER), '0')
    END""",
    """trino_substr(s, start, size) AS CASE
        WHEN s IS NULL OR start IS NULL OR size IS NULL THEN NULL
        WHEN start = 0 OR abs(start) > length(s) OR size <= 0 THEN ''
        ELSE substring(s, CASE WHEN start < 0 THEN length(s) + start + 1 ELSE start END, size)
    END""",
    """trino_split(s, d) AS CASE
        WHEN d = '' THEN trino_invalid('The delimiter may not be the empty string')
        ELSE string_split(s, d)
    END""",
    """trino_split_limit(s, d, n) AS CASE
        WHEN d = '' THEN trino_invalid('The delimiter may not be the empty string')
        WHEN n = 0 THEN trino_invalid('Limit must be positive')
        WHEN len(string_split(s, d)) <= n THEN string_split(s, d)
        ELSE list_append(
            list_slice(string_split(s, d), 1, n - 1),
            array_to_string(list_slice(string_split(s, d), n, -1), d)
        )
    END""",
    """trino_characters(s) AS regexp_extract_all(s, '(?s).')""",
    """trino_split_part(s, d, i) AS CASE
        WHEN i < 1 THEN trino_invalid('Index must be greater than zero')
        WHEN d = '' THEN CASE WHEN i <= length(s) THEN substring(s, i, 1) END
        WHEN i > len(string_split(s, d)) THEN NULL
        ELSE split_part(s, d, i)
    END""",
    """trino_split_to_map(s, entries, pair) AS CASE
        WHEN s = '' THEN CAST(map([], []) AS MAP(VARCHAR, VARCHAR))
        ELSE map_from_entries(list_transform(
            string_split(s, entries),
            lambda each: CASE
                WHEN len(string_split(each, pair)) <> 2 THEN trino_invalid(
                    'Key-value delimiter must appear exactly once in each entry. Bad input: ''' ||
                        each || '''')
                ELSE struct_pack(k := split_part(each, pair, 1), v := split_part(each, pair, 2))
            END))
    END""",
    """trino_strpos(s, x, n) AS CASE
        WHEN n = 0 THEN trino_invalid('''instance'' must be a positive or negative number.')
        WHEN x = '' THEN trino_undone('strpos of an empty text with an instance')
        WHEN len(string_split(s, x)) <= abs(n) THEN CAST(0 AS BIGINT)
        WHEN strpos(substring(x, 2), substring(x, 1, 1)) > 0
            THEN trino_undone('strpos with an instance of a text that can overlap itself')
        WHEN n < 0 THEN length(array_to_string(
            list_slice(string_split(s, x), 1, len(string_split(s, x)) + n), x)) + 1
        ELSE length(array_to_string(list_slice(string_split(s, x), 1, n), x)) + 1
    END""",
    """trino_replace(s, x, y) AS CASE
        WHEN x = '' THEN y || array_to_string(
            list_transform(trino_characters(s), lambda each: each || y), '')
        ELSE replace(s, x, y)
    END""",
    "trino_reverse(s) AS array_to_string(list_reverse(trino_characters(s)), '')",
    """trino_thousands(s) AS regexp_extract(s, '^-?') || ltrim(trino_reverse(regexp_replace(
        trino_reverse(regexp_extract(s, '[0-9]+')), '([0-9]{3})', '\\1,', 'g')), ',')
        || regexp_extract(s, '[.][0-9]*$')""",
    """trino_split_entries(s, entries, pair) AS list_transform(
        string_split(s, entries),
        lambda each: CASE
            WHEN len(string_split(each, pair)) <> 2 THEN trino_invalid(
                'Key-value delimiter must appear exactly once in each entry. Bad input: ' ||
                    chr(39) || each || chr(39))
            ELSE struct_pack(k := split_part(each, pair, 1), v := split_part(each, pair, 2))
        END)""",
    """trino_luhn_check(s) AS CASE
        WHEN NOT regexp_full_match(s, '[0-9]+') THEN
            trino_invalid('Input contains non-digit characters')
        ELSE list_sum(list_transform(trino_characters(reverse(s)), lambda digit, i: CASE
            WHEN i % 2 = 1 THEN CAST(digit AS INTEGER)
            ELSE CAST(digit AS INTEGER) * 2 - CASE WHEN digit >= '5' THEN 9 ELSE 0 END
        END)) % 10 = 0
    END""",
    """trino_human_seconds(n) AS CASE
        WHEN n < 0 THEN trino_undone('human_readable_seconds of a negative number')
        WHEN n = 0 THEN '0 seconds'
        ELSE array_to_string(list_transform(
            list_filter([
                struct_pack(count := n // 604800, unit := 'week'),
                struct_pack(count := n % 604800 // 86400, unit := 'day'),
                struct_pack(count := n % 86400 // 3600, unit := 'hour'),
                struct_pack(count := n % 3600 // 60, unit := 'minute'),
                struct_pack(count := n % 60, unit := 'second')
            ], lambda each: each.count > 0),
            lambda each: each.count || ' ' || each.unit || CASE WHEN each.count > 1 THEN 's' ELSE
                '' END), ', ')
    END""",
)
