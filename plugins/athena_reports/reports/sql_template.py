"""A report's SQL: a Jinja template that knows `period`, `params` and `inputs`.

They are a `SqlPeriod`, the params as `sql_params` has them and the inputs as `SqlInput`.
"""

import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
    meta,
    nodes,
)
from jinja2.sandbox import SandboxedEnvironment

from athena_reports.inputs.predicate import input_predicate
from athena_reports.inputs.published import Published, Source
from athena_reports.periods.calendar import daily
from athena_reports.reports.sql_params import TextParam, sql_environment, template_params
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.sql.literals import ParamValue
from athena_reports.sql.names import sql_name

_SAMPLE = SqlPeriod(daily().period("2025-01-01"))
_KNOWN_NAMES = {"period", "params", "inputs"}
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def template_problem(
    source: str,
    params: Mapping[str, ParamValue],
    folder: Path,
    inputs: Sequence[Source] = (),
    *,
    must_filter: bool = False,
) -> str | None:
    """Parse and render a template, and return what is wrong with it, or None.

    Args:
        source: The template.
        params: The constants that it knows.
        folder: The folder whose files it may include.
        inputs: The inputs that it knows.
        must_filter: Whether it has to ask each input with partitions for the filter on them.
    """
    loader = FileSystemLoader(folder)
    environment = sql_environment(
        SandboxedEnvironment(loader=loader, undefined=_Missing, optimized=False)
    )
    sql_inputs = _sql_inputs(inputs, _SAMPLE)
    try:
        template = environment.parse(source)
        problem = _name_problem(template)
        if problem:
            return problem
        context = _context(_SAMPLE, params, sql_inputs)
        environment.from_string(template).render(context)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {str(error.message).removesuffix('.')}."
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return _rendering_problem(error, params, inputs)
    if must_filter:
        return _filter_problem(sql_inputs)
    return None


def template_context(
    period: SqlPeriod,
    params: Mapping[str, ParamValue],
    inputs: Sequence[Source] = (),
    *,
    has_published: bool = True,
) -> dict[str, object]:
    """Return all that a report's template sees.

    Args:
        period: The period.
        params: The constants.
        inputs: The inputs.
        has_published: As for `SqlInput`.
    """
    return _context(period, params, _sql_inputs(inputs, period, has_published=has_published))


class SqlParams(SimpleNamespace):
    """`params` in a template: its attributes are the params.

    It is no dictionary: a template would see the methods of one, such as `values`, before the
    params.
    """

    def __str__(self) -> str:
        raise TypeError("params is not a value. Name one of them, such as {{ params.top }}")


class SqlInputs(SimpleNamespace):
    """`inputs` in a template: its attributes are the `SqlInput`s."""

    def __str__(self) -> str:
        raise TypeError(
            "inputs is not a value. Name one and its filter, such as {{ inputs.plays.partitions }}"
        )


class _Missing(StrictUndefined):
    """What a template names and does not have. Its error has the words of the template."""

    @property
    def _undefined_message(self) -> str:
        kinds = {SqlParams: "params", SqlInputs: "inputs", TextParam: "a text param"}
        kind = kinds.get(type(self._undefined_obj))
        if kind is None:
            return super()._undefined_message
        return f"{kind} has no {self._undefined_name!r}"


