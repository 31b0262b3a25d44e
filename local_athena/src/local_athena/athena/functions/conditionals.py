"""Functions that choose among values."""

from __future__ import annotations

from collections.abc import Callable

from local_athena.athena.functions.operators import comparison
from local_athena.athena.functions.row import Function, on_page
from local_athena.athena.types import Expr, build, is_float


def _nullif(value: Expr, other: Expr) -> Expr:
    is_other = comparison("=", value, other)
    return build("CASE WHEN {0} THEN NULL ELSE {1} END", value.type, is_other, value)


def _coalesce(*args: Expr) -> Expr:
    """The first value that is not NULL.

    DuckDB can evaluate what two coalesce() have in common although neither needs it, so that an
    argument that fails stands in a CASE.
    """
    result = args[-1]
    for arg in reversed(args[:-1]):
        is_plain = not any("(" in part for part in result.parts if isinstance(part, str))
        needed = "{1}" if is_plain else "CASE WHEN {0} IS NULL THEN {1} END"
        result = build(f"coalesce({{0}}, {needed})", arg.type, arg, result)
    return result


def _extreme(function: str) -> Callable[..., Expr]:
    """Greatest and least: NULL if any value is; NaN only if all are (Trino compares it as last)."""

    def translate(*args: Expr) -> Expr:
        result = args[0]
        for arg in args[1:]:
            chosen = f"{function}({{0}}, {{1}})"
            if is_float(arg.type):
                numbers = "CASE WHEN isnan({0}) THEN {1} WHEN isnan({1}) THEN {0}"
                chosen = f"{numbers} ELSE {chosen} END"
            template = f"CASE WHEN {{0}} IS NULL OR {{1}} IS NULL THEN NULL ELSE {chosen} END"
            result = build(template, arg.type, result, arg)
        return result

    return translate


FUNCTIONS = on_page(
    "functions/conditional",
    Function("coalesce(T...) -> T", _coalesce, "coalesce(NULL, 1)", "1"),
    Function("nullif(T, U) -> T", _nullif, "nullif(1, 1)", None),
    Function(
        "greatest(T...) -> T",
        _extreme("greatest"),
        "greatest(1, 3, 2)",
        "3",
        "functions/comparison",
    ),
    Function("least(T...) -> T", _extreme("least"), "least(1.5, 2)", "1.5", "functions/comparison"),
)
