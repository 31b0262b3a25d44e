"""UNLOAD as a client meets it: its files, its data manifest, and what it refuses."""

from __future__ import annotations

import datetime as dt
import io
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from local_aws.faults import FailResultWrite, Faults, Hold
from tests.dev.local_aws.account import Account, Outcome

TARGET = "s3://lake/unloaded/here/"
MARK = '\n-- athena-reports: {"dag_id": "?"}'
ROWS = "(VALUES " + ", ".join(f"({i})" for i in range(100)) + ")"


def _numbers(rows: int) -> str:
    """A query of the numbers below `rows`, in order; at most a million."""
    tables = ", ".join(f"{ROWS} AS {name} (x)" for name in "abc")
    return f"SELECT * FROM (SELECT a.x * 10000 + b.x * 100 + c.x AS n FROM {tables}) WHERE n < {rows} ORDER BY n"


def _unload(account: Account, sql: str, compression: str = "ZSTD", **parameters: Any) -> Outcome:
    text = f"UNLOAD ({sql}) TO '{TARGET}' WITH (format = 'PARQUET', compression = '{compression}'){MARK}"
    return account.run(text, **parameters)


def _manifest(account: Account, outcome: Outcome) -> list[str]:
    location = outcome.execution["Statistics"]["DataManifestLocation"]
    return account.read(location).decode().splitlines()


def _tables(account: Account, outcome: Outcome) -> list[pa.Table]:
    return [pq.read_table(io.BytesIO(account.read(uri))) for uri in _manifest(account, outcome)]


