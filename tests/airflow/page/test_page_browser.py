"""The Reports page in a real browser and a real Airflow, in which no task runs."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect

from athena_reports.periods.calendar import Period
from athena_reports_cli.local.services import Services
from tests.airflow.page.reports_page import (
    DAG_ID,
    FAILED,
    FORGOTTEN,
    HOSTILE,
    MONTH,
    PARTIAL,
    SCREENSHOTS,
    WARNING,
    WEEK,
    Enter,
    airflow_with_page,
    cell,
    open_page,
)
from tests.support.calendars import MONTHS, WEEKS
from tests.support.live_airflow import LiveAirflow
from tests.support.page_publisher import Publisher, ranking

pytestmark = [pytest.mark.e2e, pytest.mark.ci]


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


def test_coverage_shows_every_state_by_colour_and_by_shape(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    open_page(page, airflow)
    shop = "shop_revenue_weekly"
    seen = {
        state: cell(page, period, dag_id)
        for state, period, dag_id in (
            ("published", WEEK[-10], DAG_ID),
            ("provisional", WEEK[-1], DAG_ID),
            ("partial", PARTIAL, DAG_ID),
            ("warned", WARNING, DAG_ID),
            ("missing", FORGOTTEN, DAG_ID),
            ("failed", FAILED, DAG_ID),
            ("broken", WEEK[-4], "device_share_weekly"),
            ("running", WEEK[-2], shop),
        )
    }
    looks = set()
    for state, element in seen.items():
        expect(element).to_have_attribute("data-state", state)
        looks.add(
            element.evaluate(
                """(e) => [
                    getComputedStyle(e).borderTopStyle,
                    getComputedStyle(e, "::before").display,
                    getComputedStyle(e, "::before").clipPath,
                ].join()"""
            )
        )
    assert len(looks) == len(seen)  # told apart by somebody who sees no colours
    legend = page.get_by_label("Legend")
    for state in (*seen, "stale"):
        expect(legend.get_by_text(state, exact=True)).to_be_visible()


def test_coverage_can_be_used_by_keyboard_and_by_a_screen_reader(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    open_page(page, airflow)
    cell(page, WEEK[-12]).focus()
    expect(page.get_by_role("tooltip")).to_contain_text("The last run failed")
    for key, period in (("ArrowLeft", WEEK[-13]), ("ArrowRight", WEEK[-12]), ("End", WEEK[-1])):
        page.keyboard.press(key)
        expect(cell(page, period)).to_be_focused()
    expect(
        page.get_by_role("gridcell", name=f"{DAG_ID}, week {WEEK[-1].id}: provisional, published")
    ).to_be_focused()
    expect(page.get_by_role("tooltip")).to_contain_text("100 rows")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".cell:focus")).to_have_attribute(
        "data-key", re.compile("^user_ranking_monthly/")
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"user_ranking weekly {WEEK[-1].id}")).to_be_visible()
    page.get_by_role("link", name="All reports").click()
    page.get_by_label("Find").fill("shop")
    expect(page.get_by_role("rowheader")).to_have_count(2)
    page.get_by_label("Find").fill("")
    page.get_by_label("Only periods that need attention").check()
    expect(page.get_by_role("rowheader").filter(has_text="user_ranking")).to_have_count(1)


def test_coverage_goes_to_a_date(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    page.set_viewport_size({"width": 400, "height": 900})  # too narrow for half a year
    open_page(page, airflow)
    first, last = cell(page, WEEK[1]), cell(page, WEEK[-1])
    for date, shown, hidden in ((WEEK[1], first, last), (WEEK[-1], last, first)):
        page.get_by_label("Go to").fill(date.id)
        page.get_by_label("Go to").press("Enter")
        expect(shown).to_be_in_viewport()
        expect(hidden).not_to_be_in_viewport()
    page.get_by_label("Go to").fill(str(WEEK[-1].first_date - timedelta(700)))
    page.get_by_label("Go to").press("Enter")
    expect(page.get_by_label("Show")).to_have_value("731")
    expect(first).to_be_in_viewport()


def test_the_focus_stays_where_it_is_and_in_sight(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow)
    page.get_by_label("Show").select_option("5 years")
    cell(page, WEEK[-1]).focus()
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
        focused, names = page.locator(".cell:focus"), page.get_by_role("rowheader").first
        left, right = focused.bounding_box(), names.bounding_box()
        assert left is not None
        assert right is not None
        assert left["x"] >= right["x"] + right["width"]
    fill = page.get_by_role("button", name=f"Fill the gaps in {DAG_ID}")
    fill.focus()
    fill.evaluate("button => { button.id = 'old'; dispatchEvent(new Event('hashchange')); }")
    expect(page.locator("#old")).to_have_count(0)  # the coverage was drawn anew
    expect(fill).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    stale = dialog.get_by_role("checkbox", name=re.compile("^stale"))
    stale.focus()
    for checked in (False, True):
        page.keyboard.press("Space")
        expect(stale).to_be_checked(checked=checked)
        expect(stale).to_be_focused()
    page.keyboard.press("Escape")
    expect(fill).to_be_focused()


def test_the_page_is_as_light_or_dark_as_airflow(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow)
    colours = []
    for theme in ("light", "dark"):
        page.evaluate("(theme) => localStorage.setItem('theme', theme)", theme)
        page.reload()
        page.locator(".cell").first.wait_for()
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
    page.evaluate("localStorage.removeItem('theme')")
    for scheme, colour in zip(("light", "dark"), colours, strict=True):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour


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


def test_what_comes_from_data_is_text(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow, f"#{DAG_ID}/{WEEK[-7].id}")
    expect(page.get_by_role("cell", name=HOSTILE)).to_be_visible()
    expect(page.locator(".facts")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert page.title() == f"{DAG_ID} {WEEK[-7].id}"


@pytest.fixture
def old(services: Services) -> Period:
    """A period that was published so long ago that the page does not ask for it first."""
    period = WEEK[0]
    for _ in range(8):
        period = period.previous
    Publisher(services, "device_share", WEEKS).put(period, key=["user_id"])
    return period


def wait_until_covered(page: Page, period: Period) -> None:
    """Wait until the API server, which caches the coverage for seconds, has a period in it."""
    page.evaluate(
        """
        async (id) => {
          for (let asked = 0; asked < 300; asked++) {
            const response = await fetch("/athena-reports/api/coverage?dag_id=device_share_weekly");
            if ((await response.text()).includes(id)) return;
            await new Promise((done) => setTimeout(done, 100));
          }
          throw new Error(`the coverage has no ${id}`);
        }
        """,
        period.id,
    )


# The page asks for the coverage again after some seconds.
NO_POLLS = """
const setTimeoutOfBrowser = window.setTimeout;
window.setTimeout = (callback, pause) =>
  pause < 1000 || pause === undefined ? setTimeoutOfBrowser(callback, pause) : 0;
