"""Params in a template: Python values that are written as SQL literals.

A template calculates with them, compares them and loops over them. `sql_environment` writes the
outcome of an expression as a literal. What a template says as text, it writes as it is.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import total_ordering
from typing import Any

from jinja2 import Environment
from jinja2.filters import do_float, do_int

from athena_reports.sql.literals import ParamValue, literal


@total_ordering
class TextParam:
    """A text in a template: it is written as a literal, or compared with another text.

    It is no `str`, so nothing makes other text of it, such as a filter or `~`, which could lack the
    quotes. A template cannot read an attribute that begins with two underscores.
    """

    def __init__(self, text: str) -> None:
        self.__text__ = text

    def __eq__(self, other: object) -> bool:
        return bool(_plain(other) == self.__text__)

    def __lt__(self, other: object) -> bool:
        text = _plain(other)
        if not isinstance(text, str):
            return NotImplemented
        return self.__text__ < text

    def __hash__(self) -> int:
        return hash(self.__text__)

    def __len__(self) -> int:
        return len(self.__text__)

    def __str__(self) -> str:
        raise TypeError(
            "a text param can only be written or compared. Change it in SQL, such as"
            " upper({{ params.zone }}), and loop over a list instead of joining it"
        )

    def __repr__(self) -> str:
        return "<text param>"


class DateParam(date):
    """A date in a template. The dates of a period are written without `DATE` and quotes."""

    def __str__(self) -> str:
        return literal(self)


class TimestampParam(datetime):
    """A timestamp in a template. Those of a period are written without `TIMESTAMP` and quotes."""

    def date(self) -> DateParam:
        """Return its date, which is written as a literal too."""
        return DateParam.fromordinal(self.toordinal())

    def __str__(self) -> str:
        return literal(self)


def template_params(params: Mapping[str, ParamValue]) -> dict[str, Any]:
    """Return params as a template sees them."""
    return {name: _template_value(value) for name, value in params.items()}


def sql_environment(environment: Environment) -> Environment:
    """Return an environment that writes values as SQL literals.

    Its filters `int` and `float` reject what is no number, where Jinja's give 0.

    Args:
        environment: What it has in common with the new one, such as its loader.
    """
    overlay = environment.overlay(finalize=_written)
    overlay.filters = {**environment.filters, "int": _int, "float": _float}
    return overlay


def _template_value(value: ParamValue) -> Any:
    match value:  # a class pattern takes subclasses too: datetime before date
        case str():
            return TextParam(value)
        case datetime():
            return TimestampParam.combine(value.date(), value.timetz())
        case date():
            return DateParam.fromordinal(value.toordinal())
        case list() | tuple():
            return [_template_value(item) for item in value]
    return value


def _written(value: Any) -> Any:
    """Return what a template writes of the value of an expression."""
    match value:
        case None | int() | float() | Decimal() | TextParam() | list() | tuple():
            return literal(_plain(value))
    return value


def _plain(value: Any) -> Any:
    match value:
        case TextParam():
            return value.__text__
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def _int(value: Any, default: Any = None, base: int = 10) -> Any:
    number = do_int(value, default, base)
    _require_number(number, value)
    return number


def _float(value: Any, default: Any = None) -> Any:
    number = do_float(value, default)
    _require_number(number, value)
    return number


def _require_number(number: object, value: object) -> None:
    if number is None:
        raise TypeError(
            f"{value!r} is not a number. Declare a number, or a default, such as int(0)"
        )
