"""Notifiers that a DAG file of the tests imports, as an author's file imports its own."""

from threading import Event
from typing import Any

from airflow.sdk import BaseNotifier


class Hanging(BaseNotifier):
    """Does not return before `end` is set."""

    end = Event()
    calls = 0

    def notify(self, context: Any) -> None:
        Hanging.calls += 1
        self.end.wait()


class Counting(BaseNotifier):
    """Counts how often it is called."""

    calls = 0

    def notify(self, context: Any) -> None:
        Counting.calls += 1
