from __future__ import annotations

import errno
import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports import tally as module
from athena_reports.tally import Repeated, Tally, key_values, row_keys

TINY = 300

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["", "~", "1:a", ":"])
INTEGERS = st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)])
FLAT: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXTS,
    pa.large_string(): TEXTS,
    pa.binary(): st.binary(max_size=3),
    pa.large_binary(): st.binary(max_size=3),
    pa.binary(2): st.binary(min_size=2, max_size=2),
    pa.int64(): INTEGERS,
    pa.uint8(): st.integers(0, 255),
    pa.bool_(): st.booleans(),
    pa.float64(): st.floats() | st.sampled_from([0.0, -0.0, math.nan]),
    pa.float32(): st.floats(width=32) | st.sampled_from([0.0, -0.0, math.nan]),
    pa.decimal128(38, 2): st.decimals(-(10**35), 10**35, places=2)
    | st.sampled_from([Decimal(0), Decimal("0.01")]),
    pa.date32(): st.dates() | st.sampled_from([date(2026, 1, 1), date(2026, 1, 2)]),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "Asia/Tokyo"): st.datetimes(
        datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01"), timezones=st.just(UTC)
    ),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "", "~"]),
}


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def nested(kind: pa.DataType, values: st.SearchStrategy[Any]) -> dict[pa.DataType, st.SearchStrategy[Any]]:
    lists = st.lists(nullable(values), max_size=3)
    return {
        pa.list_(kind): lists,
        pa.large_list(kind): lists,
        pa.list_(kind, 2): st.lists(nullable(values), min_size=2, max_size=2),
        pa.list_(pa.list_(kind)): st.lists(nullable(lists), max_size=3),
        pa.struct([("a", kind), ("b", pa.string())]): st.fixed_dictionaries(
            {"a": nullable(values), "b": nullable(TEXTS)}
        ),
        pa.map_(pa.string(), kind): st.lists(st.tuples(TEXTS, nullable(values)), max_size=3),
    }


TYPES = FLAT | nested(pa.string(), TEXTS) | nested(pa.float64(), FLAT[pa.float64()])


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    kinds = draw(st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=3))
    rows = draw(st.integers(0, 6))
    columns = [
        pa.array(draw(st.lists(nullable(TYPES[kind]), min_size=rows, max_size=rows)), kind) for kind in kinds
    ]
    return pa.table(columns, names=[f"c{number}" for number in range(len(kinds))])


def canonical(value: Any) -> Any:
    """Make a value that equals another one exactly if the two are to have the same key."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, list | tuple):
        return [canonical(each) for each in value]
    if isinstance(value, dict):
        return [(name, canonical(each)) for name, each in value.items()]
    return value


@settings(max_examples=200)
@given(tables())
def test_two_rows_have_the_same_key_exactly_if_they_are_equal(table: pa.Table) -> None:
    (batch,) = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
    keys = row_keys(batch).to_pylist()
    rows = [canonical(row) for row in batch.to_pylist()]

    assert len(keys) == len(rows)
    for key, row in zip(keys, rows, strict=True):
        for other_key, other_row in zip(keys, rows, strict=True):
            assert (key == other_key) == (row == other_row)
    alone = [row_keys(batch.slice(number, 1))[0].as_py() for number in range(len(batch))]
    assert alone == keys


@pytest.mark.parametrize("kind", [*TYPES, pa.null(), pa.time32("ms"), pa.decimal256(50, 2)], ids=str)
def test_each_type_of_column_has_keys(kind: pa.DataType) -> None:
    batch = pa.RecordBatch.from_arrays([pa.nulls(2, kind)], ["a"])

    assert row_keys(batch).to_pylist() == [b"~", b"~"]


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64(), pa.list_(pa.float64())], ids=str)
def test_zeros_are_equal_and_nans_are_equal(kind: pa.DataType) -> None:
    values: list[Any] = [0.0, -0.0, math.nan, -math.nan]
    if pa.types.is_list(kind):
        values = [[value] for value in values]
    zero, negative, nan, other = row_keys(
        pa.RecordBatch.from_arrays([pa.array(values, kind)], ["a"])
    ).to_pylist()

    assert zero == negative != nan == other


def test_keys_of_chosen_columns_in_the_order_given() -> None:
    batch = pa.RecordBatch.from_pydict({"a": ["x", "y"], "b": [1, 2], "c": [None, ""]})

    assert [key_values(key) for key in row_keys(batch, ["c", "a"]).to_pylist()] == [[None, "x"], ["", "y"]]


@given(st.lists(st.tuples(nullable(TEXTS), nullable(TEXTS)), max_size=5))
def test_a_key_says_the_values_that_it_was_made_of(rows: list[tuple[str | None, str | None]]) -> None:
    batch = pa.RecordBatch.from_pydict(
        {"a": [a for a, _ in rows], "b": [b for _, b in rows]},
        schema=pa.schema([("a", pa.string()), ("b", pa.string())]),
    )
    assert [tuple(key_values(key)) for key in row_keys(batch).to_pylist()] == rows


def test_the_values_of_a_key_are_readable() -> None:
    values = {
        "date": date(2026, 1, 31),
        "timestamp": datetime.fromisoformat("2026-01-31T01:02:03"),
        "time": time(1, 2, 3),
        "number": 12.5,
        "decimal": Decimal("1.50"),
        "flag": True,
    }
    (key,) = row_keys(pa.RecordBatch.from_pylist([values])).to_pylist()

    assert key_values(key) == [
        "2026-01-31",
        "2026-01-31 01:02:03",
        "01:02:03.000000",
        "12.5",
        "1.50",
        "true",
    ]


Additions = list[tuple[list[int], int]]
ADDITIONS = st.lists(
    st.tuples(st.lists(st.integers(0, 40), max_size=30), st.sampled_from([1, 1, -1])), max_size=12
)


def keys_of(numbers: Sequence[int]) -> pa.Array:
    return row_keys(pa.RecordBatch.from_arrays([pa.array(numbers, pa.int64())], ["n"]))


def counted(additions: Additions) -> Counter[int]:
    found: Counter[int] = Counter()
    for numbers, count in additions:
        for number in numbers:
            found[number] += count
    return found


@given(ADDITIONS, st.sampled_from([TINY, module.MEMORY_BYTES]))
def test_the_difference_is_exact_on_disk_and_in_memory(additions: Additions, memory_bytes: int) -> None:
    expected = counted(additions).values()
    with Tally(memory_bytes) as tally:
        for numbers, count in additions:
            tally.add(keys_of(numbers), count)

        assert tally.difference() == (
            sum(count for count in expected if count > 0),
            -sum(count for count in expected if count < 0),
        )


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 40), max_size=30), max_size=12), st.sampled_from([TINY, 2**22]))
def test_repetitions_are_exact_on_disk_and_in_memory(parts: list[list[int]], memory_bytes: int) -> None:
    numbers = [number for part in parts for number in part]
    times = Counter(numbers)
    expected = [
        Repeated(
            keys_of([number])[0].as_py(),
            times[number],
            numbers.index(number) + 1,
            len(numbers) - numbers[::-1].index(number),
        )
        for number in dict.fromkeys(numbers)
        if times[number] > 1
    ]
    with Tally(memory_bytes) as tally:
        for part in parts:
            tally.add(keys_of(part))
        found = tally.repetitions(3)

        assert found.surplus == len(numbers) - len(times)
        assert found.examples == expected[:3]
        assert tally.repetitions(3) == found


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The temporary files that a tally opens."""
    opened: list[Any] = []
    temporary_file = module.tempfile.TemporaryFile

    def open_file(**kwargs: Any) -> Any:
        opened.append(temporary_file(**kwargs))
        return opened[-1]

    monkeypatch.setattr(module.tempfile, "TemporaryFile", open_file)
    return opened


