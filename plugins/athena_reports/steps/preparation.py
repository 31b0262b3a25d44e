"""From a finished query to an unpublished version: read, transform, write, check, upload.

`write_rows` and `check_rows` are shared with an author's trial of a report, which uploads nothing.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, ConditionError, split_uri
from athena_reports.errors import EmptyResultError, SkipPeriodError
from athena_reports.inputs.coverage import why_empty
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import Manifest, PublishedObject, Version
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.request import executed_sql
from athena_reports.queries.submission import Submitted
from athena_reports.reports.column import private_names
from athena_reports.rows.athena_result import FinishedQuery, PublishedColumns, read_result
from athena_reports.rows.checks import CheckResult, run_checks
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.engine import Engine
from athena_reports.rows.formats import CONTENT_TYPES
from athena_reports.rows.transforms import apply, columns_from_previous
from athena_reports.rows.writer import (
    LocalFile,
    LocalTable,
    digest_of,
    write_file,
    write_table,
)
from athena_reports.steps.airflow_errors import report_errors
from athena_reports.steps.prepared_version import PreparedVersion
from athena_reports.steps.recipe import Recipe

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient


def prepare(
    execution: QueryExecution,
    submission: Submitted,
    period: Period,
    recipe: Recipe,
    *,
    engine: Engine,
    hook: SharedSessionHook,
    s3: S3,
) -> PreparedVersion:
    """Make a version of a query's result, check it and upload it, whatever the checks find.

    EmptyResultError if there are no rows, and the recipe does not publish then.
    """
    location = recipe.location(period)
    athena: Any = hook.get_conn()
    no_rows_error = _no_rows_error(execution, submission, recipe, engine.about)

    def published_columns() -> Sequence[TableColumn] | None:
        # Only an UNLOAD without rows asks for them. Where no rows are not published, its columns
        # need not be known.
        if recipe.empty != "publish":
            raise no_rows_error
        if recipe.columns:
            return [
                TableColumn(name=name, type="", glue=column.type)
                for name, column in recipe.columns.items()
            ]
        if recipe.database:
            return Table(recipe.database, location.report, hook.client("glue")).columns()
        return None

    table, ordered = write_rows(
        execution,
        recipe,
        period,
        engine=engine,
        athena=athena,
        s3=s3,
        published_columns=published_columns,
    )
    # A SELECT may have returned no rows, or the transforms may have left none.
    if not table.rows and recipe.empty != "publish":
        raise no_rows_error
    checks = check_rows(table, recipe, period, engine=engine, s3=s3)
    # The thread writes the other formats and the digest while a format is uploaded.
    writer = ThreadPoolExecutor(max_workers=1)  # DuckDB's connection does one thing at once
    try:
        files = writer.map(partial(write_file, table, engine=engine), recipe.formats)
        digest = None
        if submission.reads_previous:
            not_read_by_next = columns_from_previous(recipe.transforms)
            digest = writer.submit(digest_of, table, engine, without=not_read_by_next)
        version = upload_version(files, table, location, s3, ordered=ordered)
        if digest is not None:
            version = version.model_copy(update={"read_by_next": digest.result()})
    finally:
        # After an error the rest is not written. What is being written ends before its folder does.
        writer.shutdown(cancel_futures=True)
    with report_errors(f"{engine.about}: "):
        sql = executed_sql(athena, execution.id)
    keep_sql(sql, submission.sql_sha256, version, location, s3)
    return PreparedVersion(
        query=execution,
        version=recipe.described(version),
        checks=checks,
        transforms_logic=recipe.transforms_logic,
    )


def _no_rows_error(
    execution: QueryExecution, submission: Submitted, recipe: Recipe, about: str
) -> EmptyResultError:
    message = (
        f"{about}: query {execution.id} returned no rows, so nothing is published. "
        f"{why_empty(submission.inputs)} "
        f'If a period may have no rows, declare empty="publish" or "skip".'
    )
    error_type = SkipPeriodError if recipe.empty == "skip" else EmptyResultError
    return error_type(message)


def write_rows(
    execution: QueryExecution,
    recipe: Recipe,
    period: Period,
    *,
    engine: Engine,
    athena: "AthenaClient",
    s3: S3,
    published_columns: PublishedColumns,
) -> tuple[LocalTable, bool]:
    """Read the result of a query, transform it, and write the rows into the engine's folder.

    The second value is whether the rows come in the order of the query. `published_columns` is as
    for `read_result`.
    """
    query = FinishedQuery.model_validate(execution, from_attributes=True)
    result = read_result(
        query,
        engine=engine,
        athena=athena,
        s3=s3,
        published_columns=published_columns,
    )
    # The published columns are those that the transforms make, not those that they take.
    transforms = () if result.has_published_columns else recipe.transforms
    relation = apply(transforms, result.relation, period, engine)
    table = write_table(relation, engine, private_columns=private_names(recipe.columns))
    return table, result.ordered


def check_rows(
    table: LocalTable, recipe: Recipe, period: Period, *, engine: Engine, s3: S3
) -> tuple[CheckResult, ...]:
    """Return what the checks find in the rows. Some checks compare them with a published period."""
    baselines = {check.against for check in recipe.checks}
    previous_period: Manifest | None = None
    previous_version: Manifest | None = None
    if "previous_period" in baselines:
        previous_period, _ = read_manifest(recipe.location(period.previous), s3)
    if "previous_version" in baselines:
        previous_version, _ = read_manifest(recipe.location(period), s3)
    return run_checks(
        recipe.checks,
        table,
        engine,
        previous_period=previous_period,
        previous_version=previous_version,
    )


def upload_version(
    files: Iterable[LocalFile],
    table: LocalTable,
    location: PeriodLocation,
    s3: S3,
    *,
    ordered: bool,
) -> Version:
    """Upload the rows of a period as an unpublished version, each file before the next one."""
    # Even the same rows get another name: no upload writes what a cleanup is about to remove.
    version = token_hex(8)
    objects = []
    for file in files:
        extension, _, _ = file.format.partition("_")  # csv_for_spreadsheets is a CSV too
        uri = f"{location.version_uri(version)}{file.format}/part-0.{extension}"
        s3.upload(file.path, uri, CONTENT_TYPES[file.format], sha256=file.sha256)
        _, key = split_uri(uri)
        objects.append(
            PublishedObject(
                format=file.format, key=key, bytes=file.bytes, sha256=file.sha256, rows=table.rows
            )
        )
    return Version(
        version=version,
        ordered=ordered,
        rows=table.rows,
        columns=table.columns,
        objects=tuple(objects),
    )


def keep_sql(sql: str, sql_sha256: str, version: Version, location: PeriodLocation, s3: S3) -> None:
    """Keep the SQL that a version was made by beside its rows: XCom takes no 256 KB.

    The digest, which names the object, is that of the SQL as run_query rendered it.
    """
    uri = location.sql_uri(version.version, sql_sha256)
    with suppress(ConditionError):  # it was kept before, maybe by a call whose response was lost
        s3.write(uri, sql.encode(), "text/plain; charset=utf-8", replacing=None)
