from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports import csvstream
from athena_reports import result as module
from athena_reports.csvstream import READ_BUDGET_BYTES
from athena_reports.errors import ResultError
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.submission import Submission
from athena_reports.result import Result, UnloadedFile, open_result
from athena_reports.storage import RESUMES, Storage, StorageError
from tests.unit.athena_output import (
    UNLOADED,
    Column,
    FakeS3,
    Table,
    comparable,
    csv_of,
    pages_of,
    rows_of,
    tables,
    unloaded,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PLUGINS = Path(csvstream.__file__).parents[1]
CSV = "s3://results/athena/q-1.csv"
MANIFEST = "s3://results/athena/q-1-manifest.csv"

SELECT = QueryExecution("q-1", "SUCCEEDED", "", CSV, "", 0, 0, 0, "", statement="SELECT")
MANAGED = replace(SELECT, output_location="")
UNLOAD = replace(
    SELECT, output_location="s3://results/athena/q-1", statement="UNLOAD", data_manifest=MANIFEST
)


class FakeAthena:
    """An Athena client that answers GetQueryResults.

    Attributes:
        calls: What it was asked, in order.
    """

    def __init__(self, pages: Sequence[Mapping[str, Any]]) -> None:
        self._pages = pages
        self.calls: list[dict[str, Any]] = []

    def get_query_results(self, **request: Any) -> dict[str, Any]:
        self.calls.append(request)
        number = int(request.get("NextToken", 0))
        more = {"NextToken": str(number + 1)} if number + 1 < len(self._pages) else {}
        return {**self._pages[number], **more}


def athena_of(columns: Sequence[Column], rows: Sequence[Any] = (), page: int = 1000) -> Any:
    return FakeAthena(pages_of(columns, rows, page))


def storage_of(objects: Mapping[str, bytes]) -> Storage:
    return Storage(FakeS3(objects))  # type: ignore[arg-type]


def open_csv(columns: Sequence[Column], content: bytes) -> Result:
    return open_result(SELECT, athena=athena_of(columns), storage=storage_of({CSV: content}))


def unload_of(*files: bytes) -> dict[str, bytes]:
    """The objects of an UNLOAD; its manifest lists them in another order than their keys'."""
    objects = {f"s3://lake/unload/2026_{number:03}_part": file for number, file in enumerate(files)}
    return {**objects, MANIFEST: "".join(f"{uri}\n" for uri in reversed(objects)).encode()}


def open_unload(*files: bytes) -> Result:
    return open_result(UNLOAD, athena=FakeAthena([]), storage=storage_of(unload_of(*files)))  # type: ignore[arg-type]


def open_unload_in(s3: FakeS3) -> Result:
    return open_result(UNLOAD, athena=FakeAthena([]), storage=Storage(s3))  # type: ignore[arg-type]


def read(result: Result) -> list[tuple[Any, ...]]:
    batches = list(result.batches)
    assert {batch.schema for batch in batches} == {result.schema}
    return rows_of(batches)


# --- three sources, the same rows --------------------------------------------------------------------------


@given(tables(), st.integers(1, 5), st.integers(1, 40))
@settings(max_examples=150)
def test_a_csv_and_pages_give_the_same_rows(table: Table, page: int, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvstream, "CHUNK_BYTES", chunk)
        csv = open_csv(table.columns, csv_of(table.columns, table.rows))
        pages = open_result(
            MANAGED, athena=athena_of(table.columns, table.rows, page), storage=storage_of({})
        )

        assert csv.schema == pages.schema
        assert csv.schema.names == [column.name for column in table.columns]
        assert read(csv) == comparable(table.rows)
        assert read(pages) == comparable(table.rows)
        assert csv.find_files is pages.find_files is None
        assert csv.ordered
        assert pages.ordered


@given(tables(sorted(UNLOADED)), st.integers(1, 4), st.integers(1, 5), st.integers(1, 7))
@settings(max_examples=150)
def test_an_unload_gives_the_rows_and_the_types_of_a_csv(
    table: Table, files: int, group: int, batch: int
) -> None:
    columns, rows = table.columns, table.rows
    size = -(-len(rows) // files) or 1
    parts = [rows[start : start + size] for start in range(0, files * size, size)]
    csv = open_csv(columns, csv_of(columns, rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH_ROWS", batch)
        result = open_unload(*(unloaded(columns, part, row_group_size=group) for part in parts))

        assert result.schema == csv.schema
        assert read(result) == comparable(rows)
        assert not result.ordered


# --- CSV ---------------------------------------------------------------------------------------------------

WORDS = [Column("n", "bigint"), Column("word", "varchar")]
MANY = [(n, f"word {n}") for n in range(100_000)]


def test_a_small_result_costs_one_request_of_s3_and_one_of_athena() -> None:
    s3, athena = FakeS3({CSV: csv_of(WORDS, MANY[:100])}), athena_of(WORDS)

    assert read(open_result(SELECT, athena=athena, storage=Storage(s3))) == MANY[:100]  # type: ignore[arg-type]
    assert s3.reads == [CSV]
    assert athena.calls == [{"QueryExecutionId": "q-1", "MaxResults": 1}]


def test_a_read_that_breaks_off_goes_on_where_it_stopped() -> None:
    s3 = FakeS3({CSV: csv_of(WORDS, MANY)})
    s3.breaks = [500_000, 900_000]
    result = open_result(SELECT, athena=athena_of(WORDS), storage=Storage(s3))  # type: ignore[arg-type]

    assert read(result) == MANY
    assert s3.resumed_at == [500_000, 1_400_000]


def test_a_read_that_breaks_off_again_and_again_is_an_error_that_may_pass() -> None:
    s3 = FakeS3({CSV: csv_of(WORDS, MANY)})
    s3.breaks = [500_000, *[10] * RESUMES]
    result = open_result(SELECT, athena=athena_of(WORDS), storage=Storage(s3))  # type: ignore[arg-type]

    with pytest.raises(StorageError, match=f"Query q-1: {CSV} cannot be read: it broke off") as caught:
        list(result.batches)
    assert caught.value.retryable


def test_a_result_that_is_another_one_after_a_break_is_refused() -> None:
    s3 = FakeS3({CSV: csv_of(WORDS, MANY)})
    s3.breaks = [500_000]
    result = open_result(SELECT, athena=athena_of(WORDS), storage=Storage(s3))  # type: ignore[arg-type]
    s3.objects[CSV] = csv_of(WORDS, [(-n, word) for n, word in MANY])

    with pytest.raises(ResultError, match=r"Query q-1: .*is another one by now.*clear run_query"):
        list(result.batches)


def test_a_value_that_is_not_of_its_type_names_the_query() -> None:
    result = open_csv(WORDS, csv_of([Column("n", "varchar"), WORDS[1]], [("1", "a"), ("x", "b")]))

    with pytest.raises(ResultError, match="Query q-1: its result cannot be read, row 2: column 'n'"):
        list(result.batches)


def test_a_reader_that_stops_early_closes_the_connection() -> None:
    closed: list[bool] = []
    content = csv_of(WORDS, MANY)

    class Watched(FakeS3):
        def get_object(self, **request: Any) -> Any:
            answer = super().get_object(**request)
            answer["Body"].close = lambda: closed.append(True)
            return answer

    result = open_result(SELECT, athena=athena_of(WORDS), storage=Storage(Watched({CSV: content})))  # type: ignore[arg-type]
    batches: Any = result.batches
    next(batches)
    assert not closed
    batches.close()
    assert closed


def test_a_result_is_read_from_s3_itself(s3: S3Client, bucket: str) -> None:
    columns, rows = [Column("a", "varchar")], [("x\ny",), (None,), ("",)]
    s3.put_object(Bucket=bucket, Key="deep/er/q 1.csv", Body=csv_of(columns, rows))
    execution = replace(SELECT, output_location=f"s3://{bucket}/deep/er/q 1.csv")

    assert read(open_result(execution, athena=athena_of(columns), storage=Storage(s3))) == rows


def test_a_result_that_is_gone_says_so_with_its_address_and_the_way_out(s3: S3Client, bucket: str) -> None:
    where = f"s3://{bucket}/gone.csv"

    with pytest.raises(ResultError, match="clear run_query with all that is downstream") as caught:
        open_result(replace(SELECT, output_location=where), athena=athena_of(WORDS), storage=Storage(s3))
    assert f"Query q-1: its result is gone, or is another one by now: {where} cannot be read" in str(
        caught.value
    )


def refusing(code: str, status: int) -> Storage:
    class Refusing(FakeS3):
        def get_object(self, **request: Any) -> Any:
            raise ClientError(
                {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
                "GetObject",
            )

    return Storage(Refusing({}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "status", "retryable", "says"),
    [
        ("AccessDenied", 403, False, "IAM"),
        ("NoSuchBucket", 404, False, "Create the bucket"),
        ("PermanentRedirect", 301, False, "another region"),
        ("SlowDown", 503, True, "SlowDown"),
    ],
)
@pytest.mark.parametrize("execution", [SELECT, UNLOAD])
def test_what_s3_refuses_names_the_query_the_object_and_the_way_out(
    execution: QueryExecution, code: str, status: int, retryable: bool, says: str
) -> None:
    with pytest.raises(
        StorageError, match=f"Query q-1: s3://results/athena/q-1.*cannot be read.*{says}"
    ) as caught:
        open_result(execution, athena=athena_of(WORDS), storage=refusing(code, status))
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ([Column("a", "bigint"), Column("a", "bigint")], r"Query q-1: the column a stands twice.*\(AS\)"),
        ([Column("a", "hyperloglog")], "Query q-1: the column 'a': its type is hyperloglog.*CAST"),
    ],
)
@pytest.mark.parametrize("execution", [SELECT, MANAGED])
def test_columns_that_cannot_be_read_are_refused_with_the_query(
    columns: list[Column], says: str, execution: QueryExecution
) -> None:
    with pytest.raises(ResultError, match=says):
        open_result(execution, athena=athena_of(columns), storage=storage_of({CSV: b""}))


# --- pages -------------------------------------------------------------------------------------------------


def test_pages_are_asked_for_as_large_as_they_may_be_and_while_they_are_read() -> None:
    athena = athena_of(WORDS, MANY[:2500])
    result = open_result(MANAGED, athena=athena, storage=storage_of({}))

    assert athena.calls == [{"QueryExecutionId": "q-1", "MaxResults": 1000}]
    assert read(result) == MANY[:2500]
    assert [call.get("NextToken") for call in athena.calls] == [None, "1", "2"]
    assert {call["MaxResults"] for call in athena.calls} == {1000}


@pytest.mark.parametrize("execution", [SELECT, MANAGED])
def test_a_result_that_athena_no_longer_has(execution: QueryExecution) -> None:
    client = boto3.client("athena")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_query_results", "InvalidRequestException", "Results have expired")
        with pytest.raises(
            ResultError, match=r"Query q-1: .*Results have expired.*24 hours.*clear run_query"
        ):
            open_result(execution, athena=client, storage=storage_of({}))


def test_a_page_that_does_not_come_is_an_error_of_the_result() -> None:
    class Breaking(FakeAthena):
        def get_query_results(self, **request: Any) -> dict[str, Any]:
            if "NextToken" in request:
                raise EndpointConnectionError(endpoint_url="https://athena")
            return super().get_query_results(**request)

    result = open_result(MANAGED, athena=Breaking(pages_of(WORDS, MANY[:10], 5)), storage=storage_of({}))  # type: ignore[arg-type]

    with pytest.raises(ResultError, match="Query q-1: GetQueryResults does not give its result"):
        list(result.batches)


# --- UNLOAD ------------------------------------------------------------------------------------------------


def numbers(count: int, first: int = 0, **options: Any) -> bytes:
    rows = [(n, f"word {n}") for n in range(first, first + count)]
    return unloaded(WORDS, rows, **options)


def test_files_are_read_by_key_whatever_the_order_and_the_quotes_of_the_manifest() -> None:
    objects = unload_of(*(numbers(10, 10 * n) for n in range(12)))
    lines = objects[MANIFEST].decode().splitlines()
    random.Random(1).shuffle(lines)
    objects[MANIFEST] = ("\r\n".join(f'"{line}"' for line in lines) + "\n\n").encode()

    result = open_result(UNLOAD, athena=FakeAthena([]), storage=storage_of(objects))  # type: ignore[arg-type]
    assert read(result) == [(n, f"word {n}") for n in range(120)]


def test_the_files_of_an_unload_with_a_managed_result_are_those_that_athena_lists() -> None:
    objects = unload_of(*(numbers(10, 10 * n) for n in range(5)))
    listed = [Column("file", "varchar")], [(line,) for line in objects.pop(MANIFEST).decode().split()]
    athena = athena_of(*listed, page=2)

    execution = replace(UNLOAD, output_location="", data_manifest="")
    assert read(open_result(execution, athena=athena, storage=storage_of(objects))) == [
        (n, f"word {n}") for n in range(50)
    ]
    assert {call["QueryResultType"] for call in athena.calls} == {"DATA_MANIFEST"}


def test_each_file_is_downloaded_once_and_not_long_before_it_is_read() -> None:
    s3 = FakeS3(unload_of(*(numbers(10, 10 * n) for n in range(9))))
    result = open_result(UNLOAD, athena=FakeAthena([]), storage=Storage(s3))  # type: ignore[arg-type]
    assert len(s3.reads) == 2  # the manifest and the first file

    for number, _ in enumerate(result.batches, 1):
        assert len(s3.reads) <= 1 + number + 3
    assert sorted(s3.reads) == sorted(s3.objects)


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert len(read(open_unload(numbers(10), numbers(10), numbers(10)))) == 30
    batches: Any = open_unload(numbers(10), numbers(10), numbers(10)).batches
    next(batches)
    batches.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "stored",
    [
        pa.table({"at": pa.array([datetime(2026, 11, 24, 1, 2, 3, 4000)], pa.timestamp("us"))}),  # noqa: DTZ001
        pa.table({"at": pa.array([datetime(2026, 11, 24, 1, 2, 3, 4000)], pa.timestamp("ns"))}),  # noqa: DTZ001
        pa.table({"at": pa.array([datetime(2026, 11, 24, 1, 2, 3, 4000)], pa.timestamp("ms", "UTC"))}),  # noqa: DTZ001
    ],
    ids=["us", "ns", "adjusted to UTC"],
)
def test_timestamps_are_milliseconds_without_a_zone_however_they_are_stored(stored: pa.Table) -> None:
    file = pa.BufferOutputStream()
    pq.write_table(stored, file)
    result = open_unload(file.getvalue().to_pybytes())

    assert result.schema == pa.schema([("at", pa.timestamp("ms"))])
    assert read(result) == [(datetime(2026, 11, 24, 1, 2, 3, 4000),)]  # noqa: DTZ001


def test_timestamps_of_96_bits_are_read_to_the_ends_of_the_calendar() -> None:
    ends = [(datetime(1, 1, 1),), (datetime(9999, 12, 31, 23, 59, 59, 999000),)]  # noqa: DTZ001
    file = unloaded([Column("at", "timestamp")], ends, use_deprecated_int96_timestamps=True)

    assert read(open_unload(file)) == ends


def test_a_timestamp_finer_than_a_millisecond_is_refused() -> None:
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({"at": pa.array([1], pa.timestamp("us"))}), file)

    with pytest.raises(ResultError, match=r"Query q-1, file s3://lake.*column 'at'.*timestamp\(3\)"):
        list(open_unload(file.getvalue().to_pybytes()).batches)


def test_a_column_is_plain_text_and_plain_lists_however_arrow_wrote_it() -> None:
    nested = pa.array(
        [[{"a": "x", "at": 0}], None],
        pa.large_list(pa.struct([("a", pa.large_string()), ("at", pa.timestamp("us"))])),
    )
    table = pa.table({"word": pa.array(["a", None]).dictionary_encode(), "nested": nested})
    file = pa.BufferOutputStream()
    pq.write_table(table, file)
    result = open_unload(file.getvalue().to_pybytes())

    assert result.schema == pa.schema(
        [
            ("word", pa.string()),
            ("nested", pa.list_(pa.struct([("a", pa.string()), ("at", pa.timestamp("ms"))]))),
        ]
    )
    assert read(result) == [("a", [{"a": "x", "at": datetime(1970, 1, 1)}]), (None, None)]  # noqa: DTZ001


def test_files_with_other_columns_are_refused() -> None:
    other = unloaded([Column("n", "integer"), Column("word", "varchar")], [(1, "a")])

    with pytest.raises(ResultError, match=r"file s3://lake/unload/2026_001_part has the columns \(n int32"):
        list(open_unload(numbers(1), other).batches)


def test_a_column_that_stands_twice_in_a_file_is_refused() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    file = pa.BufferOutputStream()
    pq.write_table(table, file)

    with pytest.raises(ResultError, match=r"Query q-1, file s3://.*the column a stands twice"):
        open_unload(file.getvalue().to_pybytes())


def test_a_file_that_is_no_parquet_is_refused() -> None:
    with pytest.raises(
        ResultError, match=r"Query q-1, file s3://lake.* does not read as Parquet.*Clear run_query"
    ):
        open_unload(numbers(1)[:-20])


@pytest.mark.parametrize("gone", [0, 2])
def test_a_file_that_is_gone_names_the_query_and_the_way_out(gone: int) -> None:
    objects = unload_of(*(numbers(10) for _ in range(4)))
    del objects[f"s3://lake/unload/2026_{gone:03}_part"]

    def open_and_read() -> None:
        list(open_result(UNLOAD, athena=FakeAthena([]), storage=storage_of(objects)).batches)  # type: ignore[arg-type]

    with pytest.raises(
        ResultError, match=f"Query q-1: its result is gone.*2026_{gone:03}_part.*clear run_query"
    ):
        open_and_read()


def test_files_without_rows_are_one_empty_batch() -> None:
    (batch,) = open_unload(numbers(0), numbers(0)).batches

    assert batch.num_rows == 0
    assert batch.schema == pa.schema([("n", pa.int64()), ("word", pa.string())])


# --- UNLOAD's files as they are ----------------------------------------------------------------------------


def found(result: Result) -> Sequence[UnloadedFile]:
    assert result.find_files is not None
    return result.find_files()


def test_files_with_one_row_group_each_are_found_in_order_with_their_rows() -> None:
    files = [numbers(5 + n) for n in range(5)]

    assert [
        (file.stored.uri[-8:-5], file.stored.bytes, file.rows) for file in found(open_unload(*files))
    ] == [(f"{number:03}", len(file), 5 + number) for number, file in enumerate(files)]


@pytest.mark.parametrize(
    ("group", "as_they_are"), [(module.ROWS_PER_GROUP, True), (module.ROWS_PER_GROUP - 1, False)]
)
def test_files_with_several_row_groups_are_found_if_these_are_large_enough(
    group: int, as_they_are: bool
) -> None:
    result = open_unload(numbers(2 * group, row_group_size=group), numbers(group, 2 * group))

    assert bool(found(result)) is as_they_are


def test_files_that_s3_does_not_copy_at_once_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [numbers(1), numbers(1000)]
    monkeypatch.setattr(module, "COPY_BYTES", len(files[1]))
    assert len(found(open_unload(*files))) == 2

    monkeypatch.setattr(module, "COPY_BYTES", len(files[1]) - 1)
    assert not found(open_unload(*files))


@pytest.mark.parametrize("end", [8, 100, 64 * 1024])
def test_of_files_that_are_only_found_no_more_than_the_end_is_read(
    end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FOOTER_BYTES", end)
    file = numbers(100_000)
    s3 = FakeS3(unload_of(file, file))

    assert [found.rows for found in found(open_unload_in(s3))] == [100_000, 100_000]
    footer = int.from_bytes(file[-8:-4], "little")
    assert max(s3.sent) <= max(footer + 8, end) < len(file)


def test_files_that_were_found_can_be_read_too() -> None:
    s3 = FakeS3(unload_of(*(numbers(10, 10 * n, row_group_size=3) for n in range(4))))
    result = open_unload_in(s3)

    assert not found(result)
    assert read(result) == [(n, f"word {n}") for n in range(40)]


def test_found_files_are_checked_against_each_other() -> None:
    result = open_unload(numbers(1), unloaded([Column("n", "bigint")], [(1,)]))

    with pytest.raises(ResultError, match="file s3://lake/unload/2026_001_part has the columns"):
        found(result)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet", b"\xff\xff\xff\x7fPAR1"])
def test_a_file_that_is_no_parquet_is_named(content: bytes) -> None:
    with pytest.raises((ResultError, StorageError), match="2026_001_part"):
        found(open_unload(numbers(1), content))


def test_a_file_that_is_not_there_names_the_query() -> None:
    s3 = FakeS3(unload_of(numbers(1), numbers(1)))
    result = open_unload_in(s3)
    del s3.objects["s3://lake/unload/2026_001_part"]

    with pytest.raises(ResultError, match="Query q-1: its result is gone"):
        found(result)


def test_a_file_that_was_replaced_since_it_was_found_is_not_read() -> None:
    s3 = FakeS3(unload_of(numbers(1), numbers(1)))
    result = open_unload_in(s3)
    found(result)
    s3.objects["s3://lake/unload/2026_001_part"] = numbers(2)

    with pytest.raises(ResultError, match="is another one by now"):
        read(result)


MEASURE = """
import json, sys
import pyarrow.parquet as pq
from athena_reports.queries.execution import QueryExecution
from athena_reports.result import open_result
from athena_reports.storage import Storage
from tests.unit.athena_output import FakeS3

with open(sys.argv[1], "rb") as file:
    s3 = FakeS3({"s3://lake/part": file.read(), "s3://lake/manifest": b"s3://lake/part\\n"})
execution = QueryExecution(
    "q-1", "SUCCEEDED", "", "s3://lake/q-1", "", 0, 0, 0, "", statement="UNLOAD",
    data_manifest="s3://lake/manifest",
)
result = open_result(execution, athena=None, storage=Storage(s3))

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

before, rows = peak(), 0
for batch in result.batches:
    rows += batch.num_rows
print(json.dumps({"rows": rows, "taken": peak() - before}))
"""


def test_a_row_group_of_any_size_is_read_within_the_budget(tmp_path: Path) -> None:
    count = 1_000_000
    words = pa.array([f"word {n * 7919 % count}" for n in range(count)])
    columns = {f"word {n}": words for n in range(8)}
    table = pa.table({"n": pa.array(range(count), pa.int64()), **columns})
    assert table.nbytes > 1.5 * READ_BUDGET_BYTES
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=count, use_dictionary=False)

    answer = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "x.parquet")],
        env={"PYTHONPATH": f"{PLUGINS}:{PLUGINS.parent}"},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(answer.stdout)
    assert measured["rows"] == count
    assert measured["taken"] < READ_BUDGET_BYTES


