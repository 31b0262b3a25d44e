"""Whether the options of `build_dag` for deliveries fit the report and the deployment."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseNotifier

from athena_reports.delivery.channels import Channel, MailChannel, NotifierChannel, SlackChannel
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.reports.report import Report
from athena_reports.rows.columns import duckdb_type, is_number
from athena_reports.scheduling.asset_partitions import HAS_KEYED_EVENTS
from athena_reports.settings import Settings, settings

_PRODUCTION = "prd"


def require_deliveries(
    report: Report, channels: Sequence[Any], policy: DeliveryPolicy, *, delay: timedelta
) -> tuple[Channel, ...]:
    """Return the channels of a report.

    Raises:
        ReportError: A channel or an option of deliveries does not fit.
    """
    if not all(isinstance(item, Channel) for item in channels):
        report.refuse(
            "deliver",
            f"{channels!r} is not valid: expected a list of channels, such as"
            " [mail('sales', to=['sales@example.com'])].",
        )
    if not HAS_KEYED_EVENTS:
        report.refuse(
            "deliver", "requires Airflow 3.3 or later. Upgrade Airflow, or remove deliver=."
        )
    if not report.has_table:
        report.refuse("deliver", "requires Parquet. Add 'parquet' to outputs.")
    names = [channel.name for channel in channels]
    for name in names:
        if names.count(name) > 1:
            report.refuse("deliver", f"two channels are named {name!r}. Rename one of them.")
    waits = [source.wait for source in report.inputs if source.wait is not None]
    earliest = max([delay, *waits])
    if policy.when == "final":
        earliest = max(earliest, report.late_by)
    if policy.within <= earliest:
        report.refuse(
            "deliver_within",
            f"{policy.within} is not longer than {earliest}, the earliest that a version can be"
            " published. Increase it.",
        )
    for channel in channels:
        _require_channel(report, channel)
    return tuple(channels)


def _require_channel(report: Report, channel: Channel) -> None:
    """Raise ReportError if a channel does not fit the report or the deployment."""
    if isinstance(channel, NotifierChannel) and not isinstance(channel.notifier, BaseNotifier):
        report.refuse(
            "deliver",
            f"channel {channel.name!r}: {channel.notifier!r} is not an Airflow notifier. Pass one,"
            " such as SnsNotifier(...).",
        )
    public = [name for name, column in report.columns.items() if not column.private]
    numbers = [name for name in public if is_number(duckdb_type(report.columns[name].type))]
    if channel.bar:
        _require_column(report, channel, "bar", channel.bar, numbers)
    if isinstance(channel, MailChannel):
        for name in channel.columns:
            _require_column(report, channel, "columns", name, public)
    refused = refused_recipients(channel, settings())
    if refused:
        report.refuse(
            "deliver",
            f"channel {channel.name!r}: ATHENA_REPORTS_RECIPIENTS does not include"
            f" {', '.join(refused)}. Correct the recipient, or add it to that variable.",
        )


def _require_column(
    report: Report, channel: Channel, option: str, name: str, choice: Sequence[str]
) -> None:
    """Raise ReportError if an option names a column that a report does not declare for it."""
    if report.columns and name.lower() not in {column.lower() for column in choice}:
        available = ", ".join(choice) or "none"
        report.refuse(
            "deliver",
            f"channel {channel.name!r}, {option}: {name!r} is not available. Available columns:"
            f" {available}.",
        )


def refused_recipients(channel: Channel, deployment: Settings) -> Sequence[str]:
    """Return the recipients of a channel that `ATHENA_REPORTS_RECIPIENTS` does not allow.

    Where that is not set, all are allowed, except in production.
    """
    if not deployment.recipients and deployment.environment != _PRODUCTION:
        return []
    return sorted(_restricted(channel) - deployment.recipients)


def _restricted(channel: Channel) -> AbstractSet[str]:
    """Return what `ATHENA_REPORTS_RECIPIENTS` has to allow: domains of mail, a channel in Slack."""
    if isinstance(channel, MailChannel):
        return {address.rpartition("@")[2].lower() for address in channel.to}
    if isinstance(channel, SlackChannel):
        return {channel.channel.lower()}
    return frozenset()  # only the notifier knows its recipients
