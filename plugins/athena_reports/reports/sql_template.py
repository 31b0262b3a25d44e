"""A report's SQL: a Jinja template that knows `period` (a `SqlPeriod`), `params` (SQL literals), and `inputs`."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.periods.calendar import daily
from athena_reports.periods.sql_period import ParamValue, SqlPeriod, literal
from athena_reports.reports.input import Input

_SAMPLE = SqlPeriod(daily().period("2025-01-01"))
_NAMES = {"period", "params", "inputs"}


def template_problem(
    source: str,
    params: Mapping[str, ParamValue],
    folder: Path,
    inputs: Sequence[Input] = (),
    *,
    must_filter: bool = False,
) -> str | None:
    """Parse and render a template, which may include files of a folder. Return what is wrong with it, or None.

    With `must_filter` it has to ask each of its inputs for the filter on its partitions.
    """
    environment = SandboxedEnvironment(loader=FileSystemLoader(folder), undefined=StrictUndefined, optimized=False)
    try:
        template = environment.parse(source)
        # Which names the template sets itself takes long to find out: most templates set none.
        read = {name.name: name.lineno for name in template.find_all(nodes.Name)}
        if not read.keys() <= _NAMES and (unknown := sorted(meta.find_undeclared_variables(template) - _NAMES)):
            where = "".join(f"line {read[name]}: " for name in unknown[:1] if name in read)
            example = 'Dates come from the period, for example {{ period.contains("event_time") }}.'
            return (
                f"{where}it uses {', '.join(unknown)}; a report's SQL knows only period, params and inputs. {example}"
            )
        context = template_context(_SAMPLE, params, inputs)
        environment.from_string(template).render(context)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}."
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = "".join(f"line {frame.lineno}: " for frame in frames[::-1] if frame.filename == "<template>")
        known = f"The params are: {', '.join(params) or 'none'}. The inputs are: {_tables(inputs) or 'none'}."
        return f"{where}it cannot be rendered: {str(error).removesuffix('.')}. {known}"
    asked = vars(context["inputs"])
    if must_filter and (unasked := [table for table, each in asked.items() if not each.asked]):
        way_out = f"Write {{{{ inputs.{unasked[0]}.partitions }}}} into its WHERE."
        return f"it has no filter on the partitions of {', '.join(unasked)}, so max_scan cannot be checked. {way_out}"
    return None


def _tables(inputs: Sequence[Input]) -> str:
    return ", ".join(source.table for source in inputs)


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


@dataclass
class SqlInput:
    """An input in a template; `partitions` filters it as it is declared, for the period before too if it reads that."""

    source: Input
    period: SqlPeriod
    asked: bool = field(default=False, init=False)

    @property
    def partitions(self) -> str:
        """The predicate on its partition keys."""
        self.asked = True
        source = self.source
        how = {"zone": source.zone, "format": source.format}
        periods = (self.period.previous, self.period) if source.previous else (self.period,)
        filters = [each.partitions(*source.columns, **how, kind=source.kind) for each in periods]
        return filters[0] if len(filters) == 1 else f"({' OR '.join(filters)})"


def template_context(
    period: SqlPeriod, params: Mapping[str, ParamValue], inputs: Sequence[Input] = ()
) -> dict[str, object]:
    """Return all that a report's template sees."""
    values = {name: SqlValue(value) for name, value in params.items()}
    tables = {source.table: SqlInput(source, period) for source in inputs}
    return {"period": period, "params": SimpleNamespace(**values), "inputs": SimpleNamespace(**tables)}