# --- an UNLOAD without rows --------------------------------------------------------------------------------

TARGET = "s3://results/unload/"
SQL = "SELECT n, word FROM words -- all of them\nWHERE word <> ') TO ''s3://x/'' WITH ('"


def submitted(sql: str = SQL) -> Submission:
    return Submission.make(
        sql,
        database="database_dev",
        catalog="AwsDataCatalog",
        workgroup="dev",
        result_configuration={"OutputLocation": "s3://results/athena/"},
        environment="dev",
        dag_id="words_weekly",
        run_id="manual__2026-11-24",
        task_id="run_query",
        generation="0.0.0",
        unload_to=TARGET,
    )


class EmptyUnload(FakeAthena):
    """An Athena whose UNLOAD gave no rows; the query for its columns goes through the given states."""

    def __init__(
        self, columns: Sequence[Column], states: Sequence[str] = ("SUCCEEDED",), statement: str = ""
    ) -> None:
        super().__init__(pages_of(columns, [], 10))
        self._states: Iterator[str] = iter(states)
        self._statement = statement or submitted().sql
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []

    def get_query_execution(self, *, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        if QueryExecutionId == "q-1":
            return {
                "QueryExecution": {
                    "QueryExecutionId": "q-1",
                    "Query": self._statement,
                    "WorkGroup": "dev",
                    "QueryExecutionContext": {"Database": "database_dev", "Catalog": "AwsDataCatalog"},
                    "ResultConfiguration": {"OutputLocation": "s3://results/athena/q-1"},
                }
            }
        status = {"State": next(self._states), "SubmissionDateTime": datetime(2026, 11, 24)}  # noqa: DTZ001
        return {"QueryExecution": {"QueryExecutionId": QueryExecutionId, "Status": status}}

    def start_query_execution(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        return {"QueryExecutionId": "columns-1"}

    def stop_query_execution(self, *, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        self.stopped.append(QueryExecutionId)
        return {}


class Clock:
    """Time that passes in sleep alone."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return sum(self.sleeps)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


EMPTY_MANIFEST = {MANIFEST: b"\n"}


@pytest.mark.parametrize(
    ("execution", "objects"), [(UNLOAD, EMPTY_MANIFEST), (replace(UNLOAD, data_manifest=""), {})]
)
def test_an_unload_without_rows_has_the_columns_that_athena_names(
    execution: QueryExecution, objects: dict[str, bytes]
) -> None:
    columns = [*WORDS, Column("price", "decimal", 10, 2), Column("at", "timestamp")]
    athena = EmptyUnload(columns)

    result = open_result(execution, athena=athena, storage=storage_of(objects))  # type: ignore[arg-type]
    (batch,) = result.batches
    assert batch.num_rows == 0
    assert (
        batch.schema
        == result.schema
        == pa.schema(
            [
                ("n", pa.int64()),
                ("word", pa.string()),
                ("price", pa.decimal128(10, 2)),
                ("at", pa.timestamp("ms")),
            ]
        )
    )
    assert result.find_files is None


def test_the_query_for_the_columns_is_the_unloads_own_and_is_paid_once() -> None:
    athena = EmptyUnload(WORDS, ["SUCCEEDED"] * 3)
    for _ in range(3):
        open_result(UNLOAD, athena=athena, storage=storage_of(EMPTY_MANIFEST))  # type: ignore[arg-type]
    other = EmptyUnload(WORDS)
    open_result(UNLOAD, athena=other, storage=storage_of(EMPTY_MANIFEST))  # type: ignore[arg-type]

    first = athena.started[0]
    assert athena.started == [first] * 3
    assert other.started == [first]
    assert first["QueryString"] == f"SELECT * FROM (\n{SQL}\n) LIMIT 0"
    assert first["QueryExecutionContext"] == {"Database": "database_dev", "Catalog": "AwsDataCatalog"}
    assert first["WorkGroup"] == "dev"
    assert first["ResultConfiguration"] == {"OutputLocation": "s3://results/athena/"}
    assert 32 <= len(first["ClientRequestToken"]) <= 128
    assert athena.calls[0] == {"QueryExecutionId": "columns-1", "MaxResults": 1}


def test_the_query_for_the_columns_is_waited_for(clock: Clock) -> None:
    athena = EmptyUnload(WORDS, ["QUEUED", "RUNNING", "RUNNING", "SUCCEEDED"])

    open_result(UNLOAD, athena=athena, storage=storage_of(EMPTY_MANIFEST))  # type: ignore[arg-type]
    assert clock.sleeps == pytest.approx([0.2, 0.3, 0.45])


def test_a_query_for_the_columns_that_does_not_end_is_stopped(clock: Clock) -> None:
    athena = EmptyUnload(WORDS, ["RUNNING"] * 1000)

    with pytest.raises(ResultError, match=r"Query q-1 .*columns-1.*has not ended in 6\d s.*Clear run_query"):
        open_result(UNLOAD, athena=athena, storage=storage_of(EMPTY_MANIFEST))  # type: ignore[arg-type]
    assert athena.stopped == ["columns-1"]
    assert 60 <= sum(clock.sleeps) <= 65


def test_a_query_for_the_columns_that_fails_is_an_error_of_the_result() -> None:
    with pytest.raises(ResultError, match=r"Query q-1 .*columns failed: Query columns-1 is FAILED"):
        open_result(UNLOAD, athena=EmptyUnload(WORDS, ["FAILED"]), storage=storage_of(EMPTY_MANIFEST))  # type: ignore[arg-type]


@pytest.mark.parametrize("type", ["array", "map", "row"])
def test_an_unload_without_rows_does_not_pass_a_nested_column_off_as_text(type: str) -> None:
    with pytest.raises(ResultError, match=r"Query q-1 .*what the column tags consists of.*CAST"):
        open_result(
            UNLOAD,
            athena=EmptyUnload([Column("n", "bigint"), Column("tags", type)]),  # type: ignore[arg-type]
            storage=storage_of(EMPTY_MANIFEST),
        )


@pytest.mark.parametrize(
    ("execution", "objects"), [(UNLOAD, EMPTY_MANIFEST), (replace(UNLOAD, data_manifest=""), {})]
)
def test_files_that_no_manifest_lists_are_never_taken_for_no_rows(
    execution: QueryExecution, objects: dict[str, bytes]
) -> None:
    stray = f"{TARGET}{submitted().marker.intention}/0/20261124_part"

    with pytest.raises(ResultError, match=f"Query q-1: its data manifest .*lists no file, but {stray}"):
        open_result(
            execution,
            athena=EmptyUnload(WORDS),  # type: ignore[arg-type]
            storage=storage_of({**objects, stray: b""}),
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UNLOAD (SELECT 1) TO 's3://x/' WITH (format = 'PARQUET')",
        submitted("SELECT 1").sql.partition("\n--")[0],
    ],
)
def test_an_unload_of_somebody_else_is_not_taken_apart(statement: str) -> None:
    athena = EmptyUnload(WORDS, statement=statement)

    with pytest.raises(ResultError, match=r"Query q-1 unloaded no rows.*no UNLOAD that run_query wrote"):
        open_result(UNLOAD, athena=athena, storage=storage_of(EMPTY_MANIFEST))  # type: ignore[arg-type]
    assert athena.started == []


def test_a_manifest_that_is_gone_is_no_empty_result() -> None:
    with pytest.raises(ResultError, match=f"Query q-1: its result is gone.*{MANIFEST}.*clear run_query"):
        open_result(UNLOAD, athena=EmptyUnload(WORDS), storage=storage_of({}))  # type: ignore[arg-type]
