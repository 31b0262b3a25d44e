"""What users of the provider's Athena operator, sensor and trigger rely on, held by ours too."""

from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.common.sql.hooks import lineage
from airflow.sdk import DAG
from airflow.sdk.lineage import HookLineageCollector

from athena_reports.aws.hook import SharedSessionHook
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from athena_reports.steps.wait_trigger import AthenaWaitTrigger
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
    trigger: Any = AthenaWaitTrigger("q-1", **CONNECTION)
    for hook in (task.hook, trigger.hook()):
        assert isinstance(hook, AthenaHook)
        found = (hook.aws_conn_id, hook._region_name, hook._verify, hook._config.read_timeout)  # type: ignore[union-attr]
        assert found == ("aws_games", "eu-west-1", False, 42)


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


def started_by(
    kind: type[AthenaHook],
    configuration: dict[str, Any],
    log_query: bool,
    athena: MemoryAthena,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[dict[str, Any], list[tuple[Any, ...]], list[Any]]:
    """Start a query; return its request, what the hook logged, and its lineage."""
    lines: list[tuple[Any, ...]] = []
    collector = HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: collector)
    hook = kind("aws_games", log_query=log_query)
    monkeypatch.setattr(hook.log, "info", lambda *given: lines.append(given))
    id_ = hook.run_query("SELECT 1", {"Database": "games"}, configuration, "t" * 32, "analysts")
    request = dict(athena.queries.pop(id_).request)
    athena.tokens.clear()
    extras = [(extra.key, extra.value) for extra in collector.collected_assets.extra]
    return request, lines, extras


@pytest.mark.parametrize("log_query", [True, False])
def test_the_hook_starts_a_query_as_the_providers_does(
    log_query: bool, athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request, the log and the lineage are the same."""
    configuration = {"OutputLocation": "s3://elsewhere/"}
    theirs, ours = (
        started_by(kind, configuration, log_query, athena, monkeypatch)
        for kind in (AthenaHook, SharedSessionHook)
    )
    assert ours == theirs
    assert (len(ours[1]), len(ours[2])) == (1 + log_query, 1)


def test_differs_an_empty_result_configuration_is_not_sent(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Athena rejects it in a workgroup with managed query results."""
    theirs, ours = (
        started_by(kind, {}, False, athena, monkeypatch) for kind in (AthenaHook, SharedSessionHook)
    )
    assert ours[0] | {"ResultConfiguration": {}} == theirs[0]
    assert "ResultConfiguration" not in ours[0]


def test_differs_a_connection_that_is_missing_is_no_other_one(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's operator goes on with whatever credentials there are."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_GAMES")
    with raises_retried("no Airflow connection 'aws_games'"):
        build(AthenaSubmitOperator).execute(context())
    assert not athena.queries
