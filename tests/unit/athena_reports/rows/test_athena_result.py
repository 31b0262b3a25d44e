from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError
from athena_reports.errors import ResultError
from athena_reports.rows.athena_result import FinishedQuery, read_result
from athena_reports.rows.columns import TableColumn
from tests.support.aws_errors import api_error
from tests.support.engines import engine
from tests.unit.athena_reports.rows.athena_output import (
    UNLOADED,
    FakeAthena,
    ResultColumn,
    Table,
    comparable,
    csv_of,
    pages_of,
    parquet_of,
    s3_of,
    tables,
    unloaded,
)

CSV = "s3://results/athena/q-1.csv"
MANIFEST = "s3://results/athena/q-1-manifest.csv"
SELECT = FinishedQuery(id="q-1", output_location=CSV)
MANAGED = FinishedQuery(id="q-1")
MANAGED_UNLOAD = FinishedQuery(id="q-1", statement="UNLOAD")
UNLOAD = FinishedQuery(
    id="q-1", statement="UNLOAD", output_location="s3://results/athena/q-1", data_manifest=MANIFEST
)
WORDS = [ResultColumn("n", "bigint"), ResultColumn("word", "varchar")]
TEXTS = [ResultColumn("a", "varchar"), ResultColumn("b", "varchar")]


class Found(list[tuple[Any, ...]]):
    """The rows of a result, and what is known of them."""

    types: Mapping[str, str]
    ordered: bool
    has_published_columns: bool


def read(
    query: FinishedQuery, athena: Any, s3: Any, published: Sequence[TableColumn] | None = None
) -> Found:
    with engine() as opened:
        result = read_result(
            query, engine=opened, athena=athena, s3=s3, published_columns=lambda: published
        )
        found = Found(result.relation.fetchall())
        found.types = dict(
            zip(result.relation.columns, map(str, result.relation.types), strict=True)
        )
        found.ordered = result.ordered
        found.has_published_columns = result.has_published_columns
        return found


def read_csv(columns: Sequence[ResultColumn], content: bytes) -> Found:
    return read(SELECT, FakeAthena(pages_of(columns, [])), s3_of({CSV: content}))


def unload_of(*files: bytes) -> dict[str, bytes]:
    """The objects of an UNLOAD;
    its manifest lists them in another order than their keys', in quotes or not.
    """
    objects = {f"s3://lake/unload/2026_{number:03}_part": file for number, file in enumerate(files)}
    lines = [f'"{uri}"' if uri.endswith("1_part") else uri for uri in reversed(objects)]
    return {**objects, MANIFEST: "\r\n".join([*lines, "", ""]).encode()}


def read_unload(*files: bytes) -> Found:
    return read(UNLOAD, FakeAthena([]), s3_of(unload_of(*files)))


# --- three sources, the same rows


@given(tables(), st.integers(1, 5))
def test_a_csv_and_pages_give_the_same_rows(table: Table, page: int) -> None:
    csv = read_csv(table.columns, csv_of(table.columns, table.rows))
    pages = read(MANAGED, FakeAthena(pages_of(table.columns, table.rows, page)), s3_of({}))

    assert csv.types == pages.types
    assert list(csv.types) == [column.name for column in table.columns]
    assert comparable(csv) == comparable(pages) == comparable(table.rows)
    assert csv.ordered is pages.ordered is True


@given(tables(UNLOADED), st.integers(1, 4))
def test_an_unload_gives_the_rows_and_the_types_of_a_csv(table: Table, files: int) -> None:
    columns, rows = table.columns, table.rows
    size = -(-len(rows) // files) or 1
    found = read_unload(
        *(unloaded(columns, rows[start : start + size]) for start in range(0, files * size, size))
    )

    assert found.types == read_csv(columns, csv_of(columns, rows)).types
    assert comparable(found) == comparable(rows)
    assert not found.ordered


# --- CSV


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            [ResultColumn("a", "bigint"), ResultColumn("A", "bigint")],
            r"Query q-1: duplicate column a\..*\(AS\)",
        ),
        (
            [ResultColumn("a", "hyperloglog")],
            "Query q-1: the column 'a': hyperloglog is not a supported type",
        ),
    ],
)
@pytest.mark.parametrize("query", [SELECT, MANAGED])
def test_columns_that_cannot_be_read_are_refused_with_the_query(
    columns: list[ResultColumn], says: str, query: FinishedQuery
) -> None:
    with pytest.raises(ResultError, match=says):
        read(query, FakeAthena(pages_of(columns, [])), s3_of({CSV: b""}))


