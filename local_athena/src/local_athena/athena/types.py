"""Trino's scalar types, their coercions, and typed expressions in DuckDB's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from local_athena.athena.errors import QueryFailed, not_supported

if TYPE_CHECKING:
    from local_athena.athena.relations import Column

MAX_PRECISION = 38
_EXACT_IN_DOUBLE = 15


@dataclass(frozen=True)
class Type:
    """A Trino type.

    Attributes:
        base: Trino's name without parameters.
        precision: Digits of a decimal, or the length of a varchar or char (None: unbounded).
        scale: Digits after the point of a decimal.
        zone: The zone in which a timestamp with time zone reads: an IANA name or an offset. None if
            it differs from row to row: DuckDB then holds a struct of the instant and the zone.
        of: Types of what an array, a map or a row holds: elements; keys and values; fields.
        fields: Names of a row's fields; an empty text for one without a name.
    """

    base: str
    precision: int | None = None
    scale: int | None = None
    zone: str | None = None
    of: tuple[Type, ...] = ()
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.of:
            names = [f"{name} " if name else "" for name in self.fields] or [""] * len(self.of)
            return f"{self.base}({', '.join(map('{}{}'.format, names, self.of))})"
        if self.base == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.base in ("timestamp", "timestamp with time zone"):
            return self.base.replace("timestamp", "timestamp(3)")
        return self.base if self.precision is None else f"{self.base}({self.precision})"

    @property
    def bases(self) -> Iterator[str]:
        """Trino's name of it, and of all that it holds."""
        yield self.base
        for inner in self.of:
            yield from inner.bases

    @property
    def duckdb(self) -> str:
        """The type that holds it in DuckDB."""
        if self.base == "array":
            return f"{self.of[0].duckdb}[]"
        if self.base == "map":
            return f"MAP({self.of[0].duckdb}, {self.of[1].duckdb})"
        if self.base == "row":
            fields = zip(self.shown_fields, self.of, strict=True)
            listed = [f"{identifier(name)} {type_.duckdb}" for name, type_ in fields]
            return f"STRUCT({', '.join(listed)})"
        if self.is_zone_open:
            return "STRUCT(t TIMESTAMPTZ, z VARCHAR)"
        if self.base == "decimal":
            return f"DECIMAL({self.precision}, {self.scale})"
        if self.base not in _DUCKDB_TYPES:
            raise not_supported(f"the type {self} here")
        return _DUCKDB_TYPES[self.base]

    @property
    def is_zone_open(self) -> bool:
        """Whether it is a timestamp whose time zone differs from row to row."""
        return self.base == "timestamp with time zone" and self.zone is None

    @property
    def holds_open_zone(self) -> bool:
        """Whether it, or something that it holds, is such a timestamp."""
        return self.is_zone_open or any(inner.holds_open_zone for inner in self.of)

    @property
    def shown_fields(self) -> tuple[str, ...]:
        """Names of a row's fields as Athena prints them: `field0` for one without a name."""
        return tuple(name or f"field{position}" for position, name in enumerate(self.fields))

    @property
    def digits(self) -> tuple[int, int]:
        """Precision and scale of a decimal, or of the decimal that an integer type coerces to."""
        if self.base == "decimal":
            assert self.precision is not None
            assert self.scale is not None
            return self.precision, self.scale
        return INTEGER_DIGITS[self.base], 0


UNKNOWN, BOOLEAN = Type("unknown"), Type("boolean")
TINYINT, SMALLINT = Type("tinyint"), Type("smallint")
INTEGER, BIGINT = Type("integer"), Type("bigint")
REAL, DOUBLE = Type("real"), Type("double")
VARCHAR, VARBINARY, JSON = Type("varchar"), Type("varbinary"), Type("json")
DATE, TIMESTAMP = Type("date"), Type("timestamp")
TIMESTAMP_TZ = Type("timestamp with time zone")
TIMESTAMP_UTC = Type("timestamp with time zone", zone="UTC")
DAY_INTERVAL, MONTH_INTERVAL = Type("interval day to second"), Type("interval year to month")

