"""The page's endpoints in a real API server: who may see what, and that they say what Airflow knows."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from athena_reports.periods.calendar import Period
from demo.airflow import AirflowConfig, AirflowRuntime
from demo.services import Services, local_services
from tests.e2e.page_auth import OUTSIDER
from tests.e2e.page_state import MONTHS, WEEKS, Publisher, last_periods, write_dags

pytestmark = [pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "user_ranking_weekly"
PERIODS = last_periods(WEEKS, 8)
MIDDLE = PERIODS[4].id
DATA_PATHS = [
    "/api/coverage",
    f"/api/dags/{DAG_ID}/plan?first={PERIODS[0].id}&last={PERIODS[7].id}&state=missing",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}/history",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}/manifest",
    f"/api/dags/{DAG_ID}/periods/{MIDDLE}/objects/csv/0",
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
        return httpx.post(f"{self.url}/api/v2{path}", json=body, headers=headers, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        running.prepare("dev")
        for report in ("user_ranking", "shop_revenue"):
            for period in PERIODS[3:6]:
                Publisher(running, report, WEEKS).put(period)
            Publisher(running, report, MONTHS).put(last_periods(MONTHS, 1)[0])
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[AirflowRuntime]:
    folder = tmp_path_factory.mktemp("page")
    sql = ROOT / "include" / "sql" / "user_ranking.sql"
    dags = write_dags(folder / "dags", sql, PERIODS[0].start, ["user_ranking", "shop_revenue"])
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
            "AIRFLOW__CORE__AUTH_MANAGER": "tests.e2e.page_auth.SomeDagsAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"admin:admin,looker:viewer,{OUTSIDER}:viewer",
        },
    )
    ids = [
        f"{report}_{name}" for report in ("user_ranking", "shop_revenue") for name in ("weekly", "monthly")
    ]
    with AirflowRuntime(config, dag_ids=[*ids, "no_report"]) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def users(airflow: AirflowRuntime) -> Users:
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
    answer = users.get(user, "/api/coverage").json()
    return {
        row["dag_id"]: row
        | {"cells": {cell[0]: dict(zip(answer["fields"], cell, strict=False)) for cell in row["cells"]}}
        for row in answer["reports"]
    }


@pytest.mark.parametrize("path", DATA_PATHS)
def test_data_is_for_those_who_are_logged_in(users: Users, path: str) -> None:
    assert users.get("", path).status_code == 401
    assert users.get("admin", path).status_code == 200


@pytest.mark.parametrize("path", DATA_PATHS[1:])
def test_data_of_a_dag_is_for_those_who_may_read_it(users: Users, path: str) -> None:
    assert users.get(OUTSIDER, path).status_code == 403
    assert users.get(OUTSIDER, path.replace("user_ranking", "shop_revenue")).status_code == 200


def test_only_dags_that_the_viewer_may_read_are_listed(users: Users) -> None:
    assert set(rows_of(users, OUTSIDER)) == {"shop_revenue_weekly", "shop_revenue_monthly"}
    assert set(rows_of(users)) == {
        f"{report}_{cadence}"
        for report in ("user_ranking", "shop_revenue")
        for cadence in ("weekly", "monthly")
    }


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


def test_the_command_that_the_page_gives_creates_the_missing_pool(
    users: Users, airflow: AirflowRuntime
) -> None:
    def missing() -> list[Any]:
        return [users.get("admin", path).json()["missing_pool"] for path in DATA_PATHS[:2]]

    assert missing() == [None, None]
    airflow.client.request("DELETE", "/api/v2/pools/athena_dev")
    told, told_in_form = missing()
    assert told == told_in_form
    assert told["name"] == "athena_dev"
    program, *arguments = shlex.split(told["command"])
    assert program == "airflow"
    airflow.cli(*arguments)
    assert missing() == [None, None]
    pool = airflow.client.request("GET", "/api/v2/pools/athena_dev")
    assert (pool["slots"], pool["include_deferred"]) == (16, True)


def test_who_may_not_start_runs_is_told_so_and_airflow_holds_to_it(users: Users) -> None:
    assert {row["may_run"] for row in rows_of(users).values()} == {True}
    assert {row["may_run"] for row in rows_of(users, "looker").values()} == {False}
    start = PERIODS[0].start.isoformat()
    backfill = {"dag_id": DAG_ID, "from_date": start, "to_date": start}
    assert users.post("looker", "/backfills", backfill).status_code == 403
    assert users.post("looker", f"/dags/{DAG_ID}/dagRuns", {"logical_date": None}).status_code == 403


def test_another_site_cannot_start_anything_in_the_name_of_a_viewer(
    users: Users, airflow: AirflowRuntime
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
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = httpx.post(
                address,
                content=json.dumps(body),
                headers={**cookie, "Content-Type": kind},
                trust_env=False,
                timeout=60,
            )
            assert not answer.is_success
        # What is JSON a browser sends only if it is allowed beforehand.
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        preflight = httpx.options(address, headers={**cookie, **asked}, trust_env=False)
        assert "access-control-allow-origin" not in preflight.headers
    assert [(each.run_id, each.state) for each in airflow.client.runs("shop_revenue_weekly")] == before


def test_runs_that_airflow_knows_are_seen_at_their_period(users: Users, airflow: AirflowRuntime) -> None:
    client = airflow.client
    by_param = client.trigger(DAG_ID, conf={"period": PERIODS[0].id})
    by_date = client.trigger(DAG_ID, logical_date=PERIODS[1].end_utc)
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
    assert [dag_id for dag_id, row in rows_of(users).items() if row["is_paused"]] == ["shop_revenue_monthly"]


def test_a_period_whose_date_another_periods_run_has_gets_a_run_of_its_own(
    users: Users, airflow: AirflowRuntime
) -> None:
    """Airflow makes no second run of a logical date; to run the one again would report the other period."""
    missing = PERIODS[6]
    occupying = airflow.client.trigger(DAG_ID, logical_date=missing.start_utc)
    query = f"/api/dags/{DAG_ID}/plan?first={missing.id}&last={missing.id}&state=missing"
    for state in ("success", "failed"):
        airflow.client.set_state(DAG_ID, occupying.run_id, state)
        found = users.get("admin", query).json()
        assert found["backfill"] is None
        (rerun,) = found["reruns"]
        assert (rerun["period_id"], rerun["run_id"]) == (missing.id, "")
        assert rerun["new_run_id"].startswith(f"fill__{missing.id}__")


@pytest.mark.parametrize("reprocess", ["none", "failed"])
def test_a_planned_backfill_is_what_airflow_would_run(
    users: Users, airflow: AirflowRuntime, reprocess: str
) -> None:
    """Over periods that are published, and have their run; by the UI's own dry run."""
    dag_id, client = "shop_revenue_weekly", airflow.client
    if reprocess == "none":
        backfill = client.backfill(dag_id, PERIODS[3].start, PERIODS[5].start)
        for run in client.runs(dag_id):
            if run.run_type == "backfill":
                client.set_state(dag_id, run.run_id, "success")
        client.cancel_backfill(backfill)
    else:
        backfill = client.backfill(dag_id, PERIODS[6].start, PERIODS[6].start)
        client.cancel_backfill(backfill)  # which fails the queued run
    first, last = PERIODS[1].id, PERIODS[7].id
    query = f"/api/dags/{dag_id}/plan?first={first}&last={last}&state=missing&state=failed"
    found = users.get("admin", query).json()
    planned = found["backfill"]
    assert planned["reprocess"] == reprocess
    body = {
        "dag_id": dag_id,
        "from_date": planned["from_date"],
        "to_date": planned["to_date"],
        "reprocess_behavior": planned["reprocess"],
    }
    dry = users.post("admin", "/backfills/dry_run", body).json()["backfills"]
    dates = [datetime.fromisoformat(each["logical_date"]).astimezone(UTC) for each in dry]
    assert [WEEKS.containing(date).id for date in dates] == planned["periods"]
    assert planned["periods"] == [PERIODS[place].id for place in (1, 2, 6, 7)]
    assert found["reruns"] == []


