"""The page's endpoints, with Airflow's decisions about a viewer taken from a table."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any
from unittest.mock import Mock

import anyio
import httpx
import pytest
import time_machine
import uvicorn
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunClearBody, TriggerDAGRunPostBody
from airflow.models import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from fastapi.testclient import TestClient
from pydantic_core import to_json
from sqlalchemy import update
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.routing import Mount

from athena_reports.aws.s3 import S3
from athena_reports.page import app as app_module
from athena_reports.page import published_reports
from athena_reports.page.coverage import Run
from athena_reports.page.published_reports import SHOWN_ROWS, UnreadableReportError
from athena_reports.page.runs import DatedRun, ReportDag
from athena_reports.periods.calendar import monthly, weekly
from athena_reports.periods.run_period import period_of_run
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import PublishedPeriod, Reading
from tests.support.airflow_versions import since_3_3
from tests.support.calendars import WEEKS
from tests.support.page_publisher import PASSED, SCANNED_BYTES, WARNED, Publisher, ranking
from tests.support.paths import ROOT
from tests.unit.athena_reports.page import site
from tests.unit.athena_reports.page.account import WEEK, Account, report_dag
from tests.unit.athena_reports.page.metadata import add_run, add_task

MANIFEST_KEY = f"scores/weekly/{WEEK.id}/manifest.json"
NOW = WEEKS.period("2026-05-03").end_utc + timedelta(hours=1)
STATIC = Path(app_module.__file__).with_name("static")
DAG_PATH = "/api/dags/scores_weekly"
COVERAGE = "/api/coverage?dag_id=scores_weekly"
DATA_PATHS = [
    COVERAGE,
    "/api/reports",
    f"{DAG_PATH}/plan?first={WEEK.id}&last={WEEK.next.id}&state=missing",
    *(
        f"{DAG_PATH}/periods/{WEEK.id}{rest}"
        for rest in ("", "/history", "/manifest", "/objects/csv", "/versions/v/sql")
    ),
    f"{DAG_PATH}/periods/{WEEK.id}/deliveries",
]
PLAN_PATH = DATA_PATHS[2]
MANIFEST_PATHS = DATA_PATHS[3:-1]  # whose answers need the manifest

# What Airflow has of runs, as `unfinished_runs` and `dated_runs` return it.
Runs = dict[str, dict[str, Any]]


@dataclass
class Viewer:
    """A user, and what Airflow lets them do; of the DAGs in `hidden` they may not see the runs.

    Of those in `runs` they may trigger runs (POST) and clear them (PUT), and of those in `clears`
    they may clear single tasks.
    """

    reads: Collection[str] = ("scores_weekly", "empty_monthly")
    runs: Collection[str] = ("scores_weekly",)
    methods: Collection[str] = ("POST", "PUT")
    clears: Collection[str] = ()
    hidden: Collection[str] = ()

    def get_authorized_dag_ids(self, *, user: Viewer, method: str) -> set[str]:
        assert (user, method) == (self, "GET")
        return set(self.reads)

    def is_authorized_dag(
        self, *, method: str, details: Any, user: Viewer, access_entity: Any
    ) -> bool:
        assert user is self
        # About single DAGs only. Asked about all, without an id, it refuses as FAB's manager does.
        if access_entity is DagAccessEntity.TASK_INSTANCE:
            return method == "PUT" and details.id in self.clears
        if method != "GET":
            return method in self.methods and details.id in self.runs
        may_read = details.id in self.reads
        if access_entity is DagAccessEntity.RUN:
            return may_read and details.id not in self.hidden
        return may_read


@pytest.fixture
def viewer() -> Viewer:
    return Viewer()


@pytest.fixture
def published(publisher: Publisher) -> Publisher:
    publisher.put(WEEK)
    return publisher


@pytest.fixture
def runs() -> Runs:
    return {"unfinished": {}, "dated": {}}


@contextmanager
def opened_page(
    viewer: Viewer, session: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The application for a viewer, with the functions that return a session and the reports."""
    monkeypatch.setattr(app_module.PublishedReports, "connect", connect)
    for module in (app_module, security):
        monkeypatch.setattr(module, "get_auth_manager", lambda: viewer)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)
    app = app_module.create_app()
    app.dependency_overrides[security.get_user] = lambda: viewer
    app.dependency_overrides[_get_session] = session
    # The moto server signs with the real clock.
    with time_machine.travel(NOW, tick=True):
        yield TestClient(app)


