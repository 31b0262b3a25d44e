"""Writes the rows of a period in each format and uploads them as the version that they may become.

Layout under `s3://<report bucket>/<report>/<cadence>/`:

    latest.json                                             names the latest period that is published
    <period id>/manifest.json                               names the current version
    <period id>/versions/<version>/<format>/part-<n>.<format>

A version is named by its content, so it is immutable: the same rows always stage the same bytes under the
same keys, whichever run does it and however often. Files that S3 copies as they are count by their ETags, so
that their bytes need not come here. Nobody sees it before `publish` names it in the manifest.

One pass over the rows feeds every format and every observer, in constant memory: the rows are gathered into
groups of a bounded size, and one group is written while the next one is gathered. Large Parquet of rows in no
order is written into two files at once.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from athena_reports.errors import PublishError, is_disk_full

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pyarrow as pa

    from athena_reports.result import UnloadedFile
    from athena_reports.storage import Storage

CONTENT_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
}
"""Content-Type of each format that can be written."""

# A reader of Parquet pays for each row group; the writer holds one in memory, and the next one.
_GROUP_ROWS = 1 << 20
_GROUP_BYTES = 16 * 1024 * 1024
# Rows are copied into slices of these sizes, counted from the first row on, so that no byte of the files
# depends on how the rows arrived: a Parquet page may end where a chunk of memory ends.
_SLICE_ROWS = 1 << 14
_SLICE_BYTES = 2 * 1024 * 1024
_DICTIONARY_BYTES = 64 * 1024
# Encoding Parquet takes longest, and one file is encoded by one thread. Rows whose order means something stay
# in one file.
_UNORDERED_FILES = 2
_PUTS_AT_ONCE = 4
_CHUNK = 1024 * 1024
_WORTH_THREADS_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Location:
    """Where one period of one report lives.

    Attributes:
        bucket: The report bucket.
        report: Name of the report.
        cadence: Name of the cadence.
        period_id: Id of the period.
    """

    bucket: str
    report: str
    cadence: str
    period_id: str

    @property
    def folder_uri(self) -> str:
        """`s3://` address of all periods of the report in this cadence, with the closing slash."""
        return self.uri(f"{self.report}/{self.cadence}/")

    @property
    def latest_uri(self) -> str:
        """`s3://` address of the object that names the latest period."""
        return f"{self.folder_uri}latest.json"

    @property
    def prefix(self) -> str:
        """Key prefix of everything that belongs to the period, with the closing slash."""
        return f"{self.report}/{self.cadence}/{self.period_id}/"

    @property
    def manifest_key(self) -> str:
        """Key of the manifest."""
        return f"{self.prefix}manifest.json"

    @property
    def manifest_uri(self) -> str:
        """`s3://` address of the manifest."""
        return self.uri(self.manifest_key)

    def version_key(self, version: str) -> str:
        """Key prefix of a version, with the closing slash."""
        return f"{self.prefix}versions/{version}/"

    def object_key(self, version: str, format: str, part: int = 0) -> str:
        """Key of one object of a version's data in one format."""
        return f"{self.version_key(version)}{format}/part-{part}.{format}"

    def uri(self, key: str) -> str:
        """`s3://` address of a key in the report bucket."""
        return f"s3://{self.bucket}/{key}"


@dataclass(frozen=True)
class Rows:
    """The rows to publish.

    Attributes:
        schema: Their columns.
        batches: The rows, of that schema; may be empty. Read once at most, whatever the number of formats.
        files: Objects with the same rows that become the Parquet as they are. Then `batches` is read only if
            somebody else wants the rows.
        ordered: Whether the order of the rows means something. It does not where Athena wrote them in
            parallel (UNLOAD) and nothing ordered them since: then the same rows in another order are the
            same content.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    files: Sequence[UnloadedFile] = ()
    ordered: bool = True


@dataclass(frozen=True)
class StagedObject:
    """One data object of a version.

    Attributes:
        format: `parquet`, `csv` or `jsonl`.
        key: Its S3 key.
        bytes: Its size.
        sha256: Its SHA-256 in hexadecimal.
        rows: Number of rows in it.
    """

    format: str
    key: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True)
class StagedVersion:
    """A version that lies in S3 and may become the current one.

    Attributes:
        version: Its name, made from its content.
        ordered: Whether the order of its rows means something.
        rows: Number of rows.
        columns: For each column its `name`, its Arrow `type`, and its type in a `glue` table, empty if that
            has none.
        objects: The objects, format by format; one for each format if the order of the rows means something.
    """

    version: str
    ordered: bool
    rows: int
    columns: Sequence[Mapping[str, str]]
    objects: Sequence[StagedObject]

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> StagedVersion:
        """Return the version that `to_dict` wrote; other keys of `facts` are not looked at."""
        return cls(
            version=facts["version"],
            ordered=facts["ordered"],
            rows=facts["rows"],
            columns=tuple(facts["columns"]),
            objects=tuple(StagedObject(**staged) for staged in facts["objects"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts for XCom and the manifest."""
        return {**asdict(self), "columns": list(self.columns), "objects": [asdict(o) for o in self.objects]}


