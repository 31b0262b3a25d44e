"""A period's query, run for its author: transform and checks included, nothing published.

The query is submitted as a run submits it: once, within `max_scan`, with a comment that says whose
it is. It is stopped when its command ends before it does.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import error_code, error_kind
from athena_reports.aws.s3 import S3
from athena_reports.errors import QueryError
from athena_reports.periods.calendar import Period
from athena_reports.queries.execution import QueryExecution, QueryState, get_query_execution
from athena_reports.queries.failures import QueryFailedError
from athena_reports.queries.request import QueryRequest
from athena_reports.rows.checks import CheckResult, failures
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.rows.writer import LocalTable
from athena_reports.settings import settings
from athena_reports.steps.preparation import check_rows, write_rows
from athena_reports.steps.recipe import Recipe
from athena_reports.steps.run_query import result_configuration
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.template_lines import template_place
from athena_reports_cli.local.words import print_note

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient

CALLS_AT_ONCE = 16  # to S3
CATALOG = "AwsDataCatalog"
NOT_SUPPORTED_LOCALLY = r"NOT_SUPPORTED: (line \d+:\d+: )?the local Athena"
"""The reason why a query fails that the local Athena cannot run; its SQL may be right."""
_TRY_AGAIN = "run the command again"
_FIRST_PAUSE_SECONDS = 0.05  # between two looks at a query; it doubles
_LONGEST_PAUSE_SECONDS = 1.0


class QueryRefusedError(QueryError):
    """Athena does not start a query; `reason` is what it says."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


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
        s3 = session.client("s3", config=Config(max_pool_connections=CALLS_AT_ONCE))
        return cls(
            athena=session.client("athena"),
            glue=session.client("glue"),
            s3=S3(s3, settings().bucket_owner, settings().encryption),
        )

    @cached_property
    def author(self) -> str:
        """The ARN of the shell's credentials; without STS, the user's number on this machine.

        STS tells the ARN without any permission. That of an assumed role has the name of the
        session, which is a person with single sign-on.
        """
        # STS may not be reachable in a private network, and is not worth a long wait.
        config = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})
        try:
            identity = boto3.Session().client("sts", config=config).get_caller_identity()
        except (ClientError, BotoCoreError):
            return f"uid {os.getuid()}"
        return identity["Arn"]


@dataclass(frozen=True)
class Trial:
    """What a period would publish: the rows, in an engine that is open, and what the checks say.

    The files of the rows are gone when the `with` block of `trial` ends.
    """

    execution: QueryExecution
    engine: Engine
    table: LocalTable
    ordered: bool  # whether the rows come in the order of the query
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True)
class TrialRequest:
    """A period's query, and the transforms and checks of its rows."""

    declared: DeclaredReport
    period: Period
    query: QueryRequest
    recipe: Recipe

    @property
    def about(self) -> str:
        """Report and period, the first words of an error."""
        return f"{self.declared.dag.dag_id}, period {self.period.id}"


def run_request(
    declared: DeclaredReport, period: Period, aws: Aws, *, command: str
) -> TrialRequest:
    """Return the request of what a run of a period would do, for a command such as `plan`."""
    query = query_request(declared.sql(period), settings().database, aws, command=command)
    return TrialRequest(declared, period, query, recipe_of(declared))


def recipe_of(declared: DeclaredReport) -> Recipe:
    """Return what a run of a report makes of a result, to its checks."""
    report = declared.report
    return Recipe(
        report=report.name,
        bucket=settings().report_bucket,
        transforms=report.transforms,
        checks=report.all_checks,
    )


def without_history(recipe: Recipe) -> Recipe:
    """Return a recipe whose checks compare the rows with nothing that is published."""
    return replace(recipe, checks=[replace(check, against=None) for check in recipe.checks])


def query_request(sql: str, database: str, aws: Aws, *, command: str) -> QueryRequest:
    """Return the request for a query, whose comment names the author and the command."""
    owner = {"environment": settings().environment, "author": aws.author, "command": command}
    return QueryRequest(
        query=sql,
        comment=json.dumps(owner),
        context={"Database": database, "Catalog": CATALOG},
        workgroup=settings().workgroup,
        result_configuration=result_configuration(settings()),
    )


