"""The page's endpoints, with Airflow's decisions about a viewer taken from a table."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any
from unittest.mock import Mock

import anyio
import httpx
import pytest
import time_machine
import uvicorn
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunClearBody, TriggerDAGRunPostBody
from airflow.models.dagrun import DagRun
from botocore.exceptions import ClientError
from fastapi.testclient import TestClient

from athena_reports.page import app as app_module
from athena_reports.page.coverage import Run
from athena_reports.page.lake import SHOWN_ROWS
from athena_reports.page.runs import DatedRun, ReportDag
from athena_reports.periods.calendar import Period, monthly, weekly
from athena_reports.periods.run_period import period_of_run
from athena_reports.rows import checks
from athena_reports.rows.checks import CheckResult
from athena_reports.scheduling.timetable import PeriodTimetable
from tests.e2e.page_state import PASSED, PRICE_USD, SCANNED_BYTES, WARNED, Publisher, ranking
from tests.library.page.conftest import Account

WEEKS = weekly("sunday", timezone="Asia/Tokyo")
WEEK = WEEKS.period("2026-03-01")
MANIFEST_KEY = f"scores/weekly/{WEEK.id}/manifest.json"
NOW = WEEKS.period("2026-05-03").end_utc + timedelta(hours=1)
STATIC = Path(app_module.__file__).with_name("static")
DAG_PATH = "/api/dags/scores_weekly"
DATA_PATHS = [
    "/api/coverage",
    f"{DAG_PATH}/plan?first={WEEK.id}&last={WEEK.next.id}&state=missing",
    *(
        f"{DAG_PATH}/periods/{WEEK.id}{rest}"
        for rest in ("", "/history", "/manifest", "/objects/csv", "/versions/v/sql")
    ),
]

Runs = dict[str, dict[str, Any]]  # what Airflow has of runs, as `unfinished_runs` and `dated_runs` return it


def report_dag(report: str, cadence: Any = WEEKS, **facts: Any) -> ReportDag:
    timetable = PeriodTimetable(cadence, timedelta(minutes=5))
    return ReportDag(f"{report}_{cadence.name}", timetable, WEEK.start_utc, **{"is_paused": False} | facts)


@dataclass
class Viewer:
    """A user, and what Airflow lets them do; of the DAGs in `hidden` they may not see the runs."""

    reads: Collection[str] = ("scores_weekly", "empty_monthly")
    runs: Collection[str] = ("scores_weekly",)
    hidden: Collection[str] = ()

    def get_authorized_dag_ids(self, *, user: Viewer, method: str) -> set[str]:
        assert (user, method) == (self, "GET")
        return set(self.reads)

    def is_authorized_dag(self, *, method: str, details: Any, user: Viewer, access_entity: Any) -> bool:
        assert user is self
        # Single DAGs alone: who is asked about all of them, without an id, refuses, as FAB's auth manager does.
        return details.id in (set(self.reads) - set(self.hidden) if method == "GET" else self.runs)


@pytest.fixture
def viewer() -> Viewer:
    return Viewer()


@pytest.fixture
def publisher(account: Account) -> Publisher:
    return account.publisher("scores", WEEKS)


@pytest.fixture
def published(publisher: Publisher) -> Publisher:
    publisher.put(WEEK)
    return publisher


@pytest.fixture
def runs() -> Runs:
    return {"unfinished": {}, "dated": {}}


@pytest.fixture
def client(account: Account, viewer: Viewer, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    empty = report_dag("empty", monthly("Asia/Tokyo"), is_paused=True)
    dags = {dag.dag_id: dag for dag in (report_dag("scores"), empty, report_dag("texts", has_table=False))}
    session = Mock()

    def connect() -> Any:
        assert session.rollback.called
        return account.lake

    def unfinished(some: list[ReportDag], _: Any) -> dict[str, Any]:
        return {dag.dag_id: runs["unfinished"] if dag.report == "scores" else {} for dag in some}

    monkeypatch.setattr(app_module.Lake, "connect", connect)
    monkeypatch.setattr(app_module, "report_dags", lambda ids, _: [dags[id] for id in sorted(ids) if id in dags])
    monkeypatch.setattr(app_module, "unfinished_runs", unfinished)
    monkeypatch.setattr(app_module, "dated_runs", lambda *_: runs["dated"])
    for module in (app_module, security):
        monkeypatch.setattr(module, "get_auth_manager", lambda: viewer)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)
    app = app_module.create_app()
    app.dependency_overrides[security.get_user] = lambda: viewer
    app.dependency_overrides[_get_session] = lambda: session
    # The moto server signs with the real clock.
    with time_machine.travel(NOW, tick=True):
        yield TestClient(app)


def listed(client: TestClient, *, recent: bool = False) -> dict[str, dict[str, Any]]:
    """The rows of the coverage by DAG, their cells by name."""
    answer = client.get("/api/coverage", params={"recent": recent}).json()
    return {
        row["dag_id"]: row | {"cells": [dict(zip(answer["fields"], cell, strict=False)) for cell in row["cells"]]}
        for row in answer["reports"]
    }


def coverage(client: TestClient, *, recent: bool = False) -> list[dict[str, Any]]:
    return listed(client, recent=recent)["scores_weekly"]["cells"]  # type: ignore[no-any-return]


def test_coverage_sums_up_what_the_queries_of_the_last_months_cost(client: TestClient, publisher: Publisher) -> None:
    for seed in (0, 1):
        publisher.put(WEEK, seed=seed, at=WEEK.end_utc + timedelta(days=seed))
    publisher.put(WEEK.next, at=NOW)
    rows = listed(client)
    costs = rows["scores_weekly"]["costs"]
    assert (costs["queries"], costs["scanned_bytes"]) == (3, 3 * SCANNED_BYTES)
    assert (costs["price_usd"], costs["growth"]) == (pytest.approx(3 * PRICE_USD), 0)
    assert rows["empty_monthly"]["costs"]["queries"] == 0
    assert "costs" not in listed(client, recent=True)["scores_weekly"]


def test_coverage_has_every_period_that_is_due(client: TestClient, publisher: Publisher, runs: Runs) -> None:
    publisher.put(WEEK, checks=[PASSED, WARNED])
    publisher.put(WEEK.next, provisional=True, partial=True, run_id="manual__1")
    failed, active = WEEK.next.next, WEEK.next.next.next
    publisher.put(failed)
    runs["unfinished"] = {failed.id: Run("run-1", "failed", NOW.isoformat()), active.id: Run("run-2", "queued")}
    publisher.put(broken := active.next)
    publisher.alter(broken, broken="the manifest is gone", provisional="true")
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
    assert cells[4]["broken"] == "the manifest is gone"
    one, other, *_ = cells
    assert (other["date"], other["days"]) == ("2026-03-08", 7)
    assert (one["rows"], one["scanned_bytes"], one["price_usd"]) == (100, SCANNED_BYTES, PRICE_USD)
    assert datetime.fromisoformat(one["published_at"]) == WEEK.end_utc + timedelta(minutes=6)


def test_the_recent_periods_are_the_last_ones_of_all(
    client: TestClient, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A period at the edge is stale because of one that is not shown."""
    monkeypatch.setattr(app_module, "_RECENT_DAYS", timedelta(days=30))
    edge = WEEKS.containing(NOW - timedelta(days=30))
    publisher.put(edge.previous)
    publisher.put(edge)
    publisher.alter(edge.previous, restated_at=NOW.isoformat(timespec="milliseconds"))
    publisher.alter(edge, reads_previous="true")
    recent, everything = coverage(client, recent=True), coverage(client)
    assert recent == everything[-len(recent) :]
    assert (recent[0]["id"], recent[0]["states"]) == (edge.id, ["stale", "published"])


