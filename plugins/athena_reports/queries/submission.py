"""Submits a query once per intention.

For a time Athena remembers the token of a request, and does not start it again. After that, the
task's own notes, or the markers in the SQL of the recent executions, tell whether the query was
started.

An execution of an intention is current if it is active, has succeeded or has failed for good
(`failures.is_current`). One that was cancelled, or failed for a transient reason, is spent.
"""

import random
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Protocol, Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from athena_reports.aws.errors import error_code, error_kind
from athena_reports.inputs.coverage import InputCoverage
from athena_reports.periods.calendar import Period
from athena_reports.queries.execution import QueryExecution, get_query_execution
from athena_reports.queries.failures import QueryFailedError, is_current
from athena_reports.queries.ownership import Submission

MAX_EXECUTIONS = 4  # of one intention: the first, and those in the place of spent ones
LOOK_BACK = 250  # how many recent executions of the workgroup are looked through
_PAGE_SIZE = 50  # as many as ListQueryExecutions and BatchGetQueryExecution take
# The pauses before a start that was not answered is sent again. Each is shortened at random, by
# half at most.
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
# Likewise, those before each execution after the first.
RESUBMIT_PAUSES_SECONDS = PAUSES_SECONDS[: MAX_EXECUTIONS - 1]


class ExecutionNotes(Protocol):
    """Where a task notes which executions it has started, for its next try."""

    def ids(self) -> list[str]:
        """Return the ids of the noted executions, the oldest first."""
        ...

    def add(self, query_execution_id: str) -> None:
        """Note an execution. It must not raise: the execution has been started."""
        ...


class Submitted(BaseModel, frozen=True):
    """What the submitting task hands on, beside the query execution id."""

    period: Period | None  # None for a query without a cadence
    sql_sha256: str
    inputs: tuple[InputCoverage, ...] = ()
    late_by: timedelta = timedelta(0)  # how late events may land, by the filters of the query
    reads_previous: bool = False  # whether the SQL reads the period before
    query_logic: str = ""  # the digest of what made the query; empty if its DAG does not say


class Caller(Protocol):
    """What calls Athena: a task's hook, or an author's command."""

    @property
    def log(self) -> Any:
        """The logger."""

    def get_conn(self) -> Any:
        """Return the client of Athena."""

    def sending_once(self) -> Self:
        """Return a caller like this one whose requests botocore does not repeat."""

    def run_query(
        self,
        query: str,
        query_context: dict[str, str],
        result_configuration: dict[str, Any],
        client_request_token: str | None = None,
        workgroup: str = "primary",
    ) -> str:
        """Start a query, and return its query execution id."""


def submit_once(
    submission: Submission,
    hook: Caller,
    *,
    is_retry: bool,
    notes: ExecutionNotes | None = None,
) -> str:
    """Return the id of the intention's current execution, or start one.

    Args:
        submission: The query with its marker, and the rest of the request.
        hook: The hook, or what else calls Athena.
        is_retry: Whether the query may have been started already: then it is looked for first.
        notes: What earlier tries have noted. None if nothing is noted. Then only its token tells of
            a query that is not among the last `LOOK_BACK` executions any more.

    Raises:
        QueryFailedError: The intention has had `MAX_EXECUTIONS`, and all are spent.
        ClientError: Athena refused a call, or did not serve it at any attempt.
        BotoCoreError: Likewise, if a call was not sent or not answered.
    """
    may_be_started = is_retry
    for pause in PAUSES_SECONDS:
        try:
            return _submit(submission, hook, may_be_started, notes)
        except (ClientError, BotoCoreError) as error:
            if not error_kind(error).retryable:
                raise
            hook.log.warning(
                "Athena did not answer, so the query is looked up again in %s s: %s", pause, error
            )
        _sleep(pause)
        may_be_started = True
    return _submit(submission, hook, may_be_started, notes)


def _sleep(pause: float) -> None:
    """Wait for at least half the pause.

    The random part keeps tasks that failed together from returning together.
    """
    time.sleep(pause * random.uniform(0.5, 1))


def _submit(
    submission: Submission,
    hook: Caller,
    may_be_started: bool,
    notes: ExecutionNotes | None,
) -> str:
    if not may_be_started:
        return _start(submission, hook, 0, notes)

    athena: Any = hook.get_conn()
    spent: dict[str, QueryExecution] = {}  # by id
    for known, execution in _known_submissions(athena, submission.workgroup, notes):
        if known.marker == submission.marker:
            if is_current(execution):
                return execution.id
            spent[execution.id] = execution
        elif known.marker.is_predecessor_of(submission.marker) and execution.is_running:
            # The SQL or a setting was edited since, so nobody wants its result any more.
            athena.stop_query_execution(QueryExecutionId=execution.id)

    # Each execution of an intention has a number, counted from 0, which is part of its token.
    for number in range(len(spent), MAX_EXECUTIONS):
        if number > 0:
            _sleep(RESUBMIT_PAUSES_SECONDS[number - 1])
        query_execution_id = _start(submission, hook, number, notes)
        execution = get_query_execution(athena, query_execution_id)
        # If Athena still knows the token, it has started nothing, and this is an earlier execution.
        if is_current(execution):
            return execution.id
        spent[execution.id] = execution

    last = max(spent.values(), key=lambda execution: execution.submitted_at)
    problem = (
        f"{len(spent)} executions of the query were cancelled, or failed for a transient reason."
    )
    raise QueryFailedError(last, about=f"{problem} The last one")


