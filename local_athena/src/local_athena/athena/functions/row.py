"""A function of Trino as a row: its signature, DuckDB's text, and a documented example."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from local_athena.athena.errors import not_supported
from local_athena.athena.signatures import Signature, parse_signature
from local_athena.athena.types import Expr, Type, fill, joined


@dataclass(frozen=True)
class Call:
    """A call of an aggregate or window function, still without DISTINCT, FILTER and OVER.

    Attributes:
        template: DuckDB's text, `@` before each call to which they belong.
        args: What stands for `{0}`, `{1}`, ...
    """

    template: str
    type: Type
    args: tuple[Expr, ...] = ()

    def expr(self, *, distinct: bool, order: Expr, nulls: str, suffix: Expr) -> Expr:
        """Write out the call. `order`, `nulls` and `suffix` (FILTER and OVER) may be empty."""
        pieces: list[str | Expr] = []
        rest = self.template
        while (marked := re.search(r"@(\w+)\(", rest)) is not None:
            end = _closing(rest, marked.end())
            inner = fill(rest[marked.end() : end], self.type, *self.args)
            word = "DISTINCT " if distinct else ""
            pieces += [
                fill(rest[: marked.start()], self.type, *self.args),
                f"{marked[1]}({word}",
                *(inner, order, f"{nulls})", suffix),
            ]
            rest = rest[end + 1 :]
        pieces.append(fill(rest, self.type, *self.args))
        return joined(*pieces, type_=self.type, opaque=True)


def _closing(text: str, start: int) -> int:
    """Where the parenthesis is closed that was opened before `start`."""
    depth = 1
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise ValueError(f"a parenthesis is not closed: {text}")


@dataclass(frozen=True)
class Function:
    """A scalar function.

    Attributes:
        signature: As Trino writes it; `signatures` says what the capital letters stand for.
        duckdb: DuckDB's text. `{0}` is the first argument, `{*}` all of them, `{T}` DuckDB's name
            of a type variable, `{R}` that of the result. Or a function that gets the arguments.
        example: What stands behind SELECT.
        answer: The result of the example as Athena prints it; rows are lines, None is NULL.
        page: The page of Trino's documentation, or Athena's, that says so.
        is_pair: Whether DuckDB's lambda gets a row of the values where Trino's gets each.
    """

    signature: str
    duckdb: str | Callable[..., Expr]
    example: str
    answer: str | None
    page: str = ""
    aliases: tuple[str, ...] = ()
    is_pair: bool = False

    @cached_property
    def parsed(self) -> Signature:
        """The signature."""
        return parse_signature(self.signature)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.parsed.name


@dataclass(frozen=True)
class Aggregate(Function):
    """An aggregate function; its text has `@` before each call of an aggregate of DuckDB."""

    duckdb: str | Callable[..., Call]  # type: ignore[assignment]


@dataclass(frozen=True)
class Window(Aggregate):
    """A function that needs OVER."""


_Row = TypeVar("_Row", bound=Function)


def on_page(page: str, *rows: _Row) -> tuple[_Row, ...]:
    """Return rows whose page is this one, where they name none."""
    return tuple(row if row.page else replace(row, page=page) for row in rows)


def literal(expr: Expr, what: str) -> str:
    """Return the text of a literal."""
    if expr.constant is None or expr.type.base != "varchar":
        raise not_supported(f"{what} that is not a literal")
    return expr.constant


def named(rows: Sequence[Function]) -> dict[str, list[Function]]:
    """Return rows under each of their names."""
    table: dict[str, list[Function]] = {}
    for row in rows:
        for name in (row.name, *row.aliases):
            table.setdefault(name, []).append(row)
    return table