@pytest.mark.usefixtures("published")
def test_what_cannot_be_read_of_one_report_hides_no_other(client: TestClient, account: Account) -> None:
    def refuse(params: Any, **_: Any) -> None:
        if b"empty_monthly" in params["body"]:
            error: Any = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
            raise ClientError(error, "GetPartitions")

    account.glue.meta.events.register("before-call.glue.GetPartitions", refuse)
    rows = listed(client)
    (problem,) = rows["empty_monthly"]["problems"]
    assert re.search("empty_monthly cannot be read: .*not authorized.* glue:GetPartitions", problem)
    assert (rows["empty_monthly"]["cells"], rows["empty_monthly"]["note"]) == ([], "")
    scores = rows["scores_weekly"]
    assert (scores["problems"], scores["cells"][0]["states"]) == ([], ["published"])


def test_a_glue_that_hangs_holds_up_a_few_requests_and_nothing_else(client: TestClient, account: Account) -> None:
    """What waits too long is told when to ask again; the rest of the API server answers meanwhile."""
    answers: list[httpx.Response] = []
    calls: list[bytes] = []
    hangs, served = Event(), app_module.AT_ONCE + app_module.MAY_WAIT

    def hang(params: Any, **_: Any) -> None:
        calls.append(params["body"])
        hangs.wait()

    async def ask(session: httpx.AsyncClient, days: int) -> None:
        answers.append(await session.get(f"/api/coverage?days={days}"))

    async def everybody() -> None:
        transport = httpx.ASGITransport(client.app)
        session = httpx.AsyncClient(transport=transport, base_url="http://page")
        async with session, anyio.create_task_group() as many:
            for days in range(served + 20):
                many.start_soon(ask, session, days)
            try:
                with anyio.fail_after(60):
                    while len(answers) < 20:
                        await anyio.sleep(0.01)
                    assert (await session.get("/")).status_code == 200  # by one of the threads that Airflow has
            finally:
                hangs.set()

    account.glue.meta.events.register("before-call.glue.GetPartitions", hang)
    anyio.run(everybody)
    found = Counter((answer.status_code, answer.headers.get("retry-after", "-")) for answer in answers)
    assert found == {(200, "-"): served, (503, "3"): 20}
    assert len(calls) == len(set(calls)) == 2


