"""Tables of Glue as a query sees them: files, types, partitions, bytes scanned."""

# ruff: noqa: DTZ001, E501 - Athena's timestamps have no zone; a row of a table stands on a line

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local_athena.athena.catalog import glue_type
from local_athena.athena.errors import QueryFailed
from local_athena.athena.projection import partitions
from tests.account import Account, ints

COLUMNS = {"user_id": "bigint", "score": "int", "name": "string"}
FIRST = "plays/2025-01-01/part-0.parquet"
BY_DAY = "SELECT dt, count(*) AS n FROM plays GROUP BY dt ORDER BY dt"


def _plays(rows: int = 100) -> pa.Table:
    names = pa.array([None if i % 5 == 0 else f"name {i}" for i in range(rows)], pa.string())
    return pa.table(
        {"user_id": range(rows), "score": ints(*(i % 7 for i in range(rows))), "name": names}
    )


@pytest.fixture
def plays(account: Account) -> list[bytes]:
    """A table of four registered days, one without a file, and a day in S3 that is not one."""
    account.create_table("plays", COLUMNS, {"dt": "string"})
    for day in (1, 2, 3, 4):
        account.add_partition("plays", f"2025-01-0{day}")
    return [
        account.put(f"plays/2025-01-0{day}/part-0.parquet", _plays(), row_group_size=40)
        for day in (1, 2, 3, 5)
    ]


def _by_day(account: Account) -> dict[str, int]:
    lines = (account.run(BY_DAY).csv or "").replace('"', "").splitlines()[1:]
    return {day: int(n) for day, n in (line.split(",") for line in lines)}


def test_each_query_reads_the_newest_objects(account: Account, plays: list[bytes]) -> None:
    for name in ("_SUCCESS", ".part-1.parquet", "_temporary/part-2.parquet"):
        account.s3.put_object(Bucket="lake", Key=f"plays/2025-01-01/{name}", Body=b"not Parquet")
    account.s3.put_object(Bucket="lake", Key="plays/2025-01-01/empty.parquet", Body=b"")
    # This one is not below the partition's prefix.
    account.put("plays/2025-01-02-late/part-0.parquet", _plays())
    assert _by_day(account) == {"2025-01-01": 100, "2025-01-02": 100, "2025-01-03": 100}
    account.put(FIRST, _plays(8))
    assert _by_day(account)["2025-01-01"] == 8
    account.s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    account.put(FIRST, _plays(7))
    account.s3.delete_object(Bucket="lake", Key="plays/2025-01-02/part-0.parquet")
    assert _by_day(account) == {"2025-01-01": 7, "2025-01-03": 100}


def test_each_query_sees_what_glue_knows_of_the_partitions_now(
    account: Account, plays: list[bytes]
) -> None:
    table = {"DatabaseName": "db", "TableName": "plays"}
    assert "2025-01-04" not in _by_day(account)
    storage = account.storage("s3://lake/plays/2025-01-05", COLUMNS)
    moved = {"Values": ["2025-01-04"], "StorageDescriptor": storage}
    account.glue.update_partition(**table, PartitionValueList=["2025-01-04"], PartitionInput=moved)
    assert _by_day(account)["2025-01-04"] == 100
    account.glue.delete_partition(**table, PartitionValues=["2025-01-04"])
    assert "2025-01-04" not in _by_day(account)
    account.add_partition("plays", "2025-02-01", path="s3://gone/plays/")
    reason = "HIVE_FILESYSTEM_ERROR: cannot list s3://gone/plays/: bucket gone does not exist"
    assert account.run("SELECT count(*) FROM plays").reason == reason


def _chunks(data: bytes, *columns: str) -> int:
    metadata = pq.read_metadata(io.BytesIO(data))
    groups = [metadata.row_group(g) for g in range(metadata.num_row_groups)]
    chunks = [group.column(c) for group in groups for c in range(metadata.num_columns)]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns)


