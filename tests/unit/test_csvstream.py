from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import islice, repeat
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports import csvstream
from athena_reports.csvstream import CHUNK_BYTES, MAX_ROW_BYTES, READ_BUDGET_BYTES, read_csv
from athena_reports.errors import ResultError
from athena_reports.schema import result_schema
from tests.unit.athena_output import Column, Table, comparable, csv_of, rows_of, tables

PLUGINS = Path(csvstream.__file__).parents[1]


def schema_of(columns: list[Column]) -> pa.Schema:
    return result_schema([column.info for column in columns])


def pieces_of(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def batches_of(columns: list[Column], content: bytes, *, piece: int = 0, chunk: int = CHUNK_BYTES) -> Any:
    pieces = pieces_of(content, piece or len(content) or 1)
    return list(read_csv(pieces, schema_of(columns), about="Query q-1", chunk_bytes=chunk))


def values_of(type: str, *lines: bytes) -> list[Any]:
    """What the lines of a one-column result read as."""
    (column,) = zip(
        *rows_of(batches_of([Column("x", type, 38, 2)], b"\n".join([b'"x"', *lines, b""]))), strict=True
    )
    return list(column)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("athena-csv")]


@given(tables(), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=400)
def test_every_value_comes_back_as_it_was_wherever_the_bytes_are_cut(
    table: Table, piece: int, chunk: int
) -> None:
    batches = batches_of(table.columns, csv_of(table.columns, table.rows), piece=piece, chunk=chunk)

    assert {batch.schema for batch in batches} == {schema_of(table.columns)}
    assert rows_of(batches) == comparable(table.rows)


LIKE_ROW_ENDS = st.lists(
    st.sampled_from(["a", '"', "\n", ",", '"\n', '",\n', '","', "\r\n"]), max_size=40
).map("".join)


@given(LIKE_ROW_ENDS, LIKE_ROW_ENDS, st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=400)
def test_no_row_is_cut_within_a_value_that_looks_like_row_ends(
    text: str, other: str, piece: int, chunk: int
) -> None:
    columns = [Column("a", "varchar"), Column("b", "varchar")]
    rows = [(text, None), (None, other), (other, text)]

    assert rows_of(batches_of(columns, csv_of(columns, rows), piece=piece, chunk=chunk)) == rows


def test_a_null_is_no_empty_text_and_no_text_means_null() -> None:
    columns = [Column("a", "varchar"), Column("b", "varchar")]
    content = b'"a","b"\n,""\n"",\n,\n"NULL","null"\n"NA","\\N"\n'

    assert rows_of(batches_of(columns, content)) == [
        (None, ""),
        ("", None),
        (None, None),
        ("NULL", "null"),
        ("NA", "\\N"),
    ]


def test_a_null_in_a_result_of_one_column_is_an_empty_line() -> None:
    assert values_of("varchar", b"", b'"x"', b"", b'""', b"") == [None, "x", None, "", None]
    assert values_of("timestamp with time zone", b"", b"") == [None, None]


def test_numbers_as_java_prints_them() -> None:
    assert values_of("double", b'"1.0E10"', b'"-2.5E-7"', b'"0.1"', b'"4.9E-324"', b'"-0.0"') == [
        "10000000000.0",
        "-2.5e-07",
        "0.1",
        "5e-324",
        "-0.0",
    ]
    assert values_of("float", b'"NaN"', b'"Infinity"', b'"-Infinity"') == ["nan", "inf", "-inf"]


