"""A period's query, run for its author: transform and checks included, nothing published."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import boto3
from botocore.config import Config

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.aws.s3 import S3
from athena_reports.errors import QueryError
from athena_reports.periods.calendar import Period
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.location import PeriodLocation
from athena_reports.queries.execution import QueryExecution, QueryState, get_query_execution
from athena_reports.queries.failures import execution_verdict
from athena_reports.rows.athena_result import FinishedQuery, read_result
from athena_reports.rows.checks import CheckResult, run_checks
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.rows.transforms import apply
from athena_reports.rows.writer import LocalTable, write_table
from athena_reports.settings import settings
from athena_reports.steps.run_query import result_configuration

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient

CALLS_AT_ONCE = 16
_LOOK_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Aws:
    """The services, with the credentials and the endpoint of the shell."""

    athena: "AthenaClient"
    glue: "GlueClient"
    s3: S3

    @classmethod
    def connect(cls) -> Self:
        """Make the clients; no call is made yet."""
        session, config = boto3.Session(), Config(max_pool_connections=CALLS_AT_ONCE)
        s3 = S3(session.client("s3", config=config), settings().bucket_owner, settings().encryption)
        return cls(session.client("athena"), session.client("glue"), s3)


@dataclass(frozen=True)
class Trial:
    """What a period would publish: the rows, in an engine that is open, and what the checks say."""

    execution: QueryExecution
    engine: Engine
    table: LocalTable
    checks: tuple[CheckResult, ...]


@contextmanager
def trial(
    declared: DeclaredReport, period: Period, aws: Aws, *, sql: str = "", database: str = "", is_whole: bool = True
) -> Iterator[Trial]:
    """Pay the query of a period and make its rows; QueryError if it does not succeed. Ctrl-C stops the query.

    Args:
        declared: The report.
        period: The period.
        aws: The services.
        sql: Another query; empty for the report's.
        database: Another database, whose rows are compared with nothing published; empty for the report's.
        is_whole: Whether the rows are those of the report: only then it has transforms and checks for them.
    """
    about = f"{declared.dag.dag_id}, period {period.id}"
    report = declared.report
    transforms = report.transforms if is_whole else ()
    checks = report.all_checks if is_whole else ()
    execution = _run(sql or declared.sql(period), database or settings().database, aws)
    if execution.state != QueryState.SUCCEEDED:
        verdict = execution_verdict(execution)
        raise QueryError(f"{about}: query {execution.id} is {execution.state}: {execution.reason}. {verdict.advice}")
    with open_engine(settings().memory_limit, about=about) as engine:
        finished = FinishedQuery.model_validate(execution, from_attributes=True)
        found = read_result(finished, engine=engine, athena=aws.athena, s3=aws.s3, published_columns=lambda: None)
        rows = apply(transforms, found.relation, period, engine=engine, about=about)
        table = write_table(rows, engine)
        against = {} if database else {"previous_period": period.previous, "previous_version": period}
        baselines = {}
        for name, other in against.items():
            baselines[name], _ = read_manifest(PeriodLocation.of(settings().report_bucket, report.name, other), aws.s3)
        yield Trial(execution, engine, table, run_checks(checks, table, engine, **baselines))


def _run(sql: str, database: str, aws: Aws) -> QueryExecution:
    names = settings()
    request: dict[str, Any] = {"QueryString": sql, "WorkGroup": names.workgroup, "ClientRequestToken": str(uuid4())}
    request["QueryExecutionContext"] = {"Database": database, "Catalog": "AwsDataCatalog"}
    if names.query_results:
        configuration = result_configuration(names.bucket_owner, names.encryption)
        configuration["OutputLocation"] = names.query_results
        request["ResultConfiguration"] = configuration
    query_execution_id = aws.athena.start_query_execution(**request)["QueryExecutionId"]
    try:
        for look in range(10**6):
            execution = get_query_execution(aws.athena, query_execution_id)
            if not execution.is_running:
                break
            time.sleep(_LOOK_SECONDS[min(look, len(_LOOK_SECONDS) - 1)])
    except KeyboardInterrupt:
        aws.athena.stop_query_execution(QueryExecutionId=query_execution_id)
        raise
    return execution
