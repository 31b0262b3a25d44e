"""Counts how often each row occurs, exactly and in constant memory, by way of a temporary file."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any, Self
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

MEMORY_BYTES = 4 * 1024 * 1024
"""How much of a tally is held in memory before it goes to disk. Counting it takes some ten times as much."""

_BUCKETS = 128
_NULL = b"~"
_COLON = b":"
_ENTRY = pa.schema([("key", pa.binary()), ("count", pa.int64()), ("first", pa.int64()), ("last", pa.int64())])


@dataclass(frozen=True)
class Repeated:
    """A key that was counted more than once.

    Attributes:
        key: The key; see `key_values`.
        count: How often.
        first: Position at which it was added first, from 1.
        last: Position at which it was added last.
    """

    key: bytes
    count: int
    first: int
    last: int


@dataclass(frozen=True)
class Repetitions:
    """What was counted more than once.

    Attributes:
        surplus: Number of keys that were added though they had been before.
        examples: Some of them, in the order in which they were added first.
    """

    surplus: int
    examples: Sequence[Repeated]


class Tally:
    """A count for each key. Use it as a context manager: it may hold a temporary file.

    Where more is added than fits into memory, the keys are spread over buckets on disk by their checksum, and
    each bucket is counted alone. Keys that were added and taken away again meanwhile never get there, so two
    versions that hardly differ need little disk if they are added side by side.

    Args:
        memory_bytes: How much is held before it goes to disk.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._added = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was counted."""
        self._held.clear()
        self._writer = None
        if self._file is not None:
            self._file.close()

    def add(self, keys: pa.Array, count: int = 1) -> None:
        """Count keys.

        Args:
            keys: As `row_keys` makes them.
            count: What each adds to its count; negative takes away.

        Raises:
            OSError: The disk is full.
        """
        positions = pc.add(pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), len(keys))), self._added)
        counts = pa.repeat(pa.scalar(count, pa.int64()), len(keys))
        self._added += len(keys)
        self._hold(pa.Table.from_arrays([keys, counts, positions, positions], schema=_ENTRY))
        if self._held_bytes > self._memory_bytes:
            counted = self._count_held()
            if counted.nbytes > self._memory_bytes // 2:
                self._spill(counted)
            else:
                self._hold(counted)

    def difference(self) -> tuple[int, int]:
        """Return the sum of the counts above zero, and of those below zero without its sign.

        With the rows of one version added and those of another taken away, these are the rows that only the
        first has, and that only the second has. Nothing can be added afterwards.
        """
        more = less = 0
        for counted in self._parts():
            total = _sum(counted["count"])
            above = _sum(pc.max_element_wise(counted["count"], 0))
            more += above
            less += above - total
        return more, less

    def repetitions(self, limit: int) -> Repetitions:
        """Return what was counted more than once, with the `limit` keys of it that were added first.

        Nothing can be added afterwards.
        """
        surplus = 0
        examples = _ENTRY.empty_table()
        for counted in self._parts():
            repeated = counted.filter(pc.greater(counted["count"], 1))
            surplus += _sum(repeated["count"]) - len(repeated)
            examples = pa.concat_tables([examples, repeated]).sort_by("first").slice(0, limit)
        return Repetitions(surplus, [Repeated(**example) for example in examples.to_pylist()])

    def _hold(self, entries: pa.Table) -> None:
        self._held.append(entries)
        self._held_bytes += entries.nbytes

    def _count_held(self) -> pa.Table:
        counted = _counted(self._held)
        self._held = []
        self._held_bytes = 0
        return counted

    def _spill(self, counted: pa.Table) -> None:
        """Append a batch for each bucket to the file, so that batch `n` is of the bucket `n % _BUCKETS`."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="athena-reports-tally-")  # noqa: SIM115  # see close
            self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), _ENTRY)
        buckets = _buckets_of(counted["key"])
        order = pc.array_sort_indices(pa.array(buckets, pa.uint8()))
        ordered = pa.RecordBatch.from_arrays(
            [column.combine_chunks() for column in counted.take(order).columns], schema=_ENTRY
        )
        sizes = Counter(buckets)
        start = 0
        for bucket in range(_BUCKETS):
            self._writer.write_batch(ordered.slice(start, sizes[bucket]))
            start += sizes[bucket]

    def _parts(self) -> Iterator[pa.Table]:
        """Yield every key whose count is not zero, once, a part of them at a time."""
        counted = self._count_held()
        if self._file is None:
            self._hold(counted)
            yield counted
            return
        if counted.num_rows:
            self._spill(counted)
        self._writer.close()
        self._file.flush()
        with pa.ipc.open_file(pa.PythonFile(self._file, "r")) as reader:
            for bucket in range(_BUCKETS):
                batches = range(bucket, reader.num_record_batches, _BUCKETS)
                yield _counted([pa.Table.from_batches([reader.get_batch(batch)]) for batch in batches])


