"""The Reports page's own endpoints: they read, and each that gives data asks Airflow whether the viewer may.

Nothing here changes anything. What the page starts, it starts through Airflow's REST API, as the viewer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.page.coverage import (
    Cell,
    Overview,
    OverviewError,
    Plan,
    Rerun,
    Run,
    State,
    overview,
    plan,
)
from athena_reports.page.published import (
    TABLES_AT_ONCE,
    AbsentTableError,
    Lake,
    LakeError,
    NoTableError,
    Shape,
)
from athena_reports.page.runs import (
    ReportDag,
    has_pool,
    report_dags,
    run_ids,
    scheduled_runs,
    unfinished_runs,
)
from athena_reports.periods.run_period import FILL_RUN_ID
from athena_reports.settings import settings
from athena_reports.stage import CONTENT_TYPES
from athena_reports.storage import MissingObjectError

HISTORY_PERIODS = 12
HISTORY_ENTRIES = 5

_STATIC = Path(__file__).with_name("static")
_CHUNK_BYTES = 1024 * 1024
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CELL_FIELDS = (
    "id",
    "date",
    "days",
    "states",
    "run_id",
    "version",
    "rows",
    "bytes",
    "published_at",
    "scanned_bytes",
    "price_usd",
    "query_id",
    "checks_warned",
    "earlier",
)

_may_read = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
Days = Annotated[int | None, Query(ge=1, le=36_600)]
Limit = Annotated[int | None, Query(ge=1)]


def create_app() -> FastAPI:
    """Return the application, to be mounted in Airflow's API server."""
    app = FastAPI(title="Athena reports", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_SecurityHeaders)
    app.add_exception_handler(AthenaReportsError, _refused)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/api/coverage", dependencies=[_may_read])
    def coverage(user: GetUserDep, session: SessionDep, days: Days = None, limit: Limit = None) -> Response:
        listed = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
        readable = [dag for dag in report_dags(listed, session) if _may(["GET"], dag.dag_id, user)]
        dags = readable[:limit]
        runs = unfinished_runs(dags, session)
        missing_pool = _missing_pool(session)
        _release(session)
        now = datetime.now(UTC)
        since = now - timedelta(days=days) if days else None
        lake = Lake.connect()
        with ThreadPoolExecutor(TABLES_AT_ONCE, "athena-reports-page") as threads:
            rows = list(threads.map(lambda dag: _look(lake, dag, runs[dag.dag_id], now, since), dags))
        for row in rows:
            row["may_run"] = _may(["POST", "PUT"], row["dag_id"], user)
        return _json(
            {
                "fields": _CELL_FIELDS,
                "console": lake.console,
                "missing_pool": missing_pool,
                "reports": rows,
            }
        )

    @app.get("/api/dags/{dag_id}/plan", dependencies=[_may_read])
    def planned(
        dag_id: str,
        session: SessionDep,
        first: str,
        last: str,
        state: Annotated[list[State], Query()],
    ) -> Response:
        dag = _dag(dag_id, session)
        runs = unfinished_runs([dag], session)[dag_id]
        scheduled, known = scheduled_runs(dag, session), run_ids(dag, session)
        missing_pool = _missing_pool(session)
        _release(session)
        cells = _overview(Lake.connect(), dag, runs, datetime.now(UTC), None)[0].cells
        made = plan(cells, first, last, state, scheduled=scheduled, run_ids=known)
        return _json(
            _plan(made)
            | {
                "is_paused": dag.is_paused,
                "missing_pool": missing_pool,
                "budget_bytes": settings().backfill_budget_bytes,
            }
        )

    @app.get("/api/dags/{dag_id}/periods/{period_id}", dependencies=[_may_read])
    def period(dag_id: str, period_id: str, session: SessionDep) -> Response:
        dag = _dag(dag_id, session)
        lake = Lake.connect()
        manifest = lake.manifest(dag, dag.cadence.period(period_id).id)
        try:
            rows, problem = lake.rows(dag, manifest), ""
        except AthenaReportsError as error:
            rows, problem = [], str(error)
        columns = manifest["columns"]
        return _json(
            {
                "manifest": manifest,
                "rows": rows,
                "problem": problem,
                "shape": asdict(Shape.of(columns)),
                "console": lake.console,
            }
        )

    @app.get("/api/dags/{dag_id}/periods/{period_id}/history", dependencies=[_may_read])
    def history(dag_id: str, period_id: str, session: SessionDep) -> Response:
        dag = _dag(dag_id, session)
        return _json(_history(Lake.connect(), dag, dag.cadence.period(period_id).id))

    @app.get("/api/dags/{dag_id}/periods/{period_id}/manifest", dependencies=[_may_read])
    def manifest(dag_id: str, period_id: str, session: SessionDep) -> Response:
        dag = _dag(dag_id, session)
        lake = Lake.connect()
        uri = lake.location(dag, dag.cadence.period(period_id).id).manifest_uri
        return _download(lake, uri, f"{dag_id}-{period_id}.json", "application/json")

    @app.get("/api/dags/{dag_id}/periods/{period_id}/objects/{format}/{part}", dependencies=[_may_read])
    def download(dag_id: str, period_id: str, format: str, part: int, session: SessionDep) -> Response:
        dag = _dag(dag_id, session)
        lake = Lake.connect()
        published = lake.manifest(dag, dag.cadence.period(period_id).id)
        location = lake.location(dag, period_id)
        key = location.object_key(published["version"], format, part)
        if key not in {item["key"] for item in published["objects"]}:
            raise HTTPException(404, f"The version {published['version']} has no part {part} as {format}.")
        name = f"{dag_id}-{period_id}-{published['version']}-part-{part}.{format}"
        return _download(lake, location.uri(key), name, CONTENT_TYPES[format])

    return app