INTEGER_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}
_NUMBERS = [*INTEGER_DIGITS, "decimal", "real", "double"]
_TIMES = ["date", "timestamp", "timestamp with time zone"]
_DUCKDB_TYPES = {
    "unknown": "INTEGER",
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double": "DOUBLE",
    "varchar": "VARCHAR",
    "char": "VARCHAR",
    "varbinary": "BLOB",
    "json": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
    "interval day to second": "INTERVAL",
    "interval year to month": "INTERVAL",
}
BASES = frozenset([*_DUCKDB_TYPES, "decimal", "array", "map", "row", "function"])
"""Names of all types, without parameters."""


def decimal(precision: int, scale: int) -> Type:
    """Return a decimal type, its precision capped at 38 as Trino does."""
    if scale > MAX_PRECISION:
        message = f"decimal scale {scale} exceeds {MAX_PRECISION}"
        raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", message)
    return Type("decimal", max(1, min(MAX_PRECISION, precision)), scale)


def is_integer(type_: Type) -> bool:
    """Return whether it is one of the four integer types."""
    return type_.base in INTEGER_DIGITS


def is_number(type_: Type) -> bool:
    """Return whether arithmetic is defined on it."""
    return type_.base in _NUMBERS


def is_float(type_: Type) -> bool:
    """Return whether it has NaN and infinity."""
    return type_.base in ("real", "double")


def common_type(left: Type, right: Type) -> Type | None:
    """Return the type that both coerce to, None if there is none (Trino's TypeCoercion)."""
    if left == right or right == UNKNOWN:
        return left
    if left == UNKNOWN:
        return right
    if left.of and (left.base, len(left.of)) == (right.base, len(right.of)):
        common = [common_type(*pair) for pair in zip(left.of, right.of, strict=True)]
        inner = tuple(type_ for type_ in common if type_ is not None)
        names = zip(left.fields, right.fields, strict=True)
        fields = tuple(name if name == other else "" for name, other in names)
        return replace(left, of=inner, fields=fields) if len(inner) == len(common) else None
    if is_number(left) and is_number(right):
        bases = {left.base, right.base}
        if "decimal" in bases and bases <= {*INTEGER_DIGITS, "decimal"}:
            (p1, s1), (p2, s2) = left.digits, right.digits
            scale = max(s1, s2)
            return decimal(max(p1 - s1, p2 - s2) + scale, scale)
        return max(left, right, key=lambda t: _NUMBERS.index(t.base))
    if left.base in _TIMES and right.base in _TIMES:
        wider = max(left, right, key=lambda t: _TIMES.index(t.base))
        if wider.base != "timestamp with time zone":
            return wider
        zones = {t.zone if t.base == wider.base else "UTC" for t in (left, right)}
        return Type(wider.base, zone=zones.pop() if len(zones) == 1 else None)
    if {left.base, right.base} <= {"varchar", "char"}:
        base = "char" if "char" in (left.base, right.base) else "varchar"
        bounded = left.precision is not None and right.precision is not None
        return Type(base, max(left.precision or 0, right.precision or 0) if bounded else None)
    return None


@dataclass(frozen=True)
class Expr:
    """A typed expression.

    Attributes:
        parts: DuckDB's text, with the columns that it refers to standing in it as such.
        type: Its Trino type, which DuckDB's type always matches.
        opaque: Whether its value depends on more than the row's columns (an aggregate, a window, a
            subquery), so that it cannot be evaluated on partition values.
        constant: The value of a string or number literal, as text.
    """

    parts: tuple[str | Column, ...]
    type: Type
    opaque: bool = False
    constant: str | None = None

    @property
    def sql(self) -> str:
        """DuckDB's text."""
        return "".join(part if isinstance(part, str) else part.sql for part in self.parts)

    @property
    def columns(self) -> Iterator[Column]:
        """The columns it refers to, as often as it does."""
        return (part for part in self.parts if not isinstance(part, str))

    def as_opaque(self) -> Expr:
        """Return the same expression, not to be evaluated on partition values."""
        return Expr(self.parts, self.type, True, self.constant)

    def as_type(self, type_: Type) -> Expr:
        """Return the same expression under another type that DuckDB holds alike."""
        return Expr(self.parts, type_, self.opaque, self.constant)


