"""The carrier ranking against what a few lines of plain Python compute from the raw data.

The oracle shares neither the SQL nor the period code: bounds are made here, from dates and zoneinfo
alone. All weeks of a year are backfilled by tests/airflow/test_backfills_years.py; here are
some of them.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from demo.flights import archive_path
from tests.reports.carrier_ranking.oracle import carrier_ranking
from tests.reports.demo_jobs import check_jobs_of
from tests.support.dag_files import load_dags
from tests.support.dates import NEW_YORK, Period, months, weeks
from tests.support.published import manifest_of, rows_of
from tests.support.task_runner import run_dag

WEEKS_OF_2013 = weeks(dt.date(2012, 12, 31), 53, NEW_YORK)
MONTHS_OF_2013 = months(2013, NEW_YORK)
CLOCKS_CHANGE = (dt.date(2013, 3, 10), dt.date(2013, 11, 3))  # in New York
SOME_WEEKS_OF_2013 = [
    week
    for number, week in enumerate(WEEKS_OF_2013)
    if number % 13 == 0
    or week == WEEKS_OF_2013[-1]
    or any(week.first <= day < week.end for day in CLOCKS_CHANGE)
]
# What the report promises of its rows, and whether it publishes where a promise is broken.
PROMISES = [("unique(carrier)", "fail"), ("rows(at_least=10, at_most=30)", "warn")]
DAG_FILE = Path(__file__).parents[3] / "dags" / "carrier_ranking.py"


@pytest.mark.ci
@pytest.mark.usefixtures("flights_lake")
@pytest.mark.parametrize(
    ("cadence", "periods", "departures"),
    [
        ("weekly", SOME_WEEKS_OF_2013, None),
        ("monthly", MONTHS_OF_2013[2::8], None),  # in which the clocks change
        # Every departure of the year is in exactly one month: 336,776 flights,
        # 8,255 of them without one.
        pytest.param("monthly", MONTHS_OF_2013, 328_521, marks=pytest.mark.full),
    ],
)
def test_carrier_ranking_is_what_the_csv_says(
    services: Services, cadence: str, periods: list[Period], departures: int | None
) -> None:
    dag = load_dags(DAG_FILE)[f"carrier_ranking_{cadence}"]
    flights = 0
    for period in periods:
        manifest = manifest_of(services.s3, run_dag(dag, period=period.id))
        expected = carrier_ranking(archive_path(), period.start, period.midnight(period.end))
        assert rows_of(services.s3, manifest, "parquet") == expected, period.id
        assert rows_of(services.s3, manifest, "csv") == expected, period.id
        assert manifest["rows"] == len(expected)
        assert [(check["name"], check["severity"]) for check in manifest["checks"]] == PROMISES
        flights += sum(row["flights"] for row in expected)
    assert departures in (None, flights)


def test_the_demo_runs_periods_of_this_report_that_have_data() -> None:
    check_jobs_of("carrier_ranking", load_dags(DAG_FILE))
