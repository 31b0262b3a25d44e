"""Requests of queries, and queries that somebody else has started."""

import json
from typing import Any

from athena_reports.queries.request import QueryRequest
from tests.support.memory_athena import MemoryAthena

OWNER: dict[str, Any] = {
    "environment": "dev",
    "dag_id": "plays_weekly",
    "run_id": "scheduled__2025-06-08",
    "task_id": "run_query",
    "map_index": -1,
    "clear_number": 0,
    "run_started_at": "2025-06-15T00:05:00+00:00",
}


def request(
    sql: str = "SELECT 1",
    *,
    database: str = "database_dev",
    catalog: str = "AwsDataCatalog",
    workgroup: str = "dev",
    output: str = "s3://results/",
    unload_to: str | None = None,
    **owner: Any,
) -> QueryRequest:
    """The request of a task."""
    return QueryRequest(
        query=sql,
        comment=json.dumps(OWNER | owner),
        context={"Catalog": catalog} | ({"Database": database} if database else {}),
        workgroup=workgroup,
        result_configuration={"OutputLocation": output} if output else {},
        unload_to=unload_to,
    )


def start_sql(athena: MemoryAthena, sql: str, workgroup: str = "dev") -> str:
    """Start a query of somebody else."""
    response = athena.start_query_execution(
        QueryString=sql,
        WorkGroup=workgroup,
        QueryExecutionContext={"Database": "database_dev", "Catalog": "AwsDataCatalog"},
    )
    found: str = response["QueryExecutionId"]
    return found