class _SecurityHeaders:
    """Adds to every answer what a browser is to make sure of."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-cache" if "/static/" in scope["path"] else "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _refused(_request: Request, error: Exception) -> Response:
    """Answer with the error's own words; the page shows them."""
    is_request_wrong = isinstance(error, OverviewError | PeriodError)
    status = 400 if is_request_wrong else 404 if isinstance(error, MissingObjectError | NoTableError) else 502
    return JSONResponse({"detail": str(error)}, status)


def _json(content: Mapping[str, Any]) -> Response:
    # FastAPI's own encoder looks at each of the many thousand values.
    return Response(json.dumps(content, separators=(",", ":")), media_type="application/json")


def _dag(dag_id: str, session: Any) -> ReportDag:
    found = report_dags([dag_id], session)
    _release(session)
    if not found:
        raise HTTPException(404, f"{dag_id!r} is no DAG of a report, or not any more.")
    return found[0]


def _missing_pool(session: Any) -> dict[str, str] | None:
    """Return the name of the environment's pool and how to create it; None if it is there."""
    names = settings()
    if has_pool(names.pool, session):
        return None
    command = f'airflow pools set {names.pool} 16 "Athena queries of {names.environment}" --include-deferred'
    return {"name": names.pool, "command": command}


def _may(methods: Sequence[Literal["GET", "POST", "PUT"]], dag_id: str, user: Any) -> bool:
    """Whether a viewer may read (GET), create (POST) or clear (PUT) runs of a DAG."""
    return all(
        get_auth_manager().is_authorized_dag(
            method=method, access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
        )
        for method in methods
    )


def _release(session: Any) -> None:
    """Give the connection to the metadata database back, which others need while AWS is waited for."""
    session.rollback()


def _look(
    lake: Lake, dag: ReportDag, runs: Mapping[str, Run], now: datetime, since: datetime | None
) -> dict[str, Any]:
    """Return a row of the coverage; what cannot be read of one report must not hide the others."""
    found, note = None, ""
    problems: Sequence[str] = ()
    try:
        found, note = _overview(lake, dag, runs, now, since)
        problems = found.problems
    except NoTableError as error:
        note = str(error)
    except LakeError as error:
        problems = [str(error)]
    return {
        "dag_id": dag.dag_id,
        "report": dag.report,
        "cadence": dag.cadence.name,
        "noun": dag.cadence.noun,
        "description": dag.cadence.description,
        "is_paused": dag.is_paused,
        "note": note,
        "problems": problems,
        "cells": [_cell(cell) for cell in found.cells] if found else None,
    }


