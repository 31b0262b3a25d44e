"""Statements in the process that runs them: from Athena's text to the bytes of a result."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from local_athena.athena import dialect, results, unload
from local_athena.athena.catalog import Catalog, Footers, partition_values
from local_athena.athena.dialect import Unload
from local_athena.athena.engine import Engine
from local_athena.athena.errors import EXCEEDED_MEMORY, ApiError, QueryFailed
from local_athena.athena.lake import FoundObject, FoundPartition
from local_athena.athena.limits import TEXT_CHARACTERS
from local_athena.athena.messages import (
    Ask,
    Check,
    Checked,
    CutoffExceeded,
    Done,
    Ended,
    Failed,
    Missing,
    Plan,
    Query,
    Ready,
    Refused,
    TableScan,
    Written,
)
from local_athena.athena.relations import Scan
from local_athena.athena.translate import Translation, translate, with_place
from local_athena.athena.types import VARCHAR

_PIECE_BYTES = 1 << 20
_BREAKING = ("INTERNAL", EXCEEDED_MEMORY)
_ENGINE_SHARE = 0.7


class Statements:
    """All statements of this process, one after the other."""

    def __init__(self, connection: Connection, memory_bytes: int) -> None:
        self._connection = connection
        self._service = _Service(connection)
        self._engine = Engine(int(memory_bytes * _ENGINE_SHARE))
        self._footers = Footers(self._service)
        pa.set_io_thread_count(2)  # their reads take turns on the one connection

    def serve(self, before_each: Callable[[], None]) -> None:
        """Answer statements until the connection is closed; call `before_each` when one comes."""
        self._connection.send(Ready())
        while True:
            try:
                statement = self._connection.recv()
            except EOFError:
                return
            before_each()
            outcome = self._outcome(statement)
            is_broken = isinstance(outcome, Failed) and outcome.name in _BREAKING
            self._connection.send(Ended(outcome, is_broken, _peak_bytes()))

    def _outcome(
        self, statement: Check | Query
    ) -> Checked | Refused | Failed | CutoffExceeded | Done:
        try:
            if isinstance(statement, Check):
                parsed = dialect.parse(statement.sql, statement.parameters)
                return Checked(parsed.unload.target if parsed.unload is not None else None)
            with self._service.open():
                return self._run(statement)
        except ApiError as error:
            return Refused(error.message, error.athena_code)
        except QueryFailed as error:
            return Failed(error.name, error.message)
        except _CutoffExceededError:
            return CutoffExceeded()
        except RecursionError:
            message = "statement is too large (stack overflow while it is analyzed)"
            if isinstance(statement, Check):
                return Refused(message, "MALFORMED_QUERY")
            return Failed("STACK_OVERFLOW", message)
        except (MemoryError, ConnectionError):
            raise
        except Exception as error:  # a query must end, and the next one has another process
            return Failed("INTERNAL", f"{type(error).__name__}: {error}")

    def _run(self, query: Query) -> Done:
        statement = dialect.parse(query.sql, query.parameters)
        catalog = Catalog(self._service, self._footers, query.now)
        translation = translate(statement, catalog, query.database, query.now)
        if len(translation.sql) > TEXT_CHARACTERS:
            message = (
                f"Query text length ({len(translation.sql)}) exceeds the maximum length"
                f" ({TEXT_CHARACTERS}) once it is translated for DuckDB"
            )
            raise QueryFailed("QUERY_TEXT_TOO_LARGE", message)
        schema = None
        if statement.unload is not None:
            schema = unload.schema(translation.names, translation.types)
        self._connection.send(_plan(translation, statement.unload))
        datasets = self._open(catalog, translation.scans, query.scan_cutoff_bytes)
        batches = self._engine.run(translation.sql, datasets)
        try:
            if statement.unload is None or schema is None:
                return self._write_csv(translation, batches)
            return self._write_files(statement.unload, translation, schema, batches)
        except QueryFailed as error:
            raise with_place(error, statement) from error

    def _open(
        self, catalog: Catalog, scans: Sequence[Scan], cutoff_bytes: int | None
    ) -> Mapping[str, ds.Dataset]:
        """Prune each scan's partitions and open the files of the rest."""
        datasets = {}
        scanned_bytes = 0
        for scan in scans:
            partitions = catalog.partitions(scan.table)
            keys = scan.table.partition_types
            if keys:
                values = partition_values(scan.table, partitions)
                kept = self._engine.satisfying(values, scan.predicates)
                partitions = [partitions[position] for position in kept]
            reading = catalog.read(scan, partitions)
            datasets[scan.name] = reading.dataset
            table_scan = TableScan(
                table=f"{scan.table.database}.{scan.table.name}",
                partitions=[dict(zip(keys, each.values, strict=True)) for each in partitions],
                columns=sorted(scan.columns),
                scanned_bytes=reading.scanned_bytes,
            )
            self._connection.send(table_scan)
            scanned_bytes += reading.scanned_bytes
            if cutoff_bytes is not None and scanned_bytes > cutoff_bytes:
                raise _CutoffExceededError
        return datasets

    def _write_csv(self, translation: Translation, batches: Iterator[pa.RecordBatch]) -> Done:
        self._service.write(0, results.csv_header(translation.names))
        for batch in batches:
            self._service.write(0, results.csv_rows(batch, translation.types))
        return Done()

    def _write_files(
        self,
        to: Unload,
        translation: Translation,
        schema: pa.Schema,
        batches: Iterator[pa.RecordBatch],
    ) -> Done:
        files = unload.Files(self._service.write, translation.types, schema, to.compression)
        for batch in batches:
            files.write(batch)
        return Done(files=tuple(files.close()), rows=files.rows)


