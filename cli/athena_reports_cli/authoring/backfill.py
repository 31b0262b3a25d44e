"""Runs past periods of a report by a backfill of Airflow, through its REST API.

A backfill takes the periods that start between two instants, both included. A person names local
dates instead. So the instants are the starts of the first and of the last period. Midnights in UTC
would lose the first period in a zone east of it, and the last period in a zone west of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import NamedTuple
from urllib.parse import quote

from rich.console import Console

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.periods.calendar import Cadence, Period, daily, monthly, quarterly, yearly
from athena_reports.settings import settings
from athena_reports_cli.authoring.airflow_api import (
    CONFLICT,
    Airflow,
    AirflowApiError,
    DeployedDag,
    active_backfill,
    begin_backfill,
    require_dag,
    runs_of_backfill,
)
from athena_reports_cli.authoring.plan import check_folder
from athena_reports_cli.authoring.preview import expected_cost
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.status import status
from athena_reports_cli.authoring.trial import Aws

_NOON = time(12)  # a midnight may not exist in the zone; noon of a date is certainly in it
_NAMED_PERIODS = 6  # of a longer list only the first and the last are shown


class BackfillError(AthenaReportsError):
    """These periods cannot be backfilled."""


class DateRange(NamedTuple):
    """The dates that a person names: one, or all of a month, a quarter or a year, at each end."""

    first: Period
    last: Period

    @property
    def first_date(self) -> date:
        """The first date."""
        return self.first.first_date

    @property
    def last_date(self) -> date:
        """The last date, inclusive."""
        return self.last.last_date


def date_range(first: str, last: str) -> DateRange:
    """Return the dates from one to another.

    Args:
        first: A date, or the id of a period, which stands for its dates.
        last: Likewise.

    Raises:
        BackfillError: One of them is neither, or the second lies before the first.
    """
    dates = DateRange(_dates_of("--from", first), _dates_of("--to", last))
    if dates.last_date < dates.first_date:
        raise BackfillError(f"--from {first} lies after --to {last}. Exchange them.")
    return dates


def _dates_of(option: str, text: str) -> Period:
    for cadence in (daily(), monthly(), quarterly(), yearly()):
        try:
            return cadence.period(text)
        except PeriodError:
            continue
    raise BackfillError(
        f"{option} {text!r} is not a date, such as 2026-11-15, nor the id of a period: a month"
        " 2026-11, a quarter 2026-Q4, or a year 2026."
    )


class ChosenPeriods(NamedTuple):
    """The periods of a DAG that start in a range of dates.

    Attributes:
        declared: The report in a cadence.
        complete: Those that have ended, in order.
        unfinished: Those that have not ended, in order. No backfill runs them.
    """

    declared: DeclaredReport
    complete: tuple[Period, ...]
    unfinished: tuple[Period, ...]


def choose_periods(declared: DeclaredReport, dates: DateRange, now: datetime) -> ChosenPeriods:
    """Return the periods of a DAG that start in a range of dates.

    Args:
        declared: The report in a cadence.
        dates: The dates, in the zone of the cadence.
        now: The instant by which a period has to have ended.

    Raises:
        BackfillError: The range reaches beyond what the report has data for, or into the future.
    """
    dag_id = declared.dag.dag_id
    since = _as_date(declared.report.since)
    until = _as_date(declared.report.until)
    cadence = declared.cadence
    today = now.astimezone(cadence.zone).date()
    if since is not None and dates.first_date < since:
        raise BackfillError(
            f"{dag_id} has data from {since} on (since), and --from is {dates.first}."
            " Begin there, or change since."
        )
    if until is not None and dates.last.first_date > until:
        raise BackfillError(
            f"{dag_id} has data up to {until} (until), and --to is {dates.last}."
            " End there, or change until."
        )
    if dates.last.first_date > today:
        raise BackfillError(
            f"--to {dates.last} lies in the future: it is {today} in {cadence.timezone}."
            f" The last complete {cadence.noun} is {cadence.last_complete(now)}."
        )
    last_date = dates.last_date
    if until is not None:
        last_date = min(last_date, until)
    complete = []
    unfinished = []
    for period in _starting(cadence, dates.first_date, last_date):
        if period.end_utc < now:
            complete.append(period)
        else:
            unfinished.append(period)
    return ChosenPeriods(declared, tuple(complete), tuple(unfinished))


def require_some(all_chosen: Sequence[ChosenPeriods], dates: DateRange) -> None:
    """Raise BackfillError if no DAG has a complete period that starts in a range of dates."""
    problems = []
    for chosen in all_chosen:
        if chosen.complete:
            return
        problems.append(none_complete(chosen, dates))
    raise BackfillError(" ".join(problems))


def none_complete(chosen: ChosenPeriods, dates: DateRange) -> str:
    """Say that no complete period of a DAG starts in a range of dates, and which is near."""
    dag_id = chosen.declared.dag.dag_id
    cadence = chosen.declared.cadence
    if chosen.unfinished:
        period = chosen.unfinished[0]
        return (
            f"{dag_id}: the {cadence.noun} {period} has not ended, it lasts to {period.last_date}."
        )
    around = cadence.containing(datetime.combine(dates.first_date, _NOON, cadence.zone))
    return (
        f"{dag_id}: no {cadence.noun} starts from {dates.first_date} to {dates.last_date}."
        f" Near are {around} and {around.next}."
    )


def _as_date(day: object) -> date | None:
    """Return `since` or `until` of a report, whose type also allows a text; None for no date."""
    if day is None:
        return None
    return date.fromisoformat(str(day))


def _starting(cadence: Cadence, first_date: date, last_date: date) -> list[Period]:
    """Return the periods whose first date is in a range."""
    period = cadence.containing(datetime.combine(first_date, _NOON, cadence.zone))
    periods = []
    while period.first_date <= last_date:
        if period.first_date >= first_date:
            periods.append(period)
        period = period.next
    return periods


@dataclass(frozen=True)
class BackfillPlan:
    """What a backfill of a DAG would do.

    Attributes:
        dag_id: The DAG.
        periods: All of its range, in order. It has at least one.
        to_run: Those that Airflow would run.
        published: The ids of those that are published already.
        unfinished: Those of the range that have not ended, and are left out.
        is_paused: Whether runs of this DAG wait until somebody unpauses it in Airflow.
        cost: What the queries will scan and cost.
        ordering_checks: The names of the checks that compare with the period before. Runs at the
            same time would have nothing to compare with, so then there is one at a time.
    """

    dag_id: str
    periods: tuple[Period, ...]
    to_run: tuple[Period, ...]
    published: frozenset[str]
    unfinished: tuple[Period, ...]
    is_paused: bool
    cost: str
    ordering_checks: tuple[str, ...]

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The starts of the first and the last period that are run. There has to be one."""
        return self.to_run[0].start_utc, self.to_run[-1].start_utc