def stage(
    rows: Rows,
    *,
    location: Location,
    formats: Sequence[str],
    storage: Storage,
    observers: Sequence[Callable[[pa.RecordBatch], None]] = (),
) -> StagedVersion:
    """Write the rows in each format and upload them under the version that they may become.

    What is there already is uploaded again: the same key means the same bytes, and an object that was
    written lately is not removed by `retention` before it can be published.

    Args:
        rows: The rows.
        location: The period.
        formats: Of `parquet`, `csv` and `jsonl`.
        storage: Where to upload.
        observers: Each is shown every batch, in order, before anything is uploaded.

    Raises:
        PublishError: A format cannot hold a column, or the disk is full. Nothing is visible.
        StorageError: An upload was refused.
    """
    rows = _decoded(rows)
    _require_formats(rows.schema, formats, location)
    with disk_full_explained(location), TemporaryDirectory(prefix="athena-report-") as folder:
        parts = _parts(rows, Path(folder), formats, observers)
        version = _version(parts)
        staged = _put(parts, location, version, storage)
    count = sum(item.rows for item in staged if item.format == formats[0])
    return StagedVersion(version, rows.ordered, count, _columns(rows.schema), tuple(staged))


@dataclass(frozen=True)
class _Written:
    """A file on this machine's disk that becomes an object."""

    format: str
    path: Path
    rows: int
    sha256: str
    part: int = 0

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size

    @property
    def content(self) -> str:
        return self.sha256

    def put(self, uri: str, storage: Storage) -> str:
        storage.upload(self.path, uri, CONTENT_TYPES[self.format], sha256=self.sha256)
        return self.sha256


@dataclass(frozen=True)
class _Copied:
    """An object that S3 copies; its SHA-256 is known when it has."""

    format: str
    part: int
    file: UnloadedFile

    @property
    def rows(self) -> int:
        return self.file.rows

    @property
    def bytes(self) -> int:
        return self.file.stored.bytes

    @property
    def content(self) -> str:
        return f"{self.file.stored.etag} {self.bytes}"

    def put(self, uri: str, storage: Storage) -> str:
        return storage.copy(self.file.stored, uri, CONTENT_TYPES[self.format])


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def _decoded(rows: Rows) -> Rows:
    """Return the rows without dictionaries, which differ with how the rows arrived."""
    import pyarrow as pa

    plain = pa.schema(
        [
            pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
            for field in rows.schema
        ]
    )
    if plain == rows.schema:
        return rows
    return replace(rows, schema=plain, batches=(batch.cast(plain) for batch in rows.batches))


def _require_formats(schema: pa.Schema, formats: Sequence[str], location: Location) -> None:
    """Refuse what a format cannot hold before a row is read.

    Raises:
        PublishError: For the first column that it cannot hold.
    """
    import pyarrow as pa

    from athena_reports import jsonlines

    def refuse(problem: str, format: str) -> None:
        raise PublishError(
            f"{location.prefix}: {problem}. CAST it to text in the SQL or the transform, or leave {format!r} "
            f"out of the report's outputs.",
            retryable=False,
        )

    for field in schema if "csv" in formats else ():
        if pa.types.is_nested(field.type) or _holds_bytes(field.type):
            refuse(f"the column {field.name!r} is a {field.type}, which a CSV does not hold", "csv")
    if "jsonl" in formats:
        try:
            jsonlines.require_types(schema)
        except ValueError as error:
            refuse(str(error), "jsonl")


def _holds_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _columns(schema: pa.Schema) -> tuple[Mapping[str, str], ...]:
    return tuple(
        {"name": field.name, "type": str(field.type), "glue": _glue_type(field.type)} for field in schema
    )