class _CutoffExceededError(Exception):
    """A query would scan more than its workgroup allows."""


class _Service:
    """The service as a statement sees it: its `Lake`, and where it takes the result.

    A question raises LookupError if what it asks for is missing, or if no query is open. Offsets
    and lengths are in bytes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # Arrow reads files in threads of its own
        self._is_open = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let a query ask.

        Arrow reads ahead, and goes on when a query needs no more rows. When the query ends, the
        question that is under way is answered first, and each later one is refused: its answer
        would be taken for the next statement.
        """
        self._is_open = True
        try:
            yield
        finally:
            with self._lock:
                self._is_open = False

    def table(self, database: str, name: str) -> Mapping[str, Any] | None:
        table: Mapping[str, Any] | None = self._ask("table", database, name)
        return table

    def has_database(self, name: str) -> bool:
        return bool(self._ask("has_database", name))

    def partitions(self, database: str, table: str) -> Sequence[FoundPartition]:
        partitions: Sequence[FoundPartition] = self._ask("partitions", database, table)
        return partitions

    def objects(self, bucket: str, prefix: str) -> Sequence[FoundObject]:
        objects: Sequence[FoundObject] = self._ask("objects", bucket, prefix)
        return objects

    def read(self, found: FoundObject, offset: int, length: int) -> bytes:
        return bytes(self._ask("read", found, offset, length))

    def write(self, file: int, data: bytes | memoryview) -> None:
        """Send bytes of a file of the result, in pieces, so that the service needs no memory."""
        for start in range(0, len(data), _PIECE_BYTES):
            piece = bytes(data[start : start + _PIECE_BYTES])
            with self._lock:
                self._connection.send(Written(file, piece))

    def _ask(self, method: str, *arguments: Any) -> Any:
        with self._lock:
            if not self._is_open:
                raise LookupError("the query that asks has ended")
            self._connection.send(Ask(method, arguments))
            answer = self._connection.recv()
        if isinstance(answer, Missing):
            raise LookupError(answer.message)
        return answer.value


def _plan(translation: Translation, to: Unload | None) -> Plan:
    columns = results.column_info(translation.names, translation.types)
    if to is not None:
        columns = results.column_info(["file"], [VARCHAR])
    return Plan(
        duckdb_sql=translation.sql,
        columns=columns,
        metadata=results.metadata(translation.names, translation.types),
        unload_target=to.target if to is not None else None,
    )


def _peak_bytes() -> int:
    """The most memory that this process has had.

    Linux counts in `ru_maxrss` what the service had when it started the process.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
