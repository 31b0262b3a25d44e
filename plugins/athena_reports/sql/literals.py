"""Python values as SQL literals. What Athena takes is in its user guide."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

Scalar = str | int | float | bool | Decimal | date | datetime | None
ParamValue = Scalar | Sequence[Scalar]

_MOST_DIGITS = 38  # of a decimal in Athena


def literal(value: ParamValue) -> str:
    """Return a Python value as an Athena SQL literal; ValueError if it has none.

    A list becomes the right side of `IN`.
    """
    match value:  # a class pattern takes subclasses too: bool before int, datetime before date
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() if -(2**63) < value < 2**63:
            # After another minus sign, one without parentheses would begin a comment.
            return f"({value:d})" if value < 0 else f"{value:d}"
        case float() if math.isfinite(value):
            return f"DOUBLE '{float(value)!r}'"
        case Decimal() if value.is_finite() and _count_digits(value) <= _MOST_DIGITS:
            return f"DECIMAL '{value:f}'"
        case str() if "\0" not in value:
            return "'" + value.replace("'", "''") + "'"
        case datetime() if value.microsecond % 1000 == 0:
            if value.tzinfo is None:
                return f"TIMESTAMP '{wall_clock(value)}'"
            return f"TIMESTAMP '{wall_clock(value.astimezone(UTC))} UTC'"
        case date() if not isinstance(value, datetime):
            return f"DATE '{value.isoformat()}'"
        case list() | tuple() if value and not any(
            isinstance(item, list | tuple) for item in value
        ):
            items = ", ".join(map(literal, value))
            return f"({items})"
    raise ValueError(
        f"{value!r} cannot be written as an SQL literal. Use a str without NUL, a bigint, a finite"
        " float, a Decimal of up to 38 digits, a bool, a date, a datetime in whole milliseconds,"
        " None, or a non-empty list of these."
    )


def wall_clock(at: datetime) -> str:
    """Return what a clock shows at an instant of its zone, to the millisecond."""
    return at.replace(tzinfo=None).isoformat(" ", "milliseconds")


def _count_digits(value: Decimal) -> int:
    return sum(character.isdigit() for character in f"{value:f}")
