"""The amazon provider's own operator, sensor, hook and trigger
against the local Athena, unchanged.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from botocore.exceptions import ClientError

from athena_reports_cli.local.services import Services

ENDLESS = (
    "WITH d (x) AS (VALUES 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) SELECT sum(a.x * b.x % c.x) FROM "
    + ", ".join(f"d {name}" for name in "abcdefghijklm")
)


def _operator(query: str, **arguments: Any) -> AthenaOperator:
    return AthenaOperator(
        task_id="query",
        query=query,
        database="default",
        workgroup="dev",
        aws_conn_id="aws_default",
        sleep_time=0,
        **arguments,
    )


@pytest.fixture
def hook(services: Services) -> AthenaHook:
    return AthenaHook("aws_default")


def _run(hook: AthenaHook, query: str) -> str:
    return hook.run_query(query, {"Database": "default"}, {}, workgroup="dev")


def test_the_operator_runs_a_query_to_its_end(services: Services) -> None:
    operator = _operator(
        "SELECT 1 AS one", output_location="s3://athena-query-result-dev/elsewhere/"
    )
    execution_id = operator.execute({})
    execution = services.athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
    assert execution["Status"]["State"] == "SUCCEEDED"
    location = f"athena-query-result-dev/{execution_id}.csv"
    assert execution["ResultConfiguration"]["OutputLocation"] == f"s3://{location}"
    bucket, _, key = location.partition("/")
    assert services.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b'"one"\n"1"\n'


def test_the_hook_reads_a_managed_result(services: Services, hook: AthenaHook) -> None:
    """But does not start its query: it always sends a ResultConfiguration, which Athena rejects."""
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


def test_the_operator_fails_with_the_querys_reason(services: Services) -> None:
    with pytest.raises(Exception, match="SCHEMA_NOT_FOUND"):
        _operator("SELECT * FROM nowhere.t").execute({})
    with pytest.raises(Exception, match="mismatched input 'FORM'"):
        _operator("SELECT * FORM t").execute({})


def test_the_operator_stops_its_query_when_it_is_killed(services: Services) -> None:
    operator = _operator(ENDLESS)
    operator.query_execution_id = _run(operator.hook, ENDLESS)
    operator.on_kill()
    state = services.athena.get_query_execution(QueryExecutionId=operator.query_execution_id)
    assert state["QueryExecution"]["Status"]["State"] == "CANCELLED"


def test_the_sensor_sees_success_and_failure(services: Services, hook: AthenaHook) -> None:
    def sensor(execution_id: str) -> AthenaSensor:
        return AthenaSensor(
            task_id="wait", query_execution_id=execution_id, sleep_time=0, aws_conn_id="aws_default"
        )

    assert sensor(_run(hook, "SELECT 1")).poke({}) is True
    with pytest.raises(AirflowException, match="Athena sensor failed"):
        sensor(_run(hook, "SELECT 1 / 0")).poke({})


def test_the_trigger_of_the_deferred_operator(services: Services, hook: AthenaHook) -> None:
    execution_id = _run(hook, "SELECT 1")
    trigger = AthenaTrigger(
        execution_id, waiter_delay=1, waiter_max_attempts=10, aws_conn_id="aws_default"
    )

    async def first_event() -> Any:
        return await anext(trigger.run())

    assert asyncio.run(first_event()).payload["status"] == "success"


@pytest.mark.usefixtures("plays_lake")
def test_the_operator_tells_openlineage_where_a_table_lies(services: Services) -> None:
    services.glue.create_table(
        DatabaseName="database_dev",
        TableInput={
            "Name": "a_view",
            "TableType": "VIRTUAL_VIEW",
            "StorageDescriptor": {"Columns": [{"Name": "one", "Type": "int"}]},
        },
    )

    dataset = _operator("SELECT 1").get_openlineage_dataset("database_dev", "plays")

    assert dataset is not None
    assert dataset.name == "AwsDataCatalog.database_dev.plays"
    (symlink,) = dataset.facets["symlinks"].identifiers
    assert (symlink.namespace, symlink.name) == ("s3://athena-lake-dev", "/plays/")
    described = services.athena.get_table_metadata(
        CatalogName="AwsDataCatalog", DatabaseName="database_dev", TableName="a_view"
    )
    assert "location" not in described["TableMetadata"]["Parameters"]
