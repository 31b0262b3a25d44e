"""Submitting a query exactly once per intention, whatever crashes in between.

Two things keep an intention from being paid twice:

- `ClientRequestToken`: Athena answers a token that it knows with the query that it started for it
  (StartQueryExecution in the API reference). How long it remembers is not documented.
- The marker (see `ownership`). A retry lists the workgroup's recent executions and finds its own by it, also
  when Athena has forgotten the token.

Nothing here relies on the order in which Athena lists executions: AWS does not promise one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from athena_reports.errors import QueryError
from athena_reports.periods.calendar import PeriodFacts
from athena_reports.queries.execution import QueryExecution, get_query_execution
from athena_reports.queries.failures import execution_verdict, is_current
from athena_reports.queries.input_partitions import InputCoverage
from athena_reports.queries.ownership import Submission

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

MAX_EXECUTIONS = 4
"""How many executions an intention may have in all: the first, and those after Athena failed one."""

LOOK_BACK = 250
"""How many recent executions of the workgroup are looked through."""

_PAGE = 50  # ListQueryExecutions and BatchGetQueryExecution take at most 50

Start = Callable[[Submission, int], str]
"""Starts the execution of a submission that has this number, and returns the query execution id."""


class Submitted(BaseModel):
    """What the submitting task hands on, beside the query execution id; without a cadence no period."""

    model_config = ConfigDict(frozen=True)

    period: PeriodFacts | None
    sql_sha256: str
    inputs: tuple[InputCoverage, ...] = ()


def submit_once(submission: Submission, *, athena: AthenaClient, start: Start, is_retry: bool) -> str:
    """Return the id of the intention's current execution; start one if there is none.

    Args:
        submission: The query.
        athena: Client to look with.
        start: Starts it.
        is_retry: Whether the task, or Airflow for it, may have been here before; a first try need not look.

    Raises:
        QueryError: Athena failed it too often.
    """
    spent: list[QueryExecution] = []
    if is_retry:
        for response in recent_executions(athena, submission.workgroup):
            found, execution = Submission.from_response(response), QueryExecution.from_response(response)
            if found is None:
                continue
            if found.marker == submission.marker:
                if is_current(execution):
                    return execution.id
                spent.append(execution)
            elif found.marker.is_predecessor_of(submission.marker) and execution.is_running:
                athena.stop_query_execution(QueryExecutionId=execution.id)
    for number in range(len(spent), MAX_EXECUTIONS):
        query_execution_id = start(submission, number)
        if not is_retry:
            return query_execution_id
        execution = get_query_execution(athena, query_execution_id)
        if is_current(execution):
            return query_execution_id
        spent.append(execution)
    last = max(spent, key=lambda execution: execution.submitted_at)
    verdict = execution_verdict(last)
    raise QueryError(
        f"{len(spent)} executions of the query were cancelled, or failed for reasons that should pass. The "
        f"last one is {last.id}, {last.state}: {last.reason} [{verdict.meaning}]. {verdict.advice}"
    )


def recent_executions(athena: AthenaClient, workgroup: str) -> Iterator[Mapping[str, Any]]:
    """Yield the workgroup's latest executions, each as GetQueryExecution answers it, in no certain order."""
    pages = athena.get_paginator("list_query_executions").paginate(
        WorkGroup=workgroup, PaginationConfig={"MaxItems": LOOK_BACK, "PageSize": _PAGE}
    )
    for page in pages:
        if ids := page["QueryExecutionIds"]:
            for execution in athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]:
                yield {"QueryExecution": execution}


def current_execution(athena: AthenaClient, response: Mapping[str, Any]) -> QueryExecution | None:
    """Return the current execution of a query's intention; None if it has none, or the query is not ours.

    Args:
        athena: Client to look with.
        response: GetQueryExecution's answer about any execution of the intention.
    """
    return next(filter(is_current, _executions_of_intention(athena, response)), None)


def stop_all(athena: AthenaClient, response: Mapping[str, Any]) -> list[str]:
    """Stop a query and every other running execution of its intention; return their ids."""
    found = [QueryExecution.from_response(response), *_executions_of_intention(athena, response)]
    running = {execution.id: None for execution in found if execution.is_running}
    for query_execution_id in running:
        athena.stop_query_execution(QueryExecutionId=query_execution_id)
    return list(running)


def _executions_of_intention(athena: AthenaClient, response: Mapping[str, Any]) -> Iterator[QueryExecution]:
    submission = Submission.from_response(response)
    if submission is not None:
        for other in recent_executions(athena, submission.workgroup):
            found = Submission.from_response(other)
            if found is not None and found.marker == submission.marker:
                yield QueryExecution.from_response(other)