@pytest.mark.parametrize("viewer", [Viewer(reads=("empty_monthly", "texts_weekly"))])
def test_a_report_without_a_table_says_so_and_without_parquet_has_no_holes_to_fill(client: TestClient) -> None:
    empty, texts = listed(client).values()
    assert [cell["id"] for cell in empty["cells"]] == ["2026-03", "2026-04"]
    assert (empty["problems"], empty["is_paused"]) == ([], True)
    assert "Nothing is published yet in the Glue table" in empty["note"]
    assert (texts["cells"], texts["problems"]) == ([], [])
    assert "publishes no Parquet" in texts["note"]
    assert client.get(DATA_PATHS[1].replace("scores", "texts")).status_code == 400


@pytest.mark.parametrize(
    ("viewer", "may_run"),
    [
        (Viewer(), {"scores_weekly": True, "empty_monthly": False}),
        (Viewer(runs=()), {"scores_weekly": False, "empty_monthly": False}),
        (Viewer(reads=("empty_monthly",)), {"empty_monthly": False}),
        (Viewer(hidden=("scores_weekly",)), {"empty_monthly": False}),
    ],
)
@pytest.mark.parametrize("query", ["", "?dag_id=empty_monthly"])
def test_a_viewer_sees_what_they_may_read_and_which_of_it_they_may_run(
    client: TestClient, account: Account, query: str, may_run: dict[str, bool]
) -> None:
    answer = client.get(f"/api/coverage{query}").json()
    assert {row["dag_id"]: row["may_run"] for row in answer["reports"]} == may_run
    assert answer["console"] == account.lake.console


def test_the_data_paths_are_all_that_there_are_and_nothing_of_our_own_changes_anything(client: TestClient) -> None:
    routes = {route.path for route in client.app.routes if hasattr(route, "methods")}  # type: ignore[attr-defined]
    known = {re.sub(r"\?.*", "", path) for path in DATA_PATHS}
    shapes = {re.sub(r"\{[^}]+\}", "[^/]+", route) for route in routes} - {"/"}
    assert all(any(re.fullmatch(shape, path) for path in known) for shape in shapes)
    assert len(shapes) == len(known)
    asked = [client.request(method, path) for path in DATA_PATHS for method in ("POST", "PUT", "PATCH", "DELETE")]
    assert {answer.status_code for answer in asked} == {405}


