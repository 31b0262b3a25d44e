"""What users of the provider's Athena operator, sensor and trigger rely on, and where ours differ on purpose.

A test shows the provider's own behaviour beside ours, so that a new version of the provider is noticed.
"""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

from athena_reports.queries.submit_operator import AthenaSubmitOperator
from athena_reports.queries.wait_policy import WaitPolicy
from athena_reports.queries.wait_sensor import AthenaWaitSensor
from athena_reports.queries.wait_trigger import AthenaWaitTrigger
from tests.library.queries.tasks import context
from tests.simulation.clock import VirtualClock
from tests.simulation.memory_athena import MemoryAthena, Plan

OPERATOR: dict[str, Any] = {
    "query": "SELECT * FROM plays",
    "database": "games",
    "output_location": "s3://results/",
    "workgroup": "analysts",
    "catalog": "AwsDataCatalog",
    "aws_conn_id": "aws_games",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"read_timeout": 42},
}
CONNECTION = {name: OPERATOR[name] for name in ("aws_conn_id", "region_name", "verify", "botocore_config")}


@pytest.fixture(autouse=True)
def _provider(athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_GAMES", "aws://")
    monkeypatch.setattr(AthenaHook, "poll_query_status", lambda *_, **__: "SUCCEEDED")


def operator(kind: type[AthenaOperator], **fields: Any) -> Any:
    with DAG("plays", schedule=None):
        return kind(task_id="query", **OPERATOR | fields)


def sensor(kind: type[AthenaSensor], **fields: Any) -> Any:
    with DAG("plays", schedule=None):
        return kind(task_id="wait", **{"query_execution_id": "q-1"} | CONNECTION | fields)


@pytest.mark.parametrize("kind", [AthenaOperator, AthenaSubmitOperator, AthenaSensor, AthenaWaitSensor])
def test_the_providers_arguments_are_taken_and_kept(kind: Any) -> None:
    of_operator = {"client_request_token": "t" * 32, "sleep_time": 5, "max_polling_attempts": 7, "log_query": False}
    of_sensor = {"query_execution_id": "q-1", "sleep_time": 5, "max_retries": 3}
    build, given = (operator, of_operator) if issubclass(kind, AthenaOperator) else (sensor, of_sensor)
    task = build(kind, **given)

    given |= OPERATOR if build is operator else CONNECTION
    if kind is AthenaSubmitOperator:  # repeats a start itself
        given["botocore_config"] = {**given["botocore_config"], "retries": {"total_max_attempts": 1}}
    assert {name: getattr(task, name) for name in given} == given


@pytest.mark.parametrize("build", [operator, sensor], ids=["operator", "sensor"])
def test_the_hook_is_made_of_the_same_connection(build: Any) -> None:
    theirs, ours = (AthenaOperator, AthenaSubmitOperator) if build is operator else (AthenaSensor, AthenaWaitSensor)
    hooks: list[Any] = [build(kind).hook for kind in (theirs, ours)]

    assert all(isinstance(hook, AthenaHook) for hook in hooks)
    for hook in hooks:
        assert hook.aws_conn_id == "aws_games"
        assert hook._region_name == "eu-west-1"
        assert hook._verify is False
        assert hook._config.read_timeout == 42


@pytest.mark.parametrize(("ours", "theirs"), [(AthenaSubmitOperator, AthenaOperator), (AthenaWaitSensor, AthenaSensor)])
def test_nothing_that_is_templated_there_is_not_templated_here(ours: Any, theirs: Any) -> None:
    assert set(ours.template_fields) - set(theirs.template_fields) == {"period"}
    assert set(theirs.template_fields) <= set(ours.template_fields)
    assert tuple(ours.template_ext) == tuple(theirs.template_ext)
    assert ours.ui_color == theirs.ui_color
    assert ours.operator_extra_links == theirs.operator_extra_links


def test_the_trigger_takes_the_providers_connection() -> None:
    trigger = AthenaWaitTrigger("q-1", "", WaitPolicy(), **CONNECTION)

    assert isinstance(trigger, AthenaTrigger)
    hook: Any = trigger.hook()
    assert isinstance(hook, AthenaHook)
    assert (hook.aws_conn_id, hook._region_name, hook._verify) == ("aws_games", "eu-west-1", False)
    theirs = AthenaTrigger("q-1", 1, 1, **CONNECTION).serialize()[1]
    assert CONNECTION.items() <= theirs.items()
    assert CONNECTION.items() <= trigger.serialize()[1].items()


@pytest.mark.parametrize("kind", [AthenaOperator, AthenaSubmitOperator])
def test_what_the_request_holds_beside_the_query_reaches_athena(
    athena: MemoryAthena, kind: type[AthenaOperator]
) -> None:
    configuration = {"ExpectedBucketOwner": "012345678901", "OutputLocation": "s3://elsewhere/"}
    operator(
        kind, database=None, query_execution_context={"Database": "games"}, result_configuration=configuration
    ).execute(context())
    operator(kind, query_execution_context={"Database": "elsewhere"}).execute(context())

    first, second = (query.request for query in athena.queries.values())
    assert first["QueryExecutionContext"] == {"Database": "games", "Catalog": "AwsDataCatalog"}
    assert first["ResultConfiguration"] == {"ExpectedBucketOwner": "012345678901", "OutputLocation": "s3://results/"}
    assert second["QueryExecutionContext"] == first["QueryExecutionContext"]


def test_differs_a_connection_that_is_missing_is_no_other_one(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AWS_GAMES")
    assert operator(AthenaOperator).execute(context()) == "q-1"  # with whatever credentials there are

    with pytest.raises(AirflowException, match="no Airflow connection 'aws_games'"):
        operator(AthenaSubmitOperator).execute(context())
    assert len(athena.queries) == 1


def test_differs_a_query_has_a_marker_and_a_token_made_of_the_run(athena: MemoryAthena) -> None:
    """A token of one's own would give the next run the rows of this one: it is taken, and not used."""
    token = "t" * 32
    operator(AthenaOperator, client_request_token=token).execute(context())
    operator(AthenaSubmitOperator, client_request_token=token).execute(context())

    texts = [query.request["QueryString"] for query in athena.queries.values()]
    assert texts[0] == OPERATOR["query"]
    assert texts[1].startswith(OPERATOR["query"] + "\n-- athena-reports: ")
    theirs, ours = athena.tokens
    assert theirs == token != ours


@pytest.mark.parametrize("state", ["RUNNING", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_differs_the_operator_waits_for_nothing(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch, state: str, deferrable: bool
) -> None:
    """AthenaWaitSensor waits, so that a wait which is repeated submits nothing."""
    monkeypatch.setattr(AthenaHook, "poll_query_status", lambda *_, **__: state)
    with pytest.raises((AirflowException, TaskDeferred)):
        operator(AthenaOperator, deferrable=deferrable).execute(context())
    assert operator(AthenaSubmitOperator, deferrable=deferrable).execute(context()) == "q-2"


def test_differs_a_poke_is_one_call_whose_answer_holds_the_query(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's polls `max_retries` times, `sleep_time` apart, and takes an unknown state for the end."""
    operator(AthenaSubmitOperator).execute(context())
    athena.calls.clear()
    waiting = sensor(AthenaWaitSensor, max_retries=3, sleep_time=5)
    assert not waiting.poke(context())
    clock.sleep(60)
    found = waiting.poke(context())
    assert found
    assert (found.xcom_value["id"], len(athena.calls)) == ("q-1", 2)
    assert sensor(AthenaSensor).poke({}) is True

    monkeypatch.setattr(AthenaHook, "poll_query_status", lambda *_, **__: "PAUSED")
    athena.queries["q-1"].plan = Plan(end="PAUSED")
    assert sensor(AthenaSensor).poke({}) is True
    with pytest.raises(AirflowException, match="Query q-1 is PAUSED"):  # and not "Athena sensor failed"
        waiting.poke(context())


def test_differs_the_trigger_has_a_policy_for_a_delay_and_a_number_of_attempts() -> None:
    classpath, fields = AthenaWaitTrigger("q-1", "", WaitPolicy(), **CONNECTION).serialize()
    _, theirs = AthenaTrigger("q-1", 30, 60, **CONNECTION).serialize()

    assert classpath == "athena_reports.queries.wait_trigger.AthenaWaitTrigger"
    assert theirs.keys() - fields.keys() == {"waiter_delay", "waiter_max_attempts"}
    assert fields.keys() - theirs.keys() == {"submitted_at", "policy"}
