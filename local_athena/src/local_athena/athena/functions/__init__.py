"""Trino's functions, each a row with its DuckDB translation; what has no row is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

from local_athena.athena import casts
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.functions import (
    aggregates,
    arrays,
    binary,
    conditionals,
    datetime,
    json,
    maps,
    numbers,
    operators,
    printed_values,
    regular_expressions,
    strings,
    urls,
    windows,
)
from local_athena.athena.functions.row import Aggregate, Call, Function, named
from local_athena.athena.signatures import (
    Argument,
    Match,
    WrongArgumentsError,
    cost,
    match,
)
from local_athena.athena.types import Expr, Type, build

PAGES: tuple[tuple[str, tuple[Function, ...]], ...] = (
    ("Conditionals", conditionals.FUNCTIONS),
    ("Numbers and bits", numbers.FUNCTIONS),
    ("Strings", strings.FUNCTIONS),
    ("Regular expressions", regular_expressions.FUNCTIONS),
    ("Dates and times", datetime.FUNCTIONS),
    ("Arrays", arrays.FUNCTIONS),
    ("Maps", maps.FUNCTIONS),
    ("JSON", json.FUNCTIONS),
    ("URLs", urls.FUNCTIONS),
    ("Bytes and hashes", binary.FUNCTIONS),
    ("Aggregates", aggregates.AGGREGATES),
    ("Windows", windows.WINDOWS),
)
"""All rows, by kind."""

NOT_DONE = {
    "approx_percentile": 3,
}
"""Functions with overloads of so many arguments that have no row: not supported, not unknown."""

SCALARS = named([row for _, rows in PAGES for row in rows if not isinstance(row, Aggregate)])
AGGREGATES = named(aggregates.AGGREGATES)
WINDOWS = named(windows.WINDOWS)

MACROS = (
    *operators.MACROS,
    *printed_values.MACROS,
    *strings.MACROS,
    *numbers.MACROS,
    *datetime.MACROS,
    *arrays.MACROS,
    *maps.MACROS,
    *json.MACROS,
    *casts.MACROS,
    *regular_expressions.MACROS,
    *urls.MACROS,
    *binary.MACROS,
    *aggregates.MACROS,
)
"""Bodies of DuckDB macros that the translations use; a macro stands behind those that it uses."""


def call(name: str, args: Sequence[Argument]) -> Expr:
    """Return a call of a scalar function."""
    row, matched = _chosen(name, SCALARS[name], args)
    if callable(row.duckdb):
        try:
            return row.duckdb(*matched.args)
        except WrongArgumentsError:
            raise _wrong_arguments(name, args) from None
    template = _with_types(row.duckdb, matched)
    return build(template, matched.result, *matched.args)


def aggregate(name: str, args: Sequence[Argument], *, windowed: bool) -> Call:
    """Return a call of an aggregate function, or of a window function if `windowed`."""
    rows = [*AGGREGATES.get(name, []), *(WINDOWS.get(name, []) if windowed else [])]
    row, matched = _chosen(name, rows, args)
    if callable(row.duckdb):
        made = row.duckdb(*matched.args)
        assert isinstance(made, Call)
        return made
    return Call(_with_types(row.duckdb, matched), matched.result, matched.args)


def _chosen(
    name: str, rows: Sequence[Function], args: Sequence[Argument]
) -> tuple[Function, Match]:
    """The row that coerces the fewest arguments, the first of those."""
    costs = [(cost(row.parsed, args), row) for row in rows]
    fitting = [(price, position) for position, (price, _) in enumerate(costs) if price is not None]
    for _, position in sorted(fitting):
        row = rows[position]
        matched = match(row.parsed, args, is_pair=row.is_pair)
        if matched is not None:
            return row, matched
    if len(args) >= NOT_DONE.get(name, len(args) + 1):
        raise not_supported(f"this form of {name}")
    raise _wrong_arguments(name, args)


def _wrong_arguments(name: str, args: Sequence[Argument]) -> QueryFailed:
    given = ", ".join(
        str(arg.type) if isinstance(arg, Expr) else f"function of {arg.arity}" for arg in args
    )
    if name == "coalesce" and args:
        return QueryFailed("TYPE_MISMATCH", f"All COALESCE operands must be the same type: {given}")
    message = f"Unexpected parameters ({given}) for function {name}"
    return QueryFailed("FUNCTION_NOT_FOUND", message)


def _with_types(template: str, matched: Match) -> str:
    types: dict[str, Type] = {**matched.bindings, "R": matched.result}
    return re.sub(r"\{([A-Z])\}", lambda found: types[found[1]].duckdb, template)
