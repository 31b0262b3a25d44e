"""Runs past periods of a report by a backfill of Airflow, through its REST API.

A backfill takes the periods that start between two instants, both included. A person names local
dates instead. So the instants are the starts of the first and of the last period. Midnights in UTC
would lose the first period in a zone east of it, and the last period in a zone west of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from rich.console import Console

from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.periods.zones import midnight
from athena_reports_cli.authoring.plan import check_folder
from athena_reports_cli.authoring.preview import expected_cost
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.start_runs import deployed_dag, start_backfill
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.client import AirflowApiError, AirflowClient
from athena_reports_cli.local.words import counted

# Failed runs are cleared and run again, runs that succeeded are left alone.
_REPROCESS = {"reprocess_behavior": "failed"}
_NAMED_PERIODS = 6  # of a longer list only the first and the last are shown


class BackfillError(AthenaReportsError):
    """These periods cannot be backfilled."""


@dataclass(frozen=True)
class BackfillPlan:
    """What a backfill of a DAG would do.

    `ordering_checks` compare with the previous period. Concurrent runs would have nothing to
    compare with, so then there is one at a time.
    """

    dag_id: str
    periods: tuple[Period, ...]  # those of the range that have ended, in order
    to_run: tuple[Period, ...]  # those that Airflow would run
    published: frozenset[str]  # the ids of all periods that are published already
    unfinished: tuple[Period, ...]  # those of the range that have not ended, and are left out
    is_paused: bool  # runs of the DAG wait until it is unpaused in Airflow
    cost: str
    ordering_checks: tuple[str, ...]

    @property
    def starts(self) -> list[datetime]:
        """The starts of the periods that Airflow would run, in order."""
        return [period.start_utc for period in self.to_run]


def plan_backfill(
    declared: DeclaredReport,
    first: date,
    last: date,
    airflow: AirflowClient,
    aws: Aws,
    now: datetime,
) -> BackfillPlan:
    """Return what a backfill would do of the periods that start in a range of local dates.

    Nothing is started. Periods without data are left out, and so are those that have not ended
    by `now`. DeploymentError, BackfillError, CalendarError or ScanLimitError if no run would start.
    """
    dag_id = declared.dag.dag_id
    deployed = deployed_dag(declared, airflow)
    active = airflow.active_backfill(dag_id)
    if active is not None:
        raise _still_active(dag_id, f"backfill {active.id}")
    check_folder(declared, aws)
    periods = periods_with_data(declared, first, last, now)
    complete = [period for period in periods if period.end_utc < now]
    to_run = []
    if complete:
        start, end = complete[0].start_utc, complete[-1].start_utc
        logical_dates = set(airflow.backfill_dates(dag_id, start, end, **_REPROCESS))
        to_run = [period for period in complete if period.start_utc in logical_dates]
    published = declared.published_periods(aws.glue)
    cost = "unknown until the first period is published"
    if published and to_run:
        cost = expected_cost(declared, to_run, published)
    return BackfillPlan(
        dag_id=dag_id,
        periods=tuple(complete),
        to_run=tuple(to_run),
        published=frozenset(period.id for period in published),
        unfinished=tuple(periods[len(complete) :]),
        is_paused=deployed["is_paused"],
        cost=cost,
        ordering_checks=tuple(
            check.name for check in declared.report.checks if check.against == "previous_period"
        ),
    )


def periods_with_data(
    declared: DeclaredReport, first: date, last: date, now: datetime
) -> list[Period]:
    """Return the periods that start in a range of dates, have begun, and have data, in order."""
    dag: Any = declared.dag  # Airflow types `start_date` as optional; a report has one
    cadence = declared.cadence
    last_date = min(last, now.astimezone(cadence.zone).date())
    first_with_data = max(first, dag.start_date.astimezone(cadence.zone).date())
    start = midnight(cadence.zone, first_with_data)
    end = midnight(cadence.zone, last_date + timedelta(days=1))
    periods = cadence.between(start, end)
    return [period for period in periods if not dag.end_date or period.start_utc <= dag.end_date]


def _still_active(dag_id: str, backfill: str) -> BackfillError:
    return BackfillError(
        f"{dag_id} already has an active {backfill}, and Airflow runs one backfill per DAG at a"
        " time. Repeat the command when its runs have ended; Airflow notices within 30 seconds."
    )


def no_period(report: str, first: date, last: date) -> BackfillError:
    """Return the error of a range in which no period of a report starts that has data."""
    return BackfillError(
        f"No period of {report} with data starts between {first} and {last}."
        " Correct the dates; the report's `since` and `until` define which dates have data."
    )


def begin(plan: BackfillPlan, airflow: AirflowClient) -> str:
    """Begin the backfill, and return what began, with a link.

    BackfillError if another one has begun meanwhile. AirflowApiError if Airflow rejected it, or did
    not respond: then it may have begun.
    """
    options: dict[str, Any] = dict(_REPROCESS)
    if plan.ordering_checks:
        options["max_active_runs"] = 1
    try:
        backfill_id = start_backfill(
            airflow, plan.dag_id, plan.starts[0], plan.starts[-1], **options
        )
    except AirflowApiError as error:
        if error.status == HTTPStatus.CONFLICT:
            raise _still_active(plan.dag_id, "backfill") from error
        raise
    link = airflow.link(f"/dags/{quote(plan.dag_id, safe='')}/backfills")
    started = f"started backfill {backfill_id} ({counted(len(plan.to_run), 'period')})"
    return f"{plan.dag_id}: {started}. See {link}"


def show(plan: BackfillPlan, console: Console) -> None:
    """Print what a backfill would do."""
    republished = [period for period in plan.to_run if period.id in plan.published]
    skipped = [period for period in plan.periods if period not in plan.to_run]
    number = f"{len(plan.to_run)} of {counted(len(plan.periods), 'period')}"
    console.print(f"{plan.dag_id}: {number} to run", soft_wrap=True)
    for label, periods in (
        ("to run", plan.to_run),
        ("of these already published, and published again", republished),
        ("skipped: Airflow already has a run", skipped),
        ("skipped: not over yet", plan.unfinished),
    ):
        if periods:
            console.print(f"  {label}: {_named(periods)}", highlight=False, soft_wrap=True)
    if plan.to_run:
        console.print(f"  queries: {plan.cost}", highlight=False, soft_wrap=True)
    if plan.to_run and plan.ordering_checks:
        order = "  one at a time, in order, because these checks compare with the previous period:"
        console.print(order, ", ".join(plan.ordering_checks), highlight=False, soft_wrap=True)
    if plan.to_run and plan.is_paused:
        problem = "  The DAG is paused: its runs wait until you unpause it in Airflow."
        console.print(problem, style="yellow", soft_wrap=True)


def _named(periods: Sequence[Period]) -> str:
    if len(periods) > _NAMED_PERIODS:
        return f"{periods[0]} to {periods[-1]} ({len(periods)})"
    return ", ".join(str(period) for period in periods)
