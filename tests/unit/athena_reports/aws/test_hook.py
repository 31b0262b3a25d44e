"""The hook whose clients share one session."""

import inspect
from collections.abc import Callable
from typing import Any

import boto3.session
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from botocore.config import Config

from athena_reports.aws.hook import SharedSessionHook

CONNECTION = (
    '{"conn_type": "aws",'
    ' "extra": {"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:9"}}'
)

# As it is before the fixture for cheap clients takes its place in each test.
GET_CALLER = AwsGenericHook._get_caller


def test_all_clients_come_from_one_session_and_one_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    made: list[Any] = []
    get_connection = AthenaHook.get_connection

    class CountedSession(boto3.session.Session):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            made.append("session")

    monkeypatch.setattr(boto3.session, "Session", CountedSession)
    looked_up = staticmethod(lambda conn_id: made.append(conn_id) or get_connection(conn_id))
    monkeypatch.setattr(AthenaHook, "get_connection", looked_up)
    hook = SharedSessionHook(aws_conn_id="games", config={"read_timeout": 42})
    other = hook.with_defaults(Config(connect_timeout=7))
    clients = [hook.client("s3"), hook.get_conn(), hook.client("glue"), other.get_conn()]

    assert [client.meta.service_model.service_name for client in clients] == [
        "s3",
        "athena",
        "glue",
        "athena",
    ]
    assert sorted(made) == ["games", "session"]
    for client in clients:
        assert (client.meta.region_name, client.meta.endpoint_url) == (
            "eu-west-1",
            "http://127.0.0.1:9",
        )
        assert client.meta.config.read_timeout == 42
        assert "Airflow/" in client.meta.config.user_agent_extra


def test_clients_of_other_services_than_athena_share_the_session_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    made: list[boto3.session.Session] = []
    get_session = AthenaHook.get_session

    def counted(hook: AthenaHook, *given: Any) -> Any:
        made.append(get_session(hook, *given))
        return made[-1]

    monkeypatch.setattr(AthenaHook, "get_session", counted)
    hook = SharedSessionHook(aws_conn_id="games")
    hook.client("s3")
    hook.client("glue")
    assert len(made) == 1


def test_a_process_makes_one_client_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    hook = SharedSessionHook(aws_conn_id="games")

    assert hook.client("glue") is hook.client("glue")
    assert hook.client("athena") is hook.get_conn()


class CallingOperator:
    """Makes the client where an operator does, and where one does that comes back deferred."""

    def execute(self, hook: AthenaHook) -> Any:
        return hook.get_conn()

    def resume_execution(self, hook: AthenaHook) -> Any:
        return hook.get_conn()


class BaseSensorOperator:
    """Has the name by which the provider knows a sensor."""

    def execute(self, hook: AthenaHook) -> Any:
        return CallingSensor().poke(hook)


class CallingSensor(BaseSensorOperator):
    def poke(self, hook: AthenaHook) -> Any:
        return hook.get_conn()


def _call_from_an_executor(hook: AthenaHook) -> Any:
    names: dict[str, Any] = {"BaseExecutor": object, "CallingExecutor": object}
    exec("def work(hook):\n    return hook.get_conn()", names)
    return names["work"](hook)


@pytest.mark.parametrize(
    ("make_client", "caller"),
    [
        pytest.param(CallingOperator().execute, "CallingOperator", id="operator"),
        pytest.param(BaseSensorOperator().execute, "CallingSensor", id="sensor"),
        pytest.param(_call_from_an_executor, "CallingExecutor", id="executor"),
        pytest.param(CallingOperator().resume_execution, "Unknown", id="none"),
    ],
)
def test_the_user_agent_names_the_caller_as_the_provider_does_without_reading_sources(
    make_client: Callable[[AthenaHook], Any], caller: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AwsGenericHook, "_get_caller", GET_CALLER)
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    by_provider = make_client(AthenaHook("games")).meta.config.user_agent_extra
    read = list[Any]()
    monkeypatch.setattr(inspect, "findsource", lambda frame: read.append(frame))
    user_agent = make_client(SharedSessionHook("games")).meta.config.user_agent_extra

    assert f"Caller/{caller} " in by_provider
    assert user_agent == by_provider
    assert not read
