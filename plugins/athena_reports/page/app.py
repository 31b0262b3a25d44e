"""The Reports page's own endpoints: they only read.

What the page starts, Airflow's REST API starts for the viewer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
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
from pydantic_core import to_json
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from athena_reports.aws.s3 import MissingObjectError
from athena_reports.delivery.receipt import Receipt, receipts_of
from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.page.answers import (
    ChannelRow,
    CoverageAnswer,
    DeliveriesAnswer,
    PeriodAnswer,
    PeriodRow,
    ReportHeading,
    ReportRow,
)
from athena_reports.page.coverage import Cell, PeriodCoverage, Run, State, period_coverage
from athena_reports.page.deliveries import clear_request, delivering_dag, delivering_tasks
from athena_reports.page.fill import ReadReport, plan_fill
from athena_reports.page.history import find_history
from athena_reports.page.published_reports import (
    THREADS,
    ColumnRoles,
    PublishedReports,
    UnreadableReportError,
    names_of_entries,
)
from athena_reports.page.runs import (
    ReportDag,
    dated_runs,
    last_run_changes,
    report_dags,
    unfinished_runs,
)
from athena_reports.periods.zones import midnight
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.reports.logic_digest import UNKNOWN
from athena_reports.rows.formats import CONTENT_TYPES
from athena_reports.settings import settings

if TYPE_CHECKING:
    from botocore.response import StreamingBody

BARS = 15  # of the chart of a period
_CHUNK_BYTES = 1024**2  # of a download
# Airflow's API server has 40 threads in a process. A Glue that hangs holds at most so many of them:
# other requests wait without a thread.
AT_ONCE = 8
_STATIC = Path(__file__).with_name("static")
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_downloads = CapacityLimiter(AT_ONCE)
_FOREIGN = (
    "The published periods belong to another environment or time zone. For details, run "
    "athena-reports status."
)


def _answer(answer: Any) -> Response:
    return Response(to_json(answer), media_type="application/json")


def _readable_dag(
    dag_id: str,
    session: SessionDep,
    _allowed: Annotated[None, Depends(requires_access_dag("GET", DagAccessEntity.RUN))],
) -> ReportDag:
    dags = report_dags([dag_id], session)
    session.rollback()
    if not dags:
        raise HTTPException(404, f"{dag_id!r} is not a report's DAG.")
    return dags[0]


Dag = Annotated[ReportDag, Depends(_readable_dag)]
States = Annotated[list[State], Query()]
_PERIOD = "/dags/{dag_id}/periods/{period_id}"
# Each endpoint returns its connection (rollback) before it calls AWS. It answers by
# `_answer`, which does not inspect every value. Whoever is logged in may ask for the reports and
# their coverage, which have only what they may read. All others take a `Dag`, which is for those
# who may read it.
api = APIRouter(prefix="/api", dependencies=[Depends(get_user)])


@api.get("/reports")
def list_reports(user: GetUserDep, session: SessionDep) -> Response:
    """All reports that the viewer may read. AWS is not called."""
    listed_ids = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    dags = report_dags(listed_ids, session)
    session.rollback()
    return _answer([_heading(dag, user) for dag in dags if _may("GET", dag.dag_id, user)])


@api.get("/coverage")
def coverage(
    user: GetUserDep,
    session: SessionDep,
    dag_id: Annotated[list[str], Query()],
    known: Annotated[list[str], Query(default_factory=list)],
    since: date | None = None,
) -> Response:
    """The periods of some reports from a date on, without the rows whose digests are known."""
    readable = [report_id for report_id in dag_id if _may("GET", report_id, user)]
    dags = report_dags(readable, session)
    snapshot = _snapshot(dags, session)
    session.rollback()

    reports = PublishedReports.connect()
    rows = THREADS.map(partial(_report_row, reports, snapshot, since), dags)
    return _answer(CoverageAnswer.of(rows, known))


@api.get("/dags/{dag_id}/plan")
def what_fills(dag: Dag, session: SessionDep, first: str, last: str, state: States) -> Response:
    """The requests that fill the periods of a range, and what they cost."""
    read_dags = report_dags(dag.reads, session)
    snapshot = _snapshot([dag, *read_dags], session)
    dated = dated_runs(dag, session)
    session.rollback()

    reports = PublishedReports.connect()
    coverage = _coverage(reports, snapshot, dag)
    read_reports = [
        ReadReport.of(read_dag, _coverage(reports, snapshot, read_dag).cells)
        for read_dag in read_dags
    ]
    plan = plan_fill(
        dag,
        coverage.cells,
        first,
        last,
        state,
        read_reports=read_reports,
        dated_runs=dated,
        now=snapshot.now,
    )
    return _answer(plan)


@api.get(_PERIOD)
def one_period(dag: Dag, period_id: str) -> Response:
    """The manifest and the first rows."""
    reports = PublishedReports.connect()
    manifest = reports.manifest(dag, period_id)
    roles = ColumnRoles.of(manifest)
    column_names = [column.name for column in manifest.columns]
    rows = []
    names = []
    problem = ""
    try:
        rows = reports.rows(dag, manifest, column_names)
        names = names_of_entries(rows[:BARS], column_names, roles)
    except AthenaReportsError as error:
        problem = str(error)
    answer = PeriodAnswer(
        manifest=manifest,
        roles=roles,
        rows=rows,
        names=names,
        console=reports.console,
        problem=problem,
    )
    return _answer(answer)


@api.get(_PERIOD + "/history")
def history(dag: Dag, period_id: str) -> Response:
    """The measures of the first entries, in this period and in those before."""
    return _answer(find_history(PublishedReports.connect(), dag, period_id))


@api.get(_PERIOD + "/deliveries")
def deliveries(dag: Dag, period_id: str, user: GetUserDep, session: SessionDep) -> Response:
    """Where the versions of a period went, and what failed.

    It is null without a delivering DAG, and for a viewer who may not read the runs of that one:
    recipients are personal.
    """
    period = dag.cadence.period(period_id)
    delivering = delivering_dag(dag, session)
    if delivering is None or not _may("GET", delivering.dag_id, user):
        session.rollback()
        return JSONResponse(None)
    tasks = delivering_tasks(delivering, period.id, session)
    session.rollback()

    # What Airflow's REST API asks for where it clears single tasks.
    may_clear = _may("PUT", delivering.dag_id, user, DagAccessEntity.TASK_INSTANCE)
    channels = []
    for channel in delivering.channels:
        task = tasks.get(channel)
        clear = clear_request(delivering, channel, task) if may_clear else None
        channels.append(ChannelRow(name=channel, task=task, clear=clear))
    receipts: Sequence[Receipt] = []
    problem = ""
    try:
        reports = PublishedReports.connect()
        receipts = receipts_of(reports.location(dag, period.id), reports.s3)
    except AthenaReportsError as error:
        problem = str(error)
    answer = DeliveriesAnswer(
        dag_id=delivering.dag_id,
        is_paused=delivering.is_paused,
        channels=channels,
        receipts=receipts[::-1],
        problem=problem,
    )
    return _answer(answer)


@api.get(_PERIOD + "/manifest")
def manifest(dag: Dag, period_id: str) -> Response:
    """The manifest, as a file."""
    reports = PublishedReports.connect()
    body, _etag = reports.s3.read(reports.location(dag, period_id).manifest_uri)
    headers = {"Content-Disposition": f'attachment; filename="{dag.dag_id}-{period_id}.json"'}
    return Response(body, 200, headers, "application/json")


@api.get(_PERIOD + "/versions/{version}/sql")
def sql(dag: Dag, period_id: str, version: str) -> Response:
    """The SQL that a version, current or earlier, was made by."""
    reports = PublishedReports.connect()
    manifest = reports.manifest(dag, period_id)
    versions = (*manifest.earlier_versions, manifest)
    queries = {described.version: described.query for described in versions}
    if version not in queries:
        raise HTTPException(404, f"The period {period_id} has no version {version}.")
    uri = reports.location(dag, period_id).sql_uri(version, queries[version].sql_sha256)
    text = None
    # It expires, and versions made before SQL was kept have none.
    with suppress(MissingObjectError):
        body, _etag = reports.s3.read(uri)
        text = body.decode()
    return _answer({"sql": text})


@api.get(_PERIOD + "/objects/{format}")
def download(dag: Dag, period_id: str, format: str) -> Response:
    """The rows in one format, as a file."""
    reports = PublishedReports.connect()
    manifest = reports.manifest(dag, period_id)
    published = next((item for item in manifest.objects if item.format == format), None)
    if published is None:
        raise HTTPException(404, f"Version {manifest.version} is not published as {format}.")
    name = f"{dag.dag_id}-{period_id}-{manifest.version}.{format}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(published.bytes),
    }
    body = reports.s3.open(reports.location(dag, period_id).uri(published.key))
    return _BodyResponse(body, headers, CONTENT_TYPES[published.format])


class _BodyResponse(StreamingResponse):
    """Sends the body of an S3 object and closes it, also if the client goes away meanwhile.

    Starlette then cancels the response. The iterator may not have begun, so it cannot close the
    body itself.
    """

    def __init__(self, body: "StreamingBody", headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(self._chunks(), 200, headers, media_type)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with closing(self._body):
            await super().__call__(scope, receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        # In none of Airflow's threads. A read that has begun ends before a cancelled response does.
        read = partial(to_thread.run_sync, self._body.read, _CHUNK_BYTES, limiter=_downloads)
        while chunk := await read():
            yield chunk


def create_app() -> FastAPI:
    """Return the application, to be mounted in Airflow's API server."""
    app = FastAPI(
        title="Athena reports",
        openapi_url=None,
        exception_handlers={AthenaReportsError: _error_response},
    )
    app.mount("/static", StaticFiles(directory=_STATIC))
    app.include_router(api)
    app.add_api_route("/", lambda: FileResponse(_STATIC / "index.html"))
    turns = CapacityLimiter(AT_ONCE)

    @app.middleware("http")
    async def protect(
        request: Request,
        call_next: Callable[[Request], Awaitable[Response]],
    ) -> Response:
        is_data = "/api/" in request.url.path
        async with turns if is_data else nullcontext():
            response = await call_next(request)
        response.headers.update(_SECURITY_HEADERS)
        response.headers["Cache-Control"] = "no-store" if is_data else "no-cache"
        return response

    return app


