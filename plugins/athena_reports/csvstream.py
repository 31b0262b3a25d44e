"""Athena's CSV as typed Arrow record batches: any number of rows in constant memory.

Athena quotes every value and doubles the quotes within; NULL is an unquoted empty field, the empty string is
`""`; line breaks stand inside quotes; NULL in a result of one column is an empty line. The bytes are cut into
chunks at row ends, and pyarrow parses each chunk as one block. Its own streaming reader holds 32 blocks and
refuses a row that is longer than one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta
from functools import partial
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from athena_reports.errors import ResultError

CHUNK_BYTES = 1024 * 1024
"""How much is parsed at once. Each chunk costs about three times its size while it is under way."""

MAX_ROW_BYTES = 16 * 1024 * 1024
"""The longest row that is sure to be read, as text."""

READ_BUDGET_BYTES = 64 * 1024 * 1024
"""What reading may take in memory, unless rows are longer than a chunk."""

_PARSERS = 2
_AHEAD = 4  # chunks that are read or parsed before they are asked for

_MILLISECONDS, _INSTANTS = pa.timestamp("ms"), pa.timestamp("ms", "UTC")
# What pyarrow does not parse as its type says. Microseconds are read to tell those that are zero.
_READ_AS: Mapping[pa.DataType, pa.DataType] = {
    _MILLISECONDS: pa.timestamp("us"),
    _INSTANTS: pa.string(),
    pa.binary(): pa.string(),
}
_EPOCH_DAY, _DAY_MILLISECONDS = date(1970, 1, 1).toordinal(), 24 * 60 * 60 * 1000
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH_DAY, date.max.toordinal() - _EPOCH_DAY
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
_BAD_VALUE = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)", re.DOTALL)
_BAD_ROW = re.compile(r"CSV parse error: Row #(\d+): (.*)", re.DOTALL)


class _RefusedError(Exception):
    """A chunk that cannot be read.

    Attributes:
        row: The row that is at fault, counted from 1 in the chunk; 0 if it is not known.
        problem: What is wrong with it.
    """

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(row, problem)
        self.row = row
        self.problem = problem


def read_csv(
    pieces: Iterable[bytes], schema: pa.Schema, *, about: str, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Athena's CSV; at least one batch, which is empty when there are none.

    Args:
        pieces: The CSV's bytes, in pieces that may end anywhere. They are taken in another thread when there
            are many, until the iterator that this returns is closed.
        schema: What `schema.result_schema` says of the result.
        about: What messages begin with, such as `Query <id>`.
        chunk_bytes: How much is parsed at once.

    Raises:
        ResultError: The bytes are not what the schema says, or a row is longer than `MAX_ROW_BYTES`.
        Exception: Whatever `pieces` raises, unchanged.
    """
    rows = 0
    try:
        with closing(_batches(pieces, schema, chunk_bytes)) as batches:
            for batch in batches:
                rows += batch.num_rows
                yield batch
    except _RefusedError as refused:
        where = f"row {rows + refused.row:,}" if refused.row else f"after row {rows:,}"
        raise ResultError(f"{about}: its result cannot be read, {where}: {refused.problem}") from refused


def _batches(pieces: Iterable[bytes], schema: pa.Schema, chunk_bytes: int) -> Generator[pa.RecordBatch]:
    chunks = _chunks(pieces, chunk_bytes)
    first = next(chunks, b"")
    header = _first_row_end(first)
    _check_header(first[:header], schema)
    start = list(islice(chain([first[header:]], chunks), 2))
    parse = partial(_parse, schema=schema)
    if len(start) == 1:
        yield parse(start[0])
    else:
        yield from _in_threads(chain(start, chunks), parse)


