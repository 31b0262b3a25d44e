"""Whether the options of `build_dag` for deliveries fit the report and the deployment."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseNotifier

from athena_reports.delivery.bounds import problem_of_recipients
from athena_reports.delivery.channels import (
    Channel,
    MailChannel,
    NotifierChannel,
    SlackChannel,
)
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.reports.report import Report
from athena_reports.rows.columns import duckdb_type, is_number
from athena_reports.scheduling.asset_partitions import HAS_KEYED_EVENTS
from athena_reports.settings import settings


def require_deliveries(
    report: Report, channels: Sequence[Any], policy: DeliveryPolicy, *, delay: timedelta
) -> tuple[Channel, ...]:
    """Return the channels of a report.

    Args:
        report: The report.
        channels: What its author gives `build_dag(deliver=)`.
        policy: When versions are delivered.
        delay: How long after the end of a period its run starts.

    Raises:
        ReportError: A channel or an option of deliveries does not fit.
    """
    if not all(isinstance(item, MailChannel | SlackChannel | NotifierChannel) for item in channels):
        expected = "give a list of channels, such as [mail('sales', to=['sales@example.com'])]."
        report.refuse("deliver", f"{channels!r} is not valid: {expected}")
    if not HAS_KEYED_EVENTS:
        report.refuse("deliver", "it needs Airflow 3.3 or later. Leave it out, or upgrade.")
    if not report.has_table:
        report.refuse("deliver", "it reads Parquet. Add 'parquet' to outputs.")
    if report.columns and all(column.private for column in report.columns.values()):
        report.refuse("deliver", "all columns are private, so there is nothing to deliver.")
    names = [channel.name for channel in channels]
    for name in names:
        if names.count(name) > 1:
            report.refuse("deliver", f"two channels have the name {name!r}. Rename one of them.")
    waits = [source.wait for source in report.inputs if source.wait is not None]
    earliest = max([delay, *waits])
    if policy.when == "final":
        earliest = max(earliest, report.late_by)
    if policy.within <= earliest:
        problem = f"{policy.within} is over before the first version can be sent, {earliest} after"
        report.refuse("deliver_within", f"{problem} the end of the period. Give more time.")
    for channel in channels:
        _require_channel(report, channel)
    return tuple(channels)


def _require_channel(report: Report, channel: Channel) -> None:
    """Raise ReportError if a channel does not fit the report or the deployment."""
    if isinstance(channel, NotifierChannel) and not isinstance(channel.notifier, BaseNotifier):
        problem = f"channel {channel.name!r}: {channel.notifier!r} is no notifier of Airflow."
        report.refuse("deliver", f"{problem} Give one, such as SnsNotifier(...).")
    if channel.bar and report.columns:
        problem = _problem_of_bar(report, channel.bar)
        if problem:
            report.refuse("deliver", f"channel {channel.name!r}, bar: {problem}")
    if isinstance(channel, MailChannel) and report.columns:
        public = {name.lower() for name, column in report.columns.items() if not column.private}
        for name in channel.columns:
            if name.lower() not in public:
                problem = f"columns: there is no public column {name!r}."
                choice = f"Choose among {', '.join(sorted(public))}."
                report.refuse("deliver", f"channel {channel.name!r}, {problem} {choice}")
    problem = problem_of_recipients(channel, settings())
    if problem:
        report.refuse("deliver", f"channel {channel.name!r}: {problem}")


def _problem_of_bar(report: Report, name: str) -> str:
    """Say why a column cannot be shown as bars; empty if it can."""
    numbers = []
    for column_name, column in report.columns.items():
        if is_number(duckdb_type(column.type)) and not column.private:
            numbers.append(column_name)
    by_lower_name = {column_name.lower(): column_name for column_name in report.columns}
    name = by_lower_name.get(name.lower(), name)  # as the rows are read
    if name in numbers:
        return ""
    choice = f"Choose among {', '.join(numbers)}." if numbers else "Leave it out."
    if name not in report.columns:
        return f"there is no column {name!r}. {choice}"
    if report.columns[name].private:
        return f"{name} is private. {choice}"
    return f"{name} is no number. {choice}"
