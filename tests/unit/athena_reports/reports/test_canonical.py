"""What is read of values and functions.

It is all that tells them apart, and nothing that differs between processes.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import lru_cache, partial, wraps
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pendulum
import pytest

from athena_reports.reports.canonical import UnreadableError, canonical


def text(value: object) -> str:
    return json.dumps(canonical(value))


# --- values


class Level(IntEnum):
    LOW = 1


class Tier(StrEnum):
    LOW = "1"


class Rank(Enum):
    LOW = (1,)
    HIGH = (2,)


class Pair(NamedTuple):
    first: object
    second: object


@dataclass(frozen=True)
class Limits:
    low: object
    high: object


JANUARY = datetime(2025, 1, 1)  # noqa: DTZ001
NEIGHBOURS: list[Any] = [
    *[None, True, False, 0, 1, 1.0, 0.0, -0.0, "1", b"1", "True", Decimal(1), Decimal("1.0")],
    *[[1], (1,), {1, 2}, frozenset({1, 2}), ["a", "b"], ["a,b"], [["a"], "b"], ["a", ["b"]]],
    *[date(2025, 1, 1), int, str, Level, len, math.sqrt],
    *[timedelta(0), timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)],
    *[JANUARY, JANUARY.replace(fold=1), JANUARY.replace(tzinfo=UTC)],
    *[JANUARY.replace(microsecond=1), JANUARY.replace(tzinfo=ZoneInfo("UTC"))],
    *[time(1), time(1, fold=1), time(1, tzinfo=UTC), time(1, microsecond=1)],
    *[timezone(timedelta(hours=9)), timezone(timedelta(hours=9), "JST")],
    *[PurePosixPath("a"), PurePosixPath("a/b"), "a", "b"],
    *[Rank.LOW, Rank.HIGH, Level.LOW, Tier.LOW],
    *[{"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}],
    *[partial(math.pow, 2), partial(math.pow, 3), partial(math.pow, y=2), partial(math.fmod, 2)],
]


def test_values_that_differ_in_one_part_have_different_texts() -> None:
    """Random values are hardly ever such neighbours."""
    values_of_text: dict[str, list[object]] = {}
    for value in NEIGHBOURS:
        values_of_text.setdefault(text(value), []).append(value)
    assert [values for values in values_of_text.values() if len(values) > 1] == []


@pytest.mark.parametrize("value", NEIGHBOURS)
def test_a_copy_of_a_value_has_its_text(value: object) -> None:
    assert text(copy.deepcopy(value)) == text(value)


def test_a_date_of_pendulum_is_read_as_airflow_gives_it() -> None:
    at = pendulum.datetime(2025, 1, 1, tz="Asia/Tokyo")
    assert text(at) == text(pendulum.instance(at))
    assert len({text(each) for each in (at, at.add(days=1), at.in_timezone("UTC"), at.date())}) == 4


# --- functions, as they stand in a file


@pytest.fixture
def from_file(tmp_path: Path) -> Callable[..., Any]:
    """Writes a module, and returns its `made`."""
    numbers = iter(range(1000))

    def load(source: str) -> Any:
        name = f"module_{next(numbers)}"
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module.made

    return load


class Edit(NamedTuple):
    """A module with `{}`, and what stands there before and after an edit."""

    source: str
    before: str = "3"
    after: str = "4"


EDITS = {
    "a function": Edit("""
def made(rows, period):
    return rows.limit({})
"""),
    "a default": Edit("""
TOP = {}

def made(rows, period, top=TOP):
    return rows.limit(top)
"""),
    "a closure": Edit("""
def make(top):
    return lambda rows, period: rows.limit(top)

made = make({})
"""),
    "a function in a closure": Edit("""
def make(inner):
    return lambda rows: inner(rows)

def limited(rows):
    return rows.limit({})

made = make(limited)
"""),
    "a lambda of several lines": Edit("""
made = dict(
    transform=lambda rows, _:
        rows
        .limit({}),
)["transform"]
"""),
    "a lambda after letters of several bytes": Edit("""
made = ("東京", lambda rows: rows.limit({}))[1]
"""),
    "one of two lambdas in two lines": Edit(
        """
made = (
    lambda rows: rows.limit(3),
    lambda rows: rows.limit(4),
)[{}]
""",
        before="0",
        after="1",
    ),
    "a lambda that a lambda of another line makes": Edit("""
made = (
    lambda top:
        lambda rows: rows.limit(top)
)({})
"""),
    "a wrapper": Edit("""
from functools import wraps

def times(function):
    @wraps(function)
    def wrapper(rows):
        return function(rows).limit({})

    return wrapper

@times
def made(rows):
    return rows
"""),
    "a wrapped function": Edit("""
from functools import wraps

