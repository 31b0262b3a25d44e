"""The life of queries: accepted, queued, run by one of a few workers, and over for good."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from local_athena.athena.clients import Clients
from local_athena.athena.errors import ApiError, QueryFailed
from local_athena.athena.lookups import Lookups
from local_athena.athena.messages import Plan, Query, TableScan
from local_athena.athena.output import Output
from local_athena.athena.workers import (
    CutoffExceededError,
    Worker,
    Workers,
)
from local_athena.athena.workgroups import ENGINE_VERSION, WorkGroup
from local_athena.faults import Call, End, FailResultWrite, FaultPlan, ForgetToken

FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")
_THREADS = 10_000


@dataclass(frozen=True)
class Request:
    """What a client asked for, as far as it decides the result.

    Attributes:
        database: Where unqualified tables are; None for `default`.
        catalog: The data catalog, as the client writes it.
        result_configuration: The client's ResultConfiguration; None if the request has none.
        region: The region that the request was signed for.
    """

    sql: str
    parameters: tuple[str, ...]
    database: str | None
    catalog: str
    workgroup: str
    result_configuration: Mapping[str, Any] | None
    region: str


@dataclass
class Execution:
    """One query execution.

    What has a default but `id` changes under its lock.

    Attributes:
        result_configuration: OutputLocation (a prefix) and ExpectedBucketOwner of its result; empty
            if Athena keeps the result itself.
        unload_target: Where UNLOAD writes; None for a plain query.
        scanned_bytes: What a query that was ended before its time has scanned; None for all that
            its scans need.
        kept: What GetQueryResults shows if not the CSV in S3: the rows of a managed result, or
            those of an UNLOAD's data manifest.
        unloaded_rows: How many rows UNLOAD has written.
    """

    request: Request
    result_configuration: Mapping[str, Any]
    scan_cutoff_bytes: int | None
    unload_target: str | None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "QUEUED"
    reason: str | None = None
    error: dict[str, Any] | None = None
    stop_requested: bool = False
    submitted: float = field(default_factory=time.time)
    started: float | None = None
    planned: float | None = None
    computed: float | None = None
    completed: float | None = None
    scans: list[TableScan] = field(default_factory=list)
    scanned_bytes: int | None = None
    kept: bytes | None = None
    unloaded_rows: int = 0
    plan: Plan | None = None
    worker: Worker | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_managed(self) -> bool:
        """Whether Athena keeps the result itself."""
        return not self.result_configuration

    @property
    def output_location(self) -> str:
        """The `s3://` URL of its result: the CSV, or the stem of UNLOAD's manifest and metadata."""
        suffix = ".csv" if self.unload_target is None else ""
        return f"{self.result_configuration['OutputLocation']}{self.id}{suffix}"

    @property
    def manifest_location(self) -> str:
        """The `s3://` URL of an UNLOAD's data manifest."""
        return f"{self.output_location}-manifest.csv"

    def finish(
        self, state: str, reason: str | None = None, error: dict[str, Any] | None = None
    ) -> None:
        """End it, unless it is over: as CANCELLED if it was asked to stop, else as `state`."""
        with self.lock:
            if self.state in FINAL_STATES:
                return
            if self.stop_requested:
                state, reason, error = "CANCELLED", "Query cancelled by user", None
            self.state, self.reason, self.error, self.completed = state, reason, error, time.time()

    def stop(self) -> None:
        """Ask it to stop, and kill the process that runs it."""
        with self.lock:
            if self.state in FINAL_STATES:
                return
            self.stop_requested = True
            if self.worker is not None:
                self.worker.kill()
            queued = self.started is None
        if queued:
            self.finish("CANCELLED")

    def begin(self) -> bool:
        """Take it from the queue; False if it was stopped there."""
        with self.lock:
            if self.state != "QUEUED":
                return False
            self.state, self.started = "RUNNING", time.time()
            return True

    def check_stop(self) -> None:
        """Raise Interrupted if it was asked to stop."""
        if self.stop_requested:
            raise Interrupted

    @contextmanager
    def running_in(self, worker: Worker) -> Iterator[None]:
        """Note the process in which it runs, which a stop kills; raise Interrupted after a stop."""
        with self.lock:
            self.check_stop()
            self.worker = worker
        try:
            yield
        finally:
            with self.lock:
                self.worker = None

    def describe(self) -> dict[str, Any]:
        """QueryExecution in the service model."""
        with self.lock:
            status: dict[str, Any] = {"State": self.state, "SubmissionDateTime": self.submitted}
            if self.completed is not None:
                status["CompletionDateTime"] = self.completed
            if self.reason is not None:
                status["StateChangeReason"] = self.reason
            if self.error is not None:
                status["AthenaError"] = self.error
            return {
                "QueryExecutionId": self.id,
                "Query": self.request.sql,
                "StatementType": "DML",
                "SubstatementType": "SELECT" if self.unload_target is None else "UNLOAD",
                **self._result_place(),
                "QueryExecutionContext": self._context(),
                "Status": status,
                "Statistics": self._statistics(),
                "WorkGroup": self.request.workgroup,
                "EngineVersion": ENGINE_VERSION,
            }

    def _context(self) -> dict[str, str]:
        database = {"Database": self.request.database} if self.request.database else {}
        return {**database, "Catalog": self.request.catalog.lower()}

    def _result_place(self) -> dict[str, Any]:
        if self.is_managed:
            return {"ManagedQueryResultsConfiguration": {"Enabled": True}}
        place = {**self.result_configuration, "OutputLocation": self.output_location}
        return {"ResultConfiguration": place}

    def _statistics(self) -> dict[str, Any]:
        end = self.completed or time.time()
        started = self.started or end
        planned = self.planned or end
        computed = self.computed or end
        needed = sum(scan.scanned_bytes for scan in self.scans)
        has_manifest = (
            self.unload_target is not None and self.state == "SUCCEEDED" and not self.is_managed
        )
        return {
            **({"DataManifestLocation": self.manifest_location} if has_manifest else {}),
            "QueryQueueTimeInMillis": _milliseconds(self.submitted, started),
            "QueryPlanningTimeInMillis": _milliseconds(started, planned),
            "EngineExecutionTimeInMillis": _milliseconds(started, computed),
            "ServiceProcessingTimeInMillis": _milliseconds(computed, end),
            "TotalExecutionTimeInMillis": _milliseconds(self.submitted, end),
            "DataScannedInBytes": needed if self.scanned_bytes is None else self.scanned_bytes,
        }

    def call(self, action: str = "", state: str | None = None) -> Call:
        """Return what a fault's scope sees of it, in the state that it is in if none is given."""
        return Call(action, self.request.sql, self.request.workgroup, state or self.state)


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The query was stopped."""


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


class Executions:
    """All query executions: `queries_at_once` run, at most `max_active` are queued or running."""

    def __init__(
        self,
        clients: Clients,
        faults: FaultPlan,
        workers: Workers,
        queries_at_once: int,
        max_active: int | None,
    ) -> None:
        self._clients = clients
        self._faults = faults
        self._workers = workers
        self._max_active = max_active
        self._lakes: dict[str, Lookups] = {}
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}
        self._lock = threading.Lock()
        # Each query waits in a thread of its own,
        # so that one that is held QUEUED keeps no other waiting.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="athena")
        self._turns = threading.Semaphore(queries_at_once)

    def start(self, request: Request, group: WorkGroup, token: str) -> Execution:
        """Accept a query, or find the one that its ClientRequestToken stands for.

        What is rejected uses no token up: the location of the result and the syntax are checked
        first, as recorded.
        """
        place = group.result_configuration(request.result_configuration)
        unload_target = self._workers.check(request.sql, request.parameters)
        execution = Execution(request, place, group.scan_cutoff_bytes, unload_target)
        with self._lock:
            known = self._tokens.get(token)
        if known is not None:
            call = known.call("StartQueryExecution")
            if self._faults.take(ForgetToken, call) is not None:
                with self._lock:
                    self._tokens.pop(token, None)
        with self._lock:
            if token in self._tokens:
                return _same_request(self._tokens[token], execution)
            self._check_room()
            self._tokens[token] = execution
            self._executions[execution.id] = execution
        self._pool.submit(self._work, execution)
        return execution

    def get(self, execution_id: str) -> Execution:
        """Return the execution."""
        execution = self._executions.get(execution_id)
        if execution is None:
            raise ApiError(
                f"QueryExecution {execution_id} was not found",
                athena_code="QUERY_EXECUTION_NOT_FOUND",
            )
        return execution

    def stop(self, execution_id: str) -> None:
        """Ask one to stop."""
        self.get(execution_id).stop()
        self._faults.wake()
        self._workers.wake()

    def newest_first(self, workgroup: str) -> list[Execution]:
        """Return the executions of a workgroup."""
        with self._lock:
            newest_first = list(reversed(self._executions.values()))
        return [each for each in newest_first if each.request.workgroup == workgroup]

    def close(self) -> None:
        """Stop what runs and end the threads; the processes stay."""
        for execution in list(self._executions.values()):
            execution.stop()
        self._faults.wake()
        self._workers.wake()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _check_room(self) -> None:
        if self._max_active is None:
            return
        active = sum(each.state not in FINAL_STATES for each in self._executions.values())
        if active >= self._max_active:
            raise ApiError(
                "You have exceeded the limit for the number of queries you can run concurrently."
                " Please reduce the number of concurrent queries submitted by this account. Contact"
                " customer support to request a concurrent query limit increase.",
                "TooManyRequestsException",
                reason="CONCURRENT_QUERY_LIMIT_EXCEEDED",
            )

    def _work(self, execution: Execution) -> None:
        self._hold(execution, "QUEUED")
        with self._turns:
            if not execution.begin():
                return
            try:
                self._hold(execution, "RUNNING")
                self._end_or_run(execution)
            except Interrupted:
                execution.finish("CANCELLED")
            except CutoffExceededError:
                with execution.lock:
                    execution.scanned_bytes = execution.scan_cutoff_bytes
                execution.finish("CANCELLED", "Bytes scanned limit was exceeded")
            except QueryFailed as error:
                execution.finish("FAILED", str(error), error.athena_error)
            except Exception as error:  # a worker must not die, and a query must end
                failure = QueryFailed("INTERNAL", f"{type(error).__name__}: {error}")
                execution.finish("FAILED", str(failure), failure.athena_error)

    def _hold(self, execution: Execution, state: str) -> None:
        self._faults.hold(execution.call(state=state), lambda: execution.stop_requested)

    def _end_or_run(self, execution: Execution) -> None:
        execution.check_stop()
        end = self._faults.take(End, execution.call())
        if end is None:
            self._run(execution)
            execution.finish("SUCCEEDED")
            return
        with execution.lock:
            execution.scanned_bytes = end.scanned_bytes
        execution.finish(end.state, end.reason, _athena_error(end))

    def _run(self, execution: Execution) -> None:
        request = execution.request
        query = Query(
            sql=request.sql,
            parameters=request.parameters,
            database=request.database or "default",
            scan_cutoff_bytes=execution.scan_cutoff_bytes,
            now=dt.datetime.fromtimestamp(execution.submitted, dt.UTC),
        )
        output = Output(
            clients=self._clients,
            region=request.region,
            owner=execution.result_configuration.get("ExpectedBucketOwner"),
            check_stop=execution.check_stop,
        )
        with output:
            with (
                self._workers.borrow(is_over=lambda: execution.stop_requested) as worker,
                execution.running_in(worker),
            ):
                done = worker.run(query, _Host(execution, self._lake(request.region), output))
            with execution.lock:
                execution.computed = time.time()
            failure = self._write_failure(execution)
            if execution.unload_target is None:
                if failure is not None:
                    raise failure
                _write_csv(execution, output)
            else:
                names = output.unload(execution.unload_target, done.files[: 1 if failure else None])
                if failure is not None:
                    raise failure
                _write_manifest(execution, output, names, done.rows)

    def _lake(self, region: str) -> Lookups:
        with self._lock:
            if region not in self._lakes:
                self._lakes[region] = Lookups(region)
            return self._lakes[region]

    def _write_failure(self, execution: Execution) -> QueryFailed | None:
        fault = self._faults.take(FailResultWrite, execution.call())
        if fault is None:
            return None
        name = "RESULT_WRITE" if fault.error_type == 401 else "RESULT_BUCKET"
        return QueryFailed(name, "cannot write the result, on demand")


class _Host:
    """What a query says while it runs, noted in its execution."""

    def __init__(self, execution: Execution, lake: Lookups, output: Output) -> None:
        self.lake = lake
        self.written = output.write
        self._execution = execution
        self._output = output

    def planned(self, plan: Plan) -> None:
        with self._execution.lock:
            self._execution.plan, self._execution.planned = plan, time.time()
        if plan.unload_target is not None:
            self._output.check_empty(plan.unload_target)

    def scanned(self, scan: TableScan) -> None:
        with self._execution.lock:
            self._execution.scans.append(scan)
            self._execution.planned = time.time()


def _write_csv(execution: Execution, output: Output) -> None:
    assert execution.plan is not None
    if execution.is_managed:
        kept = output.read(0)
        with execution.lock:
            execution.kept = kept
        return
    output.put_file(execution.output_location, 0)
    output.put(f"{execution.output_location}.metadata", execution.plan.metadata)


def _write_manifest(execution: Execution, output: Output, names: list[str], rows: int) -> None:
    assert execution.plan is not None
    lines = ['"{}"\n'.format(name.replace('"', '""')) for name in names]
    with execution.lock:
        execution.unloaded_rows = rows
        execution.kept = "".join(lines).encode()
    if not execution.is_managed:
        output.put(f"{execution.output_location}.metadata", execution.plan.metadata)
        manifest = "".join(f"{name}\n" for name in names)
        output.put(execution.manifest_location, manifest.encode())


def _athena_error(end: End) -> dict[str, Any] | None:
    if end.error_type is None:
        return None
    error = {"ErrorCategory": end.category, "ErrorType": end.error_type, "ErrorMessage": end.reason}
    return error if end.retryable is None else {**error, "Retryable": end.retryable}


def _same_request(known: Execution, new: Execution) -> Execution:
    """The execution that a token stands for.

    Other parameters and workgroups do not count, as recorded.
    """
    facts = [
        (each.request.sql, each.request.database, each.request.catalog, each.result_configuration)
        for each in (known, new)
    ]
    if facts[0] != facts[1]:
        message = "Idempotent parameters do not match"
        raise ApiError(message, athena_code="IDEMPOTENT_PARAMETER_MISMATCH")
    return known
