from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ResponseStreamingError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.errors import ResultError
from athena_reports.query import QueryExecution
from athena_reports.result import MAX_ROW_BYTES, read_result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Column:
    """A column of a result as GetQueryResults describes it."""

    name: str
    type: str
    precision: int = 0
    scale: int = 0


Row = Sequence[Any]


def as_athena_writes(value: Any) -> str:
    """A value in the result file: quoted, except for NULL."""
    if value is None:
        return ""
    match value:
        case bool():
            text = str(value).lower()
        case float() if math.isinf(value) or math.isnan(value):
            text = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
        case float():
            text = str(value).replace("e", "E")
        case datetime():
            text = value.isoformat(sep=" ", timespec="milliseconds")
        case _:
            text = str(value)
    return '"' + text.replace('"', '""') + '"'


def athena_csv(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    lines = [[column.name for column in columns], *rows]
    return "".join(",".join(map(as_athena_writes, line)) + "\n" for line in lines).encode()


def athena_of(columns: Sequence[Column]) -> Any:
    """An Athena client that answers one GetQueryResults; the Stubber checks call and answer."""
    client = boto3.client("athena")
    info = [
        {"Name": column.name, "Type": column.type, "Precision": column.precision, "Scale": column.scale}
        for column in columns
    ]
    stubber = Stubber(client)
    stubber.add_response(
        "get_query_results",
        {"ResultSet": {"Rows": [], "ResultSetMetadata": {"ColumnInfo": info}}},
        {"QueryExecutionId": "q-1", "MaxResults": 1},
    )
    stubber.activate()
    return client


class Store:
    """An S3 that holds one object; counts the bytes that were taken from it."""

    def __init__(self, content: bytes, fails_at: int | None = None) -> None:
        self._content, self._fails_at = content, fails_at
        self.read_bytes = 0

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Key) == ("results", "athena/q-1.csv")
        store = self

        class Raw(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                data = super().read(size)
                store.read_bytes += len(data)
                if store._fails_at is not None and store.read_bytes > store._fails_at:
                    raise ResponseStreamingError(error="the connection was reset")
                return data

        return {"Body": StreamingBody(Raw(self._content), len(self._content))}


def execution(location: str = "s3://results/athena/q-1.csv") -> QueryExecution:
    return QueryExecution("q-1", "SUCCEEDED", "", location, "", 0, 0, 0, "")


def read(columns: Sequence[Column], content: bytes) -> pa.Table:
    result = read_result(execution(), athena=athena_of(columns), s3=Store(content))  # type: ignore[arg-type]
    return pa.Table.from_batches(list(result.batches), result.schema)


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in table.schema.names) for row in table.to_pylist()]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    [
        "",
        '"',
        '""',
        ",",
        "\n",
        "\r\n",
        "a\nb",
        "NULL",
        "null",
        "N/A",
        "nan",
        "true",
        "0",
        " ",
        "東京",
        "👩‍👩‍👧",
        "\\N",
        "\\",
    ]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "tinyint": st.integers(-(2**7), 2**7 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "varchar": TEXTS,
    "date": st.dates(),
    "timestamp": st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)).map(  # noqa: DTZ001
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    ),
    "decimal": st.decimals(-(10**12), 10**12, places=4, allow_nan=False),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[tuple[Any, ...]]]:
    types = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    columns = [
        Column(f"column {n}", type, 20, 4) if type == "decimal" else Column(f"column {n}", type)
        for n, type in enumerate(types)
    ]
    rows = draw(st.lists(st.tuples(*(st.none() | VALUES[type] for type in types)), max_size=6))
    return columns, rows


@given(tables())
@settings(max_examples=300)
def test_every_value_comes_back_as_it_was(table: tuple[list[Column], list[tuple[Any, ...]]]) -> None:
    columns, rows = table

    assert rows_of(read(columns, athena_csv(columns, rows))) == rows


ARROW = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "char": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("ms"),
    "decimal": pa.decimal128(20, 4),
}


@pytest.mark.parametrize("type", ARROW)
@pytest.mark.parametrize("rows", [[], [(None,)], [(None,), (None,)]], ids=["no rows", "a NULL", "two NULLs"])
def test_each_type_has_its_arrow_type_even_without_a_value(type: str, rows: list[tuple[None]]) -> None:
    columns = [Column("value", type, 20, 4)]

    table = read(columns, athena_csv(columns, rows))
    assert table.schema == pa.schema([("value", ARROW[type])])
    assert rows_of(table) == rows


def test_a_null_is_no_empty_text_and_no_text_means_null() -> None:
    columns = [Column("a", "varchar"), Column("b", "varchar")]
    rows = [(None, ""), ("", None), (None, None), ("NULL", "null"), ("NA", "\\N")]

    assert rows_of(read(columns, athena_csv(columns, rows))) == rows


def test_a_null_in_a_result_of_one_column_is_a_row() -> None:
    """Athena writes it as an empty line, which CSV readers like to skip."""
    columns = [Column("a", "varchar")]

    assert rows_of(read(columns, b'"a"\n\n"x"\n\n""\n\n')) == [(None,), ("x",), (None,), ("",), (None,)]


def test_numbers_as_java_prints_them() -> None:
    columns = [Column("x", "double")]
    content = b'"x"\n"1.0E10"\n"-2.5E-7"\n"Infinity"\n"-Infinity"\n"NaN"\n"0.1"\n'

    *numbers, nan, tenth = (row[0] for row in rows_of(read(columns, content)))
    assert numbers == [1e10, -2.5e-7, math.inf, -math.inf]
    assert math.isnan(nan)
    assert tenth == 0.1


