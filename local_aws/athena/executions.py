"""The life of queries: accepted, queued, run by one of a few workers, and over for good."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.athena import dialect, results
from local_aws.athena.catalog import Catalog, partition_values
from local_aws.athena.clients import Clients
from local_aws.athena.engine import Engine, Interrupted
from local_aws.athena.errors import ApiError, QueryFailed
from local_aws.athena.relations import Scan
from local_aws.athena.translate import Translation, translate
from local_aws.athena.workgroups import ENGINE_VERSION, WorkGroup
from local_aws.faults import Call, End, FailResultWrite, FaultPlan, ForgetToken

FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")
_THREADS = 10_000


@dataclass(frozen=True)
class Request:
    """What a client asked for, as far as it decides the result.

    Attributes:
        sql: The query as submitted.
        parameters: Literals for its `?`.
        database: Where unqualified tables are.
        workgroup: The workgroup's name.
        requested_location: The client's output location, None if it gave none.
        region: The region that the request was signed for.
    """

    sql: str
    parameters: tuple[str, ...]
    database: str
    workgroup: str
    requested_location: str | None
    region: str


@dataclass(frozen=True)
class TableScan:
    """What was read of one table in one place of the query."""

    table: str
    partitions: list[dict[str, str]]
    columns: list[str]
    scanned_bytes: int


@dataclass
class Execution:
    """One query execution.

    All but `id`, `request`, `output_location` and `scan_cutoff_bytes` changes under its lock. `scanned_bytes`
    is what a query that was ended before its time has scanned; None for all that its scans need.
    """

    request: Request
    output_location: str
    scan_cutoff_bytes: int | None = None
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
    translation: Translation | None = None
    engine: Engine | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def finish(self, state: str, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        """Ends it, unless it is over: as CANCELLED if it was asked to stop, else as `state`.

        Args:
            state: One of FINAL_STATES.
            reason: StateChangeReason.
            error: AthenaError.
        """
        with self.lock:
            if self.state in FINAL_STATES:
                return
            if self.stop_requested:
                state, reason, error = "CANCELLED", "Query cancelled by user", None
            self.state, self.reason, self.error, self.completed = state, reason, error, time.time()

    def stop(self) -> None:
        """Asks it to stop: at once if it is queued, else as soon as the engine lets go."""
        with self.lock:
            if self.state in FINAL_STATES:
                return
            self.stop_requested = True
            engine, queued = self.engine, self.started is None
        if engine is not None:
            engine.interrupt()
        if queued:
            self.finish("CANCELLED")

    def begin(self, engine: Engine) -> bool:
        """Takes it from the queue; False if it was stopped there."""
        with self.lock:
            if self.state != "QUEUED":
                return False
            self.state, self.started, self.engine = "RUNNING", time.time(), engine
            return True

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
                "SubstatementType": "SELECT",
                "ResultConfiguration": {"OutputLocation": self.output_location},
                "QueryExecutionContext": {"Database": self.request.database, "Catalog": "awsdatacatalog"},
                "Status": status,
                "Statistics": self._statistics(),
                "WorkGroup": self.request.workgroup,
                "EngineVersion": ENGINE_VERSION,
            }

    def _statistics(self) -> dict[str, int]:
        end = self.completed or time.time()
        started = self.started or end
        planned = self.planned or end
        computed = self.computed or end
        scanned = self.scanned_bytes
        return {
            "QueryQueueTimeInMillis": _milliseconds(self.submitted, started),
            "QueryPlanningTimeInMillis": _milliseconds(started, planned),
            "EngineExecutionTimeInMillis": _milliseconds(started, computed),
            "ServiceProcessingTimeInMillis": _milliseconds(computed, end),
            "TotalExecutionTimeInMillis": _milliseconds(self.submitted, end),
            "DataScannedInBytes": self._needed_bytes() if scanned is None else scanned,
        }

    def _needed_bytes(self) -> int:
        return sum(scan.scanned_bytes for scan in self.scans)

    def check_cutoff(self) -> None:
        """Stops counting at the workgroup's limit.

        Raises:
            CutoffExceededError: If the query would scan more.
        """
        with self.lock:
            if self.scan_cutoff_bytes is not None and self._needed_bytes() > self.scan_cutoff_bytes:
                self.scanned_bytes = self.scan_cutoff_bytes
                raise CutoffExceededError

    def call(self, action: str = "", state: str | None = None) -> Call:
        """What a fault's scope sees of it, in the state that it is in if none is given."""
        return Call(action, self.request.sql, self.request.workgroup, state or self.state)


