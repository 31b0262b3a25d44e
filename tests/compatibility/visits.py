"""The table that the kept projects read, `kept_visits`, and what their reports must say of it.

It follows from its days alone, so that today's tests have the rows that an older version has read.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from athena_reports.publication.glue_table import parquet_descriptor

TABLE = "kept_visits"
BUCKET = "athena-lake-dev"
DATABASE = "database_dev"
PAGES = ("/", "/about", "/books", "/cart", "/help", "/news")
_COLUMNS = {"page": "string", "visited_at": "timestamp"}
_SCHEMA = pa.schema([("page", pa.string()), ("visited_at", pa.timestamp("ms"))])


class Visit(NamedTuple):
    """A visit; its time is UTC without a zone, as in the lake."""

    page: str
    visited_at: datetime


def midnight(day: date) -> datetime:
    """The start of a day, as the lake has it: UTC without a zone."""
    return datetime.combine(day, time())


def visits_on(day: date) -> Iterator[Visit]:
    """The visits of a day: how many a page has changes from day to day."""
    for number, page in enumerate(PAGES):
        for visit in range((day.toordinal() // 7 * (number + 2) + number) % 5):
            at = midnight(day) + timedelta(hours=3 * visit + number)
            yield Visit(page, at)


def ranking(days: list[date], start: datetime, end: datetime) -> list[tuple[int, str, int]]:
    """Rank, page and visits of the period [start, end), counted without the library."""
    first, last = (bound.astimezone(UTC).replace(tzinfo=None) for bound in (start, end))
    counted: Counter[str] = Counter()
    for day in days:
        for visit in visits_on(day):
            if first <= visit.visited_at < last:
                counted[visit.page] += 1
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [(rank, page, visits) for rank, (page, visits) in enumerate(ordered, 1)]


def days_between(first: date, last: date) -> list[date]:
    """The days from one to another, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def put_table(days: list[date]) -> None:
    """Make the table with a partition for each day, in place of any before."""
    remove_table()
    client = boto3.client("glue")
    table_uri = f"s3://{BUCKET}/{TABLE}/"
    table: Any = {
        "Name": TABLE,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet"},
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
        "StorageDescriptor": parquet_descriptor(_COLUMNS, table_uri),
    }
    client.create_table(DatabaseName=DATABASE, TableInput=table)
    partitions: list[Any] = []
    for day in days:
        put_visits(day, "part-0", list(visits_on(day)))
        descriptor = parquet_descriptor(_COLUMNS, f"{table_uri}dt={day}/")
        partitions.append({"Values": [str(day)], "StorageDescriptor": descriptor})
    client.batch_create_partition(
        DatabaseName=DATABASE, TableName=TABLE, PartitionInputList=partitions
    )


def put_visits(day: date, name: str, visits: list[Visit]) -> None:
    """Put an object with visits into the partition of a day."""
    rows = [visit._asdict() for visit in visits]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), content)
    boto3.client("s3").put_object(Bucket=BUCKET, Key=_key_of(day, name), Body=content.getvalue())


def remove_visits(day: date, name: str) -> None:
    """Remove an object of the partition of a day."""
    remove_objects(BUCKET, [_key_of(day, name)])


def _key_of(day: date, name: str) -> str:
    return f"{TABLE}/dt={day}/{name}.parquet"


def remove_table() -> None:
    """Remove the table and its objects, if they are there."""
    glue = boto3.client("glue")
    with suppress(glue.exceptions.EntityNotFoundException):
        glue.delete_table(DatabaseName=DATABASE, Name=TABLE)
    listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{TABLE}/")
    remove_objects(BUCKET, [stored["Key"] for stored in listed.get("Contents", [])])


def remove_objects(bucket: str, keys: list[str]) -> None:
    """Remove up to 1,000 objects of a bucket."""
    if keys:
        named: Any = [{"Key": key} for key in keys]
        answer = boto3.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": named})
        assert not answer.get("Errors")