def _glue_type(kind: pa.DataType) -> str:
    from athena_reports.schema import glue_type

    try:
        return glue_type(kind)
    except ValueError:
        return ""


def _version(parts: Sequence[_Written | _Copied]) -> str:
    content = "\n".join(sorted(f"{part.format} {part.part} {part.content}" for part in parts))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _parts(
    rows: Rows, folder: Path, formats: Sequence[str], observers: Sequence[Callable[[pa.RecordBatch], None]]
) -> list[_Written | _Copied]:
    """Return what becomes an object each, format by format; what has to be written is."""
    to_write = {
        format: _UNORDERED_FILES if format == "parquet" and not rows.ordered else 1
        for format in formats
        if format != "parquet" or not rows.files
    }
    written: Sequence[_Written] = ()
    if to_write or observers:
        written = _encode(_observed(rows.batches, observers), rows.schema, to_write, folder)
    parts: list[_Written | _Copied] = []
    for format in formats:
        if format in to_write:
            parts += [file for file in written if file.format == format]
        else:
            parts += [_Copied(format, number, file) for number, file in enumerate(rows.files)]
    return parts


def _observed(
    batches: Iterator[pa.RecordBatch], observers: Sequence[Callable[[pa.RecordBatch], None]]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for observe in observers:
            observe(batch)
        yield batch


def _encode(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, files: Mapping[str, int], folder: Path
) -> Sequence[_Written]:
    """Write the rows into at most so many files for each format, to which groups of rows go in turn.

    A file has a thread that writes a group while the next ones are gathered; a single group needs none.
    What a file has grown by is hashed meanwhile.
    """
    opened: dict[tuple[str, int], _File] = {}
    with ExitStack() as stack:

        def file(format: str, part: int) -> _File:
            if (format, part) not in opened:
                opened[format, part] = stack.enter_context(_File(format, part, folder, schema))
            return opened[format, part]

        for format in files:
            file(format, 0)  # even if there are no rows
        for number, (group, is_last) in enumerate(_groups(_slices(batches), schema)):
            for format, count in files.items():
                file(format, number % count).write(group, wait=is_last)
            for each in opened.values():
                each.hash()
        return [opened[key].finish() for key in sorted(opened)]


class _File:
    """A file that is being written."""

    def __init__(self, format: str, part: int, folder: Path, schema: pa.Schema) -> None:
        self._format = format
        self._part = part
        self._path = folder / f"part-{part}.{format}"
        self._rows = 0
        self._writing: Future[None] | None = None
        self._stack, self._open = ExitStack(), ExitStack()
        self._writer: _Writer = self._open.enter_context(_writer(format, self._path, schema))
        self._digest = _Digest(self._stack.enter_context(self._path.open("rb")))
        self._stack.enter_context(self._open)
        self._thread = self._stack.enter_context(ThreadPoolExecutor(1, "athena-reports-stage"))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, group: pa.Table, *, wait: bool) -> None:
        """Write a group after the one before; unless told to `wait`, while the caller goes on."""
        self._settle()
        self._rows += group.num_rows
        if wait:
            _write_group(self._writer, group)
        else:
            self._writing = self._thread.submit(_write_group, self._writer, group)

    def hash(self) -> None:
        """Take into the digest what has been written."""
        self._digest.follow()

    def finish(self) -> _Written:
        """Write the rest and close the file."""
        self._settle()
        self._open.close()
        return _Written(self._format, self._path, self._rows, self._digest.follow(), self._part)

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