def test_what_a_csv_prints_of_each_type_by_example() -> None:
    assert values_of("decimal", b'"-123456789012345678901234567890123456.78"') == [
        Decimal("-123456789012345678901234567890123456.78")
    ]
    assert values_of("date", b'"0001-01-01"', b'"9999-12-31"') == [date.min, date.max]
    assert values_of("time", b'"23:59:59.999"') == [time(23, 59, 59, 999_000)]
    assert values_of("varbinary", b'"68 65 0a"', b'""', b"") == [b"he\n", b"", None]
    assert values_of("array", b'"[1, 2]"') == ["[1, 2]"]
    assert (
        values_of("timestamp", b'"2026-11-24 01:02:03.004"', b'"2026-11-24 01:02:03.004000"')
        == [
            datetime(2026, 11, 24, 1, 2, 3, 4_000)  # noqa: DTZ001
        ]
        * 2
    )


def test_the_zones_of_one_column_may_differ_from_row_to_row() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    found = values_of(
        "timestamp with time zone",
        b'"2026-11-24 21:00:00.000 Asia/Tokyo"',
        b"",
        b'"2026-11-24 12:00:00.000 UTC"',
        b'"2026-11-24 21:00:00.000 +09:00"',
        b'"2026-11-24 06:30:00.000 -05:30"',
        b'"2026-11-24 07:00:00.000 America/New_York"',
    )

    assert found == [noon, None, noon, noon, noon, noon]


def test_a_zones_summer_and_winter_are_told_apart() -> None:
    assert values_of(
        "timestamp with time zone",
        b'"2026-07-01 12:00:00.000 Europe/Berlin"',
        b'"2026-12-01 12:00:00.000 Europe/Berlin"',
    ) == [datetime(2026, 7, 1, 10, tzinfo=UTC), datetime(2026, 12, 1, 11, tzinfo=UTC)]


def test_a_wall_time_that_comes_twice_is_refused_and_never_guessed() -> None:
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert twice.utcoffset() != twice.replace(fold=1).utcoffset()

    with pytest.raises(
        ResultError, match=r"Query q-1: .* row 2: column 'x': 2026-10-25 02:30.*ambiguous"
    ) as caught:
        values_of("timestamp with time zone", b"", b'"2026-10-25 02:30:00.000 Europe/Berlin"')
    assert "Use AT TIME ZONE 'UTC' in the SQL." in str(caught.value)


BAD_VALUES = [
    ("boolean", b'"maybe"', "maybe"),
    ("tinyint", b'"128"', "128"),
    ("bigint", b'"9223372036854775808"', "9223372036854775808"),
    ("bigint", b'""', "invalid value ''"),
    ("double", b'"one"', "one"),
    ("decimal", b'"1.234"', "Rescaling"),
    ("varbinary", b'"6"', "6: "),
    ("varbinary", b'"zz"', "zz: "),
    ("time", b'"25:00:00.000"', "25:00:00.000"),
    ("date", b'"10000-01-01"', "10000-01-01.*Years 0001 to 9999"),
    ("date", b'"-0001-12-31"', "-0001-12-31.*Years 0001 to 9999"),
    ("date", b'"0000-12-31"', "0000-12-31.*years 0001 to 9999"),
    ("timestamp", b'"+10000-01-01 00:00:00.000"', "Years 0001 to 9999"),
    ("timestamp", b'"0000-12-31 23:59:59.999"', "years 0001 to 9999"),
    ("timestamp", b'"2026-11-24 00:00:00.000001"', r"finer than a millisecond.*timestamp\(3\)"),
    ("timestamp with time zone", b'"2026-11-24 00:00:00.000"', "no timestamp with a time zone"),
    ("timestamp with time zone", b'"2026-11-24 00:00:00.000 Asia/Atlantis"', "Asia/Atlantis"),
    ("timestamp with time zone", b'"9999-12-31 23:00:00.000 -02:00"', "years 0001 to 9999"),
    ("timestamp with time zone", b'"a day Asia/Tokyo"', "a day"),
    ("varchar", b'"\xff"', "UTF8"),
]
GOOD_VALUES = {
    "boolean": "true",
    "tinyint": "1",
    "bigint": "1",
    "double": "1.0",
    "decimal": "1.00",
    "varbinary": "01",
    "time": "00:00:00.000",
    "date": "2026-11-24",
    "timestamp": "2026-11-24 00:00:00.000",
    "timestamp with time zone": "2026-11-24 00:00:00.000 Asia/Tokyo",
    "varchar": "x",
}


