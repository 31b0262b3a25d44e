"""The rules for the files in dags/.

A rule returns what breaks it, one text per finding; its docstring says why it is there.
"""

from __future__ import annotations

import json
import re
import runpy
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import time_machine
from airflow.dag_processing.dagbag import DagBag
from airflow.models.connection import Connection as ModelsConnection
from airflow.models.variable import Variable as ModelsVariable
from airflow.sdk import DAG, BaseHook, Connection, Variable
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports.maintenance.dags import CleanupDag
from athena_reports.periods.calendar import Period
from athena_reports.reports.canonical import UnreadableError
from athena_reports.reports.logic_digest import transforms_digest
from athena_reports.workflows.dag_files import dag_files
from athena_reports.workflows.report_dag import BuiltDag
from athena_reports_cli.authoring.dry_run import Judge, Verdict
from athena_reports_cli.authoring.report_files import (
    BrokenFile,
    Declared,
    DeclaredReport,
    find_dags,
)
from athena_reports_cli.local.project import Project

SECTIONS = ["Schedule", "Input", "Rerun", "Permissions"]

_EARLIER = datetime(2021, 3, 1, 11, tzinfo=UTC)
_LATER = datetime(2033, 11, 6, 23, 59, tzinfo=UTC)


def _not_judged(_declared: DeclaredReport, _period: Period) -> Verdict:
    return Verdict(outcome="valid")


@dataclass(eq=False)
class Repository:
    """The files of a project; each DAG file is parsed alone, as by Airflow's DAG processor.

    Attributes:
        project: Where they are.
        names: The reports or DAGs that are checked; empty for all.
        judge: Makes a dry run of a report.
    """

    project: Project
    names: Sequence[str] = ()
    judge: Judge = _not_judged

    @property
    def root(self) -> Path:
        """The folder of the project."""
        return self.project.root

    @cached_property
    def all_bags(self) -> Mapping[Path, DagBag]:
        """What each file holds that Airflow looks at: .airflowignore names the others."""
        return {file: _parsed(file) for file in dag_files(self.project.dags)}

    @cached_property
    def all_reports(self) -> Mapping[str, BuiltDag]:
        """The DAGs of the reports of all files that can be imported, by id."""
        return {
            dag.dag_id: dag
            for bag in self.all_bags.values()
            if not bag.import_errors
            for dag in bag.dags.values()
            if isinstance(dag, BuiltDag)
        }

    @cached_property
    def bags(self) -> Mapping[Path, DagBag]:
        """What the files hold that are checked."""
        if not self.names:
            return self.all_bags
        files = {Path(dag.fileloc) for dag in self.reports.values()}
        return {file: bag for file, bag in self.all_bags.items() if file in files}

    @property
    def files(self) -> list[Path]:
        """The files that are checked."""
        return list(self.bags)

    @property
    def imported(self) -> Mapping[Path, DagBag]:
        """What the files hold that can be imported: the others break one rule, not all of them."""
        return {file: bag for file, bag in self.bags.items() if not bag.import_errors}

    @cached_property
    def reports(self) -> Mapping[str, BuiltDag]:
        """The DAGs of the reports that are checked, by id.

        Raises:
            UnknownReportError: There is no report or DAG of one of the names.
        """
        if not self.names:
            return self.all_reports
        broken = [
            BrokenFile(file, error.strip().splitlines()[-1])
            for file, bag in self.all_bags.items()
            for error in bag.import_errors.values()
        ]
        declared = Declared([DeclaredReport(dag) for dag in self.all_reports.values()], broken)
        return {
            found.dag.dag_id: found.dag
            for name in self.names
            for found in find_dags(name, declared)
        }

    @property
    def cleanups(self) -> list[CleanupDag]:
        """The DAGs that remove old versions: one, or none."""
        bags = [bag for bag in self.all_bags.values() if not bag.import_errors]
        dags = [dag for bag in bags for dag in bag.dags.values()]
        return [dag for dag in dags if isinstance(dag, CleanupDag)]


Rule = Callable[[Repository], list[str]]


def _parsed(file: Path) -> DagBag:
    bag: Any = DagBag(file, collect_dags=False)
    bag.process_file(str(file), only_if_updated=False, safe_mode=True)
    parsed: DagBag = bag
    return parsed


def every_file_can_be_imported(repository: Repository) -> list[str]:
    """Airflow shows no DAG of a file that fails, and runs none."""
    findings = []
    for file, bag in repository.bags.items():
        for error in bag.import_errors.values():
            places = re.findall(rf'File "{re.escape(str(file))}", line (\d+)', error)
            problem = error.strip().splitlines()[-1]
            if not places:
                findings.append(f"{file.name}: {problem}")
                continue
            lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
            line = _line_of_field(problem, lines, int(places[-1]))
            # The line itself tells which report it is, where the error cannot.
            findings.append(f"{file.name}, line {line}: {problem} (`{lines[line - 1].strip()}`)")
    return findings


def _line_of_field(problem: str, lines: Sequence[str], line: int) -> int:
    """Return the line of the field that an error names, in a declaration that begins at a line."""
    field = re.search(r"field '(\w+)'", problem)
    if field is not None:
        for number in range(line, len(lines) + 1):
            if re.search(rf"\b{field[1]}=", lines[number - 1]):
                return number
    return line


def every_file_holds_dags(repository: Repository) -> list[str]:
    """Airflow skips a file that nowhere has the word "airflow", and says nothing of it."""
    ignored = repository.project.dags.relative_to(repository.root) / ".airflowignore"
    return [
        f"{file.name}: Airflow finds no DAG in it. Say in its docstring that it is for Airflow;"
        f" if it holds no DAG, name it in {ignored}."
        for file, bag in repository.imported.items()
        if not bag.dags
    ]


