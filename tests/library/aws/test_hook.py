"""The hook whose clients share one session."""

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
    once = hook.sending_once()
    clients = [hook.client("s3"), hook.get_conn(), hook.client("glue"), once.get_conn()]

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


def test_a_hook_that_sends_once_keeps_what_it_was_made_with_but_the_retries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GAMES", CONNECTION)
    config = {"read_timeout": 42, "retries": {"total_max_attempts": 7}}
    hook = SharedSessionHook(
        "games", region_name="us-west-2", verify=False, log_query=False, config=config
    )
    once = hook.sending_once()

    kept = ("aws_conn_id", "region_name", "verify", "log_query")
    assert [getattr(once, name) for name in kept] == ["games", "us-west-2", False, False]
    attempts = {
        made: made.get_conn().meta.config.retries["total_max_attempts"] for made in (hook, once)
    }
    assert attempts == {hook: 7, once: 1}
    assert once.get_conn().meta.config.read_timeout == 42
    assert once.get_conn().meta.region_name == "us-west-2"
