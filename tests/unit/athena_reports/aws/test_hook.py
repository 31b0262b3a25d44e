"""The hook whose clients share one session."""

import inspect
from typing import Any

import boto3.session
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook

from athena_reports.aws.hook import SharedSessionHook

CONNECTION = (
    '{"conn_type": "aws",'
    ' "extra": {"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:9"}}'
)


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
    clients = [hook.client("s3"), hook.get_conn(), hook.client("glue")]

    assert [client.meta.service_model.service_name for client in clients] == [
        "s3",
        "athena",
        "glue",
    ]
    assert sorted(made) == ["games", "session"]
    for client in clients:
        assert (client.meta.region_name, client.meta.endpoint_url) == (
            "eu-west-1",
            "http://127.0.0.1:9",
        )
        assert client.meta.config.read_timeout == 42
        assert "Airflow/" in client.meta.config.user_agent_extra


def test_a_process_makes_one_client_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    hook = SharedSessionHook(aws_conn_id="games")

    assert hook.client("glue") is hook.client("glue")
    assert hook.client("athena") is hook.get_conn()


def test_the_user_agent_names_the_library_without_reading_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The provider's way to find the caller takes 50 ms of each task."""
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    monkeypatch.setattr(inspect, "stack", None)
    user_agent = SharedSessionHook("games").get_conn().meta.config.user_agent_extra
    assert "Caller/athena_reports " in user_agent


def test_the_private_names_of_the_hook_are_those_that_the_provider_has() -> None:
    """A new name of the provider's would silently replace ours, or one less leave ours unused."""
    ours = {name for name in vars(SharedSessionHook) if name.startswith("_") and name[1] != "_"}
    assert {name for name in ours if hasattr(AthenaHook, name)} == {"_get_caller"}
