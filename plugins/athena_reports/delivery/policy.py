"""When versions are delivered."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from athena_reports.reports.report import Report


@dataclass(frozen=True)
class DeliveryPolicy:
    """When versions are delivered.

    Attributes:
        within: A channel gets its first version of a period if that was published so long after the
            end of the period at most.
        correct_within: The same for a channel that has a version of the period already.
        when: `published` for each version, or `final` only for those that are neither provisional
            nor partial.
    """

    within: timedelta
    correct_within: timedelta
    when: Literal["published", "final"]


def require_policy(report: Report, policy: DeliveryPolicy) -> None:
    """Raise ReportError if an option is of a wrong type or value."""
    options = {"deliver_within": policy.within, "correct_within": policy.correct_within}
    for option, value in options.items():
        if not isinstance(value, timedelta) or value < timedelta(0):
            report.refuse(option, f"{value!r} is not valid: give a timedelta, zero or more.")
    if policy.when not in ("published", "final"):
        report.refuse("deliver_when", f"{policy.when!r} is not valid: give 'published' or 'final'.")
