"""A report as its readers see it: as Markdown, and as a data contract of the Open Data Contract Standard (ODCS) 3.1."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

import yaml  # type: ignore[import-untyped]

from athena_reports.authors.declared import DeclaredReport
from athena_reports.reports.column import Column
from athena_reports.settings import settings

_MARKUP = re.compile(r"([\\`*\[\]|])")
_LOGICAL = {"tinyint": "integer", "smallint": "integer", "int": "integer", "bigint": "integer"}
_LOGICAL |= {"float": "number", "double": "number", "decimal": "number", "binary": "string"}
_LOGICAL |= {"map": "object", "struct": "object"}  # the other types have the same name


def markdown(dags: Sequence[DeclaredReport]) -> str:
    """Return what a report counts, when, from what, and where it is published."""
    first, recipe = dags[0], dags[0].recipe
    hours = first.query.late_by / timedelta(hours=1)
    late = f" Events may land {hours:g} hours late; until then a period is provisional." if hours else ""
    inputs = ([each.table, ", ".join(each.columns), each.zone, each.missing] for each in first.query.inputs)
    columns = ([name, each.type, each.unit, each.description] for name, each in recipe.columns.items())
    parts = [
        (first.dag.doc_md or f"# {recipe.report}").strip(),
        f"Owner: {_cell(first.dag.owner)}. Formats: {', '.join(recipe.formats)}.{late}",
        _table("Published", ["DAG", "schedule", "since", "until", "table", "objects"], map(_published, dags)),
        _table("Inputs", ["table", "partitioned by", "dated in", "if one is missing"], inputs),
        _table("Columns", ["column", "type", "unit", "meaning"], columns),
        _table("Checks", ["check", "if it does not hold"], ([each.name, each.severity] for each in recipe.checks)),
    ]
    return "\n\n".join(filter(None, parts))


def contract(dags: Sequence[DeclaredReport]) -> str:
    """Return the data contract as YAML; its version is a digest of what it promises."""
    names, first = settings(), dags[0]
    servers = [{"server": each.dag.dag_id, "type": "s3", "location": each.prefix} for each in dags]
    if names.query_results and first.recipe.database:
        athena = {"server": "athena", "type": "athena", "stagingDir": names.query_results}
        servers.append(athena | {"schema": names.report_database})
    promised = {
        "description": {"purpose": (first.dag.doc_md or first.recipe.report).strip()},
        "team": {"name": first.dag.owner},
        "servers": [each | {"environment": names.environment} for each in servers],
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


def _object(each: DeclaredReport) -> dict[str, Any]:
    severity, is_table = {"fail": "error", "warn": "warning"}, each.recipe.database is not None
    period = {"name": "period", "logicalType": "string", "physicalType": "string", "partitioned": True}
    columns = [_property(name, column, each.key) for name, column in each.recipe.columns.items()]
    checks = [{"name": one.name, "type": "text", "severity": severity[one.severity]} for one in each.recipe.checks]
    return {
        "name": each.dag.dag_id,
        "logicalType": "object",
        "physicalType": "table" if is_table else "file",
        "description": each.cadence.description,
        "properties": [*columns, *([period | {"partitionKeyPosition": 1}] if is_table else [])],
        "quality": checks,
    }


def _property(name: str, column: Column, key: Sequence[str]) -> dict[str, Any]:
    base = re.split(r"[(<]", column.type)[0]
    found = {"name": name, "logicalType": _LOGICAL.get(base, base), "physicalType": column.type}
    unit = {"customProperties": [{"property": "unit", "value": column.unit}]} if column.unit else {}
    return found | {"unique": key == (name,), "description": column.description} | unit


def _service_levels(each: DeclaredReport) -> list[dict[str, Any]]:
    dag: Any = each.dag
    hours = (dag.timetable.delay + each.query.late_by) / timedelta(hours=1)
    levels = [{"property": "frequency", "value": 1, "unit": each.cadence.noun}]
    levels += [{"property": "latency", "value": round(hours, 3), "unit": "h", "description": "of the final rows"}]
    levels += [{"property": "generalAvailability", "value": _date(each, dag.start_date)}]
    return [level | {"element": dag.dag_id} for level in levels]


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *(list(map(_cell, row)) for row in rows)]
    return "\n".join([f"## {title}", "", *(f"| {' | '.join(line)} |" for line in lines)]) if len(lines) > 2 else ""


def _cell(text: str) -> str:
    """Return a text as one cell, whatever it holds."""
    return _MARKUP.sub(r"\\\1", escape(" ".join(text.split()), quote=False))