@pytest.mark.parametrize("chunk", [1, 100, CHUNK_BYTES])
@pytest.mark.parametrize(("type", "bad", "says"), BAD_VALUES)
def test_a_value_that_is_not_of_its_type_is_named_with_its_row_and_column(
    type: str, bad: bytes, says: str, chunk: int
) -> None:
    columns = [Column("id", "bigint"), Column("the value", type, 38, 2)]
    good = f'"{GOOD_VALUES[type]}"'.encode()
    rows = [b'"1",%s\n' % (bad if row == 17 else good) for row in range(1, 31)]
    content = b'"id","the value"\n' + b"".join(rows)

    with pytest.raises(ResultError, match=rf"(?s)^Query q-1: .* row 17: column 'the value': .*{says}"):
        batches_of(columns, content, piece=7, chunk=chunk)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it begins with ''.*the columns"),
        (b'"other","b"\n"1","2"\n', "it begins with .*other.*the columns"),
        (b'"a"\n"1"\n', "the columns"),
        (b'"a","b","c"\n"1","2","3"\n', "the columns"),
        (b'"a","b"\n"1","2"\n"3","4","5"\n', r"row 2: Expected 2 columns, got 3"),
        (b'"a","b"\n"1","2"\n"3"\n', r"row 2: Expected 2 columns, got 1"),
        (b'"a","b"\n"1","2"\n"3","4', r"ends inside a value.*3"),
        (b'"a","b', "ends inside a value"),
    ],
)
def test_a_file_that_is_not_what_the_metadata_says_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(ResultError, match=f"(?s)^Query q-1: .*{says}"):
        batches_of([Column("a", "bigint"), Column("b", "bigint")], content)


def test_a_last_row_without_its_line_break_is_a_row() -> None:
    assert rows_of(batches_of([Column("a", "bigint")], b'"a"\n"1"\n"2"')) == [(1,), (2,)]


def test_no_rows_are_one_empty_batch() -> None:
    columns = [Column("a", "varchar"), Column("b", "timestamp with time zone")]

    (batch,) = batches_of(columns, csv_of(columns, []))
    assert (batch.num_rows, batch.schema) == (0, schema_of(columns))


