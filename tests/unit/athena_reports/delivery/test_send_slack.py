from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.send_slack import open_client, post_message
from athena_reports.errors import MissingPackageError
from tests.support.slack_server import SlackServer, slack_server

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "All is well."}}]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    with slack_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK", server.connection)
        yield server


def post(thread: str = "") -> str:
    return post_message(open_client("slack"), "#sales", "Plays", BLOCKS, thread=thread)


def test_a_message_arrives_and_the_next_one_in_its_thread(server: SlackServer) -> None:
    first = post()
    assert post(thread=first) == "1750000000.000002"
    alone, threaded = server.arrived
    assert (alone["channel"], alone["text"], alone["blocks"]) == ("#sales", "Plays", BLOCKS)
    assert (alone["unfurl_links"], alone["unfurl_media"]) == (False, False)
    assert "thread_ts" not in alone
    assert threaded["thread_ts"] == first == "1750000000.000001"


@pytest.mark.parametrize(
    ("status", "error", "retryable", "says"),
    [
        (200, "channel_not_found", False, "invite the app to the channel"),
        (200, "not_in_channel", False, "Invite the app"),
        (200, "is_archived", False, "is_archived. Unarchive the channel, or use a different one."),
        (200, "invalid_auth", False, "Correct the token"),
        (200, "missing_scope", False, "missing_scope. Give the app the chat:write scope."),
        (200, "invalid_blocks", False, "invalid_blocks"),
        (200, "service_unavailable", True, "refused the message to #sales: service_unavailable."),
        (400, "bad_request", False, "bad_request"),
        (429, "ratelimited", True, "ratelimited"),
        (428, "", False, "Slack refused the message to #sales: status 428."),
        (429, "", True, "Slack refused the message to #sales: status 429."),
        (503, "", True, "503"),
    ],
)
def test_one_try_is_one_attempt(
    server: SlackServer, status: int, error: str, retryable: bool, says: str
) -> None:
    server.answers = [(status, {"ok": False, "error": error} if error else {})]
    with pytest.raises(DeliveryError) as caught:
        post()
    assert says in str(caught.value)
    assert caught.value.retryable is retryable
    assert (server.asked, server.arrived) == (1, [])


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("slack://:xoxb-1@/", ("https://slack.com/api/", 30, None)),
        (
            "slack://:xoxb-1@/?base_url=http%3A%2F%2Fslack.example%2Fapi%2F&timeout=7"
            "&proxy=http%3A%2F%2Fproxy.example",
            ("http://slack.example/api/", 7, "http://proxy.example"),
        ),
    ],
)
def test_the_client_is_as_the_connection_says(
    monkeypatch: pytest.MonkeyPatch, uri: str, expected: tuple[str, int, str | None]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", uri)
    client = open_client("slack")
    assert (client.base_url, client.timeout, client.proxy) == expected
    assert (client.token, client.retry_handlers) == ("xoxb-1", [])


def test_a_slack_that_is_not_reached_is_asked_again_by_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = "slack://:xoxb-local@/?base_url=http%3A%2F%2F127.0.0.1%3A1%2Fapi%2F"
    monkeypatch.setenv("AIRFLOW_CONN_SLACK", uri)
    with pytest.raises(DeliveryError, match="could not reach Slack") as caught:
        post()
    assert caught.value.retryable


def test_an_answer_that_breaks_off_may_pass_though_the_message_was_taken(
    server: SlackServer,
) -> None:
    server.breaks_off = True
    with pytest.raises(DeliveryError, match="could not reach Slack: Incomplete") as caught:
        post()
    assert caught.value.retryable
    assert (server.asked, len(server.arrived)) == (1, 1)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (None, "Airflow connection 'slack' does not exist. Create it with the type slack."),
        ("slack://", "Airflow connection 'slack' has no token. Set its password to the token."),
    ],
)
def test_a_connection_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, uri: str | None, says: str
) -> None:
    if uri is not None:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK", uri)
    with pytest.raises(DeliveryError) as caught:
        open_client("slack")
    assert str(caught.value) == says
    assert caught.value.retryable is (uri is None)


def test_without_slack_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slack_sdk", None)
    with pytest.raises(MissingPackageError, match=r"Install athena-reports\[delivery\], or slack-"):
        post()
