"""A report for its readers: as Markdown, and as a data contract.

The contract follows the Open Data Contract Standard (ODCS) 3.1.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

import yaml  # type: ignore[import-untyped]

from athena_reports.reports.column import Column
from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport

_MARKUP = re.compile(r"([\\`*\[\]|])")
_HOUR = timedelta(hours=1)
# ODCS's logical type for a type of a Glue table. Types that are missing here have the same name.
_LOGICAL_TYPES = {
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "bigint": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "binary": "string",
    "map": "object",
    "struct": "object",
}
_SEVERITIES = {"fail": "error", "warn": "warning"}


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
        _table("Checks", ["check", "if it does not hold"], checks),
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
        hours = "hour" if late_hours == 1 else "hours"
        facts += (
            f" Events may land {late_hours:g} {hours} late; until then a period is provisional."
        )
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
        declared.prefix,
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


def contract(dags: Sequence[DeclaredReport]) -> str:
    """Return the data contract of a report as YAML. Its version is a digest of what it promises.

    Args:
        dags: The DAGs of one report, at least one.
    """
    first = dags[0]
    report = first.report.name
    bucket = settings().report_bucket

    purpose = first.dag.doc_md
    if not purpose:
        purpose = report
    service_levels = []
    for declared in dags:
        service_levels.extend(_service_levels(declared))
    promises = {
        "description": {"purpose": purpose.strip()},
        "team": {"name": first.report.owner},
        "servers": _servers(dags),
        "schema": [_schema_object(declared) for declared in dags],
        "slaProperties": service_levels,
    }
    digest = hashlib.sha256(yaml.safe_dump(promises).encode()).hexdigest()

    document: dict[str, Any] = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "name": report,
        "id": f"athena-reports:{bucket}:{report}",
        "version": digest[:12],
        "status": "active",
    }
    document.update(promises)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text.rstrip()


def _servers(dags: Sequence[DeclaredReport]) -> list[dict[str, str]]:
    """Return where the rows are: a folder in S3 for each DAG, and Athena if there are tables."""
    deployment = settings()
    servers = []
    for declared in dags:
        folder = {
            "server": declared.dag.dag_id,
            "type": "s3",
            "location": declared.prefix,
            "environment": deployment.environment,
        }
        servers.append(folder)
    # ODCS demands a staging folder of Athena, which a workgroup with managed results does not have.
    if deployment.query_results and dags[0].database:
        athena = {
            "server": "athena",
            "type": "athena",
            "stagingDir": deployment.query_results,
            "schema": deployment.report_database,
            "environment": deployment.environment,
        }
        servers.append(athena)
    return servers


def _schema_object(declared: DeclaredReport) -> dict[str, Any]:
    properties = []
    for name, column in declared.report.columns.items():
        properties.append(_property(name, column, declared.report.row_key))

    physical_type = "file"
    if declared.database is not None:
        physical_type = "table"
        partition_key = {
            "name": "period",
            "logicalType": "string",
            "physicalType": "string",
            "partitioned": True,
            "partitionKeyPosition": 1,
        }
        properties.append(partition_key)

    quality = []
    for check in declared.report.all_checks:
        severity = _SEVERITIES[check.severity]
        quality.append({"name": check.name, "type": "text", "severity": severity})

    return {
        "name": declared.dag.dag_id,
        "logicalType": "object",
        "physicalType": physical_type,
        "description": declared.cadence.description,
        "properties": properties,
        "quality": quality,
    }


def _property(name: str, column: Column, key: Sequence[str]) -> dict[str, Any]:
    base_type = re.split(r"[(<]", column.type)[0]
    promised = {
        "name": name,
        "logicalType": _LOGICAL_TYPES.get(base_type, base_type),
        "physicalType": column.type,
        "unique": list(key) == [name],
        "description": column.description,
    }
    if name in key:
        promised["primaryKey"] = True
        promised["primaryKeyPosition"] = list(key).index(name) + 1
    if column.unit:
        promised["customProperties"] = [{"property": "unit", "value": column.unit}]
    return promised


def _service_levels(declared: DeclaredReport) -> list[dict[str, Any]]:
    dag: Any = declared.dag
    final_after = dag.timetable.delay + declared.report.late_by
    frequency = {
        "property": "frequency",
        "value": 1,
        "unit": declared.cadence.noun,
        "element": dag.dag_id,
    }
    latency = {
        "property": "latency",
        "value": round(final_after / _HOUR, 3),
        "unit": "h",
        "description": "of the final rows",
        "element": dag.dag_id,
    }
    availability = {
        "property": "generalAvailability",
        "value": _local_date(dag.start_date, declared),
        "element": dag.dag_id,
    }
    return [frequency, latency, availability]
