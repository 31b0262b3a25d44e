"""Functions of regular expressions: those that mean the same in Trino's engine and in DuckDB's."""

from __future__ import annotations

import re

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.row import Function, literal, on_page
from local_athena.athena.types import BIGINT, BOOLEAN, VARCHAR, Expr, array, build, coerce, text

_SAFE = re.compile(
    r"(?:\\[dDwWsSbB.\\|()\[\]{}*+?^$/-]"
    r"|\[\^?(?:\\[dDwWsS.\\\]\[^$*+?(){}|/-]|[^\\\[\]&])+\]|\(\?[:i]|\(\?i\)"
    r"|[(|)^$.]|[*+?]\??|\{\d+(?:,\d*)?\}\??|[^\\\[\](){}*+?|^$.])*"
)


def _regex(pattern: Expr) -> Expr:
    """A pattern of Trino's engine (Joni) as one of DuckDB's (RE2)."""
    regex = _numbered(literal(pattern, "a regular expression"))
    if not _SAFE.fullmatch(regex) or re.search(r"\(\?(?!:|i\))|[*+?}]\+", regex):
        raise not_supported(f"the regular expression {regex!r}")
    try:
        re.compile(regex)
    except re.error as error:
        message = f"invalid pattern in expression: {error}"
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", message) from None
    # In Trino `$` also stands before a line break that ends the text.
    translated = re.sub(
        r"\\.|\[\^?(?:\\.|[^\]])+\]|\$", lambda m: r"(?:\n?\z)" if m[0] == "$" else m[0], regex
    )
    return text(translated)


def _numbered(regex: str) -> str:
    """Named groups as groups that are numbered alone."""
    return re.sub(r"\(\?<[A-Za-z][A-Za-z0-9]*>", "(", regex)


def _group_names(regex: str) -> dict[str, int]:
    names = re.compile(r"\\.|\((?!\?[:i])(?:\?<([A-Za-z][A-Za-z0-9]*)>)?", re.DOTALL)
    opened = [found for found in names.finditer(regex) if found[0].startswith("(")]
    return {found[1]: number for number, found in enumerate(opened, 1) if found[1]}


def _not_empty(pattern: Expr, what: str) -> Expr:
    """Refuses a pattern that fits an empty text: the engines go on from it differently."""
    regex = _regex(pattern)
    try:
        fits_nothing = re.search(regex.constant.replace(r"\z", r"\Z") if regex.constant else "", "")
    except re.error:
        fits_nothing = None
    if fits_nothing is not None or "$" in (pattern.constant or ""):
        raise not_supported(f"{what} of the regular expression {pattern.constant!r}")
    return regex


def _like(value: Expr, pattern: Expr) -> Expr:
    return build("regexp_matches({0}, {1})", BOOLEAN, value, _regex(pattern))


def _group(pattern: Expr, group: Expr | None) -> int:
    """The number of a group, which must have a part in each match."""
    if group is None:
        return 0
    regex = literal(pattern, "a regular expression")
    number = group.constant or ""
    regex = _numbered(regex)
    if not number.isdigit() or int(number) > min(re.compile(regex).groups, 9):
        raise not_supported("this group of a regular expression")
    if int(number) and re.search(r"\||\)[*?{]", regex):
        raise not_supported("a group of a regular expression that can be left out")
    return int(number)


def _extract(value: Expr, pattern: Expr, group: Expr | None = None) -> Expr:
    regex, number = _not_empty(pattern, "regexp_extract"), _group(pattern, group)
    found = f"regexp_extract({{0}}, {{1}}, {number})"
    return build(f"CASE WHEN regexp_matches({{0}}, {{1}}) THEN {found} END", VARCHAR, value, regex)


def _extract_all(value: Expr, pattern: Expr, group: Expr | None = None) -> Expr:
    regex, number = _not_empty(pattern, "regexp_extract_all"), _group(pattern, group)
    return build(f"regexp_extract_all({{0}}, {{1}}, {number})", array(VARCHAR), value, regex)


