"""Which periods of a report are published, and which of them by other logic than today's."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from athena_reports.authors.declared import DeclaredReport
from athena_reports.authors.trial import Aws
from athena_reports.page.coverage import period_coverage
from athena_reports.publication.glue_table import Table


class PeriodStatus(BaseModel, frozen=True):
    """A period, its states as the Reports page names them, and the version that is current."""

    period: str
    states: tuple[str, ...]
    version: str = ""
    logic: str = ""


class Status(BaseModel, frozen=True):
    """Every period of a report, oldest first. Runs are not known here, only what is published."""

    dag_id: str
    logic: str
    periods: tuple[PeriodStatus, ...]


def status(declared: DeclaredReport, aws: Aws) -> Status:
    """Return the state of every period that is due or published; a report without a table has no published ones."""
    dag: Any = declared.dag
    database = declared.database
    partitions = Table(database, declared.location, aws.glue).partitions() if database else {}
    found = {period_id: partition.parameters for period_id, partition in partitions.items()}
    where = {"until": dag.end_date, "logic": declared.logic}
    cells = period_coverage(dag.timetable, found, {}, since=dag.start_date, now=datetime.now(UTC), **where).cells
    periods = (
        PeriodStatus(
            period=cell.period.id,
            states=tuple(cell.states),
            version=cell.published.version if cell.published else "",
            logic=cell.published.logic if cell.published else "",
        )
        for cell in cells
    )
    return Status(dag_id=dag.dag_id, logic=declared.logic, periods=tuple(periods))


def show(found: Status, console: Console) -> None:
    """Print how many periods are in which state, and the ids of those that are outdated, stale or broken."""
    counts = Counter(state for each in found.periods for state in each.states)
    said = ", ".join(f"{number} {state}" for state, number in counts.items())
    console.print(f"{found.dag_id}, logic {found.logic}: {said}", soft_wrap=True)
    for state in ("outdated", "stale", "broken"):
        if ids := [each.period for each in found.periods if state in each.states]:
            console.print(f"{state}: {', '.join(ids)}", soft_wrap=True)
