"""The amazon provider's own operator and hook against the local Athena, unchanged."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from botocore.exceptions import ClientError

from athena_reports_cli.local.services import Services


def _operator(**arguments: Any) -> AthenaOperator:
    return AthenaOperator(
        task_id="query",
        query="SELECT 1 AS one",
        database="default",
        workgroup="dev",
        aws_conn_id="aws_default",
        sleep_time=0,
        **arguments,
    )


def test_the_operator_runs_a_query_to_its_end(services: Services) -> None:
    operator = _operator(output_location="s3://athena-query-result-dev/elsewhere/")
    execution_id = operator.execute({})
    execution = services.athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
    assert execution["Status"]["State"] == "SUCCEEDED"
    location = f"athena-query-result-dev/{execution_id}.csv"
    assert execution["ResultConfiguration"]["OutputLocation"] == f"s3://{location}"
    bucket, _, key = location.partition("/")
    assert services.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b'"one"\n"1"\n'


def test_the_hook_reads_a_managed_result(services: Services) -> None:
    """But does not start its query: it always sends a ResultConfiguration, which Athena rejects."""
    hook = AthenaHook("aws_default")
    group = f"managed-{uuid.uuid4()}"
    services.athena.create_work_group(
        Name=group, Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}}
    )
    execution_id = services.athena.start_query_execution(
        QueryString="SELECT 1 AS one", WorkGroup=group
    )["QueryExecutionId"]
    with pytest.raises(ClientError, match="ResultConfiguration cannot be set together"):
        hook.run_query("SELECT 1 AS one", {"Database": "default"}, {}, workgroup=group)
    assert hook.poll_query_status(execution_id, sleep_time=0) == "SUCCEEDED"
    results = hook.get_query_results(execution_id)
    assert results is not None
    assert [row["Data"][0]["VarCharValue"] for row in results["ResultSet"]["Rows"]] == ["one", "1"]
