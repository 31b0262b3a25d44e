"""Two years of the users' weeks and a year of the carriers' weeks and months,
each in one backfill.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from demo.lake import seed_flights
from tests.airflow.backfilled import (
    FIRST_SUNDAY,
    Backfilled,
    Plays,
    flights_ranking,
    lake_of_plays,
    start_reports,
)
from tests.support.dates import NEW_YORK, TOKYO, months, weeks

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

TWO_YEARS = weeks(FIRST_SUNDAY, 104, TOKYO)
WEEKS_OF_2013 = weeks(dt.date(2013, 1, 7), 52, NEW_YORK)
MONTHS_OF_2013 = months(2013, NEW_YORK)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", len(TWO_YEARS)) as plays:
        seed_flights(plays.services, "dev")
        yield plays


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, plays: Plays, tmp_path_factory: pytest.TempPathFactory
) -> LiveAirflow:
    folder = tmp_path_factory.mktemp("reports")
    return start_reports(start_airflow, plays.services, folder, database="postgresql")


def test_two_years_of_weeks_are_right_and_those_by_schedule_are_the_same_bytes(
    airflow: LiveAirflow,
    plays: Plays,
    start_airflow: StartAirflow,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    weekly = Backfilled(airflow, plays.services, "top_users", "weekly", plays.ranking)
    weekly.begin(TWO_YEARS, run_backwards=True)
    runs = weekly.wait_until_success(TWO_YEARS)
    assert weekly.paid(runs) == [1] * 104
    assert len(weekly.queries) == 104
    weekly.assert_right(TWO_YEARS)
    weekly.assert_read(TWO_YEARS, plays)

    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", len(TWO_YEARS)) as lake:
        scheduling = start_reports(
            start_airflow,
            lake.services,
            tmp_path_factory.mktemp("reports"),
            environment={
                "ATHENA_REPORTS_CATCHUP": "true",
                "ATHENA_REPORTS_PAUSED": "true",
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
            },
        )
        scheduled = Backfilled(scheduling, lake.services, "top_users", "weekly", lake.ranking)
        scheduling.client.unpause(scheduled.dag_id)
        runs = scheduled.wait_until_success(TWO_YEARS)
        assert {run.run_type for run in runs} == {"scheduled"}
        for week in TWO_YEARS:
            assert scheduled.objects(week) == weekly.objects(week), week
        scheduling.stop()


def test_a_year_of_carriers_by_week_and_by_month_at_once(
    airflow: LiveAirflow, plays: Plays
) -> None:
    weekly, monthly = (
        Backfilled(airflow, plays.services, "carriers", cadence, flights_ranking)
        for cadence in ("weekly", "monthly")
    )
    weekly.begin(WEEKS_OF_2013, run_backwards=True)
    monthly.begin(MONTHS_OF_2013)
    for backfilled, periods in ((weekly, WEEKS_OF_2013), (monthly, MONTHS_OF_2013)):
        runs = backfilled.wait_until_success(periods)
        assert backfilled.paid(runs) == [1] * len(periods)
        assert len(backfilled.queries) == len(periods)
        backfilled.assert_right(periods)
