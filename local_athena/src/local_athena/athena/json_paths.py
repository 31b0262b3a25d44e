"""Paths of the SQL standard in JSON, such as `lax $.a[0].b`.

In lax mode a member is looked for in each element of an array, and what is no array counts as one
with a single element. What is not there is nothing, and no error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

_STEP = re.compile(r'\s*(?:\.\s*(?:([A-Za-z_][A-Za-z0-9_]*)|"([^"\\]*)")|\[\s*([0-9]+)\s*\])')


class PathNotReadError(Exception):
    """A path that asks for more than members and elements."""


@lru_cache(maxsize=256)
def read(path: str) -> tuple[str | int, ...]:
    """Return the names of members and places of elements, from the outside to the inside."""
    start = re.match(r"\s*(?:lax\s+)?\$", path)
    if start is None:
        raise PathNotReadError
    steps: list[str | int] = []
    end = start.end()
    while path[end:].strip():
        step = _STEP.match(path, end)
        if step is None:
            raise PathNotReadError
        name, quoted, place = step.groups()
        steps.append(int(place) if place else name or quoted)
        end = step.end()
    return tuple(steps)


def found(document: str, steps: Sequence[str | int]) -> list[Any]:
    """Return what a path finds: numbers with a point are Decimal."""
    items: Iterable[Any] = [json.loads(document, parse_float=Decimal, parse_constant=_no_number)]
    for step in steps:
        items = _elements(items, step) if isinstance(step, int) else _members(items, step)
    return list(items)


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _elements(items: Iterable[Any], place: int) -> Iterator[Any]:
    for item in items:
        elements = item if isinstance(item, list) else [item]
        yield from elements[place : place + 1]


def _members(items: Iterable[Any], name: str) -> Iterator[Any]:
    for item in items:
        for each in item if isinstance(item, list) else [item]:
            if isinstance(each, dict) and name in each:
                yield each[name]
