"""Windows of window functions: what they must have, and their frames."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import exp

from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.types import Expr

_RANKINGS = (
    "rank",
    "dense_rank",
    "row_number",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
)


def check_window(name: str, over: exp.Window) -> None:
    """Require what a function asks of its window."""
    if name in ("lag", "lead") and not over.args.get("order"):
        message = f"{name} function requires an ORDER BY window clause"
        raise QueryFailed("MISSING_ORDER_BY", message)
    if name in _RANKINGS and over.args.get("spec"):
        message = f"Cannot specify window frame for {name} function"
        raise QueryFailed("INVALID_WINDOW_FRAME", message)


def check_range(spec: exp.WindowSpec | None, keys: Sequence[Expr]) -> None:
    """RANGE with a distance needs one key that it can be added to."""
    bounds = [] if spec is None else [spec.args.get(end) for end in ("start", "end")]
    distances = [bound for bound in bounds if isinstance(bound, exp.Expr)]
    if spec is None or spec.args["kind"].upper() != "RANGE" or not distances:
        return
    if len(keys) != 1:
        message = "Window frame of type RANGE PRECEDING or FOLLOWING requires single sort item"
        raise QueryFailed("INVALID_ORDER_BY" if keys else "MISSING_ORDER_BY", message)
    is_time = keys[0].type.base in ("date", "timestamp", "timestamp with time zone")
    if any(isinstance(bound, exp.Interval) != is_time for bound in distances):
        message = f"Window frame RANGE value type does not fit sort item type ({keys[0].type})"
        raise QueryFailed("TYPE_MISMATCH", message)


def window_frame(spec: exp.WindowSpec | None) -> str:
    """DuckDB's text for a frame, or nothing."""
    if spec is None:
        return ""
    if spec.args.get("exclude"):
        raise not_supported("EXCLUDE in a window frame")
    bounds = []
    for end in ("start", "end"):
        bound, side = spec.args.get(end), spec.args.get(f"{end}_side") or ""
        if bound is None:
            bounds.append("CURRENT ROW")
        elif isinstance(bound, str):
            bounds.append(f"{bound} {side}".upper().strip())
        elif (
            isinstance(bound, exp.Literal)
            and bound.name.isdigit()
            and spec.args["kind"].upper() in ("ROWS", "RANGE", "GROUPS")
        ):
            bounds.append(f"{bound.name} {side.upper()}")
        elif isinstance(bound, exp.Interval) and spec.args["kind"].upper() == "RANGE":
            unit, value = bound.args["unit"], bound.this
            if not isinstance(unit, exp.Var) or not re.fullmatch(r"\d+", value.name):
                raise not_supported("this window frame")
            bounds.append(f"INTERVAL '{value.name} {unit.name.lower()}' {side.upper()}")
        else:
            raise not_supported("this window frame")
    return f" {spec.args['kind'].upper()} BETWEEN {bounds[0]} AND {bounds[1]}"