@dataclass
class SqlInput:
    """An input in a template.

    Its `partitions` filter it as it is declared, for the period before too if it reads that.
    `partitions_of` does so too, where two tables of a query have the same partition key.
    `asked` says if the template has asked for one of them. `table` names it.

    Attributes:
        source: The input.
        period: The period of the query.
        has_published: Whether what is published is in the environment's database of reports, and
            not with the other tables, as in a case.
    """

    source: Source
    period: SqlPeriod
    has_published: bool = True
    asked: bool = field(default=False, init=False)

    @property
    def table(self) -> str:
        """The table, with its database if that is not the one of the query."""
        database = self.source.database
        if isinstance(self.source, Published) and not self.has_published:
            database = None
        names = [self.source.table] if database is None else [database, self.source.table]
        return ".".join(map(sql_name, names))

    @property
    def partitions(self) -> str:
        """The predicate on its partition keys; ValueError if the table has none."""
        return self._predicate("partitions")

    def partitions_of(self, alias: str) -> str:
        """Return the same predicate on the keys of one alias of the table, such as `p.dt`.

        Args:
            alias: The name that the query gives to the table, such as `p` in `FROM plays AS p`.

        Raises:
            ValueError: The table has no partitions, or the alias is not a name.
        """
        if not _ALIAS.fullmatch(alias):
            problem = f"inputs.{self.source.table}.partitions_of(): {alias!r} is not a name"
            raise ValueError(f"{problem}. Give the alias of the table, such as p")
        return self._predicate("partitions_of()", sql_name(alias))

    def __str__(self) -> str:
        table = self.source.table
        raise TypeError(
            f"inputs.{table} is not a value. Write its filter, {{{{ inputs.{table}.partitions }}}}"
        )

    def _predicate(self, name: str, alias: str | None = None) -> str:
        source = self.source
        if not source.is_partitioned:
            problem = f"inputs.{source.table}.{name}: its Input says that it has no partitions"
            raise ValueError(f"{problem} (columns=()). Leave the filter out")
        self.asked = True
        period = self.period.period
        if isinstance(source, Published):
            return source.predicate(period, alias)
        return input_predicate(source, period, self.period.late_by, alias=alias)


def _sql_inputs(
    inputs: Sequence[Source], period: SqlPeriod, *, has_published: bool = True
) -> dict[str, SqlInput]:
    return {source.table: SqlInput(source, period, has_published) for source in inputs}


def _context(
    period: SqlPeriod, params: Mapping[str, ParamValue], sql_inputs: Mapping[str, SqlInput]
) -> dict[str, object]:
    return {
        "period": period,
        "params": SqlParams(**template_params(params)),
        "inputs": SqlInputs(**sql_inputs),
    }


def _name_problem(template: nodes.Template) -> str | None:
    """Return what is wrong if a template reads a name that it neither knows nor sets, or None."""
    line_of_name = {}
    for name in template.find_all(nodes.Name):
        line_of_name[name.name] = name.lineno
    if line_of_name.keys() <= _KNOWN_NAMES:
        return None  # to find out which names a template sets itself takes long, and most set none
    unknown = sorted(meta.find_undeclared_variables(template) - _KNOWN_NAMES)
    if not unknown:
        return None
    place = ""
    if unknown[0] in line_of_name:
        place = f"line {line_of_name[unknown[0]]}: "
    problem = f"it uses {', '.join(unknown)}; a report's SQL knows only period, params and inputs."
    example = 'Dates come from the period, for example {{ period.contains("event_time") }}.'
    return f"{place}{problem} {example}"


def _rendering_problem(
    error: Exception, params: Mapping[str, ParamValue], inputs: Sequence[Source]
) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    # A macro's mistake has two lines: its own, and the one that calls it.
    lines = [f"line {frame.lineno}" for frame in reversed(frames) if frame.filename == "<template>"]
    place = f"{', called from '.join(lines)}: " if lines else ""
    problem = str(error).removesuffix(".")
    known_params = ", ".join(params) or "none"
    known_inputs = ", ".join(source.table for source in inputs) or "none"
    known = f"The params are: {known_params}. The inputs are: {known_inputs}."
    return f"{place}it cannot be rendered: {problem}. {known}"


def _filter_problem(sql_inputs: Mapping[str, SqlInput]) -> str | None:
    """Return what is wrong if a template did not ask each input for its filter, or None."""
    tables = []
    for table, sql_input in sql_inputs.items():
        if sql_input.source.is_partitioned and not sql_input.asked:
            tables.append(table)
    if not tables:
        return None
    problem = (
        f"it has no filter on the partitions of {', '.join(tables)}, so max_scan cannot be checked."
    )
    way_out = f"Write {{{{ inputs.{tables[0]}.partitions }}}} into its WHERE."
    return f"{problem} {way_out}"
