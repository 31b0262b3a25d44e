"""Reads what a report has published."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from athena_reports.aws.s3 import split_uri
from athena_reports.publication.location import PeriodLocation
from tests.support.airflow_run import TaskInstance

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def manifest_of(s3: S3Client, xcoms: TaskInstance) -> dict[str, Any]:
    """The manifest that a run published, and its bucket."""
    uri = xcoms.values["publish", "return_value"]["manifest"]
    bucket, _ = split_uri(uri)
    return read_json(s3, uri) | {"bucket": bucket}


def rows_of(s3: S3Client, manifest: Mapping[str, Any], format: str) -> list[dict[str, Any]]:
    """The published rows of one format; the CSV is read with the types that the Parquet has."""
    body = object_of(s3, manifest, format)
    if format == "parquet":
        return pq.read_table(io.BytesIO(body)).to_pylist()
    schema = pq.read_schema(io.BytesIO(object_of(s3, manifest, "parquet")))
    convert = pa_csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    return pa_csv.read_csv(
        io.BytesIO(body), parse_options=parse, convert_options=convert
    ).to_pylist()


def object_of(s3: S3Client, manifest: Mapping[str, Any], format: str) -> bytes:
    (key,) = (entry["key"] for entry in manifest["objects"] if entry["format"] == format)
    return s3.get_object(Bucket=manifest["bucket"], Key=key)["Body"].read()


def read_json(s3: S3Client, uri: str) -> dict[str, Any]:
    bucket, key = split_uri(uri)
    found: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return found


def read_complete(s3: S3Client, location: PeriodLocation) -> dict[str, Any]:
    """Read a period as its readers do, and return its manifest.

    What the manifest names is there, and whole.
    """
    manifest = read_json(s3, location.manifest_uri)
    assert manifest["objects"]
    for named in manifest["objects"]:
        content = s3.get_object(Bucket=location.report.bucket, Key=named["key"])["Body"].read()
        assert len(content) == named["bytes"]
        assert hashlib.sha256(content).hexdigest() == named["sha256"]
    return manifest


def assert_followed(
    s3: S3Client,
    location: PeriodLocation,
    partitions: dict[str, dict[str, Any]],
    *,
    is_latest: bool = True,
) -> None:
    """The partition and `latest.json` say what the manifest says."""
    manifest = read_json(s3, location.manifest_uri)
    partition = partitions[location.period_id]
    assert (
        partition["StorageDescriptor"]["Location"]
        == f"{location.version_uri(manifest['version'])}parquet/"
    )
    facts = facts_in(partition)
    for name in ("version", "rows", "published_at", "query", "run", "readings", "parts"):
        assert facts[name] == manifest[name]
    if is_latest:
        assert read_json(s3, location.report.latest_uri) == manifest


def facts_in(partition: Mapping[str, Any]) -> dict[str, Any]:
    """What a partition in Glue says of its period."""
    facts: dict[str, Any] = json.loads(partition["Parameters"]["athena_reports"])
    return facts


def partitions_of(
    glue: Any, database: str, name: str = "plays_weekly"
) -> dict[str, dict[str, Any]]:
    found = glue.get_partitions(DatabaseName=database, TableName=name)["Partitions"]
    return {partition["Values"][0]: partition for partition in found}
