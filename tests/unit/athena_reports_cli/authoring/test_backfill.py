"""Which periods a range of local dates means, and what is said of them.

tests/services/test_backfill_command.py has the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rich.console import Console

from athena_reports import Cadence, build_dag, daily, monthly, quarterly, weekly, yearly
from athena_reports.periods.calendar import Period
from athena_reports_cli.authoring.backfill import (
    BackfillError,
    BackfillPlan,
    begin,
    choose_periods,
    date_range,
    none_complete,
    require_active,
    require_some,
    show,
)
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.local.client import AirflowApiError, AirflowClient
from tests.support.declared import MakeReport

ZONE = ZoneInfo("America/New_York")
CADENCES = [maker("America/New_York") for maker in (daily, monthly, quarterly, yearly)]
CADENCES.append(weekly("monday", "America/New_York"))
NOW = datetime(2025, 7, 2, 3, 59, tzinfo=UTC)  # it is still July 1 there
TODAY = date(2025, 7, 1)


def declared(make_report: MakeReport, cadence: Cadence, **fields: Any) -> DeclaredReport:
    return DeclaredReport(build_dag(make_report(**fields), cadence))


@pytest.mark.parametrize(
    ("first", "last", "dates"),
    [
        ("2025-03-04", "2025-03-04", ("2025-03-04", "2025-03-04")),
        ("2025-03-04", "2025-03", ("2025-03-04", "2025-03-31")),
        ("2024-02", "2024-Q1", ("2024-02-01", "2024-03-31")),
        ("2024", "2025", ("2024-01-01", "2025-12-31")),
        ("2024-12-31", "2024", ("2024-12-31", "2024-12-31")),
        ("2024", "2024-06-30", ("2024-01-01", "2024-06-30")),
        ("2024-Q3", "2024-07", ("2024-07-01", "2024-07-31")),
    ],
)
def test_an_end_of_a_range_is_a_date_or_all_dates_of_a_period(
    first: str, last: str, dates: tuple[str, str]
) -> None:
    found = date_range(first, last)
    assert (found.first_date.isoformat(), found.last_date.isoformat()) == dates


@pytest.mark.parametrize(
    ("first", "last"), [("2025-03-04", "2025-03-03"), ("2025-03", "2025-02"), ("2025", "2024-Q4")]
)
def test_a_range_the_wrong_way_round_is_refused(first: str, last: str) -> None:
    with pytest.raises(BackfillError, match=f"--from {first} is after --to {last}. Exchange"):
        date_range(first, last)


@pytest.mark.parametrize(
    ("first", "last", "option"), [("May", "2025-03", "--from"), ("2025-03", "May", "--to")]
)
def test_what_is_no_date_is_told_with_its_option(first: str, last: str, option: str) -> None:
    with pytest.raises(BackfillError) as refused:
        date_range(first, last)
    assert str(refused.value) == (
        f'{option} "May" is not a date or a period. Use a date 2026-11-15, a month 2026-11, a'
        " quarter 2026-Q4 or a year 2026."
    )


DAYS = st.integers(0, 1000).map(lambda days: TODAY - timedelta(days))


@given(st.sampled_from(CADENCES), DAYS, DAYS, st.none() | DAYS)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_periods_are_those_that_begin_in_the_range_and_up_to_the_last_date_with_data(
    make_report: MakeReport, cadence: Cadence, one: date, other: date, until: date | None
) -> None:
    first, last = sorted((one, other))
    fields: dict[str, Any] = {"since": "2020-01-01"}
    if until is not None:
        fields["until"] = until.isoformat()
    report = declared(make_report, cadence, **fields)
    dates = date_range(first.isoformat(), last.isoformat())
    if until is not None and last > until:
        with pytest.raises(BackfillError, match=f"has data until {until} .until=., and --to is"):
            choose_periods(report, dates, NOW)
        return
    chosen = choose_periods(report, dates, NOW)

    complete, unfinished = [], []
    for days in range((last - first).days + 1):
        noon = datetime.combine(first + timedelta(days), time(12), ZONE)
        period = cadence.containing(noon)
        if period.first_date == noon.date():  # it begins on this date
            (complete if period.last_date < TODAY else unfinished).append(period)
    assert (list(chosen.complete), list(chosen.unfinished)) == (complete, unfinished)


@pytest.mark.parametrize(
    ("first", "last", "until", "ids"),
    [
        # A period at an end reaches as far as there are data, and as the present.
        ("2025-06-01", "2025-06", "2025-06-03", ["2025-06-01", "2025-06-02", "2025-06-03"]),
        ("2025-06-29", "2025-07", None, ["2025-06-29", "2025-06-30", "2025-07-01", "..."]),
        ("2025-06-30", "2025", "2025-07-01", ["2025-06-30", "2025-07-01"]),
        ("2025-07-01", "2025-07-01", None, ["2025-07-01"]),
    ],
)
def test_the_end_of_a_range_may_be_a_month_or_a_year_that_goes_on(
    first: str, last: str, until: str | None, ids: list[str], make_report: MakeReport
) -> None:
    fields = {} if until is None else {"until": until}
    report = declared(make_report, daily("America/New_York"), **fields)
    chosen = choose_periods(report, date_range(first, last), NOW)
    found = [period.id for period in (*chosen.complete, *chosen.unfinished)]
    if ids[-1] == "...":
        assert found[: len(ids) - 1] == ids[:-1]
    else:
        assert found == ids
    assert [period.id for period in chosen.complete] == [id for id in found if id < str(TODAY)]


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        (
            "2025-01-14",
            "2025-06-01",
            "plays_daily has data from 2025-01-15 (since=), and --from is 2025-01-14."
            " Use --from 2025-01-15, or change since=.",
        ),
        # A month at this end would lose its first dates without a word.
        (
            "2025-01",
            "2025-06-01",
            "plays_daily has data from 2025-01-15 (since=), and --from is 2025-01."
            " Use --from 2025-01-15, or change since=.",
        ),
        (
            "2025-06-01",
            "2025-08-13",
            "plays_daily has data until 2025-08-12 (until=), and --to is 2025-08-13."
            " Use --to 2025-08-12, or change until=.",
        ),
        (
            "2025-06-01",
            "2025-07-02",
            "--to 2025-07-02 is in the future: today is 2025-07-01 in America/New_York."
            " The last complete day is 2025-06-30.",
        ),
    ],
)
def test_dates_without_data_and_in_the_future_are_refused(
    first: str, last: str, problem: str, make_report: MakeReport
) -> None:
    fields = {"since": "2025-01-15", "until": "2025-08-12"}
    report = declared(make_report, daily("America/New_York"), **fields)
    with pytest.raises(BackfillError) as refused:
        choose_periods(report, date_range(first, last), NOW)
    assert str(refused.value) == problem


def test_a_period_that_ends_in_this_instant_has_not_ended_for_airflow(
    make_report: MakeReport,
) -> None:
    report = declared(make_report, daily("America/New_York"))
    dates = date_range("2025-06-30", "2025-06-30")
    midnight = datetime(2025, 7, 1, 4, tzinfo=UTC)
    (period,) = choose_periods(report, dates, midnight).unfinished
    chosen = choose_periods(report, dates, midnight + timedelta(microseconds=1))
    assert (chosen.complete, chosen.unfinished) == ((period,), ())


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (
            "2025-06-24",
            "2025-06-29",
            "no week starts from 2025-06-24 to 2025-06-29."
            " The nearest are 2025-06-23 and 2025-06-30.",
        ),
        ("2025-06-30", "2025-07-01", "the week 2025-06-30 is not over until 2025-07-06."),
        ("2025-06-30", "2025-07", "the week 2025-06-30 is not over until 2025-07-06."),
    ],
)
def test_a_range_without_a_complete_period_names_those_that_are_near(
    first: str, last: str, says: str, make_report: MakeReport
) -> None:
    report = declared(make_report, weekly("monday", "America/New_York"))
    dates = date_range(first, last)
    chosen = choose_periods(report, dates, NOW)
    assert none_complete(chosen, dates) == f"plays_weekly: {says}"


def test_of_several_dags_one_with_a_period_is_enough_and_each_without_one_is_told(
    make_report: MakeReport,
) -> None:
    reports = [declared(make_report, maker("America/New_York")) for maker in (quarterly, monthly)]
    dates = date_range("2025-05-01", "2025-05-31")
    require_some([choose_periods(report, dates, NOW) for report in reports], dates)
    dates = date_range("2025-05-02", "2025-05-31")
    with pytest.raises(BackfillError) as refused:
        require_some([choose_periods(report, dates, NOW) for report in reports], dates)
    assert str(refused.value) == (
        "plays_quarterly: no quarter starts from 2025-05-02 to 2025-05-31. The nearest are 2025-Q2"
        " and 2025-Q3. plays_monthly: no month starts from 2025-05-02 to 2025-05-31. The nearest"
        " are 2025-05 and 2025-06."
    )


# --- What is shown


def days(first: int, last: int) -> tuple[Period, ...]:
    """The days of January from one to another."""
    return tuple(daily().period(f"2025-01-{day:02}") for day in range(first, last + 1))


def shown(
    to_run: Sequence[Period], *, is_paused: bool = False, width: int = 200, **fields: Any
) -> list[str]:
    plan = BackfillPlan(
        dag_id="plays_daily",
        to_run=tuple(to_run),
        published=frozenset(period.id for period in fields.pop("published", ())),
        is_paused=is_paused,
        cost="about 1 kB",
        ordering_checks=(),
        **fields,
    )
    output = StringIO()
    show(plan, Console(file=output, width=width))
    return output.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 200])
def test_each_period_of_a_range_is_told_once_with_what_becomes_of_it(width: int) -> None:
    lines = shown(
        days(1, 7),
        is_paused=True,
        width=width,
        periods=days(1, 15),
        published=(*days(3, 4), *days(8, 13)),
        unfinished=days(16, 17),
    )
    assert lines == [
        "plays_daily: 7 of 15 periods to run",
        "  to run: 2025-01-01 to 2025-01-07 (7)",
        "  already published, but without a run in Airflow: 2025-01-03, 2025-01-04",
        "  skipped, because Airflow has a run: 2025-01-08 to 2025-01-15 (8)",
        "  not over yet, skipped: 2025-01-16, 2025-01-17",
        "  queries: about 1 kB",
        "  The DAG is paused: its runs wait until you unpause it in Airflow.",
    ]


@pytest.mark.parametrize("to_run", [(), days(1, 1)])
def test_that_a_dag_is_paused_is_told_where_something_would_wait(
    to_run: tuple[Period, ...],
) -> None:
    lines = shown(to_run, periods=days(1, 1), unfinished=(), is_paused=True)
    told = "  The DAG is paused: its runs wait until you unpause it in Airflow."
    assert (told in lines) == (to_run != ())
    assert ("  queries: about 1 kB" in lines) == (to_run != ())


# --- What begins


class OneStart(AirflowClient):
    """An Airflow that begins a backfill, or rejects it. `bodies` are those of each start."""

    def __init__(self, rejection: AirflowApiError | None = None) -> None:
        super().__init__()
        self.rejection = rejection
        self.bodies: list[Any] = []

    def request(self, method: str, path: str, *, params: Any = None, json: Any = None) -> Any:
        self.bodies.append(json)
        if self.rejection is not None:
            raise self.rejection
        return {"id": 7}

    def link(self, path: str) -> str:
        return f"https://x{path}"


def plan_of(to_run: Sequence[Period], **changed: Any) -> BackfillPlan:
    fields: dict[str, Any] = {
        "dag_id": "plays/daily",
        "periods": days(1, 9),
        "to_run": tuple(to_run),
        "published": frozenset(),
        "unfinished": (),
        "is_paused": False,
        "cost": "",
        "ordering_checks": (),
    }
    return BackfillPlan(**fields | changed)


@pytest.mark.parametrize(
    ("to_run", "count"), [(days(2, 2), "1 period"), ((*days(2, 3), *days(7, 8)), "4 periods")]
)
def test_what_begins_is_told_with_its_page(to_run: tuple[Period, ...], count: str) -> None:
    airflow = OneStart()
    assert begin(plan_of(to_run), airflow) == (
        f"plays/daily: started backfill 7 of {count}. See https://x/dags/plays%2Fdaily/backfills"
    )
    (body,) = airflow.bodies
    bounds = [to_run[0].start_utc.isoformat(), to_run[-1].start_utc.isoformat()]
    assert [body["from_date"], body["to_date"]] == bounds


def test_a_rejection_is_told_and_one_that_is_a_conflict_with_the_way_out() -> None:
    forbidden = AirflowApiError("Not yours.", status=403)
    with pytest.raises(AirflowApiError) as refused:
        begin(plan_of(days(2, 2)), OneStart(forbidden))
    assert refused.value is forbidden
    conflict = AirflowApiError("There is one.", status=409)
    with pytest.raises(BackfillError) as active:
        begin(plan_of(days(2, 2)), OneStart(conflict))
    assert str(active.value) == (
        "plays/daily already has a backfill that is active, and Airflow runs one per DAG at a time."
        " Repeat the command once its runs are done; Airflow notices within 30 seconds."
    )


def test_runs_of_a_paused_dag_are_not_waited_for() -> None:
    require_active([plan_of(days(2, 2))])
    with pytest.raises(BackfillError, match=r"plays/daily is paused .*, or omit --wait\."):
        require_active([plan_of(days(2, 2)), plan_of(days(2, 2), is_paused=True)])
