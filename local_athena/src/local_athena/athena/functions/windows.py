"""Window functions."""

from __future__ import annotations

from collections.abc import Callable

from local_athena.athena.errors import QueryFailed
from local_athena.athena.functions.row import Call, Window, on_page
from local_athena.athena.types import Expr, unify


def _constant(expr: Expr) -> int | None:
    return int(expr.constant) if expr.constant and expr.constant.lstrip("-").isdigit() else None


def _shift(function: str) -> Callable[..., Call]:
    def translate(value: Expr, offset: Expr | None = None, default: Expr | None = None) -> Call:
        args = [value]
        if offset is not None:
            number = _constant(offset)
            if number is not None and number < 0:
                raise QueryFailed("INVALID_FUNCTION_ARGUMENT", "Offset must be at least 0")
            args.append(offset)
        if default is not None:
            args[0], default = unify(value, default)
            args.append(default)
        listed = ", ".join(f"{{{position}}}" for position in range(len(args)))
        return Call(f"@{function}({listed})", args[0].type, tuple(args))

    return translate


def _nth_value(value: Expr, offset: Expr) -> Call:
    number = _constant(offset)
    if number is not None and number < 1:
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", "Offset must be at least 1")
    return Call("@nth_value({0}, {1})", value.type, (value, offset))


def _ntile(buckets: Expr) -> Call:
    number = _constant(buckets)
    if number is not None and number < 1:
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", "Buckets must be greater than 0")
    return Call("@ntile({0})", buckets.type, (buckets,))


_FROM = "FROM (VALUES 1, 2, 2) AS t (x) ORDER BY x"

WINDOWS = on_page(
    "functions/window",
    Window(
        "cume_dist() -> double",
        "@cume_dist()",
        f"cume_dist() OVER (ORDER BY x) {_FROM} LIMIT 1",
        "0.3333333333333333",
    ),
    Window(
        "dense_rank() -> bigint",
        "@dense_rank()",
        f"dense_rank() OVER (ORDER BY x) {_FROM}",
        "1\n2\n2",
    ),
    Window(
        "first_value(T) -> T",
        "@first_value({0})",
        f"first_value(x) OVER (ORDER BY x) {_FROM}",
        "1\n1\n1",
    ),
    Window("lag(T) -> T", _shift("lag"), f"lag(x) OVER (ORDER BY x) {_FROM} OFFSET 1", "1\n2"),
    Window(
        "lag(T, bigint) -> T", _shift("lag"), f"lag(x, 2) OVER (ORDER BY x) {_FROM} OFFSET 2", "1"
    ),
    Window(
        "lag(T, bigint, T) -> T",
        _shift("lag"),
        f"lag(x, 1, 0) OVER (ORDER BY x) {_FROM}",
        "0\n1\n2",
    ),
    Window(
        "last_value(T) -> T",
        "@last_value({0})",
        f"last_value(x) OVER (ORDER BY x) {_FROM}",
        "1\n2\n2",
    ),
    Window("lead(T) -> T", _shift("lead"), f"lead(x) OVER (ORDER BY x) {_FROM} LIMIT 2", "2\n2"),
    Window(
        "lead(T, bigint) -> T", _shift("lead"), f"lead(x, 2) OVER (ORDER BY x) {_FROM} LIMIT 1", "2"
    ),
    Window(
        "lead(T, bigint, T) -> T",
        _shift("lead"),
        f"lead(x, 1, 0) OVER (ORDER BY x) {_FROM}",
        "2\n2\n0",
    ),
    Window(
        "nth_value(T, bigint) -> T",
        _nth_value,
        "nth_value(x, 2) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED"
        f" FOLLOWING) {_FROM}",
        "2\n2\n2",
    ),
    Window("ntile(bigint) -> bigint", _ntile, f"ntile(2) OVER (ORDER BY x) {_FROM}", "1\n1\n2"),
    Window(
        "percent_rank() -> double",
        "@percent_rank()",
        f"percent_rank() OVER (ORDER BY x) {_FROM}",
        "0.0\n0.5\n0.5",
    ),
    Window("rank() -> bigint", "@rank()", f"rank() OVER (ORDER BY x) {_FROM}", "1\n2\n2"),
    Window(
        "row_number() -> bigint",
        "@row_number()",
        f"row_number() OVER (ORDER BY x) {_FROM}",
        "1\n2\n3",
    ),
)
