import base64
import csv
import datetime as dt
import decimal
import hashlib
import io
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.rows import checks
from athena_reports.rows.engine import open_engine
from athena_reports.rows.transforms import apply, each_row
from athena_reports.rows.writer import (
    Format,
    LocalTable,
    digest_of,
    write_file,
    write_table,
)
from tests.support.engines import engine
from tests.unit.athena_reports.rows.athena_output import TEXTS, comparable


def written(table: pa.Table, *formats: Format) -> tuple[LocalTable, list[bytes]]:
    with engine() as opened:
        local = write_table(opened.connection.from_arrow(table), opened)
        files = [write_file(local, format, opened) for format in formats]
        contents = [file.path.read_bytes() for file in files]
    for file, format, content in zip(files, formats, contents, strict=True):
        digest = hashlib.sha256(content).hexdigest()
        assert (file.format, file.bytes, file.sha256) == (format, len(content), digest)
    return local, contents


DECIMALS = st.integers(-(10**38) + 1, 10**38 - 1).map(
    lambda n: decimal.Decimal(n).scaleb(-7, decimal.Context(prec=50))
)
INSTANTS = st.datetimes().map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
FEW = st.none() | st.integers(0, 9)
KEYED = st.tuples(st.text('ab"\\\n', max_size=3), st.none() | st.floats())
STRUCT = pa.struct([("x", pa.int32()), ('y "', pa.list_(pa.timestamp("ms")))])
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bigint": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "double": (pa.float64(), st.floats()),
    "real": (pa.float32(), st.floats(width=32)),
    "decimal": (pa.decimal128(38, 7), DECIMALS),
    "boolean": (pa.bool_(), st.booleans()),
    "text": (pa.string(), TEXTS),
    "date": (pa.date32(), st.dates()),
    "timestamp": (pa.timestamp("ms"), INSTANTS),
    "microseconds": (pa.timestamp("us"), st.datetimes()),
    "bytes": (pa.binary(), st.binary(max_size=4)),
    "array": (pa.list_(pa.string()), st.lists(st.none() | TEXTS, max_size=3)),
    "floats": (pa.list_(pa.float64()), st.lists(st.none() | st.floats(), max_size=3)),
    "row": (STRUCT, st.fixed_dictionaries({"x": FEW, 'y "': st.lists(INSTANTS, max_size=2)})),
    "map": (
        pa.map_(pa.string(), pa.float64()),
        st.lists(KEYED, max_size=3, unique_by=lambda entry: entry[0]),
    ),
    "numbered": (
        pa.map_(pa.int32(), pa.string()),
        st.dictionaries(st.integers(0, 9), st.none() | TEXTS, max_size=2).map(
            lambda d: [*d.items()]
        ),
    ),
}


def tables_of(*names: str) -> st.SearchStrategy[pa.Table]:
    schema = pa.schema([(name, COLUMNS[name][0]) for name in names])
    rows = st.lists(
        st.fixed_dictionaries({name: st.none() | COLUMNS[name][1] for name in names}), max_size=6
    )
    return rows.map(lambda found: pa.Table.from_pylist(found, schema=schema))


def in_json(value: Any, kind: pa.DataType) -> Any:
    """What a value is to be in JSON, told in Python's own types."""
    if value is None:
        return None
    if pa.types.is_floating(kind) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if pa.types.is_list(kind):
        return [in_json(element, kind.value_type) for element in value]
    if pa.types.is_struct(kind):
        return {field.name: in_json(value[field.name], field.type) for field in kind}
    if pa.types.is_map(kind):
        return {str(key): in_json(item, kind.item_type) for key, item in value}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        return value.isoformat(
            timespec="microseconds" if value.microsecond % 1000 else "milliseconds"
        )
    return value.isoformat() if isinstance(value, dt.date) else value


@given(tables_of(*COLUMNS))
def test_parquet_and_json_lines_hold_every_value(table: pa.Table) -> None:
    local, (parquet, lines) = written(table, "parquet", "jsonl")
    assert local.rows == len(table)
    assert [column.name for column in local.columns] == table.schema.names
    stored = pq.read_table(io.BytesIO(parquet))
    assert stored.schema.names == table.schema.names
    assert str(stored.to_pylist()) == str(table.to_pylist())  # as text, in which NaN equals itself

    *texts, end = lines.decode().split("\n")
    assert end == ""
    for line, row in zip(texts, table.to_pylist(), strict=True):
        found = json.loads(
            line, parse_float=decimal.Decimal, parse_int=decimal.Decimal, parse_constant=pytest.fail
        )
        assert list(found) == table.schema.names
        for field in table.schema:
            expected = in_json(row[field.name], field.type)
            if field.name == "real" and isinstance(expected, float):
                assert pa.scalar(float(found["real"]), pa.float32()).as_py() == expected
            elif field.name in ("double", "floats", "map"):
                assert json.loads(line)[field.name] == expected
            else:
                assert found[field.name] == expected


