"""How doubles and intervals print where a query casts them to varchar."""

from __future__ import annotations

MACROS = (
    # A double as Java prints it: the shortest digits,
    # with an exponent below 0.001 and from 10 million on.
    """trino_double_text(x) AS CASE
        WHEN isnan(x) THEN 'NaN'
        WHEN isinf(x) THEN CASE WHEN x > 0 THEN 'Infinity' ELSE '-Infinity' END
        WHEN x = 0 OR (abs(x) >= 0.001 AND abs(x) < 10000000) THEN CAST(x AS VARCHAR)
        ELSE trino_exponent_text(CAST(abs(x) AS VARCHAR), CASE WHEN x < 0 THEN '-' ELSE '' END)
    END""",
    """trino_exponent_text(shown, sign) AS list_transform(
        [struct_pack(
            whole := regexp_extract(shown, '^[0-9]+'),
            digits := replace(regexp_extract(shown, '^[0-9.]+'), '.', ''),
            exponent := coalesce(TRY_CAST(regexp_extract(shown, 'e([+-]?[0-9]+)$', 1) AS INTEGER),
                0)
        )],
        lambda parts: sign || ltrim(parts.digits, '0')[1] || '.'
            || coalesce(nullif(rtrim(ltrim(parts.digits, '0')[2:], '0'), ''), '0') || 'E'
            || (parts.exponent + length(parts.whole) - 1
                - (length(parts.digits) - length(ltrim(parts.digits, '0'))))
    )[1]""",
    """trino_interval_text(i) AS list_transform([epoch_ms(TIMESTAMP '1970-01-01' + i)], lambda ms:
        CASE WHEN ms < 0 THEN '-' ELSE '' END || (abs(ms) // 86400000) || ' '
        || strftime(TIMESTAMP '1970-01-01' + to_milliseconds(abs(ms) % 86400000),
            '%H:%M:%S.%g'))[1]""",
    """trino_months_text(i) AS list_transform(
        [date_diff('month', TIMESTAMP '2000-01-01', TIMESTAMP '2000-01-01' + i)],
        lambda months: CASE WHEN months < 0 THEN '-' ELSE '' END
            || (abs(months) // 12) || '-' || (abs(months) % 12))[1]""",
)
