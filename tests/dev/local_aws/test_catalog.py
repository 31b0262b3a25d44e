# ruff: noqa: E501, DTZ001 - a row of a table stands on a line; Athena's timestamps have no zone

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_aws.athena.catalog import glue_type
from tests.dev.local_aws.account import Account

COLUMNS = {"user_id": "bigint", "score": "int", "name": "string", "played_at": "timestamp"}


def _plays(day: int, rows: int = 100) -> pa.Table:
    return pa.table(
        {
            "user_id": pa.array(range(rows), pa.int64()),
            "score": pa.array([i % 7 for i in range(rows)], pa.int32()),
            "name": pa.array([None if i % 5 == 0 else f"name {i}" for i in range(rows)]),
            "played_at": pa.array([dt.datetime(2025, 1, day, i % 24) for i in range(rows)], pa.timestamp("ms")),
        }
    )


@pytest.fixture
def plays(account: Account) -> dict[str, bytes]:
    """A table of four registered days, of which one has no file, and one day in S3 that is not registered."""
    account.create_table("plays", COLUMNS, {"dt": "string"})
    files = {}
    for day in (1, 2, 3, 5):
        path = f"dt=2025-01-0{day}"
        files[path] = account.put(f"plays/{path}/part-0.parquet", _plays(day), row_group_size=40)
    for day in (1, 2, 3, 4):
        account.add_partition("plays", [f"2025-01-0{day}"], f"dt=2025-01-0{day}")
    return files


def _chunk_bytes(data: bytes, *columns: str) -> int:
    metadata = pq.read_metadata(io.BytesIO(data))
    return sum(
        metadata.row_group(g).column(c).total_compressed_size
        for g in range(metadata.num_row_groups)
        for c in range(metadata.num_columns)
        if metadata.row_group(g).column(c).path_in_schema in columns
    )


def test_each_query_reads_the_newest_objects_of_a_bucket_with_versions(
    account: Account, plays: dict[str, bytes]
) -> None:
    account.s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    account.put("plays/dt=2025-01-01/part-0.parquet", _plays(1, rows=7))
    account.s3.delete_object(Bucket="lake", Key="plays/dt=2025-01-02/part-0.parquet")
    query = "SELECT dt, count(*) FROM plays GROUP BY dt ORDER BY dt"

    assert account.run(query).csv == '"dt","_col1"\n"2025-01-01","7"\n"2025-01-03","100"\n'

    account.put("plays/dt=2025-01-02/part-0.parquet", _plays(2, rows=5))
    account.put("plays/dt=2025-01-02-late/part-0.parquet", _plays(2))  # not below the partition's prefix
    assert account.run(query).csv == ('"dt","_col1"\n"2025-01-01","7"\n"2025-01-02","5"\n"2025-01-03","100"\n')


def test_each_query_sees_what_glue_knows_of_the_partitions_now(account: Account, plays: dict[str, bytes]) -> None:
    query = "SELECT count(*) AS n FROM plays WHERE dt = '2025-01-04'"
    assert account.run(query).csv == '"n"\n"0"\n'
    account.glue.update_partition(
        DatabaseName="db",
        TableName="plays",
        PartitionValueList=["2025-01-04"],
        PartitionInput={
            "Values": ["2025-01-04"],
            "StorageDescriptor": account.storage("s3://lake/plays/dt=2025-01-05", COLUMNS),
        },
    )
    assert account.run(query).csv == '"n"\n"100"\n'
    account.glue.delete_partition(DatabaseName="db", TableName="plays", PartitionValues=["2025-01-04"])
    assert account.run(query).csv == '"n"\n"0"\n'
    account.add_partition("plays", ["2025-01-05"], "dt=2025-01-05")
    assert account.run("SELECT count(*) AS n FROM plays").csv == '"n"\n"400"\n'


def test_a_partition_in_a_bucket_that_is_not_there_fails_the_query(account: Account, plays: dict[str, bytes]) -> None:
    account.glue.create_partition(
        DatabaseName="db",
        TableName="plays",
        PartitionInput={
            "Values": ["2025-02-01"],
            "StorageDescriptor": account.storage("s3://gone/plays/", COLUMNS),
        },
    )
    outcome = account.run("SELECT count(*) FROM plays")
    assert outcome.state == "FAILED"
    assert outcome.reason == ("HIVE_FILESYSTEM_ERROR: cannot list s3://gone/plays/: there is no bucket gone")


