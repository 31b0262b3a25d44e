"""Params in a template: Python values that are written as SQL literals.

A template calculates with them, compares them and loops over them. `sql_environment` writes the
outcome of an expression as a literal. What a template says as text, it writes as it is.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import total_ordering
from typing import Any, NoReturn

from jinja2 import Environment, StrictUndefined, TemplateRuntimeError

from athena_reports.sql.literals import ParamValue, literal


@total_ordering
class TextParam:
    """A text in a template: it is written as a literal, or compared with another text.

    It is no `str`: a filter or `~` would make other text of it, without the quotes.
    """

    refusal = (
        "a text param can only be inserted or compared. Transform it in SQL, such as"
        " upper({{ params.zone }}); loop over a list instead of joining it"
    )

    def __init__(self, text: str) -> None:
        self.__text__ = text  # which a template cannot read, as it begins with two underscores

    def __eq__(self, other: object) -> bool:
        return bool(_plain(other) == self.__text__)

    def __lt__(self, other: object) -> bool:
        return bool(self.__text__ < _plain(other))

    def __hash__(self) -> int:
        return hash(self.__text__)

    def __len__(self) -> int:
        return len(self.__text__)

    def _refuse(self) -> NoReturn:
        # No ValueError: the filters `int` and `float` would give 0 for it.
        raise TemplateRuntimeError(self.refusal)

    __str__ = __repr__ = __int__ = __float__ = _refuse


class CapturedSql(TextParam):
    """What a macro or a block wrote, with the literal of a param in it: only written as it is."""

    refusal = (
        "the output of a macro or block that contains a quoted value can only be inserted with"
        " {{ }}. Apply the filter inside it, or trim it with {%- and -%}"
    )


class WrittenLiteral(str):
    """A literal as it stands in the SQL. It stays one where Jinja makes a `str` of it."""

    def __str__(self) -> str:
        return self


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


class SqlUndefined(StrictUndefined):
    """What a template uses and nothing defines. Its error leaves out our classes."""

    @property
    def _undefined_message(self) -> str:
        return f"{self._undefined_name} is not defined"


def sql_environment(environment: Environment) -> Environment:
    """Return a copy that writes values as SQL literals, and rejects undefined names."""
    sql = environment.overlay(finalize=_written, undefined=SqlUndefined)
    # Compiled templates join by it what a macro, `{% set %}`, `{% filter %}` or `{% call %}` wrote.
    sql.concat = _captured  # type: ignore[method-assign]
    return sql


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
    match value:
        case CapturedSql():
            return WrittenLiteral(value.__text__)
        case None | int() | float() | Decimal() | TextParam() | list() | tuple():
            return WrittenLiteral(literal(_plain(value)))
    return value


def _captured(parts: Iterable[str]) -> Any:
    written = list(parts)
    text = "".join(written)
    has_quotes = any(isinstance(part, WrittenLiteral) and "'" in part for part in written)
    return CapturedSql(text) if has_quotes else text


def _plain(value: Any) -> Any:
    match value:
        case TextParam():
            return value.__text__
        case list() | tuple():
            return [_plain(item) for item in value]
    return value
