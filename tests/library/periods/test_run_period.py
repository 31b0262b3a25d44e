from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import RunPeriodError
from athena_reports.periods.calendar import Cadence, daily, monthly, quarterly, weekly, yearly
from athena_reports.periods.run_period import period_of_run, require_complete

TOKYO = ZoneInfo("Asia/Tokyo")
WEEKLY = weekly("sunday", timezone="Asia/Tokyo")
RUN_AFTER = datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO)


@dataclass(frozen=True)
class Run:
    """What is known of a DAG run."""

    run_type: str
    run_after: datetime = RUN_AFTER
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    logical_date: datetime | None = None


def run_with_interval(run_type: str, period_id: str, cadence: Cadence = WEEKLY) -> Run:
    period = cadence.period(period_id)
    start, end = pendulum.instance(period.start_utc), pendulum.instance(period.end_utc)
    return Run(run_type, logical_date=start, data_interval_start=start, data_interval_end=end)


def test_a_backfill_that_took_over_a_run_of_another_period_is_refused() -> None:
    """Triggered by hand with the start of a week, a run is for the week before: its interval stays."""
    of_the_week_before = replace(
        run_with_interval("manual", "2025-03-02"), logical_date=WEEKLY.period("2025-03-09").start_utc
    )
    assert period_of_run(WEEKLY, of_the_week_before).id == "2025-03-02"

    with pytest.raises(RunPeriodError, match="Delete the run"):
        period_of_run(WEEKLY, replace(of_the_week_before, run_type="backfill"))


@pytest.mark.parametrize(
    ("run_after", "period_id"),
    [
        (datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO), "2026-11-15"),
        (datetime(2026, 11, 22, 0, 0, tzinfo=TOKYO), "2026-11-15"),
        (datetime(2026, 11, 21, 23, 59, 59, 999999, tzinfo=TOKYO), "2026-11-08"),
        (datetime(2026, 11, 21, 15, 0, tzinfo=UTC), "2026-11-15"),
        (pendulum.datetime(2026, 11, 21, 14, 59, 59), "2026-11-08"),
    ],
)
def test_a_run_without_dates_is_for_the_last_period_complete_when_it_starts(
    run_after: datetime, period_id: str
) -> None:
    assert period_of_run(WEEKLY, Run("manual", run_after)).id == period_id


@pytest.mark.parametrize("run_type", ["manual", "scheduled", "asset_triggered"])
@pytest.mark.parametrize("has_interval", [False, True])
def test_the_param_goes_before_everything_else(run_type: str, has_interval: bool) -> None:
    run = run_with_interval(run_type, "2025-03-02") if has_interval else Run(run_type)

    assert period_of_run(WEEKLY, run, param="2026-01-04").id == "2026-01-04"


@pytest.mark.parametrize(
    ("cadence", "id"),
    [
        (daily("Asia/Tokyo"), "2026-11-15"),
        (WEEKLY, "2026-11-15"),
        (monthly("Asia/Tokyo"), "2026-11"),
        (quarterly("Asia/Tokyo"), "2026-Q4"),
        (yearly("Asia/Tokyo"), "2026"),
    ],
)
def test_param_data_interval_and_run_after_agree_on_one_period(cadence: Cadence, id: str) -> None:
    period = cadence.period(id)
    by_hand = Run("manual", period.end_utc + timedelta(minutes=5))

    assert period_of_run(cadence, by_hand, param=id) == period
    assert period_of_run(cadence, by_hand) == period
    assert period_of_run(cadence, run_with_interval("scheduled", id, cadence)) == period
    assert period_of_run(cadence, run_with_interval("backfill", id, cadence)) == period


@pytest.mark.parametrize("param", ["2026-11-15", "not even an id"])
def test_a_param_on_a_backfill_is_refused_with_the_reason_and_the_ways_out(param: str) -> None:
    with pytest.raises(RunPeriodError) as caught:
        period_of_run(WEEKLY, run_with_interval("backfill", "2025-03-02"), param=param)

    message = str(caught.value)
    assert repr(param) in message
    assert "backfill" in message
    assert "each run takes its own period" in message
    assert "again without the param" in message


def test_the_run_type_of_airflow_itself_is_understood() -> None:
    from airflow.utils.types import DagRunType

    with pytest.raises(RunPeriodError):
        period_of_run(WEEKLY, Run(DagRunType.BACKFILL_JOB), param="2026-11-15")
    assert period_of_run(WEEKLY, Run(DagRunType.MANUAL), param="2026-11-15").id == "2026-11-15"


@pytest.mark.parametrize("param", ["2026-11-16", "2026-11", "2026-13-01", "last", " 2026-11-15"])
def test_a_param_that_is_no_period_is_refused(param: str) -> None:
    with pytest.raises(RunPeriodError, match=r"^The param 'period' is not valid") as caught:
        period_of_run(WEEKLY, Run("manual"), param=param)

    assert param in str(caught.value)


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["param", "interval", "run_after"]),
)
def test_the_clock_is_never_asked(now: datetime, of_run: datetime, how: str) -> None:
    """A cleared run keeps its period: the answer is a function of the run alone."""
    import time_machine

    period = WEEKLY.last_complete(of_run)
    run = Run("manual", of_run) if how == "run_after" else run_with_interval("manual", period.id)
    with time_machine.travel(now, tick=False):
        found = period_of_run(WEEKLY, run, param=period.id if how == "param" else "")
    assert found == period


@pytest.mark.parametrize(
    ("start", "end"),
    [
        # another first day of the week, another zone, another cadence, a run of a cron schedule
        (datetime(2026, 11, 16, tzinfo=TOKYO), datetime(2026, 11, 23, tzinfo=TOKYO)),
        (datetime(2026, 11, 15, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)),
        (datetime(2026, 11, 1, tzinfo=TOKYO), datetime(2026, 12, 1, tzinfo=TOKYO)),
        (datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO), datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO)),
        (datetime(2026, 11, 15, tzinfo=TOKYO), datetime(2026, 11, 21, tzinfo=TOKYO)),
    ],
)
def test_a_data_interval_that_is_no_period_is_refused_and_not_guessed(start: datetime, end: datetime) -> None:
    run = Run("scheduled", data_interval_start=start, data_interval_end=end)

    with pytest.raises(RunPeriodError) as caught:
        period_of_run(WEEKLY, run)
    message = str(caught.value)
    assert start.isoformat() in message
    assert end.isoformat() in message
    assert "Weekly from Sunday, Asia/Tokyo" in message
    assert "param 'period'" in message


def test_a_period_may_be_reported_from_the_instant_of_its_end() -> None:
    period = WEEKLY.period("2026-11-15")

    require_complete(period, period.end_utc)
    with pytest.raises(RunPeriodError):
        require_complete(period, period.end_utc - timedelta(microseconds=1))


@pytest.mark.parametrize(("period_id", "state"), [("2026-11-15", "is not over"), ("2026-11-22", "has not begun")])
def test_an_unfinished_and_a_future_period_are_refused_with_the_last_complete_one(period_id: str, state: str) -> None:
    with pytest.raises(RunPeriodError) as caught:
        require_complete(WEEKLY.period(period_id), datetime(2026, 11, 18, tzinfo=UTC))

    message = str(caught.value)
    assert f"The period {period_id} (Weekly from Sunday, Asia/Tokyo) {state}" in message
    assert "The last complete one is 2026-11-08." in message