@pytest.mark.parametrize("path", DATA_PATHS)
@pytest.mark.parametrize("viewer", [Viewer(reads=())])
def test_who_may_not_read_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path)
    if path == DATA_PATHS[0]:
        assert (answer.status_code, answer.json()["reports"]) == (200, [])
    else:
        assert answer.status_code == 403
    client.app.dependency_overrides.pop(security.get_user)  # type: ignore[attr-defined]
    assert client.get(path).status_code == 401


def test_every_answer_tells_the_browser_to_load_nothing_from_outside(client: TestClient) -> None:
    for path in ("/", "/static/page.css", "/static/main.js", *DATA_PATHS):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy.pop("default-src") == "'none'"
        assert set(policy.values()) == {"'self'", "'none'"}
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("no-store" if path.startswith("/api") else "no-cache")


def test_the_page_names_nothing_outside_and_builds_no_markup() -> None:
    files = [path for path in STATIC.iterdir() if path.suffix in {".html", ".js", ".css"}]
    assert len(files) > 5
    for path in files:
        text = path.read_text()
        assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|DOMParser", text)
        assert not re.search(r"<[^>]+\s(on\w+|style)=", text), path.name


def test_a_period_shows_its_rows_and_its_manifest(client: TestClient, publisher: Publisher) -> None:
    publisher.put(WEEK, seed=1, checks=[WARNED])
    publisher.put(WEEK, at=WEEK.end_utc + timedelta(days=1), rows=ranking(WEEK, rows=SHOWN_ROWS + 30))
    found = client.get(f"{DAG_PATH}/periods/{WEEK.id}").json()
    rows = [list(row.values()) for row in ranking(WEEK, rows=SHOWN_ROWS + 30)[:SHOWN_ROWS]]
    assert found["rows"] == [[None if value is None else str(value) for value in row] for row in rows]
    (earlier,) = found["manifest"]["earlier_versions"]
    assert (found["problem"], set(earlier["difference"])) == ("", {"added", "removed"})
    shape = {"key": "user_id", "label": "user_name"}
    assert found["shape"] == shape | {"numbers": ["rank", "score", "plays"], "measures": ["score", "plays"]}


def test_each_version_shows_the_sql_that_ran(client: TestClient, publisher: Publisher, account: Account) -> None:
    path = f"{DAG_PATH}/periods/{WEEK.id}"
    for seed in (1, 2):
        publisher.put(WEEK, seed=seed, at=WEEK.end_utc + timedelta(days=seed))
    manifest = client.get(path).json()["manifest"]
    (earlier,) = manifest["earlier_versions"]
    shown = {name: manifest[name] for name in ("query", "code_version")}
    at = (WEEK.end_utc + timedelta(days=1)).isoformat(timespec="milliseconds")
    of_its_own = {name: earlier["query"][name] for name in ("id", "sql_sha256")}
    assert {name: earlier[name] for name in shown} == shown | {
        "query": shown["query"] | {"submitted_at": at} | of_its_own
    }
    for seed, version in ((1, earlier["version"]), (2, manifest["version"])):
        assert client.get(f"{path}/versions/{version}/sql").json() == {
            "sql": f"SELECT user_id FROM plays -- {WEEK.id}, {seed}"
        }
    assert client.get(f"{path}/versions/0123456789abcdef/sql").status_code == 404
    sql_key = f"versions/{earlier['version']}/sql/{earlier['query']['sql_sha256'][:16]}.sql"
    account.s3.delete_object(Bucket=account.bucket, Key=f"scores/weekly/{WEEK.id}/{sql_key}")
    assert client.get(f"{path}/versions/{earlier['version']}/sql").json() == {"sql": None}