"""


def test_a_link_to_a_period_loads_each_thing_once(
    enter: Enter, airflow: LiveAirflow, old: Period
) -> None:
    page = enter("admin")
    wait_until_covered(page, old)
    page.add_init_script(NO_POLLS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, airflow, f"#device_share_weekly/{old.id}")
    expect(page.get_by_text(f"SELECT user_id FROM plays -- {old.id}, 0")).to_be_visible()
    # What only the coverage knows.
    expect(page.get_by_role("link", name="Next period")).to_be_visible()
    expect(page.locator(".chips")).to_contain_text("published")
    page.wait_for_load_state("networkidle")
    base = f"{airflow.url}/athena-reports/"
    paths = Counter(
        url.removeprefix(base).partition("?")[0] for url in asked if url.startswith(base)
    )
    assert {path: times for path, times in paths.items() if times > 1} == {}
    version = page.locator(".facts code").inner_text()
    period = f"api/dags/device_share_weekly/periods/{old.id}"
    assert {path for path in paths if path.startswith("api/")} == {
        "api/reports",
        "api/coverage",
        period,
        f"{period}/history",
        f"{period}/deliveries",
        f"{period}/versions/{version}/sql",
    }


def test_a_link_that_was_opened_without_a_network_shows_its_period_when_there_is_one(
    enter: Enter, airflow: LiveAirflow, old: Period
) -> None:
    page = enter("admin")
    page.route("**/api/**", lambda route: route.abort())
    page.goto(f"{airflow.url}/athena-reports/#device_share_weekly/{old.id}")
    expect(page.locator(".period [role=alert]")).to_be_visible()

    page.unroute("**/api/**")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text(f"SELECT user_id FROM plays -- {old.id}, 0")).to_be_visible()


def test_a_link_to_a_period_that_is_not_published_says_so(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    open_page(page, airflow, f"#{DAG_ID}/{FORGOTTEN.id}")
    expect(page.get_by_text("Nothing is published.")).to_be_visible()
    page.get_by_role("link", name="All reports").click()
    expect(cell(page, FORGOTTEN)).to_have_attribute("data-state", "missing")


AMOUNTS = """
SELECT department, age, amount::DECIMAL(38,4) AS amount, mean::DOUBLE AS mean
FROM (VALUES
    ('Toys and games for all', 30, '1.5000', 0.1 + 0.2),
    ('Toys and games for all', 40, '-1234.5000', 1.5),
    ('Books', 30, '12345678901234567890.1200', 'inf'::DOUBLE),
    ('Books', NULL, '0.1000', NULL)
) AS t(department, age, amount, mean)
"""


@pytest.fixture
def months(services: Services) -> Iterator[list[Period]]:
    """Two months of a report of which nothing else is published, before and after the test."""
    publisher = Publisher(services, "campaign_reach", MONTHS)
    for month in MONTH[-2:]:
        publisher.put(month, rows=AMOUNTS, key=["department", "age"])
    yield MONTH[-2:]
    services.glue.delete_table(DatabaseName=publisher.database, Name=publisher.table)


def test_a_key_of_two_columns_is_told_apart_and_decimals_keep_their_digits(
    enter: Enter, airflow: LiveAirflow, months: list[Period]
) -> None:
    page = enter("admin")
    open_page(page, airflow, f"#campaign_reach_monthly/{months[-1].id}")

    rows = page.locator("section", has=page.get_by_role("heading", name="4 rows"))
    amounts = ["1.5000", "-1,234.5000", "12,345,678,901,234,567,890.1200", "0.1000"]
    expect(rows.locator("tbody td:nth-child(3)")).to_have_text(amounts)
    expect(rows.locator("tbody td:nth-child(4)")).to_have_text(["0.3", "1.5", "inf", "NULL"])

    toys, books = "Toys and games for all", "Books"
    names = [f"{toys}, 30", f"{toys}, 40", f"{books}, 30", f"{books}, NULL"]
    expect(rows.locator(".chart .label")).to_have_text(names)
    named = [f"{name}: {amount}" for name, amount in zip(names, amounts, strict=True)]
    assert rows.locator(".chart title").all_text_contents() == named
    # The age is of the key, and so no measure.
    expect(rows.locator(".picker option")).to_have_text(["amount", "mean"])
    expect(rows.locator(".chart .value")).to_have_text(
        ["1.5000", "-1.2K", "12,345,678.9T", "0.1000"]
    )
    rows.get_by_label("By").select_option("mean")
    expect(rows.locator(".chart .value")).to_have_text(["0.3", "1.5", "inf", "NULL"])

    history = page.locator("section", has=page.get_by_role("heading", name="History"))
    history.get_by_text("Show as a table").click()
    expect(history.locator("tbody th")).to_have_text(names)
    in_both = [amount for amount in amounts for _ in months]
    expect(history.locator("tbody td")).to_have_text(in_both)
    expect(history.locator("text.name")).to_have_text(names)
    assert (
        f"{names[1]}, {months[0].id}: {amounts[1]}" in history.locator("title").all_text_contents()
    )
    history.get_by_label("By").select_option("mean")
    expect(history.locator("text.name")).to_have_text(names)
    heights = [name.get_attribute("y") for name in history.locator("text.name").all()]
    assert "NaN" not in heights


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


@pytest.mark.parametrize(
    ("period", "says"),
    [
        (WEEK[-3], "is not a document of this report"),
        (WEEK[-4], "its manifest was deleted. Clear the period's run"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_explained(
    enter: Enter, airflow: LiveAirflow, period: Period, says: str
) -> None:
    page = enter("admin")
    open_page(page, airflow, f"#device_share_weekly/{period.id}")
    expect(page.get_by_role("alert")).to_contain_text(says)
    page.get_by_role("link", name="All reports").click()
    expect(cell(page, period, "device_share_weekly")).to_be_visible()


def test_a_range_that_is_inverted_is_refused_in_the_form(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    open_page(page, airflow)
    page.get_by_role("button", name=f"Fill the gaps in {DAG_ID}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".figure")).to_be_visible()
    dialog.get_by_label("First period").select_option(WEEK[-1].id)
    expect(dialog.get_by_text("The range is reversed")).to_be_visible()
    expect(dialog.get_by_role("button", name="Start")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_period_that_does_not_exist_is_explained(enter: Enter, airflow: LiveAirflow) -> None:
    page = enter("admin")
    open_page(page, airflow, f"#{DAG_ID}/2026-13-01")
    expect(page.get_by_role("alert")).to_contain_text("'2026-13-01' is not the id of a week")
    page.get_by_role("link", name="All reports").click()
    expect(cell(page, WEEK[-1])).to_be_visible()


def test_a_viewer_without_rights_looks_and_starts_nothing(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("looker")
    open_page(page, airflow)
    expect(cell(page, FORGOTTEN)).to_have_attribute("data-state", "missing")
    assert page.get_by_role("button").count() == 0
    cell(page, FORGOTTEN).click()
    expect(page.get_by_text("Nothing is published.")).to_be_visible()
    assert page.get_by_role("button").count() == 0


def test_who_is_not_logged_in_is_asked_to(browser: Browser, airflow: LiveAirflow) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{airflow.url}/athena-reports/")
        expect(page.get_by_role("heading", name="You are not logged in")).to_be_visible()
        page.get_by_role("link", name="Log in to Airflow").click()
        page.wait_for_url(re.compile("/auth/login"))


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
