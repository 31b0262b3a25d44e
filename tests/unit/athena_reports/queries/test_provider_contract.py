"""What users of the provider's Athena operator, sensor and trigger rely on, held by ours too."""

from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.sdk import DAG

from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.shared_poller import Connection
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from tests.support.airflow_run import context
from tests.support.memory_athena import MemoryAthena
from tests.support.retried import raises_retried

CONNECTION: dict[str, Any] = {
    "aws_conn_id": "aws_games",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"read_timeout": 42},
}
OPERATOR = CONNECTION | {
    "query": "SELECT * FROM plays",
    "database": "games",
    "output_location": "s3://results/",
    "workgroup": "analysts",
    "catalog": "AwsDataCatalog",
}


@pytest.fixture(autouse=True)
def _connection(athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_GAMES", "aws://")


def build(kind: type[Any], **fields: Any) -> Any:
    usual = (
        OPERATOR if issubclass(kind, AthenaOperator) else {"query_execution_id": "q-1"} | CONNECTION
    )
    with DAG("plays", schedule=None):
        return kind(task_id="query", **usual | fields)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (
            AthenaSubmitOperator,
            {"client_request_token": "t" * 32, "sleep_time": 5, "max_polling_attempts": 7},
        ),
        (AthenaWaitSensor, {"query_execution_id": "q-1"}),
    ],
)
def test_the_providers_arguments_are_taken_and_kept_and_reach_the_hook(
    kind: Any, given: dict[str, Any]
) -> None:
    task = build(kind, **given)

    given |= OPERATOR if kind is AthenaSubmitOperator else CONNECTION
    assert {name: getattr(task, name) for name in given} == given
    for hook in (task.hook, Connection(**CONNECTION).new_hook()):
        assert isinstance(hook, AthenaHook)
        assert (hook.aws_conn_id, hook._region_name, hook._verify) == (
            "aws_games",
            "eu-west-1",
            False,
        )
        assert hook._config is not None
        assert hook._config.read_timeout == 42


@pytest.mark.parametrize(
    ("ours", "theirs", "own_fields"),
    [
        (AthenaSubmitOperator, AthenaOperator, {"period", "reads"}),
        (AthenaWaitSensor, AthenaSensor, {"submitted"}),
    ],
)
def test_nothing_that_is_templated_there_is_not_templated_here(
    ours: Any, theirs: Any, own_fields: set[str]
) -> None:
    assert set(ours.template_fields) == {*own_fields, *theirs.template_fields}
    for name in ("template_ext", "ui_color", "operator_extra_links"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_what_the_request_holds_beside_the_query_reaches_athena(athena: MemoryAthena) -> None:
    """But for a token of one's own, which would give the next run the rows of this one."""
    configuration = {"ExpectedBucketOwner": "012345678901", "OutputLocation": "s3://elsewhere/"}
    wanted: dict[str, Any] = {"database": None, "query_execution_context": {"Database": "games"}}
    token = {"client_request_token": "t" * 32}
    build(AthenaSubmitOperator, **wanted, **token, result_configuration=configuration).execute(
        context()
    )

    request = athena.queries["q-1"].request
    assert request["QueryExecutionContext"] == {"Database": "games", "Catalog": "AwsDataCatalog"}
    assert request["ResultConfiguration"] == {
        "ExpectedBucketOwner": "012345678901",
        "OutputLocation": "s3://results/",
    }
    assert not athena.tokens.keys() & {*token.values()}


def test_differs_a_connection_that_is_missing_is_no_other_one(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's operator goes on with whatever credentials there are."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_GAMES")
    with raises_retried("Airflow connection 'aws_games' does not exist"):
        build(AthenaSubmitOperator).execute(context())
    assert not athena.queries