def times(function):
    @wraps(function)
    def wrapper(rows):
        return function(rows)

    return wrapper

@times
def made(rows):
    return rows.limit({})
"""),
    "a manager of contexts": Edit("""
from contextlib import contextmanager

@contextmanager
def made():
    yield {}
"""),
    "a partial": Edit("""
from functools import partial

def top_of(rows, top):
    return rows.limit(top)

made = partial(top_of, top={})
"""),
    "a function of the standard library": Edit(
        """
import statistics

made = statistics.{}
""",
        before="mean",
        after="median",
    ),
    "a member of an Enum": Edit("""
from enum import Enum

class Top(Enum):
    ALL = {}

def made(rows, top=Top.ALL):
    return top
"""),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_what_is_read(from_file: Callable[..., Any], name: str) -> None:
    source, before, after = EDITS[name]
    first, again, edited = (
        text(from_file(source.replace("{}", value))) for value in (before, before, after)
    )
    assert first == again
    assert first != edited


@pytest.mark.parametrize("name", EDITS)
def test_what_stands_elsewhere_in_the_file_is_not_read(
    from_file: Callable[..., Any], name: str
) -> None:
    edit = EDITS[name]
    source = edit.source.replace("{}", edit.before)
    moved = from_file(
        f'"""A docstring."""\n\nOTHER = 5\n\n{source}\n\ndef other():\n    return 1\n'
    )
    assert text(moved) == text(from_file(source))


def test_what_stands_beside_a_lambda_is_not_read(from_file: Callable[..., Any]) -> None:
    source = "made = dict(owner='{}', f=lambda rows, period: rows.limit(3), late='{}')['f']\n"
    assert text(from_file(source.format("you", "1"))) == text(from_file(source.format("me", "2")))


# --- in other processes


# --- what cannot be read


class Client:
    """Of any class; it has a `repr` without an address, which may not be all that it is."""

    def __init__(self) -> None:
        self.__dict__["own"] = self

    def __repr__(self) -> str:
        return "Client()"

    def __call__(self, rows: object, period: object) -> object:
        return rows

    def transform(self, rows: object, period: object) -> object:
        return rows


@lru_cache
def cached(rows: object) -> object:
    return rows


def made_by_exec() -> Any:
    names: dict[str, Any] = {}
    exec("def made(rows, period):\n    return rows", names)
    return names["made"]


def around(value: object) -> Any:
    def inner(rows: object, *, option: object = value) -> object:
        return value

    return inner


def in_closure(value: object) -> Any:
    return lambda: value


def in_closure_of_a_wrapper(value: object) -> Any:
    @wraps(len)
    def wrapper(rows: object) -> object:
        return value

    return wrapper


def in_closure_of_a_closure(value: object) -> Any:
    return in_closure(in_closure(value))


UNREADABLE: Mapping[str, Any] = {
    "object": object(),
    "own class": Client(),
    "bound method": Client().transform,
    "builtin bound method": bytearray().append,
    "method of a class": str.upper,
    "dataclass": Limits(1, 2),
    "regular expression": re.compile("a"),
    "view of a dictionary": MappingProxyType({"a": 1}),
    "module": json,
    "generator": (number for number in range(3)),
    "cached function": cached,
    "exec": made_by_exec(),
    "one of two lambdas in a line": [lambda: 1, lambda: 2][0],
    "a lambda made in the line of another": (lambda: lambda: 1)(),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize(
    "inside",
    [
        lambda value: value,
        lambda value: [{"a": (1, value)}],
        lambda value: partial(max, 1, value),
        lambda value: partial(max, key=value),
        lambda value: partial(around(value)),
        around,
        in_closure,
        in_closure_of_a_wrapper,
        in_closure_of_a_closure,
    ],
)
def test_what_cannot_be_read_is_found_wherever_it_is(
    name: str, inside: Callable[[Any], Any]
) -> None:
    with pytest.raises(UnreadableError):
        canonical(inside(UNREADABLE[name]))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Client(), "a value of type Client has no stable digest"),
        (made_by_exec(), "made has no source file"),
        ([lambda: 1, lambda: 2][0], "2 lambdas start on line "),
    ],
)
def test_what_cannot_be_read_is_described(value: object, problem: str) -> None:
    with pytest.raises(UnreadableError, match=problem):
        canonical(value)


@pytest.mark.parametrize(
    "source", ["made = lambda rows: rows\n", "def made(rows):\n    return rows\n"]
)
def test_a_function_whose_file_is_gone_cannot_be_read(
    tmp_path: Path, from_file: Callable[..., Any], source: str
) -> None:
    made = from_file(source)
    for path in tmp_path.glob("*.py"):
        path.unlink()
    with pytest.raises(UnreadableError):
        canonical(made)
