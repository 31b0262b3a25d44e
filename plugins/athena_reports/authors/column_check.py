"""Holds the columns of a report's SQL against Glue, and those that it returns against `columns=`.

It is done before a query is paid, and only what is certain is an error. No row is read.
"""

import re
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache, partial
from inspect import getsource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.sql_columns import (
    QueryColumns,
    TableTypes,
    UnknownColumn,
    query_columns,
)
from athena_reports.authors.sql_parser import SqlError
from athena_reports.authors.sql_types import certain_types, returned_types
from athena_reports.authors.template_lines import TemplateLines
from athena_reports.errors import AthenaReportsError, TransformError
from athena_reports.periods.calendar import Period
from athena_reports.reports.column import Column
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context
from athena_reports.rows.columns import TableColumn, columns_of, duckdb_type, quoted
from athena_reports.rows.engine import open_engine
from athena_reports.rows.transforms import LibraryTransform, apply
from athena_reports.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_SHOWN_COLUMNS = 30  # how many a message lists
# A value that has some reading in every type of a column that is not nested.
_SAMPLE = (
    "COALESCE(TRY_CAST('1' AS {type}), TRY_CAST('2000-01-01' AS {type}),"
    " TRY_CAST('00:00:00' AS {type}))"
)

# How DuckDB says that a query names a column which is not there.
_NOT_FOUND = re.compile(
    r'Referenced column "(?P<name>.+)" not found|does not have a column named "(?P<named>.+)"'
)


class ColumnError(AthenaReportsError):
    """The SQL names a column that does not exist, or returns other columns than are promised."""


def check_columns(declared: DeclaredReport, period: Period, glue: "GlueClient") -> tuple[str, ...]:
    """Hold the columns that a period's SQL names and returns against Glue and the report.

    Args:
        declared: The report.
        period: The period whose SQL is looked at.
        glue: The client that knows the tables.

    Returns:
        What was not checked, as texts such as `the columns of the view v`.

    Raises:
        ColumnError: A column surely does not exist, or the rows would surely have other columns
            than `columns=` of the report.
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
    not_checked += _check_returned(columns, declared, period, table_types)
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
        problems.append(f"{place}: {describe(column)}")
    problems.append("No query was started. Correct the SQL.")
    return "\n".join(problems)


def describe(column: UnknownColumn) -> str:
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
    environment = declared.dag.get_template_env()

    def render(template: str) -> str:
        context = template_context(SqlPeriod(period, report.late_by), report.params, report.inputs)
        return environment.from_string(template).render(context)

    return TemplateLines(report.sql_text, sql, environment, render)


def _check_returned(
    columns: QueryColumns, declared: DeclaredReport, period: Period, table_types: TableTypes
) -> list[str]:
    """Hold the returned columns against the promised ones, and return what was not checked."""
    report = declared.report
    if not report.columns:
        return []
    not_known = "the returned columns against columns="
    if columns.returned is None:
        return [not_known]
    returned = columns.returned
    types = _certain_types(declared, period, table_types)
    maker = sql_file(declared)
    if report.transforms:
        maker = f"{maker} with the transforms"
        try:
            likely_types = returned_types(declared.sql(period), settings().database, table_types)
            made = _transformed(columns.returned, likely_types, types, declared, period)
        except ColumnError:
            raise
        except (ValueError, AthenaReportsError) as error:
            return [f"{not_known}: {error}"]
        returned = tuple(column.name for column in made)
        # Those of this package give the same types for any rows.
        if not _are_of_package(report.transforms) or not types.keys() >= set(columns.returned):
            made = ()
        types = {column.name.lower(): column.glue for column in made if column.glue}
    problem = _promise_problem(returned, types, report.columns)
    if problem:
        raise ColumnError(
            f"{maker} gives other columns than the report {report.name!r} declares: {problem}."
            " No query was started. CAST or name them in the SQL (AS), or correct columns= of the"
            " report."
        )
    without_type = [name for name in report.columns if name.lower() not in types]
    if without_type:
        return [f"the types of {', '.join(without_type)} against columns="]
    return []


def _certain_types(
    declared: DeclaredReport, period: Period, table_types: TableTypes
) -> dict[str, str]:
    """Return Glue's names of the types that the SQL surely returns, by the names of the columns."""
    if declared.report.unload:  # its files have types of their own
        return {}
    try:
        return certain_types(declared.sql(period), settings().database, table_types)
    except SqlError:
        return {}


def _are_of_package(transforms: Sequence[object]) -> bool:
    return all(isinstance(function, LibraryTransform) for function in transforms)


