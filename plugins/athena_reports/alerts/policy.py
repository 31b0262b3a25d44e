"""Which notifiers send what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from airflow.sdk import BaseNotifier

Notifiers = Sequence[BaseNotifier]


@dataclass(frozen=True)
class AlertPolicy:
    """Which notifiers send what.

    Attributes:
        on_failure: Notifiers that are called when a run has failed.
        on_late: Notifiers that are called when a period is not published in time, and when it is
            published after that.
        on_warning: Notifiers that are called when a check has warned of a published period.
        due: How long after its end a period is published at the latest.
    """

    on_failure: Notifiers
    on_late: Notifiers
    on_warning: Notifiers
    due: timedelta

    @property
    def all_notifiers(self) -> list[BaseNotifier]:
        """The notifiers of all kinds."""
        return [*self.on_failure, *self.on_late, *self.on_warning]

    @property
    def on_failed_check(self) -> Notifiers:
        """Notifiers that are called when the DAG beside the report fails itself.

        Those of failures, if there are any. Otherwise those of another kind, so that the failure
        is never silent.
        """
        return self.on_failure or self.on_late or self.on_warning