def dag_ids_are_unique(repository: Repository) -> list[str]:
    """Of two DAGs with one id Airflow takes either, in turn."""
    times: Counter[str] = Counter()
    for file, bag in repository.imported.items():
        # A file that Airflow does not import may end the process, as a script does.
        if not bag.dags:
            continue
        dag_of_identity = {}  # a DAG may have two names in the file
        for value in runpy.run_path(str(file)).values():
            if isinstance(value, DAG):
                dag_of_identity[id(value)] = value
        declared = [dag.dag_id for dag in dag_of_identity.values()]
        times.update(declared)
        times.update(bag.dags.keys() - set(declared))
    return [
        f"{dag_id}: {number} DAGs have this id. Rename one."
        for dag_id, number in times.items()
        if number > 1
    ]


def every_report_is_documented(repository: Repository) -> list[str]:
    """Who is called at night reads it in Airflow.

    When it runs, from what, whether to clear it, with which rights.
    """
    findings = []
    for dag in repository.reports.values():
        file = Path(dag.fileloc).name
        for section in SECTIONS:
            if re.search(rf"^(#+ *|\*\*){section}\b", dag.doc_md or "", re.MULTILINE):
                continue
            finding = f"{file}: its docstring (doc=__doc__) lacks a section **{section}.**"
            if finding not in findings:  # the DAGs of a file share its docstring
                findings.append(finding)
    return findings


def every_report_has_an_owner(repository: Repository) -> list[str]:
    """Airflow's default names nobody, and somebody is asked about the numbers."""
    return [
        f"{dag_id}: give the report an owner."
        for dag_id, dag in repository.reports.items()
        if dag.report.owner == "airflow"
    ]


def every_logic_is_known(repository: Repository) -> list[str]:
    """Of a transform that cannot be read, an edit makes no published period outdated."""
    findings = []
    for dag in repository.reports.values():
        report = dag.report
        try:
            transforms_digest(report.transforms, report.logic_version)
        except UnreadableError as error:
            findings.append(
                f'{report.name}: {error}. Write Report(logic_version="1"), and raise the number'
                " whenever a transform changes the rows."
            )
    return list(dict.fromkeys(findings))  # the DAGs of a report share its transforms


def parsing_asks_for_nothing(repository: Repository) -> list[str]:
    """Airflow parses each file every minute, and it must mean the same.

    It asks no service, Variable, connection or clock.
    """
    findings = []
    for file in repository.files:
        earlier, asked = _serialised_at(file, _EARLIER)
        later, _ = _serialised_at(file, _LATER)
        findings += [
            f"{file.name}: it asks for {what} while it is parsed." for what in sorted(asked)
        ]
        if earlier != later:
            findings.append(
                f"{file.name}: on another day it is another DAG. Take dates from the period."
            )
    return findings


def _serialised_at(file: Path, moment: datetime) -> tuple[str, set[str]]:
    """Return what Airflow would store of a file's DAGs at a moment, and what the file asked for."""
    with time_machine.travel(moment, tick=False), _nothing_to_ask() as asked:
        bag = _parsed(file)
        stored = {id: DagSerialization.to_dict(dag) for id, dag in sorted(bag.dags.items())}
    return json.dumps(stored, sort_keys=True, default=str), asked


@contextmanager
def _nothing_to_ask() -> Iterator[set[str]]:
    """Refuse whatever a file asks for, and say what it was; a file may swallow the refusal."""
    asked: set[str] = set()

    def refuse(what: str) -> Callable[..., NoReturn]:
        def refused(*_: Any, **__: Any) -> NoReturn:
            asked.add(what)
            raise OSError(f"{what} is out of reach while a DAG file is parsed")

        return refused

    with ExitStack() as stack:
        for owner, name, what in [
            (socket.socket, "connect", "a service"),
            (socket.socket, "connect_ex", "a service"),
            (socket, "getaddrinfo", "a service"),
            (Variable, "get", "a Variable"),
            (ModelsVariable, "get", "a Variable"),
            (Connection, "get", "a connection"),
            (ModelsConnection, "get_connection_from_secrets", "a connection"),
            (BaseHook, "get_connection", "a connection"),
        ]:
            stack.enter_context(mock.patch.object(owner, name, refuse(what)))
        yield asked


def corrections_find_what_they_correct(repository: Repository) -> list[str]:
    """A correction says what differs from a version that was replaced.

    The cleanup removes that one in time. Then the correction only says that there is another.
    """
    findings = []
    for cleanup in repository.cleanups:
        keep_days = cleanup.policy.keep_days
        for dag_id, dag in repository.reports.items():
            correct_within = dag.delivery_policy.correct_within
            if not dag.channels or correct_within <= timedelta(days=keep_days):
                continue
            needed_days = ceil(correct_within / timedelta(days=1))
            findings.append(
                f"{dag_id}: corrections are sent for {needed_days} days, and {cleanup.dag_id} keeps"
                f" replaced versions for {keep_days}. Write"
                f" correct_within=timedelta(days={keep_days}) or less in"
                f" {Path(dag.fileloc).name}, or RetentionPolicy(keep_days={needed_days}) in"
                f" {Path(cleanup.fileloc).name}."
            )
    return findings


RULES: list[Rule] = [
    every_file_can_be_imported,
    every_file_holds_dags,
    dag_ids_are_unique,
    every_report_is_documented,
    every_report_has_an_owner,
    every_logic_is_known,
    parsing_asks_for_nothing,
    corrections_find_what_they_correct,
]
