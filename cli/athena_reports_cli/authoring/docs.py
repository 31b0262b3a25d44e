"""A report for its readers, as Markdown."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from athena_reports_cli.authoring.report_files import DeclaredReport

_MARKUP = re.compile(r"([\\`*\[\]|])")
_HOUR = timedelta(hours=1)


def markdown(dags: Sequence[DeclaredReport]) -> str:
    """Return what a report counts, when, from what, and where it is published.

    Args:
        dags: The DAGs of one report, at least one.
    """
    first = dags[0]
    report = first.report

    description = first.dag.doc_md
    if not description:
        description = f"# {report.name}"

    published = [_published_row(declared) for declared in dags]
    inputs = []
    for source in report.inputs:
        if source.is_partitioned:
            partition_keys = ", ".join(source.columns)
            inputs.append([source.table, partition_keys, source.zone, source.missing])
        else:
            inputs.append([source.table, "none", "", ""])
    columns = []
    for name, column in report.columns.items():
        columns.append([name, column.type, column.unit, column.description])
    checks = [[check.name, check.severity] for check in report.all_checks]

    sections = [
        description.strip(),
        _facts(first),
        _table("Published", ["DAG", "schedule", "since", "until", "table", "objects"], published),
        _table("Inputs", ["table", "partitioned by", "dated in", "if one is missing"], inputs),
        _table("Columns", ["column", "type", "unit", "meaning"], columns),
        _table("Checks", ["check", "if it fails"], checks),
    ]
    return "\n\n".join(section for section in sections if section)


def _facts(declared: DeclaredReport) -> str:
    owner = _cell(declared.report.owner)
    formats = ", ".join(declared.report.outputs)
    facts = f"Owner: {owner}. Formats: {formats}."
    key = ", ".join(_cell(column) for column in declared.report.row_key)
    if key:
        facts += f" Key of the rows: {key}."
    late_hours = declared.report.late_by / _HOUR
    if late_hours:
        facts += f" Events may land {late_hours:g} h late; until then a period is provisional."
    return facts


def _published_row(declared: DeclaredReport) -> list[str]:
    dag: Any = declared.dag
    table = "none"
    if declared.database:
        table = f"{declared.database}.{dag.dag_id}"
    return [
        dag.dag_id,
        dag.timetable.summary,
        _local_date(dag.start_date, declared),
        _local_date(dag.end_date, declared),
        table,
        declared.location.folder_uri,
    ]


def _local_date(instant: datetime | None, declared: DeclaredReport) -> str:
    """Return the date of an instant in the zone of a report; an empty text for None."""
    if instant is None:
        return ""
    return instant.astimezone(declared.cadence.zone).date().isoformat()


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a section with a table; an empty text for a table without rows."""
    if not rows:
        return ""
    lines = [f"## {title}", "", _line(header), _line(["---"] * len(header))]
    for row in rows:
        cells = [_cell(text) for text in row]
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    """Return a text as one cell of a table, without line breaks and without a meaning as markup."""
    one_line = " ".join(text.split())
    without_html = escape(one_line, quote=False)
    return _MARKUP.sub(r"\\\1", without_html)
