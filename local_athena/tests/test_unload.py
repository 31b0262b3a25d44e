"""UNLOAD as a client meets it: its files, its data manifest, and what it refuses."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from local_athena.faults import FailResultWrite, Hold
from tests.account import TOKEN, Account, Outcome, ints, numbers

TARGET = "s3://lake/unloaded/here/"
MARK = '\n-- athena-reports: {"dag_id": "?"}'


def _unload(account: Account, sql: str, compression: str = "ZSTD", **parameters: Any) -> Outcome:
    text = (
        f"UNLOAD ({sql}) TO '{TARGET}'"
        f" WITH (format = 'PARQUET', compression = '{compression}'){MARK}"
    )
    return account.run(text, **parameters)


def _manifest(account: Account, outcome: Outcome) -> list[str]:
    location = outcome.execution["Statistics"]["DataManifestLocation"]
    return account.read(location).decode().splitlines()


def _files(account: Account, outcome: Outcome) -> list[pq.ParquetFile]:
    return [pq.ParquetFile(io.BytesIO(account.read(uri))) for uri in _manifest(account, outcome)]


def test_from_submission_to_files(account: Account) -> None:
    sql = "SELECT n * ? AS N, 'x' AS t FROM (VALUES 1, 2) AS v (n)"
    first, outcome = (
        _unload(account, sql, ExecutionParameters=["2"], ClientRequestToken=TOKEN) for _ in range(2)
    )
    execution, id_ = outcome.execution, outcome.id
    assert outcome.state == "SUCCEEDED"
    assert execution == first.execution, "one token is one UNLOAD"
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DML", "UNLOAD")
    assert execution["Query"].endswith(MARK)
    place = f"some/where/{id_}"
    assert execution["ResultConfiguration"] == {"OutputLocation": f"s3://results/{place}"}
    manifest = execution["Statistics"]["DataManifestLocation"]
    assert manifest == f"s3://results/{place}-manifest.csv"
    assert account.keys("results") == [f"{place}-manifest.csv", f"{place}.metadata"]
    (uri,) = _manifest(account, outcome)
    assert re.fullmatch(TARGET + r"\d{8}_\d{6}_\d{5}_[a-z0-9]{5}_[0-9a-f-]{36}", uri)
    (file,) = _files(account, outcome)
    assert file.read().to_pydict() == {"n": [2, 4], "t": ["x", "x"]}


@pytest.mark.parametrize("managed", [False, True])
def test_its_result_has_no_rows_but_a_manifest(account: Account, managed: bool) -> None:
    configuration = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
    account.athena.create_work_group(Name="managed", Configuration=configuration)
    place: dict[str, Any] = {"WorkGroup": "managed", "ResultConfiguration": None} if managed else {}
    outcome = _unload(account, numbers(1_001), **place)
    get = account.athena.get_query_results
    answer = get(QueryExecutionId=outcome.id)
    assert answer["UpdateCount"] == 1_001
    assert answer["ResultSet"] == {"Rows": [], "ResultSetMetadata": {"ColumnInfo": []}}
    pages = account.athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=outcome.id,
        QueryResultType="DATA_MANIFEST",
        PaginationConfig={"PageSize": 1},
    )
    files = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert files == [f"s3://lake/{key}" for key in account.keys("lake")]
    is_kept = "DataManifestLocation" not in outcome.execution["Statistics"]
    assert is_kept == (account.keys("results") == []) == managed
    with pytest.raises(ClientError, match="DATA_MANIFEST"):
        get(QueryExecutionId=account.run("SELECT 1").id, QueryResultType="DATA_MANIFEST")


@pytest.mark.parametrize(("rows", "files"), [(0, 0), (1_000, 1), (1_001, 2), (500_001, 3)])
def test_a_larger_result_is_spread_over_files_in_no_order(
    account: Account, rows: int, files: int
) -> None:
    outcome = _unload(account, numbers(rows), "SNAPPY")
    assert _manifest(account, outcome) == [f"s3://lake/{key}" for key in account.keys("lake")]
    parts = [file.read()["n"].to_pylist() for file in _files(account, outcome)]
    assert len(parts) == files
    together = [n for part in parts for n in part]
    assert sorted(together) == list(range(rows))
    assert (together == sorted(together)) == (files < 2)
    assert all(part == sorted(part) for part in parts), "each file is in the query's order"


@pytest.mark.parametrize(
    ("compression", "codec"),
    [("ZSTD", "ZSTD"), ("SNAPPY", "SNAPPY"), ("gzip", "GZIP"), ("NONE", "UNCOMPRESSED")],
)
def test_compression(account: Account, compression: str, codec: str) -> None:
    (file,) = _files(account, _unload(account, "SELECT 1 AS a", compression))
    assert file.metadata.row_group(0).column(0).compression == codec


# An expression, its types in Parquet, and the value in the file.
TYPES = {
    "CAST(1 AS TINYINT)": ("INT32", "Int(bitWidth=8, isSigned=true)", 1),
    "CAST(2 AS SMALLINT)": ("INT32", "Int(bitWidth=16, isSigned=true)", 2),
    "3": ("INT32", "None", 3),
    "CAST(4 AS BIGINT)": ("INT64", "None", 4),
    "true": ("BOOLEAN", "None", True),
    "CAST(0.5 AS REAL)": ("FLOAT", "None", 0.5),
    "0.25e0": ("DOUBLE", "None", 0.25),
    "DECIMAL '-1.50'": ("FIXED_LEN_BYTE_ARRAY", "Decimal(precision=3, scale=2)", Decimal("-1.50")),
    "CAST('abc' AS VARCHAR(5))": ("BYTE_ARRAY", "String", "abc"),
    "c": ("BYTE_ARRAY", "String", "ab"),  # char(4), without its padding
    "DATE '2025-02-03'": ("INT32", "Date", dt.date(2025, 2, 3)),
    "X'00ff'": ("BYTE_ARRAY", "None", b"\x00\xff"),
}


def test_types_are_those_of_athenas_writer(account: Account) -> None:
    account.create_table("chars", {"c": "char(4)"})
    account.put("chars/a.parquet", {"c": ["ab"]})
    columns = ", ".join(f"{expression} AS c{i}" for i, expression in enumerate(TYPES))
    sql = f"SELECT {columns}, TIMESTAMP '2025-02-03 04:05:06.789' AS at FROM chars"
    (file,) = _files(account, _unload(account, sql))
    *found, at = (file.schema.column(i) for i in range(len(TYPES) + 1))
    (row,) = file.read().to_pylist()
    types = [(c.physical_type, str(c.logical_type), row[c.name]) for c in found]
    assert types == list(TYPES.values())
    logical_type = json.loads(at.logical_type.to_json())
    assert logical_type["isAdjustedToUTC"] is False
    assert logical_type["timeUnit"] == "milliseconds"
    assert row["at"] == dt.datetime(2025, 2, 3, 4, 5, 6, 789_000)  # noqa: DTZ001 - Athena's have no zone
    assert b"ARROW:schema" not in (file.metadata.metadata or {})


def test_nested_types_stay_nested(account: Account) -> None:
    sql = (
        "SELECT ARRAY[TIMESTAMP '2025-01-02 03:04:05', NULL] AS a, MAP(ARRAY['k'], ARRAY[1.5]) AS"
        " m, CAST(ROW(1, 'x') AS ROW(i BIGINT, v VARCHAR)) AS r, CAST(NULL AS MAP(VARCHAR, DATE))"
        " AS n"
    )
    (file,) = _files(account, _unload(account, sql))
    table = file.read()
    assert table.schema.field("a").type.value_type == pa.timestamp("ms")
    at = dt.datetime(2025, 1, 2, 3, 4, 5)  # noqa: DTZ001 - Athena's have no zone
    assert table.to_pylist() == [
        {"a": [at, None], "m": [("k", 1.5)], "r": {"i": 1, "v": "x"}, "n": None}
    ]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT NULL AS a", r"NOT_SUPPORTED: Unsupported Hive type: unknown"),
        ("SELECT ARRAY[NULL] AS a", r"NOT_SUPPORTED: Unsupported Hive type: array\(unknown\)"),
        ("SELECT from_unixtime(0) AS a", r"NOT_SUPPORTED: Unsupported Hive type: timestamp\(3\) w"),
        ("SELECT 1 AS a, 2 AS A", "DUPLICATE_COLUMN_NAME: Column name 'a' specified more than on"),
        ("SELECT 1 AS a, 2", "MISSING_COLUMN_NAME: Column name not specified at position 2"),
        ("SELECT\n  1 / 0 AS a,\n  nothing", "COLUMN_NOT_FOUND: line 3:3: "),
    ],
)
def test_what_cannot_be_written_fails(account: Account, sql: str, reason: str) -> None:
    outcome = _unload(account, sql)
    assert re.match(reason, outcome.reason), outcome.reason
    assert (outcome.state, outcome.error["ErrorCategory"]) == ("FAILED", 2)
    assert "DataManifestLocation" not in outcome.execution["Statistics"]
    assert account.keys("lake") == account.keys("results") == []


def test_the_target_must_be_there_and_empty_whoever_owns_it(account: Account) -> None:
    account.s3.put_object(Bucket="lake", Key="unloaded/here-too/x", Body=b"")
    place = {"OutputLocation": "s3://results/", "ExpectedBucketOwner": "210987654321"}
    assert _unload(account, "SELECT 1 AS a", ResultConfiguration=place).error["ErrorType"] == 1500
    again = _unload(account, "SELECT 1 AS a")
    assert again.state == "FAILED"
    assert again.reason.startswith(f"HIVE_PATH_ALREADY_EXISTS: Target directory {TARGET}")
    sql = "UNLOAD (SELECT 1 AS a) TO 's3://no-such-bucket/x' WITH (format = 'PARQUET')"
    assert account.run(sql).error["ErrorType"] == 402


def test_it_scans_what_the_query_scans(account: Account) -> None:
    account.create_table("t", {"a": "int", "b": "int"}, {"dt": "string"})
    for day in ("1", "2"):
        account.put(f"t/{day}/x.parquet", {"a": ints(*range(99)), "b": ints(*range(99))})
        account.add_partition("t", day)
    sql = "SELECT a, dt FROM t WHERE dt = '2'"
    plain, unloaded = account.run(sql), _unload(account, sql)
    assert unloaded.scanned_bytes == plain.scanned_bytes > 0
    assert unloaded.scans == plain.scans


def test_what_fails_or_is_stopped_has_no_manifest_and_can_leave_files(account: Account) -> None:
    account.faults.add(Hold())
    id_ = account.start(f"UNLOAD (SELECT 1 AS a) TO '{TARGET}' WITH (format = 'PARQUET')")
    account.athena.stop_query_execution(QueryExecutionId=id_)
    stopped = account.wait(id_)
    assert stopped.state == "CANCELLED"
    assert account.keys("lake") == []
    account.faults.clear()
    account.faults.add(FailResultWrite())
    failed = _unload(account, numbers(2_000))
    assert (failed.state, failed.error["ErrorType"]) == ("FAILED", 401)
    assert len(account.keys("lake")) == 1
    assert account.keys("results") == []
    for outcome in (stopped, failed):
        assert "DataManifestLocation" not in outcome.execution["Statistics"]
