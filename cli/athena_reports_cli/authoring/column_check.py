"""Holds the columns of a report's SQL against Glue, and those that it returns against `columns=`.

It is done before a query is paid, and only what is certain is an error. No row is read. Transforms
are tried with columns that have no rows.
"""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

import athena_reports
from athena_reports.errors import AthenaReportsError, TransformError
from athena_reports.periods.calendar import Period
from athena_reports.reports.column import Column
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context
from athena_reports.rows.columns import TableColumn, columns_of, duckdb_type
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.rows.transforms import (
    LibraryTransform,
    apply,
    without_partial,
)
from athena_reports.settings import settings
from athena_reports.sql.names import quoted
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.sql_columns import (
    QueryColumns,
    TableTypes,
    UnknownColumn,
    query_columns,
)
from athena_reports_cli.authoring.sql_parser import SqlError
from athena_reports_cli.authoring.sql_types import certain_types, returned_types
from athena_reports_cli.authoring.template_lines import TemplateLines

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_SHOWN_COLUMNS = 30  # how many a message lists
# A value and a condition that fail when they are read. `random` keeps DuckDB from trying before.
_UNREADABLE = "CASE WHEN random() >= 0 THEN error('rows were read') END"

# How DuckDB says that a query names a column which is not there.
_NOT_FOUND = re.compile(
    r'Referenced column "(?P<name>.+)" not found|does not have a column named "(?P<named>.+)"'
)


class ColumnError(AthenaReportsError):
    """A column does not exist, or what is returned is not what `columns=` promises.

    The SQL or a transform names the column. The SQL, with the transforms, returns other columns, or
    one of another type.
    """


def check_columns(declared: DeclaredReport, period: Period, glue: "GlueClient") -> tuple[str, ...]:
    """Hold the columns that a period's SQL names and returns against Glue and the report.

    Args:
        declared: The report.
        period: The period whose SQL is looked at.
        glue: The client that knows the tables.

    Returns:
        What was not checked, as texts such as `the columns of the view v`.

    Raises:
        ColumnError: The SQL or a transform surely names a column that does not exist, or the rows
            would surely have other columns than `columns=` of the report, or one of another type.
    """
    sql = declared.sql(period)
    database = settings().database
    table_types = known_tables(glue)
    try:
        columns = query_columns(sql, database, table_types)
    except SqlError as error:
        return (str(error),)
    if columns.unknown:
        raise ColumnError(_unknown_problem(columns, declared, period, sql))
    not_checked = list(columns.not_checked)
    not_checked += _check_returned(columns, sql, declared, period, table_types)
    return tuple(not_checked)


def known_tables(glue: "GlueClient") -> TableTypes:
    """Return a function that asks Glue for each table once; None is what Glue cannot tell."""

    @cache
    def table_types(database: str, name: str) -> Mapping[str, str] | None:
        try:
            response = glue.get_table(DatabaseName=database, Name=name)
        except (ClientError, BotoCoreError):
            return None
        return _types_in_glue(response["Table"])

    return table_types


