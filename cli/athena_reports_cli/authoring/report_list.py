"""The reports of a project: what the command `list` shows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table as Grid

from athena_reports.publication.glue_table import Table
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.trial import CALLS_AT_ONCE, Aws


class ListedReport(BaseModel, frozen=True):
    """A DAG of a report; `last_published` is None if no period is, or if that is not known."""

    report: str
    dag_id: str
    cadence: str
    schedule: str
    owner: str
    last_published: str | None


class ReportList(BaseModel, frozen=True):
    """The DAGs of all reports, by name."""

    reports: tuple[ListedReport, ...]


def list_reports(dags: Sequence[DeclaredReport], aws: Aws | None) -> ReportList:
    """Return the DAGs of reports; without services, the last published periods are not known."""
    in_order = sorted(dags, key=lambda declared: declared.dag.dag_id)
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        return ReportList(reports=tuple(threads.map(partial(_listed, aws=aws), in_order)))


def _listed(declared: DeclaredReport, *, aws: Aws | None) -> ListedReport:
    dag: Any = declared.dag
    return ListedReport(
        report=declared.report.name,
        dag_id=dag.dag_id,
        cadence=declared.cadence.unit,
        schedule=dag.timetable.summary,
        owner=declared.report.owner,
        last_published=_last_published(declared, aws),
    )


def _last_published(declared: DeclaredReport, aws: Aws | None) -> str | None:
    if aws is None or declared.database is None:
        return None
    table = Table(declared.database, declared.location, aws.glue)
    published = table.periods_of(declared.cadence)
    if not published:
        return None
    return max(published).id


def show(result: ReportList, console: Console) -> None:
    """Print the reports for a person."""
    grid = Grid()
    for header in ("DAG", "schedule", "owner", "last published"):
        grid.add_column(header, overflow="fold")
    for listed in result.reports:
        grid.add_row(listed.dag_id, listed.schedule, listed.owner, listed.last_published or "")
    console.print(grid)