class CutoffExceededError(Exception):
    """A query would scan more than its workgroup allows."""


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


class Executions:
    """All query executions, and the workers that run them.

    Args:
        clients: Clients of S3 and Glue.
        faults: What shall go wrong.
        workers: How many run at once; more wait QUEUED.
        max_active: How many may be queued or running; None for any number.
    """

    def __init__(
        self, clients: Clients, faults: FaultPlan, workers: int = 4, max_active: int | None = None
    ) -> None:
        self._clients = clients
        self._faults = faults
        self._max_active = max_active
        self._catalogs: dict[str, Catalog] = {}
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}
        self._lock = threading.Lock()
        # Each query waits in a thread of its own, so that one that is held QUEUED keeps no other waiting.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="athena")
        self._workers = threading.Semaphore(workers)

    def start(self, request: Request, group: WorkGroup, token: str | None) -> Execution:
        """Accepts a query, or finds the one that its token stands for.

        Args:
            request: What is asked for.
            group: The workgroup it runs in.
            token: ClientRequestToken.

        Raises:
            ApiError: What Athena refuses at the start.
        """
        with self._lock:
            known = self._tokens.get(token) if token is not None else None
        if known is not None:
            if self._faults.take(ForgetToken, known.call("StartQueryExecution")) is None:
                return _same_request(known, request)
            with self._lock:
                self._tokens.pop(token or "", None)
        sql, tree = dialect.parse(request.sql, request.parameters)
        execution = Execution(request, "", group.scan_cutoff_bytes)
        execution.output_location = f"{group.output_location(request.requested_location)}{execution.id}.csv"
        with self._lock:
            if token in self._tokens:
                return _same_request(self._tokens[token], request)
            self._check_room()
            if token is not None:
                self._tokens[token] = execution
            self._executions[execution.id] = execution
        self._pool.submit(self._work, execution, sql, tree)
        return execution

    def get(self, execution_id: str) -> Execution:
        """The execution.

        Raises:
            ApiError: If there is none.
        """
        execution = self._executions.get(execution_id)
        if execution is None:
            raise ApiError(f"QueryExecution {execution_id} was not found")
        return execution

    def stop(self, execution_id: str) -> None:
        """Asks one to stop.

        Raises:
            ApiError: If there is none.
        """
        self.get(execution_id).stop()
        self._faults.wake()

    def newest_first(self, workgroup: str) -> list[Execution]:
        """The executions of a workgroup."""
        with self._lock:
            return [e for e in reversed(self._executions.values()) if e.request.workgroup == workgroup]

    def catalog(self, region: str) -> Catalog:
        """The data catalog of a region."""
        with self._lock:
            if region not in self._catalogs:
                self._catalogs[region] = Catalog(self._clients, region)
            return self._catalogs[region]

    def close(self) -> None:
        """Stops what runs and ends the workers."""
        for execution in list(self._executions.values()):
            execution.stop()
        self._faults.wake()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _check_room(self) -> None:
        if self._max_active is None:
            return
        if sum(each.state not in FINAL_STATES for each in self._executions.values()) >= self._max_active:
            raise ApiError(
                "You have exceeded the limit for the number of queries you can run concurrently. Please"
                " reduce the number of concurrent queries submitted by this account. Contact customer support"
                " to request a concurrent query limit increase.",
                "TooManyRequestsException",
                reason="CONCURRENT_QUERY_LIMIT_EXCEEDED",
            )

    def _work(self, execution: Execution, sql: str, tree: Any) -> None:
        self._hold(execution, "QUEUED")
        with self._workers:
            if execution.state in FINAL_STATES:
                return
            engine = Engine()
            try:
                if execution.begin(engine):
                    self._hold(execution, "RUNNING")
                    self._end_or_run(execution, engine, sql, tree)
            except Interrupted:
                execution.finish("CANCELLED")
            except CutoffExceededError:
                execution.finish("CANCELLED", "Bytes scanned limit was exceeded")
            except QueryFailed as error:
                execution.finish("FAILED", str(error), error.athena_error)
            except Exception as error:  # a worker must not die, and a query must end
                failure = QueryFailed("INTERNAL", f"{type(error).__name__}: {error}")
                execution.finish("FAILED", str(failure), failure.athena_error)
            finally:
                engine.close()

    def _hold(self, execution: Execution, state: str) -> None:
        self._faults.hold(execution.call(state=state), lambda: execution.stop_requested)

    def _end_or_run(self, execution: Execution, engine: Engine, sql: str, tree: Any) -> None:
        if execution.stop_requested:
            raise Interrupted
        end = self._faults.take(End, execution.call())
        if end is None:
            self._run(execution, engine, sql, tree)
            execution.finish("SUCCEEDED")
            return
        with execution.lock:
            execution.scanned_bytes = end.scanned_bytes
        execution.finish(end.state, end.reason, _athena_error(end))

    def _run(self, execution: Execution, engine: Engine, sql: str, tree: Any) -> None:
        catalog = self.catalog(execution.request.region)
        translation = translate(sql, tree, catalog, execution.request.database)
        datasets = {}
        for scan in translation.scans:
            read, reading = _open(catalog, engine, scan)
            datasets[scan.name] = reading
            with execution.lock:
                execution.scans.append(read)
            execution.check_cutoff()
        with execution.lock:
            execution.translation, execution.planned = translation, time.time()
        with tempfile.TemporaryFile() as file:
            file.write(results.csv_header(translation.names))
            for batch in engine.run(translation.sql, datasets):
                file.write(results.csv_rows(batch, translation.types))
            with execution.lock:
                execution.computed = time.time()
            file.seek(0, os.SEEK_SET)
            self._store(execution, file, results.metadata(translation.names, translation.types))

    def _store(self, execution: Execution, file: BinaryIO, metadata: bytes) -> None:
        bucket, _, key = execution.output_location.removeprefix("s3://").partition("/")
        fault = self._faults.take(FailResultWrite, execution.call())
        if fault is not None:
            name = "RESULT_WRITE" if fault.error_type == 401 else "RESULT_BUCKET"
            raise QueryFailed(name, f"cannot write the result to {execution.output_location}")
        s3 = self._clients.get("s3", execution.request.region)
        try:
            s3.upload_fileobj(file, bucket, key)
            s3.put_object(Bucket=bucket, Key=f"{key}.metadata", Body=metadata)
        except (ClientError, BotoCoreError) as error:
            missing = "NoSuchBucket" in str(error)
            message = f"cannot write the result to {execution.output_location}: {error}"
            raise QueryFailed("RESULT_BUCKET" if missing else "RESULT_WRITE", message) from error


def _open(catalog: Catalog, engine: Engine, scan: Scan) -> tuple[TableScan, Any]:
    """Prunes a scan's partitions and opens the files of the rest."""
    partitions = catalog.partitions(scan.table)
    if scan.table.partition_types:
        values = partition_values(scan.table, partitions)
        partitions = [partitions[i] for i in engine.satisfying(values, scan.predicates)]
    reading = catalog.read(scan, partitions)
    read = TableScan(
        f"{scan.table.database}.{scan.table.name}",
        [dict(zip(scan.table.partition_types, each.values, strict=True)) for each in partitions],
        sorted(scan.columns),
        reading.scanned_bytes,
    )
    return read, reading.dataset


def _athena_error(end: End) -> dict[str, Any] | None:
    if end.error_type is None:
        return None
    error = {"ErrorCategory": end.category, "ErrorType": end.error_type, "ErrorMessage": end.reason}
    return error if end.retryable is None else {**error, "Retryable": end.retryable}


def _same_request(execution: Execution, request: Request) -> Execution:
    if execution.request != request:
        raise ApiError("Idempotent parameters do not match")
    return execution