def _start(submission: Submission, hook: Caller, number: int, notes: ExecutionNotes | None) -> str:
    """Send one request, and return the id of the execution.

    botocore may not repeat it: it would rely on the token alone, which Athena may have forgotten.
    """
    query_execution_id = hook.sending_once().run_query(
        query=submission.sql(number),
        query_context=dict(submission.context),
        result_configuration=dict(submission.result_configuration),
        client_request_token=submission.token(number),
        workgroup=submission.workgroup,
    )
    if notes is not None:
        notes.add(query_execution_id)
    return query_execution_id


def _known_submissions(
    athena: Any, workgroup: str, notes: ExecutionNotes | None
) -> Iterator[tuple[Submission, QueryExecution]]:
    """Yield the noted executions, the latest first, and then the workgroup's other latest ones."""
    described_ids: set[str] = set()
    noted_ids: list[str] = []
    if notes is not None:
        noted_ids = notes.ids()[-_PAGE_SIZE:]
    if noted_ids:
        noted = list(_described(athena, noted_ids))
        noted.sort(key=lambda known: known[1].submitted_at, reverse=True)
        for submission, execution in noted:
            described_ids.add(execution.id)
            yield submission, execution
    for submission, execution in recent_submissions(athena, workgroup):
        if execution.id not in described_ids:
            yield submission, execution


def _described(athena: Any, ids: list[str]) -> Iterator[tuple[Submission, QueryExecution]]:
    """Yield those of some executions that Athena still knows and whose marker fits their text.

    They come in no certain order.
    """
    batch = athena.batch_get_query_execution(QueryExecutionIds=ids)
    descriptions = list(batch.get("QueryExecutions", []))
    # A query that is passed over is started and paid again. So each one that Athena did not process
    # is asked for alone.
    for unprocessed in batch.get("UnprocessedQueryExecutionIds", []):
        response = _find_query_execution(athena, unprocessed["QueryExecutionId"])
        if response is not None:
            descriptions.append(response["QueryExecution"])
    for description in descriptions:
        response = {"QueryExecution": description}
        submission = Submission.from_response(response)
        if submission is not None:
            yield submission, QueryExecution.from_response(response, athena.meta.region_name)


def _find_query_execution(athena: Any, query_execution_id: str) -> Mapping[str, Any] | None:
    """Return the response of GetQueryExecution; None if Athena does not know the execution."""
    try:
        response: Mapping[str, Any] = athena.get_query_execution(
            QueryExecutionId=query_execution_id
        )
    except ClientError as error:
        # Athena has no code of its own for an unknown id. It forgets executions after 45 days.
        if error_code(error) == "InvalidRequestException":
            return None
        raise
    return response


def recent_submissions(athena: Any, workgroup: str) -> Iterator[tuple[Submission, QueryExecution]]:
    """Yield the workgroup's latest executions whose marker fits their text.

    They come in no certain order. Whoever runs a copy of a query in the console copies its marker
    too. Such a copy is left out if its result lies in another output location.
    """
    configuration: Mapping[str, Any] | None = None
    pages = athena.get_paginator("list_query_executions").paginate(
        WorkGroup=workgroup,
        PaginationConfig={"MaxItems": LOOK_BACK, "PageSize": _PAGE_SIZE},
    )
    for page in pages:
        ids = page.get("QueryExecutionIds", [])
        if not ids:
            continue
        for submission, execution in _described(athena, ids):
            output = submission.marker.output
            if not _lies_below(execution.output_location, output):
                if configuration is None:
                    described = athena.get_work_group(WorkGroup=workgroup)["WorkGroup"]
                    configuration = described.get("Configuration", {})
                decided = _decided_output(configuration, output)
                if not _lies_below(execution.output_location, decided):
                    continue
            yield submission, execution


def _decided_output(configuration: Mapping[str, Any], output: str) -> str:
    """Return the output location of a request for `output` in a workgroup.

    The workgroup decides it if it enforces its configuration, or if the request names none (Athena
    user guide, "Override client-side settings").
    """
    is_enforced = configuration.get("EnforceWorkGroupConfiguration", True)
    if output and not is_enforced:
        return output
    result_configuration: Mapping[str, str] = configuration.get("ResultConfiguration", {})
    return result_configuration.get("OutputLocation", output)


def _lies_below(result_uri: str, output: str) -> bool:
    """Whether a result lies in an output location.

    Both are empty in a workgroup that manages its results.
    """
    if not output:
        return not result_uri
    return result_uri.startswith(f"{output.rstrip('/')}/")


def executed_sql(athena: Any, query_execution_id: str) -> str:
    """Return the SQL that ran, without its marker.

    The folder of an UNLOAD has zeros in the place of the intention and the execution's number.
    """
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    submission = Submission.from_response(response)
    if submission is None:
        return str(response["QueryExecution"].get("Query", ""))
    return submission.statement


def executions_of_intention(athena: Any, query_execution_id: str) -> Iterator[QueryExecution]:
    """Yield an execution, then the recent ones of its intention.

    It may be among them, and is then yielded twice. A query that this library did not submit has no
    intention: then nothing else is yielded.
    """
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    yield QueryExecution.from_response(response, athena.meta.region_name)
    submission = Submission.from_response(response)
    if submission is None:
        return
    for recent, execution in recent_submissions(athena, submission.workgroup):
        if recent.marker == submission.marker:
            yield execution