def test_airflow_backfills_no_period_that_is_not_over(users: Users) -> None:
    """By the UI's own dry run: the week that is under way and those after it get no run."""
    last = PERIODS[-1]
    range_ = {"from_date": last.start.isoformat(), "to_date": last.next.next.start.isoformat()}
    body = {"dag_id": DAG_ID, "reprocess_behavior": "completed", **range_}
    dry = users.post("admin", "/backfills/dry_run", body).json()["backfills"]
    dates = [datetime.fromisoformat(each["logical_date"]) for each in dry]
    assert dates == [last.start_utc]


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (PERIODS[-1].next, PERIODS[-1].next.next, "No runs to create"),
        (PERIODS[1], PERIODS[0], "must not be after to_date"),
    ],
    ids=["not over", "inverted"],
)
def test_airflow_refuses_a_backfill_of_no_period(
    users: Users, airflow: AirflowRuntime, first: Period, last: Period, says: str
) -> None:
    runs = airflow.client.runs(DAG_ID)
    body = {"dag_id": DAG_ID, "from_date": first.start.isoformat(), "to_date": last.start.isoformat()}
    answer = users.post("admin", "/backfills", body)
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.text
    assert airflow.client.runs(DAG_ID) == runs
    query = f"/api/dags/{DAG_ID}/plan?first={first.id}&last={last.id}&state=missing"
    answer = users.get("admin", query)
    assert answer.status_code == 400
    assert re.search("no period of this report that is over|range is inverted", answer.json()["detail"])
