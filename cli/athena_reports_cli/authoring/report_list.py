"""The reports of a project: what the command `list` shows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.tables import rows_table
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
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        listed = threads.map(partial(_listed, aws=aws), dags)
        return ReportList(reports=tuple(sorted(listed, key=lambda report: report.dag_id)))


def _listed(declared: DeclaredReport, *, aws: Aws | None) -> ListedReport:
    dag: Any = declared.dag
    published = declared.published_periods(aws.glue) if aws else {}
    return ListedReport(
        report=declared.report.name,
        dag_id=dag.dag_id,
        cadence=declared.cadence.unit,
        schedule=dag.timetable.summary,
        owner=declared.report.owner,
        last_published=max(published).id if published else None,
    )


def show(result: ReportList, console: Console) -> None:
    """Print the reports for a person."""
    rows = [
        (listed.dag_id, listed.schedule, listed.owner, listed.last_published or "")
        for listed in result.reports
    ]
    console.print(rows_table(["DAG", "schedule", "owner", "last published"], rows))