def test_scanned_bytes_are_those_of_the_footers(account: Account, plays: list[bytes]) -> None:
    first, second, third, _ = plays
    count = account.run("SELECT count(*) FROM plays")
    assert (count.csv, count.scanned_bytes) == ('"_col0"\n"300"\n', 0)
    assert count.partitions() == [f"2025-01-0{day}" for day in (1, 2, 3, 4)]
    sql = "SELECT user_id, sum(score) FROM plays WHERE dt >= '2025-01-02' GROUP BY 1 LIMIT 1"
    outcome = account.run(sql)
    expected = sum(_chunks(data, "user_id", "score") for data in (second, third))
    assert outcome.scanned_bytes == expected
    assert outcome.scans[0]["columns"] == ["score", "user_id"]
    joined = "SELECT a.score FROM plays a JOIN plays b ON a.user_id = b.user_id"
    twice = account.run(f"{joined} WHERE a.dt = '2025-01-01'")
    of_b = sum(_chunks(data, "user_id") for data in plays[:3])
    assert twice.scanned_bytes == _chunks(first, "score", "user_id") + of_b
    assert [len(scan["partitions"]) for scan in twice.scans] == [1, 4]


# The type in Glue and the one in the file, a value, how it prints, and its type in the result.
TYPES = [
    ("boolean", pa.bool_(), True, "true", "boolean"),
    ("tinyint", pa.int8(), 1, "1", "tinyint"),
    ("smallint", pa.int16(), 2, "2", "smallint"),
    ("int", pa.int32(), 3, "3", "integer"),
    ("bigint", pa.int32(), 4, "4", "bigint"),
    ("float", pa.float32(), 0.5, "0.5", "float"),
    ("double", pa.float32(), 0.25, "0.25", "double"),
    ("DECIMAL( 9 , 2 )", pa.decimal128(9, 2), Decimal("-1.50"), "-1.50", "decimal"),
    ("string", pa.dictionary(pa.int32(), pa.string()), 'say "hi"', 'say ""hi""', "varchar"),
    ("varchar(5)", pa.string(), "abc", "abc", "varchar"),
    ("char(3)", pa.string(), "ab", "ab ", "char"),
    ("date", pa.date32(), dt.date(2025, 2, 3), "2025-02-03", "date"),
    ("timestamp", pa.timestamp("us"), dt.datetime(2025, 2, 3, 4, 5, 6, 789600), "2025-02-03 04:05:06.790", "timestamp"),
    ("binary", pa.binary(), b"\x00\xff", "00 ff", "varbinary"),
]  # fmt: skip


def test_all_types(account: Account) -> None:
    columns = {f"c{i}": row[0] for i, row in enumerate(TYPES)}
    account.create_table("types", columns | {"missing": "double"})
    values = {f"c{i}": pa.array([row[2], None], row[1]) for i, row in enumerate(TYPES)}
    account.put("types/a.parquet", values)
    outcome = account.run("SELECT * FROM types ORDER BY c0")
    printed = ",".join(f'"{row[3]}"' for row in TYPES)
    assert (outcome.csv or "").splitlines()[1:] == [f"{printed},", "," * len(TYPES)]
    answer = account.athena.get_query_results(QueryExecutionId=outcome.id)
    info = answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [each["Type"] for each in info] == [*(row[4] for row in TYPES), "double"]
    assert (info[7]["Precision"], info[7]["Scale"], info[7]["Label"]) == (9, 2, "c7")
    assert account.run("SELECT 1 FROM types WHERE c10 = 'ab'").csv == '"_col0"\n"1"\n'