def test_scanned_bytes_are_those_of_the_footers(account: Account, plays: dict[str, bytes]) -> None:
    first, second, third, _ = plays.values()
    count = account.run("SELECT count(*) FROM plays")
    assert count.csv == '"_col0"\n"300"\n'
    assert count.scanned_bytes == 0
    assert count.partitions() == [f"2025-01-0{day}" for day in (1, 2, 3, 4)]
    outcome = account.run("SELECT user_id, sum(score) FROM plays WHERE dt >= '2025-01-02' GROUP BY 1 LIMIT 1")
    assert outcome.scanned_bytes == sum(_chunk_bytes(data, "user_id", "score") for data in (second, third))
    assert outcome.scans[0]["columns"] == ["score", "user_id"]
    twice = account.run("SELECT a.score FROM plays a JOIN plays b ON a.user_id = b.user_id WHERE a.dt = '2025-01-01'")
    both = _chunk_bytes(first, "score", "user_id") + sum(_chunk_bytes(d, "user_id") for d in (first, second, third))
    assert twice.scanned_bytes == both
    assert [len(scan["partitions"]) for scan in twice.scans] == [1, 4]


def test_unregistered_partitions_and_hidden_files_are_invisible(account: Account, plays: dict[str, bytes]) -> None:
    for name in ("_SUCCESS", ".part-1.parquet", "_temporary/part-2.parquet"):
        account.s3.put_object(Bucket="lake", Key=f"plays/dt=2025-01-01/{name}", Body=b"not Parquet")
    account.s3.put_object(Bucket="lake", Key="plays/dt=2025-01-01/empty.parquet", Body=b"")
    outcome = account.run("SELECT dt, count(*) FROM plays GROUP BY dt ORDER BY dt")
    lines = "".join(f'"2025-01-0{day}","100"\n' for day in (1, 2, 3))
    assert outcome.csv == f'"dt","_col1"\n{lines}'


def test_a_file_that_is_replaced_is_read_anew(account: Account, plays: dict[str, bytes]) -> None:
    sql = "SELECT count(score) FROM plays WHERE dt = '2025-01-01'"
    assert account.run(sql).csv == '"_col0"\n"100"\n'
    account.put("plays/dt=2025-01-01/part-0.parquet", _plays(1, rows=7))
    assert account.run(sql).csv == '"_col0"\n"7"\n'


def test_all_types(account: Account) -> None:
    columns = {
        "b": "boolean", "t": "tinyint", "s": "smallint", "i": "int", "l": "bigint", "f": "float", "d": "double",
        "n": "decimal(9,2)", "v": "string", "w": "varchar(5)", "c": "char(3)", "day": "date", "at": "timestamp",
        "x": "binary", "missing": "double",
    }  # fmt: skip
    account.create_table("types", columns)
    types = [
        pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int32(), pa.float32(), pa.float32(), pa.decimal128(9, 2),
        pa.dictionary(pa.int32(), pa.string()), pa.string(), pa.string(), pa.date32(), pa.timestamp("us"), pa.binary(),
    ]  # fmt: skip
    values = [
        True, 1, 2, 3, 4, 0.5, 0.25, Decimal("-1.50"), 'say "hi"', "abc", "ab", dt.date(2025, 2, 3),
        dt.datetime(2025, 2, 3, 4, 5, 6, 789600), b"\x00\xff",
    ]  # fmt: skip
    arrays = [pa.array([value, None], type_) for value, type_ in zip(values, types, strict=True)]
    account.put("types/a.parquet", pa.table(arrays, names=list(columns)[:-1]))
    outcome = account.run("SELECT * FROM types ORDER BY b")
    assert outcome.csv is not None
    assert outcome.csv.splitlines()[1:] == [
        '"true","1","2","3","4","0.5","0.25","-1.50","say ""hi""","abc","ab ","2025-02-03","2025-02-03 04:05:06.790","00 ff",',
        "," * 14,
    ]
    answer = account.athena.get_query_results(QueryExecutionId=outcome.execution["QueryExecutionId"])
    info = answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [each["Type"] for each in info] == [
        "boolean", "tinyint", "smallint", "integer", "bigint", "float", "double", "decimal", "varchar", "varchar",
        "char", "date", "timestamp", "varbinary", "double",
    ]  # fmt: skip
    assert (info[7]["Precision"], info[7]["Scale"]) == (9, 2)
    assert account.run("SELECT 1 FROM types WHERE c = 'ab'").csv == '"_col0"\n"1"\n'


