"""The user ranking against what a few lines of plain Python compute from the raw data.

The oracle shares neither the SQL nor the period code: bounds are made here, from dates and
zoneinfo alone.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from demo.plays import PlaysSpec, generate
from tests.reports.demo_jobs import check_jobs_of
from tests.reports.user_ranking.oracle import Event, events_of, user_ranking
from tests.support.dag_files import load_dags
from tests.support.dates import TOKYO, Period, months, weeks
from tests.support.published import manifest_of, rows_of
from tests.support.task_runner import run_dag

WEEKS, MONTHS = weeks(dt.date(2024, 12, 29), 27, TOKYO), months(2025, TOKYO)[:6]
# What the report promises of its rows, and whether it publishes where a promise is broken.
PROMISES = [
    ("columns", "fail"),
    ("unique(user_id)", "fail"),
    ("not_null(rank, score)", "fail"),
    ("in_range(plays, at_least=1)", "fail"),
    ("change(rows, within=0.5, against=previous_period)", "warn"),
]
DAG_FILE = Path(__file__).parents[3] / "dags" / "user_ranking.py"


@pytest.fixture(scope="module")
def plays(plays_lake: PlaysSpec) -> list[Event]:
    return list(events_of(table for _, table in generate(plays_lake)))


@pytest.mark.ci
@pytest.mark.parametrize(
    ("cadence", "top", "periods"),
    [
        ("weekly", 100, WEEKS[::12]),
        ("monthly", 1000, MONTHS[1::3]),
        pytest.param("weekly", 100, WEEKS, marks=pytest.mark.full),
        pytest.param("monthly", 1000, MONTHS, marks=pytest.mark.full),
    ],
)
def test_user_ranking_is_what_the_events_say(
    services: Services, plays: list[Event], cadence: str, top: int, periods: list[Period]
) -> None:
    dag = load_dags(DAG_FILE)[f"user_ranking_{cadence}"]
    seen: set[str] = set()
    for period in periods:
        manifest = manifest_of(services.s3, run_dag(dag, period=period.id))
        days = (period.first, period.end, period.previous, period.first)
        expected = user_ranking(plays, *map(period.midnight, days), top)
        assert rows_of(services.s3, manifest, "parquet") == expected, period.id
        assert rows_of(services.s3, manifest, "csv") == expected, period.id
        assert [(check["name"], check["severity"]) for check in manifest["checks"]] == PROMISES
        seen |= {row["movement"].split(" ")[0] for row in expected}
    assert seen == {"new", "up", "down", "same"}


@pytest.mark.usefixtures("services")
def test_a_month_may_take_longer_than_a_week_before_its_query_is_stopped() -> None:
    dags = load_dags(DAG_FILE)
    limits = {}
    for cadence in ("weekly", "monthly"):
        dag = dags[f"user_ranking_{cadence}"]
        limits[cadence] = (dag.get_task("wait_for_query").timeout / 3600, dag.dagrun_timeout)
    assert limits == {
        "weekly": (1, dt.timedelta(hours=3)),
        "monthly": (6, dt.timedelta(hours=12)),
    }


def test_the_demo_runs_periods_of_this_report_that_have_data() -> None:
    check_jobs_of("user_ranking", load_dags(DAG_FILE))
