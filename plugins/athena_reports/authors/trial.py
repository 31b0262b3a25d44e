"""A period's query, run for its author: transform and checks included, nothing published."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import boto3
from botocore.config import Config

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.aws.s3 import S3
from athena_reports.periods.calendar import Period
from athena_reports.queries.execution import QueryExecution, QueryState, get_query_execution
from athena_reports.queries.failures import QueryFailedError
from athena_reports.rows.checks import CheckResult, run_checks
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.rows.writer import LocalTable
from athena_reports.settings import settings
from athena_reports.steps.run_query import result_configuration
from athena_reports.steps.transform import Recipe, check_rows, write_rows

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient

CALLS_AT_ONCE = 16
_TRY_AGAIN = "Run the command again."
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Aws:
    """The services, with the credentials and the endpoint of the shell."""

    athena: "AthenaClient"
    glue: "GlueClient"
    s3: S3

    @classmethod
    def connect(cls) -> Self:
        """Make the clients; no call is made yet."""
        session = boto3.Session()
        config = Config(max_pool_connections=CALLS_AT_ONCE)
        s3_client = session.client("s3", config=config)
        s3 = S3(s3_client, settings().bucket_owner, settings().encryption)
        return cls(athena=session.client("athena"), glue=session.client("glue"), s3=s3)


@dataclass(frozen=True)
class Trial:
    """What a period would publish: the rows, in an engine that is open, and what the checks say."""

    execution: QueryExecution
    engine: Engine
    table: LocalTable
    checks: tuple[CheckResult, ...]


@contextmanager
def trial(
    declared: DeclaredReport,
    period: Period,
    aws: Aws,
    *,
    sql: str = "",
    database: str = "",
    is_whole: bool = True,
) -> Iterator[Trial]:
    """Pay the query of a period and make its rows, as the transform step does.

    Ctrl-C stops the query.

    Args:
        declared: The report.
        period: The period.
        aws: The services.
        sql: Another query; empty for the report's.
        database: Another database, whose rows are compared with nothing published; empty for the
            report's.
        is_whole: Whether the rows are those of the report: only then it has transforms and checks
            for them.

    Raises:
        QueryFailedError: The query does not succeed.
        AthenaReportsError: Its result cannot be read, or a transform fails.
    """
    about = f"{declared.dag.dag_id}, period {period.id}"
    report = declared.report
    recipe = Recipe(report=report.name, bucket=settings().report_bucket)
    if is_whole:
        recipe = replace(recipe, transforms=report.transforms, checks=report.all_checks)
    if not sql:
        sql = declared.sql(period)
    query_database = settings().database
    if database:
        query_database = database
    execution = _run(sql, query_database, aws)
    if execution.state != QueryState.SUCCEEDED:
        raise QueryFailedError(execution, about=about, try_again=_TRY_AGAIN)
    with open_engine(settings().memory_limit, about=about) as engine:
        # The columns of a published table are asked for after an UNLOAD only, which this is not.
        rows = write_rows(
            execution,
            recipe,
            period,
            engine=engine,
            athena=aws.athena,
            s3=aws.s3,
            published_columns=lambda: None,
        )
        if database:
            checks = run_checks(recipe.checks, rows.table, engine)
        else:
            checks = check_rows(rows.table, recipe, period, engine=engine, s3=aws.s3)
        yield Trial(execution, engine, rows.table, checks)


def _run(sql: str, database: str, aws: Aws) -> QueryExecution:
    request: dict[str, Any] = {
        "QueryString": sql,
        "WorkGroup": settings().workgroup,
        "ClientRequestToken": str(uuid4()),
        "QueryExecutionContext": {"Database": database, "Catalog": "AwsDataCatalog"},
    }
    if settings().query_results:
        configuration = result_configuration(settings().bucket_owner, settings().encryption)
        configuration["OutputLocation"] = settings().query_results
        request["ResultConfiguration"] = configuration
    query_execution_id = aws.athena.start_query_execution(**request)["QueryExecutionId"]
    try:
        return _wait_for(query_execution_id, aws)
    except KeyboardInterrupt:
        aws.athena.stop_query_execution(QueryExecutionId=query_execution_id)
        raise


def _wait_for(query_execution_id: str, aws: Aws) -> QueryExecution:
    """Return the execution when it has ended; the pauses between two looks grow."""
    looks = 0
    while True:
        execution = get_query_execution(aws.athena, query_execution_id)
        if not execution.is_running:
            return execution
        pause_seconds = _PAUSES_SECONDS[min(looks, len(_PAUSES_SECONDS) - 1)]
        time.sleep(pause_seconds)
        looks += 1