@pytest.mark.usefixtures("published")
def test_a_period_whose_rows_are_damaged_or_gone_still_shows_its_manifest(client: TestClient, account: Account) -> None:
    path = f"{DAG_PATH}/periods/{WEEK.id}"
    manifest = client.get(path).json()["manifest"]
    keys = {item["format"]: item["key"] for item in manifest["objects"]}
    account.s3.put_object(Bucket=account.bucket, Key=keys["parquet"], Body=b"no parquet at all")
    assert re.search(r"part-0\.parquet cannot be read as Parquet: .*Clear the run", client.get(path).json()["problem"])
    for key in keys.values():
        account.s3.delete_object(Bucket=account.bucket, Key=key)
    found = client.get(path).json()
    assert (found["manifest"], "part-0.parquet cannot be read" in found["problem"]) == (manifest, True)
    assert client.get(f"{path}/objects/csv").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("periods/2026-03-08", 502, "was never published, or its manifest was deleted"),
        ("periods/2026-03-02", 400, "no week begins on"),
        ("periods/..%2f..%2fsecret", 404, ""),
        ("periods/2026-03-01/objects/exe", 404, "is not published as exe"),
        ("plan?first=2026-03-08&last=2026-03-01&state=stale", 400, "inverted"),
        ("plan?first=2026-03-01&last=2031-01-05&state=stale", 400, "not a period of this report"),
        ("plan?first=2026-03-01&last=2026-03-08&state=odd", 422, ""),
    ],
)
@pytest.mark.usefixtures("published")
def test_a_request_that_cannot_be_answered_says_why(client: TestClient, path: str, status: int, says: str) -> None:
    answer = client.get(f"{DAG_PATH}/{path}")
    assert (answer.status_code, says in answer.text) == (status, True)


@pytest.mark.usefixtures("published")
def test_downloads_are_the_published_bytes(client: TestClient, account: Account) -> None:
    base = f"{DAG_PATH}/periods/{WEEK.id}"
    answers = {name: client.get(f"{base}/{name}") for name in ("objects/parquet", "objects/csv", "manifest")}
    parquet, text, manifest = answers.values()
    published = {each["format"]: each for each in client.get(base).json()["manifest"]["objects"]}
    assert hashlib.sha256(parquet.content).hexdigest() == published["parquet"]["sha256"]
    assert int(parquet.headers["content-length"]) == published["parquet"]["bytes"]
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    names = [row["user_id"] for row in csv.DictReader(io.StringIO(text.text))]
    assert names == [row["user_id"] for row in ranking(WEEK)]
    assert manifest.content == account.s3.get_object(Bucket=account.bucket, Key=MANIFEST_KEY)["Body"].read()
    named = re.compile(r'attachment; filename="scores_weekly-[\w.-]+"')
    assert all(named.fullmatch(answer.headers["content-disposition"]) for answer in answers.values())


@dataclass
class Bodies:
    """The bodies of S3 objects that the page has opened; of each, whether it is closed."""

    closed: list[bool] = field(default_factory=list)

    def watch(self, get_object: Callable[..., Any], **request: Any) -> Any:
        answer, number = get_object(**request), len(self.closed)
        close = answer["Body"].close
        self.closed.append(False)

        def note() -> None:
            close()
            self.closed[number] = True

        answer["Body"].close = note
        return answer


@pytest.fixture
def bodies(account: Account, monkeypatch: pytest.MonkeyPatch) -> Bodies:
    bodies = Bodies()
    monkeypatch.setattr(account.s3, "get_object", partial(bodies.watch, account.s3.get_object))
    return bodies


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
    client: TestClient, publisher: Publisher, bodies: Bodies, received: int
) -> None:
    publisher.put(WEEK, rows="SELECT repeat('x', 1_000_000) AS text FROM range(30)")  # more than sockets buffer
    of_manifest = 1
    with serving(client.app) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        bodies.closed.clear()
        connection.sendall(f"GET {DAG_PATH}/periods/{WEEK.id}/objects/csv HTTP/1.1\r\nHost: page\r\n\r\n".encode())
        while received > 0:
            received -= len(connection.recv(received))
        wait_until(lambda: len(bodies.closed) > of_manifest)
        assert bodies.closed == [True, False]
        connection.close()
        wait_until(lambda: all(bodies.closed))