def test_a_row_may_be_longer_than_a_chunk_up_to_the_limit() -> None:
    columns = [Column("n", "bigint"), Column("text", "varchar")]
    text = "x\n" * (MAX_ROW_BYTES // 2 - 100)
    rows = [(1, "a"), (2, text), (3, None)]

    assert rows_of(batches_of(columns, csv_of(columns, rows), piece=CHUNK_BYTES)) == rows


def test_a_row_that_is_too_long_is_named_by_its_number_and_start_after_those_before_it() -> None:
    columns = [Column("n", "bigint"), Column("text", "varchar")]
    many = [(n, "some text") for n in range(100_000)]
    content = csv_of(columns, [*many, (-7, "x" * (MAX_ROW_BYTES + 2 * CHUNK_BYTES))])
    stream = read_csv(pieces_of(content, CHUNK_BYTES), schema_of(columns), about="Query q-1")

    seen: list[pa.RecordBatch] = []
    with pytest.raises(ResultError) as caught:
        seen.extend(stream)  # keeps what came before the error
    assert rows_of(seen) == many
    assert "Query q-1: its result cannot be read, row 100,001: it is longer than 16,777,216 bytes" in str(
        caught.value
    )
    assert 'starts with \'"-7","xxx' in str(caught.value)
    assert threads() == []


LINE = b'"1234567890","some text, and more of it"\n'
COLUMNS = [Column("n", "bigint"), Column("text", "varchar")]
HEADER = b'"n","text"\n'


class Source:
    """Endless rows; counts the pieces that were taken."""

    def __init__(self, fails_after: int = 10**9) -> None:
        self.taken = 0
        self._fails_after = fails_after

    def __iter__(self) -> Iterator[bytes]:
        yield HEADER
        for _ in range(self._fails_after):
            self.taken += 1
            yield LINE * 100
        raise ConnectionResetError("the other end is gone")


def test_a_reader_that_stops_early_ends_the_threads_and_no_more_is_read() -> None:
    source = Source()
    stream: Any = read_csv(source, schema_of(COLUMNS), about="Query q-1", chunk_bytes=len(LINE) * 100)

    first = next(stream)
    assert first.num_rows > 0
    assert threads() != []
    stream.close()
    assert threads() == []
    taken = source.taken
    assert taken <= 10  # the first chunks, and those that are read ahead
    assert list(stream) == []
    assert source.taken == taken


def test_memory_is_bounded_by_what_is_read_ahead_however_slow_the_reader_is() -> None:
    source = Source()
    stream: Any = read_csv(source, schema_of(COLUMNS), about="Query q-1", chunk_bytes=len(LINE) * 100)

    yielded = 0
    for batch in islice(stream, 50):
        yielded += batch.num_rows
        assert source.taken <= yielded // 100 + 10
    stream.close()
    assert yielded == 50 * 100


def test_an_error_of_the_source_comes_through_unchanged_after_what_came_before_it() -> None:
    stream = read_csv(
        Source(fails_after=20), schema_of(COLUMNS), about="Query q-1", chunk_bytes=len(LINE) * 100
    )

    seen: list[pa.RecordBatch] = []
    with pytest.raises(ConnectionResetError, match="the other end is gone"):
        seen.extend(stream)
    assert sum(batch.num_rows for batch in seen) == 20 * 100
    assert threads() == []


def test_a_bad_value_ends_the_threads() -> None:
    pieces = [HEADER, *repeat(LINE * 100, 20), b'"x","y"\n', *repeat(LINE * 100, 20)]

    with pytest.raises(ResultError, match="row 2,001: column 'n'"):
        list(read_csv(pieces, schema_of(COLUMNS), about="Query q-1", chunk_bytes=1))
    assert threads() == []


def test_a_small_result_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvstream, "ThreadPoolExecutor", None)

    (batch,) = read_csv([HEADER, LINE * 100], schema_of(COLUMNS), about="Query q-1")
    assert batch.num_rows == 100


MEASURE = """
import json, sys
from itertools import chain, repeat
import pyarrow as pa, pyarrow.compute, pyarrow.csv
from athena_reports.csvstream import CHUNK_BYTES, read_csv

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

types = {"n": pa.int64(), "name": pa.string(), "at": pa.timestamp("ms"), "x": pa.float64()}
schema = pa.schema(list(types.items()))
lines = "".join(
    f'"{n}",{"" if n % 7 == 0 else chr(34) + "東京の人" + chr(34)},"2026-11-24 01:02:03.004","{n / 7}"\\n'
    for n in range(15_000)
).encode()
before, rows = peak(), 0
pieces = chain([b'"n","name","at","x"\\n'], repeat(lines, 100))
for batch in read_csv(pieces, schema, about="Query q-1"):
    rows += batch.num_rows
print(json.dumps({"rows": rows, "size": 100 * len(lines), "taken": peak() - before}))
"""


def test_a_million_and_a_half_rows_are_read_within_the_budget() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env={"PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(answer.stdout)

    assert found["rows"] == 1_500_000
    assert found["size"] > 1.4 * READ_BUDGET_BYTES
    assert found["taken"] < READ_BUDGET_BYTES


def test_offsets_reach_as_far_as_zones_do() -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-14)))

    assert values_of("timestamp with time zone", b'"2026-01-01 00:00:00.000 -14:00"') == [at]
