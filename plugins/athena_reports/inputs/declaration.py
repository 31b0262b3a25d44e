"""What the declarations of an author have in common: they are strict, and name what is wrong."""

from collections.abc import Mapping
from difflib import get_close_matches

import pydantic

CONFIG = pydantic.ConfigDict(strict=True, extra="forbid")


def mistake(error: pydantic.ValidationError, fields: Mapping[str, object]) -> tuple[str, str]:
    """Return the field that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    field, *inside = first["loc"]
    if isinstance(field, int) and first["type"] != "unexpected_positional_argument":
        field = list(fields)[field]  # it was given by its place
    if first["type"] == "missing":
        return str(field), "it is missing."
    if field not in fields:
        nearest = get_close_matches(str(field), fields, n=1, cutoff=0)[0]
        return str(field), f"there is no such field. Did you mean {nearest}?"
    name = str(field)
    if field in ("params", "columns") and inside:
        name = f"{field}[{inside[0]!r}]"
    problem = first["msg"].removeprefix("Value error, ")
    return name, f"{first['input']!r} is not valid: {problem}"