def _replace(value: Expr, pattern: Expr, by: Expr | None = None) -> Expr:
    regex = _not_empty(pattern, "regexp_replace")
    replacement = text("") if by is None else _replacement(pattern, by)
    return build("regexp_replace({0}, {1}, {2}, 'g')", VARCHAR, value, regex, replacement)


def _replacement(pattern: Expr, by: Expr) -> Expr:
    """A group of Trino, `$1`, as one of DuckDB."""
    form = literal(by, "a replacement")
    regex = pattern.constant or ""
    names = _group_names(regex)
    groups = re.compile(_numbered(regex)).groups
    for name, number in names.items():
        form = form.replace(f"${{{name}}}", f"${number}")

    def group(match: re.Match[str]) -> str:
        if match[0].startswith("\\"):
            return match[1] if match[1] != "\\" else "\\\\"
        if not match[2] or int(match[2]) > groups:
            raise not_supported(f"the replacement {form!r}")
        return f"\\{match[2]}"

    if re.search(r"\$\d\d", form) or form.endswith("\\"):
        raise not_supported(f"the replacement {form!r}")
    return text(re.sub(r"\\(.)|\$(\d?)", group, form, flags=re.DOTALL))


def _split(value: Expr, pattern: Expr) -> Expr:
    regex = _not_empty(pattern, "regexp_split")
    return build("regexp_split_to_array({0}, {1})", array(VARCHAR), value, regex)


def _count(value: Expr, pattern: Expr) -> Expr:
    regex = _not_empty(pattern, "regexp_count")
    return build("len(regexp_extract_all({0}, {1}))", BIGINT, value, regex)


def _position(value: Expr, pattern: Expr) -> Expr:
    regex = _not_empty(pattern, "regexp_position")
    parts = "regexp_split_to_array({0}, {1})"
    found = f"CASE WHEN len({parts}) > 1 THEN length({parts}[1]) + 1 ELSE -1 END"
    return build(
        f"CASE WHEN {{0}} IS NOT NULL THEN {found} END", BIGINT, coerce(value, VARCHAR), regex
    )


FUNCTIONS = on_page(
    "functions/regexp",
    Function(
        "regexp_count(varchar, varchar) -> bigint",
        _count,
        "regexp_count('1a 2b 14m', '\\s*[a-z]+\\s*')",
        "3",
    ),
    Function(
        "regexp_extract(varchar, varchar) -> varchar",
        _extract,
        "regexp_extract('1a 2b 14m', '\\d+')",
        "1",
    ),
    Function(
        "regexp_extract(varchar, varchar, bigint) -> varchar",
        _extract,
        "regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)",
        "a",
    ),
    Function(
        "regexp_extract_all(varchar, varchar) -> array(varchar)",
        _extract_all,
        "regexp_extract_all('1a 2b 14m', '\\d+')",
        "[1, 2, 14]",
    ),
    Function(
        "regexp_extract_all(varchar, varchar, bigint) -> array(varchar)",
        _extract_all,
        "regexp_extract_all('1a 2b 14m', '(\\d+)([a-z]+)', 2)",
        "[a, b, m]",
    ),
    Function(
        "regexp_like(varchar, varchar) -> boolean",
        _like,
        "regexp_like('1a 2b 14m', '\\d+b')",
        "true",
    ),
    Function(
        "regexp_position(varchar, varchar) -> bigint",
        _position,
        "regexp_position('I have 23 apples', '\\d')",
        "8",
    ),
    Function(
        "regexp_replace(varchar, varchar) -> varchar",
        _replace,
        "regexp_replace('1a 2b 14m', '\\d+[ab] ')",
        "14m",
    ),
    Function(
        "regexp_replace(varchar, varchar, varchar) -> varchar",
        _replace,
        "regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')",
        "3ca 3cb 14m",
    ),
    Function(
        "regexp_split(varchar, varchar) -> array(varchar)",
        _split,
        "regexp_split('1a 2b 14m', '\\s*[a-z]+\\s*')",
        "[1, 2, 14, ]",
    ),
)

MACROS: tuple[str, ...] = ()