def _promise_problem(
    returned: Sequence[str], types: Mapping[str, str], promised: Mapping[str, Column]
) -> str:
    """Say which columns are missing, surplus or of another type; empty if none is.

    Args:
        returned: The names of the columns that come out.
        types: Their types where they are certain, by the names in lower case.
        promised: What the report declares.
    """
    returned_names = {name.lower() for name in returned}
    promised_names = {name.lower() for name in promised}
    missing = [f"{name!r}" for name in promised if name.lower() not in returned_names]
    surplus = [f"{name!r}" for name in returned if name.lower() not in promised_names]
    problems = []
    if missing:
        problems.append(f"it lacks {', '.join(missing)}")
    if surplus:
        problems.append(f"it has {', '.join(surplus)}, declared as no column")
    for name, column in promised.items():
        kind = types.get(name.lower(), column.type)
        if kind != column.type:
            problems.append(f"{name!r} is {kind}, declared as {column.type}")
    return ", and ".join(problems)


def _transformed(
    names: Sequence[str],
    likely_types: Sequence[str],
    types: Mapping[str, str],
    declared: DeclaredReport,
    period: Period,
) -> tuple[TableColumn, ...]:
    """Return the columns that the transforms make of columns without rows.

    Args:
        names: The columns of the SQL.
        likely_types: Their types as sqlglot has them, by the places of the names.
        types: Their types where they are certain.
        declared: The report.
        period: The period.

    Raises:
        ColumnError: A transform surely names a column that its rows do not have.
        ValueError: The types are not those of a result, or the columns follow from the rows.
        TransformError: A transform fails without rows.
        AthenaReportsError: The engine cannot run it.
    """
    if len(likely_types) != len(names):
        raise ValueError("the types of the columns are not known.")
    about = f"{declared.dag.dag_id}, period {period.id}, without rows"
    null_columns = []
    sample_columns = []
    for name, likely_type in zip(names, likely_types, strict=True):
        duckdb_name = duckdb_type(types.get(name, likely_type))
        null_columns.append(f"CAST(NULL AS {duckdb_name}) AS {quoted(name)}")
        sample_columns.append(f"{_SAMPLE.format(type=duckdb_name)} AS {quoted(name)}")
    no_rows = f"SELECT {', '.join(null_columns)} WHERE false"
    one_row = f"SELECT {', '.join(sample_columns)}"
    transforms = declared.report.transforms
    with open_engine(settings().memory_limit, about=about) as engine:

        def columns_from(sql: str) -> tuple[TableColumn, ...]:
            rows = engine.connection.sql(sql)
            return columns_of(apply(transforms, rows, period, engine=engine, about=about))

        def unknown_column(sql: str) -> str:
            try:
                columns_from(sql)
            except TransformError as error:
                return _not_found(error)
            return ""

        try:
            without_rows = columns_from(no_rows)
        except TransformError as error:
            name = _not_found(error)
            with_it = f"SELECT *, CAST(NULL AS VARCHAR) AS {quoted(name)} FROM ({no_rows})"
            # It is certain if a row does not bring the column, and only the rows could have it.
            is_certain = name and unknown_column(one_row) == name and not unknown_column(with_it)
            if not is_certain or any(map(_may_pivot, transforms)):
                raise
            transform = str(error).removeprefix(f"{about}: ").partition(" failed: ")[0]
            raise ColumnError(
                f"{_place_in_transform(error)}{transform} names a column {name!r}, which its rows"
                f" do not have.{_similar(name, names)} The SQL returns {_listed(names)}. No query"
                " was started. Correct the transform, or the SQL."
            ) from error
        names_without_rows = [column.name for column in without_rows]
        is_right = not _promise_problem(names_without_rows, {}, declared.report.columns)
        # Those of this package give the same columns for any rows.
        if is_right or _are_of_package(transforms):
            return without_rows
        # The columns are not those that are promised. That is certain only if a row does not change
        # them, as it does with a PIVOT.
        if [column.name for column in columns_from(one_row)] != names_without_rows:
            raise ValueError("the transforms make other columns of other rows.")
        return without_rows


def _not_found(error: TransformError) -> str:
    """Return the column that a query of a transform names in vain; empty if it fails otherwise."""
    import duckdb

    if not isinstance(error.__cause__, duckdb.BinderException):
        return ""
    found = _NOT_FOUND.search(str(error))
    if found is None:
        return ""
    return found["name"] or found["named"]


def _may_pivot(transform: Any) -> bool:
    """Return whether a transform may make columns that are called like values of its rows."""
    if isinstance(transform, LibraryTransform):
        return False
    if isinstance(transform, partial):
        transform = transform.func
    try:
        return "pivot" in getsource(transform).lower()
    except (OSError, TypeError):  # it was not written in a file, or is no function
        return True


def _place_in_transform(error: TransformError) -> str:
    """Return the line of an author that an error of a transform comes from, before a sentence."""
    import duckdb

    assert error.__cause__ is not None
    libraries = (Path(duckdb.__file__).parent, Path(__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__cause__.__traceback__)):
        path = Path(frame.filename)
        if not any(path.is_relative_to(library) for library in libraries):
            return f"{_shown_path(path)}, line {frame.lineno}: "
    return ""  # of a transform of this package
