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
    """The periods of a DAG that are due or published, oldest first, and its logic of today.

    The problems are why it cannot publish there, and a sentence about each partition of its table
    that is of none of its periods, or that cannot be read.
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
    table = declared.table(aws.glue)
    coverage = period_coverage(
        dag.timetable,
        table.published_periods() if table is not None else {},
        runs={},
        since=dag.start_date,
        until=dag.end_date,
        now=datetime.now(UTC),
        logic=declared.report.logic,
        published_of=partial(_published_of, declared, aws),
    )
    conflict = conflict_in_folder(declared.location, declared.calendar, aws.s3)
    return Status(
        dag_id=dag.dag_id,
        logic=declared.report.logic,
        periods=tuple(_period_status(cell) for cell in coverage.cells),
        problems=tuple(filter(None, [conflict, *coverage.problems])),
    )


def _published_of(declared: DeclaredReport, aws: Aws, table: str) -> Mapping[str, PartitionFacts]:
    """Return the facts of each partition of a report that this one reads, by period id."""
    for source in declared.report.inputs:
        if isinstance(source, Published) and source.table == table:
            location = ReportLocation.of(settings().report_bucket, source.report, source.cadence)
            return Table(source.database, location, aws.glue).published_periods()
    return {}  # it reads that report no more, and so is outdated


def _period_status(cell: Cell) -> PeriodStatus:
    published = cell.published
    return PeriodStatus(
        period=cell.period.id,
        states=tuple(cell.states),
        version=published.version if published else "",
        logic=published.logic if published else "",
    )


def show(all_status: Sequence[Status], console: Console) -> None:
    """Print how many periods are in which state, the ids of those to act on, and the problems."""
    for dag_status in all_status:
        title = f"{dag_status.dag_id}, logic {dag_status.logic}"
        console.print(f"{title}: {_counts(dag_status.periods)}", soft_wrap=True)
        for state in _STATES_WITH_IDS:
            ids = [period.period for period in dag_status.periods if state in period.states]
            if ids:
                console.print(f"{state}: {', '.join(ids)}", soft_wrap=True)
        for problem in dag_status.problems:
            console.print(problem, style="red", markup=False, highlight=False, soft_wrap=True)


def _counts(periods: Sequence[PeriodStatus]) -> str:
    """Return how many periods there are, and how many have each state as their first one."""
    if not periods:
        return "no periods"
    number_of_state = Counter(period.states[0] for period in periods)
    counts = [f"{number_of_state[state]} {state}" for state in State if number_of_state[state]]
    return ", ".join([counted(len(periods), "period"), *counts])