@pytest.mark.parametrize(
    ("glue", "arrow", "value"),
    [("int", pa.int64(), 1), ("bigint", pa.string(), "1"), ("string", pa.int32(), 1), ("double", pa.int64(), 1),
     ("decimal(9,2)", pa.decimal128(9, 3), Decimal(1)), ("date", pa.string(), "2025-01-01"),
     ("timestamp", pa.timestamp("ms", "Asia/Tokyo"), dt.datetime(2025, 1, 1))],
)  # fmt: skip
def test_a_file_of_other_types_is_bad_data(account: Account, glue: str, arrow: pa.DataType, value: object) -> None:
    account.create_table("bad", {"a": glue, "b": "int"})
    account.put("bad/a.parquet", pa.table({"a": pa.array([value], arrow), "b": pa.array([7], pa.int32())}))
    outcome = account.run("SELECT a FROM bad")
    assert outcome.state == "FAILED"
    assert outcome.reason.startswith("HIVE_BAD_DATA: Field a's type")
    assert account.run("SELECT b FROM bad").csv == '"b"\n"7"\n'


def test_partition_keys_have_their_types(account: Account) -> None:
    account.create_table("days", {"v": "int"}, {"day": "date", "n": "int"})
    for n, day in ((9, "2025-01-01"), (10, "2025-01-02"), (11, "__HIVE_DEFAULT_PARTITION__")):
        account.put(f"days/{n}/a.parquet", pa.table({"v": pa.array([n], pa.int32())}))
        account.add_partition("days", [day, str(n)], str(n))
    outcome = account.run("SELECT v, n, day FROM days WHERE n < 10 AND day = DATE '2025-01-01'")
    assert outcome.csv == '"v","n","day"\n"9","9","2025-01-01"\n'
    assert outcome.partitions() == ["2025-01-01/9"]
    assert account.run("SELECT v, day FROM days WHERE day IS NULL").csv == '"v","day"\n"11",\n'
    account.add_partition("days", ["someday", "12"], "12")
    assert account.run("SELECT v FROM days").reason.startswith("HIVE_INVALID_PARTITION_VALUE")


def test_a_column_of_a_type_that_is_not_done_hurts_only_who_reads_it(account: Account) -> None:
    account.create_table("nested", {"a": "int", "b": "array<int>"})
    account.put("nested/a.parquet", pa.table({"a": pa.array([1], pa.int32()), "b": pa.array([[1]])}))
    assert account.run("SELECT a FROM nested").csv == '"a"\n"1"\n'
    assert account.run("SELECT * FROM nested").reason.startswith("NOT_SUPPORTED")


def test_glue_types_read_as_written() -> None:
    assert str(glue_type("DECIMAL( 10 , 3 )")) == "decimal(10,3)"
    assert str(glue_type("decimal")) == "decimal(10,0)"
    assert str(glue_type("varchar(7)")) == "varchar(7)"
    assert glue_type("map<string,int>").base == "unsupported"


def test_missing_schema_and_table(account: Account) -> None:
    missing = account.run("SELECT * FROM nope")
    assert missing.reason == "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.db.nope' does not exist"
    assert missing.execution["Status"]["AthenaError"] == {
        "ErrorCategory": 2,
        "ErrorType": 1301,
        "Retryable": False,
        "ErrorMessage": missing.reason,
    }
    assert account.run("SELECT * FROM nodb.t").reason == "SCHEMA_NOT_FOUND: line 1:15: Schema 'nodb' does not exist"


# --- partitions with columns and places of their own ------------------------------------------------------


