"""Posts a message into a channel of Slack, in one attempt.

The connection is one of Airflow's Slack provider: the token is its password, and `base_url`,
`timeout` and `proxy` may be in its extra. The provider itself is not needed. It asks for a newer
aiohttp than MWAA's image of Airflow 3.2.1 has.
"""

from collections.abc import Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from athena_reports.delivery.connection import require_connection
from athena_reports.delivery.errors import DeliveryError
from athena_reports.errors import MissingPackageError

if TYPE_CHECKING:
    from slack_sdk import WebClient

# The errors that pass by themselves, of https://docs.slack.dev/reference/methods/chat.postMessage.
_PASSING = frozenset(
    {
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
_TIMEOUT_SECONDS = 30
_ADVICE = {
    "channel_not_found": "Correct the name, or invite the app to the channel.",
    "not_in_channel": "Invite the app to the channel.",
    "is_archived": "Unarchive the channel, or use a different one.",
    "invalid_auth": "Correct the token in the connection.",
    "missing_scope": "Give the app the chat:write scope.",
}


def post_message(
    client: "WebClient", channel: str, text: str, blocks: Sequence[dict[str, Any]], *, thread: str
) -> str:
    """Post a message, and return its `ts`, by which Slack knows it.

    Args:
        client: The client of `open_client`.
        channel: The channel, by its name or its id.
        text: What notifications show.
        blocks: The message.
        thread: The `ts` of the message that it replies to; empty for none.

    Raises:
        DeliveryError: Slack has not taken it; `retryable` says whether it may pass. If the
            connection broke off, Slack may have taken it.
    """
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        response = client.chat_postMessage(
            channel=channel,
            text=text,
            blocks=blocks,
            thread_ts=thread or None,
            unfurl_links=False,
            unfurl_media=False,
        )
    except SlackApiError as error:
        status = error.response.status_code
        code = str(error.response.get("error", "")) or f"status {status}"
        problem = f"Slack refused the message to {channel}: {code}. {_ADVICE.get(code, '')}"
        raise DeliveryError(
            problem.rstrip(), retryable=code in _PASSING or status >= 429
        ) from error
    except (SlackClientError, OSError, HTTPException) as error:
        raise DeliveryError(f"could not reach Slack: {error}.", retryable=True) from error
    return str(response["ts"])


def open_client(conn_id: str) -> "WebClient":
    """Return a client of Slack's API by an Airflow connection. It asks Slack for nothing yet.

    Raises:
        DeliveryError: There is no such connection, or it has no token.
        MissingPackageError: slack_sdk is not installed.
    """
    try:
        from slack_sdk import WebClient
    except ImportError as error:
        raise MissingPackageError(
            f"could not import slack_sdk: {error}. Install athena-reports[delivery], or slack-sdk."
        ) from error
    connection = require_connection(conn_id, "slack")
    if not connection.password:
        raise DeliveryError(
            f"Airflow connection {conn_id!r} has no token. Set its password to the token."
        )
    extra = connection.extra_dejson
    return WebClient(
        token=connection.password,
        base_url=extra.get("base_url") or WebClient.BASE_URL,
        timeout=int(extra.get("timeout") or _TIMEOUT_SECONDS),
        proxy=extra.get("proxy") or None,
        retry_handlers=[],  # that of slack_sdk posts again if the connection breaks off
    )
