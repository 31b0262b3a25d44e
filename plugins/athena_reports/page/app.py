"""The Reports page's own endpoints. They only read; each asks Airflow whether the viewer may see its data.

What the page starts, it starts through Airflow's REST API, as the viewer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from botocore.response import StreamingBody
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.page.coverage import Cell, Coverage, RangeError, Run, Start, State, coverage, plan
from athena_reports.page.published import CALLS_AT_ONCE, Lake, LakeError, NoTableError, Shape
from athena_reports.page.runs import ReportDag, dated_runs, report_dags, unfinished_runs
from athena_reports.periods.calendar import Period
from athena_reports.periods.run_period import FILL_RUN_ID, PERIOD_PARAM
from athena_reports.rows.writer import CONTENT_TYPES
from athena_reports.s3 import MissingObjectError

HISTORY_PERIODS = 12
HISTORY_ENTRIES = 5

_STATIC = Path(__file__).with_name("static")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# First the page asks for what a window shows: the latest periods of the first reports.
_RECENT_DAYS, _RECENT_REPORTS = timedelta(days=190), 20
_FACTS = (
    "version",
    "rows",
    "bytes",
    "published_at",
    "checks_warned",
    "earlier",
    "scanned_bytes",
    "price_usd",
    "query_id",
)
_FIELDS = ("id", "date", "days", "states", "run_id", *_FACTS)


def _dag(dag_id: str, session: SessionDep) -> ReportDag:
    found = report_dags([dag_id], session)
    session.rollback()
    if not found:
        raise HTTPException(404, f"{dag_id!r} is not a DAG of a report, or not any more.")
    return found[0]


Dag = Annotated[ReportDag, Depends(_dag)]


def _period(dag: Dag, period_id: str) -> Period:
    return dag.cadence.period(period_id)


OnePeriod = Annotated[Period, Depends(_period)]

_PERIOD = "/dags/{dag_id}/periods/{period_id}"
# Each endpoint returns its connection to the metadata database (rollback) before it calls AWS. FastAPI's own encoder
# would inspect each of many thousand values, a JSONResponse does not.
api = APIRouter(prefix="/api", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.RUN))])


@api.get("/coverage")
def all_reports(user: GetUserDep, session: SessionDep, recent: bool = False) -> Response:
    """All reports that the viewer may read, with the state of their periods."""
    listed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    dags = [dag for dag in report_dags(listed, session) if _may("GET", dag.dag_id, user)]
    dags = dags[: _RECENT_REPORTS if recent else None]
    runs = unfinished_runs(dags, session)
    session.rollback()
    lake, now = Lake.connect(), datetime.now(UTC)
    since = now - _RECENT_DAYS if recent else None
    with _threads() as threads:
        rows = list(threads.map(lambda dag: _report(lake, dag, runs[dag.dag_id], now, since), dags))
    for row in rows:
        row["may_run"] = all(_may(method, row["dag_id"], user) for method in ("POST", "PUT"))
    return JSONResponse({"fields": _FIELDS, "console": lake.console, "reports": rows})


@api.get("/dags/{dag_id}/plan")
def what_fills(
    dag: Dag, session: SessionDep, first: str, last: str, state: Annotated[list[State], Query()]
) -> Response:
    """The requests that fill the periods of a range, and their cost."""
    runs, dated = unfinished_runs([dag], session)[dag.dag_id], dated_runs(dag, session)
    session.rollback()
    now = datetime.now(UTC)
    made = plan(_coverage(Lake.connect(), dag, runs, now).cells, first, last, state, dated)
    starts = [_start(dag.dag_id, start, now) for start in made.starts]
    return JSONResponse(made._asdict() | {"starts": starts})


@api.get(_PERIOD)
def one_period(dag: Dag, period: OnePeriod) -> Response:
    """The manifest and the first rows."""
    lake = Lake.connect()
    manifest = lake.manifest(dag, period.id)
    rows, problem = [], ""
    try:
        rows = lake.rows(dag, manifest, [column.name for column in manifest.columns])
    except AthenaReportsError as error:
        problem = str(error)
    shape = Shape.of(manifest.columns)._asdict()
    return JSONResponse(
        {"manifest": manifest.model_dump(mode="json"), "shape": shape, "rows": rows, "problem": problem}
    )


@api.get(_PERIOD + "/history")
def history(dag: Dag, period: OnePeriod) -> Response:
    """The measures of the first entries, in this period and in those before."""
    lake = Lake.connect()
    manifest = lake.manifest(dag, period.id)
    shape = Shape.of(manifest.columns)
    if not shape.key or not shape.measures:
        return JSONResponse({"periods": [], "entries": [], "values": {}, "problems": []})
    entries = lake.rows(dag, manifest, [shape.key, shape.label])[:HISTORY_ENTRIES]
    keys = [key for key, _label in entries]
    before = sorted(each for each in lake.partitions(dag.dag_id) if each < period.id)[1 - HISTORY_PERIODS :]
    problems: list[str] = []

    def measured(each: str) -> dict[str | None, list[str | None]]:
        try:
            rows = lake.rows(dag, lake.manifest(dag, each), [shape.key, *shape.measures], keys)
        except AthenaReportsError as error:
            problems.append(str(error))
            return {}
        return {key: values for key, *values in rows}

    periods, unknown = [*before, period.id], [None] * len(shape.measures)
    with _threads() as threads:
        seen = list(threads.map(measured, periods))
    values = {
        measure: [[found.get(key, unknown)[place] for found in seen] for key in keys]
        for place, measure in enumerate(shape.measures)
    }
    named = [{"key": key, "label": label or key} for key, label in entries]
    return JSONResponse({"periods": periods, "entries": named, "values": values, "problems": problems})


@api.get(_PERIOD + "/manifest")
def manifest(dag: Dag, period: OnePeriod) -> Response:
    """The manifest, as a file."""
    lake = Lake.connect()
    body, _etag = lake.s3.read(lake.location(dag, period.id).manifest_uri)
    return Response(body, 200, _attachment(f"{dag.dag_id}-{period.id}.json"), "application/json")


@api.get(_PERIOD + "/objects/{format}")
def download(dag: Dag, period: OnePeriod, format: str) -> Response:
    """The rows in one format, as a file."""
    lake = Lake.connect()
    published = lake.manifest(dag, period.id)
    found = next((each for each in published.objects if each.format == format), None)
    if found is None:
        raise HTTPException(404, f"The version {published.version} is not published as {format}.")
    stream = lake.s3.open(lake.location(dag, period.id).uri(found.key))
    headers = _attachment(f"{dag.dag_id}-{period.id}-{published.version}.{format}")
    headers["Content-Length"] = str(found.bytes)
    return StreamingResponse(_chunks(stream), 200, headers, CONTENT_TYPES[found.format])


def create_app() -> FastAPI:
    """Return the application, to be mounted in Airflow's API server."""
    app = FastAPI(title="Athena reports", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(AthenaReportsError, _refused)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.include_router(api)

    @app.middleware("http")
    async def protect(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers.update(_HEADERS)
        response.headers["Cache-Control"] = "no-store" if "/api/" in request.url.path else "no-cache"
        return response

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html")

    return app


def _refused(_request: Request, error: Exception) -> Response:
    is_request_wrong = isinstance(error, RangeError | PeriodError)
    is_missing = isinstance(error, MissingObjectError | NoTableError)
    return JSONResponse({"detail": str(error)}, 400 if is_request_wrong else 404 if is_missing else 502)


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CALLS_AT_ONCE, "athena-reports-page")


def _chunks(stream: StreamingBody) -> Iterator[bytes]:
    with stream:
        yield from stream.iter_chunks(1024 * 1024)


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _may(method: Literal["GET", "POST", "PUT"], dag_id: str, user: Any) -> bool:
    """Whether a viewer may read (GET), create (POST) or clear (PUT) runs of a DAG."""
    return get_auth_manager().is_authorized_dag(
        method=method, access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
    )


def _report(
    lake: Lake, dag: ReportDag, runs: Mapping[str, Run], now: datetime, since: datetime | None
) -> dict[str, Any]:
    """Return a row of the coverage; a report that cannot be read does not hide the others."""
    row = {"dag_id": dag.dag_id, "report": dag.report, "is_paused": dag.is_paused, "note": "", "problems": ()}
    row |= {"cadence": dag.cadence.name, "noun": dag.cadence.noun, "description": dag.cadence.description}
    try:
        found = _coverage(lake, dag, runs, now, since)
    except NoTableError as error:
        return row | {"note": str(error), "cells": None}
    except LakeError as error:
        return row | {"problems": [str(error)], "cells": None}
    if not since and not any(cell.published for cell in found.cells):
        row["note"] = f"Nothing is published yet in the Glue table {lake.database}.{dag.dag_id}."
    return row | {"problems": found.problems, "cells": [_cell(cell) for cell in found.cells]}


def _coverage(
    lake: Lake, dag: ReportDag, runs: Mapping[str, Run], now: datetime, since: datetime | None = None
) -> Coverage:
    if not dag.has_table:
        raise NoTableError(
            f"{dag.report} publishes no Parquet, so Glue has none of its periods. See its runs in Airflow."
        )
    first = dag.cadence.containing(since) if since else None
    # The period before the first one decides whether that one is stale.
    partitions = lake.partitions(dag.dag_id, first.previous.id if first else "")
    begin = max(dag.since, first.start_utc) if first else dag.since
    found = coverage(dag.cadence, partitions, runs, since=begin, now=now, delay=dag.timetable.delay)
    shown = [cell for cell in found.cells if first is None or cell.period >= first]
    return Coverage(shown, found.problems)


def _cell(cell: Cell) -> list[Any]:
    """Return what `_FIELDS` name, as far as it is known."""
    period, published = cell.period, cell.published
    days = (period.last_date - period.first_date).days + 1
    run_id = cell.run.run_id if cell.run else published.run_id if published else ""
    facts = [getattr(published, name) for name in _FACTS] if published else []
    return [period.id, period.first_date.isoformat(), days, cell.states, run_id, *facts]


def _start(dag_id: str, start: Start, now: datetime) -> dict[str, Any]:
    """Return the request of Airflow's REST API that runs a period: its path below `/api/v2/` and its body."""
    runs, period = f"dags/{quote(dag_id, safe='')}/dagRuns", start.period
    if start.run_id:
        path = f"{runs}/{quote(start.run_id, safe='')}/clear"
        body: dict[str, Any] = {"dry_run": False, "only_failed": False}
        return {"period": period.id, "action": "clear", "path": path, "body": body}
    begin, end = period.start_utc.isoformat(), period.end_utc.isoformat()
    dated = {"logical_date": begin, "data_interval_start": begin, "data_interval_end": end}
    undated = {"logical_date": None, "conf": {PERIOD_PARAM: period.id}}
    new = {"dag_run_id": f"{FILL_RUN_ID}{period.id}__{now.isoformat()}"}
    body = new | (dated if start.has_logical_date else undated)
    return {"period": period.id, "action": "trigger", "path": runs, "body": body}
