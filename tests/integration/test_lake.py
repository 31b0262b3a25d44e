"""The lake over HTTP, in S3 and Glue by moto."""

import datetime as dt
import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from mypy_boto3_glue import GlueClient
from mypy_boto3_s3 import S3Client

from demo import flights, lake, plays

SPEC = plays.PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 4, 20), events=3_000, users=100)  # 109 days
DAYS = list(plays.generate(SPEC))
REGION = "ap-northeast-1"

_environments = itertools.count()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment() -> str:
    """A name of its own for each test, because moto keeps one state in a process."""
    return f"laketest{next(_environments)}"


def client(service: str, endpoint: str, region: str = REGION) -> Any:
    session: Any = boto3.Session("testing", "testing", region_name=region)
    return session.client(service, endpoint_url=endpoint)


@pytest.fixture
def s3(endpoint: str) -> S3Client:
    s3: S3Client = client("s3", endpoint)
    return s3


@pytest.fixture
def glue(endpoint: str) -> GlueClient:
    glue: GlueClient = client("glue", endpoint)
    return glue


def count_calls(aws: Any) -> list[str]:
    """The names of the operations that a client sends from now on."""
    calls: list[str] = []
    aws.meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    return calls


def objects(s3: S3Client, bucket: str) -> dict[str, tuple[str, dt.datetime]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"]: (item["ETag"], item["LastModified"]) for page in pages for item in page["Contents"]}


def registered(glue: GlueClient, database: str, table: str) -> dict[str, str]:
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
    return {
        partition["Values"][0]: partition["StorageDescriptor"]["Location"]
        for page in pages
        for partition in page["Partitions"]
    }


def read(s3: S3Client, bucket: str, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))


def load(s3: S3Client, glue: GlueClient, environment: str, days: Any = DAYS) -> lake.LoadResult:
    return lake.load(
        lake.PLAYS,
        days,
        s3=s3,
        glue=glue,
        database=f"database_{environment}",
        bucket=f"athena-lake-{environment}",
    )


def test_plays_are_in_the_bucket_as_generated_and_each_partition_is_registered(
    s3: S3Client, glue: GlueClient, environment: str
) -> None:
    result = lake.seed_plays(environment, s3=s3, glue=glue, spec=SPEC)
    bucket = f"athena-lake-{environment}"
    keys = {f"plays/dt={day}/part-0.parquet": table for day, table in DAYS}
    assert set(objects(s3, bucket)) == set(keys)
    for key, table in keys.items():
        stored = read(s3, bucket, key)
        assert stored.schema.equals(plays.SCHEMA)
        assert stored.equals(table)
    assert registered(glue, f"database_{environment}", "plays") == {
        str(day): f"s3://{bucket}/plays/dt={day}/" for day, _ in DAYS
    }
    sizes = [s3.head_object(Bucket=bucket, Key=key)["ContentLength"] for key in keys]
    assert result == lake.LoadResult(rows=3_000, partitions=109, bytes=sum(sizes), uploaded=109)


def test_the_table_in_glue_says_what_is_in_the_files(s3: S3Client, glue: GlueClient, environment: str) -> None:
    load(s3, glue, environment, DAYS[:1])
    table = glue.get_table(DatabaseName=f"database_{environment}", Name="plays")["Table"]
    columns = table["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [
        ("event_id", "string"),
        ("user_id", "string"),
        ("user_name", "string"),
        ("score", "bigint"),
        ("played_at", "timestamp"),
        ("device", "string"),
    ]
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("dt", "string")]
    assert all(column["Comment"] for column in columns + table["PartitionKeys"])
    assert table["StorageDescriptor"]["Location"] == f"s3://athena-lake-{environment}/plays/"
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")
    assert table["TableType"] == "EXTERNAL_TABLE"


def test_specifications_of_both_tables_match_what_their_sources_give() -> None:
    assert lake.PLAYS.schema == plays.SCHEMA
    assert lake.FLIGHTS.schema == flights.SCHEMA


def test_a_second_run_writes_nothing(s3: S3Client, glue: GlueClient, environment: str) -> None:
    first = load(s3, glue, environment)
    before = objects(s3, f"athena-lake-{environment}")
    s3_calls, glue_calls = count_calls(s3), count_calls(glue)
    second = load(s3, glue, environment)
    assert second == lake.LoadResult(first.rows, first.partitions, first.bytes, uploaded=0)
    assert "PutObject" not in s3_calls
    assert "BatchCreatePartition" not in glue_calls
    assert objects(s3, f"athena-lake-{environment}") == before


def test_partitions_are_registered_at_most_100_a_call(s3: S3Client, glue: GlueClient, environment: str) -> None:
    sizes: list[int] = []
    glue.meta.events.register(
        "provide-client-params.glue.BatchCreatePartition",
        lambda params, **_: sizes.append(len(params["PartitionInputList"])),
    )
    load(s3, glue, environment)
    assert sizes == [100, 9]


def fails_after(days: int) -> Iterator[tuple[dt.date, pa.Table]]:
    yield from DAYS[:days]
    raise KeyboardInterrupt


def raise_at(call: int) -> Callable[..., None]:
    calls = itertools.count(1)

    def fail(**_: object) -> None:
        if next(calls) == call:
            raise ConnectionError("unplugged")

    return fail


