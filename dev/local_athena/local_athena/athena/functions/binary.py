"""Functions of bytes: encodings and hashes."""

from __future__ import annotations

from local_athena.athena.functions.row import Function, on_page

FUNCTIONS = on_page(
    "functions/binary",
    Function(
        "from_base64(varchar) -> varbinary",
        "trino_from_base64({0})",
        "from_utf8(from_base64('YWJj'))",
        "abc",
    ),
    Function("from_hex(varchar) -> varbinary", "trino_from_hex({0})", "from_hex('00FF')", "00 ff"),
    Function("length(varbinary) -> bigint", "octet_length({0})", "length(to_utf8('é'))", "2"),
    Function(
        "md5(varbinary) -> varbinary",
        "unhex(md5({0}))",
        "to_hex(md5(to_utf8('a')))",
        "0CC175B9C0F1B6A831C399E269772661",
    ),
    Function(
        "sha1(varbinary) -> varbinary",
        "unhex(sha1({0}))",
        "to_hex(sha1(to_utf8('a')))",
        "86F7E437FAA5A7FCE15D1DDCB9EAEAEA377667B8",
    ),
    Function(
        "sha256(varbinary) -> varbinary",
        "unhex(sha256({0}))",
        "to_hex(sha256(to_utf8('a')))",
        "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB",
    ),
    Function(
        "to_base64(varbinary) -> varchar", "to_base64({0})", "to_base64(to_utf8('abc'))", "YWJj"
    ),
    Function("to_hex(varbinary) -> varchar", "hex({0})", "to_hex(to_utf8('a'))", "61"),
    Function(
        "concat(varbinary, varbinary) -> varbinary",
        "({0} || {1})",
        "X'01' || X'0203'",
        "01 02 03",
    ),
    Function(
        "concat(varbinary, varbinary, varbinary) -> varbinary",
        "({0} || {1} || {2})",
        "concat(X'01', X'02', X'03')",
        "01 02 03",
    ),
    Function(
        "substr(varbinary, bigint) -> varbinary",
        "unhex(trino_substr(hex({0}), CASE WHEN {1} > 0 THEN {1} * 2 - 1 ELSE {1} * 2 END,"
        " 2 * octet_length({0})))",
        "substr(X'010203', 2)",
        "02 03",
    ),
    Function(
        "reverse(varbinary) -> varbinary",
        "unhex(array_to_string(list_reverse(regexp_extract_all(hex({0}), '..')), ''))",
        "reverse(X'0102')",
        "02 01",
    ),
    Function(
        "to_base64url(varbinary) -> varchar",
        "translate(to_base64({0}), '+/', '-_')",
        "to_base64url(X'fbff')",
        "-_8=",
    ),
)

MACROS = (
    """trino_from_base64(s) AS CASE
        WHEN NOT regexp_full_match(s, '([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?')
            THEN trino_invalid('Input is not valid Base64: ' || s)
        ELSE from_base64(s)
    END""",
    """trino_from_hex(s) AS CASE
        WHEN NOT regexp_full_match(s, '([0-9A-Fa-f]{2})*')
            THEN trino_invalid('Input is not a valid hexadecimal number: ' || s)
        ELSE unhex(s)
    END""",
)