def test_the_types_of_a_file_are_asked_for_with_one_row() -> None:
    athena = FakeAthena(pages_of(WORDS, []))
    assert read(SELECT, athena, s3_of({CSV: csv_of(WORDS, [(1, "a")])})) == [(1, "a")]
    assert athena.calls == [{"QueryExecutionId": "q-1", "MaxResults": 1}]


# --- pages


def test_pages_are_as_large_as_they_may_be() -> None:
    rows = [(n, f"word {n}") for n in range(2500)]
    athena = FakeAthena(pages_of(WORDS, rows))

    assert read(MANAGED, athena, s3_of({})) == rows
    assert [(call.get("NextToken"), call["MaxResults"]) for call in athena.calls] == [
        (None, 1000),
        ("1", 1000),
        ("2", 1000),
    ]


ENDPOINT = "https://athena.us-east-1.amazonaws.com"
NOT_SERVED = st.one_of(
    st.sampled_from(
        ["ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"]
    ).map(api_error),
    st.builds(api_error, st.just("AnyCode"), st.text(), st.integers(500, 599)),
    st.builds(EndpointConnectionError, endpoint_url=st.just(ENDPOINT)),
    st.builds(ConnectionClosedError, endpoint_url=st.just(ENDPOINT)),
    st.builds(ConnectTimeoutError, endpoint_url=st.just(ENDPOINT)),
    st.builds(ReadTimeoutError, endpoint_url=st.just(ENDPOINT)),
)


@given(st.sampled_from([SELECT, MANAGED, MANAGED_UNLOAD]), NOT_SERVED, st.integers(0, 1))
def test_a_page_that_is_not_served_may_be_asked_for_again_and_the_query_is_not(
    query: FinishedQuery, error: Exception, served: int
) -> None:
    rows = [(n, f"word {n}") for n in range(3)]
    athena = FakeAthena(pages_of(WORDS, rows, size=2), failing_after=served, error=error)
    if query is SELECT and served:  # one page has its columns
        assert read(query, athena, s3_of({CSV: csv_of(WORDS, rows)})) == rows
        return
    with pytest.raises(ResultError, match=r"^Query q-1: ") as caught:
        read(query, athena, s3_of({}))

    assert caught.value.retryable
    assert str(error) in str(caught.value)
    advice = str(caught.value).replace(str(error), "")
    assert "run_query" not in advice
    assert advice.endswith("Clear transform and its downstream tasks.")


@given(
    st.sampled_from([SELECT, MANAGED, MANAGED_UNLOAD]),
    st.sampled_from(
        ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"]
    ),
)
def test_a_page_that_is_not_allowed_is_final_but_the_query_need_not_be_paid_again(
    query: FinishedQuery, code: str
) -> None:
    with pytest.raises(ResultError, match=r"Query q-1: .*[cC]lear transform") as caught:
        read(query, FakeAthena([], failing_after=0, error=api_error(code)), s3_of({}))

    assert not caught.value.retryable
    assert "run_query" not in str(caught.value)


@pytest.mark.parametrize("query", [SELECT, MANAGED, MANAGED_UNLOAD])
def test_a_result_that_athena_no_longer_has(query: FinishedQuery) -> None:
    client = boto3.client("athena")
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "get_query_results", "InvalidRequestException", "Results have expired"
        )
        says = r"Query q-1: .*Results have expired.*24 hours.*Clear run_query"
        with pytest.raises(ResultError, match=says) as caught:
            read(query, client, s3_of({}))
    assert not caught.value.retryable


# --- UNLOAD


def numbers(count: int, first: int = 0) -> bytes:
    return unloaded(WORDS, [(n, f"word {n}") for n in range(first, first + count)])


def test_a_file_of_an_unload_is_downloaded_while_the_one_before_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = Event()
    download = S3.download

    def download_beside_the_next_one(store: S3, uri: str, path: Path) -> None:
        if uri.endswith("000_part"):
            assert second.wait(timeout=30), "the second file is not downloaded meanwhile"
        if uri.endswith("001_part"):
            second.set()
        download(store, uri, path)

    monkeypatch.setattr(S3, "download", download_beside_the_next_one)
    files = [parquet_of(pa.table({"n": [number]})) for number in range(3)]
    assert read_unload(*files) == [(0,), (1,), (2,)]


