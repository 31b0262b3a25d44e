"""`growth`: what 50, 200 and 500 reports cost the page and the maintenance, with nothing to do.

A stand-in serves prepared answers of Glue and S3 from a process of its own: 20 ms a call, 200
partitions a page, and 10 Glue calls a second, an assumption: AWS publishes no figure. Airflow's
database and the browser are left out: `page` measures these.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing.connection import Connection
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
from athena_reports.page import app as page
from athena_reports.page.published_reports import PublishedReports
from athena_reports.page.runs import ReportDag
from athena_reports.periods.calendar import Cadence, Period, monthly, weekly
from athena_reports.publication.folder import PublishedCalendar
from athena_reports.publication.manifest import PublishedObject
from athena_reports.scheduling.timetable import PeriodTimetable
from bench.results import Row
from bench.stand_in import Handler, process_of, serve_forever
from tests.support.partition_facts import facts

CADENCES = (weekly("sunday", "Asia/Tokyo"), monthly("Asia/Tokyo"))
CALL_SECONDS = 0.02
GLUE_CALLS_PER_SECOND = 10
PARTITIONS_PER_PAGE = 200
KEYS_PER_PAGE = 1000
ROWS_IN_VIEW = 14
VIEWERS = 10
BUCKET = "athena-report-dev"
VERSION = "0123456789abcdef"
ETAG = '"0123456789abcdef0123456789abcdef"'
AT = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Size:
    """How many reports are published, each in both cadences, and for how long."""

    reports: int
    years: int

    @property
    def names(self) -> list[str]:
        return [f"report{number:03d}" for number in range(self.reports)]


SIZES = (Size(50, 5), Size(200, 5), Size(500, 10))


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
    calls: dict[str, int]
    lock = threading.Lock()
    glue_free_at = 0.0

    def call(self, operation: str, parameters: Any) -> None:
        with StandIn.lock:
            now = time.monotonic()
            # A second's calls may come at once.
            StandIn.glue_free_at = max(StandIn.glue_free_at + 1 / GLUE_CALLS_PER_SECOND, now - 1)
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
        report, unit, _ = prefix.split("/")
        listed = objects(_cadence(unit), self.size.years)
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


def _serve(size: Size, port: Connection) -> None:
    StandIn.size = size
    StandIn.calls = {}
    for cadence in CADENCES:  # before the first call
        partitions(cadence, size.years)
        objects(cadence, size.years)
    serve_forever(StandIn, port)


@contextmanager
def stand_in(size: Size) -> Iterator[str]:
    """Serve reports until the context ends; every client of this process then asks the stand-in."""
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://key:secret@/?region_name=ap-northeast-1",
        "ATHENA_REPORTS_ENV": "dev",
        "ATHENA_REPORTS_BUCKET": BUCKET,
    }
    with (
        process_of(_serve, size) as url,
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
    with DAG("athena_reports_restatement", schedule=None):
        find = AthenaRestatementsOperator(task_id="find", database="report_dev")
    ti = SimpleNamespace(xcom_push=lambda *_: None)
    context: Any = {"ti": ti, "params": {"stale": True}}
    _calls(url)
    begun = time.perf_counter()
    if find.execute(context):
        raise RuntimeError("there is something to restate")
    seconds = time.perf_counter() - begun
    calls = _calls(url)
    yield _row(size, "restatement", "seconds", seconds, 60, **calls)

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
        mock.patch.object(page, "last_run_changes", return_value={}),
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
    connect.cache_clear()
    yield _row(size, "page, the list of reports", "seconds", first, 1)
    yield _row(size, "page, rows in view", "seconds", view, 3, calls=calls_of_one)
    calls = {"one": float(calls_of_one)}
    name = f"page, AWS calls of {VIEWERS} viewers"
    yield _row(size, name, "calls", calls_of_many, 1.2 * calls_of_one, **calls)
    yield _row(size, f"page, memory of {VIEWERS} viewers", "MB", growth, 60)
    yield _row(size, "page, longest gap of the event loop", "ms", gap * 1000, 50)


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
        params: dict[str, Any] = {"dag_id": list(dag_ids), "since": "2026-05-01", "known": []}
        for round_number in range(5):
            response = (await client.get("/api/coverage", params=params)).raise_for_status()
            reports = response.json()["reports"]
            if round_number == 0:
                shown = time.perf_counter() - begun
                if len(reports) != len(dag_ids) or any(each["problems"] for each in reports):
                    raise RuntimeError(f"the page shows {reports}")
                params["known"] = [each["digest"] for each in reports]
            elif reports:
                raise RuntimeError(f"the page has news of {reports}")
        return listed, shown

    ticker = asyncio.create_task(tick())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://page", timeout=300
    ) as client:
        looks = await asyncio.gather(*(look(client) for _ in range(viewers)))
    ticker.cancel()
    return *looks[0], max(gaps)


def _resident_megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
