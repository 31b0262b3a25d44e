"""Functions of URLs."""

from __future__ import annotations

from local_athena.athena.functions.row import Function, on_page

_URL = "'http://example.com:8080/path/page?k=v&q=a%20b#part'"

FUNCTIONS = on_page(
    "functions/url",
    Function(
        "url_decode(varchar) -> varchar",
        "trino_url_decode({0})",
        "url_decode('a%20b+c')",
        "a b c",
    ),
    Function(
        "url_encode(varchar) -> varchar",
        "trino_url_encode({0})",
        "url_encode('a b/ü*')",
        "a+b%2F%C3%BC*",
    ),
    Function(
        "url_extract_fragment(varchar) -> varchar",
        "trino_url_part({0}, 6)",
        f"url_extract_fragment({_URL})",
        "part",
    ),
    Function(
        "url_extract_host(varchar) -> varchar",
        "trino_url_part({0}, 2)",
        f"url_extract_host({_URL})",
        "example.com",
    ),
    Function(
        "url_extract_parameter(varchar, varchar) -> varchar",
        "trino_url_parameter({0}, {1})",
        f"url_extract_parameter({_URL}, 'q')",
        "a b",
    ),
    Function(
        "url_extract_path(varchar) -> varchar",
        "url_decode(trino_url_part({0}, 4))",
        f"url_extract_path({_URL})",
        "/path/page",
    ),
    Function(
        "url_extract_port(varchar) -> bigint",
        "CAST(nullif(trino_url_part({0}, 3), '') AS BIGINT)",
        f"url_extract_port({_URL})",
        "8080",
    ),
    Function(
        "url_extract_protocol(varchar) -> varchar",
        "trino_url_part({0}, 1)",
        f"url_extract_protocol({_URL})",
        "http",
    ),
    Function(
        "url_extract_query(varchar) -> varchar",
        "trino_url_query({0})",
        f"url_extract_query({_URL})",
        "k=v&q=a b",
    ),
)

_PATTERN = (
    "(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://(?:[A-Za-z0-9._~%!$&''()*+,;=:-]*@)?([A-Za-z0-9.-]+)"
    "(?::([0-9]+))?)?(/[^?#]*|[^/?#:][^?#:]*)?([?][^#]*)?(?:#(.*))?"
)

MACROS = (
    """trino_url_decode(s) AS CASE
        WHEN regexp_matches(s, '%([^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)')
            THEN trino_invalid('Illegal hex characters in escape (%) pattern: ' || s)
        ELSE url_decode(replace(s, '+', ' '))
    END""",
    """trino_url_encode(s) AS replace(replace(replace(
        url_encode(s), '%20', '+'), '%2A', '*'), '~', '%7E')""",
    # What java.net.URI refuses is NULL. What is no hierarchy (mailto:a@b) is not done.
    f"""trino_url_part(s, part) AS CASE
        WHEN s IS NULL OR NOT regexp_full_match(s, '[A-Za-z0-9._~:/?#@!$&''()*+,;=%-]*') THEN NULL
        WHEN regexp_matches(s, '%([^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)') OR regexp_matches(s, '#.*#')
            THEN NULL
        WHEN NOT regexp_full_match(s, '{_PATTERN}')
            OR regexp_matches(s, '^([A-Za-z][A-Za-z0-9+.-]*:)([^/]|$)')
            OR regexp_extract(s, '{_PATTERN}', 4) LIKE '//%'
            THEN trino_undone('the URL ' || s)
        WHEN part = 1 THEN regexp_extract(s, '{_PATTERN}', 1)
        WHEN part = 2 THEN regexp_extract(s, '{_PATTERN}', 2)
        WHEN part = 3 THEN regexp_extract(s, '{_PATTERN}', 3)
        WHEN part = 4 THEN regexp_extract(s, '{_PATTERN}', 4)
        WHEN part = 5 THEN regexp_extract(s, '{_PATTERN}', 5)
        ELSE regexp_extract(s, '{_PATTERN}', 6)
    END""",
    "trino_url_query(s) AS url_decode(substring(trino_url_part(s, 5), 2))",
    """trino_url_parameter(s, name) AS CASE WHEN name IS NOT NULL THEN
        url_decode(replace(list_filter(
        list_transform(
            list_filter(string_split(substring(trino_url_part(s, 5), 2), '&'),
                lambda each: split_part(each, '=', 1) = name),
            lambda each: CASE WHEN contains(each, '=') THEN regexp_replace(each, '^[^=]*=', '')
                ELSE '' END),
        lambda each: true)[1], '+', ' '))
    END""",
)
