from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest
import time_machine
from airflow.utils.types import DagRunType
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import PeriodError, RunPeriodError
from athena_reports.periods.calendar import yearly
from athena_reports.periods.run_period import (
    period_of_delivery,
    period_of_run,
    require_complete,
)
from tests.support.airflow_run import DagRun
from tests.support.calendars import WEEKS

TOKYO = ZoneInfo("Asia/Tokyo")
BY_HAND = DagRun("manual", datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO), None, None)


def with_interval(run_type: str, period_id: str) -> DagRun:
    period = WEEKS.period(period_id)
    start, end = pendulum.instance(period.start_utc), pendulum.instance(period.end_utc)
    return DagRun(run_type, logical_date=start, data_interval_start=start, data_interval_end=end)


def test_a_backfill_that_took_over_a_run_of_another_period_is_refused() -> None:
    """Triggered by hand with the start of a week, a run is for the week before.

    When a backfill takes it over, its interval stays.
    """
    before = replace(
        with_interval("manual", "2025-03-02"), logical_date=WEEKS.period("2025-03-09").start_utc
    )
    assert period_of_run(WEEKS, before).id == "2025-03-02"

    with pytest.raises(RunPeriodError) as refused:
        period_of_run(WEEKS, replace(before, run_type="backfill"))
    assert str(refused.value) == (
        "The backfill took over a run that was triggered with the logical date"
        " 2025-03-08 15:00:00+00:00, which reports the previous period, starting at 2025-03-01"
        " 15:00:00+00:00. Delete the run, then start the backfill again."
    )


@pytest.mark.parametrize("run_type", [DagRunType.MANUAL, "scheduled", "asset_triggered"])
def test_the_param_goes_before_everything_else(run_type: str) -> None:
    for run in (with_interval(run_type, "2025-03-02"), replace(BY_HAND, run_type=run_type)):
        assert period_of_run(WEEKS, run, param="2026-01-04").id == "2026-01-04"


@pytest.mark.parametrize("run_type", ["backfill", DagRunType.BACKFILL_JOB])
@pytest.mark.parametrize("param", ["2026-11-15", "not even an id"])
def test_a_param_on_a_backfill_is_refused_with_the_reason_and_the_ways_out(
    run_type: str, param: str
) -> None:
    with pytest.raises(RunPeriodError) as caught:
        period_of_run(WEEKS, with_interval(run_type, "2025-03-02"), param=param)
    assert str(caught.value) == (
        f"A backfill does not accept the param 'period' ({param!r}): each run reports its own"
        " period. Start the backfill again without the param. If you set none, first delete the"
        " run that the backfill took over."
    )


@pytest.mark.parametrize("param", ["2026-11-16", "last"])
def test_a_param_that_is_no_period_is_refused(param: str) -> None:
    with pytest.raises(RunPeriodError, match=rf"^The param 'period' is not valid: '{param}' is"):
        period_of_run(WEEKS, BY_HAND, param=param)


@given(*[st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))] * 2)  # noqa: DTZ001
def test_the_clock_is_never_asked(now: datetime, of_run: datetime) -> None:
    """A cleared run keeps its period: the answer is a function of the run alone."""
    period = WEEKS.last_complete(of_run)
    by_hand = replace(BY_HAND, run_after=of_run)
    with time_machine.travel(now, tick=False):
        assert (
            period_of_run(WEEKS, by_hand)
            == period_of_run(WEEKS, by_hand, param=period.id)
            == period
        )
        for run_type in ("manual", "scheduled", "backfill"):
            assert period_of_run(WEEKS, with_interval(run_type, period.id)) == period


@pytest.mark.parametrize(
    ("start", "end"),
    [
        # another first day of the week, another zone, another cadence, a run of a cron schedule
        (datetime(2026, 11, 16, tzinfo=TOKYO), datetime(2026, 11, 23, tzinfo=TOKYO)),
        (datetime(2026, 11, 15, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)),
        (datetime(2026, 11, 15, tzinfo=TOKYO), datetime(2026, 11, 16, tzinfo=TOKYO)),
        (datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO), datetime(2026, 11, 22, 0, 5, tzinfo=TOKYO)),
    ],
)
def test_a_data_interval_that_is_no_period_is_refused_and_not_guessed(
    start: datetime, end: datetime
) -> None:
    with pytest.raises(RunPeriodError) as caught:
        period_of_run(WEEKS, DagRun(data_interval_start=start, data_interval_end=end))
    assert str(caught.value) == (
        f"The run's data interval, {start.isoformat()} to {end.isoformat()}, is not a period of"
        " Weekly from Sunday, Asia/Tokyo: the DAG's schedule has changed since the run was created."
        f" Trigger a run with the param 'period' instead, such as {WEEKS.containing(start)}."
    )


def test_a_period_that_has_not_ended_is_refused_with_the_last_complete_one() -> None:
    period = WEEKS.period("2026-11-15")
    require_complete(period, period.end_utc)
    with pytest.raises(RunPeriodError) as refused:
        require_complete(period, period.end_utc - timedelta(microseconds=1))
    assert str(refused.value) == (
        "The period 2026-11-15 (Weekly from Sunday, Asia/Tokyo) ends at 2026-11-22T00:00:00+09:00,"
        " which is in the future. The last complete period is 2026-11-08."
    )


@pytest.mark.parametrize(
    ("key", "conf", "period_id"),
    [
        ("2026-11-08", None, "2026-11-08"),
        ("2026-11-08", {"period": "2026-11-01"}, "2026-11-08"),  # the event's is the one
        ("", {"period": "2026-11-01", "other": "x"}, "2026-11-01"),
    ],
)
def test_a_delivery_is_of_the_period_of_its_event_or_of_its_param(
    key: str | None, conf: dict[str, str] | None, period_id: str
) -> None:
    run = replace(BY_HAND, partition_key=key, conf=conf)
    assert period_of_delivery(WEEKS, run) == WEEKS.period(period_id)


def test_the_id_of_a_year_may_be_a_number_in_the_param() -> None:
    run = replace(BY_HAND, conf={"period": 2025})
    assert period_of_delivery(yearly("Asia/Tokyo"), run).id == "2025"


@pytest.mark.parametrize("conf", [None, {"period": ""}])
def test_a_delivery_without_a_period_is_refused_with_an_example(conf: dict[str, str]) -> None:
    with pytest.raises(RunPeriodError) as refused:
        period_of_delivery(WEEKS, replace(BY_HAND, conf=conf))
    assert str(refused.value) == (
        "The run has no period. Trigger it with the param 'period', such as 2026-11-15."
    )
    with pytest.raises(PeriodError, match="2026-11-16"):
        period_of_delivery(WEEKS, replace(BY_HAND, partition_key="2026-11-16"))
