"""Who is told of what."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

from airflow.sdk import BaseNotifier

from athena_reports.alerts.policy import AlertPolicy
from tests.support.notifiers import Recorder


def test_a_check_that_fails_is_told_to_somebody_and_to_those_of_failures_first() -> None:
    kinds = ("on_failure", "on_late", "on_warning")
    for chosen in product([False, True], repeat=3):
        notifiers: dict[str, list[BaseNotifier]] = {}
        for kind, has_some in zip(kinds, chosen, strict=True):
            notifiers[kind] = [Recorder(), Recorder()] if has_some else []
        policy = AlertPolicy(**notifiers, due=timedelta(hours=3))
        first = next((notifiers[kind] for kind in kinds if notifiers[kind]), [])
        assert policy.on_failed_check == first
        together = [notifier for kind in kinds for notifier in notifiers[kind]]
        assert policy.all_notifiers == together