def test_the_files_of_an_unload_are_read_by_key_also_if_athena_lists_them() -> None:
    objects = unload_of(*(numbers(10, 10 * n) for n in range(12)))
    expected = [(n, f"word {n}") for n in range(120)]
    assert read(UNLOAD, FakeAthena([]), s3_of(objects)) == expected

    uris = objects.pop(MANIFEST).decode().replace('"', "").split()
    athena = FakeAthena(pages_of([ResultColumn("file", "varchar")], [(uri,) for uri in uris], 2))
    assert read(MANAGED_UNLOAD, athena, s3_of(objects)) == expected
    assert {call["QueryResultType"] for call in athena.calls} == {"DATA_MANIFEST"}


AT = datetime(2026, 11, 24, 1, 2, 3, 4000)  # noqa: DTZ001
STORED = [
    pa.timestamp("us"),
    pa.timestamp("ns"),
    pa.timestamp("ms", "UTC"),
    pa.timestamp("us", "Asia/Tokyo"),
]


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_timestamps_are_milliseconds_without_a_zone_however_they_are_stored(
    stored: pa.DataType,
) -> None:
    nested = pa.list_(pa.struct([("a", pa.large_string()), ("at", pa.timestamp("us"))]))
    table = pa.table(
        {"at": pa.array([AT], stored), "n": pa.array([[{"a": "x", "at": AT}]], nested)}
    )
    found = read_unload(parquet_of(table))

    assert found.types == {"at": "TIMESTAMP_MS", "n": 'STRUCT(a VARCHAR, "at" TIMESTAMP_MS)[]'}
    assert found == [(AT, [{"a": "x", "at": AT}])]


def test_timestamps_of_96_bits_are_read_to_the_ends_of_the_calendar() -> None:
    ends = [(datetime(1, 1, 1),), (datetime(9999, 12, 31, 23, 59, 59, 999000),)]  # noqa: DTZ001
    file = unloaded([ResultColumn("at", "timestamp")], ends, use_deprecated_int96_timestamps=True)
    assert read_unload(file) == ends


@pytest.mark.parametrize(
    "array",
    [pa.array([0, 1], pa.timestamp("ns")), pa.array([[], [1]], pa.list_(pa.timestamp("us")))],
    ids=lambda array: str(array.type),
)
def test_a_timestamp_finer_than_a_millisecond_is_refused(array: pa.Array) -> None:
    with pytest.raises(
        ResultError, match=r"column 'at': .*1970.* has more than millisecond precision"
    ):
        read_unload(parquet_of(pa.table({"at": array})))


PUBLISHED = [
    TableColumn(name="n", type="BIGINT", glue="bigint"),
    TableColumn(name="at", type="TIMESTAMP", glue="timestamp"),
    TableColumn(name="nested", type="", glue="array<struct<a:string,b:map<string,decimal(10,2)>>>"),
]


@pytest.mark.parametrize("manifest", [b"", b"\n"])
def test_an_unload_without_rows_has_the_columns_of_the_published_table(manifest: bytes) -> None:
    found = read(UNLOAD, FakeAthena([]), s3_of({MANIFEST: manifest}), PUBLISHED)

    nested = "STRUCT(a VARCHAR, b MAP(VARCHAR, DECIMAL(10,2)))[]"
    assert (list(found), found.types) == (
        [],
        {"n": "BIGINT", "at": "TIMESTAMP_MS", "nested": nested},
    )
    assert found.has_published_columns
    assert not found.ordered
    assert not read_unload(numbers(1)).has_published_columns


def test_an_unload_that_has_a_place_in_s3_and_no_manifest_has_no_rows() -> None:
    athena = FakeAthena([])
    query = UNLOAD.model_copy(update={"data_manifest": ""})
    assert read(query, athena, s3_of({}), PUBLISHED) == []
    assert not athena.calls


@pytest.mark.parametrize("error", [MissingObjectError, ConditionError])
def test_a_result_that_is_gone_or_was_replaced_is_made_again(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise error("s3://results/athena/q-1.csv is not there.")

    monkeypatch.setattr(S3, "download", refuse)
    with pytest.raises(ResultError) as caught:
        read_csv(WORDS, b"")
    assert str(caught.value) == (
        "Query q-1: its result is missing, has expired or was replaced:"
        " s3://results/athena/q-1.csv is not there. Clear run_query and its downstream tasks."
    )
    assert not caught.value.retryable


def test_an_unload_whose_data_manifest_is_gone_is_made_again() -> None:
    with pytest.raises(ResultError, match=f"{MANIFEST}.* Clear run_query and its downstream tasks"):
        read(UNLOAD, FakeAthena([]), s3_of({}), PUBLISHED)
