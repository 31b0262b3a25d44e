"""The rules for the files in dags/.

A rule returns what breaks it, one text per finding; its docstring says why it is there.
"""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest import mock

import time_machine
from airflow.models.connection import Connection as ModelsConnection
from airflow.models.variable import Variable as ModelsVariable
from airflow.sdk import BaseHook, Connection, Variable
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports.inputs.published import Published
from athena_reports.periods.calendar import Period
from athena_reports.reports.canonical import UnreadableError
from athena_reports.reports.logic_digest import transforms_digest
from athena_reports.workflows.dag_files import dag_files
from athena_reports_cli.authoring.dry_run import Judge, Verdict
from athena_reports_cli.authoring.report_files import (
    Declared,
    DeclaredReport,
    ImportedFile,
    find_dags,
    import_file,
)
from athena_reports_cli.local.project import Project

_EARLIER = datetime(2021, 3, 1, 11, tzinfo=UTC)
_LATER = datetime(2033, 11, 6, 23, 59, tzinfo=UTC)


def _not_judged(_declared: DeclaredReport, _period: Period) -> Verdict:
    return Verdict(outcome="valid")


class ParsedFile(NamedTuple):
    """A DAG file as it is parsed at some moment, and what it has asked for meanwhile."""

    imported: ImportedFile
    asked: set[str]

    def stored(self) -> str:
        """Return what Airflow would store of the DAGs."""
        dags = sorted(self.imported.dags, key=lambda dag: dag.dag_id)
        return json.dumps(
            [DagSerialization.to_dict(dag) for dag in dags], sort_keys=True, default=str
        )


@dataclass(eq=False)
class Repository:
    """The files of a project, and the reports among them that are checked."""

    project: Project
    names: Sequence[str] = ()  # of reports or DAGs; empty for all
    judge: Judge = _not_judged  # makes a dry run of a report

    @property
    def root(self) -> Path:
        """The folder of the project."""
        return self.project.root

    @cached_property
    def parsed(self) -> Mapping[Path, ParsedFile]:
        """The files that Airflow reads."""
        return {
            file: _parse(file, _EARLIER)
            for file in dag_files(self.project.dags)
            if _has_airflow(file)
        }

    @cached_property
    def declared(self) -> Declared:
        """The reports of all files, and the files that cannot be imported."""
        return Declared.of([file.imported for file in self.parsed.values()])

    @cached_property
    def all_reports(self) -> Mapping[str, DeclaredReport]:
        """The reports of all files, by the ids of their DAGs."""
        return {declared.dag.dag_id: declared for declared in self.declared.reports}

    @cached_property
    def reports(self) -> Mapping[str, DeclaredReport]:
        """The reports that are checked, by the ids of their DAGs.

        UnknownReportError if there is no report or DAG of one of the names.
        """
        if not self.names:
            return self.all_reports
        return {
            declared.dag.dag_id: declared
            for name in self.names
            for declared in find_dags(name, self.declared)
        }

    @property
    def files(self) -> list[Path]:
        """The files that are checked."""
        if not self.names:
            return list(self.parsed)
        return list({Path(declared.dag.fileloc): None for declared in self.reports.values()})


Rule = Callable[[Repository], list[str]]


def _has_airflow(file: Path) -> bool:
    return b"airflow" in file.read_bytes().lower()


def _parse(file: Path, moment: datetime) -> ParsedFile:
    with time_machine.travel(moment, tick=False), _nothing_to_ask() as asked:
        return ParsedFile(import_file(file), asked)


def every_file_can_be_imported(repository: Repository) -> list[str]:
    """Airflow neither shows nor runs the DAGs of a file that it cannot import."""
    return [
        broken.problem
        for broken in repository.declared.broken_files
        if broken.path in repository.files
    ]


def every_report_is_found(repository: Repository) -> list[str]:
    """Airflow skips files that do not contain the word "airflow"."""
    if repository.names:
        return []
    findings = []
    for file in dag_files(repository.project.dags):
        if b"build_dag" not in file.read_bytes():
            continue
        parsed = repository.parsed.get(file)
        if parsed is None:
            findings.append(
                f"{file.name}: Airflow skips this file. Mention Airflow in its docstring."
            )
        elif not parsed.imported.reports and not parsed.imported.reason:
            findings.append(
                f"{file.name}: this file has no report. If other files import it, add it to"
                " dags/.airflowignore."
            )
    return findings


