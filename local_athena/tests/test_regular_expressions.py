"""Regular expressions: RE2's where it finds what Trino's engine does, and else Python's."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_athena.athena import joni
from local_athena.athena.errors import QueryFailed

Compute = Callable[..., str]

CHARACTERS = st.sampled_from(["a", "b", "1", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", r"\S"])
REPEATED = st.sampled_from(["*", "+", "+?", "?", "{2}", "{1,2}"])
WITHOUT_OPTIONS = st.recursive(
    CHARACTERS,
    lambda inner: st.one_of(
        st.tuples(inner, REPEATED).map(lambda drawn: f"(?:{drawn[0]}){drawn[1]}"),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda drawn: f"(?:{drawn[0]}|{drawn[1]})"),
        inner.map(lambda each: f"({each})"),
    ),
    max_leaves=6,
)
PATTERNS = st.tuples(st.sampled_from(["", "(?s)"]), WITHOUT_OPTIONS).map("".join)
TEXTS = st.lists(st.text("ab1. \n\vé", max_size=8), min_size=1, max_size=6)


@given(pattern=PATTERNS, texts=TEXTS)
@settings(max_examples=50)
def test_re2_finds_what_python_does(compute: Compute, pattern: str, texts: list[str]) -> None:
    """Neither engine knows the other, and where they agree each stands for Trino's."""
    try:
        read = joni.read(pattern)
    except joni.NotReadError:
        return
    assert read.re2 is not None
    asked = [f"regexp_like(x, '{pattern}')"]
    expected: list[list[Any]] = [[read.python.search(text) is not None] for text in texts]
    for group in range(read.python.groups + 1):
        if not read.re2_finds(group):
            continue
        asked.append(f"regexp_extract(x, '{pattern}', {group})")
        asked.append(f"regexp_extract_all(x, '{pattern}', {group})")
        asked.append(f"regexp_replace(x, '{pattern}', '<${group}>')")
        for text, answers in zip(texts, expected, strict=True):
            found = [match[group] for match in read.python.finditer(text)]
            answers.append(found[0] if found else None)
            answers.append(found)
            answers.append(read.python.sub(rf"<\g<{group}>>", text))
    rows = ", ".join(f"({number}, '{text}')" for number, text in enumerate(texts))
    listed = ", ".join(f"json_format(CAST({each} AS json))" for each in asked)
    answered = compute(f"SELECT {listed} FROM (VALUES {rows}) AS t (i, x) ORDER BY i")
    assert [
        [json.loads(value) if value else None for value in row]
        for row in csv.reader(answered.splitlines())
    ] == expected


ANSWERS = [
    # A word may end in a letter beyond ASCII, though \w takes none.
    (r"regexp_extract('aé b', '\w\b.*'), regexp_extract('aé', '\w+')", '"b","a"'),
    (r"regexp_replace('aé b', '\b', '|')", '"|a\u00e9| |b|"'),
    ("regexp_like('a\nb', 'a.b'), regexp_like('a\nb', '(?s)a.b')", '"false","true"'),
    (r"regexp_like(chr(11), '\s'), regexp_like(chr(11), '^\S$')", '"true","false"'),
    # Each text is found once more behind what was found, as in Trino.
    ("regexp_replace('abc', 'x*', '-'), regexp_count('abc', '')", '"-a-b-c-","4"'),
    ("regexp_split('abc', 'x*'), regexp_extract_all('axb', 'x*|a')", '"[, a, b, c, ]","[, x, , ]"'),
    ("regexp_replace('ab\n', '$', '!')", '"ab!\n!"'),
    # `$12` is the group 1 before a 2, unless there are 12.
    (
        r"regexp_replace('ab', '(a)(b)', '$12\$$2'), regexp_replace('ab', '(a)|(b)', '[$2]')",
        '"a2$b","[][b]"',
    ),
    ("regexp_extract('abcdefghijk', '(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)', 11)", '"k"'),
    ("regexp_extract('2026-11-15', '(?<year>\\d+)-(?<month>\\d+)', 2)", '"11"'),
    ("regexp_replace('ab', '[xy]', x -> NULL), regexp_replace('ab', '(b)|a', x -> x[1])", '"ab",'),
    (
        "regexp_position('abab', 'a', 2, 1), regexp_position('abab', 'a', 5),"
        " regexp_position('ab', '^b', 2)",
        '"3","-1","-1"',
    ),
    ("regexp_extract('aab', '(?>a*)ab'), regexp_extract('aab', 'a*+b')", ',"aab"'),
    ("try(regexp_replace('ab', 'a', '$1')), try(regexp_replace('b', 'a', '$1'))", ',"b"'),
]


@pytest.mark.parametrize(("asked", "answer"), ANSWERS)
def test_what_is_found(compute: Compute, asked: str, answer: str) -> None:
    assert compute(f"SELECT {asked}") == f"{answer}\n"


def test_a_pattern_may_differ_from_row_to_row(compute: Compute) -> None:
    rows = "(1, 'ab', '^a'), (2, 'ab', '^b'), (3, NULL, 'a'), (4, 'ab', NULL)"
    found = "regexp_like(x, p), regexp_replace(x, p, '-'), regexp_split(x, p)"
    answer = compute(f"SELECT {found} FROM (VALUES {rows}) AS t (i, x, p) ORDER BY i")
    assert answer == '"true","-b","[, b]"\n"false","ab","[ab]"\n,,\n,,\n'


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        # What this service does not do is no error of the query that TRY would turn into NULL.
        (r"SELECT try(regexp_like(x, '\b')) FROM (VALUES 'a²') AS t (x)", "NOT_SUPPORTED"),
        ("SELECT try(regexp_like('a', x)) FROM (VALUES '(?<=a(b))') AS t (x)", "NOT_SUPPORTED"),
        # Also where no row is left.
        (r"SELECT 1 FROM (VALUES 'a²') AS t (x) WHERE try(regexp_like(x, '\b'))", "NOT_SUPPORTED"),
        # A loop whose body may fit an empty text, though in none that is empty.
        (r"SELECT regexp_like('ab', x) FROM (VALUES '(?:\b|c)+a') AS t (x)", "NOT_SUPPORTED"),
        ("SELECT regexp_like('ab', x) FROM (VALUES '(?:(?=a)|b)*') AS t (x)", "NOT_SUPPORTED"),
        ("SELECT try(from_utf8(x, '')) FROM (VALUES X'e282') AS t (x)", "NOT_SUPPORTED"),
        (r"SELECT regexp_like(x, '(?i)s\b') FROM (VALUES 'ſ') AS t (x)", "NOT_SUPPORTED"),
        ("SELECT regexp_extract('ab', '(a)', 2)", "INVALID_FUNCTION_ARGUMENT: .*Pattern has 1 gr"),
        ("SELECT regexp_extract('ab', 'a', x) FROM (VALUES 1) AS t (x)", "INVALID_FUNCTION_ARGUM"),
        ("SELECT regexp_replace('ab', 'a', '$1')", "INVALID_FUNCTION_ARGUMENT: Illegal replacem"),
        ("SELECT regexp_position('ab', 'a', 0)", "INVALID_FUNCTION_ARGUMENT: start position"),
        ("SELECT regexp_like('a', x) FROM (VALUES '(') AS t (x)", "INVALID_FUNCTION_ARGUMENT"),
    ],
)
def test_failures(compute: Compute, sql: str, reason: str) -> None:
    with pytest.raises(QueryFailed, match=f"^{reason}"):
        compute(sql)