@given(
    tables_of("bigint", "text", "double", "decimal", "boolean", "date", "timestamp")
    | tables_of("text")
)
def test_csv_holds_every_value_and_tells_null_from_the_empty_string(table: pa.Table) -> None:
    _, (content,) = written(table, "csv")

    options = {
        "null_values": [""],
        "strings_can_be_null": True,
        "quoted_strings_can_be_null": False,
    }
    found = pa_csv.read_csv(
        io.BytesIO(content),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(column_types=table.schema, **options),
    )
    rows, expected = ([tuple(row.values()) for row in each.to_pylist()] for each in (found, table))
    assert comparable(rows) == comparable(expected)


FORMULA = tuple("=+-@\t\r\n＝＋－＠")
RISKY = st.none() | st.text(st.sampled_from([*FORMULA, "a", "1", "'", '"', ",", " "]), max_size=4)
HEADERS = st.text(st.sampled_from([*FORMULA, "a", '"', ","]), min_size=1, max_size=3)


@given(HEADERS, st.lists(st.tuples(st.integers(-9, 9), RISKY), max_size=6))
@example("=", [(-1, f"{each}x") for each in FORMULA])
def test_no_text_in_a_csv_for_spreadsheets_is_a_formula(
    header: str, rows: list[tuple[int, str | None]]
) -> None:
    numbers, texts = [number for number, _ in rows], [text for _, text in rows]
    table = pa.table({"n": pa.array(numbers, pa.int64()), header: pa.array(texts, pa.string())})
    _, contents = written(table, "csv_for_spreadsheets", "csv")
    cells, plain = (
        [*csv.reader(io.StringIO(content.decode(), newline=""))] for content in contents
    )

    def escaped(text: str) -> str:
        return f"'{text}" if text.startswith(FORMULA) else text

    assert cells == [
        ["n", escaped(header)],
        *([str(number), escaped(text or "")] for number, text in rows),
    ]
    assert [row[1] for row in plain] == [header, *(text or "" for text in texts)]


AT = [dt.datetime(2026, 11, 14, 15, tzinfo=dt.UTC)]
ROW = {
    "n": [-1],
    "a b": ["x"],
    "e": [""],
    "null": pa.array([None], "string"),
    "f": [1e-7],
    "d": pa.array([decimal.Decimal("-1.50")]),
    "at": pa.array(AT, pa.timestamp("ms", "Asia/Tokyo")),
    "=h": ['=HYPERLINK("x")'],
    "b": [True],
}
IN_JSON = rb"""
{"n":-1,"a b":"x","e":"","null":null,"f":1e-7,"d":-1.50,"at":"2026-11-14T15:00:00.000Z",
"=h":"=HYPERLINK(\"x\")","b":true}
""".replace(b"\n", b"")
IN_JSON += b"\n"
CSV_HEADER = b'n,"a b","e","null",f,d,at,"=h",b\n'
IN_CSV = CSV_HEADER + b'-1,"x","",,1e-07,-1.50,2026-11-14 15:00:00.000Z,"=HYPERLINK(""x"")",true\n'


def test_the_formats_by_example() -> None:
    _, (lines, plain, safe) = written(pa.table(ROW), "jsonl", "csv", "csv_for_spreadsheets")
    assert (lines, plain) == (IN_JSON, IN_CSV)
    assert safe == IN_CSV.replace(b'"=', b"\"'=")

    _, (parquet, lines, plain) = written(pa.table(ROW).slice(0, 0), "parquet", "jsonl", "csv")
    assert pq.read_table(io.BytesIO(parquet)).schema.names == list(ROW)
    assert (lines, plain) == (b"", CSV_HEADER)


def test_types_that_athena_does_not_read_become_ones_that_it_does() -> None:
    odd = """
    SELECT
        sum(2::BIGINT) AS total,
        2::UHUGEINT AS great,
        uuid() AS u,
        '{}'::JSON AS j,
        'x'::ENUM('x') AS e,
        [1::HUGEINT] AS l,
        INTERVAL '3 days' AS i,
        TIME '01:02:03' AS t
    """
    with engine() as opened:
        table = write_table(opened.connection.sql(odd), opened)
        rows = opened.connection.sql(f"SELECT total, j, l FROM {table.source}").fetchall()
    great, texts = "DECIMAL(38,0)", dict.fromkeys("uje", ("VARCHAR", "string"))
    expected = {
        "total": (great, great.lower()),
        "great": (great, great.lower()),
        **texts,
        "l": (f"{great}[]", f"array<{great.lower()}>"),
        "i": ("VARCHAR", "string"),
        "t": ("VARCHAR", "string"),
    }
    assert {column.name: (column.type, column.glue) for column in table.columns} == expected
    assert rows == [(2, "{}", [1])]