def _keys(account: Account, bucket: str = "lake") -> list[str]:
    return [each["Key"] for each in account.s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_from_submission_to_files(account: Account) -> None:
    outcome = _unload(account, "SELECT n * ? AS N, 'x' AS t FROM (VALUES 1, 2) AS v (n)", ExecutionParameters=["2"])
    execution, id_ = outcome.execution, outcome.execution["QueryExecutionId"]
    assert outcome.state == "SUCCEEDED"
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DML", "UNLOAD")
    assert execution["Query"].endswith(MARK)
    assert execution["ResultConfiguration"] == {"OutputLocation": f"s3://results/some/where/{id_}"}
    manifest = execution["Statistics"]["DataManifestLocation"]
    assert manifest == f"s3://results/some/where/{id_}-manifest.csv"
    assert sorted(_keys(account, "results")) == [f"some/where/{id_}{end}" for end in ("-manifest.csv", ".metadata")]
    (uri,) = _manifest(account, outcome)
    assert re.fullmatch(TARGET + r"\d{8}_\d{6}_\d{5}_[a-z0-9]{5}_[0-9a-f-]{36}", uri)
    assert uri.removeprefix("s3://lake/") in _keys(account)
    (table,) = _tables(account, outcome)
    assert table.to_pydict() == {"n": [2, 4], "t": ["x", "x"]}


def test_its_result_has_no_rows_but_a_manifest(account: Account) -> None:
    outcome = _unload(account, _numbers(1_001))
    id_ = outcome.execution["QueryExecutionId"]
    answer = account.athena.get_query_results(QueryExecutionId=id_)
    assert answer["UpdateCount"] == 1_001
    assert answer["ResultSet"] == {"Rows": [], "ResultSetMetadata": {"ColumnInfo": []}}
    pages = account.athena.get_paginator("get_query_results").paginate(
        QueryExecutionId=id_, QueryResultType="DATA_MANIFEST", PaginationConfig={"PageSize": 1}
    )
    rows = [row for page in pages for row in page["ResultSet"]["Rows"]]
    assert [row["Data"][0]["VarCharValue"] for row in rows] == _manifest(account, outcome)
    plain = account.run("SELECT 1").execution["QueryExecutionId"]
    with pytest.raises(ClientError, match="DATA_MANIFEST"):
        account.athena.get_query_results(QueryExecutionId=plain, QueryResultType="DATA_MANIFEST")


def test_an_empty_result_is_an_empty_manifest(account: Account) -> None:
    outcome = _unload(account, "SELECT 1 AS a WHERE false")
    assert outcome.state == "SUCCEEDED"
    assert account.read(outcome.execution["Statistics"]["DataManifestLocation"]) == b""
    assert _keys(account) == []


@pytest.mark.parametrize(("rows", "files"), [(1_000, 1), (1_001, 2), (60_000, 2), (500_001, 3)])
def test_a_larger_result_is_spread_over_files_in_no_order(account: Account, rows: int, files: int) -> None:
    outcome = _unload(account, _numbers(rows), "SNAPPY")
    uris = _manifest(account, outcome)
    assert uris == sorted(uris)
    assert uris == [f"s3://lake/{key}" for key in _keys(account)]
    parts = [table["n"].to_pylist() for table in _tables(account, outcome)]
    assert len(parts) == files
    together = [n for part in parts for n in part]
    assert sorted(together) == list(range(rows))
    assert (together == sorted(together)) == (files == 1)
    assert all(part == sorted(part) for part in parts), "each file is in the query's order"


@pytest.mark.parametrize(
    ("compression", "codec"),
    [("ZSTD", "ZSTD"), ("SNAPPY", "SNAPPY"), ("gzip", "GZIP"), ("NONE", "UNCOMPRESSED")],
)
def test_compression(account: Account, compression: str, codec: str) -> None:
    (uri,) = _manifest(account, _unload(account, "SELECT 1 AS a", compression))
    metadata = pq.read_metadata(io.BytesIO(account.read(uri)))
    assert metadata.row_group(0).column(0).compression == codec


def test_types_are_those_of_athenas_writer(account: Account) -> None:
    account.create_table("chars", {"c": "char(4)"})
    account.put("chars/a.parquet", pa.table({"c": ["ab"]}))
    outcome = _unload(
        account,
        "SELECT CAST(1 AS TINYINT) AS t, CAST(2 AS SMALLINT) AS s, 3 AS i, CAST(4 AS BIGINT) AS l, true AS b,"
        " CAST(0.5 AS REAL) AS r, 0.25e0 AS d, DECIMAL '-1.50' AS n, CAST('abc' AS VARCHAR(5)) AS v, c,"
        " DATE '2025-02-03' AS day, TIMESTAMP '2025-02-03 04:05:06.789' AS at, X'00ff' AS x FROM chars",
    )
    (uri,) = _manifest(account, outcome)
    file = pq.ParquetFile(io.BytesIO(account.read(uri)))
    found = {file.schema.column(i).name: file.schema.column(i) for i in range(len(file.schema.names))}
    assert {name: (c.physical_type, str(c.logical_type)) for name, c in found.items()} == {
        "t": ("INT32", "Int(bitWidth=8, isSigned=true)"),
        "s": ("INT32", "Int(bitWidth=16, isSigned=true)"),
        "i": ("INT32", "None"),
        "l": ("INT64", "None"),
        "b": ("BOOLEAN", "None"),
        "r": ("FLOAT", "None"),
        "d": ("DOUBLE", "None"),
        "n": ("FIXED_LEN_BYTE_ARRAY", "Decimal(precision=3, scale=2)"),
        "v": ("BYTE_ARRAY", "String"),
        "c": ("BYTE_ARRAY", "String"),
        "day": ("INT32", "Date"),
        "at": ("INT64", str(found["at"].logical_type)),
        "x": ("BYTE_ARRAY", "None"),
    }
    assert '"timeUnit": "milliseconds"' in found["at"].logical_type.to_json()
    assert '"isAdjustedToUTC": false' in found["at"].logical_type.to_json()
    assert b"ARROW:schema" not in (file.metadata.metadata or {})
    row = file.read().to_pylist()[0]
    assert (row["c"], row["x"], str(row["n"])) == ("ab", b"\x00\xff", "-1.50")
    assert row["at"] == dt.datetime(2025, 2, 3, 4, 5, 6, 789_000)  # noqa: DTZ001 - Athena's have no zone


def test_nested_types_stay_nested(account: Account) -> None:
    outcome = _unload(
        account,
        "SELECT ARRAY[TIMESTAMP '2025-01-02 03:04:05', NULL] AS a, MAP(ARRAY['k'], ARRAY[1.5]) AS m,"
        " CAST(ROW(1, 'x') AS ROW(i BIGINT, v VARCHAR)) AS r, CAST(NULL AS MAP(VARCHAR, DATE)) AS n",
    )
    (table,) = _tables(account, outcome)
    assert table.schema.field("a").type.value_type == pa.timestamp("ms")
    assert table.to_pylist() == [
        {
            "a": [dt.datetime(2025, 1, 2, 3, 4, 5), None],  # noqa: DTZ001 - Athena's have no zone
            "m": [("k", Decimal("1.5"))],
            "r": {"i": 1, "v": "x"},
            "n": None,
        }
    ]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT NULL AS a", r"NOT_SUPPORTED: Unsupported Hive type: unknown"),
        ("SELECT ARRAY[NULL] AS a", r"NOT_SUPPORTED: Unsupported Hive type: array\(unknown\)"),
        ("SELECT from_unixtime(0) AS a", r"NOT_SUPPORTED: Unsupported Hive type: timestamp\(3\) with time z"),
        ("SELECT 1 AS a, 2 AS A", "DUPLICATE_COLUMN_NAME: Column name 'a' specified more than once"),
        ("SELECT 1 AS a, 2", "MISSING_COLUMN_NAME: Column name not specified at position 2"),
        ("SELECT\n  1 / 0 AS a,\n  nothing", "COLUMN_NOT_FOUND: line 3:3: "),
    ],
)  # fmt: skip
def test_what_cannot_be_written_fails(account: Account, sql: str, reason: str) -> None:
    outcome = _unload(account, sql)
    assert outcome.state == "FAILED"
    assert re.match(reason, outcome.reason), outcome.reason
    assert outcome.execution["Status"]["AthenaError"]["ErrorCategory"] == 2
    assert "DataManifestLocation" not in outcome.execution["Statistics"]
    assert _keys(account) == _keys(account, "results") == []


