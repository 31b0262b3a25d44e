"""How a version is sent; tests/integration/test_deliveries.py has what arrives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from athena_reports import notify
from athena_reports.delivery.content import Content
from athena_reports.delivery.decision import Send
from athena_reports.delivery.sending import Sent, send
from athena_reports.delivery.sentences import subject
from tests.library.delivery.contents import content
from tests.support.notifiers import Recorder


def told(channel: Any, told_content: Content, context: dict[str, Any]) -> str:
    """Send a content to a notifier, and return what it said."""
    manifest: Any = SimpleNamespace(version="v1")
    reader: Any = SimpleNamespace(content=lambda *_: told_content)
    links: Any = None
    sent = send(
        channel,
        manifest,
        Send(number=1, corrects=None),
        reader,
        links,
        thread="",
        context=context,  # type: ignore[arg-type]
    )
    assert sent == Sent()
    return str(channel.notifier.told.pop())


def test_a_notifier_is_asked_for_its_own_words_each_time() -> None:
    """Airflow renders the templates of a notifier in place, and adds its fields to the context."""
    channel = notify("topic", Recorder("{{ run_id }}: {{ delivery.subject }}"))
    context = {"run_id": "event-1"}
    for report in ("ranking", "plays"):
        each = content(report=report)
        assert told(channel, each, context) == f"event-1: {subject(each, 'en')}"
    assert context == {"run_id": "event-1"}
