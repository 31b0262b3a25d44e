"""A report as its readers see it: as Markdown, and as a data contract of the Open Data Contract Standard (ODCS) 3.1."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

import boto3
import yaml  # type: ignore[import-untyped]

from athena_reports.authors.declared import DeclaredReport
from athena_reports.settings import settings

_MARKUP = re.compile(r"([\\`*\[\]|])")
_LOGICAL = {"tinyint": "integer", "smallint": "integer", "int": "integer", "bigint": "integer"}
_LOGICAL |= {"float": "number", "double": "number", "decimal": "number", "binary": "string"}
_LOGICAL |= {"map": "object", "struct": "object"}  # the other types have the same name


def markdown(dags: Sequence[DeclaredReport]) -> str:
    """Return what a report counts, when, from what, and where it is published."""
    first = dags[0]
    inputs, columns, checks = first.query.inputs, first.recipe.columns, first.recipe.checks
    parts = [
        (first.dag.doc_md or f"# {first.recipe.report}").strip(),
        "## Published",
        f"Owner: {_cell(first.dag.owner)}. Formats: {', '.join(first.recipe.formats)}. Events may land {_late(first)}.",
        _table(["DAG", "schedule", "since", "until", "table", "objects"], map(_published, dags)),
        "## Inputs" if inputs else "",
        _table(
            ["table", "partitioned by", "dated in", "if one is missing"],
            ([each.table, ", ".join(each.columns), each.zone, each.missing] for each in inputs),
        ),
        "## Columns" if columns else "",
        _table(
            ["column", "type", "unit", "meaning"],
            ([name, each.type, each.unit, each.description] for name, each in columns.items()),
        ),
        "## Checks" if checks else "",
        _table(["check", "if it does not hold"], ([each.name, each.severity] for each in checks)),
    ]
    return "\n\n".join(filter(None, parts))


def contract(dags: Sequence[DeclaredReport]) -> str:
    """Return the data contract as YAML; its version is a digest of what it promises."""
    names, first = settings(), dags[0]
    common = {"environment": names.environment}
    servers: list[dict[str, Any]] = [
        {"server": each.dag.dag_id, "type": "s3", **common, "location": each.prefix} for each in dags
    ]
    if names.query_results and any(each.recipe.database for each in dags):
        athena = {"server": "athena", "type": "athena", **common, "stagingDir": names.query_results}
        region = boto3.Session().region_name
        servers.append(athena | {"schema": names.report_database} | ({"regionName": region} if region else {}))
    promised = {
        "description": {"purpose": (first.dag.doc_md or first.recipe.report).strip()},
        "team": {"name": first.dag.owner},
        "servers": servers,
        "schema": [_object(each) for each in dags],
        "slaProperties": [line for each in dags for line in _service_levels(each)],
    }
    version = hashlib.sha256(yaml.safe_dump(promised).encode()).hexdigest()[:12]
    named = {"apiVersion": "v3.1.0", "kind": "DataContract", "name": first.recipe.report}
    named |= {"id": f"athena-reports:{names.report_bucket}:{first.recipe.report}", "version": version}
    contract = named | {"status": "active"} | promised
    return str(yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120)).rstrip()


def _published(each: DeclaredReport) -> list[str]:
    dag: Any = each.dag
    days = [_date(each, day) if day else "" for day in (dag.start_date, dag.end_date)]
    table = f"{each.recipe.database}.{dag.dag_id}" if each.recipe.database else "none"
    return [dag.dag_id, dag.timetable.summary, *days, table, each.prefix]


def _date(each: DeclaredReport, at: datetime) -> str:
    return at.astimezone(each.cadence.zone).date().isoformat()


def _late(each: DeclaredReport) -> str:
    late_by = each.query.late_by
    if not late_by:
        return "no later than their period ends"
    return f"{late_by / timedelta(hours=1):g} hours late; until then a period is provisional"


def _object(each: DeclaredReport) -> dict[str, Any]:
    columns = [
        {"name": name, "logicalType": _logical(column.type), "physicalType": column.type}
        | ({"unique": True} if each.key == (name,) else {})
        | {"description": column.description}
        | ({"customProperties": [{"property": "unit", "value": column.unit}]} if column.unit else {})
        for name, column in each.recipe.columns.items()
    ]
    period = {"name": "period", "logicalType": "string", "physicalType": "string", "partitioned": True}
    period |= {"partitionKeyPosition": 1, "description": f"Id of the {each.cadence.noun}."}
    kind, last = ("table", [period]) if each.recipe.database else ("file", [])
    severity = {"fail": "error", "warn": "warning"}
    return {
        "name": each.dag.dag_id,
        "logicalType": "object",
        "physicalType": kind,
        "description": each.cadence.description,
        "properties": [*columns, *last],
        "quality": [
            {"name": check.name, "type": "text", "severity": severity[check.severity]} for check in each.recipe.checks
        ],
    }


def _logical(kind: str) -> str:
    base = re.split(r"[(<]", kind)[0]
    return _LOGICAL.get(base, base)


def _service_levels(each: DeclaredReport) -> list[dict[str, Any]]:
    dag: Any = each.dag
    hours = (dag.timetable.delay + each.query.late_by) / timedelta(hours=1)
    levels = [{"property": "frequency", "value": 1, "unit": each.cadence.noun}]
    levels += [{"property": "latency", "value": round(hours, 3), "unit": "h", "description": "of the final rows"}]
    levels += [{"property": "generalAvailability", "value": _date(each, dag.start_date)}]
    return [level | {"element": dag.dag_id} for level in levels]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(map(_cell, row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *lines]) if lines else ""


def _cell(text: str) -> str:
    """Return a text as one cell, whatever it holds."""
    return _MARKUP.sub(r"\\\1", escape(" ".join(text.split()), quote=False))