def test_the_target_must_be_empty(account: Account) -> None:
    account.s3.put_object(Bucket="lake", Key="unloaded/here-too/x", Body=b"")
    assert _unload(account, "SELECT 1 AS a").state == "SUCCEEDED"
    again = _unload(account, "SELECT 1 AS a")
    assert again.state == "FAILED"
    assert again.reason.startswith(f"HIVE_PATH_ALREADY_EXISTS: Target directory {TARGET}")
    nowhere = account.run("UNLOAD (SELECT 1 AS a) TO 's3://no-such-bucket/x' WITH (format = 'PARQUET')")
    assert nowhere.execution["Status"]["AthenaError"]["ErrorType"] == 402


def test_it_scans_what_the_query_scans(account: Account) -> None:
    account.create_table("t", {"a": "int", "b": "int"}, {"dt": "string"})
    for day in ("1", "2"):
        account.put(
            f"t/{day}/x.parquet",
            pa.table({"a": pa.array(range(99), pa.int32()), "b": pa.array([0] * 99, pa.int32())}),
        )
        account.add_partition("t", [day], day)
    sql = "SELECT a, dt FROM t WHERE dt = '2'"
    plain, unloaded = account.run(sql), _unload(account, sql)
    assert unloaded.scanned_bytes == plain.scanned_bytes > 0
    assert unloaded.scans == plain.scans


def test_a_failure_leaves_files_behind_and_no_manifest(account: Account) -> None:
    Faults(account.aws.endpoint_url).add(FailResultWrite())
    outcome = _unload(account, _numbers(2_000))
    assert outcome.state == "FAILED"
    assert outcome.execution["Status"]["AthenaError"]["ErrorType"] == 401
    assert "DataManifestLocation" not in outcome.execution["Statistics"]
    assert _keys(account, "results") == []
    assert len(_keys(account)) == 1
    assert _unload(account, "SELECT 1 AS a").reason.startswith("HIVE_PATH_ALREADY_EXISTS")


def test_a_stopped_one_has_no_manifest(account: Account) -> None:
    Faults(account.aws.endpoint_url).add(Hold())
    id_ = account.start(f"UNLOAD (SELECT 1 AS a) TO '{TARGET}' WITH (format = 'PARQUET')")
    account.athena.stop_query_execution(QueryExecutionId=id_)
    stopped = account.wait(id_)
    assert stopped.state == "CANCELLED"
    assert "DataManifestLocation" not in stopped.execution["Statistics"]
    assert _keys(account) == _keys(account, "results") == []


def test_the_same_token_is_the_same_unload(account: Account) -> None:
    token = {"ClientRequestToken": "a-token-of-at-least-32-characters"}
    first, second = (_unload(account, "SELECT 1 AS a", **token) for _ in range(2))
    assert first.execution == second.execution
    assert first.state == "SUCCEEDED"
