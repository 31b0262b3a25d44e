"""The Reports page in a browser, and what its endpoints answer, as a test says it.

There is no server: the browser's requests are answered in this process. The files of the page come
from its application, with the headers that it sends. The data come from builders, which make the
answers of the application: a field that is renamed there breaks a builder here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi.testclient import TestClient
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Route
from pydantic_core import to_json

from athena_reports.delivery.receipt import Receipt
from athena_reports.page import app as app_module
from athena_reports.page.answers import (
    ChannelRow,
    CoverageAnswer,
    DeliveriesAnswer,
    PeriodAnswer,
    PeriodRow,
    ReportHeading,
    ReportRow,
)
from athena_reports.page.coverage import State
from athena_reports.page.deliveries import DeliveringDag, DeliveringTask, clear_request
from athena_reports.page.fill import FillPlan, RunRequest
from athena_reports.page.history import History
from athena_reports.page.published_reports import ColumnRoles, TextValues, names_of_entries
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import (
    Difference,
    EarlierVersion,
    Manifest,
    PublishedObject,
    PublishedPeriod,
    QueryFacts,
    RunFacts,
)
from athena_reports.rows.checks import CheckResult
from athena_reports.rows.columns import TableColumn
from tests.support.calendars import WEEKS

ORIGIN = "http://airflow.test"
BASE = f"{ORIGIN}/athena-reports/"
STATIC = Path(app_module.__file__).with_name("static")
CONSOLE = "https://console.test/history/"
DAG_ID = "scores_weekly"
DELIVERING = "scores_weekly_deliver"
NOW = datetime(2026, 5, 6, 3, tzinfo=UTC)
WEEK = list(WEEKS.between(NOW - timedelta(weeks=30), NOW - timedelta(weeks=1)))
"""Weeks that are over at `NOW`, earliest first."""


# What the endpoints answer.


def row(period: Period, *states: State, **changes: Any) -> PeriodRow:
    """A period of the coverage; it is published unless it is missing."""
    made = PeriodRow(
        id=period.id,
        days=(period.last_date - period.first_date).days + 1,
        states=states or (State.PUBLISHED,),
        run_id="",
        waits="",
    )
    if State.MISSING not in states:
        made = made._replace(
            run_id=f"scheduled__{period.id}",
            version="v1",
            rows=100,
            bytes=2_000,
            published_at=period.end_utc.isoformat(),
            earlier=0,
            scanned_bytes=48_000_000,
            price_usd=0.24,
            broken="",
        )
    return made._replace(**changes)


def first_date(cell: PeriodRow) -> date:
    """The date of a day, a week, a month or a year."""
    return date.fromisoformat(f"{cell.id}-01-01"[: len("2026-01-01")])


@dataclass(frozen=True)
class Report:
    """A report as the page gets it: its heading, and its periods."""

    heading: ReportHeading
    row: ReportRow


def report(
    *cells: PeriodRow,
    dag_id: str = DAG_ID,
    problems: Sequence[str] = (),
    is_paused: bool = False,
    **changes: Any,
) -> Report:
    """A report that the viewer may run."""
    heading = ReportHeading(
        dag_id=dag_id,
        report=dag_id.removesuffix("_weekly"),
        cadence="weekly",
        noun="week",
        description=WEEKS.description,
        since=min(map(first_date, cells), default=WEEK[-1].first_date),
        until=None,
        may_run=True,
        note="",
    )
    return Report(replace(heading, **changes), ReportRow(dag_id, is_paused, problems, cells))


def _changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    unknown = changes.keys() - fields.keys()
    assert not unknown, f"there is no field {', '.join(unknown)}"
    return {**fields, **changes}


def plan(*starts: RunRequest, **changes: Any) -> FillPlan:
    made = FillPlan(
        starts=starts,
        backfill=(WEEK[0].start_utc.isoformat(), WEEK[-1].start_utc.isoformat()),
        scanned_bytes=48_000_000 * len(starts),
        price_usd=0.24 * len(starts),
        held=(),
    )
    return replace(made, **changes)


def clear(period: Period) -> RunRequest:
    return RunRequest(
        period=period.id,
        action="clear",
        path=f"dags/{DAG_ID}/dagRuns/scheduled__{period.id}/clear",
        body={"dry_run": False, "only_failed": False},
    )


def trigger(period: Period) -> RunRequest:
    return RunRequest(
        period=period.id,
        action="trigger",
        path=f"dags/{DAG_ID}/dagRuns",
        body={"dag_run_id": f"fill__{period.id}", "logical_date": period.start_utc.isoformat()},
    )


def column(name: str, type: str = "VARCHAR", description: str = "") -> TableColumn:
    return TableColumn(name=name, type=type, glue=type.lower(), description=description)


def query(**changes: Any) -> QueryFacts:
    made = QueryFacts(
        id="3f1d9c52",
        submitted_at=NOW.isoformat(),
        scanned_bytes=48_000_000,
        price_usd=0.24,
    )
    return QueryFacts(**_changed(made.model_dump(), changes))


def manifest(period: Period, **changes: Any) -> Manifest:
    """The manifest of a period with one row, whose key is `user_id`."""
    made = Manifest(
        manifest_format=1,
        version="v1",
        ordered=True,
        rows=1,
        columns=(column("user_id"), column("score", "BIGINT")),
        objects=(PublishedObject(format="csv", key="k", bytes=2_000, sha256="00", rows=1),),
        key=("user_id",),
        report="scores",
        environment="dev",
        period=PublishedPeriod.of(period),
        settles_at=period.end_utc.isoformat(),
        provisional=False,
        partial=False,
        missing_partitions=(),
        published_at=period.end_utc.isoformat(),
        query=query(),
        checks=(),
        run=RunFacts(dag_id=DAG_ID, run_id=f"scheduled__{period.id}"),
        code_version="0.2.0",
        bundle_version="4f0c9d2a51",
    )
    return Manifest(**_changed(dict(made), changes))


def earlier_version(version: str, difference: Difference | None, **changes: Any) -> EarlierVersion:
    """A version that was current before; its successor changed what `difference` says."""
    made = EarlierVersion(
        version=version,
        rows=1,
        published_at=NOW.isoformat(),
        provisional=False,
        replaced_at=NOW.isoformat(),
        difference=difference,
        query=query(),
        code_version="0.1.0",
    )
    return EarlierVersion(**_changed(dict(made), changes))


def check(name: str, *, passed: bool = True, severity: str = "fail") -> CheckResult:
    return CheckResult.model_validate(
        {"name": name, "severity": severity, "passed": passed, "message": f"message of {name}"}
    )


def answer(
    described: Manifest, rows: Sequence[TextValues] = (("u1", "7"),), **changes: Any
) -> PeriodAnswer:
    """A period with rows; the first 15 are in the chart."""
    roles = ColumnRoles.of(described)
    columns = [item.name for item in described.columns]
    made = PeriodAnswer(
        manifest=described,
        roles=roles,
        rows=rows,
        names=names_of_entries(rows[:15], columns, roles),
        console=CONSOLE,
        problem="",
    )
    return replace(made, **changes)


def history(
    periods: Sequence[Period], names: Sequence[str | tuple[str, ...]], **values: Sequence[Any]
) -> History:
    """The values of each measure, in its order: of each entry in each period."""
    entries = [name if isinstance(name, tuple) else (name,) for name in names]
    measures = [list(zip(*lines, strict=True)) for lines in zip(*values.values(), strict=True)]
    return History([period.id for period in periods], entries, list(values), measures)


def receipt(channel: str, version: str = "v1", **changes: Any) -> Receipt:
    """A channel got a version, at 12:30 in Tokyo."""
    made = Receipt(
        version=version,
        channel=channel,
        number=1,
        kind="mail",
        sent_at=datetime(2026, 5, 4, 3, 30, tzinfo=UTC),
        recipients=(f"{channel}@example.com",),
        message_id="<1@example.com>",
        run_id="asset triggered/1",
        clears=0,
    )
    return made.model_copy(update=changes)


def channel(name: str, state: str | None = "success", *, try_number: int = 1) -> ChannelRow:
    """A channel, and its task of the last run."""
    task = DeliveringTask(run_id="asset triggered/1", state=state, try_number=try_number)
    dag = DeliveringDag(dag_id=DELIVERING, is_paused=False, channels=(name,))
    return ChannelRow(name=name, task=task, clear=clear_request(dag, name, task))


def deliveries(
    channels: Sequence[ChannelRow], receipts: Sequence[Receipt] = (), **changes: Any
) -> DeliveriesAnswer:
    """The deliveries of a period, the newest first."""
    made = DeliveriesAnswer(
        dag_id=DELIVERING, is_paused=False, channels=channels, receipts=receipts, problem=""
    )
    return replace(made, **changes)


# The site.


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    body: str

    @classmethod
    def of(cls, status: int, detail: object) -> Refusal:
        """An error as FastAPI answers it."""
        return cls(status, json.dumps({"detail": detail}))


NO_NETWORK = Refusal(0, "")
NOTHING = Refusal(200, "null")


@dataclass(frozen=True)
class Post:
    """A request that starts something."""

    path: str
    body: Any


@dataclass
class Held:
    """A request that waits for its answer."""

    site: Site
    path: str
    route: Route | None = None

    def wait(self) -> None:
        """Wait until the page has sent it."""
        self.site.wait_until(lambda: self.route is not None, f"no request for {self.path}")

    def reply(self, body: Any) -> None:
        """Answer it, and wait until the page has the answer."""
        self.wait()
        assert self.route is not None
        sent = self.route.request
        event = "requestfailed" if body is NO_NETWORK else "requestfinished"
        with self.site.page.expect_event(event, lambda request: request == sent):
            _fulfil(self.route, body)
        self.site.barrier()

    def pass_on(self) -> None:
        """Answer it as if it had not been held."""
        self.wait()
        assert self.route is not None
        _, _, query_string = self.route.request.url.partition("?")
        otherwise = self.site.coverage(query_string) if self.path == "coverage" else None
        self.reply(self.site.next_answer(self.path, otherwise))


class Site:
    """The page, and what it asks for; by default a report whose last week is published.

    Attributes:
        page: The browser's page.
        asked: The paths below `api/` that it has asked for, with their queries.
        posts: What it has sent to Airflow's REST API.
        problems: Errors of its scripts, and requests that the test has no answer to.
    """

    def __init__(self, page: Page, files: Mapping[str, tuple[bytes, dict[str, str]]]) -> None:
        self.page = page
        self._files = files
        page.on("request", lambda request: self._in_flight.add(request))
        page.on("requestfinished", lambda request: self._in_flight.discard(request))
        page.on("requestfailed", lambda request: self._in_flight.discard(request))
        page.route("**/*", self._handle)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        self.begin()

    def begin(self) -> None:
        """Begin a test at `NOW`: another one may have left the page anywhere."""
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        self.page.set_viewport_size({"width": 1440, "height": 900})
        self.page.clock.resume()
        self.page.clock.install(time=NOW)
        self.asked: list[str] = []
        self.posts: list[Post] = []
        self.problems: list[str] = []
        self._answers: dict[str, list[Any]] = {}
        self.rows: dict[str, ReportRow] = {}
        self._held: list[Held] = []
        self._in_flight: set[Request] = set()
        self.put_reports(report(row(WEEK[-1])))
        self.put_period(answer(manifest(WEEK[-1])))

    def put(self, path: str, *bodies: Any) -> None:
        """Answer a path with bodies, one after the other; the last one again and again."""
        self._answers[path] = list(bodies)

    def put_first(self, path: str, *bodies: Any) -> None:
        """Answer a path with bodies before those that it has already."""
        self._answers[path] = [*bodies, *self._answers[path]]

    def put_reports(self, *reports: Report) -> None:
        """Answer with these reports, and with the periods of those that are asked for."""
        self.put("reports", [item.heading for item in reports])
        self.rows = {item.row.dag_id: item.row for item in reports}

    def put_news(self, *reports: Report) -> None:
        """Change the periods of some reports."""
        self.rows.update({item.row.dag_id: item.row for item in reports})

    def put_period(
        self, shown: PeriodAnswer, history: Any = None, sql: Any = None, dag_id: str = DAG_ID
    ) -> None:
        """Answer with a period, its history and the SQL of its version; it has no deliveries."""
        path = period_path(shown.manifest.period.id, dag_id)
        self.put(path, shown)
        self.put(f"{path}/deliveries", NOTHING)
        self.put(f"{path}/history", history or History())
        version = shown.manifest.version
        self.put(f"{path}/versions/{version}/sql", sql or {"sql": f"SELECT {version}"})

    def hold(self, path: str) -> Held:
        """Let the next request for a path wait."""
        held = Held(self, path)
        self._held.append(held)
        return held

    def open(self, place: str = "") -> None:
        """Open the page anew, and wait until all is there."""
        self.page.goto("about:blank")
        self.page.goto(f"{BASE}{place}")
        self.page.locator("#status[data-complete=true]").wait_for()
        self.barrier()

    def go_to(self, place: str) -> None:
        """Change the address of the open page."""
        self.page.evaluate("(hash) => { location.hash = hash; }", place)

    def show(self, *reports: Report) -> None:
        """Open the coverage of these reports."""
        self.put_reports(*reports)
        self.open()

    def times(self, path: str) -> int:
        """How often the page has asked for a path until now, whatever its query."""
        self.barrier()
        return [asked.partition("?")[0] for asked in self.asked].count(path)

    def barrier(self) -> None:
        """Wait until all that the page has asked for until now has arrived here."""
        self.page.evaluate("fetch('/barrier')")

    def end(self) -> None:
        """End a test, in which the page has caused no error."""
        self.barrier()
        assert self.problems == []

    def settle(self) -> None:
        """Wait until the page, if it is open, has the answers to all its requests."""
        self.wait_until(lambda: not self._in_flight, "a request is not answered")
        if self.asked:
            self.barrier()

    def wait_until(self, condition: Any, problem: str) -> None:
        """Wait for what the page does, ten seconds at the most."""
        for _ in range(1_000):
            if condition():
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(f"{problem}; asked were {self.asked}")

    def cell(self, period: Period, dag_id: str = DAG_ID) -> Locator:
        """The element of a period in the coverage."""
        return self.page.locator(f'.cell[data-key="{dag_id}/{period.id}"]')

    def section(self, title: str) -> Locator:
        """A section of a period, by its title."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        return self.page.locator("section", has=heading)

    def _handle(self, route: Route, request: Request) -> None:
        url = urlsplit(request.url)
        if url.path == "/barrier":
            route.fulfill(status=204)
        elif request.method == "POST":
            kind = request.headers.get("content-type")
            if kind != "application/json":  # of another kind Airflow's API takes none
                self.problems.append(f"{url.path} is sent as {kind}")
            self._start(route, url.path, request.post_data_json)
        elif url.path.startswith("/athena-reports/api/"):
            path = url.path.removeprefix("/athena-reports/api/")
            self._answer(route, path, url.query)
        else:
            body, headers = self._files.get(url.path, (b"another page", {}))
            route.fulfill(body=body, headers=headers)

    def _start(self, route: Route, path: str, body: Any) -> None:
        self.posts.append(Post(path.removeprefix("/api/v2/"), body))
        _fulfil(route, self.next_answer(path, {}))

    def _answer(self, route: Route, path: str, query_string: str) -> None:
        asked = f"{path}?{query_string}" if query_string else path
        self.asked.append(asked)
        # Whatever range and states a plan is for, and whatever is asked of the coverage.
        key = path if path.endswith("/plan") or path == "coverage" else asked
        for held in self._held:
            if held.path == key and held.route is None:
                held.route = route
                return
        if key == "coverage":
            _fulfil(route, self.next_answer(key) or self.coverage(query_string))
            return
        if key not in self._answers:
            self.problems.append(f"the test has no answer to {asked}")
        _fulfil(route, self.next_answer(key, Refusal.of(404, "no answer")))

    def coverage(self, query_string: str) -> CoverageAnswer:
        """The rows that are asked for and not known, as the endpoint returns them."""
        query = parse_qs(query_string)
        since = date.fromisoformat(query.get("since", ["0001-01-01"])[0])
        rows = []
        for dag_id in query["dag_id"]:
            row = self.rows[dag_id]
            ends = [first_date(cell) + timedelta(days=cell.days) for cell in row.cells]
            cells = [cell for cell, end in zip(row.cells, ends, strict=True) if end > since]
            rows.append(replace(row, cells=cells))
        return CoverageAnswer.of(rows, query.get("known", ()))

    def next_answer(self, path: str, otherwise: Any = None) -> Any:
        """Take the answer that a path gets now."""
        bodies = self._answers.get(path)
        if not bodies:
            return otherwise
        return bodies.pop(0) if len(bodies) > 1 else bodies[0]

    def _note(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)