def plan_backfill(chosen: ChosenPeriods, airflow: Airflow, aws: Aws) -> BackfillPlan:
    """Return what a backfill of a DAG would do. Nothing is started.

    Args:
        chosen: The periods. At least one is complete.
        airflow: The Airflow that is to run it.
        aws: The services that the report is published in.

    Raises:
        AirflowApiError: This Airflow has not the DAG of these files, or does not answer.
        BackfillError: The DAG has other periods in this Airflow, or no data for those that are
            chosen. Or a backfill of it is active.
        CalendarError: No run could publish the report.
        ScanLimitError: A run of a period would not start its query.
        ClientError: AWS refused a call, or did not serve it.
        BotoCoreError: Likewise, if a call was not sent or not answered.
    """
    declared = chosen.declared
    dag_id = declared.dag.dag_id
    environment = settings().environment
    deployed = require_dag(airflow, dag_id, environment=environment, logic=declared.logic)
    _require_periods(chosen, deployed)
    require_no_backfill(airflow, dag_id)
    check_folder(declared, aws)
    first = chosen.complete[0].start_utc
    last = chosen.complete[-1].start_utc
    logical_dates = set(runs_of_backfill(airflow, dag_id, first, last))
    to_run = [period for period in chosen.complete if period.start_utc in logical_dates]
    all_published = set()
    for period_status in status(declared, aws).periods:
        if period_status.version:
            all_published.add(period_status.period)
    cost = "the price is not known before the first publication"
    if all_published:
        cost = expected_cost(declared, to_run, aws)
    return BackfillPlan(
        dag_id=dag_id,
        periods=chosen.complete,
        to_run=tuple(to_run),
        published=frozenset(all_published.intersection(period.id for period in chosen.complete)),
        unfinished=chosen.unfinished,
        is_paused=deployed.is_paused,
        cost=cost,
        ordering_checks=tuple(
            check.name for check in declared.report.checks if check.against == "previous_period"
        ),
    )


