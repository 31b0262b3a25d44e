from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from botocore.stub import Stubber

from athena_reports.queries.execution import QueryExecution, QueryState
from athena_reports.scheduling.asset_partitions import HAS_KEYED_EVENTS
from tests.unit.athena_reports.steps.last_tasks import HEADER, SQL, LastTasks
from tests.unit.athena_reports.steps.source_lake import SourceLake

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# It imports what Airflow has from 3.3 on.
collect_ignore = [] if HAS_KEYED_EVENTS else ["test_execution_notes.py"]

COLUMNS = [("rank", "bigint"), ("previous_rank", "bigint"), ("user_name", "varchar")]
CSV = HEADER + b'"1","3","a,b"\n"2",,""\n'


@pytest.fixture
def query(
    s3: S3Client, s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What the sensor handed on, of a query whose result is in S3."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    s3.put_object(Bucket=bucket, Key="q-1.csv", Body=CSV)
    info = [{"Name": name, "Type": type} for name, type in COLUMNS]
    client = boto3.client("athena")
    stubber = Stubber(client)
    for _ in range(5):  # as many results as a test reads
        answer = {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": info}, "Rows": []}}
        stubber.add_response("get_query_results", answer)
    stubber.activate()
    monkeypatch.setattr(
        client, "get_query_execution", lambda **_: {"QueryExecution": {"Query": SQL}}
    )
    monkeypatch.setattr(AthenaHook, "get_conn", lambda _: client)
    execution = QueryExecution(
        id="q-1",
        state=QueryState.SUCCEEDED,
        output_location=f"s3://{bucket}/q-1.csv",
        submitted_at="2025-06-16T00:00:00.000+00:00",
        scanned_bytes=20_000_000,
        engine_version="Athena 3",
        statement="SELECT",
        region="us-east-1",
    )
    return execution.model_dump(mode="json")


@pytest.fixture
def last(s3: S3Client, bucket: str, query: dict[str, Any]) -> LastTasks:
    return LastTasks(s3, bucket, query)


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> SourceLake:
    """A lake that the hooks of this process talk to."""
    lake = SourceLake()
    lake.serve(monkeypatch)
    return lake