def fill(template: str, type_: Type, *args: Expr, opaque: bool = False) -> Expr:
    """Fill `{0}`, `{1}`... of a DuckDB text with expressions; `{*}` stands for all of them.

    The template is ours: what comes from the query goes in as an expression, never as text.
    """
    parts: list[str | Column] = []
    for piece in re.split(r"(\{(?:\d|\*)\})", template):
        if piece == "{*}":
            for position, arg in enumerate(args):
                parts += [", ", *arg.parts] if position else arg.parts
        elif re.fullmatch(r"\{\d\}", piece):
            parts += args[int(piece[1])].parts
        elif piece:
            parts.append(piece)
    return Expr(tuple(parts), type_, opaque or any(arg.opaque for arg in args))


def build(template: str, type_: Type, *args: Expr) -> Expr:
    """As `fill`, for a whole expression: a long argument that stands in it twice is computed once.

    So the text of nested calls grows with their number, and not by powers of two. A macro counts as
    naming its arguments several times.
    """
    if "lambda " in template:  # what stands in its body is of the body alone
        return fill(template, type_, *args)
    bound: list[str | Expr] = []
    given = list(args)
    row = ""
    for position, arg in enumerate(args):
        times = template.count(f"{{{position}}}")
        is_used_again = times > 1 or (times == 1 and "trino_" in template)
        is_value = arg.type.base != "function"
        if is_used_again and is_value and sum(map(_length, arg.parts)) > _LONG_ARGUMENT:
            row = "b"  # what is bound stands outside of the lambda, so that no name hides another
            bound += [", " if bound else "", f"a{position} := ", arg]
            given[position] = Expr((f"{row}.a{position}",), arg.type)
    if not bound:
        return fill(template, type_, *args)
    body = fill(template, type_, *given)
    return joined(
        "list_transform([struct_pack(", *bound, f")], lambda {row}: ", body, ")[1]", type_=type_
    )


_LONG_ARGUMENT = 300
_MACRO = 150


def _length(part: str | Column) -> int:
    """How long a text is, with about what the macros in it hold."""
    if not isinstance(part, str):
        return len(part.sql)
    return len(part) + _MACRO * part.count("trino_") + _LONG_ARGUMENT * part.count("trino_json")


def joined(*pieces: str | Expr, type_: Type, opaque: bool = False) -> Expr:
    """Texts (taken as they are) and expressions, one after the other."""
    parts: list[str | Column] = []
    for piece in pieces:
        parts += [piece] if isinstance(piece, str) else piece.parts
    inner = any(piece.opaque for piece in pieces if isinstance(piece, Expr))
    return Expr(tuple(parts), type_, opaque or inner)


def separated(separator: str, exprs: Iterable[Expr]) -> list[str | Expr]:
    """Return expressions with a text between each two of them, for `joined`."""
    pieces: list[str | Expr] = []
    for expr in exprs:
        pieces += [separator, expr] if pieces else [expr]
    return pieces


def connected(word: str, conditions: Iterable[Expr]) -> Expr:
    """Return conditions connected by AND or OR."""
    return joined("(", *separated(f" {word} ", conditions), ")", type_=BOOLEAN)


def row_fields(row: Expr) -> list[Expr]:
    """Return the fields of a row."""
    named = zip(row.type.shown_fields, row.type.of, strict=True)
    return [build("struct_extract({0}, {1})", type_, row, text(name)) for name, type_ in named]


def packed(type_: Type, values: Iterable[Expr]) -> Expr:
    """Return a row of these values."""
    named = [
        joined(f"{identifier(name)} := ", value, type_=value.type)
        for name, value in zip(type_.shown_fields, values, strict=True)
    ]
    return joined("struct_pack(", *separated(", ", named), ")", type_=type_)


def quoted(text: str) -> str:
    """Return a string literal of DuckDB (and of Trino)."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted name of DuckDB (and of Trino)."""
    return '"' + name.replace('"', '""') + '"'


def array(element: Type) -> Type:
    """Return an array type."""
    return Type("array", of=(element,))


