"""What holds for the DAGs of this repository, as functions of a folder that has been parsed.

Rules about the contract of a report hold for the DAGs with its tag, the others for every DAG. Each rule
returns what breaks it, one line per finding, naming the file or the DAG: no finding, no problem.
"""

from __future__ import annotations

import json
import re
import runpy
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import time_machine
from airflow.dag_processing.dagbag import DagBag
from airflow.models.connection import Connection as ModelsConnection
from airflow.models.variable import Variable as ModelsVariable
from airflow.sdk import DAG, BaseHook, Connection, Variable
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.file import list_py_file_paths

from athena_reports.periods.timetable import PeriodTimetable

STEPS = ["run_query", "wait_for_query", "transform", "publish"]
SECTIONS = ["Schedule", "Input", "Rerun", "Permissions"]
TAG = "athena-report"
MAINTENANCE_TAG = "athena-reports-maintenance"

_MOMENTS = [datetime(2021, 3, 1, 11, tzinfo=UTC), datetime(2033, 11, 6, 23, 59, tzinfo=UTC)]


@dataclass(frozen=True)
class ParsedFolder:
    """A folder of DAG files, each parsed on its own, as Airflow's DAG processor does it."""

    path: Path

    @cached_property
    def files(self) -> list[Path]:
        """The files that Airflow looks at; what .airflowignore names is not among them."""
        paths = list_py_file_paths(self.path, safe_mode=False)
        return sorted(Path(path) for path in paths)

    @cached_property
    def bags(self) -> Mapping[Path, DagBag]:
        """What each file holds."""
        return {file: _parsed(file) for file in self.files}

    @property
    def dags(self) -> list[DAG]:
        """All DAGs; two may have the same id."""
        return [dag for bag in self.bags.values() for dag in bag.dags.values()]

    @property
    def reports(self) -> list[DAG]:
        """The DAGs of reports."""
        return [dag for dag in self.dags if TAG in dag.tags]


def _parsed(file: Path) -> DagBag:
    bag: Any = DagBag(file, collect_dags=False)
    bag.process_file(str(file), only_if_updated=False, safe_mode=True)
    found: DagBag = bag
    return found


Rule = Callable[[ParsedFolder], list[str]]


def there_are_reports(folder: ParsedFolder) -> list[str]:
    """So that no other rule holds because there is nothing to hold for."""
    return [] if folder.reports else [f"{folder.path}: there is no report at all."]


def every_file_can_be_imported(folder: ParsedFolder) -> list[str]:
    return [
        f"{file.name}: {error.strip().splitlines()[-1]}"
        for file, bag in folder.bags.items()
        for error in bag.import_errors.values()
    ]


def every_file_holds_dags(folder: ParsedFolder) -> list[str]:
    """With safe mode on, which leaves out a file that does not speak of Airflow and DAGs."""
    return [f"{file.name}: Airflow finds no DAG in it." for file, bag in folder.bags.items() if not bag.dags]


def dag_ids_are_unique(folder: ParsedFolder) -> list[str]:
    """Across files and within one: Airflow would silently take one of them."""
    times: Counter[str] = Counter()
    for file, bag in folder.bags.items():
        found = {} if bag.import_errors else runpy.run_path(str(file))
        declared = [dag.dag_id for dag in {id(dag): dag for dag in found.values() if isinstance(dag, DAG)}.values()]
        times.update([*declared, *(bag.dags.keys() - set(declared))])
    return [f"{dag_id}: {number} DAGs have this id." for dag_id, number in times.items() if number > 1]


def every_dag_is_documented(folder: ParsedFolder) -> list[str]:
    return [
        f"{dag.dag_id}: its documentation has no section {section!r}."
        for dag in folder.dags
        for section in SECTIONS
        if not re.search(rf"^(#+ *|\*\*){section}\b", dag.doc_md or "", re.MULTILINE)
    ]


def every_dag_has_an_owner(folder: ParsedFolder) -> list[str]:
    """Airflow's default names nobody: a report must name who is asked about its numbers."""
    return [
        f"{dag.dag_id}: the task {task.task_id!r} has no owner."
        for dag in folder.dags
        for task in dag.tasks
        if task.owner in ({"", "airflow"} if TAG in dag.tags else {""})
    ]


def every_report_is_scheduled_by_periods_of_a_zone(folder: ParsedFolder) -> list[str]:
    return [
        f"{dag.dag_id}: its timetable, a {type(dag.timetable).__name__}, has no periods in a time zone."
        for dag in folder.reports
        if not isinstance(dag.timetable, PeriodTimetable)
    ]


def every_dag_says_by_its_tag_what_it_is(folder: ParsedFolder) -> list[str]:
    """So that none escapes the contract of a report by forgetting to say that it is one."""
    return [
        f"{dag.dag_id}: it must have one of the tags {TAG!r} and {MAINTENANCE_TAG!r}."
        for dag in folder.dags
        if len({TAG, MAINTENANCE_TAG} & dag.tags) != 1
    ]


def every_report_is_named_after_itself_and_its_cadence(folder: ParsedFolder) -> list[str]:
    findings = []
    for dag in folder.reports:
        report = getattr(dag.task_dict.get("publish"), "report", None)
        cadence = getattr(getattr(dag.timetable, "cadence", None), "name", None)
        if dag.dag_id != f"{report}_{cadence}":
            findings.append(f"{dag.dag_id}: it is no DAG of the report {report!r}, cadence {cadence!r}.")
    return findings


def every_report_has_the_steps_in_their_order(folder: ParsedFolder) -> list[str]:
    """Others may stand between them."""
    findings = []
    for dag in folder.reports:
        steps = [step for step in STEPS if step in dag.task_dict]
        if steps != STEPS:
            findings.append(f"{dag.dag_id}: its steps are {sorted(dag.task_ids)}, without some of {STEPS}.")
            continue
        for before, after in pairwise(STEPS):
            if after not in dag.task_dict[before].get_flat_relative_ids(upstream=False):
                findings.append(f"{dag.dag_id}: {after!r} does not wait for {before!r}.")
    return findings


def parsing_asks_for_nothing(folder: ParsedFolder) -> list[str]:
    """No service, no Variable, no connection, and no clock: a file means the same on every day."""
    findings = []
    for file in folder.files:
        (one, asked), (other, _) = (_serialised_at(file, moment) for moment in _MOMENTS)
        findings += [f"{file.name}: it asks for {what} while it is parsed." for what in sorted(asked)]
        if one != other:
            findings.append(f"{file.name}: on another day it is another DAG.")
    return findings


def _serialised_at(file: Path, moment: datetime) -> tuple[str, set[str]]:
    """What Airflow would store of a file's DAGs, had it been parsed at some moment, and what it asked for."""
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


RULES: list[Rule] = [
    there_are_reports,
    every_file_can_be_imported,
    every_file_holds_dags,
    dag_ids_are_unique,
    every_dag_is_documented,
    every_dag_has_an_owner,
    every_dag_says_by_its_tag_what_it_is,
    every_report_is_scheduled_by_periods_of_a_zone,
    every_report_is_named_after_itself_and_its_cadence,
    every_report_has_the_steps_in_their_order,
    parsing_asks_for_nothing,
]
