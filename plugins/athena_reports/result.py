"""An Athena result as typed Arrow record batches, whatever its size and wherever Athena put it.

A SELECT leaves a CSV in S3 or, in a workgroup with managed results, pages of GetQueryResults; an UNLOAD
leaves Parquet files that its data manifest lists. All three give the same rows in the same types.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports import csvstream, schema
from athena_reports.errors import ResultError
from athena_reports.queries.execution import QueryExecution
from athena_reports.storage import (
    COPY_BYTES,
    ConditionError,
    MissingObjectError,
    Storage,
    StorageError,
    StoredObject,
)

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

ROWS_PER_GROUP = 65_536
"""Fewer rows than this in a row group, on average, make a Parquet file slow to read."""

_AGAIN = "If it has expired, clear run_query with all that is downstream."
_NESTED = frozenset({"array", "map", "row"})
_PAGE_ROWS = 1_000  # GetQueryResults answers no more
_DOWNLOADS = 2
_FOOTERS = 8
_FOOTER_BYTES = 64 * 1024
_MAGIC = b"PAR1"
_BATCH_ROWS = 16_384
_BATCH_BYTES = 8 * 1024 * 1024
_READ_BYTES = 128 * 1024  # of a Parquet file, per column


@dataclass(frozen=True)
class UnloadedFile:
    """A Parquet file that an UNLOAD wrote.

    Attributes:
        stored: The object.
        rows: Number of rows in it.
    """

    stored: StoredObject
    rows: int


@dataclass(frozen=True)
class Result:
    """A result: its columns, and its rows as a stream that can be read once.

    Attributes:
        schema: Names and types of the columns, in the order of the SELECT.
        batches: The rows; at least one batch, which is empty when there are none. Close it if it is not read
            to its end.
        find_files: Only for an UNLOAD with rows. Returns its files, sorted by their keys, if they may be
            published as they are: if their row groups hold `ROWS_PER_GROUP` rows on average, or each file has
            only one, and S3 can copy each. Else it returns none. It does not read the rows.
        ordered: Whether the rows come in the order of the query; an UNLOAD writes them in parallel.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    find_files: Callable[[], Sequence[UnloadedFile]] | None = None
    ordered: bool = True


def open_result(execution: QueryExecution, *, athena: AthenaClient, storage: Storage) -> Result:
    """Open the result of a query that has succeeded.

    Args:
        execution: The query.
        athena: Client to ask for its columns and, of a managed result, for its rows.
        storage: S3.

    Raises:
        ResultError: The result is gone, or cannot be read as what it claims to be.
        StorageError: S3 does not let it be read.
    """
    if execution.statement == "UNLOAD":
        return _open_unload(execution, athena, storage)
    if execution.output_location:
        return _open_csv(execution, athena, storage)
    return _open_pages(execution, athena)


def _open_csv(execution: QueryExecution, athena: AthenaClient, storage: Storage) -> Result:
    columns = _schema(execution, _page(execution, athena, MaxResults=1))
    with _explained(execution):
        stream = storage.open(execution.output_location)

    def batches() -> Iterator[pa.RecordBatch]:
        pieces = iter(partial(stream.read, csvstream.CHUNK_BYTES), b"")
        with _explained(execution), stream:
            yield from csvstream.read_csv(pieces, columns, about=_about(execution))

    return Result(columns, batches())


def _open_pages(execution: QueryExecution, athena: AthenaClient) -> Result:
    pages = _pages(execution, athena)
    first = next(pages)
    columns = _schema(execution, first)
    pieces = map(_as_csv, chain([first], pages))
    return Result(columns, csvstream.read_csv(pieces, columns, about=_about(execution)))


def _pages(execution: QueryExecution, athena: AthenaClient, **options: Any) -> Iterator[Mapping[str, Any]]:
    page = _page(execution, athena, MaxResults=_PAGE_ROWS, **options)
    yield page
    while token := page.get("NextToken"):
        page = _page(execution, athena, MaxResults=_PAGE_ROWS, NextToken=token, **options)
        yield page


def _page(execution: QueryExecution, athena: AthenaClient, **options: Any) -> Mapping[str, Any]:
    try:
        return athena.get_query_results(QueryExecutionId=execution.id, **options)
    except (ClientError, BotoCoreError) as error:
        raise ResultError(
            f"{_about(execution)}: GetQueryResults does not give its result: {error}. Athena keeps a managed "
            f"result for 24 hours. {_AGAIN}"
        ) from error


