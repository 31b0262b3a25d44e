"""Regular expressions of Joni, Trino's engine, read for Python's engine and for DuckDB's (RE2).

Only what means the same in two engines is read for the other. Python's goes back and tries again as
Joni does, so it has lookaround and references to groups. RE2 is faster, and DuckDB's own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_LITERAL = r"\\[tnrf.\\|()\[\]{}*+?^$/\-\"#%&,:;=@!~ ]|\\x[0-7][0-9A-Fa-f]"
_CLASS = rf"\[\^?(?:\\[dDwWsS]|{_LITERAL}|&(?!&)|-(?!-)|[^\\\[\]&-])+\]"
_CHARACTER = rf"\\[dDwWsS]|{_LITERAL}|{_CLASS}|[^\\\[\](){{}}*+?|^$]"
_TOKENS = {
    # Joni takes little in a lookbehind: these are characters and `|` alone.
    "lookbehind": rf"\(\?<[=!](?:\||{_CHARACTER})+\)",
    "boundary": r"\\[bB]",
    "reference": r"\\[1-9](?!\d)",
    "ignore_case": r"\(\?i\)",
    "dot_all": r"\(\?s\)",
    "backtracking": r"\(\?[=!>]",  # lookahead, and groups that are not tried again
    "uncaptured": r"\(\?:",
    "captured": r"\((?:\?<[A-Za-z][A-Za-z0-9]*>|(?!\?))",
    "closed": r"\)",
    "possessive": r"(?:[*+?]|\{\d+(?:,\d*)?\})\+",
    "repeated": r"(?:[*+?]|\{\d+(?:,\d*)?\})\??",
    "branch": r"\|",
    "start": r"\^",
    "end": r"\$",
    "class": _CLASS,
    "character": _CHARACTER,
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{regex})" for kind, regex in _TOKENS.items()), re.DOTALL)
_OPTIONS = ("ignore_case", "dot_all")
_OPENED = ("backtracking", "uncaptured", "captured")
_REPEATED = ("possessive", "repeated")
_OF_SURROUNDINGS = ("lookbehind", "boundary", "start", "end", "backtracking", "reference")
_WITHOUT_WIDTH = ("lookbehind", "boundary", "start", "end")
_NOT_IN_RE2 = ("lookbehind", "boundary", "reference", "backtracking", "possessive")
_RE2_GROUPS = 9
r"""DuckDB takes `\1` to `\9` in a replacement, and no group above."""
_READ_OTHERWISE = ("look-behind", "multiple repeat", "group reference", "open group")
"""Words of Python's errors for patterns that Joni may accept: these are refused as not done."""
_IN_NO_DOUBT = re.compile(
    r"[\x00-\xb1\xb4-\xb8\xba\xbb\xbf-\u02ff\u0370-\u037e\u0380-\u0481\u048a-\u0527"
    r"\u1e00-\u1eff\u2000-\u203e\u2041-\u2053\u20a0-\u20bf\u2190-\u23ff\u3000-\u3029\u3040-\u3098\u309b-\u30ff"
    r"\u3400-\u4db5\u4e00-\u9fa5\uac00-\ud7a3\uff00-\uff3e\uff40-\uffef\U0001f300-\U0001faff]*"
)
"""Blocks of characters of which Joni and Python say alike whether they are part of a word."""


class NotReadError(Exception):
    """A regular expression that may mean something else in Joni than in the other engines."""


class _Token(NamedTuple):
    kind: str
    text: str


@dataclass(frozen=True)
class Pattern:
    """A regular expression.

    Attributes:
        python: As Python takes it.
        re2: As RE2 takes it, None if it does not mean the same there.
        has_boundary: Whether it asks where words begin or end.
        is_simple: Whether RE2 also finds the same pieces of a text, and not only whether there are
            any: it has no `$`, fits no empty text, and repeats no group that may.
        has_optional_groups: Whether a match may be without one of its groups.
    """

    python: re.Pattern[str]
    re2: str | None
    has_boundary: bool
    ignores_case: bool
    is_simple: bool
    has_optional_groups: bool

    def is_sure_of(self, text: str) -> bool:
        """Return whether Python surely finds in this text what Joni finds.

        Beyond ASCII the two may differ in where words end, and in lower and upper case.
        """
        if text.isascii() and self.python.pattern.isascii():
            return True
        is_word_sure = not self.has_boundary or _IN_NO_DOUBT.fullmatch(text) is not None
        return is_word_sure and not self.ignores_case

    def re2_finds(self, group: int) -> bool:
        """Whether RE2 finds the texts that Joni finds, with the same in this group of them."""
        is_found = group == 0 or (group <= _RE2_GROUPS and not self.has_optional_groups)
        return self.re2 is not None and self.is_simple and is_found


@lru_cache(maxsize=256)
def read(joni: str) -> Pattern:
    """Read a regular expression."""
    tokens = list(_tokens(joni))
    kinds = {token.kind for token in tokens}
    is_in_re2 = kinds.isdisjoint(_NOT_IN_RE2) and not _has_other_class(tokens)
    # In the middle an option holds to the end of its group in Joni. Python takes it at the start
    # alone.
    after_options = itertools.dropwhile(_is_option, tokens)
    if any(_is_option(token) for token in after_options):
        raise NotReadError
    # A letter may have another length in the other case, and a lookbehind goes back by a length.
    if "ignore_case" in kinds and "lookbehind" in kinds:
        raise NotReadError
    try:
        python = re.compile(_for_python(tokens), re.ASCII)
    except (re.error, OverflowError) as error:
        if any(words in str(error) for words in _READ_OTHERWISE):
            raise NotReadError from None
        raise ValueError(f"invalid pattern in expression: {error}") from None
    has_empty_loop = _has_empty_loop(tokens)
    if has_empty_loop and not is_in_re2:
        raise NotReadError
    fits_empty = python.search("") is not None
    return Pattern(
        python=python,
        re2=_for_re2(tokens) if is_in_re2 else None,
        has_boundary="boundary" in kinds,
        ignores_case="ignore_case" in kinds,
        is_simple=not (fits_empty or has_empty_loop or "end" in kinds),
        has_optional_groups="branch" in kinds or _has_optional_group(tokens),
    )


