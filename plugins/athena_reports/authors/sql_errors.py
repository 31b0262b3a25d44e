"""Where an error of Athena lies: the SQL file, its line, and the columns that the tables have."""

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.table_uses import table_uses
from athena_reports.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

# How Athena begins the reason of a failure that lies at a place of the SQL. A syntax error, with
# which it does not start the query, has no name.
_PLACE = re.compile(r"((?P<name>[A-Z_]+): )?line (?P<line>\d+):\d+: ")


def failed_place(
    reason: str, declared: DeclaredReport, sql: str, database: str, glue: "GlueClient"
) -> str:
    """Return sentences on where a query failed; empty if the reason names no place in the SQL.

    If a column is not found, they list the columns of the tables.

    Args:
        reason: What Athena says of it.
        declared: The report whose SQL it is.
        sql: The rendered SQL.
        database: The database of tables that the SQL names without one.
        glue: Is asked for the columns.
    """
    place = _PLACE.match(reason)
    if place is None:
        return ""
    rendered_line = int(place["line"])
    path = settings().sql_folder / declared.report.sql
    line = _template_line(declared.report.sql_text, sql, rendered_line)
    sentences = [f"It is in line {rendered_line} of the rendered SQL of {path}."]
    if line is not None:
        sentences = [f"It is in {path}, line {line}."]
    if place["name"] == "COLUMN_NOT_FOUND":
        sentences += _columns_of_tables(sql, database, glue)
    return " ".join(sentences)


def _template_line(template: str, sql: str, rendered_line: int) -> int | None:
    """Return the line of a template that became a line of the SQL; None if it is not certain."""
    template_lines = template.strip().splitlines()
    sql_lines = sql.strip().splitlines()
    # Tags of the template add and remove lines. Those without a tag stay the same.
    matcher = SequenceMatcher(None, template_lines, sql_lines, autojunk=False)
    for operation, start, end, sql_start, sql_end in matcher.get_opcodes():
        if not sql_start < rendered_line <= sql_end:
            continue
        is_line_for_line = end - start == sql_end - sql_start
        if operation in ("equal", "replace") and is_line_for_line:
            leading = len(template) - len(template.lstrip())
            lines_before = template[:leading].count("\n")
            return lines_before + start + rendered_line - sql_start
    return None


def _columns_of_tables(sql: str, database: str, glue: "GlueClient") -> list[str]:
    """Return a sentence for each table that the SQL scans."""
    sentences = []
    for name in sorted(table_uses(sql, {}).number):
        table_database, _, table = name.rpartition(".")
        try:
            described = glue.get_table(DatabaseName=table_database or database, Name=table)
        except (ClientError, BotoCoreError):
            continue  # the error of the query is told anyway
        columns = [
            *described["Table"].get("StorageDescriptor", {}).get("Columns", []),
            *described["Table"].get("PartitionKeys", []),
        ]
        shown = ", ".join(f"{column['Name']} {column.get('Type', '')}" for column in columns)
        sentences.append(f"The columns of {name} are {shown}.")
    return sentences
