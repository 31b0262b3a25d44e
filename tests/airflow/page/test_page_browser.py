"""The Reports page in a real browser and a real Airflow, in which no task runs.

CI has cheaper siblings: test_endpoints.py, and without Airflow
tests/unit/athena_reports/page/test_static.py.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from athena_reports_cli.local.services import Services
from tests.airflow.page.reports_page import (
    DAG_ID,
    FAILED,
    FORGOTTEN,
    PARTIAL,
    SCREENSHOTS,
    WARNING,
    WEEK,
    Enter,
    airflow_with_page,
    cell,
    open_page,
)
from tests.support.live_airflow import LiveAirflow
from tests.support.page_publisher import ranking

pytestmark = [pytest.mark.e2e, pytest.mark.full]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[LiveAirflow]:
    folder = tmp_path_factory.mktemp("page")
    with airflow_with_page(folder, services, ("api-server", "dag-processor")) as runtime:
        yield runtime


@contextmanager
def in_airflow(page: Page, airflow: LiveAirflow) -> Iterator[FrameLocator]:
    """The page as Airflow's navigation shows it, in its frame."""
    page.goto(airflow.url)
    page.get_by_role("link", name="Reports", exact=True).click()
    frame = page.frame_locator("iframe")
    frame.locator("#status[data-complete=true]").wait_for()
    yield frame


def test_coverage_shows_what_glue_and_airflow_have(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow)
    for state, period, dag_id in (
        ("published", WEEK[-10], DAG_ID),
        ("provisional", WEEK[-1], DAG_ID),
        ("partial", PARTIAL, DAG_ID),
        ("warned", WARNING, DAG_ID),
        ("missing", FORGOTTEN, DAG_ID),
        ("failed", FAILED, DAG_ID),
        ("broken", WEEK[-4], "device_share_weekly"),
        ("running", WEEK[-2], "shop_revenue_weekly"),
    ):
        expect(cell(page, period, dag_id)).to_have_attribute("data-state", state)


def test_the_focus_stays_where_it_is_and_in_sight(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow)
    page.get_by_label("Show").select_option("5 years")
    page.wait_for_load_state("networkidle")  # when they are loaded, the coverage is drawn anew
    cell(page, WEEK[-1]).focus()
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
        focused, names = page.locator(".cell:focus"), page.get_by_role("rowheader").first
        left, right = focused.bounding_box(), names.bounding_box()
        assert left is not None
        assert right is not None
        assert left["x"] >= right["x"] + right["width"]
    page.get_by_role("button", name=f"Fill the gaps in {DAG_ID}").click()
    stale = page.get_by_role("dialog").get_by_role("checkbox", name=re.compile("^stale"))
    stale.focus()
    for checked in (False, True):
        page.keyboard.press("Space")
        expect(stale).to_be_checked(checked=checked)
        expect(stale).to_be_focused()


