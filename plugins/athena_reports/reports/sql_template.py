"""A report's SQL: a Jinja template that sees `period`, `params` and `inputs`, and nothing else."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.debug import rewrite_traceback_stack

from athena_reports.errors import ReportError, SqlTemplateError
from athena_reports.inputs.published import Source
from athena_reports.reports.sql_params import template_params
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.sql.literals import ParamValue
from athena_reports.sql.names import sql_name


def template_context(
    period: SqlPeriod,
    params: Mapping[str, ParamValue],
    inputs: Sequence[Source] = (),
    *,
    has_published: bool = True,
) -> dict[str, object]:
    """Return all that a report's template sees; `has_published` is as for `SqlInput`."""
    sql_inputs = {source.table: SqlInput(source, period, has_published) for source in inputs}
    return {
        "period": period,
        "params": TemplateNames(**template_params(params)),
        "inputs": TemplateNames(**sql_inputs),
    }


@contextmanager
def template_errors(params: Mapping[str, ParamValue], inputs: Sequence[Source]) -> Iterator[None]:
    """Raise SqlTemplateError, with the line, for a template that cannot be compiled or rendered."""
    try:
        yield
    except TemplateSyntaxError as error:
        raise SqlTemplateError(f"line {error.lineno} of the SQL: {error.message}") from error
    except (
        TemplateError,
        ReportError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        problem = str(error).removesuffix(".")
        known_params = ", ".join(params) or "none"
        known_inputs = ", ".join(source.table for source in inputs) or "none"
        raise SqlTemplateError(
            f"{_place()}{problem}. A report's SQL can use period, params ({known_params}) and"
            f" inputs ({known_inputs})."
        ) from error


def _place() -> str:
    """Return the template's line of the current error; in a macro, also that of its call."""
    error = rewrite_traceback_stack()  # which Airflow's own rendering leaves out
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"line {frame.lineno}" for frame in reversed(frames) if frame.filename == "<template>"]
    if not lines:
        return ""
    return f"{', called from '.join(lines)} of the SQL: "


class TemplateNames(SimpleNamespace):
    """`params` or `inputs` in a template: its attributes are the params, or the `SqlInput`s."""

    # No dictionary: a template would see the methods of one, such as `values`, before the params.
    def __str__(self) -> str:
        raise TypeError(
            "params and inputs are not values. Use one of their fields: {{ params.top }}"
        )


@dataclass(frozen=True)
class SqlInput:
    """An input in a template, with its name and its filters."""

    source: Source
    period: SqlPeriod
    # False in a case, where what is published is with the other tables and not in the environment's
    # database of reports.
    has_published: bool = True

    @property
    def table(self) -> str:
        """The table, with its database and catalog if those are not the ones of the query."""
        is_in_a_case = self.source.dag_id and not self.has_published
        database = None if is_in_a_case else self.source.database
        names = (self.source.catalog, database, self.source.table)
        return ".".join(sql_name(name) for name in names if name is not None)

    @property
    def partitions(self) -> str:
        """The predicate on its partition keys; ValueError if the table has none."""
        return self.predicate()

    def partitions_of(self, alias: str) -> str:
        """Return the same predicate on the keys of one alias of the table, such as `p.dt`."""
        if not (alias.isascii() and alias.isidentifier()):
            raise ValueError(f"{alias!r} is not a valid alias. Pass the table's alias, such as p")
        return self.predicate(sql_name(alias))

    def __str__(self) -> str:
        table = self.source.table
        raise TypeError(
            f"an input is not a value. Use its filter: {{{{ inputs.{table}.partitions }}}}"
        )

    def predicate(self, alias: str | None = None) -> str:
        """Return the predicate on the partition keys; `alias` is the query's name of the table."""
        source = self.source
        if not source.is_partitioned:
            raise ValueError(f"{source.table} has no partitions (columns=()). Remove the filter")
        return source.predicate(self.period.period, self.period.late_by, alias)