@pytest.mark.parametrize(
    ("glue", "arrow", "value", "reason"),
    [
        ("int", pa.int64(), 1, "HIVE_BAD_DATA: Field a's type"),
        ("bigint", pa.string(), "1", "HIVE_BAD_DATA"),
        ("string", pa.int32(), 1, "HIVE_BAD_DATA"),
        ("double", pa.int64(), 1, "HIVE_BAD_DATA"),
        ("decimal(9,2)", pa.decimal128(9, 3), Decimal(1), "HIVE_BAD_DATA"),
        ("date", pa.string(), "2025-01-01", "HIVE_BAD_DATA"),
        ("timestamp", pa.timestamp("ms", "Asia/Tokyo"), dt.datetime(2025, 1, 1), "HIVE_BAD_DATA"),
        ("uniontype<int>", pa.list_(pa.int32()), [1], "NOT_SUPPORTED"),
    ],
)
def test_a_column_that_cannot_be_read_hurts_only_who_reads_it(
    account: Account, glue: str, arrow: pa.DataType, value: object, reason: str
) -> None:
    account.create_table("bad", {"a": glue, "b": "int"})
    account.put("bad/a.parquet", {"a": pa.array([value], arrow), "b": ints(7)})
    assert account.run("SELECT a FROM bad").reason.startswith(reason)
    assert account.run("SELECT b FROM bad").csv == '"b"\n"7"\n'


@pytest.mark.parametrize(
    ("glue", "expected"),
    [
        ("decimal", "decimal(10,0)"),
        ("Decimal( 9 , 2 )", "decimal(9,2)"),
        (" INT ", "integer"),
        ("integer", "integer"),
        ("float", "real"),
        ("binary", "varbinary"),
        ("varchar(5)", "varchar(5)"),
        ("map<string,array<decimal(5,2)>>", "map(varchar, array(decimal(5,2)))"),
        ("STRUCT< a:int, b:map<string,int> >", "row(a integer, b map(varchar, integer))"),
        ("array<int,int>", "unsupported"),
        ("map<int>", "unsupported"),
        ("struct<a:uuid>", "unsupported"),
        ("x", "unsupported"),
    ],
)
def test_types_of_glue_are_those_of_trino(glue: str, expected: str) -> None:
    assert str(glue_type(glue)) == expected


def test_columns_of_parquet_are_matched_without_case(account: Account) -> None:
    """Files of either spelling stand beside each other, under partitions and conditions."""
    account.create_table("t", {"userid": "bigint", "b": "int", "c": "int"}, {"dt": "string"})
    account.add_partition("t", "1")
    account.add_partition("t", "2")
    account.put("t/1/0.parquet", {"userId": ints(1, 2), "B": ints(3, None)})
    account.put("t/1/1.parquet", {"userid": ints(4), "b": ints(5), "C": ints(6)})
    account.put("t/2/0.parquet", {"USERID": ints(7)})
    outcome = account.run('SELECT userId, b, c, dt FROM t ORDER BY "USERID"')
    assert outcome.csv == (
        '"userId","b","c","dt"\n"1","3",,"1"\n"2",,,"1"\n"4","5","6","1"\n"7",,,"2"\n'
    )
    some = account.run("SELECT count(*) AS n, sum(userid) AS s FROM t WHERE dt = '1' AND b > 3")
    assert some.csv == '"n","s"\n"1","4"\n'
    assert account.run("SELECT count(*) AS n FROM t").csv == '"n"\n"4"\n'
    place = account.run('SELECT "$path" AS p FROM t WHERE userid = 7')
    assert place.csv == '"p"\n"s3://lake/t/2/0.parquet"\n'


def test_the_bytes_of_a_column_with_capital_letters_count(account: Account) -> None:
    account.create_table("t", {"a": "int", "b": "int"})
    data = account.put("t/1.parquet", {"A": ints(1, 2, 3), "b": ints(4, 5, 6)})
    assert account.run("SELECT a FROM t").scanned_bytes == _chunks(data, "A") > 0


def test_columns_of_parquet_that_differ_in_case_alone_are_not_done(account: Account) -> None:
    account.create_table("t", {"a": "int", "b": "int"})
    account.put("t/1.parquet", {"A": ints(1), "a": ints(2), "B": ints(3)})
    says = r"NOT_SUPPORTED: .*differ in case alone \(A and a in s3://lake/t/1\.parquet\)"
    assert re.match(says, account.run("SELECT a FROM t").reason)
    assert account.run("SELECT b FROM t").csv == '"b"\n"3"\n'