def _types_in_glue(table: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the type of each column that a query can name, partition keys included.

    None if Glue does not tell, as of a link to a table of another account. What Glue has of a
    Delta Lake table may be out of date ("Query Delta Lake tables" in Athena's user guide).
    """
    parameters = table.get("Parameters", {})
    formats = (parameters.get("table_type", ""), parameters.get("spark.sql.sources.provider", ""))
    if "delta" in [name.lower() for name in formats]:
        return None
    types = {}
    for column in table.get("StorageDescriptor", {}).get("Columns", []):
        # Glue also lists the columns that an Iceberg table had once.
        if column.get("Parameters", {}).get("iceberg.field.current") != "false":
            types[column["Name"]] = column.get("Type", "")
    if not types:
        return None
    for key in table.get("PartitionKeys", []):
        types[key["Name"]] = key.get("Type", "")
    return types


def _unknown_problem(
    columns: QueryColumns, declared: DeclaredReport, period: Period, sql: str
) -> str:
    """Return a sentence for each unknown column, on a line of its own."""
    lines = template_lines(declared, period, sql)
    problems = []
    for column in columns.unknown:
        line = lines.line_at(column.start)
        if line is None:
            rendered_line = sql.count("\n", 0, column.start) + 1
            place = f"{sql_file(declared)}, line {rendered_line} of the rendered SQL"
        else:
            place = f"{sql_file(declared)}, line {line}"
        problems.append(f"{place}: {describe_unknown(column)}")
    problems.append("No query was started. Correct the SQL.")
    return "\n".join(problems)


def describe_unknown(column: UnknownColumn) -> str:
    """Return sentences on a column that does not exist, those near it and those that there are."""
    name = column.name.lower().rpartition(".")[2]
    problem = f"there is no column {column.name!r} in {', '.join(column.sources)}."
    if column.is_alias:
        problem += (
            " Only ORDER BY can use a name that the SELECT gives: write the expression again."
        )
    return f"{problem}{_similar(name, column.columns)} The columns are {_listed(column.columns)}."


def _similar(name: str, columns: Sequence[str]) -> str:
    """Return a sentence on the columns that resemble a name; empty if none does."""
    similar = get_close_matches(name, columns, n=3)
    if not similar:
        return ""
    return f" Did you mean {' or '.join(similar)}?"


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:_SHOWN_COLUMNS])
    if len(columns) > _SHOWN_COLUMNS:
        shown += f" and {len(columns) - _SHOWN_COLUMNS} more"
    return shown


def sql_file(declared: DeclaredReport) -> str:
    """Return the SQL file of a report, relative to the current folder if it lies in it."""
    return _shown_path(settings().sql_folder / declared.report.sql)


def _shown_path(path: Path) -> str:
    path = path.resolve()
    folder = Path.cwd().resolve()
    if path.is_relative_to(folder):
        path = path.relative_to(folder)
    return str(path)


def template_lines(declared: DeclaredReport, period: Period, sql: str) -> TemplateLines:
    """Return from which line of a report's SQL file each place of its rendered SQL comes."""
    report = declared.report
    environment = declared.template_environment

    def render(template: str) -> str:
        context = template_context(SqlPeriod(period, report.late_by), report.params, report.inputs)
        return environment.from_string(template).render(context)

    return TemplateLines(report.sql_text, sql, environment, render)


class _Returned(NamedTuple):
    """The columns that come out of a report.

    Attributes:
        names: Their names.
        types: What Glue calls their types where these are certain, by the names in lower case.
    """

    names: tuple[str, ...]
    types: Mapping[str, str]


def _check_returned(
    columns: QueryColumns,
    sql: str,
    declared: DeclaredReport,
    period: Period,
    table_types: TableTypes,
) -> list[str]:
    """Hold the returned columns against the promised ones, and return what was not checked."""
    report = declared.report
    if not report.columns:
        return []
    not_known = "the returned columns against columns="
    if columns.returned is None:
        return [not_known]
    types = _certain_types(columns.returned, sql, declared, table_types)
    maker, place = sql_file(declared), "in the SQL (AS)"
    if report.transforms:
        maker, place = f"{maker} with the transforms", f"{place} or in the transform"
        try:
            likely_types = returned_types(sql, settings().database, table_types)
            returned = _after_transforms(columns.returned, types, likely_types, declared, period)
        except ColumnError:
            raise
        except (ValueError, AthenaReportsError) as error:
            return [f"{not_known}: {error}"]
    else:
        returned = _returned(columns.returned, types)
    problem = _promise_problem(returned, report.columns)
    if problem:
        raise ColumnError(
            f"{maker} gives other columns than the report {report.name!r} declares: {problem}."
            f" No query was started. CAST or name them {place}, or correct columns= of the report."
        )
    return _types_not_checked(returned, report.columns)


def _returned(names: Sequence[str], types: Sequence[str]) -> _Returned:
    """Return columns from their names and types; an empty type is not certain."""
    by_name = {name.lower(): kind for name, kind in zip(names, types, strict=True) if kind}
    return _Returned(tuple(names), by_name)


def _types_not_checked(returned: _Returned, promised: Mapping[str, Column]) -> list[str]:
    without_type = [name for name in promised if name.lower() not in returned.types]
    if not without_type:
        return []
    shown = _listed(without_type)
    if len(without_type) == len(promised):
        shown = "all columns"
    return [f"the types of {shown} against columns="]


def _certain_types(
    names: Sequence[str], sql: str, declared: DeclaredReport, table_types: TableTypes
) -> tuple[str, ...]:
    """Return Glue's names of the types of the SQL's columns; an empty one is not certain."""
    not_certain = ("",) * len(names)
    if declared.report.unload:  # its files have types of their own
        return not_certain
    try:
        types = certain_types(sql, settings().database, table_types)
    except SqlError:
        return not_certain
    return types if len(types) == len(names) else not_certain


def _are_of_package(transforms: Sequence[Any]) -> bool:
    return all(isinstance(without_partial(function), LibraryTransform) for function in transforms)


def _after_transforms(
    names: Sequence[str],
    types: Sequence[str],
    likely_types: Sequence[str],
    declared: DeclaredReport,
    period: Period,
) -> _Returned:
    """Return the columns that the transforms make of the columns of the SQL.

    Args:
        names: The columns of the SQL.
        types: Their types; an empty one is not certain.
        likely_types: Their types as sqlglot has them.
        declared: The report.
        period: The period.

    Raises:
        ColumnError: A transform surely names a column that its rows do not have.
        ValueError: The types are not those of a result, or the columns may follow from the rows.
        AthenaReportsError: A transform fails without rows.
    """
    if len(likely_types) != len(names):
        raise ValueError("the types of the columns are not known.")
    kinds = [kind or likely for kind, likely in zip(types, likely_types, strict=True)]
    made = _transformed(names, kinds, declared, period)
    made_types = ("",) * len(made)
    # Those of this package give the same types for any rows.
    if _are_of_package(declared.report.transforms) and all(types):
        made_types = tuple(column.glue for column in made)
    return _returned([column.name for column in made], made_types)


def _promise_problem(returned: _Returned, promised: Mapping[str, Column]) -> str:
    """Say which promised columns are missing, surplus or of another type; empty if none is."""
    returned_names = {name.lower() for name in returned.names}
    promised_names = {name.lower() for name in promised}
    missing = [f"{name!r}" for name in promised if name.lower() not in returned_names]
    surplus = [f"{name!r}" for name in returned.names if name.lower() not in promised_names]
    problems = []
    if missing:
        problems.append(f"it lacks {', '.join(missing)}")
    if surplus:
        problems.append(f"it has {', '.join(surplus)}, declared as no column")
    for name, column in promised.items():
        kind = returned.types.get(name.lower(), column.type)
        if kind != column.type:
            problems.append(f"{name!r} is {kind}, declared as {column.type}")
    return ", and ".join(problems)


class _Attempts(NamedTuple):
    """Runs the transforms of a report on the columns of its SQL, of which no row can be read.

    Attributes:
        select: The columns as SQL, of values that cannot be read.
        declared: The report.
        period: The period.
        engine: The engine.
        about: Report and period, the first words of an error.
    """

    select: str
    declared: DeclaredReport
    period: Period
    engine: Engine

    def without_rows(self, *, extra: str = "") -> tuple[TableColumn, ...]:
        """Return the columns that are made of no rows; `extra` is SQL of another column."""
        return self._columns(f"{self.select}{extra} WHERE false")

    def unread(self) -> tuple[TableColumn, ...]:
        """Return the columns that are made before a row is read; TransformError if one is read."""
        return self._columns(f"{self.select} WHERE {_UNREADABLE}")

    def _columns(self, sql: str) -> tuple[TableColumn, ...]:
        rows = self.engine.connection.sql(sql)
        transforms = self.declared.report.transforms
        made = apply(transforms, rows, self.period, self.engine)
        return columns_of(made)


def _transformed(
    names: Sequence[str], types: Sequence[str], declared: DeclaredReport, period: Period
) -> tuple[TableColumn, ...]:
    """Return the columns that the transforms make of columns without rows.

    Other columns than the promised ones are returned only if they are certain: the transforms make
    them before they read a row.

    Args:
        names: The columns of the SQL.
        types: Their types.
        declared: The report.
        period: The period.

    Raises:
        ColumnError: A transform surely names a column that its rows do not have.
        ValueError: The types are not those of a result, or the columns may follow from the rows.
        TransformError: A transform fails without rows.
        AthenaReportsError: The engine cannot run it.
    """
    about = f"{declared.dag.dag_id}, period {period.id}, without rows"
    values = []
    for name, kind in zip(names, types, strict=True):
        values.append(f"CAST({_UNREADABLE} AS {duckdb_type(kind)}) AS {quoted(name)}")
    with open_engine(settings().memory_limit, about=about) as engine:
        attempts = _Attempts(f"SELECT {', '.join(values)}", declared, period, engine)
        try:
            made = attempts.without_rows()
        except TransformError as error:
            name = _missing_column(error)
            if not name or not _is_certainly_missing(name, attempts):
                raise
            transform = str(error).removeprefix(f"{about}: ").partition(" failed: ")[0]
            raise ColumnError(
                f"{_place_in_transform(error)}{transform} names a column {name!r}, which its rows"
                f" do not have.{_similar(name, names)} The SQL returns {_listed(names)}. No query"
                " was started. Correct the transform, or the SQL."
            ) from error
        made_names = _Returned(tuple(column.name for column in made), {})
        is_right = not _promise_problem(made_names, declared.report.columns)
        # Those of this package give the same columns for any rows.
        if is_right or _are_of_package(declared.report.transforms):
            return made
        try:
            return attempts.unread()
        except TransformError as error:
            raise ValueError("the transforms may make other columns of other rows.") from error


def _is_certainly_missing(name: str, attempts: _Attempts) -> bool:
    """Return whether a transform names a column that no row can bring.

    It names the column before it reads a row, and it does not if the SQL returns it.
    """

    def missing(columns: Callable[[], object]) -> str:
        try:
            columns()
        except TransformError as error:
            return _missing_column(error)
        return ""

    extra = f", CAST(NULL AS VARCHAR) AS {quoted(name)}"
    return (
        missing(attempts.unread) == name
        and missing(partial(attempts.without_rows, extra=extra)) != name
    )


def _missing_column(error: TransformError) -> str:
    """Return the column that a transform names in vain; empty if it fails otherwise."""
    import duckdb

    cause = error.__cause__
    if not isinstance(cause, duckdb.BinderException):
        return ""
    found = _NOT_FOUND.search(str(cause))
    if found is None:
        return ""
    return found["name"] or found["named"]


def _place_in_transform(error: TransformError) -> str:
    """Return the line of an author that an error of a transform comes from, before a sentence."""
    import duckdb

    assert error.__cause__ is not None
    libraries = (Path(duckdb.__file__).parent, Path(athena_reports.__file__).parent)
    for frame in reversed(traceback.extract_tb(error.__cause__.__traceback__)):
        path = Path(frame.filename)
        if not any(path.is_relative_to(library) for library in libraries):
            return f"{_shown_path(path)}, line {frame.lineno}: "
    return ""  # of a transform of this package