@pytest.mark.usefixtures("published")
def test_what_is_read_to_its_end_is_closed_too(client: TestClient, bodies: Bodies, account: Account) -> None:
    base = f"{DAG_PATH}/periods/{WEEK.id}"
    version = account.lake.manifest(report_dag("scores"), WEEK.id).version
    for path in ("manifest", "objects/csv", "objects/parquet", f"versions/{version}/sql"):
        bodies.closed.clear()
        assert client.get(f"{base}/{path}").status_code == 200
        assert bodies.closed
        assert all(bodies.closed), path


def unique(*columns: str, repeated: int = 0) -> CheckResult:
    """What the check found in the rows of a period."""
    check = checks.unique(*columns)
    return CheckResult(
        name=check.name, severity=check.severity, passed=not repeated, message="as declared", value=repeated
    )


def history_of(client: TestClient, period: Period) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{DAG_PATH}/periods/{period.id}/history").json()
    assert found["problems"] == []
    return found


def test_history_follows_the_first_entries_through_the_periods_before(client: TestClient, publisher: Publisher) -> None:
    gap = WEEK.next
    for week in (WEEK, gap.next, gap.next.next):
        publisher.put(week, checks=[unique("user_id")])
    found = history_of(client, gap.next)
    top = ranking(gap.next)[: app_module.HISTORY_ENTRIES]
    named = [([row["user_id"]], row["user_name"] or row["user_id"]) for row in top]
    assert [(entry["key"], entry["label"]) for entry in found["entries"]] == named
    before = {row["user_id"]: str(row["score"]) for row in ranking(WEEK)}
    assert found["values"]["score"] == [[before.get(row["user_id"]), str(row["score"])] for row in top]
    assert (found["periods"], found["note"]) == ([WEEK.id, gap.next.id], "")


def test_history_leaves_out_the_weeks_that_were_published_before_first_day_was_changed(
    client: TestClient, account: Account, publisher: Publisher
) -> None:
    since_monday = account.publisher("scores", weekly("monday", "Asia/Tokyo"))
    since_monday.put(since_monday.cadence.containing(WEEK.end_utc), checks=[unique("user_id")])
    for week in (WEEK, WEEK.next.next):
        publisher.put(week, checks=[unique("user_id")])
    assert history_of(client, WEEK.next.next)["periods"] == [WEEK.id, WEEK.next.next.id]


SALES: list[dict[tuple[str | None, str | None], int]] = [
    {("Quito", "GROCERY"): 7, ("Cuenca", "GROCERY"): 5, ("Quito", "DAIRY"): 4, ("a", "b, c"): 2, ("", None): 1},
    {("Cuenca", "GROCERY"): 30, ("a, b", "c"): 20, (None, "GROCERY"): 15, (None, None): 10},
    {("Quito", "GROCERY"): 90, (None, "GROCERY"): 80, ("", "GROCERY"): 70, (None, None): 60, ("a", "b, c"): 50}
    | {("Cuenca", "GROCERY"): 40, ("Loja", "GROCERY"): 30, ("Quito", "DAIRY"): 20},
]
"""The sales of three weeks by store and family; NULL is a store of its own, or a family."""


