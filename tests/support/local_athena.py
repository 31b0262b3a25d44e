"""What the local Athena was asked, and what it says of its queries."""

from __future__ import annotations

import io
import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from athena_reports_cli.local.services import Services

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_s3 import S3Client


_UNDER_WAY = ("QUEUED", "RUNNING")
_PATIENCE_SECONDS = 300.0
"""After this a query counts as hung. A machine with a busy disk can stand still for a minute."""


def run_sql(
    text: str, athena: AthenaClient, *, database: str, workgroup: str
) -> list[dict[str, str]]:
    """Run a query on the local Athena; the first rows, as text by column.
    A query that fails is an AssertionError.
    """
    _, rows = finished_query(text, athena, database=database, workgroup=workgroup)
    return rows


def finished_query(
    text: str, athena: AthenaClient, *, database: str, workgroup: str
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Run a query as `run_sql` does; how it went, and its first rows."""
    started = athena.start_query_execution(
        QueryString=text, QueryExecutionContext={"Database": database}, WorkGroup=workgroup
    )
    deadline, id_ = time.monotonic() + _PATIENCE_SECONDS, started["QueryExecutionId"]
    while True:
        execution: Any = athena.get_query_execution(QueryExecutionId=id_)["QueryExecution"]
        if execution["Status"]["State"] not in _UNDER_WAY:
            break
        assert time.monotonic() < deadline, execution
        time.sleep(0.02)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    head, *rows = athena.get_query_results(QueryExecutionId=id_)["ResultSet"]["Rows"]
    columns = [each["VarCharValue"] for each in head["Data"]]
    return execution, [
        dict(zip(columns, (each.get("VarCharValue", "") for each in row["Data"]), strict=True))
        for row in rows
    ]


def count_queries(services: Services) -> int:
    """How many queries the workgroup of dev was ever asked for."""
    return len(_query_ids(services.athena, "dev"))


def query_executions(athena: AthenaClient, workgroup: str = "dev") -> list[dict[str, Any]]:
    """Every query that a workgroup was ever asked for, oldest first."""
    ids = _query_ids(athena, workgroup)
    executions: dict[str, Any] = {}
    for start in range(0, len(ids), 50):
        batch = athena.batch_get_query_execution(QueryExecutionIds=ids[start : start + 50])
        for execution in batch["QueryExecutions"]:
            executions[execution["QueryExecutionId"]] = execution
    return [executions[id_] for id_ in reversed(ids)]


def _query_ids(athena: AthenaClient, workgroup: str) -> list[str]:
    """The ids of all queries of a workgroup, newest first."""
    pages = athena.get_paginator("list_query_executions").paginate(WorkGroup=workgroup)
    return [id_ for page in pages for id_ in page["QueryExecutionIds"]]


def facts_of_query(services: Services, query_execution_id: str) -> dict[str, Any]:
    """What the local Athena tells of a query that no API of AWS tells, such as its scans."""
    url = f"{services.endpoint_url}/_local/athena/executions/{query_execution_id}"
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def column_bytes(s3: S3Client, key: str, columns: set[str]) -> int:
    """What Athena bills for some columns of an object of the lake:
    their compressed bytes, by its footer.
    """
    body = s3.get_object(Bucket="athena-lake-dev", Key=key)["Body"].read()
    metadata = pq.read_metadata(io.BytesIO(body))
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    chunks = [group.column(column) for group in groups for column in range(metadata.num_columns)]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns)