def _require_periods(chosen: ChosenPeriods, deployed: DeployedDag) -> None:
    """Raise BackfillError unless the DAG in Airflow has the chosen periods, and data for them.

    Airflow cuts the time between the bounds by the cadence that is deployed, and looks neither at
    the start date of the DAG nor at its end date (`SerializedDAG.iter_dagrun_infos_between`).
    """
    dag_id = chosen.declared.dag.dag_id
    cadence = chosen.declared.cadence
    advice = "Deploy these files, then run the command again."
    if deployed.calendar != cadence.description:
        raise BackfillError(
            f"{dag_id} has other periods in this Airflow ({deployed.calendar}) than in these files"
            f" ({cadence.description}). {advice}"
        )
    first = chosen.complete[0]
    if deployed.since is not None and first.start_utc < deployed.since:
        since = deployed.since.astimezone(cadence.zone).date()
        raise BackfillError(
            f"{dag_id} has data from {since} on (since) in this Airflow, and the backfill would run"
            f" {first}. {advice}"
        )
    last = chosen.complete[-1]
    if deployed.until is not None and last.start_utc > deployed.until:
        until = deployed.until.astimezone(cadence.zone).date()
        raise BackfillError(
            f"{dag_id} has data up to {until} (until) in this Airflow, and the backfill would run"
            f" {last}. {advice}"
        )


def require_no_backfill(airflow: Airflow, dag_id: str) -> None:
    """Raise BackfillError if a backfill of a DAG is active: Airflow has one at a time."""
    active = active_backfill(airflow, dag_id)
    if active is not None:
        raise _still_active(dag_id, f"backfill {active.id}")


def _still_active(dag_id: str, backfill: str) -> BackfillError:
    return BackfillError(
        f"{dag_id} has {backfill} that has not ended, and Airflow runs one of a DAG at a time."
        " Repeat the command when its runs are done: Airflow notices that within 30 seconds."
    )


def begin(plan: BackfillPlan, airflow: Airflow) -> str:
    """Begin the backfill, and return what began, with a link.

    Raises:
        BackfillError: Another backfill of the DAG has begun meanwhile.
        AirflowApiError: It is refused. Or Airflow does not answer: then it may have begun.
    """
    first, last = plan.bounds
    try:
        is_serial = plan.ordering_checks != ()
        backfill = begin_backfill(airflow, plan.dag_id, first, last, is_serial=is_serial)
    except AirflowApiError as error:
        if error.status == CONFLICT:
            raise _still_active(plan.dag_id, "a backfill") from error
        raise
    link = airflow.link(f"/dags/{quote(plan.dag_id, safe='')}/backfills")
    count = f"{len(plan.to_run)} periods"
    if len(plan.to_run) == 1:
        count = "1 period"
    begun = f"backfill {backfill.id}, with {count},"
    return f"{plan.dag_id}: {begun} has begun. See {link}"


def show(plan: BackfillPlan, console: Console) -> None:
    """Print what a backfill would do."""
    run_ids = {period.id for period in plan.to_run}
    published_again = []
    published = []
    with_run = []
    for period in plan.periods:
        is_published = period.id in plan.published
        is_run = period.id in run_ids
        if is_run and is_published:
            published_again.append(period)
        elif is_published:
            published.append(period)
        elif not is_run:
            with_run.append(period)
    noun = "period" if len(plan.periods) == 1 else "periods"
    count = f"{plan.dag_id}: {len(plan.to_run)} of {len(plan.periods)} {noun} to run"
    console.print(count, soft_wrap=True)
    for label, periods in (
        ("to run", plan.to_run),
        ("published already, but without a run in Airflow", published_again),
        ("published already, left alone", published),
        ("left alone, as Airflow has a run of it", with_run),
        ("not ended yet, left out", plan.unfinished),
    ):
        if periods:
            console.print(f"  {label}: {_named(periods)}", highlight=False, soft_wrap=True)
    if plan.to_run:
        console.print(f"  queries: {plan.cost}", highlight=False, soft_wrap=True)
    if plan.to_run and plan.ordering_checks:
        names = ", ".join(plan.ordering_checks)
        order = f"  one at a time, in order, to compare with the period before: {names}"
        console.print(order, highlight=False, soft_wrap=True)
    if plan.to_run and plan.is_paused:
        problem = "  The DAG is paused: its runs wait until somebody unpauses it."
        console.print(problem, style="yellow", soft_wrap=True)


def _named(periods: Sequence[Period]) -> str:
    if len(periods) > _NAMED_PERIODS:
        return f"{periods[0]} to {periods[-1]} ({len(periods)})"
    return ", ".join(str(period) for period in periods)
