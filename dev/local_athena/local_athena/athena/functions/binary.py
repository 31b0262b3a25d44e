"""Functions of bytes: encodings and hashes."""

from __future__ import annotations

from local_athena.athena.functions.row import Function, on_page

FUNCTIONS = on_page(
    "functions/binary",
    Function(
        "from_base64(varchar) -> varbinary",
        "from_base64({0})",
        "from_utf8(from_base64('YWJj'))",
        "abc",
    ),
    Function("from_hex(varchar) -> varbinary", "unhex({0})", "from_hex('00FF')", "00 ff"),
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
)

MACROS: tuple[str, ...] = ()