def _fulfil(route: Route, body: Any) -> None:
    if body is NO_NETWORK:
        route.abort()
    elif isinstance(body, Refusal):
        route.fulfill(status=body.status, body=body.body)
    elif isinstance(body, dict):
        route.fulfill(json=body)
    else:
        route.fulfill(body=to_json(body), content_type="application/json")


def period_path(period_id: str, dag_id: str = DAG_ID) -> str:
    """The path of a period below `api/`."""
    return f"dags/{quote(dag_id, safe='')}/periods/{period_id}"


def served_files() -> dict[str, tuple[bytes, dict[str, str]]]:
    """The files of the page as its application serves them, by path, with their headers."""
    with TestClient(app_module.create_app()) as client:
        paths = ["", *(f"static/{path.name}" for path in STATIC.iterdir())]
        served = {}
        for path in paths:
            response = client.get(f"/{path}")
            assert response.status_code == 200, path
            kept = ("content-type", "content-security-policy", "x-content-type-options")
            headers = {name: response.headers[name] for name in kept}
            served[f"/athena-reports/{path}"] = (response.content, headers)
    return served


@contextmanager
def opened_site(
    browser: Browser,
    files: Mapping[str, tuple[bytes, dict[str, str]]],
    timezone: str = "Asia/Tokyo",
) -> Iterator[Site]:
    """A page in a time zone; it has caused no error when it is left."""
    with browser.new_context(timezone_id=timezone) as context:
        context.set_default_timeout(10_000)
        site = Site(context.new_page(), files)
        yield site
        site.end()
