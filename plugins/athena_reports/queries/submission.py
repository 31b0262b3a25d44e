"""Submitting a query exactly once per intention, whatever crashes in between.

An intention is what a run wants: this SQL, in this database and workgroup, for this run of this DAG. Two
things keep it from being paid twice:

- `ClientRequestToken`: Athena answers a token that it knows with the query that it started for it
  (StartQueryExecution in the API reference). How long it remembers is not documented.
- A marker, a comment in the last line of the SQL. A retry lists the workgroup's recent executions and finds
  its own by it, also when Athena has forgotten the token.

A run that is cleared is a new intention: its generation, part of the token and the marker, has changed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from athena_reports.errors import QueryError
from athena_reports.periods.run_period import BACKFILL_RUN_IDS
from athena_reports.queries import failures
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.failures import Decision

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

_log = logging.getLogger(__name__)

MAX_EXECUTIONS = 4
"""How many executions an intention may have in all: the first, and those after Athena failed one."""

LOOK_BACK = 250
"""How many recent executions of the workgroup a retry looks through for its own."""

BUDGET_LOOK_BACK = 2000
"""How many recent executions of the workgroup count for the budget of a backfill.

They take 80 calls; a log of the task says so where they do not reach back far enough.
"""

BUDGET_PERIOD = timedelta(days=1)

_PAGE = 50  # ListQueryExecutions and BatchGetQueryExecution take at most 50
_MARK = "\n-- athena-reports: "
_FORMAT = "WITH (format = 'PARQUET', compression = 'ZSTD')"
# Each execution of an intention has a folder of its own, for an UNLOAD needs one that is empty.
_TARGET = re.compile(rf"(?<=\n)\) TO '(s3://[^']*/)\d+/' {re.escape(_FORMAT)}(?={_MARK}[^\n]*\Z)")


@dataclass(frozen=True)
class Marker:
    """Whose query it is, as its last line says.

    Attributes:
        environment: The environment that submitted it.
        dag_id: DAG of the run.
        run_id: Run that wants it.
        task_id: Task that submitted it.
        generation: How often the run was cleared, so to speak; see `generation_of`.
        intention: Digest of all that makes the intention.
        backfill: Whether the run was a backfill's when it submitted it; None in queries from before this was
            written down. No part of whose query it is.
    """

    environment: str
    dag_id: str
    run_id: str
    task_id: str
    generation: str
    intention: str
    backfill: bool | None = field(default=None, compare=False)

    @property
    def line(self) -> str:
        """The comment, with the line break before it."""
        return _MARK + json.dumps(asdict(self))

    @classmethod
    def find(cls, sql: str) -> Marker | None:
        """Return the marker of a query, or None for a query of somebody else."""
        _, mark, text = sql.rpartition(_MARK)
        if not mark:
            return None
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    def is_predecessor_of(self, other: Marker) -> bool:
        """Whether this is the same task's intention from before its SQL or settings were edited."""
        same_task = (self.owner, self.generation) == (other.owner, other.generation)
        return same_task and self.intention != other.intention

    @property
    def is_of_backfill(self) -> bool:
        """Whether a backfill's run submitted it.

        Airflow begins the ids of the runs that a backfill makes so; a run that it reprocesses keeps its id.
        """
        return self.run_id.startswith(BACKFILL_RUN_IDS) if self.backfill is None else self.backfill

    @property
    def owner(self) -> tuple[str, ...]:
        """The task that submitted it, in one run of one environment."""
        return (self.environment, self.dag_id, self.run_id, self.task_id)


