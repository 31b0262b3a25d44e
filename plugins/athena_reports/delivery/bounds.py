"""The recipients that a deployment allows, by `ATHENA_REPORTS_RECIPIENTS`."""

from collections.abc import Collection
from typing import assert_never

from athena_reports.delivery.channels import (
    Channel,
    MailChannel,
    NotifierChannel,
    SlackChannel,
)
from athena_reports.settings import Settings

_PRODUCTION = "prd"


def problem_of_recipients(channel: Channel, settings: Settings) -> str:
    """Return why a deployment does not deliver to a channel; empty if it does."""
    bounded_by = _bounded_by(channel)
    if not bounded_by:
        return ""
    if not settings.recipients:
        if settings.environment != _PRODUCTION:
            return ""
        needed = ",".join(sorted(bounded_by))
        return f"ATHENA_REPORTS_RECIPIENTS is not set. Set it to {needed}."
    refused = sorted(set(bounded_by) - settings.recipients)
    if refused:
        return (
            f"ATHENA_REPORTS_RECIPIENTS does not include {', '.join(refused)}."
            " Correct the recipient, or add it there."
        )
    return ""


def _bounded_by(channel: Channel) -> Collection[str]:
    """Return what `ATHENA_REPORTS_RECIPIENTS` has to name for a channel."""
    match channel:
        case MailChannel():
            return {address.rpartition("@")[2].lower() for address in channel.to}
        case SlackChannel(channel=name_in_slack):
            return {name_in_slack.lower()}
        case NotifierChannel():
            return ()  # only the notifier knows its recipients
        case _:
            assert_never(channel)
