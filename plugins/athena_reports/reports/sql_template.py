"""A report's SQL: a Jinja template that knows two names, `period` (a `SqlPeriod`) and `params` (SQL literals)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.periods.calendar import daily
from athena_reports.periods.sql_period import ParamValue, SqlPeriod, literal

_SAMPLE = SqlPeriod(daily().period("2025-01-01"))
_NAMES = {"period", "params"}


def template_problem(source: str, params: Mapping[str, ParamValue], folder: Path) -> str | None:
    """Parse and render a template, which may include files of a folder. Return what is wrong with it, or None."""
    environment = SandboxedEnvironment(loader=FileSystemLoader(folder), undefined=StrictUndefined, optimized=False)
    try:
        template = environment.parse(source)
        # Which names the template sets itself takes long to find out: most templates set none.
        read = {name.name for name in template.find_all(nodes.Name)}
        if not read <= _NAMES and (unknown := sorted(meta.find_undeclared_variables(template) - _NAMES)):
            example = 'Dates come from the period, for example {{ period.contains("event_time") }}.'
            return f"it uses {', '.join(unknown)}; a report's SQL knows only 'period' and 'params'. {example}"
        environment.from_string(template).render(template_context(_SAMPLE, params))
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}."
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"it cannot be rendered: {error}. The params are: {', '.join(params) or 'none'}."
    return None


@dataclass(frozen=True)
class SqlValue:
    """A param in a template: it prints as a SQL literal, compares as the value, and a list of them can be looped."""

    value: ParamValue

    def __str__(self) -> str:
        return literal(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __iter__(self) -> Iterator["SqlValue"]:
        if not isinstance(self.value, list | tuple):
            raise TypeError(f"{self} is not a list")
        return map(SqlValue, self.value)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, SqlValue) else other))


def template_context(period: SqlPeriod, params: Mapping[str, ParamValue]) -> dict[str, object]:
    """Return all that a report's template sees."""
    return {"period": period, "params": SimpleNamespace(**{name: SqlValue(value) for name, value in params.items()})}
