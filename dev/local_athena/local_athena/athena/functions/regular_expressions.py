"""Functions of regular expressions: those that mean the same in Trino's engine and in DuckDB's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions.row import Function, literal, on_page
from local_athena.athena.types import BIGINT, BOOLEAN, VARCHAR, Expr, array, build, coerce, text

_GROUPS = 9
"""So many groups DuckDB numbers."""
_SAFE = re.compile(
    r"(?:\\[dDwWsSbB.\\|()\[\]{}*+?^$/-]"
    r"|\[\^?(?:\\[dDwWsS.\\\]\[^$*+?(){}|/-]|&(?!&)|[^\\\[\]&])+\]|\(\?[:i]|\(\?i\)"
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
    if _ends(pattern.constant or "") or _fits_nothing(pattern.constant or ""):
        raise not_supported(f"{what} of the regular expression {pattern.constant!r}")
    return regex


def _ends(regex: str) -> int:
    """How many `$` in it stand for the end of the text."""
    return re.findall(r"\\.|\[\^?(?:\\.|[^\]])+\]|\$", regex, flags=re.DOTALL).count("$")


def _fits_nothing(regex: str) -> bool:
    return re.search(_numbered(regex), "") is not None


def _like(value: Expr, pattern: Expr) -> Expr:
    return build("regexp_matches({0}, {1})", BOOLEAN, value, _regex(pattern))


def _group(pattern: Expr, group: Expr | None) -> int:
    """The number of a group."""
    if group is None:
        return 0
    regex = _numbered(literal(pattern, "a regular expression"))
    number = group.constant or ""
    if not number.isdigit() or int(number) > min(re.compile(regex).groups, _GROUPS):
        raise not_supported("this group of a regular expression")
    return int(number)


def _found(extracted: str, pattern: Expr, number: int) -> str:
    """What is found, and NULL for a group that has no part in the match.

    DuckDB gives an empty text for such a group, so that one that can be empty is refused.
    """
    regex = _numbered(pattern.constant or "")
    if not number or not _can_be_left_out(regex, number):
        return extracted
    if re.search(r"[*?]|\{0?,|\|\)|\(\||\(\)", _group_text(regex, number)):
        raise not_supported("a group of a regular expression that can be left out and be empty")
    return f"nullif({extracted}, '')"


@dataclass
class _Group:
    """A group of a regular expression, or the whole of it.

    Attributes:
        around: The group in which it stands.
        has_branches: Whether `|` stands in it, outside of the groups in it.
        is_optional: Whether it may be repeated no time.
    """

    around: _Group | None
    has_branches: bool = False
    is_optional: bool = False


def _groups(regex: str) -> list[_Group]:
    """The whole, and its groups that are numbered."""
    innermost = _Group(None)
    numbered = [innermost]
    tokens = r"\\.|\[\^?(?:\\.|[^\]])+\]|\(\?i\)|\(\?:|\(|\)[*?{]?|\|"
    for found in re.finditer(tokens, regex, flags=re.DOTALL):
        if found[0] == "|":
            innermost.has_branches = True
        elif found[0] in ("(", "(?:"):
            innermost = _Group(innermost)
            if found[0] == "(":
                numbered.append(innermost)
        elif found[0].startswith(")"):
            innermost.is_optional = len(found[0]) > 1
            innermost = innermost.around or innermost
    return numbered


def _can_be_left_out(regex: str, number: int) -> bool:
    """Whether a match can be without this group."""
    group = _groups(regex)[number]
    while group.around is not None:
        if group.is_optional or group.around.has_branches:
            return True
        group = group.around
    return False


def _group_text(regex: str, number: int) -> str:
    """What stands in a group."""
    opened = 0
    depth = start = 0
    for found in re.finditer(r"\\.|\[\^?(?:\\.|[^\]])+\]|\((\?:)?|\)", regex, flags=re.DOTALL):
        if found[0].startswith("("):
            opened += found[1] is None
            depth += bool(start)
            if opened == number and not start:
                start, depth = found.end(), 1
        elif found[0] == ")" and start:
            depth -= 1
            if depth == 0:
                return regex[start : found.start()]
    return regex


def _before_the_end(pattern: Expr) -> str | None:
    """What stands before a `$` that ends a pattern, as DuckDB takes it; None if there is none."""
    regex = literal(pattern, "a regular expression")
    if not re.search(r"[^\\$]\$$", regex) or _ends(regex) > 1 or _fits_nothing(regex):
        return None
    return _regex(text(regex[:-1])).constant or ""


def _extract(value: Expr, pattern: Expr, group: Expr | None = None) -> Expr:
    number = _group(pattern, group)
    body = _before_the_end(pattern)
    if body is not None and not _groups(pattern.constant or "")[0].has_branches:
        # A line break at the end of the text is no part of what is found.
        whole = text(f"({body})(?:\\n?\\z)")
        taken = number + 1
    else:
        whole, taken = _not_empty(pattern, "regexp_extract"), number
    if taken > _GROUPS:
        raise not_supported("this group of a regular expression")
    extracted = _found(f"regexp_extract({{0}}, {{1}}, {taken})", pattern, number)
    found = f"CASE WHEN regexp_matches({{0}}, {{1}}) THEN {extracted} END"
    return build(found, VARCHAR, value, whole)


def _extract_all(value: Expr, pattern: Expr, group: Expr | None = None) -> Expr:
    regex, number = _not_empty(pattern, "regexp_extract_all"), _group(pattern, group)
    all_ = f"regexp_extract_all({{0}}, {{1}}, {number})"
    each = _found("each", pattern, number)
    if each != "each":
        all_ = f"list_transform({all_}, lambda each: {each})"
    return build(all_, array(VARCHAR), value, regex)


def _replace(value: Expr, pattern: Expr, by: Expr | None = None) -> Expr:
    replacement = text("") if by is None else _replacement(pattern, by)
    body = _before_the_end(pattern)
    if body is not None:
        # A line break at the end of the text stays behind what is replaced.
        kept = re.compile(_numbered(pattern.constant or "")).groups + 1
        if kept > _GROUPS:
            raise not_supported("so many groups of a regular expression")
        regex = text(f"{body}(\\n?)\\z")
        replacement = text(f"{replacement.constant}\\{kept}")
    else:
        regex = _not_empty(pattern, "regexp_replace")
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


def _position(value: Expr, pattern: Expr, start: Expr | None = None) -> Expr:
    """Where the pattern is found first, from a character on.

    What stands before that character is still seen by anchors and word boundaries.
    """
    regex = _not_empty(pattern, "regexp_position").constant or ""
    first = 1 if start is None else int(start.constant or 0)
    if not 1 <= first <= _REPEATED:
        raise not_supported("regexp_position from this character")
    before = text(f"^((?s:.{{{first - 1},}}?))(?:{regex})")
    found = "length(regexp_extract({0}, {1}, 1)) + 1"
    position = f"CASE WHEN regexp_matches({{0}}, {{1}}) THEN {found} ELSE -1 END"
    missing = "CASE WHEN {0} IS NOT NULL THEN"
    return build(f"{missing} {position} END", BIGINT, coerce(value, VARCHAR), before)


_REPEATED = 1000  # the most that RE2 repeats


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
        "regexp_position(varchar, varchar, bigint) -> bigint",
        _position,
        "regexp_position('I have 23 apples, 5 pears', '\\d', 12)",
        "19",
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