@dataclass(frozen=True)
class Submission:
    """A query with its marker, and where it is to run.

    Attributes:
        sql: The query, with the marker.
        database: Glue database; None for none.
        catalog: Data catalog.
        workgroup: Athena workgroup.
        result_configuration: ResultConfiguration of the request; empty where the workgroup decides.
        marker: Whose query it is.
    """

    sql: str
    database: str | None
    catalog: str
    workgroup: str
    result_configuration: Mapping[str, Any] = field(hash=False)
    marker: Marker

    @classmethod
    def make(
        cls,
        sql: str,
        *,
        database: str | None,
        catalog: str,
        workgroup: str,
        result_configuration: Mapping[str, Any],
        environment: str,
        dag_id: str,
        run_id: str,
        task_id: str,
        generation: str,
        is_of_backfill: bool | None = None,
        unload_to: str | None = None,
    ) -> Submission:
        """Return the submission of a task's rendered query.

        With `unload_to`, a prefix with the closing slash, it is an UNLOAD that writes the rows below it as
        Parquet; without it a SELECT, whose rows Athena writes as CSV.
        """
        owner = (environment, dag_id, run_id, task_id, generation)
        what = [*owner, sql, database, catalog, workgroup, result_configuration, unload_to]
        intention = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
        marker = Marker(*owner, intention, is_of_backfill)
        text = sql.rstrip().removesuffix(";").rstrip()
        if unload_to is not None:
            text = f"UNLOAD (\n{text}\n) TO '{unload_to}{intention}/0/' {_FORMAT}"
        return cls(text + marker.line, database, catalog, workgroup, result_configuration, marker)

    @classmethod
    def of_response(cls, response: Mapping[str, Any]) -> Submission | None:
        """Return what a query was started from, by GetQueryExecution; None if it is not ours."""
        execution = response["QueryExecution"]
        marker = Marker.find(execution["Query"])
        if marker is None:
            return None
        context = execution.get("QueryExecutionContext", {})
        configuration = dict(execution.get("ResultConfiguration", {}))
        if location := configuration.get("OutputLocation"):
            configuration["OutputLocation"] = location.rpartition("/")[0] + "/"
        return cls(
            execution["Query"],
            context.get("Database"),
            context.get("Catalog", "AwsDataCatalog"),
            execution["WorkGroup"],
            configuration,
            marker,
        ).numbered(0)

    @cached_property
    def context(self) -> dict[str, str]:
        """QueryExecutionContext of the request."""
        database = {"Database": self.database} if self.database else {}
        return {**database, "Catalog": self.catalog}

    def numbered(self, number: int) -> Submission:
        """Return the intention's execution with this number, counted from 0."""
        return replace(self, sql=_TARGET.sub(rf") TO '\g<1>{number}/' {_FORMAT}", self.sql))

    def token(self, number: int) -> str:
        """ClientRequestToken of the intention's execution with this number, counted from 0."""
        request = [self.sql, self.context, dict(self.result_configuration), self.workgroup, number]
        return hashlib.sha256(json.dumps(request).encode()).hexdigest()


def inner_query(sql: str) -> str:
    """Return the SELECT of a query that `Submission` made, without the UNLOAD around it and the marker."""
    text = sql.rpartition(_MARK)[0] or sql
    if _TARGET.search(sql):
        return text.removeprefix("UNLOAD (\n").rpartition("\n) TO 's3://")[0]
    return text


Start = Callable[[Submission, str], str]
"""Starts a submission under a token and returns the query execution id."""


def generation_of(
    clear_number: int | None, max_tries: int, retries: int, run_started: datetime | None = None
) -> str:
    """Return what tells a run that was cleared from a retry after a crash.

    Clearing a finished task sets `max_tries` to its tries so far plus its retries, and clearing a run counts
    `clear_number` up. In Airflow 3.0 the latter is only done for a run that had finished, so the retries are
    in it too: with fewer of them than before, `max_tries` alone could repeat. A task that is cleared while it
    runs keeps its generation there; what it had started is then stopped or, if that failed, used. The start
    of the run is in it because a run that was deleted can come back under the same id.
    """
    started = f" since {run_started.isoformat()}" if run_started is not None else ""
    return f"{clear_number or 0}.{max_tries}.{retries}{started}"


def submit_once(submission: Submission, *, athena: AthenaClient, start: Start, is_retry: bool) -> str:
    """Return the id of the intention's query: the one that is there, else one that is started now.

    A query that was cancelled, or that Athena failed for a reason that passes, does not count as there.

    Args:
        submission: The query.
        athena: Client to look with.
        start: Starts it.
        is_retry: Whether the task, or Airflow for it, may have been here before; a first try need not look.

    Raises:
        QueryError: Athena failed it too often.
    """
    spent: list[str] = []  # newest first
    if is_retry:
        for response in recent_executions(athena, submission.workgroup):
            execution, marker = QueryExecution.from_response(response), _marker_of(response)
            if marker is None:
                continue
            if marker == submission.marker:
                if _counts(execution):
                    return execution.id
                spent.append(execution.id)
            elif marker.is_predecessor_of(submission.marker) and execution.is_running:
                athena.stop_query_execution(QueryExecutionId=execution.id)
    for number in range(len(spent), MAX_EXECUTIONS):
        query_execution_id = start(submission.numbered(number), submission.token(number))
        if not is_retry or _counts(look(athena, query_execution_id)):
            return query_execution_id
        spent.insert(0, query_execution_id)
    raise QueryError(
        f"{len(spent)} executions of the query were cancelled, or failed for reasons that should pass, "
        f"{spent[0]} last. See the AWS health dashboard, then clear run_query with all that is downstream."
    )


