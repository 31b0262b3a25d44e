"""How a version is sent; tests/services/test_deliveries.py has what arrives."""

from __future__ import annotations

from collections.abc import Callable
from email.headerregistry import Address
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from botocore.exceptions import ReadTimeoutError

from athena_reports import mail, notify, slack
from athena_reports.aws.s3 import S3Error
from athena_reports.delivery import send_mail, send_slack
from athena_reports.delivery.content import Content
from athena_reports.delivery.decision import Send
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.receipt import Receipt
from athena_reports.delivery.sending import Sent, send
from athena_reports.delivery.sentences import subject
from athena_reports.errors import AthenaReportsError
from athena_reports.rows.engine import Engine
from tests.support.engines import engine
from tests.support.notifiers import Broken, Recorder
from tests.unit.athena_reports.delivery.contents import content, corrected, receipt

SENDER = Address(addr_spec="reports@example.com")


def sent_to(
    channel: Any,
    of: Content,
    context: dict[str, Any],
    resumed: Receipt | None = None,
    *,
    engine: Engine | None = None,
    read: Callable[..., Content] | None = None,
) -> Sent:
    """Send a content to a channel."""
    manifest: Any = SimpleNamespace(version="v1")
    reader: Any = SimpleNamespace(
        content=read or (lambda *_: of), engine=engine or SimpleNamespace(explain=lambda _: None)
    )
    return send(
        channel,
        manifest,
        Send(number=1, corrects=None, resumed=resumed),
        reader,
        thread="",
        context=context,  # type: ignore[arg-type]
    )


def test_a_notifier_is_asked_for_its_own_words_each_time() -> None:
    """Airflow renders the templates of a notifier in place, and adds its fields to the context."""
    channel = notify("topic", Recorder("{{ run_id }}: {{ delivery.subject }}"))
    context = {"run_id": "event-1"}
    contents = [content(report=report) for report in ("ranking", "plays")]
    for each in contents:
        assert sent_to(channel, each, context) == Sent()
    assert channel.notifier.told == [f"event-1: {subject(each, 'en')}" for each in contents]
    assert context == {"run_id": "event-1"}


def test_nobody_is_told_of_a_correction_in_which_nothing_differs() -> None:
    channel = notify("topic", Recorder())
    assert sent_to(channel, content(correction=corrected()), {}) == Sent()
    assert channel.notifier.told == []


@pytest.mark.parametrize("kind", ["notifier", "Slack", "mail"])
def test_an_error_that_nobody_foresaw_ends_a_delivery_without_quoting_a_value(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    channels: dict[str, Any] = {
        "notifier": notify("topic", recorder),
        "Slack": slack("topic", channel="C0123ABC"),
        "mail": mail("topic", to=["sales@example.com"]),
    }
    monkeypatch.setattr(send_slack, "open_client", lambda _: None)
    monkeypatch.setattr(send_mail, "sender_address", lambda _: SENDER)
    unreadable = content(rows=((),))
    with pytest.raises(DeliveryError) as caught:
        sent_to(channels[kind], unreadable, {})
    assert not caught.value.retryable
    assert str(caught.value) == (
        "could not build the message for version v1: unexpected IndexError. See the traceback in"
        " the task log, fix the cause, then clear this task."
    )
    assert recorder.told == []


@pytest.mark.parametrize(
    "expected",
    [
        S3Error("SlowDown", retryable=True),
        ReadTimeoutError(endpoint_url="https://s3.example"),
        duckdb.IOException("Could not write file: No space left on device"),
    ],
    ids=["S3", "botocore", "disk"],
)
def test_an_error_that_may_pass_while_the_message_is_built_is_retried(expected: Exception) -> None:
    def fail(*_: Any) -> Content:
        raise expected

    with pytest.raises((AthenaReportsError, ReadTimeoutError)) as caught, engine() as shared:
        sent_to(notify("topic", Recorder()), content(), {}, engine=shared, read=fail)
    assert isinstance(caught.value, ReadTimeoutError) or caught.value.retryable


def test_an_error_of_a_notifier_stays_its_own() -> None:
    with pytest.raises(OSError, match="the chat is down"):
        sent_to(notify("topic", Broken("{{ delivery.text }}")), content(), {})


def test_nothing_is_sent_to_who_was_put_off_and_is_no_recipient_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(send_mail, "sender_address", lambda _: SENDER)
    monkeypatch.setattr(send_mail, "send_mail", lambda *_, **__: pytest.fail("it was sent"))
    begun = receipt(
        channel="topic", recipients=("sales@example.com",), refused={"gone@example.com": "450 busy"}
    )
    channel = mail("topic", to=["sales@example.com"])
    sent = sent_to(channel, content(), {}, begun)
    # The receipt keeps the id, to which a correction will reply.
    assert sent == Sent("<1@example.com>")
