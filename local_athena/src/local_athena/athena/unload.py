"""UNLOAD's Parquet files, as Athena's writer makes them: several at once, rows in no order."""

from __future__ import annotations

import io
import itertools
import random
import string
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from local_athena.athena.catalog import arrow_type
from local_athena.athena.errors import QueryFailed
from local_athena.athena.types import Type

_ROWS_OF_ONE_FILE = 1_000
_ROWS_PER_FILE = 250_000
_ROW_GROUP_ROWS = 125_000
_PENDING_ROWS = 1_000_000

_NOT_OF_HIVE = ("timestamp with time zone", "unknown", "json")


def schema(names: Sequence[str], types: Sequence[Type]) -> pa.Schema:
    """Return the schema of the files: a timestamp is TIMESTAMP(MILLIS), not adjusted to UTC.

    Raise QueryFailed for a type that Hive does not have, and for a column without a name of its own
    (Hive compares in lower case).
    """
    for position, (name, type_) in enumerate(zip(names, types, strict=True), 1):
        if name == f"_col{position - 1}":
            message = f"Column name not specified at position {position}"
            raise QueryFailed("MISSING_COLUMN_NAME", message)
        if any(base in _NOT_OF_HIVE or base.startswith("interval") for base in type_.bases):
            raise QueryFailed("NOT_SUPPORTED", f"Unsupported Hive type: {type_}")
    lower = [name.lower() for name in names]
    name, count = Counter(lower).most_common(1)[0]
    if count > 1:
        raise QueryFailed("DUPLICATE_COLUMN_NAME", f"Column name '{name}' specified more than once")
    columns = zip(lower, types, strict=True)
    return pa.schema([(name, arrow_type(type_, "ms")) for name, type_ in columns])


class Files:
    """The files of one UNLOAD, numbered from 0. Rows go to them in turn.

    Attributes:
        rows: How many rows have been written.
    """

    def __init__(
        self,
        write: Callable[[int, bytes], None],
        types: Sequence[Type],
        schema: pa.Schema,
        compression: str,
    ) -> None:
        self.rows = 0
        self._write = write
        self._types = types
        self._schema = schema
        self._compression = compression
        self._files: list[_File] = []
        self._turns = itertools.count()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the next rows."""
        columns = map(_written, batch.columns, self._types, self._schema.types)
        batch = pa.record_batch(list(columns), schema=self._schema)
        for start in range(0, batch.num_rows, _ROWS_OF_ONE_FILE):
            rows = batch.slice(start, _ROWS_OF_ONE_FILE)
            self.rows += rows.num_rows
            files = max(1 + (self.rows > _ROWS_OF_ONE_FILE), -(-self.rows // _ROWS_PER_FILE))
            if len(self._files) < files:
                writer = pq.ParquetWriter(
                    _Sink(self._write, len(self._files)),
                    self._schema,
                    compression=self._compression,
                    store_schema=False,
                    version="2.6",
                )
                self._files.append(_File(writer))
            row_group_rows = min(_ROW_GROUP_ROWS, _PENDING_ROWS // files)
            self._files[next(self._turns) % len(self._files)].write(rows, row_group_rows)

    def close(self) -> list[tuple[str, int]]:
        """End the files; return their names in S3, sorted, and their numbers.

        The names are those of Trino: the query's id, then a UUID.
        Never do they sort as the rows did.
        """
        for file in self._files:
            file.close()
        letters = "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
        moment = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
        query = f"{moment}_{random.randrange(100_000):05}_{letters}"
        names = sorted(f"{query}_{uuid.uuid4()}" for _ in self._files)
        return list(zip(names, reversed(range(len(self._files))), strict=True))


class _Sink(io.RawIOBase):
    """A file's bytes on their way."""

    def __init__(self, write: Callable[[int, bytes], None], number: int) -> None:
        self._write_next = write
        self._number = number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._write_next(self._number, bytes(data))
        return len(data)


class _File:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._pending: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch, row_group_rows: int) -> None:
        self._pending.append(rows)
        if sum(each.num_rows for each in self._pending) >= row_group_rows:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending))
            self._pending = []

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _written(column: pa.Array, type_: Type, written: pa.DataType) -> pa.Array:
    if type_.base == "char":
        column = pc.utf8_rtrim(column, " ")
    return column.cast(written)
