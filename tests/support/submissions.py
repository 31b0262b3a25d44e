"""Submissions, and queries in an Athena in memory."""

from collections.abc import Mapping
from typing import Any

from athena_reports.queries.ownership import AuthorMarker, Marker, Submission
from tests.support.memory_athena import MemoryAthena

OWNER: dict[str, Any] = {
    "environment": "dev",
    "dag_id": "plays_weekly",
    "run_id": "scheduled__2025-06-08",
    "task_id": "run_query",
    "map_index": -1,
    "generation": "0",
}

AUTHOR: dict[str, Any] = {
    "environment": "dev",
    "author": "arn:aws:sts::123456789012:assumed-role/authors/ann@example.org",
    "command": "plan",
    "command_id": "0" * 32,
    "expires_after_seconds": 1800,
}


def submission(
    sql: str = "SELECT 1",
    *,
    database: str = "database_dev",
    catalog: str = "AwsDataCatalog",
    workgroup: str = "dev",
    output: str = "s3://results/",
    unload_to: str | None = None,
    **owner: Any,
) -> Submission:
    return Submission.make(
        sql,
        owner=Marker(**OWNER | owner),
        context={"Catalog": catalog} | ({"Database": database} if database else {}),
        workgroup=workgroup,
        result_configuration={"OutputLocation": output} if output else {},
        unload_to=unload_to,
    )


def of_author(sql: str = "SELECT 1", *, output: str = "s3://results/", **author: Any) -> Submission:
    """The submission of an author's command."""
    return Submission.make(
        sql,
        owner=AuthorMarker(**AUTHOR | author),
        context={"Catalog": "AwsDataCatalog", "Database": "database_dev"},
        workgroup="dev",
        result_configuration={"OutputLocation": output} if output else {},
    )


def start(athena: MemoryAthena, *submissions: Submission) -> list[str]:
    """Start queries past `submit_once`, without a token."""
    return [_started(athena, each.sql(0), each.workgroup, each.context) for each in submissions]


def start_sql(athena: MemoryAthena, sql: str, workgroup: str = "dev") -> str:
    """Start a query of somebody else."""
    return _started(
        athena, sql, workgroup, {"Database": "database_dev", "Catalog": "AwsDataCatalog"}
    )


def _started(athena: MemoryAthena, sql: str, workgroup: str, context: Mapping[str, str]) -> str:
    response = athena.start_query_execution(
        QueryString=sql, WorkGroup=workgroup, QueryExecutionContext=context
    )
    found: str = response["QueryExecutionId"]
    return found
