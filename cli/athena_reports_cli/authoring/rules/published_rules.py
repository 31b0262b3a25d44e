"""The rules for reports that read other reports (`Published`).

A rule returns what breaks it, one text per finding; its docstring says why it is there.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from athena_reports.inputs.published import Published
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.rules.dag_rules import Repository, Rule


def reports_that_are_read_are_published(repository: Repository) -> list[str]:
    """A run would fail for parts that nobody publishes."""
    findings = []
    for dag_id, declared in repository.reports.items():
        for source in _published(declared):
            read = repository.all_reports.get(source.table)
            if read is None:
                continue  # the dry run says so
            if read.cadence != source.cadence:
                findings.append(
                    f"{dag_id}: {source.table} is published {read.cadence.description}, and its"
                    f" input says {source.cadence.description}. Use the cadence of its build_dag."
                )
            if not read.report.has_table:
                findings.append(
                    f"{dag_id}: {source.table} has no table to read. Let that report publish"
                    " Parquet too (outputs=)."
                )
    return findings


def reports_do_not_read_each_other(repository: Repository) -> list[str]:
    """Each would wait for the other, and none would ever be published."""
    reads = {
        dag_id: [source.table for source in _published(declared)]
        for dag_id, declared in repository.all_reports.items()
    }
    try:
        TopologicalSorter(reads).prepare()
    except CycleError as error:
        # It names each DAG before the one that reads it.
        chain = " reads ".join(reversed(error.args[1]))
        return [f"{chain}. Let one of them read the tables instead."]
    return []


def _published(declared: DeclaredReport) -> list[Published]:
    return [source for source in declared.report.inputs if isinstance(source, Published)]


RULES: list[Rule] = [reports_that_are_read_are_published, reports_do_not_read_each_other]