def _schema(execution: QueryExecution, page: Mapping[str, Any]) -> pa.Schema:
    try:
        return schema.result_schema(page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"])
    except ValueError as error:
        raise ResultError(f"{_about(execution)}: {error}") from error


def _as_csv(page: Mapping[str, Any]) -> bytes:
    """The rows of a page as Athena writes them into a CSV; the first row of all is the header."""
    rows = [",".join(map(_field, row["Data"])) + "\n" for row in page["ResultSet"]["Rows"]]
    return "".join(rows).encode()


def _field(datum: Mapping[str, str]) -> str:
    value = datum.get("VarCharValue")
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def _open_unload(execution: QueryExecution, athena: AthenaClient, storage: Storage) -> Result:
    uris = _manifest(execution, athena, storage)
    if not uris:
        columns = _columns_of_nothing(execution, athena, storage)
        return Result(columns, iter([pa.RecordBatch.from_pylist([], schema=columns)]))
    files = _UnloadedFiles(execution, storage, uris)
    return Result(files.schema, files.batches(), files.find, ordered=False)


def _manifest(execution: QueryExecution, athena: AthenaClient, storage: Storage) -> list[str]:
    """Addresses of the files that an UNLOAD wrote, by key."""
    lines: list[str] = []
    if execution.data_manifest:
        with _explained(execution):
            lines = storage.read(execution.data_manifest)[0].decode().splitlines()
    elif not execution.output_location:  # a managed result
        pages = _pages(execution, athena, QueryResultType="DATA_MANIFEST")
        lines = [
            row["Data"][0].get("VarCharValue", "") for page in pages for row in page["ResultSet"]["Rows"]
        ]
    uris = [line.strip().strip('"') for line in lines]
    return sorted(uri for uri in uris if uri.startswith("s3://"))


@dataclass(frozen=True)
class _Footer:
    """The end of a file, with its metadata; all of it if it is small."""

    stored: StoredObject
    end: bytes

    @classmethod
    def read(cls, uri: str, storage: Storage) -> _Footer:
        end, stored = storage.tail(uri, _FOOTER_BYTES)
        needed = int.from_bytes(end[-8:-4], "little") + 8
        if end.endswith(_MAGIC) and len(end) < needed <= stored.bytes:
            end, stored = storage.tail(uri, needed)
        return cls(stored, end)

    @property
    def whole(self) -> pa.NativeFile | None:
        """The file, if this is all of it."""
        return pa.BufferReader(self.end) if len(self.end) == self.stored.bytes else None


class _UnloadedFiles:
    """The files of an UNLOAD; the end of the first one is read at once, for its schema.

    What is downloaded has no name on disk, so that it goes when it is closed, or when the process ends.
    """

    def __init__(self, execution: QueryExecution, storage: Storage, uris: Sequence[str]) -> None:
        self._execution = execution
        self._storage = storage
        self._uris = uris
        self._etags: dict[str, str] = {}
        self._first = self._footer(uris[0])
        with self._opened(self._first) as file:
            self.schema = _plain_schema(file, _about(execution, uris[0]))

    def find(self) -> Sequence[UnloadedFile]:
        """What `Result.find_files` does."""
        with ThreadPoolExecutor(_FOOTERS) as pool:
            footers = [self._first, *pool.map(self._footer, self._uris[1:])]
        files, groups, most = [], 0, 0
        for footer in footers:
            about = _about(self._execution, footer.stored.uri)
            with self._opened(footer) as file:
                _check_columns(_plain_schema(file, about), self.schema, about)
                files.append(UnloadedFile(footer.stored, file.metadata.num_rows))
                groups += file.num_row_groups
                most = max(most, file.num_row_groups)
        large_groups = most <= 1 or sum(file.rows for file in files) >= groups * ROWS_PER_GROUP
        return files if large_groups and all(file.stored.bytes <= COPY_BYTES for file in files) else ()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """What `Result.batches` is."""
        empty = True
        for uri, file in zip(self._uris, self._downloaded(), strict=True):
            with file:
                for batch in _decoded(file, self.schema, _about(self._execution, uri)):
                    empty = False
                    yield batch
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=self.schema)

    def _footer(self, uri: str) -> _Footer:
        with _explained(self._execution):
            footer = _Footer.read(uri, self._storage)
        self._etags[uri] = footer.stored.etag
        return footer

    def _opened(self, footer: _Footer) -> AbstractContextManager[pq.ParquetFile]:
        return _parquet(pa.BufferReader(footer.end), _about(self._execution, footer.stored.uri))

    def _downloaded(self) -> Iterator[pa.NativeFile]:
        """Each file, while the next ones are under way."""
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            waiting = iter(self._uris[1:])
            ahead = deque(pool.submit(self._download, uri) for uri in islice(waiting, _DOWNLOADS))
            try:
                yield self._first.whole or self._download(self._uris[0])
                while ahead:
                    file = ahead.popleft().result()
                    ahead.extend(pool.submit(self._download, uri) for uri in islice(waiting, 1))
                    yield file
            finally:
                pool.shutdown(cancel_futures=True)

    def _download(self, uri: str) -> pa.NativeFile:
        with _explained(self._execution), tempfile.TemporaryDirectory(prefix="athena-reports-") as folder:
            path = Path(folder, "unloaded.parquet")
            self._storage.download(uri, path, etag=self._etags.get(uri, ""))
            return pa.OSFile(str(path))


