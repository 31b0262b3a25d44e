"""Notifiers of tests."""

from threading import Event
from typing import Any

from airflow.sdk import BaseNotifier


class Recorder(BaseNotifier):
    """Keeps each text that it is called with."""

    template_fields = ("message",)

    def __init__(self, message: str = "{{ alert.message }}") -> None:
        super().__init__()
        self.message = message
        self.told: list[str] = []

    def notify(self, context: Any) -> None:
        self.told.append(self.message)


class Broken(Recorder):
    """Fails each time."""

    def notify(self, context: Any) -> None:
        raise OSError("the chat is down")


class Hanging(Recorder):
    """Does not return before `end` is set."""

    def __init__(self, end: Event) -> None:
        super().__init__()
        self.end = end

    def notify(self, context: Any) -> None:
        self.told.append("began")
        self.end.wait()