async def _error_response(_request: Request, error: Exception) -> Response:
    if isinstance(error, PeriodError):
        status = 400
    elif isinstance(error, MissingObjectError):
        status = 404
    else:
        status = 502
    return JSONResponse({"detail": str(error)}, status)


def _may(
    method: Literal["GET", "POST", "PUT"],
    dag_id: str,
    user: Any,
    entity: DagAccessEntity = DagAccessEntity.RUN,
) -> bool:
    """Whether Airflow's auth manager lets a user do something with the runs or tasks of a DAG."""
    return get_auth_manager().is_authorized_dag(
        method=method,
        access_entity=entity,
        details=DagDetails(id=dag_id),
        user=user,
    )


@dataclass(frozen=True)
class _Snapshot:
    """What Airflow has of the runs of some reports, and of those that they read.

    Attributes:
        now: When.
        unfinished: By DAG and period id, as `unfinished_runs`.
        changes: By DAG, as `last_run_changes`.
    """

    now: datetime
    unfinished: Mapping[str, Mapping[str, Run]]
    changes: Mapping[str, datetime | None]


def _snapshot(dags: Sequence[ReportDag], session: Session) -> _Snapshot:
    return _Snapshot(
        now=datetime.now(UTC),
        unfinished=unfinished_runs(dags, session),
        changes=last_run_changes(dags, session),
    )


