"""Transforms as nested texts: the same in every process, and different after an edit.

A function is its source, defaults and closure. What it calls is not read.
"""

import ast
import inspect
import json
import sys
from collections.abc import Sequence
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TypeAlias

from athena_reports.errors import AthenaReportsError
from athena_reports.rows.transforms import LibraryTransform

Canonical: TypeAlias = str | Sequence["Canonical"]


class UnreadableError(AthenaReportsError, ValueError):
    """A value does not look the same in every process, or a function has no source."""


def canonical(value: object) -> Canonical:
    """Return a value as nested lists of texts: the same for an equal value of the same type.

    UnreadableError if it is no function, partial, class, plain value or collection of these.
    """
    # Not with its module: Airflow names that of a DAG file after its path.
    kind = type(value).__qualname__
    match value:
        case Enum():
            return [kind, value.name, canonical(value.value)]
        case None | bool() | int() | float() | str() | bytes() | Decimal():
            return [kind, repr(value)]
        case date() | time() | timedelta() | tzinfo() | PurePath():
            return [kind, repr(value)]
        case list() | tuple():
            return [kind, *map(canonical, value)]
        case set() | frozenset():
            return [kind, *sorted(map(canonical, value), key=json.dumps)]
        case dict():
            return [kind, *map(canonical, value.items())]
        case type():
            return ["class", value.__qualname__]
        case LibraryTransform():
            return [value.name, canonical(sorted(value.arguments.items()))]
        case partial():
            keywords = sorted(value.keywords.items())
            return [kind, canonical(value.func), canonical(value.args), canonical(keywords)]
        case FunctionType():
            # Its closure may have an author's function, such as one made by `contextmanager`.
            closure = canonical(dict(inspect.getclosurevars(value).nonlocals))
            # Between versions of Python, the source of the standard library differs.
            if _is_of_the_standard_library(value):
                return [kind, value.__code__.co_qualname, closure]
            defaults = (value.__defaults__, value.__kwdefaults__)
            return [kind, _source(value), canonical(defaults), closure]
        case BuiltinFunctionType() if isinstance(value.__self__, ModuleType):
            return [kind, value.__self__.__name__, value.__qualname__]
    raise UnreadableError(f"a value of type {kind} has no stable digest")


def _is_of_the_standard_library(function: FunctionType) -> bool:
    module = str(function.__globals__.get("__name__"))
    return module.partition(".")[0] in sys.stdlib_module_names


def _source(function: FunctionType) -> str:
    code = function.__code__  # of a wrapper, not of what it wraps
    try:
        source = inspect.getsource(code)
        if code.co_name != "<lambda>":
            return source
        lines, _ = inspect.findsource(code)
        file = "".join(lines)
    except OSError as error:
        raise UnreadableError(f"{function.__qualname__} has no source file") from error
    # `inspect` loses the further lines of a lambda.
    lambdas = [node for node in ast.walk(ast.parse(file)) if isinstance(node, ast.Lambda)]
    starting_here = [node for node in lambdas if node.lineno == code.co_firstlineno]
    if len(starting_here) != 1:
        raise UnreadableError(f"{len(starting_here)} lambdas start on line {code.co_firstlineno}")
    return ast.get_source_segment(file, starting_here[0]) or ""
