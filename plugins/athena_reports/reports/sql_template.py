"""A report's SQL: a Jinja template whose only clock is the period.

Two names stand in a report's template, and no others: `period` (a `SqlPeriod`) and `params` (the report's
constants, as SQL literals).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.periods.calendar import daily
from athena_reports.periods.sql_period import ParamValue, SqlPeriod, literal

_SAMPLE = daily().period("2025-01-01")
_NAMES = {"period", "params"}


def template_problem(source: str, params: Mapping[str, ParamValue], folder: Path) -> str | None:
    """Say what is wrong with a report's SQL template before any run, or None.

    Found are syntax errors of Jinja, names that no report's template has, such as Airflow's `ds`, and by
    rendering it for some period attributes that the period or the params do not have, and wrong arguments.

    Args:
        source: The template.
        params: The report's params.
        folder: Where files that it includes are.
    """
    environment = SandboxedEnvironment(loader=FileSystemLoader(folder), undefined=StrictUndefined)
    try:
        template = environment.parse(source)
        if unknown := sorted(meta.find_undeclared_variables(template) - _NAMES):
            return (
                f"it uses {', '.join(unknown)}; a report's SQL knows only 'period' and 'params'. "
                f'Dates come from the period, for example {{{{ period.contains("event_time") }}}}.'
            )
        environment.from_string(template).render(template_context(SqlPeriod(_SAMPLE), params))
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}."
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"it cannot be rendered: {error}."
    return None


@dataclass(frozen=True)
class SqlValue:
    """A param as a template sees it: it prints as a SQL literal, and can be asked about.

    `{{ params.top }}` writes the literal, `{% if params.guests %}` and `{% if params.kind == "x" %}` ask
    about the value, `{% for country in params.countries %}` goes through its literals.
    """

    value: ParamValue

    def __str__(self) -> str:
        return literal(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __iter__(self) -> Iterator[SqlValue]:
        if not isinstance(self.value, list | tuple):
            raise TypeError(f"{self} is not a list")
        return map(SqlValue, self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, SqlValue) else other))

    def __hash__(self) -> int:
        return hash(str(self))


def template_context(period: SqlPeriod, params: Mapping[str, ParamValue]) -> dict[str, object]:
    """Return all that a report's template sees: the period, and the params."""
    values = {name: SqlValue(value) for name, value in params.items()}
    return {"period": period, "params": SimpleNamespace(**values)}