def test_without_a_database_the_schema_is_the_default_one(account: Account) -> None:
    reason = account.run("SELECT * FROM t", QueryExecutionContext={}).reason
    assert reason == "SCHEMA_NOT_FOUND: line 1:15: Schema 'default' does not exist"


@pytest.mark.parametrize(
    ("sql", "name", "error_type"),
    [
        ("SELECT * FROM nope", "TABLE_NOT_FOUND", 1301),
        ("SELECT * FROM nodb.t", "SCHEMA_NOT_FOUND", 1301),
        ("SELECT nope FROM (SELECT 1 AS x)", "COLUMN_NOT_FOUND", 1006),
        ("SELECT * FROM other.db.t", "CATALOG_NOT_FOUND", 1006),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO", 1001),
        ("SELECT 'a' + 1", "TYPE_MISMATCH", 1002),
        ("SELECT CAST('x' AS INTEGER)", "INVALID_CAST_ARGUMENT", 1100),
        ("SELECT approx_set(1)", "NOT_SUPPORTED", 1200),
        ("SELECT foo(1)", "FUNCTION_NOT_FOUND", 1303),
        ("SELECT split_part('a', ',', 0)", "INVALID_FUNCTION_ARGUMENT", 1000),
    ],
)
def test_an_error_has_its_type(account: Account, sql: str, name: str, error_type: int) -> None:
    failed = account.run(sql)
    assert failed.reason.startswith(f"{name}: ")
    assert failed.error == {
        "ErrorCategory": 2,
        "ErrorType": error_type,
        "Retryable": False,
        "ErrorMessage": failed.reason,
    }


# --- views, and tables of text


def create_view(account: Account, database: str, name: str, text: str) -> None:
    table = {"Name": name, "TableType": "VIRTUAL_VIEW", "ViewOriginalText": text}
    account.glue.create_table(DatabaseName=database, TableInput=table)


def presto_view(sql: str, **fields: str) -> str:
    view = {"originalSql": sql, "columns": [{"name": "a", "type": "integer"}], **fields}
    return f"/* Presto View: {base64.b64encode(json.dumps(view).encode()).decode()} */"


def test_a_view_reads_the_tables_of_the_database_that_it_was_made_in(account: Account) -> None:
    account.glue.create_database(DatabaseInput={"Name": "other"})
    account.create_table("t", {"a": "int"})
    account.put("t/1.parquet", {"a": ints(1, 2)})
    create_view(account, "other", "v", presto_view("SELECT a FROM t WHERE a > 1", schema="db"))
    create_view(account, "db", "w", presto_view("SELECT a FROM t"))
    create_view(account, "db", "x", "SELECT a FROM t")
    elsewhere = {"QueryExecutionContext": {"Database": "other"}}
    assert account.run("SELECT * FROM v", **elsewhere).csv == '"a"\n"2"\n'
    assert account.run("SELECT sum(a) AS a FROM db.w", **elsewhere).csv == '"a"\n"3"\n'
    reason = account.run("SELECT * FROM db.x").reason
    assert "NOT_SUPPORTED" in reason
    assert "views that Athena has not made (db.x)" in reason


