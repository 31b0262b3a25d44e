"""Submits a query once per intention, by a token that Athena remembers for a time, and by the marker after that."""

import random
import time
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from athena_reports.aws.errors import call_verdict
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.errors import QueryError
from athena_reports.periods.calendar import Period
from athena_reports.queries.execution import QueryExecution, get_query_execution
from athena_reports.queries.failures import execution_verdict, is_current
from athena_reports.queries.input_partitions import InputCoverage
from athena_reports.queries.ownership import Submission

MAX_EXECUTIONS = 4  # of an intention in all: the first, and those after Athena failed one
LOOK_BACK = 250  # so many recent executions of the workgroup are looked through
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)  # before a start that was not answered is sent again, less half by chance
RESUBMIT_PAUSES_SECONDS = PAUSES_SECONDS[: MAX_EXECUTIONS - 1]  # likewise, before each execution after the first


class Submitted(BaseModel, frozen=True):
    """What the submitting task hands on, beside the query execution id; without a cadence no period."""

    period: Period | None
    sql_sha256: str
    inputs: tuple[InputCoverage, ...] = ()


def submit_once(submission: Submission, hook: SharedSessionHook, *, is_retry: bool) -> str:
    """Return the id of the intention's current execution, or start one; a retry first looks for the marker."""
    for pause in PAUSES_SECONDS:
        try:
            return _submit(submission, hook, is_retry)
        except (ClientError, BotoCoreError) as error:
            if not call_verdict(error).retryable:
                raise
            hook.log.warning("Athena did not answer, so the query is looked up again in %s s: %s", pause, error)
        _sleep(pause)
        is_retry = True
    return _submit(submission, hook, is_retry)


def _sleep(pause: float) -> None:
    time.sleep(pause * random.uniform(0.5, 1))


def _submit(submission: Submission, hook: SharedSessionHook, is_retry: bool) -> str:
    athena: Any = hook.get_conn()
    if not is_retry:
        return _start(submission, hook, 0)
    spent: list[QueryExecution] = []
    for found, execution in recent_submissions(athena, submission.workgroup):
        if found.marker == submission.marker:
            if is_current(execution):
                return execution.id
            spent.append(execution)
        elif found.marker.is_predecessor_of(submission.marker) and execution.is_running:
            athena.stop_query_execution(QueryExecutionId=execution.id)
    for number in range(len(spent), MAX_EXECUTIONS):
        if number:
            _sleep(RESUBMIT_PAUSES_SECONDS[number - 1])
        execution = get_query_execution(athena, _start(submission, hook, number))
        if is_current(execution):  # it is an old one where Athena knows the token
            return execution.id
        spent.append(execution)
    last = max(spent, key=lambda execution: execution.submitted_at)
    verdict = execution_verdict(last)
    reason = f"The last one is {last.id}, {last.state}: {last.reason} [{verdict.meaning}]. {verdict.advice}"
    raise QueryError(f"{len(spent)} executions of the query were cancelled, or failed for a transient reason. {reason}")


def _start(submission: Submission, hook: SharedSessionHook, number: int) -> str:
    """Send one request: botocore would repeat it by the token alone, which Athena may have forgotten."""
    where, output, token = dict(submission.context), dict(submission.result_configuration), submission.token(number)
    return hook.sending_once().run_query(submission.sql(number), where, output, token, submission.workgroup)


def recent_submissions(athena: Any, workgroup: str) -> Iterator[tuple[Submission, QueryExecution]]:
    """Yield those of the workgroup's latest executions that have a true marker, in no certain order."""
    limits = {"MaxItems": LOOK_BACK, "PageSize": 50}  # as many as both calls take
    pages = athena.get_paginator("list_query_executions").paginate(WorkGroup=workgroup, PaginationConfig=limits)
    for page in pages:
        if ids := page["QueryExecutionIds"]:
            for answer in athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]:
                response = {"QueryExecution": answer}
                if submission := Submission.from_response(response):
                    yield submission, QueryExecution.from_response(response, athena.meta.region_name)


def executed_sql(athena: Any, query_execution_id: str) -> str:
    """Return the SQL that ran without its marker; in an UNLOAD stands no folder of its execution, but zeros."""
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    found = Submission.from_response(response)
    return found.statement if found else str(response["QueryExecution"].get("Query", ""))


def executions_of_intention(athena: Any, query_execution_id: str) -> Iterator[QueryExecution]:
    """Yield an execution, then the recent ones of its intention; none where the query is not ours."""
    response = athena.get_query_execution(QueryExecutionId=query_execution_id)
    yield QueryExecution.from_response(response, athena.meta.region_name)
    if submission := Submission.from_response(response):
        for found, execution in recent_submissions(athena, submission.workgroup):
            if found.marker == submission.marker:
                yield execution