def _counted(entries: Sequence[pa.Table]) -> pa.Table:
    """Return one entry for each key whose count is not zero."""
    grouped = pa.concat_tables([_ENTRY.empty_table(), *entries]).group_by("key", use_threads=False)
    counted = grouped.aggregate([("count", "sum"), ("first", "min"), ("last", "max")])
    counted = counted.select(["key", "count_sum", "first_min", "last_max"]).rename_columns(_ENTRY.names)
    return counted.filter(pc.not_equal(counted["count"], 0))


def _sum(counts: pa.ChunkedArray) -> int:
    return pc.sum(counts).as_py() or 0


def _buckets_of(keys: pa.ChunkedArray) -> list[int]:
    """Return the bucket of each key, from the buffers: a Python object for each key takes much longer."""
    buckets: list[int] = []
    for chunk in keys.chunks:
        _, offsets, values = chunk.buffers()
        ends = memoryview(offsets).cast("i")[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        octets = memoryview(values)
        buckets += [crc32(octets[start:end]) % _BUCKETS for start, end in pairwise(ends)]
    return buckets


def row_keys(batch: pa.RecordBatch, columns: Sequence[str] | None = None) -> pa.Array:
    """Return a key for each row: two rows have the same key if and only if all their values are equal.

    NULL equals NULL and nothing else, NaN equals NaN, and -0.0 equals 0.0. Maps are equal if their entries
    come in the same order.

    Args:
        batch: The rows.
        columns: Columns that make the key, in this order; all for None.

    Returns:
        Binary array without NULLs, as long as the batch.
    """
    names = batch.schema.names if columns is None else columns
    return _joined([_delimited(batch.column(name)) for name in names])


def key_values(key: bytes) -> list[str | None]:
    """Return the values that a key was made of, as text: readable for all types but nested ones."""
    values: list[str | None] = []
    while key:
        if key.startswith(_NULL):
            values.append(None)
            key = key[len(_NULL) :]
        else:
            length, _, rest = key.partition(_COLON)
            values.append(rest[: int(length)].decode(errors="backslashreplace"))
            key = rest[int(length) :]
    return values


def _joined(columns: Sequence[pa.Array]) -> pa.Array:
    return pc.binary_join_element_wise(*columns, pa.scalar(b"", pa.binary()))


def _delimited(array: pa.Array) -> pa.Array:
    """Return each value as `<number of bytes>:<bytes>`, so that values can be joined and told apart."""
    octets = _octets(array)
    lengths = pc.binary_length(octets).cast(pa.string()).cast(pa.binary())
    return pc.fill_null(pc.binary_join_element_wise(lengths, octets, pa.scalar(_COLON, pa.binary())), _NULL)


def _octets(array: pa.Array) -> pa.Array:
    """Return each value as bytes, NULL for NULL."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _octets(array.dictionary_decode())
    if pa.types.is_struct(kind):
        fields = _joined([_delimited(field) for field in array.flatten()])
        return pc.if_else(array.is_valid(), fields, pa.scalar(None, pa.binary()))
    if pa.types.is_map(kind):
        return _octets(array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field]))))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _elements(array)
    if pa.types.is_floating(kind):
        array = pc.add(array, pa.scalar(0.0, kind))  # -0.0 becomes 0.0
    elif pa.types.is_timestamp(kind):
        return _instants(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return array.cast(pa.binary())
    return array.cast(pa.string()).cast(pa.binary())


def _instants(array: pa.Array) -> pa.Array:
    """Return timestamps as bytes, the same whatever the unit: Athena's files may have another than ours."""
    # Without its zone the text needs no time zone database.
    text = array.cast(pa.timestamp(array.type.unit)).cast(pa.string())
    if array.type.unit != "s":
        text = pc.replace_substring_regex(text, r"\.?0*$", "")
    return text.cast(pa.binary())


def _elements(lists: pa.Array) -> pa.Array:
    """Return the elements of each list, joined; NULL for a NULL list."""
    lengths = pc.fill_null(pc.list_value_length(lists).cast(pa.int32()), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    # flatten() leaves out what stands under a NULL list, as the lengths do.
    elements = pa.ListArray.from_arrays(offsets, _delimited(lists.flatten()))
    return pc.if_else(lists.is_valid(), pc.binary_join(elements, b""), pa.scalar(None, pa.binary()))
