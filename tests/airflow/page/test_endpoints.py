"""The page's endpoints in a real API server: who may see what,
and that they say what Airflow knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, expect

from athena_reports.periods.calendar import Period
from athena_reports_cli.local.runtime import AirflowConfig
from athena_reports_cli.local.services import Services, local_services
from tests.airflow.page.dags import write_dags
from tests.airflow.page.reports_page import Enter
from tests.support.calendars import MONTHS, WEEKS
from tests.support.live_airflow import LiveAirflow
from tests.support.page_publisher import Publisher
from tests.support.paths import ROOT
from tests.support.reports import SQL

pytestmark = [pytest.mark.e2e, pytest.mark.ci]

DAG_ID = "user_ranking_weekly"
OUTSIDER = "outsider"  # of auth.py, which imports the API server: that takes a second
HOLES_DAG_ID = "user_holes_weekly"  # of which nothing is published
REPORTS = ("user_ranking", "user_holes", "shop_revenue", "shop_closed")
PERIODS = list(WEEKS.between(WEEKS.period("2025-06-01").start, WEEKS.period("2025-07-27").start))
MIDDLE = PERIODS[4].id
DATA_PATHS = [
    "/api/reports",
    f"/api/coverage?dag_id={DAG_ID}",
    f"/api/dags/{DAG_ID}/plan?first={PERIODS[0].id}&last={PERIODS[7].id}&state=missing",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}/history",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}/manifest",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}/objects/csv",
]


@dataclass(frozen=True)
class Users:
    """Tokens of the people who look at the page."""

    url: str
    tokens: dict[str, str]

    def get(self, user: str, path: str, prefix: str = "/athena-reports") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        return httpx.get(f"{self.url}{prefix}{path}", headers=headers, trust_env=False, timeout=60)

    def post(self, user: str, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        return httpx.post(
            f"{self.url}/api/v2{path}", json=body, headers=headers, trust_env=False, timeout=60
        )


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        running.prepare("dev")
        for report in ("user_ranking", "shop_revenue"):
            for period in PERIODS[3:6]:
                Publisher(running, report, WEEKS).put(period)
            Publisher(running, report, MONTHS).put(MONTHS.period("2025-06"))
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[LiveAirflow]:
    folder = tmp_path_factory.mktemp("page")
    sql = SQL / "top_users.sql"
    dags = write_dags(folder / "dags", sql, ["user_ranking", "user_holes"], PERIODS[0], PERIODS[-1])
    write_dags(dags, sql, ["shop_closed"], PERIODS[0], PERIODS[1])
    write_dags(dags, sql, ["shop_revenue"], PERIODS[0])
    (dags / "no_report.py").write_text(
        '"""A DAG of Airflow."""\nfrom airflow.sdk import DAG\n'
        'dag = DAG("no_report", schedule=None, tags=["athena-report"])\n'
    )
    config = AirflowConfig(
        home=folder / "airflow",
        dags_folder=dags,
        plugins_folder=ROOT / "plugins",
        components=("api-server", "dag-processor"),
        environment={
            **services.environment,
            "ATHENA_REPORTS_SQL_FOLDER": str(sql.parent),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.airflow.page.auth.SomeDagsAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": (
                f"admin:admin,looker:viewer,{OUTSIDER}:viewer"
            ),
        },
    )
    ids = [f"{report}_{name}" for report in REPORTS for name in ("weekly", "monthly")]
    with LiveAirflow(config, dag_ids=[*ids, "no_report"]) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def users(airflow: LiveAirflow) -> Users:
    passwords = json.loads((airflow.config.home / "passwords.json").read_text())
    tokens = {}
    for user in ("admin", "looker", OUTSIDER):
        answer = httpx.post(
            f"{airflow.url}/auth/token",
            json={"username": user, "password": passwords[user]},
            trust_env=False,
        )
        tokens[user] = answer.json()["access_token"]
    return Users(airflow.url, tokens)


def rows_of(users: Users, user: str = "admin") -> dict[str, Any]:
    headings = users.get(user, "/api/reports").json()
    if not headings:
        return {}
    asked = "&".join(f"dag_id={heading['dag_id']}" for heading in headings)
    answer = users.get(user, f"/api/coverage?{asked}").json()
    by_id = {heading["dag_id"]: heading for heading in headings}
    return {
        row["dag_id"]: (
            by_id[row["dag_id"]]
            | row
            | {
                "cells": {
                    cell[0]: dict(zip(answer["fields"], cell, strict=True)) for cell in row["cells"]
                }
            }
        )
        for row in map(json.loads, answer["rows"].values())
    }


@pytest.mark.parametrize("path", DATA_PATHS)
def test_data_is_for_those_who_are_logged_in(users: Users, path: str) -> None:
    assert users.get("", path).status_code == 401
    assert users.get("admin", path).status_code == 200


@pytest.mark.parametrize("path", DATA_PATHS[2:])
def test_data_of_a_dag_is_for_those_who_may_read_it(users: Users, path: str) -> None:
    assert users.get(OUTSIDER, path).status_code == 403
    assert users.get(OUTSIDER, path.replace("user_ranking", "shop_revenue")).status_code == 200


def test_only_dags_that_the_viewer_may_read_are_listed(users: Users) -> None:
    ids = {f"{report}_{cadence}" for report in REPORTS for cadence in ("weekly", "monthly")}
    assert set(rows_of(users)) == ids
    assert set(rows_of(users, OUTSIDER)) == {each for each in ids if each.startswith("shop_")}


def test_the_page_without_its_data_loads_for_everybody(users: Users) -> None:
    page = users.get("", "/")
    assert page.status_code == 200
    assert "user_ranking" not in page.text
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert users.get("", "/static/main.js").status_code == 200


def test_airflow_puts_the_page_into_its_navigation(users: Users) -> None:
    plugins = users.get("admin", "/plugins", prefix="/api/v2").json()["plugins"]
    (ours,) = (plugin for plugin in plugins if plugin["name"] == "athena_reports")
    (view,) = ours["external_views"]
    assert (view["href"], view["destination"]) == ("athena-reports/", "nav")


def test_a_browser_shows_the_page_in_airflows_navigation_and_downloads_a_file(
    enter: Enter, airflow: LiveAirflow
) -> None:
    page = enter("admin")
    page.goto(airflow.url)
    page.get_by_role("link", name="Reports", exact=True).click()
    frame = page.frame_locator("iframe")
    frame.locator("#status[data-complete=true]").wait_for()
    expect(frame.get_by_role("rowheader").filter(has_text="user_ranking").first).to_be_visible()
    frame.get_by_role("link", name="Open full page").click()
    page.wait_for_url(f"{airflow.url}/athena-reports/")
    page.goto(f"{airflow.url}/athena-reports/#{DAG_ID}/{MIDDLE}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Manifest").click()
    assert json.loads(Path(download.value.path()).read_text())["period"]["id"] == MIDDLE


def test_who_is_not_logged_in_is_asked_to_in_a_browser(
    browser: Browser, airflow: LiveAirflow
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{airflow.url}/athena-reports/")
        page.get_by_role("link", name="Log in to Airflow").click()
        page.wait_for_url(re.compile("/auth/login"))


def test_who_may_not_start_runs_is_told_so_and_airflow_holds_to_it(users: Users) -> None:
    assert {row["may_run"] for row in rows_of(users).values()} == {True}
    assert {row["may_run"] for row in rows_of(users, "looker").values()} == {False}
    start = PERIODS[0].start.isoformat()
    backfill = {"dag_id": DAG_ID, "from_date": start, "to_date": start}
    assert users.post("looker", "/backfills", backfill).status_code == 403
    assert (
        users.post("looker", f"/dags/{DAG_ID}/dagRuns", {"logical_date": None}).status_code == 403
    )


def test_another_site_cannot_start_anything_in_the_name_of_a_viewer(
    users: Users, airflow: LiveAirflow
) -> None:
    """Its requests carry the session's cookie at most, and no content type but those of a form."""
    run = airflow.client.trigger("shop_revenue_weekly", conf={"period": PERIODS[0].id})
    airflow.client.set_state("shop_revenue_weekly", run.run_id, "failed")
    before = [(each.run_id, each.state) for each in airflow.client.runs("shop_revenue_weekly")]
    start = PERIODS[1].start.isoformat()
    forgeries = {
        "/dags/shop_revenue_weekly/dagRuns": {"logical_date": None, "conf": {}},
        "/backfills": {"dag_id": "shop_revenue_weekly", "from_date": start, "to_date": start},
        f"/dags/shop_revenue_weekly/dagRuns/{quote(run.run_id, safe='')}/clear": {"dry_run": False},
    }
    cookie = {"Cookie": f"_token={users.tokens['admin']}", "Origin": "https://elsewhere.example"}
    for path, body in forgeries.items():
        address = f"{users.url}/api/v2{path}"
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ):
            answer = httpx.post(
                address,
                content=json.dumps(body),
                headers={**cookie, "Content-Type": kind},
                trust_env=False,
                timeout=60,
            )
            assert not answer.is_success
        # What is JSON a browser sends only if it is allowed beforehand.
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        preflight = httpx.options(address, headers={**cookie, **asked}, trust_env=False)
        assert "access-control-allow-origin" not in preflight.headers
    assert [
        (each.run_id, each.state) for each in airflow.client.runs("shop_revenue_weekly")
    ] == before


