"""What is read of values and functions.

It is all that tells them apart, and nothing that differs between processes.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import json
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import cached_property, lru_cache, partial, wraps
from pathlib import Path, PurePosixPath
from types import FunctionType, MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from athena_reports import Cadence, Input, Period, literal, monthly, weekly
from athena_reports.reports.canonical import UnreadableError, canonical


def text(value: object) -> str:
    return json.dumps(canonical(value, "here"))


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


class Model(BaseModel):
    low: Any
    high: Any


ATOMS = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    st.sampled_from(
        [
            0,
            1,
            2,
            0.0,
            -0.0,
            1.0,
            "1",
            b"1",
            "True",
            True,
            Decimal(1),
            Decimal("1.0"),
            Level.LOW,
            Tier.LOW,
        ]
    ),
    st.sampled_from(
        [*Rank, Decimal("NaN"), timedelta(1), timedelta(hours=24), time(1), time(1, tzinfo=UTC)]
    ),
    st.dates() | st.datetimes(timezones=st.none() | st.timezones()) | st.timedeltas(),
    st.sampled_from(
        [
            ZoneInfo("Asia/Tokyo"),
            UTC,
            timezone(timedelta(hours=9)),
            timezone(timedelta(hours=9), "JST"),
        ]
    ),
    st.sampled_from(
        [PurePosixPath("1"), re.compile("1"), re.compile("1", re.ASCII), re.compile(b"1")]
    ),
    st.sampled_from([Input("plays"), Input("plays", zone="Asia/Tokyo"), Input("users")]),
    st.sampled_from(
        [
            weekly("sunday"),
            weekly("monday"),
            weekly("sunday").period("2026-11-15"),
            monthly("Asia/Tokyo"),
        ]
    ),
    st.sampled_from([int, str, Level, Cadence, len, math.sqrt, weekly]),
)


def collections_of(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(items, items)
    return st.one_of(
        st.lists(items, max_size=3),
        st.lists(items, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2) | st.integers(), items, max_size=3),
        st.frozensets(
            st.integers()
            | st.text(max_size=2)
            | st.booleans()
            | st.tuples(st.floats(), st.binary())
        ),
        st.sets(
            st.integers() | st.text(max_size=2) | st.sampled_from([1.0, True, Tier.LOW, Rank.LOW])
        ),
        pairs.map(lambda two: Limits(*two)),
        pairs.map(lambda two: Model(low=two[0], high=two[1])),
    )


VALUES = st.recursive(ATOMS, collections_of, max_leaves=6)


def are_same(one: Any, other: Any) -> bool:
    """Whether two values are of the same type and equal all through, by Python alone."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, Enum | type | FunctionType):
        return one is other
    if isinstance(one, set | frozenset):
        left = list(other)
        for item in one:
            same = [index for index, candidate in enumerate(left) if are_same(item, candidate)]
            if not same:
                return False
            del left[same[0]]
        return not left
    if isinstance(one, dict):
        return are_same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(are_same, one, other))
    if isinstance(one, Limits | Model):
        return are_same((one.low, one.high), (other.low, other.high))
    if isinstance(one, datetime | time):
        clocks = [(at.isoformat(), at.fold, str(at.tzinfo), type(at.tzinfo)) for at in (one, other)]
        return clocks[0] == clocks[1]
    if isinstance(one, timezone):
        return (one.utcoffset(None), one.tzname(None)) == (
            other.utcoffset(None),
            other.tzname(None),
        )
    return bool(one == other)


@given(VALUES, VALUES)
@example(1, True)
@example(1, 1.0)
@example(1, "1")
@example([1], (1,))
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
@example({1, 2}, frozenset({1, 2}))
@example(["a", "b"], ["a,b"])
@example([["a"], "b"], ["a", ["b"]])
@example(date(2025, 1, 1), datetime(2025, 1, 1))  # noqa: DTZ001
@example(Level.LOW, 1)
@settings(max_examples=400)
def test_two_values_have_one_text_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (text(one) == text(other)) == are_same(one, other)


