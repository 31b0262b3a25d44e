"""How a version is sent; tests/integration/test_deliveries.py has what arrives."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from athena_reports import mail, notify, slack
from athena_reports.delivery import send_mail, send_slack
from athena_reports.delivery.content import Content, Correction
from athena_reports.delivery.decision import Send
from athena_reports.delivery.receipt import Receipt
from athena_reports.delivery.sending import Sent, send
from athena_reports.delivery.sentences import subject
from tests.library.delivery.contents import content, receipt
from tests.support.notifiers import Recorder


def sent_to(
    channel: Any, of: Content, context: dict[str, Any], resumed: Receipt | None = None
) -> Sent:
    """Send a content to a channel."""
    manifest: Any = SimpleNamespace(version="v1")
    reader: Any = SimpleNamespace(content=lambda *_: of)
    links: Any = None
    return send(
        channel,
        manifest,
        Send(number=1, corrects=None, resumed=resumed),
        reader,
        links,
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


@pytest.mark.parametrize("kind", ["notifier", "Slack", "mail"])
def test_nobody_is_told_of_a_correction_in_which_nothing_differs(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    correction = Correction(published_at=datetime(2026, 11, 23, tzinfo=UTC), is_empty=True)
    channels: dict[str, Any] = {
        "notifier": notify("topic", Recorder()),
        "Slack": slack("topic", channel="C0123ABC"),
        "mail": mail("topic", to=["sales@example.com"]),
    }
    monkeypatch.setattr(send_slack, "open_client", lambda _: None)
    monkeypatch.setattr(send_mail, "sender_address", lambda _: "reports@example.com")
    assert sent_to(channels[kind], content(correction=correction), {}) == Sent()
    assert channels["notifier"].notifier.told == []


def test_nothing_is_sent_to_who_was_put_off_and_is_no_recipient_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(send_mail, "sender_address", lambda _: "reports@example.com")
    monkeypatch.setattr(send_mail, "send_mail", lambda *_, **__: pytest.fail("it was sent"))
    begun = receipt(
        channel="topic",
        recipients=("sales@example.com",),
        refused={"gone@example.com": "450 busy"},
    )
    channel = mail("topic", to=["sales@example.com"])
    sent = sent_to(channel, content(), {}, begun)
    # The receipt keeps the id, to which a correction will reply.
    assert sent == Sent(message_id="<1@example.com>", recipients=(), refused={})