def text(value: str) -> Expr:
    """Return a string literal."""
    return Expr((quoted(value),), Type("varchar", len(value)), constant=value)


def coerce(expr: Expr, to: Type) -> Expr:
    """The expression under a type that `common_type` gave, cast where DuckDB's type differs."""
    if expr.type == to:
        return expr
    if to.base == "char":
        padded = f"rpad({{0}}, CAST(greatest({to.precision}, length({{0}})) AS INTEGER), ' ')"
        return build(padded, to, expr)
    if expr.type.duckdb == to.duckdb and expr.type != UNKNOWN:
        return expr.as_type(to)
    if to.is_zone_open and expr.type != UNKNOWN:
        zone = quoted(expr.type.zone or "UTC")
        return build(f"struct_pack(t := CAST({{0}} AS TIMESTAMPTZ), z := {zone})", to, expr)
    if expr.type.of and to.holds_open_zone and not expr.type.holds_open_zone:
        raise not_supported(f"values of {expr.type} beside those of {to}")
    if is_float(to) and expr.type.base == "decimal" and expr.type.digits[0] > _EXACT_IN_DOUBLE:
        return build(f"CAST(CAST({{0}} AS VARCHAR) AS {to.duckdb})", to, expr)
    converted = build(f"CAST({{0}} AS {to.duckdb})", to, expr)
    is_whole = is_integer(expr.type) and is_integer(to)
    return replace(converted, constant=expr.constant) if is_whole else converted


def unify(*exprs: Expr) -> tuple[Expr, ...]:
    """Return the expressions under their common type."""
    type_ = exprs[0].type
    for expr in exprs[1:]:
        common = common_type(type_, expr.type)
        if common is None:
            raise QueryFailed("TYPE_MISMATCH", f"types {type_} and {expr.type} have no common type")
        type_ = common
    return tuple(coerce(expr, type_) for expr in exprs)


def local(expr: Expr) -> Expr:
    """A date, or a timestamp with a time zone or none, as it reads on the wall, without a zone."""
    if expr.type.base != "timestamp with time zone":
        return expr
    zone = expr.type.zone
    if zone is None:
        return build("trino_wall(({0}).t, ({0}).z)", TIMESTAMP, expr)
    if zone[0] in "+-":
        shift = f"INTERVAL '{zone[1:3]}:{zone[4:]}:00'"
        return build(f"(timezone('UTC', {{0}}) {zone[0]} {shift})", TIMESTAMP, expr)
    return build(f"timezone({quoted(zone)}, {{0}})", TIMESTAMP, expr)


def zoned(wall: Expr, like: Expr, near: Expr) -> Expr:
    """Return a timestamp without zone under the zone of another one, where that is its local time.

    A local time that comes twice has the offset of the instant `near`. One that is left out moves
    forward by the length of the gap.
    """
    zone = like.type.zone
    if zone is None:
        moment = "trino_instant({0}, ({1}).z, {2})"
        return build(f"struct_pack(t := {moment}, z := ({{1}}).z)", like.type, wall, like, near)
    if zone[0] in "+-":
        shift = f"INTERVAL '{zone[1:3]}:{zone[4:]}:00'"
        opposite = "-" if zone[0] == "+" else "+"
        return build(f"timezone('UTC', {{0}} {opposite} {shift})", like.type, wall)
    return build(f"trino_named_instant({{0}}, {quoted(zone)}, {{1}})", like.type, wall, near)


def same_in_utc(wall: Expr) -> Expr:
    """Return the instant at which UTC's clocks show a local time."""
    return build("timezone('UTC', {0})", TIMESTAMP_UTC, wall)


def instant(expr: Expr) -> Expr:
    """Return the instant of a timestamp with time zone; what has no open zone is left as it is."""
    if expr.type.is_zone_open:
        return build("({0}).t", TIMESTAMP_UTC, expr)
    return expr


def at_instant(moved: Expr, like: Expr) -> Expr:
    """Return an instant under the zone of another timestamp."""
    if like.type.zone is None:
        return build("struct_pack(t := {0}, z := ({1}).z)", like.type, moved, like)
    return moved.as_type(like.type)