def _heading(dag: ReportDag, user: Any) -> ReportHeading:
    cadence = dag.cadence
    description = cadence.description
    if dag.logic == UNKNOWN:  # then none of its periods can be called outdated
        description += "; logic unknown"
    note = ""
    if not dag.has_table:
        note = (
            f"{dag.report} publishes no Parquet, so its periods are not listed. See its runs in "
            "Airflow."
        )
    until = None
    if dag.until is not None:
        until = cadence.containing(dag.until).last_date
    may_run = _may("POST", dag.dag_id, user) and _may("PUT", dag.dag_id, user)
    return ReportHeading(
        dag_id=dag.dag_id,
        report=dag.report,
        cadence=cadence.unit,
        noun=cadence.noun,
        description=description,
        since=cadence.containing(dag.since).first_date,
        until=until,
        may_run=may_run,
        note=note,
    )


def _report_row(
    reports: PublishedReports, snapshot: _Snapshot, since: date | None, dag: ReportDag
) -> ReportRow:
    """Return a row of the coverage; a report that cannot be read does not hide the others."""
    try:
        coverage = _coverage(reports, snapshot, dag, since)
    except UnreadableReportError as error:
        coverage = PeriodCoverage([], [str(error)])
    problems = list(coverage.problems)
    if _is_foreign(coverage.cells, dag):
        problems.append(_FOREIGN)
    return ReportRow(
        dag_id=dag.dag_id,
        is_paused=dag.is_paused,
        problems=problems,
        cells=[PeriodRow.of(cell) for cell in coverage.cells],
    )


def _is_foreign(cells: Sequence[Cell], dag: ReportDag) -> bool:
    """Whether the last published period is of another environment or time zone than a DAG's."""
    published = [cell.published for cell in cells if cell.published is not None]
    if not published:
        return False
    last = published[-1]
    expected = (settings().environment, dag.cadence.timezone)
    return (last.environment, last.period.timezone) != expected


def _coverage(
    reports: PublishedReports, snapshot: _Snapshot, dag: ReportDag, since: date | None = None
) -> PeriodCoverage:
    """Return the periods of a report; of those before the one that holds `since`, none."""
    if not dag.has_table:
        return PeriodCoverage([], [])

    def published_periods(table: str, first_id: str = "") -> Mapping[str, PartitionFacts]:
        changed_at = snapshot.changes.get(table)
        return reports.published_periods(table, first_id, runs_changed_at=changed_at)

    begin = dag.since
    first_listed = ""
    first_shown = date.min
    if since is not None:
        first = dag.cadence.containing(midnight(dag.cadence.zone, since))
        begin = max(begin, first.start_utc)
        first_shown = first.first_date
        # The period before the first one decides whether that one is stale.
        first_listed = first.previous.id
    coverage = period_coverage(
        dag.timetable,
        published_periods(dag.dag_id, first_listed),
        snapshot.unfinished[dag.dag_id],
        since=begin,
        until=dag.until,
        now=snapshot.now,
        logic=dag.logic,
        published_of=published_periods,
    )
    shown = [cell for cell in coverage.cells if cell.period.first_date >= first_shown]
    return PeriodCoverage(shown, coverage.problems)


app = create_app()