def require_budget(
    marker: Marker, athena: AthenaClient, *, workgroup: str, budget_bytes: int, now: datetime
) -> None:
    """Refuse a query of a backfill when the backfills of its DAG have used up what they may scan in a day.

    The query is expected to scan the mean of those that have ended. One that has not ended counts with what
    it has scanned, and at least with that mean. One that was started before is not refused: it is paid.

    So the budget can be exceeded, at most by what the queries scan that are under way together. Before the
    first of them has ended there is no mean, and each counts only with what Athena says that it has scanned.
    They do not wait for the first: the retries of a task are over before a long query is. What was started
    before the latest `BUDGET_LOOK_BACK` executions is not counted, and a warning says so.

    Args:
        marker: Of the query that is to be started.
        athena: Client to look with.
        workgroup: Athena workgroup.
        budget_bytes: What they may scan.
        now: The present, with a zone.

    Raises:
        QueryError: They have.
    """
    ended: list[int] = []
    running: list[int] = []
    for number, response in enumerate(recent_executions(athena, workgroup, BUDGET_LOOK_BACK), start=1):
        execution, other = QueryExecution.from_response(response), _marker_of(response)
        if now - datetime.fromisoformat(execution.submitted_at) > BUDGET_PERIOD:
            break
        if other == marker and _counts(execution):
            return
        if other is not None and other.is_of_backfill and other.owner[:2] == marker.owner[:2]:
            (running if execution.is_running else ended).append(execution.scanned_bytes)
        if number == BUDGET_LOOK_BACK:
            _log.warning(
                "The latest %d queries of workgroup %s do not reach back 24 hours, only to %s: what the "
                "backfills of %s scanned before does not count for their budget.",
                number,
                workgroup,
                execution.submitted_at,
                marker.dag_id,
            )
    mean = sum(ended) // len(ended) if ended else 0
    used = sum(ended) + sum(max(scanned, mean) for scanned in running)
    if used + mean > budget_bytes:
        raise QueryError(
            f"The backfills of {marker.dag_id} have scanned {used:,} bytes within 24 hours in "
            f"{len(ended) + len(running)} queries, and may scan {budget_bytes:,}, so this one was not "
            f"started. Raise ATHENA_REPORTS_BACKFILL_BUDGET, or wait; then start a backfill that reprocesses "
            f"failed runs."
        )


def look(athena: AthenaClient, query_execution_id: str) -> QueryExecution:
    """Return what Athena knows of an execution."""
    return QueryExecution.from_response(athena.get_query_execution(QueryExecutionId=query_execution_id))


def recent_executions(
    athena: AthenaClient, workgroup: str, number: int = LOOK_BACK
) -> Iterator[Mapping[str, Any]]:
    """Yield the workgroup's latest executions, newest first, each as GetQueryExecution answers it."""
    pages = athena.get_paginator("list_query_executions").paginate(
        WorkGroup=workgroup, PaginationConfig={"MaxItems": number, "PageSize": _PAGE}
    )
    for page in pages:
        if ids := page["QueryExecutionIds"]:
            batch = athena.batch_get_query_execution(QueryExecutionIds=ids)
            found = {execution["QueryExecutionId"]: execution for execution in batch["QueryExecutions"]}
            yield from ({"QueryExecution": found[id_]} for id_ in ids if id_ in found)


def standing_for(athena: AthenaClient, response: Mapping[str, Any]) -> QueryExecution | None:
    """Return the execution that stands for the intention of a query now; None if there is none, or no marker.

    A query that was cancelled, or that Athena failed for a reason that passes, does not.
    """
    return next(filter(_counts, map(QueryExecution.from_response, _related(athena, response))), None)


def stop_all(athena: AthenaClient, response: Mapping[str, Any]) -> list[str]:
    """Stop a query, and every other execution of its intention that is still running; return their ids."""
    found = [response, *_related(athena, response)]
    executions = {execution.id: execution for execution in map(QueryExecution.from_response, found)}
    stopped = [execution.id for execution in executions.values() if execution.is_running]
    for query_execution_id in stopped:
        athena.stop_query_execution(QueryExecutionId=query_execution_id)
    return stopped


def _related(athena: AthenaClient, response: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the recent executions of a query's intention, newest first; none without a marker."""
    marker = _marker_of(response)
    if marker is not None:
        for other in recent_executions(athena, response["QueryExecution"]["WorkGroup"]):
            if _marker_of(other) == marker:
                yield other


def _marker_of(response: Mapping[str, Any]) -> Marker | None:
    return Marker.find(response["QueryExecution"].get("Query", ""))


def _counts(execution: QueryExecution) -> bool:
    """Whether an execution stands for its intention, for better or worse."""
    if execution.state not in ("FAILED", "CANCELLED"):
        return True
    verdict = failures.of_execution(execution)
    return verdict is not failures.CANCELLED and verdict.decision is Decision.FAIL
