"""Writes docs/reference/api.md from the docstrings of what `athena_reports` exports."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import athena_reports

HEAD = """# API

What can be imported from `athena_reports`. This page is generated from the docstrings:
`make docs` writes it.
"""
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$")
_ITEM = re.compile(r"^ {4}([\w*]+): (.*)$")


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in athena_reports.__all__:
        parts += _entry(name, getattr(athena_reports, name))
    return "\n".join(parts)


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"## {name}\n"
    if isinstance(value, ModuleType):
        yield _markdown(value)
        for member in sorted(getattr(value, "__all__", vars(value))):
            function = getattr(value, member)
            is_own = callable(function) and getattr(function, "__module__", "") == value.__name__
            if is_own and not member.startswith("_"):
                yield from _described(f"{name}.{member}", function)
    elif callable(value):
        yield from _described(name, value, heading=False)
        yield from _members(name, value)
    else:
        yield f"```python\n{name} = {value!r}\n```\n"


def _members(name: str, value: Any) -> Iterator[str]:
    """Methods and properties of a class; those of operators are Airflow's."""
    if not inspect.isclass(value) or any(
        base.__module__.startswith("airflow.") for base in value.__mro__
    ):
        return
    for member, attribute in vars(value).items():
        if not member.startswith("_") and (
            inspect.isfunction(attribute) or isinstance(attribute, property)
        ):
            yield from _described(f"{name}.{member}", attribute)


def _described(name: str, value: Any, *, heading: bool = True) -> Iterator[str]:
    if heading:
        yield f"### {name}\n"
    is_error = inspect.isclass(value) and issubclass(value, Exception)
    if not is_error and not isinstance(value, property):
        yield f"```python\n{name}{_signature(value)}\n```\n"
    yield _markdown(value)


def _signature(value: Any) -> str:
    signature = inspect.signature(value)
    shown = [
        each.replace(annotation=each.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    return str(signature.replace(parameters=shown, return_annotation=signature.empty))


def _markdown(value: Any) -> str:
    lines = []
    for line in (inspect.getdoc(value) or "").splitlines():
        if section := _SECTION.match(line):
            lines += [f"**{section[1]}**", ""]
        elif item := _ITEM.match(line):
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            lines.append(re.sub("^ {8}(?=\\S)", "  ", line))
    return "\n".join(lines) + "\n"
