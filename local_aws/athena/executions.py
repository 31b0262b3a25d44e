"""The life of queries: accepted, queued, run by one of a few workers, and over for good."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
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
from local_aws.athena.workgroups import ENGINE_VERSION

FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")


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
    """One query execution. All but `id`, `request` and `output_location` changes under its lock."""

    request: Request
    output_location: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "QUEUED"
    reason: str | None = None
    failure: QueryFailed | None = None
    stop_requested: bool = False
    submitted: float = field(default_factory=time.time)
    started: float | None = None
    planned: float | None = None
    computed: float | None = None
    completed: float | None = None
    scans: list[TableScan] = field(default_factory=list)
    translation: Translation | None = None
    engine: Engine | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def finish(self, state: str, failure: QueryFailed | None = None) -> None:
        """Ends it, unless it is over: as CANCELLED if it was asked to stop, else as `state`."""
        with self.lock:
            if self.state in FINAL_STATES:
                return
            self.state = "CANCELLED" if self.stop_requested else state
            self.completed = time.time()
            if self.state == "CANCELLED":
                self.reason = "Query cancelled by user"
            elif failure is not None:
                self.failure, self.reason = failure, str(failure)

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
            if self.failure is not None:
                status["AthenaError"] = {
                    "ErrorCategory": self.failure.category,
                    "ErrorType": self.failure.error_type,
                    "Retryable": False,
                    "ErrorMessage": self.reason,
                }
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
        return {
            "QueryQueueTimeInMillis": _milliseconds(self.submitted, started),
            "QueryPlanningTimeInMillis": _milliseconds(started, planned),
            "EngineExecutionTimeInMillis": _milliseconds(started, computed),
            "ServiceProcessingTimeInMillis": _milliseconds(computed, end),
            "TotalExecutionTimeInMillis": _milliseconds(self.submitted, end),
            "DataScannedInBytes": sum(scan.scanned_bytes for scan in self.scans),
        }


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


class Executions:
    """All query executions, and the workers that run them."""

    def __init__(self, clients: Clients, workers: int = 4) -> None:
        self._clients = clients
        self._catalogs: dict[str, Catalog] = {}
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="athena")

    def start(self, request: Request, locate: Callable[[], str], token: str | None) -> Execution:
        """Accepts a query, or finds the one that its token stands for.

        Args:
            request: What is asked for.
            locate: Gives the prefix of the result.
            token: ClientRequestToken.

        Raises:
            ApiError: What Athena refuses at the start.
        """
        with self._lock:
            known = self._tokens.get(token) if token is not None else None
        if known is not None:
            return _same_request(known, request)
        sql, tree = dialect.parse(request.sql, request.parameters)
        execution = Execution(request, "")
        execution.output_location = f"{locate()}{execution.id}.csv"
        with self._lock:
            if token is not None:
                known = self._tokens.setdefault(token, execution)
                if known is not execution:
                    return _same_request(known, request)
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
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, execution: Execution, sql: str, tree: Any) -> None:
        engine = Engine()
        try:
            if execution.begin(engine):
                self._run(execution, engine, sql, tree)
                execution.finish("SUCCEEDED")
        except Interrupted:
            execution.finish("CANCELLED")
        except QueryFailed as error:
            execution.finish("FAILED", error)
        except Exception as error:  # a worker must not die, and a query must end
            execution.finish("FAILED", QueryFailed("INTERNAL", f"{type(error).__name__}: {error}"))
        finally:
            engine.close()

    def _run(self, execution: Execution, engine: Engine, sql: str, tree: Any) -> None:
        catalog = self.catalog(execution.request.region)
        translation = translate(sql, tree, catalog, execution.request.database)
        datasets = {}
        for scan in translation.scans:
            read, reading = _open(catalog, engine, scan)
            datasets[scan.name] = reading
            with execution.lock:
                execution.scans.append(read)
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


def _same_request(execution: Execution, request: Request) -> Execution:
    if execution.request != request:
        raise ApiError("Idempotent parameters do not match")
    return execution