def test_a_period_shows_its_ranking_history_versions_and_checks(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    open_page(page, airflow)
    cell(page, WEEK[-8]).click()
    rows = page.locator("section", has=page.get_by_role("heading", name="100 rows"))
    best = ranking(WEEK[-8], seed=3)
    expect(rows.locator("tbody tr")).to_have_count(100)
    first = rows.locator("tbody tr").first
    expect(first).to_contain_text(best[0]["user_id"])
    expect(first).to_contain_text(f"{best[0]['score']:,}")
    expect(rows.locator(".bar")).to_have_count(15)
    history = page.locator("section", has=page.get_by_role("heading", name="History"))
    expect(history.locator("path")).to_have_count(5)
    history.get_by_text("Show as a table").click()
    expect(history.get_by_role("columnheader", name=WEEK[-10].id)).to_be_visible()
    versions = page.locator("section", has=page.get_by_role("heading", name="Versions"))
    expect(versions.locator("tbody tr")).to_have_count(2)
    expect(versions).to_contain_text(re.compile(r"\d+ rows? added, \d+ removed, \d+ changed"))
    columns = page.locator("section", has=page.get_by_role("heading", name="Columns"))
    expect(columns.get_by_role("row", name="user_id")).to_contain_text("meaning of user_id")
    expect(page.get_by_text("unique(user_id)")).to_be_visible()
    expect(page.get_by_text(f"SELECT user_id FROM plays -- {WEEK[-8].id}, 3")).to_be_visible()
    versions.get_by_role("button", name="SQL").last.click()
    expect(page.get_by_role("heading", name="SQL of the earlier version")).to_be_visible()
    expect(page.get_by_text(f"SELECT user_id FROM plays -- {WEEK[-8].id}, 0")).to_be_visible()
    versions.get_by_role("button", name="SQL").first.click()
    expect(page.get_by_text(f"SELECT user_id FROM plays -- {WEEK[-8].id}, 3")).to_be_visible()
    expect(page.locator(".facts").get_by_role("link", name="3f1d9c52")).to_have_attribute(
        "href",
        re.compile(r"^https://us-east-1\.console\.aws\.amazon\.com/athena/.*/history/3f1d9c52"),
    )
    history.get_by_text("Show as a table").click()
    SCREENSHOTS.take(page, "page-period", "light")


def test_a_link_that_was_opened_without_a_network_shows_its_period_when_there_is_one(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    page.route("**/api/**", lambda route: route.abort())
    page.goto(f"{airflow.url}/athena-reports/#{DAG_ID}/{WEEK[-10].id}")
    expect(page.locator(".period [role=alert]")).to_be_visible()

    page.unroute("**/api/**")
    page.evaluate("dispatchEvent(new Event('online'))")
    sql = f"SELECT user_id FROM plays -- {WEEK[-10].id}, 0"
    expect(page.get_by_text(sql)).to_be_visible()


def test_downloads_are_files(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow, f"#{DAG_ID}/{WEEK[-10].id}")
    assert_downloads(page, page.locator("body"))


def assert_downloads(page: Page, place: Locator) -> None:
    with page.expect_download() as download:
        place.get_by_role("link", name=re.compile("^CSV")).click()
    with Path(download.value.path()).open(newline="") as file:
        users = [row["user_id"] for row in csv.DictReader(file)]
    assert users == [row["user_id"] for row in ranking(WEEK[-10])]
    with page.expect_download() as download:
        place.get_by_role("link", name="Manifest").click()
    assert json.loads(Path(download.value.path()).read_text())["period"]["id"] == WEEK[-10].id


def test_airflows_frame_takes_nothing_away(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    with in_airflow(page, airflow) as frame:
        cell(frame, WEEK[-10]).click()
        frame.locator(".facts").wait_for()
        assert_downloads(page, frame.locator("body"))
        with page.context.expect_page() as opened:
            frame.locator(".facts").get_by_role("link", name="3f1d9c52").click()
        opened.value.close()
        frame.get_by_role("link", name="Open full page").click()
    page.wait_for_url(f"{airflow.url}/athena-reports/#{DAG_ID}/{WEEK[-10].id}")
    expect(page.locator(".facts")).to_be_visible()
    assert page.locator("iframe").count() == 0


def test_a_failed_period_leads_to_its_run(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow)
    cell(page, FAILED).click()
    expect(
        page.get_by_text("The last run failed. See the log of the run in Airflow.")
    ).to_be_visible()
    page.get_by_role("link", name="Run in Airflow").click()
    page.wait_for_url(re.compile(rf"/dags/{DAG_ID}/runs/manual__"))
    expect(page.get_by_text("Failed").first).to_be_visible()


def test_airflows_graph_shows_the_steps_from_left_to_right(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    page.set_viewport_size({"width": 1400, "height": 600})
    page.goto(f"{airflow.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Graph").click()
    left = []
    for step in ("run_query", "wait_for_query", "transform", "publish"):
        box = page.get_by_test_id(f"rf__node-{step}").bounding_box()
        assert box is not None
        left.append(box["x"])
    assert left == sorted(left)
    SCREENSHOTS.take(page, "graph", "dark", "light")