def _tokens(joni: str) -> Iterator[_Token]:
    position = 0
    before = ""
    while position < len(joni):
        found = _TOKEN.match(joni, position)
        if found is None or found.lastgroup is None:
            raise NotReadError
        if found.lastgroup in _REPEATED and before in _WITHOUT_WIDTH:
            raise NotReadError
        before = found.lastgroup
        yield _Token(before, found[0])
        position = found.end()


def _is_option(token: _Token) -> bool:
    return token.kind in _OPTIONS


def _for_python(tokens: Sequence[_Token]) -> str:
    return "".join(map(_one_for_python, tokens))


def _one_for_python(token: _Token) -> str:
    if token.kind == "boundary":
        return f"(?u:{token.text})"  # other than \w, it knows letters beyond ASCII
    if token.kind == "captured" and token.text != "(":
        return token.text.replace("?<", "?P<")
    if token.kind == "class":
        # `||`, `~~` and `&&` in a class may become operators in Python, which warns of them: each
        # gets a backslash, unless it has one.
        return re.sub(r"\\.|[|~&]", lambda m: f"\\{m[0]}" if len(m[0]) == 1 else m[0], token.text)
    return token.text


def _for_re2(tokens: Sequence[_Token]) -> str:
    return "".join(map(_one_for_re2, tokens))


def _one_for_re2(token: _Token) -> str:
    if token.kind == "captured":
        return "("
    if token.kind == "end":
        return r"(?:\n?\z)"  # it also stands before a line break that ends the text
    # For RE2 a vertical tab is no space.
    if token.kind == "class":
        return re.sub(r"\\.", lambda m: r"\t-\r " if m[0] == r"\s" else m[0], token.text)
    return {r"\s": r"[\t-\r ]", r"\S": r"[^\t-\r ]"}.get(token.text, token.text)


def _has_other_class(tokens: Sequence[_Token]) -> bool:
    r"""Whether a class holds `\S`. RE2's counts a vertical tab too, which no class can exclude."""
    return any(r"\S" in token.text for token in tokens if token.kind == "class")


def _repeated_groups(tokens: Sequence[_Token]) -> Iterator[tuple[Sequence[_Token], str]]:
    """Each group that is repeated, with how often."""
    opened: list[int] = []
    for position, token in enumerate(tokens):
        if token.kind in _OPENED:
            opened.append(position)
        elif token.kind == "closed":
            start = opened.pop()
            after = tokens[position + 1 : position + 2]
            if after and after[0].kind in _REPEATED:
                yield tokens[start : position + 1], after[0].text


def _has_empty_loop(tokens: Sequence[_Token]) -> bool:
    """Whether a group is repeated that may fit an empty text: engines leave such loops differently.

    What looks at its surroundings, or refers to another group, may fit one in some texts alone.
    """
    for group, _ in _repeated_groups(tokens):
        if any(token.kind in _OF_SURROUNDINGS for token in group):
            return True
        if re.search(_for_python(group), "", re.ASCII):
            return True
    return False


def _has_optional_group(tokens: Sequence[_Token]) -> bool:
    return any(times[0] in "*?" or times[:2] == "{0" for _, times in _repeated_groups(tokens))


# --- what is found --------------------------------------------------------------------------------


def matches(pattern: Pattern, text: str, start: int = 0) -> Iterator[re.Match[str]]:
    """Yield all matches in Trino's order. Anchors see the `start` characters before."""
    while start <= len(text):
        match = pattern.python.search(text, start)
        if match is None:
            return
        yield match
        start = match.end() + (match.start() == match.end())


@lru_cache(maxsize=256)
def read_replacement(pattern: Pattern, form: str) -> tuple[str | int, ...]:
    r"""Return a replacement as texts and numbers of groups: `$1`, `${name}`, `\$`."""
    pieces: list[str | int] = []
    rest = form
    while rest:
        piece = re.match(r"([^\\$]+)|\\(.)|\$\{([^}]*)\}|\$([0-9]+)", rest, re.DOTALL)
        if piece is None:
            raise ValueError(f"Illegal replacement sequence: {form}")
        plain, escaped, name, digits = piece.groups()
        end = piece.end()
        if name is not None:
            if name not in pattern.python.groupindex:
                raise ValueError(f"Illegal replacement sequence: unknown group {{ {name} }}")
            pieces.append(pattern.python.groupindex[name])
        elif digits is not None:
            # The longest number that a group has.
            while len(digits) > 1 and int(digits) > pattern.python.groups:
                digits = digits[:-1]
                end -= 1
            if int(digits) > pattern.python.groups:
                raise ValueError(f"Illegal replacement sequence: unknown group {digits}")
            pieces.append(int(digits))
        else:
            pieces.append(plain or escaped)
        rest = rest[end:]
    return tuple(pieces)