def dag_ids_are_unique(repository: Repository) -> list[str]:
    """If several DAGs have the same id, Airflow alternates between them."""
    dags = [dag.dag_id for parsed in repository.parsed.values() for dag in parsed.imported.dags]
    return [
        f"{dag_id}: {number} DAGs have this id. Rename one."
        for dag_id, number in Counter(dags).items()
        if number > 1
    ]


def every_report_has_an_owner(repository: Repository) -> list[str]:
    """Readers need a contact for the numbers; Airflow's default owner is a placeholder."""
    return [
        f"{dag_id}: the report has no owner. Set owner=."
        for dag_id, declared in repository.reports.items()
        if declared.report.owner == "airflow"
    ]


def every_logic_is_known(repository: Repository) -> list[str]:
    """If a transform cannot be read, editing it does not mark published periods as outdated."""
    findings = []
    for declared in repository.reports.values():
        report = declared.report
        try:
            transforms_digest(report.transforms, report.logic_version)
        except UnreadableError as error:
            findings.append(
                f'{report.name}: {error}. Set Report(logic_version="1"), and increase it whenever'
                " a transform changes the rows."
            )
    return list(dict.fromkeys(findings))  # the DAGs of a report share its transforms


def parsing_asks_for_nothing(repository: Repository) -> list[str]:
    """Airflow parses each file every minute, and must get the same DAGs each time.

    Do not use services, Variables, connections or the clock while a file is parsed.
    """
    findings = []
    for file in repository.files:
        parsed = repository.parsed[file]
        findings += [f"{file.name}: {what} while it is parsed." for what in sorted(parsed.asked)]
        if parsed.stored() != _parse(file, _LATER).stored():
            findings.append(
                f"{file.name}: depends on the current date. Take dates from the period."
            )
    return findings


def reports_that_are_read_are_published(repository: Repository) -> list[str]:
    """A run would fail if it reads what no report publishes."""
    findings = []
    for dag_id, declared in repository.reports.items():
        for source in declared.report.inputs:
            read = repository.all_reports.get(source.table)
            if not isinstance(source, Published) or read is None:  # the dry run names it
                continue
            if read.cadence != source.cadence:
                findings.append(
                    f"{dag_id}: {source.table} is published {read.cadence.description}, but the"
                    f" input declares {source.cadence.description}. Use the cadence of its"
                    " build_dag."
                )
            if not read.report.has_table:
                findings.append(
                    f"{dag_id}: {source.table} publishes no table to read. Add Parquet to the"
                    " outputs= of that report."
                )
    return findings


@contextmanager
def _nothing_to_ask() -> Iterator[set[str]]:
    """Refuse whatever a file asks for, and say what it was; a file may swallow the refusal."""
    asked: set[str] = set()

    def refuse(what: str) -> Callable[..., NoReturn]:
        def refused(*_: Any, **__: Any) -> NoReturn:
            asked.add(what)
            raise OSError(f"refused: the DAG file {what} while it is parsed")

        return refused

    with ExitStack() as stack:
        for owner, name, what in [
            (socket.socket, "connect", "calls a service"),
            (socket.socket, "connect_ex", "calls a service"),
            (socket, "getaddrinfo", "calls a service"),
            (Variable, "get", "reads a Variable"),
            (ModelsVariable, "get", "reads a Variable"),
            (Connection, "get", "reads a connection"),
            (ModelsConnection, "get_connection_from_secrets", "reads a connection"),
            (BaseHook, "get_connection", "reads a connection"),
        ]:
            stack.enter_context(mock.patch.object(owner, name, refuse(what)))
        yield asked


RULES: list[Rule] = [
    every_file_can_be_imported,
    every_report_is_found,
    dag_ids_are_unique,
    every_report_has_an_owner,
    every_logic_is_known,
    parsing_asks_for_nothing,
    reports_that_are_read_are_published,
]