def test_runs_that_airflow_knows_are_seen_at_their_period(
    users: Users, airflow: LiveAirflow
) -> None:
    client = airflow.client
    by_param = client.trigger(DAG_ID, conf={"period": PERIODS[0].id})
    by_date = client.trigger(DAG_ID, logical_date=PERIODS[1].end_utc.isoformat())
    client.set_state(DAG_ID, by_date.run_id, "failed")
    again = client.trigger(DAG_ID, conf={"period": PERIODS[3].id})
    client.set_state(DAG_ID, again.run_id, "failed")
    done = client.trigger(DAG_ID, conf={"period": PERIODS[2].id})
    client.set_state(DAG_ID, done.run_id, "success")
    cells = rows_of(users)[DAG_ID]["cells"]
    assert list(cells) == [period.id for period in PERIODS]
    states = [cells[period.id]["states"] for period in PERIODS]
    assert states == [
        ["running", "missing"],
        ["failed", "missing"],
        ["missing"],
        ["failed", "published"],
        ["published"],
        ["published"],
        ["missing"],
        ["missing"],
    ]
    runs = [cells[period.id]["run_id"] for period in PERIODS]
    assert runs[:4] == [by_param.run_id, by_date.run_id, "", again.run_id]
    client.pause("shop_revenue_monthly")
    assert [dag_id for dag_id, row in rows_of(users).items() if row["is_paused"]] == [
        "shop_revenue_monthly"
    ]


