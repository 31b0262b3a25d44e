"""Values and functions as a text that is the same in every process, and another one for another value or function.

`repr` is not: of a set it has the order of the hashes, of an object its address, and of a class in a DAG file the
name that Airflow makes of the file's path.
"""

import ast
import dataclasses
import inspect
import json
import linecache
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from athena_reports.rows.transforms import LibraryTransform

Canonical: TypeAlias = str | Sequence["Canonical"]

_LIBRARY = __name__.partition(".")[0]
_PLAIN: dict[type, Callable[[Any], str]] = {
    type(None): str,
    bool: str,
    int: hex,  # Python refuses to write more than 4,300 decimal digits
    float: float.hex,
    str: str,
    bytes: bytes.hex,
    Decimal: str,
    timedelta: lambda value: f"{value.days} {value.seconds} {value.microseconds}",
}


class UnreadableError(ValueError):
    """A value that cannot be read the same way in every process; the message names its type and its place."""


def canonical(value: object, place: str) -> Canonical:
    """Return a value as nested lists of texts: the same for an equal value of the same type, in every process.

    A function is its source, its default values and the values of its closure. What it calls is not read. Of a
    function of the standard library or of this package, its name is read, and of a class its qualified name.

    Args:
        value: A plain value, a collection, a frozen dataclass, a pydantic model, a class, a module or a function.
        place: Where it stands, for the message of an error.

    Raises:
        UnreadableError: The value, or one inside of it, is something else, or a function without a source file.
    """
    try:
        return _Reader({}).read(value, place)
    except RecursionError:
        raise UnreadableError(f"{place} contains itself, or too many values inside of each other") from None


class _Reader:
    """Reads one value. Each function is read once: it may refer to itself, and many may refer to each other."""

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self._numbers = dict(numbers)  # of the functions, in the order in which they are read, by their id()

    def read(self, value: Any, place: str) -> Canonical:
        kind = type(value)
        if kind in _PLAIN:
            return [_name(kind), _PLAIN[kind](value)]
        if isinstance(value, Enum):
            return [_name(kind), str(value.name), self.read(value.value, place)]
        if isinstance(value, datetime | time):
            return [_name(kind), value.isoformat(), str(value.fold), self.read(value.tzinfo, place)]
        if isinstance(value, date):
            return [_name(kind), value.isoformat()]
        if isinstance(value, tzinfo):
            return self._zone(value, place)
        if isinstance(value, PurePath):
            return [_name(kind), value.as_posix()]
        if isinstance(value, re.Pattern):
            return [_name(kind), self.read(value.pattern, place), str(value.flags)]
        if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(value, "_fields")):  # also a NamedTuple
            return [_name(kind), *(self.read(item, place) for item in value)]
        if kind in (dict, MappingProxyType):
            return [_name(dict), *([self.read(key, place), self.read(item, place)] for key, item in value.items())]
        if kind in (set, frozenset):
            return self._set(value, place)
        if isinstance(value, LibraryTransform):
            return [f"transforms.{value.name}", self._named(value.arguments, place, "argument")]
        if isinstance(value, type):
            return ["class", _name(value)]
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        if callable(value):
            return self._callable(value, place)
        if isinstance(value, BaseModel):
            return [_name(kind), self._named(dict(value), place, "field")]
        if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return [_name(kind), self._named(fields, place, "field")]
        raise _unreadable(value, place)

    def _zone(self, zone: tzinfo, place: str) -> Canonical:
        if isinstance(zone, ZoneInfo) and zone.key:
            return ["zone", zone.key]
        if isinstance(zone, timezone):
            return ["offset", str(zone.utcoffset(None)), str(zone.tzname(None))]
        raise _unreadable(zone, place)

    def _set(self, items: set[Any] | frozenset[Any], place: str) -> Canonical:
        # They are ordered by what each of them is if it is read first: functions have numbers by their order.
        ordered = sorted(items, key=lambda item: json.dumps(_Reader(self._numbers).read(item, place)))
        return [_name(type(items)), *(self.read(item, place) for item in ordered)]

    def _named(self, values: Mapping[str, Any], place: str, noun: str) -> Canonical:
        return [[name, self.read(values[name], f"{place}, {noun} {name!r}")] for name in sorted(values)]

    def _callable(self, value: Any, place: str) -> Canonical:
        if isinstance(value, FunctionType):
            return self._function(value, place)
        if isinstance(value, partial):
            arguments = [self.read(item, f"{place}, argument {number}") for number, item in enumerate(value.args, 1)]
            function = self.read(value.func, f"{place}, function of the partial")
            return ["partial", function, arguments, self._named(value.keywords, place, "argument")]
        if isinstance(value, MethodType):
            return ["method", self.read(value.__self__, place), self.read(value.__func__, place)]
        if isinstance(value, BuiltinFunctionType):
            if isinstance(value.__self__, ModuleType):
                return ["function", _library_name(value.__self__.__name__, value.__qualname__)]
            return ["method", self.read(value.__self__, place), value.__name__]
        if isinstance(value, MethodDescriptorType | WrapperDescriptorType):  # such as str.upper
            return ["method", _name(value.__objclass__), value.__name__]
        raise _unreadable(value, place)

    def _function(self, function: FunctionType, place: str) -> Canonical:
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        closure = {name: cell.cell_contents for name, cell in cells.items() if not _is_empty(cell)}
        if _is_of_a_library(function):
            name = _library_name(function.__globals__["__name__"], code.co_qualname)
            return ["function", name, self._named(closure, place, "closure variable")]
        if id(function) in self._numbers:
            return ["function read before", str(self._numbers[id(function)])]
        self._numbers[id(function)] = len(self._numbers)
        positional = code.co_varnames[: code.co_argcount]
        defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False))
        defaults |= function.__kwdefaults__ or {}
        return [
            "function",
            _source(function, place),
            self._named(defaults, place, "default value of"),
            self._named(closure, place, "closure variable"),
        ]


