"""Values and functions as nested texts: the same for equal values, and for no others.

They are the same in every process too. `repr` does not do that: of a set it has the order of the
hashes, of an object its address, and of a class in a DAG file the name that Airflow makes of the
file's path.
"""

import ast
import dataclasses
import inspect
import json
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from tokenize import TokenError
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError
from athena_reports.rows.transforms import LibraryTransform

Canonical: TypeAlias = str | Sequence["Canonical"]


class UnreadableError(AthenaReportsError, ValueError):
    """A value is not read the same way in every process; the message tells its type and place."""


def canonical(value: object, place: str) -> Canonical:
    """Return a value as nested lists of texts: the same ones for an equal value of the same type.

    A function is its source, its default values and the values of its closure. What it calls is not
    read. Of a function of the standard library or of this package, its name is read, and of a class
    its qualified name.

    Args:
        value: A plain value, a collection, a frozen dataclass, a pydantic model, a class, a
            function or a partial.
        place: Where it stands, for the message of an error.

    Raises:
        UnreadableError: The value, or one inside of it, is something else, or a function without a
            source file.
    """
    try:
        return _Reader().read(value, place)
    except RecursionError:
        problem = f"{place} contains itself, or too many values inside of each other"
        raise UnreadableError(problem) from None


def _timedelta_text(value: timedelta) -> str:
    return f"{value.days} {value.seconds} {value.microseconds}"


_TEXT_OF_PLAIN_VALUE: dict[type, Callable[[Any], str]] = {
    type(None): str,
    bool: str,
    int: hex,  # Python refuses to write more than 4,300 decimal digits
    float: float.hex,
    str: str,
    bytes: bytes.hex,
    Decimal: str,
    timedelta: _timedelta_text,
}


class _Reader:
    """Reads one value, with all the values inside of it."""

    def __init__(self) -> None:
        # By the id() of each function that was read so far: how many were read before it. A
        # function that comes again is this number. So functions may refer to themselves, and to
        # each other, without end.
        self._functions: dict[int, int] = {}

    def read(self, value: Any, place: str) -> Canonical:
        """Return the name of the value's type, then all that tells it from others of this type."""
        kind = type(value)
        # Not with its module, which may be moved. Airflow names that of a DAG file after its path.
        name = kind.__qualname__
        if kind in _TEXT_OF_PLAIN_VALUE:
            return [name, _TEXT_OF_PLAIN_VALUE[kind](value)]
        if isinstance(value, Enum):
            return [name, str(value.name), self.read(value.value, place)]
        if isinstance(value, datetime | time):
            zone = self.read(value.tzinfo, place)
            return [name, value.isoformat(), str(value.fold), zone]
        if isinstance(value, date):
            return [name, value.isoformat()]
        if isinstance(value, tzinfo):
            return _zone(value, place)
        if isinstance(value, PurePath):
            return [name, value.as_posix()]
        if isinstance(value, re.Pattern):
            return [name, self.read(value.pattern, place), str(value.flags)]
        if kind in (list, tuple):
            return [name, *self._items(value, place)]
        if kind in (set, frozenset):
            return [name, *self._sorted_items(value, place)]
        if kind is dict:
            return [name, *self._pairs(value, place)]
        if isinstance(value, type):
            return ["class", value.__qualname__]
        if isinstance(value, LibraryTransform):
            arguments = self._named(value.arguments, place, "argument")
            return [f"transforms.{value.name}", arguments]
        if callable(value):
            return self._callable(value, place)
        return [name, self._named(_fields(value, place), place, "field")]

    def _items(self, items: Iterable[Any], place: str) -> list[Canonical]:
        return [self.read(item, place) for item in items]

    def _sorted_items(self, items: Iterable[Any], place: str) -> list[Canonical]:
        count_before = len(self._functions)
        texts = self._items(items, place)
        if len(self._functions) > count_before:
            # They are numbered in the order in which they are read. A set has that of the hashes.
            raise UnreadableError(
                f"{place} is a set of functions, which has another order in each process"
            )
        return sorted(texts, key=json.dumps)

    def _pairs(self, items: Mapping[Any, Any], place: str) -> list[Canonical]:
        pairs: list[Canonical] = []
        for key, item in items.items():
            key_text = self.read(key, place)
            pairs.append([key_text, self.read(item, place)])
        return pairs

    def _named(self, values: Mapping[str, Any], place: str, noun: str) -> Canonical:
        pairs = []
        for name in sorted(values):
            text = self.read(values[name], f"{place}, {noun} {name!r}")
            pairs.append([name, text])
        return pairs

    def _callable(self, value: Any, place: str) -> Canonical:
        if isinstance(value, FunctionType):
            return self._function(value, place)
        if isinstance(value, partial):
            return self._partial(value, place)
        if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType):
            return ["function", _library_name(value.__self__.__name__, value.__qualname__)]
        raise _unreadable(value, place)

    def _partial(self, value: partial[Any], place: str) -> Canonical:
        arguments = []
        for number, argument in enumerate(value.args, start=1):
            text = self.read(argument, f"{place}, argument {number}")
            arguments.append(text)
        function = self.read(value.func, f"{place}, function of the partial")
        named_arguments = self._named(value.keywords, place, "argument")
        return ["partial", function, arguments, named_arguments]

    def _function(self, function: FunctionType, place: str) -> Canonical:
        closure = _closure(function)
        if _is_of_a_library(function):
            name = _library_name(function.__globals__["__name__"], function.__code__.co_qualname)
            return ["function", name, self._named(closure, place, "closure variable")]
        if id(function) in self._functions:
            return ["function read before", str(self._functions[id(function)])]
        self._functions[id(function)] = len(self._functions)
        return [
            "function",
            _source(function, place),
            self._named(_defaults(function), place, "default value of"),
            self._named(closure, place, "closure variable"),
        ]