@pytest.fixture
def client(
    account: Account, viewer: Viewer, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    empty = report_dag("empty", monthly("Asia/Tokyo"), is_paused=True)
    reports = (report_dag("scores"), empty, report_dag("texts", has_table=False))
    dags = {dag.dag_id: dag for dag in reports}
    session = Mock()

    def connect() -> Any:
        assert session.rollback.called
        return account.reports

    def look() -> None:
        """Note that the session holds a connection again."""
        session.rollback.reset_mock()

    def unfinished(some: list[ReportDag], _: Any) -> dict[str, Any]:
        look()
        return {dag.dag_id: runs["unfinished"] if dag.report == "scores" else {} for dag in some}

    def some_dags(ids: Collection[str], _: Any) -> list[ReportDag]:
        return [dags[id] for id in sorted(ids) if id in dags]

    monkeypatch.setattr(app_module, "report_dags", some_dags)
    monkeypatch.setattr(app_module, "unfinished_runs", unfinished)
    monkeypatch.setattr(app_module, "last_run_changes", lambda *_: {})
    monkeypatch.setattr(app_module, "dated_runs", lambda *_: look() or runs["dated"])
    monkeypatch.setattr(app_module, "delivering_dag", lambda *_: None)
    with opened_page(viewer, lambda: session, connect, monkeypatch) as opened:
        yield opened


def listed(client: TestClient, *, since: str | None = None) -> dict[str, dict[str, Any]]:
    """What the page shows of each report, its cells by name."""
    headings = client.get("/api/reports").json()
    params: dict[str, Any] = {"dag_id": [heading["dag_id"] for heading in headings]}
    if since is not None:
        params["since"] = since
    if not headings:
        return {}
    answer = client.get("/api/coverage", params=params).json()
    rows = {}
    for heading, text in zip(headings, answer["rows"].values(), strict=True):
        row = json.loads(text)
        cells = [dict(zip(answer["fields"], cell, strict=True)) for cell in row["cells"]]
        rows[heading["dag_id"]] = heading | row | {"cells": cells}
    return rows


def coverage(client: TestClient, *, since: str | None = None) -> list[dict[str, Any]]:
    return listed(client, since=since)["scores_weekly"]["cells"]  # type: ignore[no-any-return]


@pytest.fixture
def everybody() -> Viewer:
    reports = ("plays_weekly", "plays_monthly", "texts_weekly", "sent_weekly")
    return Viewer(
        reads=(*reports, "other", "sent_weekly_deliver"),
        runs=("plays_weekly", "plays_monthly"),
        clears=("sent_weekly_deliver",),
    )


@pytest.fixture
def beside_airflow(
    account: Account, session: Session, everybody: Viewer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The page of a viewer who may do all, beside a metadata database as Airflow fills it."""
    sessions: list[Session] = []

    def connect() -> Any:
        holding = [own for own in sessions if own.in_transaction()]
        assert holding == [], "a connection waits for AWS"
        return account.reports

    def of_request() -> Iterator[Session]:
        with create_session() as own:
            sessions.append(own)
            yield own
            sessions.remove(own)

    session.commit()
    with opened_page(everybody, of_request, connect, monkeypatch) as opened:
        yield opened


def test_a_report_that_reads_another_one_is_filled_after_it(
    beside_airflow: TestClient, account: Account, session: Session, everybody: Viewer
) -> None:
    """By what Airflow has stored of its DAG."""
    everybody.reads = ("sums_weekly",)
    account.publisher("plays", WEEKS).put(WEEK)
    account.publisher("plays", WEEKS).put(WEEK.next)
    add_run(session, "again", "running", conf={"period": WEEK.next.id})
    session.commit()
    ends = {"first": WEEK.id, "last": WEEK.next.next.id}
    plan = beside_airflow.get("/api/dags/sums_weekly/plan", params={**ends, "state": "missing"})
    assert [start["period"] for start in plan.json()["starts"]] == [WEEK.id]
    assert plan.json()["held"] == [
        {"period": week.id, "dag_id": "plays_weekly", "parts": [week.id]}
        for week in (WEEK.next, WEEK.next.next)
    ]


def test_a_dag_that_is_gone_or_of_no_report_has_no_page(
    beside_airflow: TestClient, session: Session
) -> None:
    def status(dag_id: str) -> int:
        path = f"/api/dags/{dag_id}/plan?first={WEEK.id}&last={WEEK.id}&state=missing"
        answer = beside_airflow.get(path)
        if answer.status_code == 404:
            says = f"'{dag_id}' is not a report's DAG."
            assert answer.json() == {"detail": says}
        return int(answer.status_code)

    assert (status("plays_weekly"), status("other")) == (200, 404)
    session.execute(update(DagModel).values(is_stale=True))
    session.commit()
    assert status("plays_weekly") == 404
    assert listed(beside_airflow) == {}
    assert beside_airflow.get("/api/coverage?dag_id=plays_weekly").json()["rows"] == {}


MINUTES = {60: "a minute", 120: "two minutes"}


def test_the_documentation_has_the_limits_of_the_page() -> None:
    text = " ".join((ROOT / "docs" / "reference" / "reports-page.md").read_text().split())
    largest, unfolded = published_reports.SHOWN_BYTES, published_reports.SHOWN_UNFOLDED
    threads = app_module._downloads.total_tokens
    for limit in (
        f"first {({100: 'hundred'})[published_reports.SHOWN_ROWS]} rows",
        f"more than {largest / 10**6:g} MB, or {unfolded / 10**6:g} MB uncompressed,",
        f"A value shows {published_reports.SHOWN_CHARS} characters",
        f"kept for {MINUTES[published_reports.CACHED_SECONDS]}",
        f"takes {app_module.AT_ONCE} of an API server's 40 threads, and {threads} for downloads.",
    ):
        assert limit in text


def test_coverage_has_every_period_that_is_due(
    client: TestClient, publisher: Publisher, runs: Runs
) -> None:
    publisher.put(WEEK, checks=[PASSED, WARNED])
    publisher.put(WEEK.next, provisional=True, partial=True, run_id="manual__1")
    failed, active = WEEK.next.next, WEEK.next.next.next
    publisher.put(failed)
    runs["unfinished"] = {
        failed.id: Run("run-1", "failed", NOW.isoformat()),
        active.id: Run("run-2", "queued"),
    }
    publisher.put(broken := active.next)
    publisher.alter(broken, broken="the manifest is gone", provisional=True)
    cells = coverage(client)
    assert cells[-1]["id"] == "2026-05-03"
    assert [(cell["id"], cell["states"], cell["run_id"]) for cell in cells[:6]] == [
        (WEEK.id, ["warned", "published"], f"backfill__{WEEK.start_utc.isoformat()}"),
        (WEEK.next.id, ["partial", "provisional", "published"], "manual__1"),
        (failed.id, ["failed", "published"], "run-1"),
        (active.id, ["running", "missing"], "run-2"),
        (broken.id, ["broken", "provisional"], f"backfill__{broken.start_utc.isoformat()}"),
        (broken.next.id, ["missing"], ""),
    ]
    assert (cells[0]["rows"], cells[4]["broken"]) == (100, "the manifest is gone")


def test_headings_are_those_of_the_dags_and_ask_nothing_of_aws(
    client: TestClient, account: Account, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.reads = ("scores_weekly", "empty_monthly", "texts_weekly")
    monkeypatch.setattr(app_module.PublishedReports, "connect", lambda: pytest.fail("AWS"))
    monthly_, weekly_, texts = client.get("/api/reports").json()
    assert monthly_ == {
        "dag_id": "empty_monthly",
        "report": "empty",
        "cadence": "monthly",
        "noun": "month",
        "description": "Monthly, Asia/Tokyo",
        "since": "2026-03-01",
        "until": None,
        "may_run": False,
        "note": "",
    }
    assert (weekly_["description"], weekly_["note"]) == ("Weekly from Sunday, Asia/Tokyo", "")
    none = "texts publishes no Parquet, so its periods are not listed. See its runs in Airflow."
    assert texts["note"] == none
    ended = report_dag("scores", until=WEEK.next.start_utc, logic="unknown")
    monkeypatch.setattr(app_module, "report_dags", lambda *_: [ended])
    (heading,) = client.get("/api/reports").json()
    assert heading["until"] == WEEK.next.last_date.isoformat()
    # None of its periods is outdated then, which does not mean that all are of today's logic.
    assert heading["description"] == "Weekly from Sunday, Asia/Tokyo; logic unknown"


def test_rows_that_the_page_knows_are_not_sent_again(
    client: TestClient, published: Publisher, runs: Runs
) -> None:
    params = {"dag_id": ["scores_weekly", "empty_monthly"], "known": []}

    def rows() -> dict[str, str]:
        return client.get("/api/coverage", params=params).json()["rows"]  # type: ignore[no-any-return]

    params["known"] = list(rows())
    assert len(params["known"]) == 2
    assert rows() == {}
    runs["unfinished"] = {WEEK.next.id: Run("run-2", "queued")}
    ((digest, changed),) = rows().items()
    assert json.loads(changed)["dag_id"] == "scores_weekly"
    assert digest not in params["known"]


def test_partitions_are_read_again_when_a_run_has_changed(
    client: TestClient, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [cell["states"] for cell in coverage(client)[:2]] == [["published"], ["missing"]]
    published.put(WEEK.next)
    assert coverage(client)[1]["states"] == ["missing"], "of the cache"
    monkeypatch.setattr(app_module, "last_run_changes", lambda *_: {"scores_weekly": NOW})
    assert coverage(client)[1]["states"] == ["published"]


def test_partitions_of_another_cadence_are_problems(
    client: TestClient, publisher: Publisher
) -> None:
    monday = weekly("monday", WEEKS.timezone).containing(NOW - timedelta(days=60))
    publisher.put(monday)
    (problem,) = listed(client, since="2026-01-01")["scores_weekly"]["problems"]
    assert problem.startswith(f"'{monday.id}' is not the id of a week")


@pytest.mark.parametrize(
    "other",
    [
        {"environment": "prd"},
        {"period": PublishedPeriod.of(weekly("sunday", "UTC").period(WEEK.next.id))},
    ],
    ids=["environment", "time zone"],
)
def test_periods_of_another_environment_or_time_zone_are_a_problem(
    client: TestClient, publisher: Publisher, other: dict[str, Any]
) -> None:
    says = "The published periods belong to another environment or time zone. For details, run"
    publisher.put(WEEK)
    assert listed(client)["scores_weekly"]["problems"] == []
    publisher.put(WEEK.next)
    publisher.alter(WEEK.next, **other)
    published_reports._partitions.clear()
    (problem,) = listed(client)["scores_weekly"]["problems"]
    assert problem == f"{says} athena-reports status."


def test_the_end_of_a_report_and_its_logic_count(
    client: TestClient, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = report_dag("scores", until=WEEK.next.start_utc, logic="v3:today")
    monkeypatch.setattr(app_module, "report_dags", lambda *_: [ended])
    publisher.put(WEEK)
    publisher.alter(WEEK, logic="v3:other")
    for since in ("2026-01-01", None):
        cells = coverage(client, since=since)
        assert [(cell["id"], cell["states"]) for cell in cells] == [
            (WEEK.id, ["outdated", "published"]),
            (WEEK.next.id, ["missing"]),
        ]


def test_the_periods_since_a_date_are_the_last_ones_of_all(
    client: TestClient, publisher: Publisher
) -> None:
    """A period at the edge is stale because of one that is not shown."""
    edge = WEEKS.containing(NOW - timedelta(days=30))
    publisher.put(edge.previous)
    publisher.put(edge)
    restated_at = NOW.isoformat(timespec="milliseconds")
    edge_end = edge.end_utc.isoformat(timespec="milliseconds")
    readings = (Reading(digest="b", since=restated_at), Reading(digest="a", since=edge_end))
    publisher.alter(edge.previous, readings=readings)
    publisher.alter(edge, reads_previous=True)
    since = (NOW - timedelta(days=30)).date().isoformat()
    recent, everything = coverage(client, since=since), coverage(client)
    assert recent == everything[-len(recent) :]
    assert (recent[0]["id"], recent[0]["states"]) == (edge.id, ["stale", "published"])


@pytest.mark.usefixtures("published")
def test_what_cannot_be_read_of_one_report_hides_no_other(
    client: TestClient, account: Account
) -> None:
    def refuse(params: Any, **_: Any) -> None:
        if b"empty_monthly" in params["body"]:
            error: Any = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
            raise ClientError(error, "GetPartitions")

    account.glue.meta.events.register("before-call.glue.GetPartitions", refuse)
    rows = listed(client)
    (problem,) = rows["empty_monthly"]["problems"]
    assert re.search("Could not read Glue table .*empty_monthly: .*not authorized", problem)
    assert (rows["empty_monthly"]["cells"], rows["empty_monthly"]["is_paused"]) == ([], True)
    scores = rows["scores_weekly"]
    assert (scores["problems"], scores["cells"][0]["states"]) == ([], ["published"])


def test_a_glue_that_hangs_holds_up_a_few_requests_and_nothing_else(
    client: TestClient, account: Account
) -> None:
    """All else of the API server answers, and the others when Glue does."""
    answers: list[httpx.Response] = []
    calls: list[bytes] = []
    hangs, requests = Event(), 60  # more than the API server has threads

    def hang(params: Any, **_: Any) -> None:
        calls.append(params["body"])
        hangs.wait()

    async def ask(session: httpx.AsyncClient, days: int) -> None:
        answers.append(await session.get(f"{COVERAGE}&dag_id=empty_monthly&known={days}"))

    async def everybody() -> None:
        transport = httpx.ASGITransport(client.app)
        session = httpx.AsyncClient(transport=transport, base_url="http://page")
        async with session, anyio.create_task_group() as many:
            for days in range(requests):
                many.start_soon(ask, session, days)
            try:
                with anyio.fail_after(60):
                    while not calls:
                        await anyio.sleep(0.01)
                    # By one of the threads that Airflow has.
                    assert (await session.get("/")).status_code == 200
            finally:
                hangs.set()

    account.glue.meta.events.register("before-call.glue.GetPartitions", hang)
    anyio.run(everybody)
    assert [answer.status_code for answer in answers] == [200] * requests
    assert len(calls) == len(set(calls)) == 2


@pytest.mark.parametrize(
    ("viewer", "may_run"),
    [
        (Viewer(), {"scores_weekly": True, "empty_monthly": False}),
        (Viewer(runs=()), {"scores_weekly": False, "empty_monthly": False}),
        # To fill takes both: a dated run is cleared, and any other one triggered.
        (Viewer(methods=["POST"]), {"scores_weekly": False, "empty_monthly": False}),
        (Viewer(methods=["PUT"]), {"scores_weekly": False, "empty_monthly": False}),
        (Viewer(reads=("empty_monthly",)), {"empty_monthly": False}),
        (Viewer(hidden=("scores_weekly",)), {"empty_monthly": False}),
    ],
)
def test_a_viewer_sees_what_they_may_read_and_which_of_it_they_may_run(
    client: TestClient, may_run: dict[str, bool]
) -> None:
    assert {name: row["may_run"] for name, row in listed(client).items()} == may_run
    asked = {"dag_id": ["scores_weekly", "empty_monthly"]}
    rows = client.get("/api/coverage", params=asked).json()["rows"]
    assert {json.loads(row)["dag_id"] for row in rows.values()} == may_run.keys()


def test_the_data_paths_are_all_that_there_are_and_nothing_of_our_own_changes_anything(
    client: TestClient,
) -> None:
    routes = client.app.openapi()["paths"].keys()  # type: ignore[attr-defined]
    known = {re.sub(r"\?.*", "", path) for path in DATA_PATHS}
    shapes = {re.sub(r"\{[^}]+\}", "[^/]+", route) for route in routes} - {"/"}
    assert all(any(re.fullmatch(shape, path) for path in known) for shape in shapes)
    assert len(shapes) == len(known)
    for path in DATA_PATHS:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert client.request(method, path).status_code == 405


@pytest.mark.parametrize("path", DATA_PATHS)
@pytest.mark.parametrize("viewer", [Viewer(reads=()), Viewer(hidden=("scores_weekly",))])
def test_who_may_not_read_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path)
    if path in DATA_PATHS[:2]:
        assert answer.status_code == 200
        assert "scores_weekly" not in answer.text
    else:
        assert answer.status_code == 403
    client.app.dependency_overrides.pop(security.get_user)  # type: ignore[attr-defined]
    assert client.get(path).status_code == 401


def test_every_answer_tells_the_browser_to_load_nothing_from_outside(client: TestClient) -> None:
    """Also where Airflow, which mounts the page, has a path of its own on its host."""
    base = "/of/airflow/athena-reports"
    mounted = TestClient(Starlette(routes=[Mount(base, app=client.app)]))
    for path in ("/", "/static/page.css", "/static/main.js", *DATA_PATHS):
        headers = mounted.get(f"{base}{path}").headers
        directives = headers["content-security-policy"].split("; ")
        policy = dict(directive.split(" ", 1) for directive in directives)
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self'",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'self'",  # Airflow shows the page in a frame
        }
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-store" if path.startswith("/api") else "no-cache")


def test_the_page_names_nothing_outside_and_builds_no_markup() -> None:
    files = [path for path in STATIC.iterdir() if path.suffix in {".html", ".js", ".css"}]
    assert len(files) > 5
    for path in files:
        text = path.read_text()
        named = set(re.findall(r"https?://[^\s\"'`]+", text))
        assert named <= {"http://www.w3.org/2000/svg"}, path.name
        makes = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|DOMParser"
        assert not re.search(makes, text), path.name
        assert not re.search(r"<[^>]+\s(on\w+|style)=", text), path.name


def test_the_page_names_files_that_exist() -> None:
    named = re.findall(r'"static/([^"]+)"', (STATIC / "index.html").read_text())
    assert len(named) > 2
    assert {name for name in named if not (STATIC / name).is_file()} == set()


def test_the_pages_scripts_read_only_what_the_endpoints_send(
    client: TestClient, publisher: Publisher
) -> None:
    """A field that is renamed in a manifest would be missing on the page, without an error."""
    sent_once = site.deliveries([site.channel("sales")], [site.receipt("sales")])
    deliveries = json.loads(to_json(sent_once))
    (channel,) = deliveries["channels"]
    for seed in (0, 1):
        at = WEEK.end_utc + timedelta(days=seed)
        publisher.put(WEEK, seed=seed, at=at, key=["user_id"], checks=[PASSED])
    coverage = client.get(COVERAGE).json()
    (row,) = map(json.loads, coverage["rows"].values())
    headings = client.get("/api/reports").json()
    (heading,) = (each for each in headings if each["dag_id"] == "scores_weekly")
    period = client.get(f"{DAG_PATH}/periods/{WEEK.id}").json()
    manifest = period["manifest"]
    (earlier,) = manifest["earlier_versions"]
    history = client.get(f"{DAG_PATH}/periods/{WEEK.id}/history").json()
    plan = client.get(PLAN_PATH).json()
    sent = {
        "report": {*row, *heading, "digest", "loadedSince"},  # which the page notes itself
        "heading": heading,
        "cell": {*coverage["fields"], "day"},  # which the page reckons from the id
        "manifest": manifest,
        "query": manifest["query"],
        "version": manifest.keys() & earlier.keys(),
        "difference": earlier["difference"],
        "object": manifest["objects"][0],
        "column": manifest["columns"][0],
        "check": manifest["checks"][0],
        "roles": period["roles"],
        "history": history,
        "plan": plan,
        "start": plan["starts"][0],
        "answer": deliveries,
        "receipt": deliveries["receipts"][0],
        "channel": channel,
        "task": channel["task"],
        "clear": channel["clear"],
    }
    scripts = "".join(path.read_text() for path in sorted(STATIC.glob("*.js")))
    for name, fields in sent.items():
        read = set(re.findall(rf"\b{name}\??\.(\w+)", scripts))
        assert read, name
        assert read <= set(fields), name


def test_a_period_shows_its_rows_and_its_manifest(
    client: TestClient, account: Account, publisher: Publisher
) -> None:
    rows = ranking(WEEK, rows=SHOWN_ROWS + 30)
    publisher.put(WEEK, rows=rows, checks=[WARNED])
    found = client.get(f"{DAG_PATH}/periods/{WEEK.id}").json()
    shown = [[value and str(value) for value in row.values()] for row in rows[:SHOWN_ROWS]]
    assert found["rows"] == shown
    assert found["names"] == [[row["user_name"] or row["user_id"]] for row in rows[:15]]
    assert (found["problem"], found["console"]) == ("", account.reports.console)
    assert found["roles"]["measures"] == ["score", "plays"]
    assert found["manifest"]["checks"][0]["severity"] == "warn"


def test_each_version_shows_the_sql_that_ran(
    client: TestClient, publisher: Publisher, account: Account
) -> None:
    path = f"{DAG_PATH}/periods/{WEEK.id}"
    for seed in (1, 2):
        publisher.put(WEEK, seed=seed, at=WEEK.end_utc + timedelta(days=seed))
    manifest = client.get(path).json()["manifest"]
    (earlier,) = manifest["earlier_versions"]
    for seed, version in ((1, earlier["version"]), (2, manifest["version"])):
        assert client.get(f"{path}/versions/{version}/sql").json() == {
            "sql": f"SELECT user_id FROM plays -- {WEEK.id}, {seed}"
        }
    absent = client.get(f"{path}/versions/0123456789abcdef/sql")
    says = f"The period {WEEK.id} has no version 0123456789abcdef."
    assert (absent.status_code, absent.json()) == (404, {"detail": says})
    sql_key = f"versions/{earlier['version']}/sql/{earlier['query']['sql_sha256'][:16]}.sql"
    account.s3.delete_object(Bucket=account.bucket, Key=f"scores/weekly/{WEEK.id}/{sql_key}")
    assert client.get(f"{path}/versions/{earlier['version']}/sql").json() == {"sql": None}


@pytest.mark.usefixtures("published")
def test_a_period_whose_rows_are_damaged_or_gone_still_shows_its_manifest(
    client: TestClient, account: Account
) -> None:
    path = f"{DAG_PATH}/periods/{WEEK.id}"
    manifest = client.get(path).json()["manifest"]
    keys = {item["format"]: item["key"] for item in manifest["objects"]}
    account.s3.put_object(Bucket=account.bucket, Key=keys["parquet"], Body=b"no parquet at all")
    problem = client.get(path).json()["problem"]
    assert re.search(r"Could not read .*part-0\.parquet as Parquet: .*Clear the period", problem)
    for key in keys.values():
        account.s3.delete_object(Bucket=account.bucket, Key=key)
    found = client.get(path).json()
    assert found["manifest"] == manifest
    assert "part-0.parquet" in found["problem"]
    assert client.get(f"{path}/objects/csv").status_code == 404


@pytest.mark.usefixtures("published")
def test_without_duckdb_a_period_shows_its_manifest_and_says_why_there_are_no_rows(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Amazon MWAA, where a pip that fails is only logged."""
    path = f"{DAG_PATH}/periods/{WEEK.id}"
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as if it were not installed
    row = listed(client)["scores_weekly"]
    period = client.get(path).json()
    history = client.get(f"{path}/history").json()

    assert (row["problems"], row["cells"] != []) == ([], True)
    assert (period["manifest"]["period"]["id"], period["rows"]) == (WEEK.id, [])
    for problem in (period["problem"], *history["problems"]):
        assert "part-0.parquet: could not import DuckDB: " in problem


NEVER_PUBLISHED = (
    "does not exist: the period was never published, or its manifest was deleted. Clear the"
    " period's run."
)
REVERSED = "The range is reversed: 2026-03-01 is before 2026-03-08. Swap the two periods."
NOT_LISTED = "is not a completed period of this report. Choose one from the list."


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("periods/2026-03-08", 502, f"/scores/weekly/2026-03-08/manifest.json {NEVER_PUBLISHED}"),
        ("periods/2026-03-02", 400, "is not the id of a week"),
        ("periods/..%2f..%2fsecret", 404, ""),
        ("periods/2026-03-01/objects/exe", 404, "is not published as exe"),
        ("plan?first=2026-03-08&last=2026-03-01&state=stale", 400, REVERSED),
        ("plan?first=2026-03-01&last=2031-01-05&state=stale", 400, f"'2031-01-05' {NOT_LISTED}"),
        ("plan?first=2020-01-05&last=2026-03-08&state=stale", 400, f"'2020-01-05' {NOT_LISTED}"),
        ("plan?first=2026-03-01&last=2026-03-08&state=odd", 422, ""),
    ],
)
@pytest.mark.usefixtures("published")
def test_a_request_that_cannot_be_answered_says_why(
    client: TestClient, path: str, status: int, says: str
) -> None:
    answer = client.get(f"{DAG_PATH}/{path}")
    assert (answer.status_code, says in answer.text) == (status, True)