def planned(users: Users, period: Period, state: str = "missing") -> dict[str, Any]:
    """The request that the page makes for a period."""
    query = f"/api/dags/{HOLES_DAG_ID}/plan?first={period.id}&last={period.id}&state={state}"
    (start,) = users.get("admin", query).json()["starts"]
    assert start["period"] == period.id
    return dict(start)


def backfilled(users: Users, first: Period, last: Period, dag_id: str = HOLES_DAG_ID) -> list[str]:
    """The periods that a backfill would run, by Airflow's own dry run."""
    body = {
        "dag_id": dag_id,
        "from_date": first.start.isoformat(),
        "to_date": last.start.isoformat(),
    }
    dry = users.post("admin", "/backfills/dry_run", body | {"reprocess_behavior": "none"}).json()[
        "backfills"
    ]
    return [WEEKS.containing(datetime.fromisoformat(each["logical_date"])).id for each in dry]


def test_a_hole_gets_a_run_that_a_later_backfill_finds_and_the_next_fill_clears(
    users: Users, airflow: LiveAirflow
) -> None:
    before, hole = PERIODS[6], PERIODS[7]
    start = planned(users, hole)
    answer = users.post("admin", f"/{start['path']}", start["body"])
    assert answer.status_code == 200, answer.text
    run = answer.json()
    dates = [run[name] for name in ("logical_date", "data_interval_start", "data_interval_end")]
    expected = [hole.start_utc, hole.start_utc, hole.end_utc]
    assert [datetime.fromisoformat(date) for date in dates] == expected
    assert rows_of(users)[HOLES_DAG_ID]["cells"][hole.id]["states"] == ["running", "missing"]
    assert backfilled(users, before, hole) == [before.id]
    airflow.client.set_state(HOLES_DAG_ID, run["dag_run_id"], "failed")
    again = planned(users, hole, "failed")
    assert (again["action"], quote(run["dag_run_id"], safe="") in again["path"]) == ("clear", True)
    assert users.post("admin", f"/{again['path']}", again["body"]).status_code == 200
    states = {each.run_id: each.state for each in airflow.client.runs(HOLES_DAG_ID)}
    assert states[run["dag_run_id"]] == "queued"


@pytest.mark.parametrize("occupied_by", ["the run of another period", "a cancelled backfill"])
def test_a_period_whose_run_cannot_run_it_gets_a_run_of_its_own(
    users: Users, airflow: LiveAirflow, occupied_by: str
) -> None:
    """Airflow makes no second run of a logical date,
    and never runs what a cancelled backfill left.
    """
    client = airflow.client
    if occupied_by == "a cancelled backfill":
        hole = PERIODS[4]
        backfill = client.backfill(HOLES_DAG_ID, hole.start, hole.start)
        client.cancel_backfill(backfill)  # which fails the queued run
    else:
        hole = PERIODS[1]  # the run that is triggered with its date reports the week before
        occupying = client.trigger(HOLES_DAG_ID, logical_date=hole.start_utc.isoformat())
        client.set_state(HOLES_DAG_ID, occupying.run_id, "failed")
    start = planned(users, hole)
    assert (start["action"], start["body"]["logical_date"]) == ("trigger", None)
    assert start["body"]["conf"] == {"period": hole.id}
    assert users.post("admin", f"/{start['path']}", start["body"]).status_code == 200
    assert rows_of(users)[HOLES_DAG_ID]["cells"][hole.id]["states"] == ["running", "missing"]