def test_what_is_too_much_for_the_memory_goes_to_one_file_that_is_closed(files: list[Any]) -> None:
    with Tally(TINY) as tally:
        for start in range(0, 1000, 100):
            tally.add(keys_of(range(start, start + 100)))
        (file,) = files
        assert tally.difference() == (1000, 0)
        assert os.fstat(file.fileno()).st_size > 1000 * len(b"3:999")
    assert file.closed


def test_keys_that_repeat_need_no_file(files: list[Any]) -> None:
    with Tally(memory_bytes=2000) as tally:
        for _ in range(300):
            tally.add(keys_of(range(10)))
        assert tally.difference() == (3000, 0)
    assert files == []


def test_keys_that_cancel_need_no_file(files: list[Any]) -> None:
    with Tally(memory_bytes=2000) as tally:
        for start in range(0, 3000, 10):
            tally.add(keys_of(range(start, start + 10)))
            tally.add(keys_of(range(start, start + 10)), -1)
        assert tally.difference() == (0, 0)
    assert files == []


def test_a_full_disk_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda **_: FullDisk())

    with pytest.raises(OSError, match="No space left") as caught, Tally(TINY) as tally:
        tally.add(keys_of(range(1000)))
    assert caught.value.errno == errno.ENOSPC


@pytest.fixture
def arrow_memory() -> Iterator[pa.MemoryPool]:
    """A pool of its own for what Arrow allocates during a test."""
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    pa.set_memory_pool(pool)
    yield pool
    pa.set_memory_pool(default)


def test_a_million_keys_take_little_memory(arrow_memory: pa.MemoryPool) -> None:
    with Tally() as tally:
        for start in range(0, 1_000_000, 20_000):
            tally.add(keys_of(range(start, start + 20_000)))
        tally.add(keys_of(range(500_000, 520_000)))
        assert tally.repetitions(5).surplus == 20_000

    entries = 1_000_000 * (len(b"6:500000") + 3 * 8)
    assert 1024 < arrow_memory.max_memory() < entries


@given(st.lists(st.none() | st.datetimes(), max_size=8), st.sampled_from(["s", "ms", "us"]))
def test_an_instant_has_one_key_in_every_unit_that_holds_it(
    instants: list[datetime | None], unit: str
) -> None:
    exact = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
    kept = [at and at.replace(microsecond=at.microsecond // exact * exact) for at in instants]
    fine = pa.record_batch({"at": pa.array(kept, pa.timestamp("us"))})
    coarse = pa.record_batch({"at": fine["at"].cast(pa.timestamp(unit))})
    assert row_keys(coarse) == row_keys(fine)
    assert len(set(row_keys(fine).to_pylist())) == len(set(kept))
