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
    periods_with_data,
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
    found = periods_with_data(report, first, last, NOW)

    expected = []
    for days in range((min(last, until or last) - first).days + 1):
        noon = datetime.combine(first + timedelta(days), time(12), ZONE)
        period = cadence.containing(noon)
        if period.first_date == noon.date():  # it begins on this date
            expected.append(period)
    assert found == expected


@pytest.mark.parametrize(
    ("first", "last", "ids"),
    [
        ("0001-01-01", "2025-01-17", ["2025-01-15", "2025-01-16", "2025-01-17"]),
        ("2024-01-01", "2024-12-31", []),
        ("2025-03-04", "2025-03-03", []),
        ("2025-07-01", "9999-12-31", ["2025-07-01", "2025-07-02"]),  # the next has not begun
    ],
)
def test_of_a_range_only_what_has_data_and_has_begun_is_taken(
    first: str, last: str, ids: list[str], make_report: MakeReport
) -> None:
    report = declared(make_report, daily("Asia/Tokyo"), since="2025-01-15")
    periods = periods_with_data(report, date.fromisoformat(first), date.fromisoformat(last), NOW)
    assert [period.id for period in periods] == ids


def days(first: int, last: int) -> tuple[Period, ...]:
    """The days of January from one to another."""
    return tuple(daily().period(f"2025-01-{day:02}") for day in range(first, last + 1))


def plan_of(to_run: Sequence[Period], *published: Period, **changed: Any) -> BackfillPlan:
    fields: dict[str, Any] = {
        "dag_id": "plays/daily",
        "periods": days(1, 15),
        "to_run": tuple(to_run),
        "published": frozenset(period.id for period in published),
        "unfinished": (),
        "is_paused": False,
        "cost": "about 1 kB",
        "ordering_checks": (),
    }
    return BackfillPlan(**fields | changed)


@pytest.mark.parametrize("width", [20, 200])
def test_each_period_of_a_range_is_told_once_with_what_becomes_of_it(width: int) -> None:
    output = StringIO()
    published = (*days(3, 4), *days(8, 13))
    plan = plan_of(days(1, 7), *published, is_paused=True, unfinished=days(16, 17))
    show(plan, Console(file=output, width=width))
    assert output.getvalue().splitlines() == [
        "plays/daily: 7 of 15 periods to run",
        "  to run: 2025-01-01 to 2025-01-07 (7)",
        "  of these already published, and published again: 2025-01-03, 2025-01-04",
        "  skipped: Airflow already has a run: 2025-01-08 to 2025-01-15 (8)",
        "  skipped: not over yet: 2025-01-16, 2025-01-17",
        "  queries: about 1 kB",
        "  The DAG is paused: its runs wait until you unpause it in Airflow.",
    ]


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


@pytest.mark.parametrize(
    ("to_run", "count"), [(days(2, 2), "1 period"), ((*days(2, 3), *days(7, 8)), "4 periods")]
)
def test_what_begins_is_told_with_its_page(to_run: tuple[Period, ...], count: str) -> None:
    airflow = OneStart()
    assert begin(plan_of(to_run), airflow) == (
        f"plays/daily: started backfill 7 ({count}). See https://x/dags/plays%2Fdaily/backfills"
    )
    (body,) = airflow.bodies
    bounds = [to_run[0].start_utc.isoformat(), to_run[-1].start_utc.isoformat()]
    assert [body["from_date"], body["to_date"]] == bounds


def test_a_conflict_is_told_with_the_way_out() -> None:
    conflict = AirflowApiError("There is one.", status=409)
    with pytest.raises(BackfillError) as active:
        begin(plan_of(days(2, 2)), OneStart(conflict))
    assert str(active.value) == (
        "plays/daily already has an active backfill, and Airflow runs one backfill per DAG at a"
        " time. Repeat the command when its runs have ended; Airflow notices within 30 seconds."
    )
