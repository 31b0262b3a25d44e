"""The Reports page in a real browser, and an Airflow that runs tasks: holes are filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, expect

from athena_reports.page.published_reports import CACHED_SECONDS
from athena_reports.publication.manifest import Reading
from athena_reports_cli.local.client import DagRun
from athena_reports_cli.local.runtime import COMPONENTS
from athena_reports_cli.local.services import Services
from tests.airflow.page.reports_page import (
    BY_FORM,
    DAG_ID,
    HOLES,
    SCREENSHOTS,
    Enter,
    airflow_with_page,
    cell,
    open_page,
)
from tests.support.calendars import WEEKS
from tests.support.live_airflow import LiveAirflow
from tests.support.page_publisher import Publisher

pytestmark = [pytest.mark.e2e, pytest.mark.full]

RUN_SECONDS = 240


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[LiveAirflow]:
    folder = tmp_path_factory.mktemp("page")
    with airflow_with_page(folder, services, COMPONENTS) as runtime:
        yield runtime


@pytest.fixture
def backfilled_by_form(enter: Enter, airflow: LiveAirflow) -> list[DagRun]:
    """The runs of `BY_FORM`, which a backfill from Airflow's own form has published.

    The first test that needs them makes them.
    """
    page = enter("admin")
    if not runs_of_backfills(airflow):
        page.goto(f"{airflow.url}/dags/{DAG_ID}")
        page.get_by_role("button", name="Trigger Dag").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("Backfill", exact=True).click()
        times = dialog.get_by_test_id("datetime-input")
        fill_time(times.first, BY_FORM[0].start)
        fill_time(times.last, BY_FORM[-1].start)
        dialog.get_by_role("button", name="Run Backfill").click()
        dialog.wait_for(state="hidden")
    open_page(page, airflow)
    for period in BY_FORM:
        expect(cell(page, period)).to_have_attribute(
            "data-state", re.compile("published|provisional"), timeout=RUN_SECONDS * 1000
        )
    return runs_of_backfills(airflow)


def fill_time(field: Locator, at: datetime) -> None:
    """Fill a time in Airflow's form: an input, or since 3.4 a button that opens two inputs.

    The form takes times of the zone that the UI shows, which is the browser's.
    """
    if field.evaluate("element => element.tagName") == "INPUT":
        field.fill(at.strftime("%Y-%m-%dT%H:%M"))
        return
    field.click()
    date = field.page.get_by_placeholder("YYYY/MM/DD")
    date.fill(at.strftime("%Y/%m/%d"))
    field.page.get_by_placeholder("HH:mm").fill(at.strftime("%H:%M"))
    field.click()
    date.wait_for(state="hidden")


def runs_of_backfills(airflow: LiveAirflow) -> list[DagRun]:
    return [run for run in airflow.client.runs(DAG_ID) if run.run_type == "backfill"]


def test_a_backfill_from_airflows_own_form_fills_the_coverage(
    backfilled_by_form: list[DagRun],
) -> None:
    assert [run.data_interval_start for run in backfilled_by_form] == [
        period.start_utc for period in BY_FORM
    ]


@pytest.mark.usefixtures("backfilled_by_form")
def test_holes_are_filled_and_stale_periods_restated(
    enter: Enter, airflow: LiveAirflow, services: Services
) -> None:
    """Two holes get runs with their logical dates; the stale period's own run is cleared."""
    publisher = Publisher(services, "user_ranking", WEEKS)
    # Queries of one minute count as run together, so this one has to be older.
    read = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="milliseconds")
    restated_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    ended_at = BY_FORM[0].end_utc.isoformat(timespec="milliseconds")
    readings = (Reading(digest="b", since=restated_at), Reading(digest="a", since=ended_at))
    publisher.alter(BY_FORM[0], readings=readings)
    publisher.alter(BY_FORM[1], reads_previous=True, submitted_at=read)
    page = enter("admin")
    page.set_viewport_size({"width": 1440, "height": 680})  # the pictures end where the page does
    open_page(page, airflow)
    # The page caches partitions, and Airflow has no run that would tell it of this change.
    expect(cell(page, BY_FORM[1])).to_have_attribute(
        "data-state", "stale", timeout=2 * CACHED_SECONDS * 1000
    )
    SCREENSHOTS.take(page, "page-coverage", "dark", "light")
    page.get_by_role("button", name=f"Fill the gaps in {DAG_ID}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("First period").select_option(HOLES[0].id)
    dialog.get_by_label("Last period").select_option(BY_FORM[1].id)
    expect(dialog.get_by_text("3 runs", exact=True)).to_be_visible()
    expect(dialog.get_by_text(re.compile(r"About .*B scanned for \$"))).to_be_visible()
    triggered = f"2 runs triggered, earliest first: {HOLES[0].id}, {HOLES[1].id}."
    expect(dialog.get_by_text(triggered)).to_be_visible()
    expect(dialog.get_by_text(f"1 run cleared: {BY_FORM[1].id}.")).to_be_visible()
    bounds = [f"{period.start_utc.isoformat()}" for period in (HOLES[0], BY_FORM[1])]
    assert dialog.locator("code.copy").all_inner_texts() == bounds
    SCREENSHOTS.take(page, "page-fill", "light")
    dialog.get_by_role("button", name="Start").click()
    for period in HOLES:
        expect(dialog.get_by_text(f"{period.id}: run triggered.")).to_be_visible()
    expect(dialog.get_by_text(f"{BY_FORM[1].id}: run cleared.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    for period in (*HOLES, BY_FORM[1]):
        expect(cell(page, period)).to_have_attribute(
            "data-state",
            re.compile("published|provisional|partial|warned"),
            timeout=RUN_SECONDS * 1000,
        )
    runs = [run for run in airflow.client.runs(DAG_ID) if run.run_id.startswith("fill__")]
    assert {run.data_interval_start for run in runs} == {period.start_utc for period in HOLES}
