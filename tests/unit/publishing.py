"""What the tests of staging, publishing and retention share: a report of two columns, and a reader of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from athena_reports.stage import Location, Rows, StagedVersion, stage
from athena_reports.storage import Storage, split_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = pa.schema([("user_id", pa.int64()), ("name", pa.string())])
FORMATS = ("parquet", "csv")
EARLY, LATE = "2026-11-21T15:05:01.000+00:00", "2026-11-22T15:05:01.000+00:00"


def week(bucket: str, period_id: str = "2026-11-15") -> Location:
    return Location(bucket, "plays", "weekly", period_id)


def batch(*names: str | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"user_id": range(len(names)), "name": names}, schema=SCHEMA)


def staged(
    storage: Storage,
    location: Location,
    *names: str | None,
    formats: Sequence[str] = FORMATS,
    ordered: bool = True,
) -> StagedVersion:
    rows = Rows(SCHEMA, iter([batch(*names)]), ordered=ordered)
    return stage(rows, location=location, formats=formats, storage=storage)


def facts(
    submitted_at: str = EARLY,
    *,
    provisional: bool = False,
    by: str = "run-1",
    period_id: str = "2026-11-15",
    checks: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    return {
        "report": "plays",
        "environment": "dev",
        "period": {
            "id": period_id,
            "cadence": "weekly",
            "timezone": "UTC",
            "start": f"{period_id}T00:00:00+00:00",
            "end": "later",
            "start_utc": f"{period_id}T00:00:00+00:00",
            "end_utc": "later",
        },
        "provisional": provisional,
        "settles_at": LATE,
        "partial": False,
        "missing_partitions": [],
        "published_at": submitted_at,
        "query": {
            "id": f"query of {by}",
            "submitted_at": submitted_at,
            "reads_previous": True,
            "scanned_bytes": 20_000_000,
            "price_usd": 0.0001,
        },
        "run": {"dag_id": "plays_weekly", "run_id": by},
        "checks": list(checks),
        "code_version": "1",
    }


def everything_at(s3: S3Client, bucket: str) -> dict[str, bytes]:
    """Every object of the bucket, by key."""
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def read_json(s3: S3Client, uri: str) -> dict[str, Any]:
    bucket, key = split_uri(uri)
    found: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return found


def read_complete(s3: S3Client, location: Location) -> dict[str, Any]:
    """Read a period as its readers do, and return its manifest: what that names is there, and whole."""
    manifest = read_json(s3, location.manifest_uri)
    assert manifest["objects"]
    for named in manifest["objects"]:
        content = s3.get_object(Bucket=location.bucket, Key=named["key"])["Body"].read()
        assert len(content) == named["bytes"]
        assert hashlib.sha256(content).hexdigest() == named["sha256"]
    return manifest


def assert_followed(
    s3: S3Client, location: Location, partitions: dict[str, dict[str, Any]], *, is_latest: bool = True
) -> None:
    """The partition and `latest.json` say what the manifest says."""
    manifest = read_json(s3, location.manifest_uri)
    partition = partitions[location.period_id]
    folder = f"s3://{location.bucket}/{location.prefix}versions/{manifest['version']}/parquet/"
    assert partition["StorageDescriptor"]["Location"] == folder
    for name in ("version", "rows", "published_at"):
        assert partition["Parameters"][name] == str(manifest[name])
    assert partition["Parameters"]["query_id"] == manifest["query"]["id"]
    latest = read_json(s3, location.latest_uri)
    if is_latest:
        assert latest["version"] == manifest["version"]
        assert latest["submitted_at"] == manifest["query"]["submitted_at"]
        assert latest["period"] == manifest["period"]


def partitions_of(glue: Any, database: str, name: str = "plays_weekly") -> dict[str, dict[str, Any]]:
    found = glue.get_partitions(DatabaseName=database, TableName=name)["Partitions"]
    return {partition["Values"][0]: partition for partition in found}


def cut(table: pa.Table, sizes: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The rows of a table in batches of the given sizes, each before an empty one, the rest as it comes."""
    begin = 0
    for size in sizes:
        yield from table.slice(begin, size).combine_chunks().to_batches()
        yield pa.RecordBatch.from_pylist([], schema=table.schema)
        begin += size
    yield from table.slice(begin).to_batches()
