"""`growth`: what 50, 200 and 500 reports cost the page and the maintenance, with nothing to do.

A stand-in serves prepared answers of Glue and S3 from a process of its own: 20 ms a call, 200
partitions a page, and 10 Glue calls a second, an assumption: AWS publishes no figure. Airflow's
database and the browser are left out: `page` measures these.

`growth-linear`: the processor time of what an author runs, from 50 to 200 and on to 500 reports.
There Glue limits nothing: its share is the same for each report.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import httpx
from airflow.api_fastapi.common.db.common import _get_session
from airflow.api_fastapi.core_api import security
from airflow.sdk import DAG

from athena_reports.maintenance.cleanup import RetentionPolicy, clean_up_bucket
from athena_reports.maintenance.restatement import AthenaRestatementsOperator
from athena_reports.maintenance.undelivered import PLANNED_XCOM, AthenaUndeliveredOperator
from athena_reports.page import app as page
from athena_reports.page.published_reports import PublishedReports
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import Cadence, Period, monthly, weekly
from athena_reports.publication.folder import PublishedCalendar
from athena_reports.publication.manifest import PlannedDelivery, PublishedObject
from athena_reports.scheduling.timetable import PeriodTimetable
from bench.check import write_project
from bench.local_airflow import WORK
from bench.results import Row
from bench.stand_in import Handler, process_of, serve_forever
from tests.support.partition_facts import facts

CADENCES = (weekly("sunday", "Asia/Tokyo"), monthly("Asia/Tokyo"))
CALL_SECONDS = 0.02
GLUE_CALLS_PER_SECOND = 10
PARTITIONS_PER_PAGE = 200
KEYS_PER_PAGE = 1000
ROWS_IN_VIEW = 14
POLL_SECONDS = 5  # of an open page
VIEWERS = 10
BUCKET = "athena-report-dev"
VERSION = "0123456789abcdef"
ETAG = '"0123456789abcdef0123456789abcdef"'
AT = datetime(2026, 11, 1, tzinfo=UTC)
# Of the latest period of each report, which its only channel has got.
DELIVERY = PlannedDelivery(
    channels=("sales",),
    until="2100-01-01T00:00:00+00:00",
    correct_until="2100-01-01T00:00:00+00:00",
)
UNPUBLISHED = "report000_weekly"  # its latest period is published when `/publish` is called


@dataclass(frozen=True)
class Size:
    """How many reports are published, each in both cadences, and for how long."""

    reports: int
    years: int

    @property
    def names(self) -> list[str]:
        return [f"report{number:03d}" for number in range(self.reports)]


SIZES = (Size(50, 5), Size(200, 5), Size(500, 10))
LINEAR_SIZES = (Size(50, 5), Size(200, 5), Size(500, 5))
LINEAR = 1.15


@cache
def periods(cadence: Cadence, years: int) -> list[Period]:
    return list(cadence.between(AT - timedelta(days=365 * years), AT - timedelta(days=40)))


def keys_of(report: str, period: Period) -> dict[str, int]:
    """The keys of what is published of a period below the bucket, with their sizes."""
    folder = f"{report}/{period.cadence.unit}/{period.id}"
    files = {f"{name}/part-0.{name}": 2_000 for name in ("csv", "parquet")}
    return {
        f"{folder}/manifest.json": 3_000,
        **{f"{folder}/versions/{VERSION}/{name}": size for name, size in files.items()},
        f"{folder}/versions/{VERSION}/sql/0123456789abcdef.sql": 500,
    }


@cache
def partitions(cadence: Cadence, years: int) -> list[tuple[str, str]]:
    """The period id and the JSON of each partition of a report whose name is `REPORT`."""
    listed = []
    latest = periods(cadence, years)[-1]
    for period in periods(cadence, years):
        objects = [
            PublishedObject(format=name, key=key, bytes=size, sha256="ab" * 32, rows=100)
            for key, size in keys_of("REPORT", period).items()
            for name in ("csv", "parquet")
            if key.endswith(f".{name}")
        ]
        published = facts(
            period,
            report="REPORT",
            version=VERSION,
            objects=tuple(objects),
            manifest_etag=ETAG,
            run={"dag_id": f"REPORT_{cadence.unit}", "run_id": f"scheduled__{period.id}"},
            ledger={"2026-11": [1, 48_000_000, 0.24, 0]},
            rows=100,
            bytes=4_000,
            delivery=DELIVERY if period == latest else None,
        )
        folder = f"s3://{BUCKET}/REPORT/{cadence.unit}/{period.id}/versions/{VERSION}/parquet/"
        partition = {
            "Values": [period.id],
            "StorageDescriptor": {"Location": folder},
            "Parameters": published.as_parameters(),
        }
        listed.append((period.id, json.dumps(partition)))
    return listed


@cache
def objects(cadence: Cadence, years: int) -> list[str]:
    """The XML of each object in a listing of a report whose name is `REPORT`."""
    folder = f"REPORT/{cadence.unit}"
    keys = {f"{folder}/calendar.json": 200, f"{folder}/latest.json": 3_000}
    for period in periods(cadence, years):
        keys |= keys_of("REPORT", period)
    receipts = f"{folder}/{periods(cadence, years)[-1].id}/receipts/{VERSION}"
    keys[f"{receipts}/sales/1.json"] = 500
    modified = "2026-11-01T00:00:00.000Z"
    return [
        f"<Contents><Key>{key}</Key><LastModified>{modified}</LastModified>"
        f"<ETag>{ETAG}</ETag><Size>{size}</Size></Contents>"
        for key, size in sorted(keys.items())
    ]


def _cadence(unit: str) -> Cadence:
    return next(cadence for cadence in CADENCES if cadence.unit == unit)


class StandIn(Handler):
    """Answers GetTables, GetPartitions, ListObjectsV2 and GetObject of `calendar.json`."""

    size: Size
    glue_calls_per_second: float
    calls: dict[str, int]
    lock = threading.Lock()
    glue_free_at = 0.0
    is_published = False

    def call(self, operation: str, parameters: Any) -> None:
        with StandIn.lock:
            now = time.monotonic()
            # A second's calls may come at once.
            interval = 1 / self.glue_calls_per_second
            StandIn.glue_free_at = max(StandIn.glue_free_at + interval, now - 1)
            pause = StandIn.glue_free_at - now
        time.sleep(max(pause, 0))
        self._reply(operation, getattr(self, operation)(parameters))

    def do_GET(self) -> None:  # noqa: N802
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/calls":
            with StandIn.lock:
                answer = json.dumps(StandIn.calls)
                StandIn.calls = {}
            self.answer(answer)
        elif url.path == "/publish":
            StandIn.is_published = True
            self.answer("")
        elif "list-type" in query:
            self._reply("ListObjectsV2", self._listing(query))
        else:
            _, _, report, unit, _ = url.path.split("/")
            calendar = PublishedCalendar(environment="dev", report=report, cadence=_cadence(unit))
            self._reply("GetObject", calendar.model_dump_json())

    def GetTables(self, body: dict[str, Any]) -> str:  # noqa: N802
        tables = [
            {
                "Name": f"{report}_{cadence.unit}",
                "Parameters": {"written_by": "athena-reports"},
                "StorageDescriptor": {"Location": f"s3://{BUCKET}/{report}/{cadence.unit}/"},
            }
            for report in self.size.names
            for cadence in CADENCES
        ]
        begin = int(body.get("NextToken", 0))
        page: dict[str, Any] = {"TableList": tables[begin : begin + 100]}
        if begin + 100 < len(tables):
            page["NextToken"] = str(begin + 100)
        return json.dumps(page)

    def GetPartitions(self, body: dict[str, Any]) -> str:  # noqa: N802
        report, unit = body["TableName"].split("_")
        _, _, first = body.get("Expression", "").partition(">= ")
        listed = [
            text
            for period_id, text in partitions(_cadence(unit), self.size.years)
            if period_id >= first.strip("'")
        ]
        if body["TableName"] == UNPUBLISHED and not StandIn.is_published:
            listed.pop()
        begin = int(body.get("NextToken", 0))
        end = begin + PARTITIONS_PER_PAGE
        texts = ", ".join(listed[begin:end]).replace("REPORT", report)
        token = f', "NextToken": "{end}"' if end < len(listed) else ""
        return f'{{"Partitions": [{texts}]{token}}}'

    def _listing(self, query: dict[str, str]) -> str:
        prefix = query.get("prefix", "")
        if "delimiter" in query:
            names = self.size.names if not prefix else [each.unit for each in CADENCES]
            folders = "".join(
                f"<CommonPrefixes><Prefix>{prefix}{name}/</Prefix></CommonPrefixes>"
                for name in names
            )
            return f"<ListBucketResult>{folders}</ListBucketResult>"
        report, unit, folder = prefix.split("/", 2)
        listed = objects(_cadence(unit), self.size.years)
        if folder:
            listed = [text for text in listed if f"<Key>REPORT/{unit}/{folder}" in text]
        begin = int(query.get("continuation-token", 0))
        end = begin + KEYS_PER_PAGE
        more = ""
        if end < len(listed):
            more = f"<NextContinuationToken>{end}</NextContinuationToken>"
        is_truncated = str(bool(more)).lower()
        contents = "".join(listed[begin:end]).replace("REPORT", report)
        return (
            f"<ListBucketResult><IsTruncated>{is_truncated}</IsTruncated>{more}"
            f"{contents}</ListBucketResult>"
        )

    def _reply(self, action: str, text: str) -> None:
        with StandIn.lock:
            StandIn.calls[action] = StandIn.calls.get(action, 0) + 1
        time.sleep(CALL_SECONDS)
        self.answer(text, ETag=ETAG)


def _serve(size: Size, glue_calls_per_second: float, port: Connection) -> None:
    StandIn.size = size
    StandIn.glue_calls_per_second = glue_calls_per_second
    StandIn.calls = {}
    for cadence in CADENCES:  # before the first call
        partitions(cadence, size.years)
        objects(cadence, size.years)
    serve_forever(StandIn, port)


@contextmanager
def stand_in(size: Size, glue_calls_per_second: float = GLUE_CALLS_PER_SECOND) -> Iterator[str]:
    """Serve reports until the context ends; every client of this process then asks the stand-in."""
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://key:secret@/?region_name=ap-northeast-1",
        "AWS_ACCESS_KEY_ID": "key",  # for the commands, which have no connection
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "ap-northeast-1",
        "ATHENA_REPORTS_ENV": "dev",
        "ATHENA_REPORTS_BUCKET": BUCKET,
    }
    with (
        process_of(_serve, size, glue_calls_per_second) as url,
        mock.patch.dict(os.environ, environment, AWS_ENDPOINT_URL=url),
    ):
        yield url


def _calls(url: str) -> dict[str, int]:
    """Return the calls since the last time, by operation."""
    calls: dict[str, int] = httpx.get(f"{url}/calls").json()
    return calls


def measure() -> Sequence[Row]:
    rows: list[Row] = []
    for size in SIZES:
        with stand_in(size) as url:
            rows += _measure_page(size, url)
            rows += _measure_maintenance(size, url)
    return rows


def _row(
    size: Size, name: str, unit: str, ours: float, limit: float | None, **others: float
) -> Row:
    # The limits are those of 200 reports; what more cost is measured and explained.
    required = 1.0 if limit is not None and size.reports <= 200 else None
    return Row.of(
        f"growth: {name}, {size.reports} reports over {size.years} years",
        f"{unit}; the ratio is to {limit or ours:g}",
        ours,
        others,
        limit or ours,
        required,
    )


def _measure_maintenance(size: Size, url: str) -> Iterator[Row]:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        xcom_push=pushed.__setitem__, get_dag=lambda _: SimpleNamespace(is_paused=False)
    )
    context: Any = {"ti": ti, "params": {"stale": False}}
    _calls(url)
    begun = time.perf_counter()
    with DAG("athena_reports_restatement", schedule=None):
        find = AthenaRestatementsOperator(task_id="find", database="report_dev")
        restatements = find.execute(context)
        found = time.perf_counter() - begun
        deliver = AthenaUndeliveredOperator(task_id="deliver", planned=pushed[PLANNED_XCOM])
        deliveries = deliver.execute(context)
    seconds = time.perf_counter() - begun
    if restatements or deliveries or len(pushed[PLANNED_XCOM]) != 2 * size.reports:
        raise RuntimeError(f"there is something to do: {restatements}, {deliveries}")
    calls = _calls(url)
    name = "restatement and undelivered"
    yield _row(size, name, "seconds", seconds, 60, restatement=found, **calls)

    begun = time.perf_counter()
    summary = clean_up_bucket(
        bucket=BUCKET, database="report_dev", environment="dev", policy=RetentionPolicy()
    )
    seconds = time.perf_counter() - begun
    if summary["objects"] or summary["repaired"]:
        raise RuntimeError(f"there is something to clean up: {summary}")
    yield _row(size, "cleanup", "seconds", seconds, 300, **_calls(url))


def _measure_page(size: Size, url: str) -> Iterator[Row]:
    dags = {
        f"{report}_{cadence.unit}": ReportDag(
            f"{report}_{cadence.unit}",
            PeriodTimetable(cadence, timedelta(minutes=5)),
            periods(cadence, size.years)[0].start_utc,
            is_paused=False,
        )
        for report in size.names
        for cadence in CADENCES
    }
    connect: Any = PublishedReports.connect
    connect.cache_clear()
    viewer = SimpleNamespace(
        get_authorized_dag_ids=lambda **_: set(dags), is_authorized_dag=lambda **_: True
    )
    with (
        mock.patch.object(page, "report_dags", lambda ids, _: [dags[id] for id in sorted(ids)]),
        mock.patch.object(page, "unfinished_runs", lambda some, _: {d.dag_id: {} for d in some}),
        mock.patch.object(page, "last_run_changes", return_value={}) as run_changes,
        mock.patch.object(page, "get_auth_manager", return_value=viewer),
    ):
        app = page.create_app()
        app.dependency_overrides[security.get_user] = lambda: viewer
        session = mock.Mock()
        app.dependency_overrides[_get_session] = lambda: session
        first, view, gap = asyncio.run(_look(app, list(dags)[:ROWS_IN_VIEW], viewers=1))
        calls_of_one = sum(_calls(url).values())
        connect.cache_clear()  # the caches are of one client
        resident = _resident_megabytes()
        asyncio.run(_look(app, list(dags)[:ROWS_IN_VIEW], viewers=VIEWERS))
        calls_of_many = sum(_calls(url).values())
        growth = max(_resident_megabytes() - resident, 0.0)

        def publish() -> None:
            httpx.get(f"{url}/publish")
            run_changes.return_value = {UNPUBLISHED: "later"}

        news = asyncio.run(_see_news(app, list(dags)[:ROWS_IN_VIEW], publish))
    connect.cache_clear()
    yield _row(size, "page, the list of reports", "seconds", first, 1)
    yield _row(size, "page, rows in view", "seconds", view, 3, calls=calls_of_one)
    calls = {"one": float(calls_of_one)}
    name = f"page, AWS calls of {VIEWERS} viewers"
    yield _row(size, name, "calls", calls_of_many, 1.2 * calls_of_one, **calls)
    yield _row(size, f"page, memory of {VIEWERS} viewers", "MB", growth, 60)
    yield _row(size, "page, longest gap of the event loop", "ms", gap * 1000, 50)
    yield _row(size, "page, a new publication", "seconds", POLL_SECONDS + news, 10, answer=news)


async def _look(app: Any, dag_ids: Sequence[str], *, viewers: int) -> tuple[float, float, float]:
    """Open the page as some viewers do at once, and let each ask again four times.

    Returns the seconds until the reports are listed and until the rows in view are known, both of
    the first viewer, and the longest gap of a ticker of 10 ms.
    """
    gaps = []

    async def tick() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.01)
            gaps.append(time.perf_counter() - begun - 0.01)

    async def look(client: httpx.AsyncClient) -> tuple[float, float]:
        begun = time.perf_counter()
        (await client.get("/api/reports")).raise_for_status()
        listed = time.perf_counter() - begun
        rows = await _changed_rows(client, dag_ids)
        shown = time.perf_counter() - begun
        if len(rows) != len(dag_ids) or any(json.loads(row)["problems"] for row in rows.values()):
            raise RuntimeError(f"the page shows {rows}")
        for _ in range(4):
            news = await _changed_rows(client, dag_ids, known=rows)
            if news:
                raise RuntimeError(f"the page has news of {news}")
        return listed, shown

    ticker = asyncio.create_task(tick())
    async with _client(app) as client:
        looks = await asyncio.gather(*(look(client) for _ in range(viewers)))
    ticker.cancel()
    return *looks[0], max(gaps)


async def _see_news(app: Any, dag_ids: Sequence[str], publish: Callable[[], None]) -> float:
    """Return the seconds of the answer that shows a new publication on an open page."""
    async with _client(app) as client:
        rows = await _changed_rows(client, dag_ids)
        publish()
        begun = time.perf_counter()
        news = await _changed_rows(client, dag_ids, known=rows)
        seconds = time.perf_counter() - begun
    if [json.loads(row)["dag_id"] for row in news.values()] != [UNPUBLISHED]:
        raise RuntimeError(f"the page has news of {news}")
    return seconds


def _client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://page", timeout=300)


async def _changed_rows(
    client: httpx.AsyncClient, dag_ids: Sequence[str], known: Collection[str] = ()
) -> dict[str, str]:
    """Return the rows that an open page gets, by their digests."""
    params: dict[str, Any] = {
        "dag_id": list(dag_ids),
        "since": "2026-05-01",
        "known": list(known),
    }
    response = await client.get("/api/coverage", params=params)
    rows: dict[str, str] = response.raise_for_status().json()["rows"]
    return rows


def _resident_megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_linear() -> Sequence[Row]:
    """Measure what an author runs at three sizes, by the processor time of its processes."""
    by_size = [_measure_commands(size) for size in LINEAR_SIZES]
    small, middle, large = LINEAR_SIZES
    rows = []
    for name in by_size[0]:
        first, second, third = (seconds[name] for seconds in by_size)
        to_middle = 1000 * (second - first) / (middle.reports - small.reports)
        to_large = 1000 * (third - second) / (large.reports - middle.reports)
        figures = {f"{small.reports} to {middle.reports}": to_middle}
        for size, seconds in zip(LINEAR_SIZES, (first, second, third), strict=True):
            figures[f"seconds of {size.reports}"] = seconds
        title = f"growth: {name}, from {middle.reports} to {large.reports} reports"
        unit = "CPU ms per report of two cadences over 5 years"
        rows.append(Row.of(title, unit, to_large, figures, to_middle, LINEAR))
    return rows


_PARSE = """
import sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
sys.exit(bool(bag.import_errors) or len(bag.dags) != int(sys.argv[2]))
"""


def _measure_commands(size: Size) -> Mapping[str, float]:
    """Return the processor seconds of each command, by name."""
    project = write_project(WORK / "growth", size.names)
    command = (sys.executable, "-m", "athena_reports_cli")
    dags = str(project / "dags")
    parsing = (sys.executable, "-c", _PARSE, dags, str(2 * size.reports))
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": dags,
        "ATHENA_REPORTS_SQL_FOLDER": str(project / "include" / "sql"),
    }
    seconds = {"check": _processor_seconds(*command, "check", cwd=project)}
    with stand_in(size, glue_calls_per_second=10_000):
        for name in ("status", "costs"):
            seconds[name] = _processor_seconds(*command, name, cwd=project)
        seconds["parsing"] = _processor_seconds(*parsing, cwd=project, **environment)
    return seconds


# The local Athena's processes end a moment after the command. Their time is counted only if a
# process waits for them, so this one adopts them.
_RUN_AND_WAIT_FOR_ALL = """
import ctypes, os, subprocess, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
code = subprocess.call(sys.argv[1:])
try:
    while os.wait():
        pass
except ChildProcessError:
    sys.exit(code)
"""


def _processor_seconds(*command: str, cwd: Path, **environment: str) -> float:
    """Run a command, and return the processor time that it took, with that of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", _RUN_AND_WAIT_FOR_ALL, *command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
