"""What the extra `delivery` brings, and which channel needs it."""

from __future__ import annotations

import sys

import pytest

from athena_reports.delivery.channels import Channel, mail, notify, slack
from athena_reports.delivery.packages import packages_problem

SMTP = "airflow.providers.smtp.hooks.smtp"
WORKBOOK = mail("sales", to=["sales@example.com"], attach="xlsx")
CHANNELS: list[Channel] = [
    WORKBOOK,
    mail("boss", to=["boss@example.com"], attach="csv"),
    slack("team", channel="#sales"),
    notify("topic", print),
]


def test_what_is_installed_is_no_problem() -> None:
    assert packages_problem("plays_weekly", CHANNELS) == ""


@pytest.mark.parametrize(
    ("channel", "needed"),
    zip(
        CHANNELS,
        [{SMTP, "xlsxwriter"}, {SMTP}, {"slack_sdk"}, set[str]()],
        strict=True,
    ),
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("absent", [SMTP, "xlsxwriter", "slack_sdk"])
def test_a_channel_needs_only_what_it_sends_with(
    absent: str, channel: Channel, needed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    assert (packages_problem("plays_weekly", [channel]) != "") == (absent in needed)


def test_packages_are_named_once_with_the_extra_that_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.setitem(sys.modules, "slack_sdk", None)
    problem = packages_problem("plays_weekly", [WORKBOOK, *CHANNELS])
    assert problem == (
        "plays_weekly: its channels need XlsxWriter and slack-sdk, which cannot be imported here."
        " Install the extra: python -m pip install 'athena-reports[delivery]'"
    )
