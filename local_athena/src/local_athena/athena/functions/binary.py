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
        "sha512(varbinary) -> varbinary",
        "python_sha512({0})",
        "to_hex(sha512(to_utf8('abc')))",
        "DDAF35A193617ABACC417349AE20413112E6FA4E89A97EA20A9EEEE64B55D39A"
        "2192992A274FC1A836BA3C23A3FEEBBD454D4423643CE80E2A9AC94FA54CA49F",
    ),
    Function(
        "xxhash64(varbinary) -> varbinary",
        "python_xxhash64({0})",
        "to_hex(xxhash64(to_utf8('')))",
        "EF46DB3751D8E999",
    ),
    Function(
        "hmac_sha512(varbinary, varbinary) -> varbinary",
        "python_hmac_sha512({0}, {1})",
        # RFC 4231, test case 2
        "to_hex(hmac_sha512(to_utf8('what do ya want for nothing?'), to_utf8('Jefe')))",
        "164B7A7BFCF819E2E395FBE73B56E0A387BD64222E831FD610270CD7EA250554"
        "9758BF75C05A994A6D034F65F8F0E6FDCAEAB1A34D4A6B4B636E070A38BCE737",
    ),
    Function(
        "to_base32(varbinary) -> varchar",
        "python_to_base32({0})",
        "to_base32(to_utf8('hello'))",
        "NBSWY3DP",
    ),
    Function(
        "from_base32(varchar) -> varbinary",
        "python_from_base32({0})",
        "from_utf8(from_base32('NBSWY3DP'))",
        "hello",
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
    Function(
        "crc32(varbinary) -> bigint", "trino_crc32({0})", "crc32(to_utf8('abc'))", "891568578"
    ),
    Function(
        "from_big_endian_32(varbinary) -> integer",
        "CAST(trino_from_big_endian({0}, 4) AS INTEGER)",
        "from_big_endian_32(X'00000102')",
        "258",
    ),
    Function(
        "from_big_endian_64(varbinary) -> bigint",
        "CAST(trino_from_big_endian({0}, 8) AS BIGINT)",
        "from_big_endian_64(X'ffffffffffffffff')",
        "-1",
    ),
    Function(
        "to_big_endian_32(integer) -> varbinary",
        "unhex(right(lpad(to_hex(CAST({0} AS BIGINT)), 16, '0'), 8))",
        "to_big_endian_32(258)",
        "00 00 01 02",
    ),
    Function(
        "to_big_endian_64(bigint) -> varbinary",
        "unhex(lpad(to_hex({0}), 16, '0'))",
        "to_big_endian_64(-1)",
        "ff ff ff ff ff ff ff ff",
    ),
    *(
        Function(
            f"hmac_{hash_}(varbinary, varbinary) -> varbinary",
            f"trino_hmac_{hash_}({{0}}, {{1}})",
            f"to_hex(hmac_{hash_}(to_utf8('abc'), to_utf8('key')))",
            answer,
        )
        for hash_, answer in (
            ("md5", "D2FE98063F876B03193AFB49B4979591"),
            ("sha1", "4FD0B215276EF12F2B3E4C8ECAC2811498B656FC"),
            ("sha256", "9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"),
        )
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
    """trino_from_big_endian(b, size) AS CASE
        WHEN octet_length(b) <> size
            THEN trino_invalid('expected ' || size || '-byte input, but got instead: '
                || octet_length(b))
        WHEN CAST('0x' || hex(b) AS HUGEINT) >= CAST(power(2, size * 8 - 1) AS HUGEINT)
            THEN CAST('0x' || hex(b) AS HUGEINT) - CAST(power(2, size * 8) AS HUGEINT)
        ELSE CAST('0x' || hex(b) AS HUGEINT)
    END""",
    """trino_crc32(b) AS xor(4294967295, list_reduce(
        list_transform(regexp_extract_all(hex(b), '..'), lambda pair: CAST('0x' || pair AS BIGINT)),
        lambda crc, byte: list_reduce(
            range(8),
            lambda c, _step: xor(c >> 1, CASE WHEN c & 1 = 1 THEN 3988292384 ELSE 0 END),
            xor(crc, byte)),
        CAST(4294967295 AS BIGINT)))""",
    """trino_xored(key, byte) AS CAST(xor(
        CAST(unhex(rpad(hex(key), 128, '0')) AS BIT), CAST(unhex(repeat(byte, 64)) AS BIT)) AS
            BLOB)""",
    *(
        f"""trino_hmac_{hash_}(data, key) AS list_transform(
            [CASE WHEN octet_length(key) > 64 THEN unhex({hash_}(key)) ELSE key END],
            lambda k: unhex({hash_}(
                trino_xored(k, '5c') || unhex({hash_}(trino_xored(k, '36') || data))))
        )[1]"""
        for hash_ in ("md5", "sha1", "sha256")
    ),
)
