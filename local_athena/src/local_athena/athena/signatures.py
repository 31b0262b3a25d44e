"""Signatures as Trino writes them, such as `transform(array(T), function(T, U)) -> array(U)`.

A variable is one capital letter. Some take only certain types:

| variable | stands for |
| --- | --- |
| `N` | a number |
| `I` | a tinyint, smallint, integer or bigint |
| `F` | a real or double |
| `D` | a decimal |
| `C` | a varchar or char of any length |
| `M` | a date, or a timestamp with or without a time zone |
| `W` | a timestamp with or without a time zone |
| `A` | any type, another one at each place |
| `L` | as `M`, another one at each place |
| any other | any type |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_athena.athena.types import (
    BASES,
    INTEGER,
    UNKNOWN,
    VARCHAR,
    Expr,
    Type,
    coerce,
    common_type,
    is_float,
    is_integer,
    is_number,
    joined,
)


class WrongArgumentsError(Exception):
    """Arguments that Trino's function does not take."""


@dataclass(frozen=True)
class Lambda:
    """A lambda, which has no type before the types of its parameters are known.

    Attributes:
        body: Translates the body with these for the parameters.
    """

    names: tuple[str, ...]
    body: Callable[[Sequence[Expr]], Expr]

    @property
    def arity(self) -> int:
        """How many parameters it has."""
        return len(self.names)


Argument = Expr | Lambda


@dataclass(frozen=True)
class Pattern:
    """A type in a signature.

    Attributes:
        name: A variable, a type's base, or `function`.
        of: What it holds; of a function the parameters and the result.
    """

    name: str
    of: tuple[Pattern, ...] = ()

    @property
    def is_variable(self) -> bool:
        """Whether it stands for a type."""
        return len(self.name) == 1


@dataclass(frozen=True)
class Signature:
    """A function's name, what it takes and what it gives.

    Attributes:
        repeats: Whether its last parameter may stand more than once.
    """

    name: str
    parameters: tuple[Pattern, ...]
    result: Pattern
    repeats: bool


@dataclass(frozen=True)
class Match:
    """Arguments that fit a signature.

    Attributes:
        args: The arguments under the signature's types; a lambda as DuckDB's text.
    """

    args: tuple[Expr, ...]
    bindings: dict[str, Type]
    result: Type


def parse_signature(text: str) -> Signature:
    """Read a signature."""
    match = re.fullmatch(r"(\w+)\((.*)\) -> (.+)", text)
    if match is None:
        raise ValueError(f"not a signature: {text}")
    name, inner, result = match.groups()
    repeats = inner.endswith("...")
    parameters = tuple(_pattern(part) for part in _split(inner.removesuffix("...")))
    return Signature(name, parameters, _pattern(result), repeats)


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _pattern(text: str) -> Pattern:
    name, parenthesis, inner = text.partition("(")
    if not parenthesis:
        if name not in BASES and not re.fullmatch("[A-Z]", name):
            raise ValueError(f"not a type: {name}")
        return Pattern(name)
    return Pattern(name, tuple(_pattern(part) for part in _split(inner.removesuffix(")"))))


def match(signature: Signature, args: Sequence[Argument], *, is_pair: bool = False) -> Match | None:
    """Return the arguments under the signature's types, None if they do not fit.

    With `is_pair`, DuckDB's lambda gets a row of the values where Trino's gets each.
    """
    patterns = _patterns(signature, len(args))
    bindings = _bindings(patterns, args)
    if bindings is None:
        return None
    for name in bindings:
        if bindings[name] == UNKNOWN:
            bindings[name] = _DEFAULTS.get(name, UNKNOWN)
    for _ in range(_ROUNDS):
        asked = dict(bindings)
        given = _given(patterns, args, bindings, is_pair)
        if given is None:
            return None
        widened = {name: bindings[name] for name in asked}
        if widened == asked:
            return Match(given, bindings, _resolved(signature.result, bindings, None))
        bindings = widened
    return None


_ROUNDS = 4
"""So often Trino lets lambdas widen a variable, as a sum of doubles that begins with 0 does."""


def _given(
    patterns: Sequence[Pattern],
    args: Sequence[Argument],
    bindings: dict[str, Type],
    is_pair: bool,
) -> tuple[Expr, ...] | None:
    """The arguments under the types of the variables; notes in `bindings` what lambdas give."""
    given = []
    for pattern, arg in zip(patterns, args, strict=True):
        if isinstance(arg, Lambda):
            expr = _applied(arg, pattern, bindings, is_pair)
            if expr is None:
                return None
            given.append(expr)
        else:
            given.append(coerce(arg, _resolved(pattern, bindings, arg.type)))
    return tuple(given)