def _decoded(source: pa.NativeFile, columns: pa.Schema, about: str) -> Iterator[pa.RecordBatch]:
    with _parquet(source, about) as file:
        _check_columns(_plain_schema(file, about), columns, about)
        for batch in file.iter_batches(_batch_rows(file.metadata), use_threads=False):
            arrays = [_cast(array, field, about) for array, field in zip(batch.columns, columns, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=columns)


@contextmanager
def _parquet(source: pa.NativeFile, about: str) -> Iterator[pq.ParquetFile]:
    try:
        # A buffered file is decoded page by page; else a column of a whole row group is read first.
        with pq.ParquetFile(
            source, buffer_size=_READ_BYTES, pre_buffer=False, coerce_int96_timestamp_unit="us"
        ) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise ResultError(
            f"{about} does not read as Parquet: {error}. Clear run_query with all that is downstream."
        ) from error


def _batch_rows(metadata: pq.FileMetaData) -> int:
    groups = range(metadata.num_row_groups)
    size = sum(metadata.row_group(group).total_byte_size for group in groups)
    rows: int = _BATCH_BYTES * metadata.num_rows // (size + 1)
    return max(1, min(_BATCH_ROWS, rows))


def _plain_schema(file: pq.ParquetFile, about: str) -> pa.Schema:
    columns = file.schema_arrow
    try:
        schema.refuse_duplicates(columns.names)
    except ValueError as error:
        raise ResultError(f"{about}: {error}") from error
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in columns])


def _plain(type_: pa.DataType) -> pa.DataType:
    """The type as a CSV's would be: SQL knows one kind of text, and its timestamp has no zone."""
    if pa.types.is_timestamp(type_):
        return pa.timestamp("ms")
    if pa.types.is_dictionary(type_):
        return _plain(type_.value_type)
    if pa.types.is_large_string(type_):
        return pa.string()
    if pa.types.is_large_binary(type_):
        return pa.binary()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(_plain(type_.value_type))
    if pa.types.is_map(type_):
        return pa.map_(_plain(type_.key_type), _plain(type_.item_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in type_])
    return type_


def _check_columns(found: pa.Schema, expected: pa.Schema, about: str) -> None:
    if found != expected:
        raise ResultError(
            f"{about} has the columns ({_listed(found)}), but the result's first file has "
            f"({_listed(expected)}). CAST them in the SQL, then clear run_query with all that is downstream."
        )


def _listed(columns: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in columns)


def _cast(array: pa.Array, field: pa.Field, about: str) -> pa.Array:
    if array.type == field.type:
        return array
    try:
        return array.cast(field.type)
    except pa.ArrowInvalid as error:
        raise ResultError(
            f"{about}, column {field.name!r}: {error}. CAST it in the SQL, a timestamp to timestamp(3)."
        ) from error


def _columns_of_nothing(execution: QueryExecution, athena: AthenaClient, storage: Storage) -> pa.Schema:
    """Refuse an UNLOAD that wrote no file: nobody says which columns it has."""
    raise ResultError(
        f"{_about(execution)} unloaded no rows, and its columns are not known."
    )


def _about(execution: QueryExecution, uri: str = "") -> str:
    return f"Query {execution.id}, file {uri}" if uri else f"Query {execution.id}"


@contextmanager
def _explained(execution: QueryExecution) -> Iterator[None]:
    """Say which query an error of S3 is about, and what an object that is not there means."""
    try:
        yield
    except (MissingObjectError, ConditionError) as error:
        raise ResultError(
            f"{_about(execution)}: its result is gone, or is another one by now: {error} {_AGAIN}"
        ) from error
    except StorageError as error:
        raise StorageError(f"{_about(execution)}: {error}", retryable=error.retryable) from error
