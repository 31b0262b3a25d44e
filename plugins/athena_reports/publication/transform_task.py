"""From a finished query to a staged version: read the result, transform it, write it, check it.

One pass over the rows does all of it, in constant memory; nothing becomes visible here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.common.compat.sdk import AirflowFailException

from athena_reports import checks as checking
from athena_reports.errors import (
    CheckError,
    EmptyResultError,
    ResultError,
    SkipPeriodError,
    TransformError,
)
from athena_reports.publication.publish import read_manifest
from athena_reports.queries.airflow_errors import report_errors
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.input_partitions import InputCoverage, why_empty
from athena_reports.queries.submission import Submitted
from athena_reports.stage import Location, Rows, StagedVersion, disk_full_explained, stage
from athena_reports.storage import Storage
from athena_reports.transforms import apply

if TYPE_CHECKING:
    import pyarrow as pa
    from mypy_boto3_athena import AthenaClient

    from athena_reports.checks import Check, CheckResult
    from athena_reports.periods.calendar import Cadence, Period
    from athena_reports.reports.report import Transform
    from athena_reports.result import Result
    from athena_reports.settings import Encryption
    from athena_reports.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What becomes of a query's result.

    Attributes:
        report: Name of the report.
        cadence: The periods of the DAG.
        bucket: The report bucket.
        transforms: From the batches of the result to the batches that are published, applied in order.
        checks: What must hold of them.
        empty: What no rows mean: `fail`, `publish` or `skip`.
        formats: Formats to write.
    """

    report: str
    cadence: Cadence
    bucket: str
    transforms: Sequence[Transform] = ()
    checks: Sequence[Check] = ()
    empty: str = "fail"
    formats: Sequence[str] = ("parquet", "csv")

    def location(self, period: Period) -> Location:
        """Where a period is published."""
        return Location(self.bucket, self.report, self.cadence.name, period.id)

    def describe(self, period: Period) -> str:
        """Whose rows these are, for the beginning of a message."""
        return f"Report {self.report!r}, period {period.id} ({self.cadence.name})"


@dataclass(frozen=True)
class Prepared:
    """A staged version, and what the checks say of it.

    Attributes:
        version: The version.
        checks: One result per check.
    """

    version: StagedVersion
    checks: Sequence[CheckResult]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for XCom."""
        return {"version": self.version.to_dict(), "checks": [result.to_dict() for result in self.checks]}


def prepare(
    execution: QueryExecution,
    period: Period,
    recipe: Recipe,
    *,
    coverages: Sequence[InputCoverage] = (),
    athena: AthenaClient,
    storage: Storage,
) -> Prepared:
    """Stage the result of a query as the version that it may become, and check it.

    Args:
        execution: The query, which has succeeded.
        period: The period of the run.
        recipe: What becomes of the rows.
        coverages: Which partitions the query could see, to say why there are no rows.
        athena: Client to read the result's columns with.
        storage: S3.

    Raises:
        ResultError: The result cannot be read.
        TransformError: A transform failed.
        CheckError: A check failed; the version stays staged for inspection.
        EmptyResultError: There are no rows, and the report has to have some; a SkipPeriodError if it says to
            skip the period then.
        PublishError: The version cannot be written, or the disk is full.
        StorageError: S3 did not serve a call.
    """
    import pyarrow as pa

    from athena_reports.result import open_result

    # Arrow's own allocator keeps what batches have freed: 50 MB more at the peak, and a tenth more time.
    pa.set_memory_pool(pa.system_memory_pool())
    location, about = recipe.location(period), recipe.describe(period)
    result = open_result(execution, athena=athena, storage=storage)
    with disk_full_explained(location), checking.watch(recipe.checks) as watch:
        version = stage(
            _rows(result, recipe, period),
            location=location,
            formats=recipe.formats,
            storage=storage,
            observers=[watch.see] if recipe.checks else [],
        )
        if not version.rows and recipe.empty != "publish":
            _refuse_empty(execution, recipe, about, coverages)
        previous, current = (
            _manifest(recipe.location(of), storage) if needed else None
            for of, needed in ((period.previous, watch.compares_periods), (period, watch.compares_versions))
        )
        results = watch.conclude(previous, current)
    if failed := checking.failures(results):
        staged = f"s3://{location.bucket}/{location.prefix}versions/{version.version}/"
        raise CheckError(f"{about}: {failed} Nothing was published. The rows are at {staged} for inspection.")
    return Prepared(version, results)


def _rows(result: Result, recipe: Recipe, period: Period) -> Rows:
    """What is to be written: the result as it is, its files, or what the transforms make of it."""
    if recipe.transforms:
        batches = apply(recipe.transforms, result.batches, period, recipe.describe(period))
        first, batches = _peek(batches, recipe.describe(period))
        return Rows(first, batches, ordered=result.ordered)
    files = result.find_files() if result.find_files and "parquet" in recipe.formats else ()
    return Rows(result.schema, result.batches, files, ordered=result.ordered)


def _peek(batches: Iterator[pa.RecordBatch], about: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    first = next(batches, None)
    if first is None:
        raise TransformError(f"{about}: the transform yielded no batch, so no columns. Yield an empty one.")
    return first.schema, chain([first], batches)


def _refuse_empty(
    execution: QueryExecution, recipe: Recipe, about: str, coverages: Sequence[InputCoverage]
) -> None:
    kind = SkipPeriodError if recipe.empty == "skip" else EmptyResultError
    raise kind(
        f"{about}: query {execution.id} gave no rows, so nothing was published. {why_empty(coverages)} "
        f'If no rows are right, declare empty="publish" or "skip".'
    )


def _manifest(location: Location, storage: Storage) -> Mapping[str, Any] | None:
    manifest, _ = read_manifest(location, storage)
    return manifest


def stage_result(
    query: Mapping[str, Any] | None,
    submitted: Mapping[str, Any],
    *,
    recipe: Recipe,
    bucket_owner: str = "",
    encryption: Encryption | None = None,
    aws_conn_id: str | None = "aws_default",
) -> dict[str, Any]:
    """Read a query's result, transform and check it, and stage it as the version that it may become.

    The rows stream from S3 through the transforms back to S3; only facts are returned.

    Args:
        query: What `AthenaWaitSensor` returned.
        submitted: What `AthenaSubmitOperator` pushed under the key `submitted`.
        recipe: What becomes of the result.
        bucket_owner: Account id that must own every bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
        aws_conn_id: Airflow connection.

    Returns:
        `query`, `submitted`, and the staged version with the results of its checks.

    Raises:
        AirflowSkipException: There are no rows, and the report says to skip the period then.
        AirflowFailException: There is no query, its result cannot be read, a transform or a check failed, or
            there are no rows: the same would happen again.
        AirflowException: A call was not served, or the version could not be written.
    """
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    if not query:
        raise AirflowFailException(
            f"Report {recipe.report!r}: wait_for_query handed no query on, as when it is marked as success, "
            f"which stops the query. Clear run_query with all that is downstream."
        )
    facts = Submitted.model_validate(submitted)
    with report_errors():
        if facts.period is None:
            raise ResultError(
                f"Report {recipe.report!r}: the period is missing. Give the submitting operator its cadence."
            )
        prepared = prepare(
            QueryExecution.model_validate(query),
            recipe.cadence.period(facts.period.id),
            recipe,
            coverages=facts.inputs,
            athena=AthenaHook(aws_conn_id=aws_conn_id).get_conn(),
            storage=Storage(S3Hook(aws_conn_id=aws_conn_id).get_conn(), bucket_owner, encryption),
        )
    return {"query": query, "submitted": submitted, **prepared.to_dict()}