def _drifting(account: Account, own: dict[str, str]) -> None:
    """A table of two partitions, the older one elsewhere and with columns of its own."""
    account.create_table("drift", {"a": "bigint", "f": "double", "new": "string"}, {"dt": "string"})
    account.put("elsewhere/x.parquet", pa.table({"a": pa.array([1], pa.int32()), "f": pa.array([0.5], pa.float32())}))
    columns = {"a": pa.array([2], pa.int64()), "f": pa.array([2.5]), "new": pa.array(["n"])}
    account.put("drift/new/x.parquet", pa.table(columns))
    account.add_partition("drift", ["new"], "new")
    storage = account.storage("s3://lake/elsewhere", own)
    partition = {"Values": ["old"], "StorageDescriptor": storage}
    account.glue.create_partition(DatabaseName="db", TableName="drift", PartitionInput=partition)


def test_a_partition_lies_elsewhere_and_has_columns_of_its_own(account: Account) -> None:
    _drifting(account, {"a": "int", "f": "float"})
    outcome = account.run("SELECT a, f, new, dt FROM drift ORDER BY a")
    assert outcome.csv == '"a","f","new","dt"\n"1","0.5",,"old"\n"2","2.5","n","new"\n'
    assert account.run("SELECT sum(a) FROM drift WHERE dt = 'old'").csv == '"_col0"\n"1"\n'


@pytest.mark.parametrize("own", [{"a": "string"}, {"f": "int"}, {"new": "bigint"}, {"a": "decimal(3,1)"}])
def test_a_partition_whose_columns_are_not_the_tables(account: Account, own: dict[str, str]) -> None:
    _drifting(account, own)
    (name,) = own
    outcome = account.run("SELECT count(*) FROM drift")
    assert outcome.reason.startswith("HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch")
    assert f"partition 'dt=old' declared column '{name}' as type" in outcome.reason
    assert account.run("SELECT a FROM drift WHERE dt = 'new'").csv == '"a"\n"2"\n'


def test_a_partition_narrower_than_the_table_is_a_mismatch(account: Account) -> None:
    account.create_table("narrow", {"a": "int"}, {"dt": "string"})
    storage = account.storage("s3://lake/narrow/x", {"a": "bigint"})
    partition = {"Values": ["x"], "StorageDescriptor": storage}
    account.glue.create_partition(DatabaseName="db", TableName="narrow", PartitionInput=partition)
    assert account.run("SELECT a FROM narrow").reason.startswith("HIVE_PARTITION_SCHEMA_MISMATCH")


def test_a_table_of_another_database(account: Account) -> None:
    account.glue.create_database(DatabaseInput={"Name": "report_dev"})
    keys = [{"Name": "period", "Type": "string"}]
    storage = account.storage("s3://lake/reports/", {"user_id": "string", "rank": "bigint"})
    table = {"Name": "user_ranking_weekly", "PartitionKeys": keys, "StorageDescriptor": storage}
    account.glue.create_table(DatabaseName="report_dev", TableInput=table)
    for period, rows in (("2025-01-05", 2), ("2025-01-12", 3)):
        place = f"reports/{period}/versions/v/parquet"
        columns = {"user_id": pa.array(["u"] * rows), "rank": pa.array(range(rows), pa.int64())}
        account.put(f"{place}/part-0.parquet", pa.table(columns))
        partition = {"Values": [period], "StorageDescriptor": {**storage, "Location": f"s3://lake/{place}/"}}
        account.glue.create_partition(
            DatabaseName="report_dev", TableName="user_ranking_weekly", PartitionInput=partition
        )
    sql = 'SELECT period, COUNT(*) FROM "report_dev"."user_ranking_weekly" GROUP BY period'
    outcome = account.run(f"{sql} ORDER BY period")
    assert outcome.csv == '"period","_col1"\n"2025-01-05","2"\n"2025-01-12","3"\n'
    account.create_table("weeks", {"week": "string"})
    account.put("weeks/x.parquet", pa.table({"week": ["2025-01-12"]}))
    joined = account.run(f"SELECT week, n FROM weeks JOIN ({sql}) AS r (period, n) ON week = period")
    assert joined.csv == '"week","n"\n"2025-01-12","3"\n'