def test_nested_values_and_bytes_are_json_and_base64_in_a_csv() -> None:
    table = pa.table({"l": [[1, None], None], "s": [{"x": 1.5}, {"x": None}], "b": [b"", None]})
    _, (plain, safe) = written(table, "csv", "csv_for_spreadsheets")
    assert plain == safe == b'l,s,"b"\n"[1,null]","{""x"":1.5}",""\n,"{""x"":null}",\n'


# --- once, and the same bytes


def test_the_rows_are_computed_once_whatever_follows() -> None:
    calls, batched = Counter[int](), Counter[int]()

    def called(row: dict[str, Any]) -> dict[str, Any]:
        calls.update([row["n"]])
        return {**row, "calls": calls[row["n"]]}

    def batches() -> Any:
        for start in range(0, 10, 3):
            numbers = list(range(start, min(start + 3, 10)))
            batched.update(numbers)
            yield pa.record_batch({"n": numbers})

    period: Any = None
    with engine() as opened:
        reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
        rows = opened.connection.from_arrow(reader)
        rows = apply([each_row(called, adds={"calls": "bigint"})], rows, period, opened)
        table = write_table(rows.project("*, n * 2 AS twice"), opened)
        declared = [
            checks.unique("n"),
            checks.not_null("n"),
            checks.change("twice", within=1),
            checks.rows(at_least=1),
        ]
        assert all(found.passed for found in checks.run_checks(declared, table, opened))
        for format in ("parquet", "csv", "jsonl"):
            write_file(table, format, opened)
    assert calls == batched == Counter(range(10))


ROWS = """
SELECT
    range AS id,
    CASE WHEN range % 17 > 0 THEN repeat(md5(range::VARCHAR), (range % 5)::INTEGER) END AS name,
    (range * 7919 % 1000003) / 7 AS score,
    TIMESTAMP_MS '2026-11-15 00:00:00' + to_milliseconds(range) AS at_,
    [range, NULL] AS list
FROM range(60_000)
"""


def digest(values: str, *without: str) -> str:
    """The digest of some rows of two columns."""
    with engine() as opened:
        rows = opened.connection.sql(f'SELECT * FROM (VALUES {values}) t(name, "Rank")')
        return digest_of(write_table(rows, opened), opened, without=without)


def test_a_digest_is_of_the_rows_in_any_order() -> None:
    rows = digest("('a', 1), ('b', 2)")
    assert digest("('b', 2), ('a', 1)") == rows
    others = ["('a', 1), ('b', 3)", "('a', 2), ('b', 1)", "('a', 1)", "('a', 1), ('b', NULL)"]
    others += ["('a', 1), ('b', 2), ('b', 2)", "('a', 1), ('c', 3), ('c', 3)"]
    digests = [rows, *map(digest, others)]
    assert len(set(digests)) == len(digests)
    assert all(digests)  # an empty one is of a manifest that an older release wrote


def test_a_digest_leaves_out_columns_in_any_case_and_still_counts_the_rows() -> None:
    rows = digest("('a', 1), ('b', 2)", "RANK", "absent")
    assert digest("('b', 7), ('a', 8)", "rank") == rows
    assert digest("('a', 1), ('c', 2)", "rank") != rows
    no_columns = ("name", "rank")
    counts = [digest("('a', 1), ('b', 2)", *no_columns), digest("('a', 1)", *no_columns)]
    assert all(counts)
    assert len(set(counts)) == 2
    assert digest("('c', 3)", *no_columns) == counts[1]


def test_equal_rows_in_equal_order_give_equal_bytes() -> None:
    digests = set()
    for limit in ["64MB", "128MB", "1GB", "100MB"] * 2:
        with open_engine(limit) as opened:
            table = write_table(opened.connection.sql(ROWS), opened)
            files = [write_file(table, format, opened) for format in ("parquet", "jsonl")]
            digests.add(tuple(file.sha256 for file in files))
    assert len(digests) == 1


def test_wide_rows_are_written_in_row_groups_of_a_bounded_size(tmp_path: Path) -> None:
    with engine() as opened:
        wide = opened.connection.sql(
            "SELECT range AS n, repeat(md5(range::VARCHAR), 300) AS text FROM range(20_000)"
        )
        table = write_table(wide, opened)
        metadata = pq.read_metadata(table.path)
    sizes = [
        metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)
    ]
    assert table.rows == 20_000
    assert 5 < len(sizes) < 30
    assert max(sizes) < 32 * 1024 * 1024
