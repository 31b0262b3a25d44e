"""A digest of what makes a report's rows, so that periods published by other logic can be told."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

from jinja2 import Environment, FileSystemLoader, meta

from athena_reports.periods.sql_period import ParamValue
from athena_reports.reports.input import Input

_LIBRARY = __name__.partition(".")[0]


def logic_digest(
    sql: str,
    folder: Path,
    *,
    params: Mapping[str, ParamValue],
    inputs: Sequence[Input],
    late_by: timedelta,
    transforms: Sequence[Callable[..., Any]],
) -> str:
    """Return 16 hexadecimal digits that stay the same as long as the rows of a period are made in the same way.

    They cover the template with what it includes, the params, what the filters follow from, and the source of the
    transforms: of a function of this package its name and arguments, so that a new version of it alone changes nothing.
    What an author's function calls is not covered.
    """
    said = [*_sources(sql, folder), repr(sorted(params.items())), repr(inputs), repr(late_by), *map(_code, transforms)]
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]


def _sources(source: str, folder: Path) -> Iterator[str]:
    """Yield a template and the files that it includes, as far as their names are constants."""
    environment, waiting, seen = Environment(loader=FileSystemLoader(folder)), [source], set()
    while waiting:
        text = waiting.pop()
        yield text
        if "{%" not in text:  # then it includes nothing, and to parse it would take long
            continue
        for name in sorted(filter(None, meta.find_referenced_templates(environment.parse(text))), reverse=True):
            if name not in seen:
                seen.add(name)
                waiting.append((folder / name).read_text(encoding="utf-8"))


def _code(value: Any) -> str:
    if isinstance(value, partial):
        arguments = [*value.args, *(each for pair in sorted(value.keywords.items()) for each in pair)]
        return "\0".join(map(_code, (value.func, *arguments)))
    if not isinstance(value, FunctionType):
        return repr(value) if not callable(value) else f"{type(value).__module__}.{type(value).__qualname__}"
    if value.__module__.partition(".")[0] == _LIBRARY:
        return f"{value.__module__}.{value.__qualname__}"
    try:
        source = inspect.getsource(value)
    except OSError:  # it was made without a file
        source = value.__code__.co_code.hex()
    return "\0".join([source, *(_code(cell.cell_contents) for cell in value.__closure__ or ())])
