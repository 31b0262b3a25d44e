"""A backfill on two Celery workers, with PostgreSQL and Redis,
of which one worker is killed half-way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from athena_reports_cli.local.runtime import COMPONENTS
from tests.airflow.backfilled import (
    FIRST_SUNDAY,
    Backfilled,
    Plays,
    lake_of_plays,
    start_reports,
)
from tests.airflow.report_run import until
from tests.support.databases import redis
from tests.support.dates import TOKYO, weeks

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

WEEKS = weeks(FIRST_SUNDAY, 8, TOKYO)
WORKERS = ("worker-1", "worker-2")
# What a killed worker had taken and not begun is given to another one after this;
# the default is 600 s.
IMPATIENCE = {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "2",
}


@pytest.fixture
def plays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    with lake_of_plays(tmp_path_factory.mktemp("local-aws") / "log", len(WEEKS)) as plays:
        yield plays


@pytest.fixture
def celery() -> Iterator[Mapping[str, str]]:
    with redis() as environment:
        yield environment


def test_a_backfill_on_two_workers_outlives_one_of_them(
    start_airflow: StartAirflow,
    plays: Plays,
    celery: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    airflow = start_reports(
        start_airflow,
        plays.services,
        tmp_path_factory.mktemp("reports"),
        database="postgresql",
        components=(*COMPONENTS, *WORKERS),
        environment={"AIRFLOW__CELERY__WORKER_CONCURRENCY": "2", **celery, **IMPATIENCE},
    )
    weekly = Backfilled(airflow, plays.services, "top_users", "weekly", plays.ranking)
    weekly.begin(WEEKS)
    weekly.wait_until_published(WEEKS, 1)
    until(lambda: weekly.task_processes("worker-1"), "the first worker runs a task", seconds=120)

    airflow.kill("worker-1")

    runs = weekly.wait_until_success(WEEKS)
    assert weekly.paid(runs) == [1] * len(WEEKS)
    weekly.assert_right(WEEKS)
    weekly.assert_read(WEEKS, plays)
    for worker in WORKERS:
        log = airflow.config.home / "logs" / "components" / f"{worker}.log"
        assert "succeeded in" in log.read_text(), f"{worker} has run no task"