@pytest.mark.parametrize("interruption", ["source", "upload", "registration"])
def test_a_run_after_an_interruption_does_what_was_left(
    s3: S3Client, glue: GlueClient, endpoint: str, environment: str, interruption: str
) -> None:
    broken_s3, broken_glue = client("s3", endpoint), client("glue", endpoint)
    broken_s3.meta.events.register("before-call.s3.PutObject", raise_at(50 if interruption == "upload" else 0))
    broken_glue.meta.events.register(
        "before-call.glue.BatchCreatePartition", raise_at(2 if interruption == "registration" else 0)
    )
    days = fails_after(105) if interruption == "source" else iter(DAYS)
    with pytest.raises((KeyboardInterrupt, ConnectionError)):
        load(broken_s3, broken_glue, environment, days)

    bucket, database = f"athena-lake-{environment}", f"database_{environment}"
    left = objects(s3, bucket)
    known = registered(glue, database, "plays")
    assert len(known) < len(DAYS)
    assert {f"plays/dt={day}/part-0.parquet" for day in known} <= set(left), "registered without an object"

    result = load(s3, glue, environment)
    assert (result.rows, result.partitions, result.uploaded) == (3_000, 109, 109 - len(left))
    assert set(registered(glue, database, "plays")) == {str(day) for day, _ in DAYS}
    now = objects(s3, bucket)
    assert len(now) == 109
    assert {key: now[key] for key in left} == left


def test_an_object_with_other_content_is_replaced_and_others_are_left_alone(
    s3: S3Client, glue: GlueClient, environment: str
) -> None:
    load(s3, glue, environment, DAYS[:3])
    bucket = f"athena-lake-{environment}"
    damaged = f"plays/dt={DAYS[1][0]}/part-0.parquet"
    s3.put_object(Bucket=bucket, Key=damaged, Body=b"half an upl")
    s3.put_object(Bucket=bucket, Key="plays/dt=1999-01-01/part-0.parquet", Body=b"of somebody else")
    assert load(s3, glue, environment, DAYS[:3]).uploaded == 1
    assert read(s3, bucket, damaged).equals(DAYS[1][1])
    foreign = s3.get_object(Bucket=bucket, Key="plays/dt=1999-01-01/part-0.parquet")
    assert foreign["Body"].read() == b"of somebody else"


def test_two_lakes_of_one_specification_are_equal_to_the_byte(s3: S3Client, glue: GlueClient, environment: str) -> None:
    load(s3, glue, environment)
    load(s3, glue, f"{environment}-twin", plays.generate(SPEC))
    one, other = objects(s3, f"athena-lake-{environment}"), objects(s3, f"athena-lake-{environment}-twin")
    assert {key: etag for key, (etag, _) in one.items()} == {key: etag for key, (etag, _) in other.items()}


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_the_bucket_is_made_where_its_client_lives(endpoint: str, environment: str, region: str) -> None:
    s3, glue = client("s3", endpoint, region), client("glue", endpoint, region)
    for _ in range(2):
        load(s3, glue, environment, DAYS[:1])
    location = s3.get_bucket_location(Bucket=f"athena-lake-{environment}")["LocationConstraint"]
    assert (location or "us-east-1") == region


def test_rows_with_another_schema_are_refused(s3: S3Client, glue: GlueClient, environment: str) -> None:
    day, table = DAYS[0]
    with pytest.raises(ValueError, match="partition 2025-01-01 of plays has the schema"):
        load(s3, glue, environment, [(day, table.drop_columns("device"))])
    assert registered(glue, f"database_{environment}", "plays") == {}


def test_a_partition_that_glue_refuses_is_an_error_that_names_it(
    s3: S3Client, glue: GlueClient, environment: str
) -> None:
    def refuse(parsed: dict[str, Any], **_: object) -> None:
        detail = {"ErrorCode": "ResourceNumberLimitExceededException", "ErrorMessage": "too many"}
        parsed["Errors"] = [{"PartitionValues": ["2025-01-01"], "ErrorDetail": detail}]

    glue.meta.events.register("after-call.glue.BatchCreatePartition", refuse)
    with pytest.raises(lake.LakeError, match=r"2025-01-01.*ResourceNumberLimitExceeded"):
        load(s3, glue, environment, DAYS[:1])


def test_a_partition_that_somebody_registered_meanwhile_is_fine(
    s3: S3Client, glue: GlueClient, endpoint: str, environment: str
) -> None:
    load(s3, glue, environment, DAYS[:1])

    def days() -> Iterator[tuple[dt.date, pa.Table]]:
        load(s3, client("glue", endpoint), environment, DAYS[:5])
        yield from DAYS[:6]

    assert load(s3, glue, environment, days()).partitions == 6
    assert len(registered(glue, f"database_{environment}", "plays")) == 6


def test_flights_of_all_of_2013_are_in_the_lake(s3: S3Client, glue: GlueClient, environment: str) -> None:
    result = lake.seed_flights(environment, s3=s3, glue=glue)
    assert (result.rows, result.partitions) == (336_776, 366)
    dates = registered(glue, f"database_{environment}", "flights")
    assert (min(dates), max(dates), len(dates)) == ("2013-01-01", "2014-01-01", 366)
    stored = read(s3, f"athena-lake-{environment}", "flights/dt=2014-01-01/part-0.parquet")
    (expected,) = (part for day, part in flights.partitions(flights.read_flights()) if day.year == 2014)
    assert stored.equals(expected)
    assert stored.schema.equals(flights.SCHEMA)
