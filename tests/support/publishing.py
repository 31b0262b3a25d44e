"""Publishes a report of two columns into a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from athena_reports.aws.s3 import S3, split_uri
from athena_reports.publication.commit import Publication, publish
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation
from athena_reports.publication.manifest import (
    PublicationFacts,
    PublishedPeriod,
    QueryFacts,
    RunFacts,
    Version,
)
from athena_reports.rows.formats import Format
from athena_reports.rows.writer import digest_of, write_file, write_table
from athena_reports.steps.preparation import upload_version
from tests.support.calendars import UTC_WEEKS
from tests.support.engines import engine
from tests.support.published import partitions_of, read_complete, read_json

EARLY, LATE = "2026-11-21T15:05:01.000+00:00", "2026-11-22T15:05:01.000+00:00"
FORMATS: Sequence[Format] = ("parquet", "csv")
PLAYS = "SELECT (row_number() OVER () - 1)::BIGINT AS user_id, name FROM names"


def week(bucket: str, period_id: str = "2026-11-15") -> PeriodLocation:
    return PeriodLocation.of(bucket, "plays", UTC_WEEKS.period(period_id))


def upload(
    s3: S3,
    location: PeriodLocation,
    *names: str | None,
    sql: str = PLAYS,
    formats: Sequence[Format] = FORMATS,
    ordered: bool = True,
    key: Sequence[str] = (),
) -> Version:
    """Upload a version with a row for each name."""
    with engine() as shared:
        shared.connection.execute("CREATE OR REPLACE TABLE names (name VARCHAR)")
        for name in names:
            shared.connection.execute("INSERT INTO names VALUES ($1)", [name])
        table = write_table(shared.connection.sql(sql), shared)
        version = upload_version(
            [write_file(table, format, shared) for format in formats],
            table,
            location,
            s3,
            ordered=ordered,
        )
        digest = digest_of(table, shared)
    return version.model_copy(update={"key": tuple(key), "read_by_next": digest})


def facts(
    submitted_at: str = EARLY, *, by: str = "run-1", period_id: str = "2026-11-15", **more: Any
) -> PublicationFacts:
    """What is published of a query; its rows are published two minutes after its submission."""
    published_at = datetime.fromisoformat(submitted_at) + timedelta(minutes=2)
    start = f"{period_id}T00:00:00+00:00"
    bounds = {"start": start, "end": "later", "start_utc": start, "end_utc": "later"}
    query = QueryFacts(
        id=f"query of {by} at {submitted_at}",
        submitted_at=submitted_at,
        reads_previous=True,
        scanned_bytes=20_000_000,
        price_usd=0.0001,
    )
    usual: dict[str, Any] = {
        "report": "plays",
        "environment": "dev",
        "period": PublishedPeriod(id=period_id, cadence="weekly", timezone="UTC", **bounds),
        "settles_at": LATE,
        "published_at": published_at.isoformat(timespec="milliseconds"),
        "provisional": False,
        "partial": False,
        "missing_partitions": (),
        "checks": (),
        "query": query,
        "run": RunFacts(dag_id="plays_weekly", run_id=by),
        "code_version": "1",
    }
    return PublicationFacts(**usual | more)


@dataclass(frozen=True)
class Place:
    """A period in a bucket, and its table if it has one."""

    s3: S3
    location: PeriodLocation
    table: Table | None = None

    @property
    def own_table(self) -> Table:
        """Its table, which it has."""
        assert self.table is not None
        return self.table

    def upload(self, *names: str | None, **options: Any) -> Version:
        return upload(self.s3, self.location, *names, **options)

    def publish(
        self,
        version: Version,
        facts: PublicationFacts,
        s3: S3 | None = None,
        *,
        may_lose_rows: bool = False,
    ) -> Publication:
        return publish(
            version,
            facts,
            location=self.location,
            s3=s3 or self.s3,
            table=self.table,
            memory_limit="128MB",
            may_lose_rows=may_lose_rows,
        )

    def without_table(self) -> Place:
        return replace(self, table=None)

    def at(self, period_id: str) -> Place:
        return replace(self, location=self.location.report.period_folder(period_id))

    def put(self, uri: str, body: bytes) -> None:
        self.s3.client.put_object(
            Bucket=self.location.report.bucket, Key=split_uri(uri)[1], Body=body
        )

    def everything(self) -> dict[str, bytes]:
        """Every object of the bucket, by key."""
        client, bucket = self.s3.client, self.location.report.bucket
        keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def latest(self) -> dict[str, Any]:
        return read_json(self.s3.client, self.location.report.latest_uri)

    def manifest(self) -> dict[str, Any]:
        return read_complete(self.s3.client, self.location)

    def tables(self) -> list[Any]:
        """What Glue says of each table."""
        table = self.own_table
        return list(table.glue.get_tables(DatabaseName=table.database)["TableList"])

    def partitions(self) -> dict[str, dict[str, Any]]:
        return partitions_of(self.own_table.glue, self.own_table.database)
