"""The packages that channels send with, which the extra `delivery` brings."""

from collections.abc import Iterator, Sequence
from importlib import import_module

from athena_reports.delivery.channels import Channel, MailChannel, SlackChannel

# The module that is imported of each package.
_MODULES = {
    "apache-airflow-providers-smtp": "airflow.providers.smtp.hooks.smtp",
    "XlsxWriter": "xlsxwriter",
    "slack-sdk": "slack_sdk",
}


def packages_problem(dag_id: str, channels: Sequence[Channel]) -> str:
    """Return which packages the channels of a DAG lack, and how to install them; empty for none."""
    needed = dict.fromkeys(package for channel in channels for package in _packages(channel))
    missing = [package for package in needed if not _can_be_imported(package)]
    if not missing:
        return ""
    return (
        f"{dag_id}: its channels need {' and '.join(missing)}, which cannot be imported here."
        " Install the extra: python -m pip install 'athena-reports[delivery]'"
    )


def _packages(channel: Channel) -> Iterator[str]:
    if isinstance(channel, MailChannel):
        yield "apache-airflow-providers-smtp"
        if channel.attach == "xlsx":
            yield "XlsxWriter"
    if isinstance(channel, SlackChannel):
        yield "slack-sdk"


def _can_be_imported(package: str) -> bool:
    try:
        import_module(_MODULES[package])
    except ImportError:
        return False
    return True