def cost(signature: Signature, args: Sequence[Argument]) -> int | None:
    """How many arguments would be coerced; None if they do not fit, lambdas not looked into."""
    patterns = _patterns(signature, len(args))
    if _bindings(patterns, args) is None:
        return None
    return sum(
        not pattern.is_variable and pattern.name != arg.type.base
        for pattern, arg in zip(patterns, args, strict=True)
        if isinstance(arg, Expr)
    )


def _patterns(signature: Signature, count: int) -> list[Pattern]:
    patterns = list(signature.parameters)
    if signature.repeats:
        patterns += [patterns[-1]] * (count - len(patterns))
    return patterns


def _bindings(patterns: Sequence[Pattern], args: Sequence[Argument]) -> dict[str, Type] | None:
    """What the variables stand for; None if an argument does not fit, lambdas not looked into."""
    if len(patterns) != len(args):
        return None
    bindings: dict[str, Type] = {}
    for pattern, arg in zip(patterns, args, strict=True):
        if isinstance(arg, Lambda):
            if pattern.name != "function" or len(pattern.of) != arg.arity + 1:
                return None
        elif pattern.name == "function" or not _bind(pattern, arg.type, bindings):
            return None
    return bindings


_KINDS: dict[str, Callable[[Type], bool]] = {
    "N": is_number,
    "I": is_integer,
    "F": is_float,
    "D": lambda type_: type_.base == "decimal",
    "C": lambda type_: type_.base in ("varchar", "char"),
    "M": lambda type_: type_.base in ("date", "timestamp", "timestamp with time zone"),
    "W": lambda type_: type_.base in ("timestamp", "timestamp with time zone"),
}
_EACH_ITS_OWN = ("A", "L")
_DEFAULTS = {"N": INTEGER, "I": INTEGER, "C": VARCHAR}


def _bind(pattern: Pattern, type_: Type, bindings: dict[str, Type]) -> bool:
    """Whether a type fits a pattern, perhaps coerced; notes what the variables stand for."""
    if pattern.name in _EACH_ITS_OWN:
        return pattern.name == "A" or _KINDS["M"](type_)
    if pattern.is_variable:
        kind = _KINDS.get(pattern.name)
        if type_ != UNKNOWN and kind is not None and not kind(type_):
            return False
        if type_ == UNKNOWN and pattern.name in _KINDS and pattern.name not in _DEFAULTS:
            return False
        common = common_type(bindings.get(pattern.name, UNKNOWN), type_)
        if common is None:
            return False
        bindings[pattern.name] = common
        return True
    if pattern.of:
        if type_ == UNKNOWN:
            return all(_bind(inner, UNKNOWN, bindings) for inner in pattern.of)
        same = type_.base == pattern.name and len(type_.of) == len(pattern.of)
        return same and all(map(_bind, pattern.of, type_.of, [bindings] * len(pattern.of)))
    wanted = Type(pattern.name)
    if pattern.name == "varchar" and type_.base == "char":
        return True
    common = common_type(type_, wanted)
    return common is not None and common.base == pattern.name


def _resolved(pattern: Pattern, bindings: dict[str, Type], given: Type | None) -> Type:
    """The type that a pattern stands for; `given` tells a zone that the pattern leaves open."""
    if pattern.name in _EACH_ITS_OWN and given is not None:
        return given
    if pattern.is_variable:
        return bindings.get(pattern.name, UNKNOWN)
    if pattern.of:
        held = given.of if given is not None and given.of else (None,) * len(pattern.of)
        inner = zip(pattern.of, held, strict=True)
        of = tuple(_resolved(each, bindings, own) for each, own in inner)
        fields: tuple[str, ...] = ()
        if pattern.name == "row":
            fields = ("",) * len(of) if given is None or not given.fields else given.fields
        return Type(pattern.name, of=of, fields=fields)
    if pattern.name == "timestamp with time zone":
        same = given is not None and given.base == pattern.name
        return given if same and given is not None else Type(pattern.name, zone="UTC")
    if pattern.name == "decimal" and given is not None:
        return given
    return Type(pattern.name)


def _applied(
    arg: Lambda, pattern: Pattern, bindings: dict[str, Type], is_pair: bool
) -> Expr | None:
    """A lambda's text; None if it does not give what the other arguments ask for."""
    *parameters, result = pattern.of
    types = [_resolved(parameter, bindings, None) for parameter in parameters]
    names = arg.names
    given = list(names)
    if is_pair:
        names = arg.names[:1]
        given = [f"{names[0]}[{position}]" for position in range(1, arg.arity + 1)]
    body = arg.body([Expr((text,), type_) for text, type_ in zip(given, types, strict=True)])
    if not _bind(result, body.type, bindings):
        return None
    body = coerce(body, _resolved(result, bindings, body.type))
    return joined(f"lambda {', '.join(names)}: ", body, type_=Type("function"))