def _is_empty(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return True
    return False


def _name(kind: type) -> str:
    """Return the name of a class without its module, which may be moved, or be a DAG file under Airflow's name."""
    return kind.__qualname__


def _is_of_a_library(function: FunctionType) -> bool:
    """Whether the code of a function is of the standard library or of this package; `__module__` may be of another."""
    root = str(function.__globals__.get("__name__")).partition(".")[0]
    return root == _LIBRARY or root in sys.stdlib_module_names


def _library_name(module: str, name: str) -> str:
    """Return the name of a function with its package alone: a module inside of it may be private, and be moved."""
    return f"{module.partition('.')[0]}.{name}"


def _unreadable(value: object, place: str) -> UnreadableError:
    kind = type(value)
    return UnreadableError(
        f"{place} is a {kind.__module__}.{kind.__qualname__}, which cannot be read the same way in every process"
    )


def _source(function: FunctionType, place: str) -> str:
    code = function.__code__
    if code.co_filename.startswith("<"):  # made by exec, or typed in
        raise UnreadableError(f"{place} is the function {function.__qualname__}, which has no source file")
    # Of the function's own code: `inspect.getsource` of a function that was wrapped gives the source of the other one.
    bare = FunctionType(code, function.__globals__, closure=function.__closure__)
    try:
        return _lambda_source(code, bare) if code.co_name == "<lambda>" else inspect.getsource(bare)
    except (OSError, SyntaxError) as error:
        raise UnreadableError(f"{place} is the function {function.__qualname__}, whose source is not there") from error


@lru_cache(maxsize=8)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _lambda_source(code: CodeType, function: FunctionType) -> str:
    """Return the source of a lambda; `inspect.getsource` may give its first line alone, with what stands beside it."""
    linecache.checkcache(code.co_filename)
    source = "".join(linecache.getlines(code.co_filename, function.__globals__))
    nodes = [node for node in ast.walk(_parsed(source)) if isinstance(node, ast.Lambda)]
    on_this_line = [node for node in nodes if node.lineno == code.co_firstlineno]
    texts = [ast.get_source_segment(source, node) or "" for node in on_this_line if _holds(node.body, code)]
    if not texts:
        raise OSError("could not find the lambda")
    return "\n".join(texts)  # of several, one is inside of the other


def _holds(body: ast.expr, code: CodeType) -> bool:
    begin, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    for first_line, last_line, first_column, last_column in code.co_positions():
        is_of_the_body = first_line and last_line and first_column is not None and last_column
        if is_of_the_body and not (begin <= (first_line, first_column) and (last_line, last_column) <= end):
            return False
    return True
