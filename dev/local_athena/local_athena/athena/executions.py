"""The life of queries: accepted, queued, run by one of a few workers, and over for good."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from local_athena.athena import dialect, results, unload
from local_athena.athena.catalog import Catalog, partition_values
from local_athena.athena.clients import Clients
from local_athena.athena.dialect import Statement, Unload
from local_athena.athena.engine import Engine, Interrupted
from local_athena.athena.errors import ApiError, QueryFailed
from local_athena.athena.relations import Scan
from local_athena.athena.translate import Translation, translate
from local_athena.athena.types import VARCHAR
from local_athena.athena.workgroups import ENGINE_VERSION, WorkGroup
from local_athena.faults import Call, End, FailResultWrite, FaultPlan, ForgetToken

FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")
_THREADS = 10_000


@dataclass(frozen=True)
class Request:
    """What a client asked for, as far as it decides the result.

    Attributes:
        sql: The query as submitted.
        parameters: Literals for its `?`.
        database: Where unqualified tables are; None for `default`.
        catalog: The data catalog, as the client writes it.
        workgroup: The workgroup's name.
        result_configuration: The client's ResultConfiguration.
        region: The region that the request was signed for.
    """

    sql: str
    parameters: tuple[str, ...]
    database: str | None
    catalog: str
    workgroup: str
    result_configuration: Mapping[str, Any]
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

    What has a default but `id` changes under its lock.

    Attributes:
        request: What the client asked for.
        result_configuration: OutputLocation (a prefix) and ExpectedBucketOwner of its result; empty
            if Athena keeps the result itself.
        scan_cutoff_bytes: The workgroup's limit.
        unload: Where UNLOAD writes; None for a plain query.
        scanned_bytes: What a query that was ended before its time has scanned; None for all that
            its scans need.
        kept: What GetQueryResults shows if not the CSV in S3: the rows of a managed result, or
            those of an UNLOAD's data manifest.
        unloaded_rows: How many rows UNLOAD has written.
    """

    request: Request
    result_configuration: Mapping[str, Any]
    scan_cutoff_bytes: int | None
    unload: Unload | None
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
    translation: Translation | None = None
    engine: Engine | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_managed(self) -> bool:
        """Whether Athena keeps the result itself."""
        return not self.result_configuration

    @property
    def output_location(self) -> str:
        """The `s3://` URL of its result: the CSV, or the stem of UNLOAD's manifest and metadata."""
        suffix = ".csv" if self.unload is None else ""
        return f"{self.result_configuration['OutputLocation']}{self.id}{suffix}"

    @property
    def manifest_location(self) -> str:
        """The `s3://` URL of an UNLOAD's data manifest."""
        return f"{self.output_location}-manifest.csv"

    def finish(
        self, state: str, reason: str | None = None, error: dict[str, Any] | None = None
    ) -> None:
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
                "SubstatementType": "SELECT" if self.unload is None else "UNLOAD",
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
        scanned = self.scanned_bytes
        has_manifest = self.unload is not None and self.state == "SUCCEEDED" and not self.is_managed
        return {
            **({"DataManifestLocation": self.manifest_location} if has_manifest else {}),
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
        self,
        clients: Clients,
        faults: FaultPlan,
        workers: int,
        max_active: int | None,
    ) -> None:
        self._clients = clients
        self._faults = faults
        self._max_active = max_active
        self._catalogs: dict[str, Catalog] = {}
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}
        self._lock = threading.Lock()
        # Each query waits in a thread of its own,
        # so that one that is held QUEUED keeps no other waiting.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="athena")
        self._workers = threading.Semaphore(workers)

    def start(self, request: Request, group: WorkGroup, token: str) -> Execution:
        """Accepts a query, or finds the one that its token stands for.

        What is refused uses no token up: the location of the result and the syntax are looked at
        first, as recorded.

        Args:
            request: What is asked for.
            group: The workgroup it runs in.
            token: ClientRequestToken.

        Raises:
            ApiError: What Athena refuses at the start.
        """
        place = group.result_configuration(request.result_configuration)
        statement = dialect.parse(request.sql, request.parameters)
        execution = Execution(request, place, group.scan_cutoff_bytes, statement.unload)
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
        self._pool.submit(self._work, execution, statement)
        return execution

    def get(self, execution_id: str) -> Execution:
        """The execution.

        Raises:
            ApiError: If there is none.
        """
        execution = self._executions.get(execution_id)
        if execution is None:
            raise ApiError(
                f"QueryExecution {execution_id} was not found",
                athena_code="QUERY_EXECUTION_NOT_FOUND",
            )
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
            newest_first = list(reversed(self._executions.values()))
        return [each for each in newest_first if each.request.workgroup == workgroup]

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
        active = sum(each.state not in FINAL_STATES for each in self._executions.values())
        if active >= self._max_active:
            raise ApiError(
                "You have exceeded the limit for the number of queries you can run concurrently."
                " Please reduce the number of concurrent queries submitted by this account. Contact"
                " customer support to request a concurrent query limit increase.",
                "TooManyRequestsException",
                reason="CONCURRENT_QUERY_LIMIT_EXCEEDED",
            )

    def _work(self, execution: Execution, statement: Statement) -> None:
        self._hold(execution, "QUEUED")
        with self._workers:
            if execution.state in FINAL_STATES:
                return
            engine = Engine()
            try:
                if execution.begin(engine):
                    self._hold(execution, "RUNNING")
                    self._end_or_run(execution, engine, statement)
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

    def _end_or_run(self, execution: Execution, engine: Engine, statement: Statement) -> None:
        if execution.stop_requested:
            raise Interrupted
        end = self._faults.take(End, execution.call())
        if end is None:
            self._run(execution, engine, statement)
            execution.finish("SUCCEEDED")
            return
        with execution.lock:
            execution.scanned_bytes = end.scanned_bytes
        execution.finish(end.state, end.reason, _athena_error(end))

    def _run(self, execution: Execution, engine: Engine, statement: Statement) -> None:
        catalog = self.catalog(execution.request.region)
        translation = translate(statement, catalog, execution.request.database or "default")
        if execution.unload is not None:
            schema = unload.schema(translation.names, translation.types)
            self._check_empty(execution, execution.unload.target)
        datasets = {}
        for scan in translation.scans:
            read, reading = _open(catalog, engine, scan)
            datasets[scan.name] = reading
            with execution.lock:
                execution.scans.append(read)
            execution.check_cutoff()
        with execution.lock:
            execution.translation, execution.planned = translation, time.time()
        batches = engine.run(translation.sql, datasets)
        if execution.unload is None:
            self._write_csv(execution, translation, batches)
        else:
            self._write_files(execution, execution.unload, translation, schema, batches)

    def _write_csv(
        self, execution: Execution, translation: Translation, batches: Iterator[pa.RecordBatch]
    ) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(results.csv_header(translation.names))
            for batch in batches:
                file.write(results.csv_rows(batch, translation.types))
            with execution.lock:
                execution.computed = time.time()
            file.seek(0, os.SEEK_SET)
            failure = self._write_failure(execution)
            if failure is not None:
                raise failure
            if execution.is_managed:
                with execution.lock:
                    execution.kept = file.read()
                return
            self._put(execution, execution.output_location, file)
            metadata = results.metadata(translation.names, translation.types)
            self._put(execution, f"{execution.output_location}.metadata", io.BytesIO(metadata))

    def _write_files(
        self,
        execution: Execution,
        to: Unload,
        translation: Translation,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            files = unload.Files(Path(folder), translation.types, schema, to.compression)
            for batch in batches:
                files.write(batch)
            with execution.lock:
                execution.computed = time.time()
            failure = self._write_failure(execution)
            written = []
            for name, path in files.close()[: 1 if failure else None]:
                if execution.stop_requested:
                    raise Interrupted
                with path.open("rb") as file:
                    self._put(execution, f"{to.target}{name}", file, is_target=True)
                written.append(f"{to.target}{name}")
        if failure is not None:
            raise failure
        with execution.lock:
            execution.unloaded_rows = files.rows
            rows = pa.record_batch([pa.array(written, pa.string())], ["file"])
            execution.kept = bytes(results.csv_rows(rows, [VARCHAR]))
        if not execution.is_managed:
            metadata = results.metadata(translation.names, translation.types)
            self._put(execution, f"{execution.output_location}.metadata", io.BytesIO(metadata))
            manifest = "".join(f"{uri}\n" for uri in written)
            self._put(execution, execution.manifest_location, io.BytesIO(manifest.encode()))

    def _write_failure(self, execution: Execution) -> QueryFailed | None:
        fault = self._faults.take(FailResultWrite, execution.call())
        if fault is None:
            return None
        name = "RESULT_WRITE" if fault.error_type == 401 else "RESULT_BUCKET"
        return QueryFailed(name, "cannot write the result, on demand")

    def _check_empty(self, execution: Execution, target: str) -> None:
        bucket, _, prefix = target.removeprefix("s3://").partition("/")
        s3 = self._clients.get("s3", execution.request.region)
        with _writing(target):
            found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        if found["KeyCount"]:
            message = (
                f"Target directory {target} already exists; Athena deletes no data, so name another"
            )
            raise QueryFailed("HIVE_PATH_ALREADY_EXISTS", message)

    def _put(
        self, execution: Execution, location: str, file: BinaryIO, *, is_target: bool = False
    ) -> None:
        """Writes an object.

        The expected owner is not that of UNLOAD's target (user guide, "UNLOAD").
        """
        bucket, _, key = location.removeprefix("s3://").partition("/")
        owner = {}
        if "ExpectedBucketOwner" in execution.result_configuration and not is_target:
            owner["ExpectedBucketOwner"] = execution.result_configuration["ExpectedBucketOwner"]
        s3 = self._clients.get("s3", execution.request.region)
        with _writing(location):
            s3.upload_fileobj(file, bucket, key, ExtraArgs=owner)


@contextmanager
def _writing(location: str) -> Iterator[None]:
    """Names what S3 refuses as a query's failure."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        names = {"NoSuchBucket": "RESULT_BUCKET", "AccessDenied": "PERMISSION_DENIED"}
        message = f"cannot write the result to {location}: {error}"
        raise QueryFailed(names.get(code, "RESULT_WRITE"), message) from error


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