@pytest.mark.usefixtures("published")
def test_downloads_are_the_published_bytes(
    client: TestClient, account: Account, closed_bodies: list[bool]
) -> None:
    paths = ("objects/parquet", "objects/csv", "manifest")
    answers = [client.get(f"{DAG_PATH}/periods/{WEEK.id}/{path}") for path in paths]
    assert closed_bodies == [True] * 5  # of three manifests and two objects
    parquet, text, manifest = answers
    published = {each["format"]: each for each in manifest.json()["objects"]}
    for answer, name in ((parquet, "parquet"), (text, "csv")):
        assert hashlib.sha256(answer.content).hexdigest() == published[name]["sha256"]
        assert int(answer.headers["content-length"]) == published[name]["bytes"]
    stored = account.s3.get_object(Bucket=account.bucket, Key=MANIFEST_KEY)["Body"].read()
    assert manifest.content == stored
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    assert manifest.headers["content-type"] == "application/json"
    base, version = f"scores_weekly-{WEEK.id}", manifest.json()["version"]
    assert [answer.headers["content-disposition"] for answer in answers] == [
        f'attachment; filename="{base}-{version}.parquet"',
        f'attachment; filename="{base}-{version}.csv"',
        f'attachment; filename="{base}.json"',
    ]


@pytest.mark.usefixtures("published")
def test_a_download_takes_one_of_the_threads_for_downloads(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow client takes none of those that answer Airflow's own requests."""
    taken = []
    read = StreamingBody.read

    def note(body: StreamingBody, amt: int | None = None) -> bytes:
        taken.append((app_module._downloads.borrowed_tokens, amt))
        return read(body, amt)

    monkeypatch.setattr(StreamingBody, "read", note)
    path = f"{DAG_PATH}/periods/{WEEK.id}/objects/csv"
    assert client.get(path).status_code == 200
    of_manifest, *of_rows = taken
    # In parts, since a file can be larger than the memory.
    assert (of_manifest[0], set(of_rows)) == (0, {(1, 1024**2)})
    assert app_module._downloads.borrowed_tokens == 0


@pytest.fixture
def closed_bodies(account: Account, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of the body of each S3 object that the page has opened, whether it is closed."""
    closed: list[bool] = []
    get_object = account.s3.get_object

    def watch(**request: Any) -> Any:
        answer, number = get_object(**request), len(closed)
        close = answer["Body"].close
        closed.append(False)

        def note() -> None:
            close()
            closed[number] = True

        answer["Body"].close = note
        return answer

    monkeypatch.setattr(account.s3, "get_object", watch)
    return closed


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an application as Airflow's API server is served; the port is given."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def wait_until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


@pytest.mark.parametrize("received", [0, 1, 1_000_000], ids=["nothing", "a byte", "a part"])
def test_a_download_that_the_client_breaks_off_leaves_no_body_open(
    client: TestClient, publisher: Publisher, closed_bodies: list[bool], received: int
) -> None:
    # More than sockets buffer.
    publisher.put(WEEK, rows="SELECT repeat('x', 1_000_000) AS text FROM range(30)")
    of_manifest = 1
    with serving(client.app) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        closed_bodies.clear()
        connection.sendall(
            f"GET {DAG_PATH}/periods/{WEEK.id}/objects/csv HTTP/1.1\r\nHost: page\r\n\r\n".encode()
        )
        while received > 0:
            received -= len(connection.recv(received))
        wait_until(lambda: len(closed_bodies) > of_manifest)
        assert closed_bodies == [True, False]
        connection.close()
        wait_until(lambda: all(closed_bodies))


SENT_PATH = f"/api/dags/sent_weekly/periods/{WEEK.id}/deliveries"


def put_receipt(account: Account, channel: str, version: str, minutes: int, **more: Any) -> None:
    """Say that a channel has got a version, some minutes after `NOW`."""
    receipt = site.receipt(channel, version, sent_at=NOW + timedelta(minutes=minutes), **more)
    receipt.write(PeriodLocation.of(account.bucket, "sent", WEEK), S3(account.s3))


@pytest.fixture
def delivered(account: Account, session: Session) -> None:
    """A week of `sent_weekly` whose first version went out, and whose second one went to one."""
    put_receipt(account, "sales", "v1", 0)
    put_receipt(account, "board", "v1", 1)
    refused = {"b@example.com": "550 no such user"}
    put_receipt(account, "sales", "v2", 2, corrects="v1", number=2, refused=refused)
    dag_id = "sent_weekly_deliver"
    add_run(session, "event", "running", dag_id=dag_id, partition_key=WEEK.id)
    add_task(session, "event", "sales", "failed", dag_id=dag_id, try_number=1)
    add_task(session, "event", "board", "running", dag_id=dag_id, try_number=4)
    session.commit()


@since_3_3
@pytest.mark.usefixtures("delivered")
def test_deliveries_are_where_each_version_went_and_what_failed(
    beside_airflow: TestClient, session: Session
) -> None:
    answer = beside_airflow.get(SENT_PATH).json()
    sent = [(receipt["version"], receipt["channel"]) for receipt in answer["receipts"]]
    assert sent == [("v2", "sales"), ("v1", "board"), ("v1", "sales")]
    newest = answer.pop("receipts")[0]
    assert (newest["corrects"], newest["refused"]) == ("v1", {"b@example.com": "550 no such user"})
    sales, board = answer.pop("channels")
    assert sales["task"] == {"run_id": "event", "state": "failed", "try_number": 1}
    assert sales["clear"]["body"]["task_ids"] == [sales["name"]] == ["sales"]
    assert board["task"] == {"run_id": "event", "state": "running", "try_number": 4}
    assert (board["name"], board["clear"]) == ("board", None), "it is under way"
    assert answer == {"dag_id": "sent_weekly_deliver", "is_paused": False, "problem": ""}

    of_delivering = update(DagModel).where(DagModel.dag_id == "sent_weekly_deliver")
    session.execute(of_delivering.values(is_paused=True))
    session.commit()
    assert beside_airflow.get(SENT_PATH).json()["is_paused"] is True

    next_week = beside_airflow.get(SENT_PATH.replace(WEEK.id, WEEK.next.id)).json()
    assert next_week["receipts"] == []
    assert next_week["channels"][0] == {"name": "sales", "task": None, "clear": None}
    assert beside_airflow.get(SENT_PATH.replace(WEEK.id, "2026-03")).status_code == 400


@since_3_3
@pytest.mark.usefixtures("delivered")
def test_who_may_not_read_the_delivering_dag_sees_no_deliveries(
    beside_airflow: TestClient, everybody: Viewer
) -> None:
    """Recipients are personal."""
    everybody.reads = ("sent_weekly",)
    answer = beside_airflow.get(SENT_PATH)
    assert (answer.status_code, answer.json()) == (200, None)
    everybody.reads = ("sent_weekly", "sent_weekly_deliver")
    everybody.hidden = ("sent_weekly_deliver",)
    assert beside_airflow.get(SENT_PATH).json() is None
    everybody.hidden = ("sent_weekly",)
    assert beside_airflow.get(SENT_PATH).status_code == 403


@since_3_3
@pytest.mark.usefixtures("delivered")
def test_only_who_may_clear_tasks_of_the_delivering_dag_can_send_again(
    beside_airflow: TestClient, everybody: Viewer
) -> None:
    everybody.runs = ("sent_weekly", "sent_weekly_deliver")
    everybody.clears = ("sent_weekly",)
    answer = beside_airflow.get(SENT_PATH).json()
    assert [channel["clear"] for channel in answer["channels"]] == [None, None]
    assert len(answer["receipts"]) == 3


def test_a_report_that_is_not_delivered_has_no_deliveries(beside_airflow: TestClient) -> None:
    path = SENT_PATH.replace("sent_weekly", "plays_weekly")
    assert beside_airflow.get(path).json() is None


@since_3_3
@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize("says", ["sales/1.json", "There is no connection."])
def test_receipts_that_cannot_be_read_hide_no_failure(
    beside_airflow: TestClient, account: Account, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    if says == "There is no connection.":
        refused = Mock(side_effect=UnreadableReportError(says))
        monkeypatch.setattr(app_module.PublishedReports, "connect", refused)
    else:
        key = f"sent/weekly/{WEEK.id}/receipts/v3/{says}"
        account.s3.put_object(Bucket=account.bucket, Key=key, Body=b'{"hello": 1}')
    answer = beside_airflow.get(SENT_PATH).json()
    assert says in answer["problem"]
    assert answer["receipts"] == []
    assert [channel["task"]["state"] for channel in answer["channels"]] == ["failed", "running"]


def test_a_plan_is_the_requests_that_start_it(
    client: TestClient, published: Publisher, runs: Runs
) -> None:
    """Each as Airflow's REST API takes it; the run with a logical date reports the very period."""
    cleared, occupied, free = WEEK, WEEK.next, WEEK.next.next
    published.alter(cleared, provisional=True)
    runs["dated"] = {
        cleared.id: DatedRun("scheduled__2026-02-28T15:00:00+00:00/1", can_run_period=True),
        occupied.id: DatedRun("backfill__2026-03-07T15:00:00+00:00", can_run_period=False),
    }
    query = {"first": cleared.id, "last": free.id, "state": ["missing", "provisional"]}
    found = client.get(f"{DAG_PATH}/plan", params=query).json()
    # A date of the cadence's zone taken as UTC would drop the last period, or the first one.
    assert found["backfill"] == ["2026-02-28T15:00:00+00:00", "2026-03-14T15:00:00+00:00"]
    assert found["scanned_bytes"] == 3 * SCANNED_BYTES
    clear, undated, dated = found["starts"]
    assert (clear["period"], clear["action"]) == (cleared.id, "clear")
    run_id = "scheduled__2026-02-28T15%3A00%3A00%2B00%3A00%2F1"
    assert clear["path"] == f"dags/scores_weekly/dagRuns/{run_id}/clear"
    assert clear["body"] == {"dry_run": False, "only_failed": False}
    assert DAGRunClearBody.model_validate(clear["body"])
    for start, period in ((undated, occupied), (dated, free)):
        told = (start["period"], start["action"], start["path"])
        assert told == (period.id, "trigger", "dags/scores_weekly/dagRuns")
        body = TriggerDAGRunPostBody.model_validate(start["body"])
        prefix, _, made_at = str(body.dag_run_id).rpartition("__")
        assert prefix == f"fill__{period.id}"
        # So that the run of an earlier fill does not have the same id.
        assert NOW <= datetime.fromisoformat(made_at) < NOW + timedelta(hours=1)
        is_dated = start is dated
        assert body.logical_date == (period.start_utc if is_dated else None)
        assert body.conf == ({} if is_dated else {"period": period.id})
        interval = (body.data_interval_start, body.data_interval_end) if is_dated else None
        run = DagRun(
            run_type="manual", run_after=NOW, logical_date=body.logical_date, data_interval=interval
        )
        assert period_of_run(WEEKS, run, param=body.conf.get("period", "")) == period


@pytest.mark.usefixtures("published")
def test_what_is_broken_in_s3_is_told_where_it_is_needed_and_hides_nothing(
    client: TestClient, account: Account
) -> None:
    account.s3.put_object(Bucket=account.bucket, Key=MANIFEST_KEY, Body=b'{"hello": 1}')
    for path in MANIFEST_PATHS:
        answer = client.get(path)
        if path.endswith("/manifest"):  # it is what somebody would look at
            assert answer.json() == {"hello": 1}
        else:
            assert answer.status_code == 502
            assert "is not a document of this report" in answer.text, path
    assert coverage(client)[0]["states"] == ["published"]