def test_lines_of_text_are_read_whole_with_their_file_and_their_partition(account: Account) -> None:
    columns = {"a": "string", "n": "int"}
    storage = account.storage("s3://lake/texts/", columns)
    storage["SerdeInfo"] = {"SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde"}
    table = {
        "Name": "texts",
        "PartitionKeys": [{"Name": "day", "Type": "date"}],
        "Parameters": {"skip.header.line.count": "1"},
        "StorageDescriptor": storage,
    }
    account.glue.create_table(DatabaseName="db", TableInput=table)
    sizes = {}
    for day in ("2025-01-01", "2025-01-02"):
        body = f"a,n\nx,{day[-1]}\ny,0\n".encode()
        account.s3.put_object(Bucket="lake", Key=f"texts/{day}/part.csv", Body=body)
        account.add_partition("texts", day)
        sizes[day] = len(body)
    sql = "SELECT day, n, \"$path\" FROM texts WHERE a = 'x'"
    outcome = account.run(f"{sql} AND day > DATE '2025-01-01'")
    row = '"2025-01-02","2","s3://lake/texts/2025-01-02/part.csv"'
    assert outcome.csv == f'"day","n","$path"\n{row}\n'
    assert outcome.scanned_bytes == sizes["2025-01-02"]
    assert account.run("SELECT count(*) FROM texts").csv == '"_col0"\n"4"\n'
    assert account.run("SELECT 1 FROM texts").scanned_bytes == sum(sizes.values())


# --- partitions


def test_partition_keys_have_their_types(account: Account) -> None:
    account.create_table("days", {"v": "int"}, {"day": "date", "n": "int"})
    for n, day in ((9, "2025-01-01"), (10, "2025-01-02"), (11, "__HIVE_DEFAULT_PARTITION__")):
        account.put(f"days/{n}/a.parquet", {"v": ints(n)})
        account.add_partition("days", day, str(n), path=str(n))
    outcome = account.run("SELECT v, n, day FROM db.days WHERE n < 10 AND day = DATE '2025-01-01'")
    assert outcome.csv == '"v","n","day"\n"9","9","2025-01-01"\n'
    assert outcome.partitions() == ["2025-01-01/9"]
    without = account.run('SELECT v, day FROM "db"."days" WHERE day IS NULL')
    assert without.csv == '"v","day"\n"11",\n'
    account.add_partition("days", "someday", "12")
    assert account.run("SELECT v FROM days").reason.startswith("HIVE_INVALID_PARTITION_VALUE")


def _drifting(account: Account, own: dict[str, str]) -> None:
    """A table of two partitions, the older one elsewhere and with columns of its own."""
    account.create_table("drift", {"a": "bigint", "f": "double", "new": "string"}, {"dt": "string"})
    account.put("elsewhere/x.parquet", {"a": ints(1), "f": pa.array([0.5], pa.float32())})
    account.put("drift/new/x.parquet", {"a": [2], "f": [2.5], "new": ["n"]})
    account.add_partition("drift", "new")
    account.add_partition("drift", "old", path="s3://lake/elsewhere", columns=own)


def test_a_partition_lies_elsewhere_and_has_columns_of_its_own(account: Account) -> None:
    _drifting(account, {"a": "int", "f": "float"})
    outcome = account.run("SELECT a, f, new, dt FROM drift ORDER BY a")
    assert outcome.csv == '"a","f","new","dt"\n"1","0.5",,"old"\n"2","2.5","n","new"\n'
    assert account.run("SELECT sum(a) FROM drift WHERE dt = 'old'").csv == '"_col0"\n"1"\n'


@pytest.mark.parametrize(
    "own", [{"a": "string"}, {"f": "int"}, {"new": "bigint"}, {"a": "decimal(3,1)"}]
)
def test_a_partition_whose_columns_are_not_the_tables(
    account: Account, own: dict[str, str]
) -> None:
    _drifting(account, own)
    reason = account.run("SELECT count(*) FROM drift").reason
    assert reason.startswith("HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch")
    assert f"partition 'dt=old' declared column '{next(iter(own))}' as type" in reason
    assert account.run("SELECT a FROM drift WHERE dt = 'new'").csv == '"a"\n"2"\n'


# --- partition projection


NOW = dt.datetime(2026, 5, 31, 23, 59, tzinfo=dt.UTC)


def _projected(
    keys: list[str], location: str = "s3://lake/t", **settings: str
) -> list[tuple[tuple[str, ...], str]]:
    parameters = {
        f"projection.{name.replace('__', '.')}": value for name, value in settings.items()
    }
    template = {"storage.location.template": location} if "$" in location else {}
    return list(partitions("db.t", keys, parameters | template, location, NOW))