def test_history_follows_entries_that_two_columns_tell_apart(client: TestClient, publisher: Publisher) -> None:
    """And names each by both. The second check is not the one that counts."""
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for week, sales in zip(weeks, SALES, strict=True):
        rows = [{"store": store, "family": family, "sales": each} for (store, family), each in sales.items()]
        publisher.put(week, rows=rows, checks=[unique("store", "family"), unique("family", "sales")])
    found = history_of(client, weeks[-1])

    top = [*SALES[-1]][: app_module.HISTORY_ENTRIES]
    expected = [[sales.get(key) for sales in SALES] for key in top]
    assert found["values"] == {"sales": [[each and str(each) for each in line] for line in expected]}
    assert [tuple(entry["key"]) for entry in found["entries"]] == top
    labels = ["Quito, GROCERY", "NULL, GROCERY", ", GROCERY", "NULL, NULL", "a, b, c"]
    assert [entry["label"] for entry in found["entries"]] == labels
    assert (found["periods"], found["note"]) == ([week.id for week in weeks], "")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["store", "family", "sales"], []),
        (["store", "family", "sales"], [WARNED]),
        (["store, family", "store", "sales"], [unique("store, family")]),
        (["store, family", "store", "family", "sales"], [unique("store", "family")]),
    ],
)
def test_without_columns_that_certainly_tell_rows_apart_there_is_no_history_and_the_page_says_so(
    client: TestClient, publisher: Publisher, columns: list[str], found: list[CheckResult]
) -> None:
    """A manifest has the columns of a check in one text."""
    for week in (WEEK, WEEK.next):
        rows = [{name: f"{name} {row}" for name in columns} | {"sales": row} for row in range(3)]
        publisher.put(week, rows=rows, checks=found)
    answer = history_of(client, WEEK.next)
    assert (answer["periods"], answer["entries"], answer["values"]) == ([], [], {})
    assert re.search(r"no checks\.unique .* Declare one", answer["note"])


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("VALUES ('a', 'x', 1), ('a', 'x', 2), ('b', 'x', 3)", []),
        ("VALUES ('a', 'x', 1), ('a', 'x', 2), ('b', 'x', 3)", [unique("store", "family", repeated=1)]),
        # more rows of another entry than the page reads
        (
            "SELECT * FROM (VALUES ('a', 'x', 1), ('b', 'x', 3)) "
            f"UNION ALL SELECT 'c', 'x', n FROM range({2 * SHOWN_ROWS}) r(n) UNION ALL VALUES ('a', 'x', 2)",
            [],
        ),
    ],
)
def test_an_entry_that_several_rows_of_a_period_are_has_no_value_there(
    client: TestClient, publisher: Publisher, rows: str, found: list[CheckResult]
) -> None:
    """The check was not declared yet, or only warned."""
    publisher.put(WEEK, rows=f"SELECT * FROM ({rows}) t(store, family, sales)", checks=found)
    now = "VALUES ('a', 'x', 10), ('b', 'x', 9), ('c', 'x', 8)"
    publisher.put(WEEK.next, rows=f"SELECT * FROM ({now}) t(store, family, sales)", checks=[unique("store", "family")])
    answer = history_of(client, WEEK.next)
    assert [entry["label"] for entry in answer["entries"]] == ["a, x", "b, x", "c, x"]
    assert answer["values"] == {"sales": [[None, "10"], ["3", "9"], [None, "8"]]}


def test_a_period_without_one_of_the_columns_has_no_values(client: TestClient, publisher: Publisher) -> None:
    """Its one row of a store is the total, and not that of no family."""
    publisher.put(WEEK, rows="SELECT 'a' AS store, 5 AS sales", checks=[unique("store")])
    rows = "SELECT * FROM (VALUES ('a', NULL, 3), ('a', 'x', 2)) t(store, family, sales)"
    publisher.put(WEEK.next, rows=rows, checks=[unique("store", "family")])
    assert history_of(client, WEEK.next)["values"] == {"sales": [[None, "3"], [None, "2"]]}


def test_history_of_a_single_row_is_a_line_whatever_its_text_is(client: TestClient, publisher: Publisher) -> None:
    """It may differ in each period, such as the period's name, if no check says that it tells rows apart."""
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for number, week in enumerate(weeks):
        publisher.put(week, rows=f"SELECT 'week {number}' AS name, {number} AS total")
    publisher.put(weeks[1], rows="SELECT name, 5 AS total FROM (VALUES ('a'), ('b')) t(name)", at=NOW)
    found = history_of(client, weeks[-1])
    assert found["periods"] == [week.id for week in weeks]
    assert found["entries"] == [{"key": [], "label": "scores"}]
    assert found["values"] == {"total": [["0", None, "2"]]}


