"""What the tests of the page in a browser share. `test_endpoints.py` has services of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from athena_reports_cli.local.services import Services
from tests.airflow.page.reports_page import Enter, published_reports
from tests.support.browser import log_in
from tests.support.live_airflow import LiveAirflow


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The local services, with what is published before the tests."""
    with published_reports(tmp_path_factory.mktemp("local-aws") / "log") as running:
        yield running


@pytest.fixture
def enter(browser: Browser, airflow: LiveAirflow) -> Iterator[Enter]:
    """Logs a user in, and sees to it that the page has caused no error by the end of the test."""
    passwords = json.loads((airflow.config.home / "passwords.json").read_text())
    problems: list[str] = []
    with browser.new_context(
        viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo"
    ) as context:
        context.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)

        def entered(user: str) -> Page:
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            log_in(page, airflow.url, user, passwords[user])
            return page

        yield entered
    assert problems == []