def _dates(form: str, bounds: str, **interval: str) -> list[str]:
    found = _projected(["k"], k__type="date", k__range=bounds, k__format=form, **interval)
    assert [location for _, location in found] == [f"s3://lake/t/k={k}/" for (k,), _ in found]
    return [value for (value,), _ in found]


@pytest.mark.parametrize(
    ("form", "bounds", "interval", "values"),
    [
        ("yyyy-MM-dd", "2024-02-28,2024-03-01", {}, ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ("dd.MM.yyyy", "31.12.1999,01.01.2000", {}, ["31.12.1999", "01.01.2000"]),
        ("yyyy/MM/dd", "2025/01/01,2025/01/01", {}, ["2025/01/01"]),
        ("yyyyMMdd", "20250102,20250101", {}, []),
        ("yyyy-MM", "2024-11,2025-01", {"": "1"}, ["2024-11", "2024-12", "2025-01"]),
        ("MM.yyyy", "11.2024,06.2025", {"": "4"}, ["11.2024", "03.2025"]),
        ("yyyyMMdd", "20250101,20250114", {"": "1", "__unit": "WEEKS"}, ["20250101", "20250108"]),
        ("yyyyMMddHH", "2024123123,2025010100", {"": "1", "__unit": "hours"}, ["2024123123", "2025010100"]),
        ("yyyy-MM-dd-HH", "2025-01-01-00,2025-01-01-11", {"": "6", "__unit": "HOURS"}, ["2025-01-01-00", "2025-01-01-06"]),
    ],
)  # fmt: skip
def test_dates_are_projected_by_their_interval(
    form: str, bounds: str, interval: dict[str, str], values: list[str]
) -> None:
    settings = {f"k__interval{name}": value for name, value in interval.items()}
    assert _dates(form, bounds, **settings) == values


@pytest.mark.parametrize(
    ("first", "days"),
    [
        ("NOW", 1),
        ("NOW-3DAYS", 4),
        ("NOW-2WEEKS", 15),
        ("NOW-24HOURS", 2),
        ("NOW-3MONTHS", 93),  # from February 28
        ("NOW - 3 YEARS", 1097),
        ("NOW+1DAY", 0),
    ],
)
def test_dates_can_be_relative(first: str, days: int) -> None:
    dates = _dates("yyyy-MM-dd", f"{first},NOW")
    assert (len(dates), dates[-1:]) == (days, ["2026-05-31"] * bool(days))


def test_keys_combine_in_their_order_and_in_a_template() -> None:
    hours = {"h__type": " Integer ", "h__range": "0,20", "h__interval": "10", "h__digits": "2"}
    settings = {**hours, "kind__type": "enum", "kind__values": "a, b"}
    found = _projected(["kind", "h"], **settings)
    expected = [(kind, hour) for kind in ("a", " b") for hour in ("00", "10", "20")]
    assert [values for values, _ in found] == expected
    assert found[1][1] == "s3://lake/t/kind=a/h=10/"
    found = _projected(["kind", "h"], "s3://other/${h}/x-${kind}-${h}", **settings)
    assert found[1][1] == "s3://other/10/x-a-10"


DATE = {"k__type": "date", "k__range": "NOW,NOW", "k__format": "yyyy-MM-dd"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"k__type": "injected"}, r"NOT_SUPPORTED: .* type injected \(db.t, key k\)"),
        ({}, r"INVALID_TABLE_PROPERTY: Table db.t: projection.k.type is missing"),
        ({"k__type": "enum"}, r"INVALID_TABLE_PROPERTY: .*projection.k.values is missing"),
        ({"k__type": "integer", "k__range": "1,x"}, "INVALID_TABLE_PROPERTY: .*projection.k: "),
        ({**DATE, "k__range": "2025-01-01,NOW+1"}, "INVALID_TABLE_PROPERTY"),
        ({**DATE, "k__interval": "0"}, "INVALID_TABLE_PROPERTY: .*an interval of 0"),
        ({**DATE, "k__format": "yyyy-MM-dd-HH-mm"}, "NOT_SUPPORTED: .*yyyy-MM-dd-HH-mm"),
        ({**DATE, "k__format": "yyyy-MM-dd-HH"}, "projection.k.interval.unit is missing"),
        ({**DATE, "k__interval.unit": "MONTHS"}, "NOT_SUPPORTED: .*an interval of MONTHS"),
    ],
)
def test_what_cannot_be_projected(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(QueryFailed, match=reason):
        _projected(["k"], **settings)


def test_a_query_sees_the_projected_partitions_alone(account: Account) -> None:
    """Of a week of nights, with files on two of them and one outside of it that is registered."""
    settings: dict[str, Any] = {
        "enabled": "TRUE",
        "day.type": "date",
        "day.range": "2025-01-01,2025-01-07",
        "day.format": "yyyy-MM-dd",
        "hour.type": "integer",
        "hour.range": "0,3",
        "hour.digits": "2",
    }
    parameters = {f"projection.{name}": value for name, value in settings.items()}
    parameters["storage.location.template"] = "s3://lake/events/${day}/${hour}"
    account.create_table("events", {"n": "int"}, {"day": "date", "hour": "int"}, parameters)
    for day in (2, 5, 9):
        account.put(f"events/2025-01-0{day}/03/x.parquet", {"n": ints(day)})
    account.add_partition("events", "2025-01-09", "3", path="2025-01-09/03")
    for where, rows, read in (
        ("true", [2, 5], 28),
        ("day >= DATE '2025-01-03' AND hour > 1", [5], 10),
        ("day IN (DATE '2025-01-02', DATE '2025-01-03')", [2], 8),
        ("day = DATE '2025-01-09'", [], 0),
    ):
        outcome = account.run(f"SELECT n, day, hour FROM events WHERE {where} ORDER BY n")
        lines = "".join(f'"{n}","2025-01-0{n}","3"\n' for n in rows)
        assert outcome.csv == '"n","day","hour"\n' + lines
        assert len(outcome.partitions()) == read
    injected = {"projection.enabled": "true", "projection.k.type": "injected"}
    account.create_table("odd", {"a": "int"}, {"k": "string"}, injected)
    assert account.run("SELECT * FROM odd").reason.startswith("NOT_SUPPORTED: line 1:15: ")


def test_the_present_is_the_time_at_which_a_query_was_submitted(account: Account) -> None:
    settings = {"type": "date", "range": "NOW-1DAY,NOW", "format": "yyyy-MM-dd"}
    parameters = {f"projection.day.{name}": value for name, value in settings.items()}
    parameters["projection.enabled"] = "true"
    account.create_table("days", {"n": "int"}, {"day": "string"}, parameters)
    outcome = account.run("SELECT current_date AS d, max(day) AS day FROM days")
    submitted = outcome.execution["Status"]["SubmissionDateTime"].astimezone(dt.UTC)
    yesterday = submitted - dt.timedelta(days=1)
    assert outcome.csv == f'"d","day"\n"{submitted:%Y-%m-%d}",\n'
    assert outcome.partitions() == [f"{yesterday:%Y-%m-%d}", f"{submitted:%Y-%m-%d}"]


def test_a_query_that_needs_no_more_rows_leaves_no_question_to_the_next_one(
    account: Account,
) -> None:
    """Arrow reads files ahead in threads of its own, and is at it when LIMIT has its row."""
    account.create_table("t", {"n": "bigint"})
    rows = {"n": list(range(4_000))}
    for name in range(12):
        account.put(f"t/{name}.parquet", rows, row_group_size=100)
    for number in range(5):
        assert account.run("SELECT n FROM t LIMIT 1").state == "SUCCEEDED"
        assert account.run(f"SELECT {number} AS n").csv == f'"n"\n"{number}"\n'