def _overview(
    lake: Lake, dag: ReportDag, runs: Mapping[str, Run], now: datetime, since: datetime | None
) -> tuple[Overview, str]:
    """Return the periods of a report, and a word about a table that is not there yet.

    Raises:
        NoTableError: The report has none.
        LakeError: Glue refused.
    """
    if not dag.has_table:
        raise NoTableError(
            f"{dag.report} publishes no Parquet, so Glue knows none of its periods. See its runs in Airflow."
        )
    first = dag.cadence.containing(since) if since else None
    note = ""
    try:
        # What is stale is seen from the period before.
        partitions = lake.partitions(dag.dag_id, first.previous.id if first else "")
    except AbsentTableError as error:
        partitions, note = {}, str(error)
    begin = max(dag.since, first.start_utc) if first else dag.since
    found = overview(dag.cadence, partitions, runs, since=begin, now=now, delay=dag.timetable.delay)
    shown = [cell for cell in found.cells if first is None or cell.period >= first]
    return Overview(shown, found.problems), note


def _cell(cell: Cell) -> list[Any]:
    """Return what `_CELL_FIELDS` name, as far as there is something to say."""
    period, published = cell.period, cell.published
    facts: list[Any] = [
        period.id,
        period.first_date.isoformat(),
        (period.last_date - period.first_date).days + 1,
        cell.states,
        cell.run.run_id if cell.run else published.run_id if published else "",
    ]
    if published:
        facts += [
            published.version,
            published.rows,
            published.bytes,
            published.published_at.isoformat(),
            published.scanned_bytes,
            published.price_usd,
            published.query_id,
            published.checks_warned,
            published.earlier,
        ]
    return facts


def _plan(made: Plan) -> dict[str, Any]:
    backfill = made.backfill
    return {
        "runs": made.runs,
        "scanned_bytes": made.scanned_bytes,
        "price_usd": made.price_usd,
        "backfill_bytes": made.backfill_bytes,
        "reruns": [asdict(rerun) | {"new_run_id": _new_run_id(rerun)} for rerun in made.reruns],
        "backfill": backfill
        and {
            "from_date": backfill.from_date.isoformat(),
            "to_date": backfill.to_date.isoformat(),
            "reprocess": backfill.reprocess,
            "periods": backfill.periods,
        },
    }


def _new_run_id(rerun: Rerun) -> str:
    """Return the id of the run to trigger: by it the run goes and pays as those of a backfill do."""
    return "" if rerun.run_id else f"{FILL_RUN_ID}{rerun.period_id}__{datetime.now(UTC).isoformat()}"


def _history(lake: Lake, dag: ReportDag, period_id: str) -> dict[str, Any]:
    """Return how the first entries of a period fared in it and in those before."""
    manifest = lake.manifest(dag, period_id)
    shape = Shape.of(manifest["columns"])
    if not shape.key or not shape.measures:
        return {"periods": [], "entries": [], "values": {}, "problems": []}
    names = [column["name"] for column in manifest["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in lake.rows(dag, manifest)[:HISTORY_ENTRIES]]
    keys = [row[shape.key] for row in rows]
    partitions = lake.partitions(dag.dag_id)
    before = sorted(each for each in partitions if each < period_id)[1 - HISTORY_PERIODS :]
    periods = [*before, period_id]
    versions = {each: partitions[each].get("version", "") for each in before}
    versions[period_id] = manifest["version"]

    def look(each: str) -> tuple[Mapping[str, Any], str]:
        try:
            return lake.entries(dag, each, versions[each], shape, keys), ""
        except AthenaReportsError as error:
            return {}, str(error)

    with ThreadPoolExecutor(TABLES_AT_ONCE, "athena-reports-page") as threads:
        seen = list(threads.map(look, periods))
    return {
        "periods": periods,
        "entries": [{"key": row[shape.key], "label": row[shape.label] or row[shape.key]} for row in rows],
        "values": {
            measure: [[found.get(key, {}).get(measure) for found, _ in seen] for key in keys]
            for measure in shape.measures
        },
        "problems": [problem for _, problem in seen if problem],
    }


def _download(lake: Lake, uri: str, name: str, content_type: str) -> Response:
    stream = lake.storage.open(uri)

    def chunks() -> Iterator[bytes]:
        with stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(stream.size)}
    return StreamingResponse(chunks(), media_type=content_type, headers=headers)