JANUARY = datetime(2025, 1, 1)  # noqa: DTZ001
NEIGHBOURS = [
    *[timedelta(0), timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)],
    *[JANUARY, JANUARY.replace(fold=1), JANUARY.replace(tzinfo=UTC)],
    *[JANUARY.replace(microsecond=1), JANUARY.replace(tzinfo=ZoneInfo("UTC"))],
    *[time(1), time(1, fold=1), time(1, tzinfo=UTC), time(1, microsecond=1)],
    *[timezone(timedelta(hours=9)), timezone(timedelta(hours=9), "JST")],
    *[re.compile("a"), re.compile("a", re.ASCII), re.compile("b"), re.compile(b"a")],
    *[PurePosixPath("a"), PurePosixPath("a/b"), "a", "b"],
    *[Rank.LOW, Rank.HIGH, Level.LOW, Tier.LOW],
    *[{"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 1}],
    *[Limits(1, 2), Limits(2, 1), Model(low=1, high=2), Model(low=2, high=1)],
    *[partial(math.pow, 2), partial(math.pow, 3), partial(math.pow, y=2), partial(math.fmod, 2)],
]


def test_values_that_differ_in_one_part_have_different_texts() -> None:
    """Random values are hardly ever such neighbours."""
    values_of_text: dict[str, list[object]] = {}
    for value in NEIGHBOURS:
        values_of_text.setdefault(text(value), []).append(value)
    assert [values for values in values_of_text.values() if len(values) > 1] == []


@given(VALUES)
def test_a_copy_of_a_value_has_its_text(value: Any) -> None:
    assert text(copy.deepcopy(value)) == text(value)


def test_a_date_of_pendulum_is_read_as_airflow_gives_it() -> None:
    at = pendulum.datetime(2025, 1, 1, tz="Asia/Tokyo")
    assert text(at) == text(pendulum.instance(at))
    assert len({text(each) for each in (at, at.add(days=1), at.in_timezone("UTC"), at.date())}) == 4


class Counted(BaseModel, frozen=True):
    model_config = ConfigDict(extra="allow")
    low: int

    @cached_property
    def double(self) -> int:
        return 2 * self.low


def test_a_model_is_its_fields_and_not_what_was_computed_from_them() -> None:
    asked = Counted(low=1)
    assert asked.double == 2
    assert text(asked) == text(Counted(low=1))
    assert text(asked) != text(Counted(low=1, double=2))


def test_a_name_of_this_package_is_its_public_one() -> None:
    """A module inside of the package may be moved."""
    for value in (Cadence, Period, weekly, literal, weekly("sunday")):
        assert "athena_reports." not in text(value).replace("athena_reports.weekly", "").replace(
            "athena_reports.lit", ""
        )


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
    "a keyword's default": Edit("""
TOP = {}

def made(rows, period, *, top=TOP):
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
    "a lambda inside of a lambda": Edit("""
made = lambda rows: sorted(rows, key=lambda row: row[{}])
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
    "a wrapper of a function of this package": Edit("""
from functools import wraps
from athena_reports import weekly

@wraps(weekly)
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
    "a partial's position": Edit("""
from functools import partial

made = partial(max, 1, {})
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
    "a recursive function": Edit("""
def make(top):
    def again(rows, depth):
        return again(rows, depth - 1) if depth else rows.limit(top)

    return again

made = make({})
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


def test_functions_that_refer_to_each_other_are_read_once(from_file: Callable[..., Any]) -> None:
    """By each way from one to another there would be more of them than can be read."""
    names = [f"f{number}" for number in range(30)]
    functions = "".join(
        f"    def {name}(rows):\n        return [{', '.join(names)}]\n\n" for name in names
    )
    source = f"def make():\n{functions}    return f0\n\n\nmade = make()\n"
    whole = text(from_file(source))
    assert whole == text(from_file(source))
    assert whole.count("def f29") == 1
    assert whole != text(from_file(source.replace("def f29(rows):", "def f29(rows, _=1):")))


def test_a_value_that_is_not_there_yet_is_left_out(from_file: Callable[..., Any]) -> None:
    source = (
        "def make():\n    def f(rows):\n        return later\n\n    yield f\n    later ="
        " 1\n\n\nmade = next(make())\n"
    )
    assert text(from_file(source)) == text(from_file(source))


# --- in other processes


HASHED = """
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
import re

class Tier(Enum):
    GOLD = frozenset({"a", "b", "c", "d"})
    SILVER = frozenset({"e", "f"})

@dataclass(frozen=True)
class Limits:
    names: object

def grade(names, tiers, limits, helpers):
    def inner(row, found=frozenset({"x", "y", "z", None, 1, 2.5, (1, "q")})):
        return inner if row in names else tiers
    return inner

def first(rows):
    return rows

def mutual():
    def one(rows):
        return [one, two, three]

    def two(rows):
        return [one, three]

    def three(rows):
        return [one, two, first]

    return one, two, three

made = grade(
    {"red", "green", "blue", PurePath("black")},
    {Tier.GOLD: {Tier.SILVER, Tier.GOLD}, "x": {re.compile("a"), re.compile("b"), b"c"}},
    Limits({frozenset({"m", "n", "o"}), frozenset({"p", "q"}), Limits("r")}),
    (*mutual(), {len, print, Limits, (max, "s")}, first),
)
"""


def test_each_process_reads_the_same_whatever_its_hashes_are_and_where_the_file_is(
    tmp_path: Path,
) -> None:
    script = (
        "import importlib.util, json, sys\n"
        "spec = importlib.util.spec_from_file_location(sys.argv[2], sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules[sys.argv[2]] = module\n"
        "spec.loader.exec_module(module)\n"
        "from athena_reports.reports.canonical import canonical\n"
        "print(json.dumps(canonical(module.made, 'here')))\n"
    )
    said = set()
    for seed in range(6):
        path = tmp_path / str(seed) / f"file_{seed}.py"
        path.parent.mkdir()
        path.write_text(HASHED)
        variables = os.environ | {
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        command = [sys.executable, "-c", script, str(path), f"unusual_prefix_{seed}"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1
    assert "GOLD" in said.pop()


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


@dataclass
class Changeable:
    value: int = 1


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


class OwnZone(tzinfo):
    """A zone of an author's own: its offset may follow from anything."""

    def utcoffset(self, at: datetime | None) -> timedelta:
        return timedelta(hours=9)


def zone_of_a_file() -> ZoneInfo:
    """A zone that knows its rules and not its name; all of these look the same.

    Its file has one rule and no changes (RFC 9636): nine hours, called JST.
    """
    header = struct.pack(">4s16x6l", b"TZif", 0, 0, 0, 0, 1, 4)
    return ZoneInfo.from_file(io.BytesIO(header + struct.pack(">lbb", 9 * 3600, 0, 0) + b"JST\0"))


UNREADABLE: Mapping[str, tuple[Any, str]] = {
    "object": (object(), "builtins.object"),
    "own class": (Client(), "test_canonical.Client"),
    "bound method": (Client().transform, "builtins.method"),
    "builtin bound method": (bytearray().append, "builtins.builtin_function_or_method"),
    "method of a class": (str.upper, "builtins.method_descriptor"),
    "changeable dataclass": (Changeable(), "test_canonical.Changeable"),
    "named tuple": (Pair(1, 2), "test_canonical.Pair"),
    "own zone": (time(1, tzinfo=OwnZone()), "test_canonical.OwnZone"),
    "zone without a name": (zone_of_a_file(), "zoneinfo.ZoneInfo"),
    "view of a dictionary": (MappingProxyType({"a": 1}), "builtins.mappingproxy"),
    "module": (json, "builtins.module"),
    "generator": ((number for number in range(3)), "builtins.generator"),
    "cached function": (cached, "functools._lru_cache_wrapper"),
    "exec": (made_by_exec(), "function made, which has no source file"),
    "set of functions": ({Client.transform}, "set of functions, which has another order"),
    "one of two lambdas in a line": (
        [lambda: 1, lambda: 2][0],
        "which is not the only one that begins in its line",
    ),
    "a lambda made in the line of another": ((lambda: lambda: 1)(), "which is not the only one"),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize(
    ("inside", "place"),
    [
        (lambda value: value, "here is "),
        (lambda value: [{"a": (1, value)}], "here is "),
        (lambda value: Limits(1, [value]), "here, field 'high' is "),
        (lambda value: Model(low=value, high=1), "here, field 'low' is "),
        (lambda value: partial(max, 1, value), "here, argument 2 is "),
        (lambda value: partial(max, key=value), "here, argument 'key' is "),
        (
            lambda value: partial(around(value)),
            "here, function of the partial, default value of 'option' is ",
        ),
        (around, "here, default value of 'option' is "),
        (in_closure, "here, closure variable 'value' is "),
        (in_closure_of_a_wrapper, "here, closure variable 'value' is "),
        (in_closure_of_a_closure, "here, closure variable 'value', closure variable 'value' is "),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(
    name: str, inside: Callable[[Any], Any], place: str
) -> None:
    value, says = UNREADABLE[name]
    with pytest.raises(UnreadableError) as caught:
        canonical(inside(value), "here")
    assert str(caught.value).startswith(place)
    assert says in str(caught.value)
    assert " at 0x" not in str(caught.value)


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    with pytest.raises(UnreadableError, match="here contains itself"):
        canonical(endless, "here")


@pytest.mark.parametrize(
    "source", ["made = lambda rows: rows\n", "def made(rows):\n    return rows\n"]
)
def test_a_function_whose_file_is_gone_is_refused(
    tmp_path: Path, from_file: Callable[..., Any], source: str
) -> None:
    made = from_file(source)
    for path in tmp_path.glob("*.py"):
        path.unlink()
    with pytest.raises(
        UnreadableError, match=r"here is the function .*, whose source is not there"
    ):
        canonical(made, "here")


@pytest.mark.parametrize(
    ("source", "now"),
    [
        ("made = lambda rows: rows\n", "made = (\n"),
        ("made = lambda rows: rows\n", "made = None\n"),
        ("made = lambda rows: rows\n", ""),
        ("def made(rows):\n    return rows\n", 'def made(rows):\n    return """rows\n'),
    ],
    ids=["no Python", "no lambda in its line", "empty", "no end of a text"],
)
def test_a_function_whose_file_was_changed_after_it_was_loaded_is_refused(
    tmp_path: Path, from_file: Callable[..., Any], source: str, now: str
) -> None:
    """Whoever edits a DAG file may save it at any moment."""
    made = from_file(source)
    (path,) = tmp_path.glob("*.py")
    path.write_text(now)
    with pytest.raises(
        UnreadableError, match=r"^here is the function .*, whose source is not there$"
    ):
        canonical(made, "here")
