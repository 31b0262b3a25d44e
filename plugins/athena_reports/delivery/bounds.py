"""Whom a report may be delivered to: `ATHENA_REPORTS_RECIPIENTS` names the domains and channels."""

from athena_reports.delivery.channels import Channel
from athena_reports.settings import Settings

_PRODUCTION = "prd"


def problem_of_recipients(channel: Channel, settings: Settings) -> str:
    """Say why a deployment does not deliver to a channel; empty if it does."""
    if not channel.bounded_by:
        return ""
    if not settings.recipients:
        if settings.environment != _PRODUCTION:
            return ""
        needed = ",".join(sorted(channel.bounded_by))
        return (
            f"the environment {_PRODUCTION} says nowhere whom it may deliver to."
            f" Set ATHENA_REPORTS_RECIPIENTS, such as to {needed}."
        )
    strangers = sorted(set(channel.bounded_by) - settings.recipients)
    if strangers:
        return (
            f"ATHENA_REPORTS_RECIPIENTS does not allow {', '.join(strangers)}."
            " Correct the recipient, or add it there."
        )
    return ""
