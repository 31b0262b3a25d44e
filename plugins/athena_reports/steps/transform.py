"""From a finished query to an unpublished version: read the result, transform, check, write, upload."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from pydantic import BaseModel

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, split_uri
from athena_reports.errors import CheckError, EmptyResultError, ResultError, SkipPeriodError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import PublishedObject, Version
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.input_partitions import why_empty
from athena_reports.queries.submission import Submitted, executed_sql
from athena_reports.reports.column import Column
from athena_reports.rows.athena_result import FinishedQuery, read_result
from athena_reports.rows.checks import Check, CheckResult, failures, run_checks
from athena_reports.rows.columns import Column as TableColumn
from athena_reports.rows.engine import open_engine
from athena_reports.rows.transforms import apply
from athena_reports.rows.writer import CONTENT_TYPES, Format, LocalFile, LocalTable, write_files, write_table
from athena_reports.settings import Encryption
from athena_reports.steps.airflow_errors import aws_errors, report_errors


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is made of a query's result.

    Attributes:
        report: Name of the report.
        bucket: The report bucket.
        database: Glue database of the published table; None for no table.
        transforms: Functions from rows to rows, applied in order.
        columns: What the columns mean, by name; they are those of an empty UNLOAD too.
        checks: What must hold of the rows.
        empty: What to do without rows: fail, publish, or skip the period.
        formats: Formats to write.
    """

    report: str
    bucket: str
    database: str | None = None
    transforms: Sequence[Callable[[Any, Period], Any]] = ()
    columns: Mapping[str, Column] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    empty: Literal["fail", "publish", "skip"] = "fail"
    formats: Sequence[Format] = ("parquet", "csv")

    def location(self, period: Period) -> PeriodLocation:
        """Where a period is published."""
        return PeriodLocation.of(self.bucket, self.report, period)

    def described(self, version: Version) -> Version:
        """Return a version with what its columns mean."""
        said = {name: column.comment for name, column in self.columns.items()}
        columns = (each.model_copy(update={"description": said.get(each.name, "")}) for each in version.columns)
        return version.model_copy(update={"columns": tuple(columns)})


class PreparedVersion(BaseModel, frozen=True):
    """An unpublished version, the query that it comes from, and what the checks found."""

    query: QueryExecution
    version: Version
    checks: tuple[CheckResult, ...]


def transform_result(
    query: dict[str, Any] | None,
    submitted: dict[str, Any] | None,
    *,
    recipe: Recipe,
    memory_limit: str = "128MB",
    bucket_owner: str = "",
    encryption: Encryption | None = None,
    aws_conn_id: str | None = "aws_default",
) -> dict[str, Any]:
    """Make an unpublished version of a query's result, and return it as JSON; the callable of a PythonOperator.

    Args:
        query: What `AthenaWaitSensor` returned.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`.
        recipe: What is made of the result.
        memory_limit: What DuckDB may hold in memory, such as `128MB`.
        bucket_owner: Account id that must own every bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
        aws_conn_id: Airflow connection.

    Raises:
        AirflowSkipException: There are no rows, and the report skips the period then.
        AirflowFailException: The query, its result, a transform or a check is wrong, or there are no rows.
        AirflowException: AWS did not serve a call, or the disk is full.
    """
    with report_errors():
        facts = Submitted.model_validate(submitted) if submitted else None
        if not query or facts is None or facts.period is None:
            raise ResultError(
                f"Report {recipe.report!r}: transform needs the query and its period. If wait_for_query was marked as "
                f"success, clear run_query and its downstream tasks. In a DAG of your own, give run_query its "
                f"cadence, and transform submitted=XComArg(run_query, key='submitted')."
            )
        execution = QueryExecution.model_validate(query)
        period = facts.period
        location = recipe.location(period)
        hook = SharedSessionHook(aws_conn_id=aws_conn_id)
        s3 = S3(hook.client("s3"), bucket_owner, encryption)
        about = f"Report {recipe.report!r}, period {period.id} ({period.cadence.name})"
        no_rows = (SkipPeriodError if recipe.empty == "skip" else EmptyResultError)(
            f"{about}: query {execution.id} returned no rows, so nothing is published. {why_empty(facts.inputs)} "
            f'If a period may have no rows, declare empty="publish" or "skip".'
        )
        transforms = list(recipe.transforms)

        def published() -> Any:
            if recipe.empty != "publish":
                raise no_rows
            transforms.clear()  # they have the transforms' columns
            if recipe.columns:
                return [TableColumn(name=name, type="", glue=each.type) for name, each in recipe.columns.items()]
            return Table(recipe.database, location.report, hook.client("glue")).columns() if recipe.database else None

        with open_engine(memory_limit, about=about) as engine:
            finished = FinishedQuery.model_validate(execution, from_attributes=True)
            sources = {"athena": hook.get_conn(), "s3": s3, "published_columns": published}
            rows, ordered = read_result(finished, engine=engine, **sources)
            table = write_table(apply(transforms, rows, period, engine=engine, about=about), engine)
            if not table.rows and recipe.empty != "publish":
                raise no_rows
            against = {check.against for check in recipe.checks}
            previous, current = (
                read_manifest(recipe.location(of), s3)[0] if name in against else None
                for of, name in ((period.previous, "previous_period"), (period, "previous_version"))
            )
            checks = run_checks(recipe.checks, table, engine, previous_period=previous, previous_version=current)
            version = upload_version(write_files(table, recipe.formats, engine), table, location, s3, ordered=ordered)
            with aws_errors(about, task="transform"):
                sql = executed_sql(hook.get_conn(), execution.id)
            keep_sql(sql, facts.sql_sha256, version, location, s3, engine.folder)
        if failed := failures(checks):
            uploaded = location.version_uri(version.version)
            raise CheckError(f"{about}: {failed} Nothing is published. The rows are at {uploaded} for inspection.")
    version = recipe.described(version)
    return PreparedVersion(query=execution, version=version, checks=checks).model_dump(mode="json")


def upload_version(
    files: Sequence[LocalFile], table: LocalTable, location: PeriodLocation, s3: S3, *, ordered: bool
) -> Version:
    """Upload the rows of a period as a version with a name of its own: what a cleanup removes never comes back."""
    version, objects = token_hex(8), []
    for file in files:
        uri = f"{location.version_uri(version)}{file.format}/part-0.{file.format.partition('_')[0]}"
        s3.upload(file.path, uri, CONTENT_TYPES[file.format], sha256=file.sha256)
        objects.append(PublishedObject(key=split_uri(uri)[1], **file.model_dump(exclude={"path"})))
    return Version(version=version, ordered=ordered, rows=table.rows, columns=table.columns, objects=tuple(objects))


def keep_sql(sql: str, sql_sha256: str, version: Version, location: PeriodLocation, s3: S3, folder: Path) -> None:
    """Keep the SQL that a version was made by beside its rows: 256 KB are too many for XCom or the manifest."""
    path = folder / "query.sql"
    path.write_bytes(content := sql.encode())
    sha256, uri = hashlib.sha256(content).hexdigest(), location.sql_uri(version.version, sql_sha256)
    s3.upload(path, uri, "text/plain; charset=utf-8", sha256=sha256)
