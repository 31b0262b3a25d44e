"""Submissions for the tests of this room, and how they are started in an Athena in memory."""

from __future__ import annotations

from typing import Any

from athena_reports.queries.ownership import Marker, Submission
from athena_reports.queries.submission import Start
from tests.simulation.memory_athena import MemoryAthena

OWNER = {
    "environment": "dev",
    "dag_id": "plays_weekly",
    "run_id": "scheduled__2025-06-08",
    "task_id": "run_query",
    "generation": "0",
}


def submission(
    sql: str = "SELECT 1",
    *,
    database: str = "database_dev",
    catalog: str = "AwsDataCatalog",
    workgroup: str = "dev",
    output: str = "s3://results/",
    unload_to: str | None = None,
    **owner: str,
) -> Submission:
    return Submission.make(
        sql,
        owner=Marker(**OWNER | owner),
        context={"Catalog": catalog} | ({"Database": database} if database else {}),
        workgroup=workgroup,
        result_configuration={"OutputLocation": output} if output else {},
        unload_to=unload_to,
    )


def starter(athena: MemoryAthena) -> Start:
    def start(submission: Submission, number: int) -> str:
        response = athena.start_query_execution(
            QueryString=submission.sql(number),
            QueryExecutionContext=submission.context,
            ResultConfiguration=submission.result_configuration,
            WorkGroup=submission.workgroup,
            ClientRequestToken=submission.token(number),
        )
        found: str = response["QueryExecutionId"]
        return found

    return start


def start(athena: MemoryAthena, *submissions: Submission) -> list[str]:
    """Start queries past `submit_once`, and have Athena forget their tokens."""
    ids = []
    for each in submissions:
        ids.append(starter(athena)(each, 0))
        athena.forget_tokens()
    return ids


def start_sql(athena: MemoryAthena, sql: str, workgroup: str = "dev") -> str:
    """Start a query of somebody else."""
    context = {"Database": "database_dev", "Catalog": "AwsDataCatalog"}
    request: dict[str, Any] = {"QueryString": sql, "WorkGroup": workgroup, "QueryExecutionContext": context}
    found: str = athena.start_query_execution(**request)["QueryExecutionId"]
    return found