@contextmanager
def trial(request: TrialRequest, aws: Aws) -> Iterator[Trial]:
    """Run the query of a request and make its rows, as the transform step does.

    The query is stopped if waiting for it ends in any error, Ctrl-C included. QueryRefusedError if
    Athena does not start it, such as for a syntax error; QueryFailedError if it does not succeed.
    """
    execution = _succeeded(request, aws)
    with open_engine(settings().memory_limit, about=request.about, again=_TRY_AGAIN) as engine:
        table, ordered = write_rows(
            execution,
            request.recipe,
            request.period,
            engine=engine,
            athena=aws.athena,
            s3=aws.s3,
            published_columns=lambda: None,  # only an UNLOAD asks for them, which this is not
        )
        checks = check_rows(table, request.recipe, request.period, engine=engine, s3=aws.s3)
        yield Trial(execution, engine, table, ordered, checks)


def _succeeded(request: TrialRequest, aws: Aws) -> QueryExecution:
    """Run a query, and return its execution if it has succeeded."""
    try:
        execution = _run(request, aws)
    except ClientError as error:
        if error_code(error) != "InvalidRequestException":
            raise
        reason = error.response["Error"].get("Message", "")
        problem = f"Athena rejected the query: {reason.rstrip('.')}. {_advice(reason, request)}"
        raise QueryRefusedError(f"{request.about}: {problem}", reason) from error
    if execution.state == QueryState.SUCCEEDED:
        return execution
    advice = _advice(execution.reason, request)
    raise QueryFailedError(execution, about=request.about, try_again=advice)


def _advice(reason: str, request: TrialRequest) -> str:
    """Return where in the report's SQL file an error is, if that is known, and what to do."""
    advice = f"{_TRY_AGAIN.capitalize()}."
    place = template_place(reason, request.query.query, request.declared, request.period)
    if not place:
        return advice
    return f"The error is in {place}. {advice}"


def why_not_published(declared: DeclaredReport, done: Trial) -> str:
    """Return what would keep a run from publishing these rows; empty if nothing would."""
    empty = declared.report.empty
    if not done.table.rows and empty != "publish":
        return f'The query returned no rows, and the report declares empty="{empty}".'
    return failures(done.checks)


def _run(request: TrialRequest, aws: Aws) -> QueryExecution:
    """Submit a query, and return its execution when it has ended. Stop it if that fails."""
    token = secrets.token_hex(32)  # no other command, and no run, gets this query
    query_execution_id = ""
    # Submission and wait are in one block, so that a signal finds no gap between them.
    try:
        query_execution_id = _start(request, token, aws)
        return _wait_for(query_execution_id, aws)
    except BaseException as error:  # a signal too
        if query_execution_id:
            _stop(query_execution_id, aws)
        elif not _is_refused(error):
            _stop_by_token(request, token, aws)
        raise


def _start(request: TrialRequest, token: str, aws: Aws) -> str:
    start_arguments = request.query.start_arguments(token)
    return aws.athena.start_query_execution(**start_arguments)["QueryExecutionId"]


def _is_refused(error: BaseException) -> bool:
    """Return whether Athena has certainly not started the query."""
    return isinstance(error, ClientError | BotoCoreError) and not error_kind(error).retryable


def _wait_for(query_execution_id: str, aws: Aws) -> QueryExecution:
    """Return the execution when it has ended."""
    pause_seconds = _FIRST_PAUSE_SECONDS
    while True:
        execution = get_query_execution(aws.athena, query_execution_id)
        if not execution.is_running:
            return execution
        time.sleep(pause_seconds)
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


def _stop_by_token(request: TrialRequest, token: str, aws: Aws) -> None:
    """Stop a query whose id the command did not get: a repeated start returns it."""
    try:
        query_execution_id = _start(request, token, aws)
    except (ClientError, BotoCoreError) as error:
        print_note(
            f"A query may have been started: {error} Look for it in the history of workgroup"
            f" {request.query.workgroup}."
        )
        return
    _stop(query_execution_id, aws)


def _stop(query_execution_id: str, aws: Aws) -> None:
    try:
        aws.athena.stop_query_execution(QueryExecutionId=query_execution_id)
    except (ClientError, BotoCoreError) as error:
        print_note(
            f"Query {query_execution_id} may still be running: {error} Stop it in the Athena"
            " console."
        )