def test_decimals_and_dates_are_exact() -> None:
    columns = [Column("d", "decimal", 38, 2), Column("day", "date"), Column("at", "timestamp")]
    content = (
        b'"d","day","at"\n"-123456789012345678901234567890123456.78","0001-01-01","2026-11-24 01:02:03.004"\n'
    )

    assert rows_of(read(columns, content)) == [
        (
            Decimal("-123456789012345678901234567890123456.78"),
            date(1, 1, 1),
            datetime(2026, 11, 24, 1, 2, 3, 4000),  # noqa: DTZ001
        )
    ]


@pytest.mark.parametrize(
    "type", ["array", "map", "row", "json", "varbinary", "timestamp with time zone", "time", "hyperloglog"]
)
def test_a_type_that_a_csv_does_not_carry_is_refused_with_the_column_and_the_way_out(type: str) -> None:
    columns = [Column("id", "bigint"), Column("the value", type)]

    with pytest.raises(ResultError) as caught:
        read(columns, athena_csv(columns, []))
    assert f"Query q-1: the column 'the value' is a {type}" in str(caught.value)
    assert "CAST it in the SQL" in str(caught.value)


def test_a_column_that_stands_twice_is_refused() -> None:
    columns = [Column("a", "bigint"), Column("b", "bigint"), Column("a", "bigint")]

    with pytest.raises(ResultError, match=r"Query q-1: the column a stands twice.*\(AS\)"):
        read(columns, athena_csv(columns, []))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'"a"\n"1"\n"x"\n', "does not read as its types say"),
        (b'"a"\n"1","2"\n', "does not read as its types say"),
        (b'"a"\n"99999999999999999999"\n', "does not read as its types say"),
        (b'"other"\n"1"\n', "its metadata"),
        (b'"a","b"\n"1","2"\n', "its metadata"),
        (b"", "does not read as its types say"),
    ],
)
def test_a_file_that_is_not_what_the_metadata_says_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(ResultError, match=f"Query q-1: .*{says}"):
        read([Column("a", "bigint")], content)


def test_a_result_streams_and_is_not_held_as_a_whole() -> None:
    """The reader looks some 35 MB ahead, however large the result is."""
    columns = [Column("n", "bigint"), Column("text", "varchar")]
    content = athena_csv(columns, []) + athena_csv([], [(1, "x" * 10_000)]).removeprefix(b"\n") * 10_000
    store = Store(content)

    result = read_result(execution(), athena=athena_of(columns), s3=store)  # type: ignore[arg-type]
    first = next(result.batches)
    assert 0 < first.num_rows < 10_000
    assert store.read_bytes < len(content) / 2
    assert first.num_rows + sum(batch.num_rows for batch in result.batches) == 10_000


def test_a_connection_that_breaks_is_an_error_of_the_result() -> None:
    columns = [Column("n", "bigint")]
    content = athena_csv(columns, [(n,) for n in range(500_000)])

    result = read_result(
        execution(),
        athena=athena_of(columns),
        s3=Store(content, fails_at=len(content) // 2),  # type: ignore[arg-type]
    )
    with pytest.raises(ResultError, match=r"Query q-1: .*s3://results/athena/q-1.csv.*connection was reset"):
        list(result.batches)


def test_an_empty_result_is_one_empty_batch() -> None:
    columns = [Column("a", "varchar"), Column("b", "bigint")]
    content = athena_csv(columns, [])

    result = read_result(execution(), athena=athena_of(columns), s3=Store(content))  # type: ignore[arg-type]
    (batch,) = result.batches
    assert batch.num_rows == 0
    assert batch.schema == pa.schema([("a", pa.string()), ("b", pa.int64())])


def test_a_result_is_read_from_s3_itself(s3: S3Client, bucket: str) -> None:
    columns = [Column("a", "varchar")]
    rows = [("x\ny",), (None,), ("",)]
    s3.put_object(Bucket=bucket, Key="deep/er/q 1.csv", Body=athena_csv(columns, rows))

    result = read_result(execution(f"s3://{bucket}/deep/er/q 1.csv"), athena=athena_of(columns), s3=s3)
    assert rows_of(pa.Table.from_batches(result.batches)) == rows


@pytest.mark.parametrize(
    "location", [lambda bucket: f"s3://{bucket}/gone.csv", lambda _: "s3://no-such-bucket/q.csv"]
)
def test_a_result_that_is_gone_says_so_with_its_address_and_the_way_out(
    s3: S3Client, bucket: str, location: Callable[[str], str]
) -> None:
    where = location(bucket)

    with pytest.raises(ResultError, match="clear run_query") as caught:
        read_result(execution(where), athena=athena_of([Column("a", "varchar")]), s3=s3)
    assert f"Query q-1: its result at {where} cannot be read" in str(caught.value)


def test_a_query_that_athena_does_not_know() -> None:
    client = boto3.client("athena")
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "get_query_results", "InvalidRequestException", "QueryExecution was not found"
        )
        with pytest.raises(ResultError, match=r"Query q-1: its columns cannot be read: .*was not found"):
            read_result(execution(), athena=client, s3=Store(b""))  # type: ignore[arg-type]


def test_a_row_that_is_too_long_is_named_as_such(s3: S3Client, bucket: str) -> None:
    body = b'"text"\n"' + b"x" * 3 * MAX_ROW_BYTES + b'"\n'
    s3.put_object(Bucket=bucket, Key="long.csv", Body=body)
    result = read_result(
        execution(f"s3://{bucket}/long.csv"), athena=athena_of([Column("text", "varchar")]), s3=s3
    )
    with pytest.raises(ResultError, match="a row of its result is longer than"):
        list(result.batches)