def _unreadable(value: object, place: str) -> UnreadableError:
    kind = type(value)
    type_name = f"{kind.__module__}.{kind.__qualname__}"
    return UnreadableError(
        f"{place} is a {type_name}, which cannot be read the same way in every process"
    )


def _zone(zone: tzinfo, place: str) -> Canonical:
    if isinstance(zone, ZoneInfo) and zone.key:
        return ["zone", zone.key]
    if isinstance(zone, timezone):
        return ["offset", str(zone.utcoffset(None)), str(zone.tzname(None))]
    raise _unreadable(zone, place)


def _fields(value: Any, place: str) -> dict[str, Any]:
    """Return the fields of a pydantic model or a frozen dataclass by name."""
    kind = type(value)
    if isinstance(value, BaseModel):
        # `dict(value)` would have the cached properties too, as far as they were asked for.
        names = [*kind.model_fields, *(value.model_extra or ())]
    elif dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        names = [field.name for field in dataclasses.fields(value)]
    else:
        raise _unreadable(value, place)
    return {name: getattr(value, name) for name in names}


def _is_of_a_library(function: FunctionType) -> bool:
    """Whether a function was written in the standard library or in this package."""
    # By its globals, because `functools.wraps` gives a wrapper the `__module__` of what it wraps.
    package = str(function.__globals__.get("__name__")).partition(".")[0]
    this_package = __name__.partition(".")[0]
    return package == this_package or package in sys.stdlib_module_names


def _library_name(module: str, name: str) -> str:
    """Return the name of a function with its package alone: a module inside of it may be moved."""
    package = module.partition(".")[0]
    return f"{package}.{name}"


def _defaults(function: FunctionType) -> dict[str, Any]:
    """Return the default values of a function by parameter."""
    defaults = {}
    for parameter in inspect.signature(function, follow_wrapped=False).parameters.values():
        if parameter.default is not inspect.Parameter.empty:
            defaults[parameter.name] = parameter.default
    return defaults


def _closure(function: FunctionType) -> dict[str, Any]:
    """Return what a function uses of the functions around it, as far as there is a value."""
    values = {}
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:  # nothing was assigned to the variable yet
            continue
    return values


def _source(function: FunctionType, place: str) -> str:
    """Return the source of a function's own code: of a wrapper, not of what it wraps."""
    code = function.__code__
    described = f"{place} is the function {function.__qualname__}"
    if code.co_filename.startswith("<"):  # made by exec, or typed in
        raise UnreadableError(f"{described}, which has no source file")
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if len(lines) < code.co_firstlineno:
        raise UnreadableError(f"{described}, whose source is not there")
    try:
        if code.co_name == "<lambda>":
            return _lambda_source(code, "".join(lines), described)
        return "".join(inspect.getblock(lines[code.co_firstlineno - 1 :]))
    except (SyntaxError, TokenError) as error:  # the file was changed after it was loaded
        raise UnreadableError(f"{described}, whose source is not there") from error


def _lambda_source(code: CodeType, file: str, described: str) -> str:
    """Return the source of a lambda from that of its file; `inspect` loses its further lines."""
    nodes = ast.walk(ast.parse(file))
    all_lambdas = [node for node in nodes if isinstance(node, ast.Lambda)]
    lambdas = [node for node in all_lambdas if node.lineno == code.co_firstlineno]
    if not lambdas:
        raise UnreadableError(f"{described}, whose source is not there")
    # Python keeps the line in which a lambda begins, but not in each version the column.
    outermost = lambdas[0]  # `ast.walk` comes to a node before it comes to what is inside of it
    has_neighbours = not set(lambdas).issubset(ast.walk(outermost))
    may_be_inside = len(lambdas) > 1 and "<lambda>.<locals>" in code.co_qualname
    if has_neighbours or may_be_inside:
        raise UnreadableError(f"{described}, which is not the only one that begins in its line")
    return ast.get_source_segment(file, outermost) or ""
