"""Backfills on PostgreSQL, of which a task, the triggerer or the database dies half-way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.backfilled import (
    FIRST_SUNDAY,
    TOKYO,
    Backfilled,
    Plays,
    lake_of_plays,
    start_reports,
    weeks,
)
from tests.e2e.report_run import until

if TYPE_CHECKING:
    from airflow_local.runtime import AirflowRuntime
    from tests.e2e.harness import StartAirflow

pytest_plugins = ["tests.e2e.harness"]
pytestmark = [pytest.mark.e2e, pytest.mark.ci]

WEEKS = weeks(FIRST_SUNDAY, 18, TOKYO)


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", len(WEEKS)) as plays:
        yield plays


@pytest.fixture(scope="module")
def airflow(start_airflow: StartAirflow, plays: Plays, tmp_path_factory: pytest.TempPathFactory) -> AirflowRuntime:
    folder = tmp_path_factory.mktemp("reports")
    return start_reports(start_airflow, plays.services, folder, database="postgresql", supervised=True)


@pytest.fixture
def weekly(airflow: AirflowRuntime, plays: Plays) -> Backfilled:
    return Backfilled(airflow, plays.services, "user_ranking", "weekly", plays.ranking)


def kill_a_task(weekly: Backfilled) -> None:
    until(weekly.task_processes, "a task runs")[0].send_signal(signal.SIGKILL)


def restart_the_triggerer(weekly: Backfilled) -> None:
    weekly.airflow.restart("triggerer")


def restart_the_database(weekly: Backfilled) -> None:
    """Its clients lose their connections, and with them what they were about to write."""
    weekly.airflow.restart("postgresql")


@pytest.mark.parametrize(
    ("strike", "first"),
    [
        pytest.param(kill_a_task, 0, marks=pytest.mark.full),
        pytest.param(restart_the_triggerer, 6, marks=pytest.mark.full),
        (restart_the_database, 12),
    ],
)
def test_a_backfill_goes_on_after_a_blow_and_pays_nothing_twice(
    weekly: Backfilled, plays: Plays, strike: Callable[[Backfilled], None], first: int
) -> None:
    periods = WEEKS[first : first + 6]
    weekly.begin(periods, max_active_runs=6)
    weekly.wait_until_published(periods, 1)

    strike(weekly)

    runs = weekly.wait_until_success(periods)
    assert weekly.paid(runs) == [1] * len(periods)
    weekly.assert_right(periods)
    weekly.assert_read(periods, plays)