def _in_threads(
    chunks: Iterator[bytes], parse: Callable[[bytes], pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Read in one thread, parse in others, and yield in order."""
    with (
        ThreadPoolExecutor(_PARSERS, "athena-csv-parse") as parsers,
        ThreadPoolExecutor(1, "athena-csv-read") as reader,
    ):

        def read() -> Future[pa.RecordBatch] | None:
            chunk = next(chunks, None)
            return None if chunk is None else parsers.submit(parse, chunk)

        ahead = deque(reader.submit(read) for _ in range(_AHEAD))
        try:
            while (parsing := ahead.popleft().result()) is not None:
                batch = parsing.result()
                ahead.append(reader.submit(read))
                yield batch
        finally:
            reader.shutdown(cancel_futures=True)
            parsers.shutdown(cancel_futures=True)


def _chunks(pieces: Iterable[bytes], chunk_bytes: int) -> Iterator[bytes]:
    """Yield whole rows, at least `chunk_bytes` of them but for the last ones."""
    held: list[bytes] = []
    size = quotes = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        quotes += piece.count(b'"')
        if size < chunk_bytes:
            continue
        end = _last_row_end(piece, quotes)
        if end:
            yield b"".join([*held[:-1], piece[:end]])
            held = [piece[end:]]
            size = len(piece) - end
        elif size > MAX_ROW_BYTES + chunk_bytes:
            yield from _rows_before_the_long_one(b"".join(held), quotes)
    rest = b"".join(held)
    if quotes % 2:
        raise _RefusedError(0, f"the result ends inside a value; its last bytes are {_shown(rest[-60:])}.")
    if rest:
        yield rest


def _rows_before_the_long_one(held: bytes, quotes: int) -> Iterator[bytes]:
    end = _last_row_end(held, quotes)
    if end:
        yield held[:end]
    raise _RefusedError(
        1,
        f"it is longer than {MAX_ROW_BYTES:,} bytes and starts with {_shown(held[end:])}. "
        f"Select less of its longest column.",
    )


def _last_row_end(text: bytes, quotes: int) -> int:
    """Return where the last whole row of `text` ends; 0 if none does.

    A line break is a row's end if the number of quotes before it is even.

    Args:
        text: The last bytes of what is held.
        quotes: The number of quotes in all that is held.
    """
    end, inside = len(text), quotes % 2
    while (newline := text.rfind(b"\n", 0, end)) >= 0:
        if (inside + text.count(b'"', newline, end)) % 2 == 0:
            return newline + 1
        # It stands in a value. Before the quote that opens that value, or seems to, all is even.
        end, inside = text.rfind(b'"', 0, newline), 0
        if end < 0:
            break
    return 0


def _first_row_end(text: bytes) -> int:
    end = text.find(b"\n") + 1
    while end and text.count(b'"', 0, end) % 2:
        end = text.find(b"\n", end) + 1
    return end or len(text)


def _check_header(header: bytes, schema: pa.Schema) -> None:
    texts = pa.schema([(str(position), pa.string()) for position in range(len(schema))])
    try:
        names = [column[0].as_py() for column in _block(header, texts).columns]
    except pa.ArrowInvalid:
        names = []
    if names != schema.names:
        raise _RefusedError(
            0, f"it begins with {_shown(header, 200)}, but its metadata names the columns {schema.names}."
        )


def _parse(chunk: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of a chunk.

    Raises:
        _RefusedError: They do not read as the schema says.
    """
    if not chunk:
        return pa.RecordBatch.from_pylist([], schema=schema)
    as_read = pa.schema([(field.name, _READ_AS.get(field.type, field.type)) for field in schema])
    try:
        block = _block(chunk, as_read)
    except pa.ArrowInvalid as error:
        raise _refusal(str(error), schema) from error
    columns = [_converted(column, field) for column, field in zip(block.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _block(text: bytes, schema: pa.Schema) -> pa.RecordBatch:
    (batch,) = pa_csv.read_csv(
        pa.BufferReader(text),
        pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=schema.names),
        # A NULL in a result of one column is an empty line.
        pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
        # The default pool keeps twice as much for itself after blocks of changing size.
        memory_pool=pa.system_memory_pool(),
    ).to_batches()
    return batch


def _refusal(message: str, schema: pa.Schema) -> _RefusedError:
    """Return what an error of pyarrow's CSV reader says."""
    value = _BAD_VALUE.match(message)
    if value is not None:
        field = schema.field(int(value[1]))
        years = " Years 0001 to 9999 are read." if pa.types.is_temporal(field.type) else ""
        return _RefusedError(int(value[2] or 0), f"column {field.name!r}: {_cut(value[3])}.{years}")
    row = _BAD_ROW.match(message)
    return _RefusedError(int(row[1]), f"{_cut(row[2])}.") if row else _RefusedError(0, f"{_cut(message)}.")


def _converted(column: pa.Array, field: pa.Field) -> pa.Array:
    convert = _CONVERSIONS.get(field.type)
    if convert is None:
        return column
    try:
        return convert(column)
    except ValueError:
        row = bisect_left(
            range(1, len(column)), True, key=lambda rows: _problem(convert, column.slice(0, rows)) != ""
        )
        value = column.slice(row, 1)
        problem = f"column {field.name!r}: {_problem(convert, value)}"
        raise _RefusedError(row + 1, problem) from None


def _problem(convert: Callable[[pa.Array], pa.Array], column: pa.Array) -> str:
    try:
        convert(column)
    except ValueError as error:
        return f"{_cut(str(column.cast(pa.string())[0]))}: {error}"
    return ""


def _milliseconds(column: pa.Array) -> pa.Array:
    """Timestamps of microseconds as milliseconds."""
    try:
        return _in_years(column.cast(_MILLISECONDS))
    except pa.ArrowInvalid as error:
        raise ValueError("it is finer than a millisecond. CAST it to timestamp(3) in the SQL.") from error


def _in_years(column: pa.Array) -> pa.Array:
    """Dates, or timestamps of milliseconds, that Python knows as well."""
    is_date = pa.types.is_date32(column.type)
    values = pc.min_max(column.view(pa.int32() if is_date else pa.int64())).as_py()
    unit = 1 if is_date else _DAY_MILLISECONDS
    if (
        values["min"] is not None
        and not _FIRST_DAY <= values["min"] // unit <= values["max"] // unit <= _LAST_DAY
    ):
        raise ValueError("it is not in the years 0001 to 9999. Filter or CAST it in the SQL.")
    return column


def _bytes(column: pa.Array) -> pa.Array:
    """Athena prints `01 ff`."""
    return pa.array(
        [None if text is None else bytes.fromhex(text) for text in column.to_pylist()], pa.binary()
    )


def _instants(column: pa.Array) -> pa.Array:
    """Athena prints `2026-11-24 01:02:03.000 Asia/Tokyo`; each row may have a zone of its own."""
    parts = pc.extract_regex(column, r"^(?P<wall>\S+ \S+) (?P<zone>\S+)$")
    if parts.null_count > column.null_count:
        raise ValueError("it is no timestamp with a time zone.")
    walls = _milliseconds(pc.struct_field(parts, "wall").cast(pa.timestamp("us")))
    zones = pc.struct_field(parts, "zone")
    instants = pa.nulls(len(column), _INSTANTS)
    for zone in zones.unique().drop_null().to_pylist():
        here = pc.equal(zones, zone).fill_null(False)
        instants = pc.replace_with_mask(instants, here, _utc(walls.filter(here), zone))
    return _in_years(instants)


def _utc(walls: pa.Array, zone: str) -> pa.Array:
    offset = _OFFSET.fullmatch(zone)
    if offset is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3])) * (-1 if offset[1] == "-" else 1)
        return pc.subtract(walls, pa.scalar(ahead, pa.duration("ms"))).cast(_INSTANTS)
    try:
        return pc.assume_timezone(walls, zone).cast(_INSTANTS)
    except pa.ArrowInvalid as error:
        # Twice a year an hour comes twice, and what Athena prints does not say which of the two it is.
        reason = str(error).splitlines()[0]
        raise ValueError(f"{reason} Use AT TIME ZONE 'UTC' in the SQL.") from error


def _shown(text: bytes, length: int = 60) -> str:
    return repr(text[:length].decode(errors="replace"))


def _cut(text: str) -> str:
    return text.rstrip(".") if len(text) <= 200 else f"{text[:200]}.."


_CONVERSIONS: Mapping[pa.DataType, Callable[[pa.Array], pa.Array]] = {
    pa.date32(): _in_years,
    pa.binary(): _bytes,
    _MILLISECONDS: _milliseconds,
    _INSTANTS: _instants,
}
