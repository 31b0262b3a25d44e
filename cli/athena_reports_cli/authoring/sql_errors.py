"""Where an error of Athena lies: the SQL file, its line, and the columns that the tables have."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.periods.calendar import Period
from athena_reports_cli.authoring.column_check import (
    describe_unknown,
    known_tables,
    sql_file,
    template_lines,
)
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.sql_columns import UnknownColumn, query_columns
from athena_reports_cli.authoring.sql_parser import SqlError
from athena_reports_cli.authoring.table_uses import table_uses

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

# How Athena begins the reason of a failure that lies at a place of the SQL. A syntax error, with
# which it does not start the query, has no name.
_PLACE = re.compile(r"((?P<name>[A-Z_]+): )?line (?P<line>\d+):(?P<column>\d+): ")


def failed_place(
    reason: str,
    declared: DeclaredReport,
    period: Period,
    sql: str,
    *,
    database: str,
    glue: "GlueClient",
    files: Mapping[str, Path],
) -> str:
    """Return sentences on where a query failed; empty if the reason names no place in the SQL.

    If a column is not found, they list the columns that there are, or those of all tables.

    Args:
        reason: What Athena says of it.
        declared: The report whose SQL it is.
        period: The period that the SQL is rendered for.
        sql: The SQL that was run: that of the report, or the same with another query after its
            CTEs.
        database: The database of tables that the SQL names without one.
        glue: Is asked for the columns.
        files: What the tables of the database were made of, by their names, if it is that of a
            case. An author may add a column there.
    """
    place = _PLACE.match(reason)
    if place is None:
        return ""
    rendered_line = int(place["line"])
    start = int(place["column"]) - 1
    # Only a line feed ends a line of SQL, while `splitlines` also splits at others.
    for line_before in sql.split("\n")[: rendered_line - 1]:
        start += len(line_before) + 1
    # Up to its CTEs the SQL that was run is that of the report, so its places are the same.
    line = template_lines(declared, period, declared.sql(period)).line_at(start)
    file = sql_file(declared)
    if line is None:
        told_place = f"It is in {file}, line {rendered_line} of the rendered SQL"
    else:
        told_place = f"It is in {file}, line {line}"
    if place["name"] != "COLUMN_NOT_FOUND":
        return f"{told_place}."
    unknown = _unknown_column_at(start, sql, database, glue)
    if unknown is not None:
        return f"{told_place}: {describe_unknown(unknown)}{_in_files(unknown, database, files)}"
    return " ".join([f"{told_place}.", *_columns_of_tables(sql, database, glue)])


def _unknown_column_at(
    start: int, sql: str, database: str, glue: "GlueClient"
) -> UnknownColumn | None:
    """Return the column at a place of the SQL that surely does not exist; None if none is known.

    The database of the query is left out of the names of tables.
    """
    try:
        columns = query_columns(sql, database, known_tables(glue))
    except SqlError:
        return None
    for column in columns.unknown:
        if column.start == start:
            sources = [source.removeprefix(f"{database}.") for source in column.sources]
            return column._replace(sources=tuple(sources))
    return None


def _in_files(unknown: UnknownColumn, database: str, files: Mapping[str, Path]) -> str:
    """Return a sentence on the files of the tables that lack a column; empty if there are none."""
    names = [table.removeprefix(f"{database}.") for table in unknown.tables]
    lacking = [str(files[name]) for name in names if name in files]
    if not lacking:
        return ""
    return f" If the SQL is right, add the column to {' or '.join(lacking)}."


def _columns_of_tables(sql: str, database: str, glue: "GlueClient") -> list[str]:
    """Return a sentence for each table that the SQL scans."""
    sentences = []
    for name in sorted(table_uses(sql, {}).number):
        table_database, _, table_name = name.rpartition(".")
        if not table_database:
            table_database = database
        try:
            table = glue.get_table(DatabaseName=table_database, Name=table_name)["Table"]
        except (ClientError, BotoCoreError):
            continue  # the error of the query is told anyway
        columns = [
            *table.get("StorageDescriptor", {}).get("Columns", []),
            *table.get("PartitionKeys", []),
        ]
        shown = ", ".join(
            f"{column['Name']} {column.get('Type', '')}".strip() for column in columns
        )
        if shown:
            sentences.append(f"The columns of {name} are {shown}.")
    return sentences
