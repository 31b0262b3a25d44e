"""The Airflow whose Reports page tests look at in a real browser, and what is published there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import FrameLocator, Locator, Page

from athena_reports.periods.calendar import Period
from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.local.services import Services, local_services
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from tests.airflow.page.dags import write_dags
from tests.support.browser import Screenshots
from tests.support.calendars import MONTHS, WEEKS
from tests.support.live_airflow import LiveAirflow
from tests.support.page_publisher import PASSED, WARNED, Publisher, last_periods
from tests.support.paths import ROOT
from tests.support.reports import SQL

SCREENSHOTS = Screenshots(ROOT / "docs" / "images")
DAG_ID = "user_ranking_weekly"
REPORTS = ("campaign_reach", "device_share", "shop_revenue", "user_ranking")
# The reports end with [-1], the last one that was over when this was imported: no week that ends
# while the tests run becomes one of theirs.
WEEK = last_periods(WEEKS, 26)
MONTH = last_periods(MONTHS, 6)
BY_FORM = WEEK[-4:-2]
HOLES = WEEK[-6:-4]
FORGOTTEN, FAILED, PARTIAL, WARNING = WEEK[-15], WEEK[-12], WEEK[-19], WEEK[-9]

Enter = Callable[[str], Page]
"""Logs a user in."""


@contextmanager
def published_reports(log: Path) -> Iterator[Services]:
    """The local services, with plays and with what is published before the tests."""
    with local_services(log) as running:
        running.prepare("dev")
        first = WEEK[-7].start_utc.date() - timedelta(2)
        spec = PlaysSpec(first, WEEK[-1].end_utc.date() + timedelta(2), events=20_000, users=1_000)
        seed_plays(running, "dev", spec)
        _publish(running)
        yield running


def _publish(services: Services) -> None:
    for report in REPORTS[1:]:
        publisher = Publisher(services, report, MONTHS)
        for month in MONTH:
            publisher.put(month)
        publisher = Publisher(services, report, WEEKS)
        ours = report == "user_ranking"
        for week in WEEK:
            if ours and week in (*BY_FORM, *HOLES, FORGOTTEN, FAILED):
                continue
            checks = [PASSED, WARNED] if week is WARNING else [PASSED]
            publisher.put(
                week,
                partial=ours and week is PARTIAL,
                provisional=week is WEEK[-1],
                key=["user_id"],
                checks=checks,
            )
    restated = Publisher(services, "user_ranking", WEEKS)
    again = WEEK[-8].end_utc + timedelta(days=2)
    restated.put(WEEK[-8], seed=3, at=again, key=["user_id"], checks=[PASSED])
    broken = Publisher(services, "device_share", WEEKS)
    broken.alter(WEEK[-4], broken="its manifest is missing")  # as the cleanup notes


@contextmanager
def airflow_with_page(
    folder: Path, services: Services, components: tuple[str, ...]
) -> Iterator[LiveAirflow]:
    """Airflow with the page, a queued run of one report, and a failed one of another.

    Args:
        folder: Where its DAG files and its home are.
        services: What it reaches.
        components: What is started of it.
    """
    sql = SQL / "top_users.sql"
    config = AirflowConfig(
        home=folder / "airflow",
        dags_folder=write_dags(folder / "dags", sql, REPORTS, WEEK[0], WEEK[-1]),
        plugins_folder=ROOT / "plugins",
        components=components,
        environment={
            **services.environment,
            "ATHENA_REPORTS_SQL_FOLDER": str(sql.parent),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            # What is missing is to stay so until somebody fills it.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        },
    )
    with LiveAirflow(config, dag_ids=[f"{report}_weekly" for report in REPORTS]) as runtime:
        runtime.client.pause("shop_revenue_weekly")
        runtime.client.trigger("shop_revenue_weekly", conf={"period": WEEK[-2].id})
        runtime.client.pause(DAG_ID)
        failed = runtime.client.trigger(DAG_ID, conf={"period": FAILED.id})
        runtime.client.set_state(DAG_ID, failed.run_id, "failed")
        runtime.client.unpause(DAG_ID)
        yield runtime


def open_page(page: Page, airflow: LiveAirflow, place: str = "") -> None:
    page.goto(f"{airflow.url}/athena-reports/{place}")
    page.locator("#status[data-complete=true]").wait_for()


def cell(page: Page | FrameLocator, period: Period, dag_id: str = DAG_ID) -> Locator:
    return page.locator(f'.cell[data-key="{dag_id}/{period.id}"]')
