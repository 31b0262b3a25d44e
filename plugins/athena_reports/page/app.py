"""The Reports page's own endpoints: they only read. What the page starts, Airflow's REST API starts for the viewer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from athena_reports.aws.s3 import MissingObjectError
from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.page.coverage import Cell, PeriodCoverage, Run, State, period_coverage
from athena_reports.page.fill import plan_fill, run_request
from athena_reports.page.lake import CALLS_AT_ONCE, ColumnRoles, Lake, LakeError, TextValues, label_of
from athena_reports.page.runs import ReportDag, dated_runs, report_dags, unfinished_runs
from athena_reports.periods.calendar import periods_among
from athena_reports.publication.costs import last_months, merged, summary
from athena_reports.publication.manifest import Manifest
from athena_reports.rows.checks import unique_columns
from athena_reports.rows.writer import CONTENT_TYPES

if TYPE_CHECKING:
    from botocore.response import StreamingBody

HISTORY_PERIODS, HISTORY_ENTRIES = 12, 5
COST_MONTHS = 12
SHOWN_SQL_BYTES = 300_000  # Athena takes 262,144
_CHUNK_BYTES = 1024**2  # of a download
# Of the 40 threads that Airflow's API server answers with in a process: a lake that hangs holds no more than these.
AT_ONCE, MAY_WAIT, RETRY_SECONDS = 8, 24, 3
_NO_KEY = (
    "There is no history: no checks.unique of the report says which columns tell its rows apart. "
    "Declare one. Periods that are published from then on have a history."
)
_BUSY = "The page has too many requests. It asks again by itself."
_STATIC = Path(__file__).with_name("static")
_SOURCES = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
_POLICY = f"{_SOURCES}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
_HEADERS |= {"Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
# First the page asks for what a window shows: the latest periods of the first reports.
_RECENT_DAYS, _RECENT_REPORTS = timedelta(days=190), 20
_FACTS = ["version", "rows", "bytes", "published_at", "checks_warned", "earlier"]
_FACTS += ["scanned_bytes", "price_usd", "broken"]
_FIELDS = ("id", "date", "days", "states", "run_id", *_FACTS)


_Allowed = Annotated[None, Depends(requires_access_dag("GET", DagAccessEntity.RUN))]


def _dag(dag_id: str, session: SessionDep, _allowed: _Allowed) -> ReportDag:
    found = report_dags([dag_id], session)
    session.rollback()
    if not found:
        raise HTTPException(404, f"{dag_id!r} is not a DAG of a report, or not any more.")
    return found[0]


Dag = Annotated[ReportDag, Depends(_dag)]
Runs = Mapping[str, Run]
_downloads = CapacityLimiter(AT_ONCE)
States = Annotated[list[State], Query()]
_PERIOD = "/dags/{dag_id}/periods/{period_id}"
# Each endpoint returns its connection (rollback) before it calls AWS. A JSONResponse does not inspect every value.
# Whoever is logged in may ask for the coverage, which holds what they may read; a `Dag` is for those who may read it.
api = APIRouter(prefix="/api", dependencies=[Depends(get_user)])


@api.get("/coverage")
def all_reports(user: GetUserDep, session: SessionDep, recent: bool = False) -> Response:
    """All reports that the viewer may read, with the state of their periods."""
    listed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    readable = [dag for dag in report_dags(listed, session) if _may("GET", dag.dag_id, user)]
    dags = readable[: _RECENT_REPORTS if recent else None]
    runs = unfinished_runs(dags, session)
    session.rollback()
    lake, now = Lake.connect(), datetime.now(UTC)
    since = now - _RECENT_DAYS if recent else None
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        rows = list(threads.map(lambda dag: _report(lake, dag, runs[dag.dag_id], now, since), dags))
    for row in rows:
        row["may_run"] = all(_may(method, row["dag_id"], user) for method in ("POST", "PUT"))
    return JSONResponse({"fields": _FIELDS, "console": lake.console, "reports": rows})


@api.get("/dags/{dag_id}/plan")
def what_fills(dag: Dag, session: SessionDep, first: str, last: str, state: States) -> Response:
    """The requests that fill the periods of a range, and what they cost."""
    runs, dated = unfinished_runs([dag], session)[dag.dag_id], dated_runs(dag, session)
    session.rollback()
    now = datetime.now(UTC)
    plan = plan_fill(_coverage(Lake.connect(), dag, runs, now, None).cells, first, last, state)
    requests = [run_request(dag.dag_id, period, dated.get(period.id), now) for period in plan.periods]
    starts = [request.model_dump() for request in requests]
    # Airflow's backfills take the periods that start between two instants, the last one included.
    ends = [dag.cadence.period(each).start_utc.isoformat() for each in (first, last)]
    cost = {"scanned_bytes": plan.scanned_bytes, "price_usd": plan.price_usd}
    return JSONResponse({"starts": starts, "backfill": ends, **cost})


@api.get(_PERIOD)
def one_period(dag: Dag, period_id: str) -> Response:
    """The manifest and the first rows."""
    lake = Lake.connect()
    manifest = lake.manifest(dag, period_id)
    found = {"manifest": manifest.model_dump(mode="json"), "shape": ColumnRoles.of(manifest.columns)._asdict()}
    try:
        rows = lake.rows(dag, manifest, [column.name for column in manifest.columns])
    except AthenaReportsError as error:
        return JSONResponse(found | {"rows": [], "problem": str(error)})
    return JSONResponse(found | {"rows": rows, "problem": ""})


@api.get(_PERIOD + "/history")
def history(dag: Dag, period_id: str) -> Response:
    """The measures of the first entries, in this period and in those before.

    An entry is what the report's first `checks.unique` tells apart. Without one, the only row of a period is an entry.
    """
    lake = Lake.connect()
    manifest = lake.manifest(dag, period_id)
    measures = ColumnRoles.of(manifest.columns).measures
    key = unique_columns(manifest.checks, [column.name for column in manifest.columns])
    is_single = not key and manifest.rows == 1
    nothing: dict[str, Any] = {"periods": [], "entries": [], "values": {}, "problems": [], "note": ""}
    if not measures:
        return JSONResponse(nothing)
    if not key and not is_single:
        return JSONResponse(nothing | {"note": _NO_KEY})
    labels = {(): dag.report} if is_single else _labels(lake, dag, manifest, key)
    published = [period.id for period in periods_among(dag.cadence, lake.published_partitions(dag.dag_id))]
    before = sorted(each for each in published if each < period_id)
    periods = [*before[1 - HISTORY_PERIODS :], period_id]
    problems: list[str] = []

    def measured(id: str) -> Mapping[TextValues, TextValues]:
        """Return the measures of the entries in a period, by their keys."""
        try:
            published = lake.manifest(dag, id)
            if is_single and published.rows != 1:
                return {}
            measures_by_key: Mapping[TextValues, TextValues] = lake.entries(dag, published, key, list(labels), measures)
        except AthenaReportsError as error:
            problems.append(str(error))
            return {}
        return measures_by_key

    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        by_period = list(threads.map(measured, periods))
    unknown = (None,) * len(measures)
    values = {}
    for place, measure in enumerate(measures):
        values[measure] = [[period.get(entry, unknown)[place] for period in by_period] for entry in labels]
    entries = [{"key": entry, "label": label} for entry, label in labels.items()]
    return JSONResponse(nothing | {"periods": periods, "entries": entries, "values": values, "problems": problems})


@api.get(_PERIOD + "/manifest")
def manifest(dag: Dag, period_id: str) -> Response:
    """The manifest, as a file."""
    lake = Lake.connect()
    body, _etag = lake.s3.read(lake.location(dag, period_id).manifest_uri)
    headers = {"Content-Disposition": f'attachment; filename="{dag.dag_id}-{period_id}.json"'}
    return Response(body, 200, headers, "application/json")


@api.get(_PERIOD + "/versions/{version}/sql")
def sql(dag: Dag, period_id: str, version: str) -> Response:
    """The SQL that a version, current or earlier, was made by."""
    lake = Lake.connect()
    published = lake.manifest(dag, period_id)
    query = next((each.query for each in (published, *published.earlier_versions) if each.version == version), None)
    if query is None:
        raise HTTPException(404, f"The period {period_id} has no version {version}.")
    try:
        body = lake.s3.open(lake.location(dag, period_id).sql_uri(version, query.sql_sha256))
    except MissingObjectError:
        return JSONResponse({"sql": None})  # its retention has passed, or it was made before SQL was kept
    with closing(body):
        text = body.read(SHOWN_SQL_BYTES).decode(errors="replace")
    return JSONResponse({"sql": text})


@api.get(_PERIOD + "/objects/{format}")
def download(dag: Dag, period_id: str, format: str) -> Response:
    """The rows in one format, as a file."""
    lake = Lake.connect()
    published = lake.manifest(dag, period_id)
    found = next((each for each in published.objects if each.format == format), None)
    if found is None:
        raise HTTPException(404, f"The version {published.version} is not published as {format}.")
    name = f"{dag.dag_id}-{period_id}-{published.version}.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(found.bytes)}
    body = lake.s3.open(lake.location(dag, period_id).uri(found.key))
    return _BodyResponse(body, headers, CONTENT_TYPES[found.format])


class _BodyResponse(StreamingResponse):
    """Sends the body of an S3 object and closes it, also if the client goes away meanwhile.

    Starlette then cancels the response. The iterator may not have begun, so it cannot close the body itself.
    """

    def __init__(self, body: "StreamingBody", headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(self._chunks(), 200, headers, media_type)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with closing(self._body):
            await super().__call__(scope, receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        # In none of Airflow's threads. A read that has begun ends before a cancelled response does.
        while chunk := await to_thread.run_sync(self._body.read, _CHUNK_BYTES, limiter=_downloads):
            yield chunk


def create_app() -> FastAPI:
    """Return the application, to be mounted in Airflow's API server."""
    app = FastAPI(title="Athena reports", openapi_url=None, exception_handlers={AthenaReportsError: _refused})
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.include_router(api)
    app.add_api_route("/", lambda: FileResponse(_STATIC / "index.html"))
    turns = CapacityLimiter(AT_ONCE)

    @app.middleware("http")
    async def protect(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        if "/api/" not in request.url.path:
            response, cache = await answer(request), "no-cache"
        elif turns.statistics().tasks_waiting >= MAY_WAIT:
            response, cache = JSONResponse({"detail": _BUSY}, 503, {"Retry-After": str(RETRY_SECONDS)}), "no-store"
        else:
            async with turns:
                response, cache = await answer(request), "no-store"
        response.headers.update(_HEADERS | {"Cache-Control": cache})
        return response

    return app


async def _refused(_request: Request, error: Exception) -> Response:
    status = 400 if isinstance(error, PeriodError) else 404 if isinstance(error, MissingObjectError) else 502
    return JSONResponse({"detail": str(error)}, status)


def _may(method: Literal["GET", "POST", "PUT"], dag_id: str, user: Any) -> bool:
    details, entity = DagDetails(id=dag_id), DagAccessEntity.RUN
    return get_auth_manager().is_authorized_dag(method=method, access_entity=entity, details=details, user=user)


def _report(lake: Lake, dag: ReportDag, runs: Runs, now: datetime, since: datetime | None) -> dict[str, Any]:
    """Return a row of the coverage; a report that cannot be read does not hide the others."""
    row = {"dag_id": dag.dag_id, "report": dag.report, "is_paused": dag.is_paused, "note": "", "problems": ()}
    row |= {"cadence": dag.cadence.name, "noun": dag.cadence.noun, "description": dag.cadence.description}
    try:
        found = _coverage(lake, dag, runs, now, since)
    except LakeError as error:
        found = PeriodCoverage([], [str(error)])
    if not dag.has_table:
        row["note"] = f"{dag.report} publishes no Parquet, so Glue has none of its periods. See its runs in Airflow."
    elif not (since or found.problems or any(cell.published for cell in found.cells)):
        row["note"] = f"Nothing is published yet in the Glue table {lake.database}.{dag.dag_id}."
    if since is None:
        ledger = merged(cell.published.ledger for cell in found.cells if cell.published)
        row["costs"] = summary(ledger, last_months(COST_MONTHS, now)).model_dump()
    return row | {"problems": found.problems, "cells": [_cell(cell) for cell in found.cells]}


def _labels(lake: Lake, dag: ReportDag, manifest: Manifest, key: Sequence[str]) -> dict[TextValues, str]:
    """Return the names of the first entries by their keys: of several columns all values, of one column its label."""
    label = label_of(key[0], [column.name for column in manifest.columns])
    labels = {}
    for *values, name in lake.rows(dag, manifest, [*key, label])[:HISTORY_ENTRIES]:
        text = ", ".join("NULL" if value is None else value for value in values)
        labels[tuple(values)] = name if name and len(key) == 1 else text
    return labels


def _coverage(lake: Lake, dag: ReportDag, runs: Runs, now: datetime, since: datetime | None) -> PeriodCoverage:
    if not dag.has_table:
        return PeriodCoverage([], [])
    first = dag.cadence.containing(since) if since else None
    # The period before the first one decides whether that one is stale.
    partitions = lake.published_partitions(dag.dag_id, first.previous.id if first else "")
    begin = max(dag.since, first.start_utc) if first else dag.since
    bounds: Any = {"since": begin, "until": dag.until, "now": now}
    found = period_coverage(dag.timetable, partitions, runs, **bounds, logic=dag.logic)
    return PeriodCoverage([cell for cell in found.cells if first is None or cell.period >= first], found.problems)


def _cell(cell: Cell) -> list[Any]:
    """Return what `_FIELDS` name, as far as it is known."""
    period, published = cell.period, cell.published
    days = (period.last_date - period.first_date).days + 1
    run_id = cell.run.run_id if cell.run else published.run_id if published else ""
    facts = [getattr(published, name) for name in _FACTS] if published else []
    return [period.id, period.first_date.isoformat(), days, cell.states, run_id, *facts]


app = create_app()
