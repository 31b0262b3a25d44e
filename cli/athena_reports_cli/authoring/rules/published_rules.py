"""The rules for reports that read other reports (`Published`).

A rule returns what breaks it, one text per finding; its docstring says why it is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from athena_reports.inputs.published import Published
from athena_reports.workflows.report_dag import BuiltDag
from athena_reports_cli.authoring.rules.dag_rules import Repository, Rule


def reports_that_are_read_exist(repository: Repository) -> list[str]:
    """A run would fail for parts that nobody publishes."""
    findings = []
    for dag_id, dag in repository.reports.items():
        for source in _published(dag):
            problem = _problem(source, dag, repository.all_reports)
            if problem:
                findings.append(f"{dag_id}: it reads {source.table}, {problem}")
    return findings


def reports_do_not_read_each_other(repository: Repository) -> list[str]:
    """Each would wait for the other, and none would ever be published."""
    reads = {
        dag_id: [source.table for source in _published(dag)]
        for dag_id, dag in repository.all_reports.items()
    }
    findings = []
    in_found_cycles: set[str] = set()
    for dag_id in reads:
        if dag_id in in_found_cycles:
            continue
        cycle = _cycle_from(dag_id, reads)
        if cycle:
            in_found_cycles.update(cycle)
            chain = " reads ".join([*cycle, cycle[0]])
            findings.append(f"{chain}. Let one of them read the tables instead.")
    return findings


def _published(dag: BuiltDag) -> Iterator[Published]:
    for source in dag.report.inputs:
        if isinstance(source, Published):
            yield source


def _problem(source: Published, dag: BuiltDag, reports: Mapping[str, BuiltDag]) -> str:
    """Return why the parts of a report's periods are never published; empty if they may be."""
    read_dag = reports.get(source.table)
    if read_dag is None:
        similar = get_close_matches(source.table, reports, n=1)
        meant = f" Did you mean {similar[0]}?" if similar else ""
        return f"which is not a DAG of a report here.{meant} The DAGs: {', '.join(reports)}."
    if read_dag.cadence != source.cadence:
        return (
            f"which is published {read_dag.cadence.description}, and its input says"
            f" {source.cadence.description}. Use the cadence of its build_dag."
        )
    if not read_dag.report.has_table:
        return "which has no table. Let that report publish Parquet too (outputs=)."
    return _begins_too_late(source, dag, read_dag) or _ends_too_early(source, dag, read_dag)


def _begins_too_late(source: Published, dag: BuiltDag, read_dag: BuiltDag) -> str:
    start: Any = dag.start_date  # a report has one
    start_of_read: Any = read_dag.start_date
    first_period = dag.cadence.first_from(start)
    first_part = source.parts_of(first_period)[0]
    if first_part.start_utc >= start_of_read:
        return ""
    return (
        f"which begins with {read_dag.report.since}. The period {first_period} needs"
        f" {first_part}. Give since= of a later period, or of an earlier part."
    )


def _ends_too_early(source: Published, dag: BuiltDag, read_dag: BuiltDag) -> str:
    if read_dag.end_date is None:
        return ""
    ends = f"which ends with {read_dag.report.until}."
    if dag.end_date is None:
        return f"{ends} This report goes on. Give it until= too, or let it read another report."
    last_period = dag.cadence.containing(dag.end_date)
    last_part = source.parts_of(last_period)[-1]
    if last_part.start_utc <= read_dag.end_date:
        return ""
    return (
        f"{ends} The period {last_period} needs {last_part}. Give until= of an earlier period, or"
        " of a later part."
    )


def _cycle_from(dag_id: str, reads: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the DAGs that lead from one back to it, in order; empty if none do."""
    paths = [[dag_id]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for read in reads.get(path[-1], ()):
            if read == dag_id:
                return path
            if read not in seen:
                seen.add(read)
                paths.append([*path, read])
    return []


RULES: list[Rule] = [reports_that_are_read_exist, reports_do_not_read_each_other]
