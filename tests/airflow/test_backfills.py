"""Backfills of some weeks: repeated and cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.airflow.backfilled import (
    FIRST_SUNDAY,
    Backfilled,
    Plays,
    lake_of_plays,
    start_reports,
)
from tests.support.dates import TOKYO, weeks

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

WEEKS = weeks(FIRST_SUNDAY, 10, TOKYO)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", len(WEEKS)) as plays:
        yield plays


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, plays: Plays, tmp_path_factory: pytest.TempPathFactory
) -> LiveAirflow:
    return start_reports(start_airflow, plays.services, tmp_path_factory.mktemp("reports"))


@pytest.fixture
def weekly(airflow: LiveAirflow, plays: Plays) -> Backfilled:
    return Backfilled(airflow, plays.services, "top_users", "weekly", plays.ranking)


def test_the_command_line_starts_a_backfill_and_reprocess_does_what_it_says(
    weekly: Backfilled, airflow: LiveAirflow
) -> None:
    periods = WEEKS[:4]
    weekly.end()
    first, last = periods[0].start.isoformat(), periods[2].start.isoformat()
    bounds = ["--from-date", first, "--to-date", last]
    options = ["--dag-id", weekly.dag_id, "--max-active-runs", "16", "--run-backwards", *bounds]
    airflow.cli("backfill", "create", *options)
    runs = weekly.wait_until_success(periods[:3])
    assert weekly.paid(runs) == [1, 1, 1]
    weekly.assert_right(periods[:3])

    weekly.begin(periods, reprocess="none")
    runs = weekly.wait_until_success(periods)
    assert weekly.paid(runs) == [1, 1, 1, 1]

    airflow.client.set_state(weekly.dag_id, runs[1].run_id, "failed")
    weekly.begin(periods, reprocess="failed")
    runs = weekly.wait_until_success(periods)
    assert weekly.paid(runs) == [1, 2, 1, 1]

    published = [weekly.objects(period) for period in periods]
    weekly.begin(periods, reprocess="completed")
    runs = weekly.wait_until_success(periods)
    assert weekly.paid(runs) == [2, 3, 2, 2]
    assert [weekly.objects(period) for period in periods] == published
    weekly.assert_right(periods)


def test_a_backfill_cancelled_half_way_leaves_no_query_running_and_no_half_publication(
    weekly: Backfilled, airflow: LiveAirflow
) -> None:
    periods = WEEKS[4:]
    backfill = weekly.begin(periods, max_active_runs=2)
    weekly.wait_until_published(periods, 1)

    airflow.client.cancel_backfill(backfill)

    runs = weekly.wait_until_over(periods)
    done = [period for period, run in zip(periods, runs, strict=True) if run.state == "success"]
    dropped = [period for period in periods if period not in done]
    assert done
    assert dropped
    assert weekly.paid(runs) == [int(period in done) for period in periods]
    weekly.assert_right(done)
    assert [weekly.manifest(period) for period in dropped] == [None] * len(dropped)
    assert weekly.partitions.isdisjoint(period.id for period in dropped)

    # Airflow never begins a run of a cancelled backfill again,
    # so the page triggers another one instead.
    query = {"first": done[0].id, "last": done[0].id, "state": "published"}
    plan = airflow.client.request(
        "GET", f"/athena-reports/api/dags/{weekly.dag_id}/plan", params=query
    )
    assert [(start["period"], start["action"]) for start in plan["starts"]] == [
        (done[0].id, "trigger")
    ]

    weekly.begin(periods, reprocess="failed")
    runs = weekly.wait_until_success(periods)
    assert weekly.paid(runs) == [1] * len(periods)
    weekly.assert_right(periods)