class _Digest:
    """The SHA-256 of a file that only grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def follow(self) -> str:
        """Take in what was written since, and return the SHA-256 of all that is there, in hexadecimal."""
        while chunk := self._file.read(_CHUNK):
            self._digest.update(chunk)
        return self._digest.hexdigest()


def _write_group(writer: _Writer, group: pa.Table) -> None:
    writer.write_table(group)


def _writer(format: str, path: Path, schema: pa.Schema) -> Any:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    from athena_reports.jsonlines import JsonLinesWriter

    if format == "parquet":
        # A column that repeats its values needs no larger dictionary; for others a large one costs a third
        # of the time and memory, and makes the file larger.
        return pq.ParquetWriter(
            path, schema, compression="zstd", dictionary_pagesize_limit=_DICTIONARY_BYTES, store_schema=False
        )
    return JsonLinesWriter(path, schema) if format == "jsonl" else pa_csv.CSVWriter(str(path), schema)


def _groups(
    slices: Iterator[tuple[pa.RecordBatch, int]], schema: pa.Schema
) -> Iterator[tuple[pa.Table, bool]]:
    """Gather slices into tables of a bounded size, and say of each whether it is the last one."""
    import pyarrow as pa

    group: list[pa.RecordBatch] = []
    rows = size = 0
    for piece, piece_bytes in slices:
        if group and (rows + piece.num_rows > _GROUP_ROWS or size + piece_bytes > _GROUP_BYTES):
            yield pa.Table.from_batches(group, schema), False
            group, rows, size = [], 0, 0
        group.append(piece)
        rows += piece.num_rows
        size += piece_bytes
    if group:
        yield pa.Table.from_batches(group, schema), True


def _slices(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Cut the rows anew, into slices that depend on the rows alone, each with its size in bytes.

    A slice ends before the row that would make it too long or too large; a row that is too large by itself
    is a slice of its own.
    """
    import pyarrow.compute as pc

    pieces: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        ends = pc.cumulative_sum(_row_bytes(batch.columns, batch.num_rows))
        start = passed = 0
        while start < batch.num_rows:
            stop = min(batch.num_rows, start + _SLICE_ROWS - rows)
            if ends[stop - 1].as_py() - passed > _SLICE_BYTES - size:
                limit = passed + _SLICE_BYTES - size
                stop = bisect_right(range(stop), limit, lo=start, key=lambda row: ends[row].as_py())
                stop = max(stop, start + (not pieces))
            if stop > start:
                pieces.append(batch.slice(start, stop - start))
                rows += stop - start
                size += ends[stop - 1].as_py() - passed
                start, passed = stop, ends[stop - 1].as_py()
            if start < batch.num_rows or rows == _SLICE_ROWS:
                yield _joined(pieces), size
                pieces, rows, size = [], 0, 0
    if pieces:
        yield _joined(pieces), size


def _joined(pieces: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.Table.from_batches(pieces).combine_chunks().to_batches()[0]


def _row_bytes(columns: Iterable[pa.Array], rows: int) -> pa.Array:
    """Return about how many bytes each row takes, from its values alone.

    What Arrow itself counts depends on how the memory was laid out, and so on how the rows arrived.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    fixed, varying = 0, []
    for column in columns:
        size = _value_bytes(column)
        if isinstance(size, int):
            fixed += size
        else:
            varying.append(size)
    total = pa.repeat(pa.scalar(fixed, pa.int64()), rows)
    for sizes in varying:
        total = pc.add(total, sizes)
    return total


def _value_bytes(array: pa.Array) -> Any:
    """Return the size of each value, or the one size that all have."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = array.type, pa.types
    if types.is_struct(kind):
        return _row_bytes(array.flatten(), len(array))
    if types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
    if types.is_nested(kind):
        values = array.flatten()
        sizes = pc.cumulative_sum(_row_bytes([values], len(values)))
        sizes = pa.concat_arrays([pa.array([0], pa.int64()), sizes])
        lengths = pc.fill_null(pc.list_value_length(array).cast(pa.int64()), 0)
        ends = pc.cumulative_sum(lengths)
        return pc.subtract(sizes.take(ends), sizes.take(pc.subtract(ends, lengths)))
    if types.is_string(kind) or types.is_large_string(kind) or _holds_bytes(kind):
        return pc.add(pc.fill_null(pc.binary_length(array).cast(pa.int64()), 0), 4)
    return 0 if types.is_null(kind) else 1 + kind.bit_width // 8


def _put(
    parts: Sequence[_Written | _Copied], location: Location, version: str, storage: Storage
) -> list[StagedObject]:
    def put(part: _Written | _Copied) -> StagedObject:
        key = location.object_key(version, part.format, part.part)
        return StagedObject(part.format, key, part.bytes, part.put(location.uri(key), storage), part.rows)

    at_once = _PUTS_AT_ONCE if sum(part.bytes for part in parts) > _WORTH_THREADS_BYTES else 1
    with ThreadPoolExecutor(at_once, "athena-reports-put") as threads:
        return list(threads.map(put, parts))


@contextmanager
def disk_full_explained(location: Location) -> Iterator[None]:
    """Say what it means that there is no space left on this machine's disk.

    Raises:
        PublishError: There is none.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise PublishError(
            f"{location.prefix}: no space left on the worker's disk: {error}. Nothing of it is visible. Free "
            f"space in {gettempdir()}, or let TMPDIR name a larger disk, then clear transform."
        ) from error
