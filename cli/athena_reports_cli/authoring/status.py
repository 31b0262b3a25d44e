"""Which periods of a report are published, and which of them by other logic than today's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from athena_reports.inputs.published import Published
from athena_reports.page.coverage import Cell, State, period_coverage
from athena_reports.publication.folder import conflict_in_folder
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.settings import settings
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.words import counted

# The states after which something has to be done, so their periods are named one by one.
_STATES_WITH_IDS = (State.OUTDATED, State.STALE, State.BROKEN)


class PeriodStatus(BaseModel, frozen=True):
    """A period, its states as the Reports page names them, and the version that is current."""

    period: str
    states: tuple[str, ...]
    version: str = ""
    logic: str = ""


class Status(BaseModel, frozen=True):
    """Every period of a report, oldest first. Runs are not known here, only what is published.

    Attributes:
        dag_id: The report's DAG.
        logic: The digest of what makes its rows today.
        periods: Those that are due or published.
        problems: Why it cannot publish there, and a sentence about each partition of its table that
            is of none of its periods, or that cannot be read.
    """

    dag_id: str
    logic: str
    periods: tuple[PeriodStatus, ...]
    problems: tuple[str, ...]


def status(declared: DeclaredReport, aws: Aws) -> Status:
    """Return the state of every period that is due or published.

    Of a report without a table no period is known to be published.
    """
    dag: Any = declared.dag
    coverage = period_coverage(
        dag.timetable,
        _published_periods(declared, aws),
        runs={},
        since=dag.start_date,
        until=dag.end_date,
        now=datetime.now(UTC),
        logic=declared.logic,
        versions_of=partial(_versions, declared, aws),
    )
    problems = list(coverage.problems)
    conflict = conflict_in_folder(declared.location, declared.calendar, aws.s3)
    if conflict:
        problems.insert(0, conflict)
    periods = tuple(_period_status(cell) for cell in coverage.cells)
    return Status(
        dag_id=dag.dag_id,
        logic=declared.logic,
        periods=periods,
        problems=tuple(problems),
    )


def _versions(declared: DeclaredReport, aws: Aws, table: str) -> dict[str, str]:
    """Return the present versions of a report that this one reads, by period id."""
    for source in declared.report.inputs:
        if isinstance(source, Published) and source.table == table:
            location = ReportLocation.of(settings().report_bucket, source.report, source.cadence)
            published = Table(source.database, location, aws.glue).published_periods()
            return {period_id: facts.version for period_id, facts in published.items()}
    return {}  # it reads that report no more, and so is outdated


def _published_periods(declared: DeclaredReport, aws: Aws) -> Mapping[str, PartitionFacts]:
    """Return the facts of each partition of the report's table, by period id."""
    if declared.database is None:
        return {}
    return Table(declared.database, declared.location, aws.glue).published_periods()


def _period_status(cell: Cell) -> PeriodStatus:
    period_id = cell.period.id
    states = tuple(cell.states)
    if cell.published is None:
        return PeriodStatus(period=period_id, states=states)
    return PeriodStatus(
        period=period_id,
        states=states,
        version=cell.published.version,
        logic=cell.published.logic,
    )


def show(report_status: Status, console: Console) -> None:
    """Print how many periods are in which state, and all that needs something done.

    That is the ids of some periods, and the problems.
    """
    counts = _counts(report_status.periods)
    console.print(f"{report_status.dag_id}, logic {report_status.logic}: {counts}", soft_wrap=True)
    for state in _STATES_WITH_IDS:
        ids = [period.period for period in report_status.periods if state in period.states]
        if ids:
            console.print(f"{state}: {', '.join(ids)}", soft_wrap=True)
    for problem in report_status.problems:
        console.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)


def _counts(periods: Sequence[PeriodStatus]) -> str:
    """Return how many periods there are, and how many have each state as their first one."""
    if not periods:
        return "no periods"
    number_of_state = Counter(period.states[0] for period in periods)
    counts = [f"{number_of_state[state]} {state}" for state in State if number_of_state[state]]
    return ", ".join([counted(len(periods), "period"), *counts])