def test_the_only_entry_of_a_period_is_followed_by_its_key(client: TestClient, publisher: Publisher) -> None:
    rows = ["SELECT 'b' AS name, 1 AS total", "SELECT name, total FROM (VALUES ('a', 2), ('b', 3)) t(name, total)"]
    weeks = [WEEK, WEEK.next, WEEK.next.next]
    for week, published in zip(weeks, [*rows, "SELECT 'a' AS name, 4 AS total"], strict=True):
        publisher.put(week, rows=published, checks=[unique("name")])
    found = history_of(client, weeks[-1])
    assert found["entries"] == [{"key": ["a"], "label": "a"}]
    assert found["values"] == {"total": [[None, "2", "4"]]}


def test_a_plan_is_the_requests_that_start_it(client: TestClient, published: Publisher, runs: Runs) -> None:
    """Each as Airflow's REST API takes it; the run with a logical date reports the very period."""
    cleared, occupied, free = WEEK, WEEK.next, WEEK.next.next
    published.alter(cleared, provisional="true")
    runs["dated"] = {
        cleared.id: DatedRun("scheduled__2026-02-28T15:00:00+00:00", can_run_period=True),
        occupied.id: DatedRun("backfill__2026-03-07T15:00:00+00:00", can_run_period=False),
    }
    query = {"first": cleared.id, "last": free.id, "state": ["missing", "provisional"]}
    found = client.get(f"{DAG_PATH}/plan", params=query).json()
    # A date of the cadence's zone taken as UTC would drop the last period, or the first one.
    assert found["backfill"] == ["2026-02-28T15:00:00+00:00", "2026-03-14T15:00:00+00:00"]
    assert (found["scanned_bytes"], found["price_usd"]) == (3 * SCANNED_BYTES, pytest.approx(3 * PRICE_USD))
    clear, undated, dated = found["starts"]
    assert (clear["period"], clear["action"]) == (cleared.id, "clear")
    assert clear["path"] == "dags/scores_weekly/dagRuns/scheduled__2026-02-28T15%3A00%3A00%2B00%3A00/clear"
    assert clear["body"] == {"dry_run": False, "only_failed": False}
    assert DAGRunClearBody.model_validate(clear["body"])
    for start, period in ((undated, occupied), (dated, free)):
        told = (start["period"], start["action"], start["path"])
        assert told == (period.id, "trigger", "dags/scores_weekly/dagRuns")
        body = TriggerDAGRunPostBody.model_validate(start["body"])
        assert str(body.dag_run_id).startswith(f"fill__{period.id}__")
        is_dated = start is dated
        assert body.logical_date == (period.start_utc if is_dated else None)
        assert body.conf == ({} if is_dated else {"period": period.id})
        interval = (body.data_interval_start, body.data_interval_end) if is_dated else None
        run = DagRun(run_type="manual", run_after=NOW, logical_date=body.logical_date, data_interval=interval)
        assert period_of_run(WEEKS, run, param=body.conf.get("period", "")) == period


@pytest.mark.usefixtures("published")
def test_what_is_broken_in_s3_is_told_where_it_is_needed_and_hides_nothing(
    client: TestClient, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.s3.put_object(Bucket=account.bucket, Key=MANIFEST_KEY, Body=b'{"hello": 1}')
    for path in DATA_PATHS[2:]:
        answer = client.get(path)
        if path.endswith("/manifest"):  # it is what somebody would look at
            assert answer.json() == {"hello": 1}
        else:
            assert (answer.status_code, "is not of this package and period" in answer.text) == (502, True), path
    monkeypatch.setattr(app_module.Lake, "connect", lambda: replace(account.lake, bucket="nobodys-bucket"))
    for path in DATA_PATHS[2:]:
        answer = client.get(path)
        assert answer.status_code in {404, 502}, path
        assert re.search("s3://nobodys-bucket/.* Create the bucket", answer.json()["detail"])
    assert coverage(client)[0]["states"] == ["published"]
