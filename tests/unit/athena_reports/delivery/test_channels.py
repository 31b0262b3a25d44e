import re
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from athena_reports.delivery.channels import Channel, mail, notify, slack
from athena_reports.delivery.delivery_options import refused_recipients
from athena_reports.errors import ReportError
from athena_reports.settings import read_settings

ENDPOINT = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


class Silent(BaseNotifier):
    def notify(self, context: Any) -> None:
        """Tell nobody."""


def mail_to(*addresses: str, **more: Any) -> Channel:
    return mail("sales", to=addresses, **more)


@pytest.mark.parametrize(
    "address",
    [
        "sales",
        "@example.com",
        "a@",
        "A <a@example.com>",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "営業@example.com",
        "a\t@example.com",
        " a@example.com",
        "",
        '""@example.com',
        "a@営業.example.com",
        '"a',
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ReportError) as caught:
        mail_to("a@example.com", address)
    says = f"field 'to': {address!r} is not valid: expected an email address, such as sales@"
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["sales", "@somebody", "U0123456", "C01234", "#a@b.com", "#a,#b"])
def test_what_is_no_channel_of_slack_is_refused(name: str) -> None:
    with pytest.raises(
        ReportError, match="expected a channel name, such as '#sales', or a channel id"
    ):
        slack("sales", channel=name)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: mail_to(), "expected at least one item"),
        (lambda: mail("sales", to="a@example.com"), "expected a list"),
        (lambda: mail_to("a@example.com", attach="pdf"), "'attach': 'pdf' is not valid"),
        (lambda: mail_to("a@example.com", language="fr"), "'language': 'fr' is not valid"),
        (lambda: mail_to("a@example.com", conn_id=""), "'conn_id': '' is not valid"),
        (lambda: mail("Sales", to=["a@example.com"]), "field 'name': 'Sales' is not valid: use up"),
        (lambda: mail("s" * 41, to=["a@example.com"]), "use up to 40 lower-case letters, digits"),
        (lambda: slack("sales", channel="#sales", conn_id=""), "'conn_id': '' is not valid"),
    ],
)
def test_a_channel_that_is_declared_wrongly_is_refused(make: Any, says: str) -> None:
    with pytest.raises(ReportError) as caught:
        make()
    assert says in str(caught.value)
    assert re.match("(Mail|Slack)Channel '[Ss].*', field '", str(caught.value))


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda rows: mail_to("a@example.com", rows=rows), 200),
        (lambda rows: slack("team", channel="#sales", rows=rows), 50),
        (lambda rows: notify("topic", Silent(), rows=rows), 200),
    ],
    ids=["mail", "slack", "notify"],
)
def test_a_channel_shows_a_row_at_least_and_so_many_at_most(make: Any, most: int) -> None:
    assert (make(1).rows, make(most).rows) == (1, most)
    for wrong in (0, most + 1):
        with pytest.raises(ReportError, match=f"field 'rows': {wrong} is not valid"):
            make(wrong)


def test_a_channel_keeps_what_it_was_declared_with_and_has_defaults() -> None:
    addresses = ["a@example.com", "b@example.com"]
    made = mail("sales", to=addresses)
    addresses.clear()
    assert made.to == ("a@example.com", "b@example.com")
    assert mail("sales", to=["a@example.com"] * 2).to == ("a@example.com",)
    assert (made.rows, made.language, made.conn_id) == (20, "en", "smtp_default")
    chat = slack("team", channel="#sales")
    assert (chat.rows, chat.language, chat.conn_id) == (10, "en", "slack_api_default")
    topic = notify("topic", Silent())
    assert (topic.rows, topic.language) == (10, "en")
    for channel in (made, chat, topic):
        with pytest.raises(FrozenInstanceError):
            channel.rows = 5  # type: ignore[misc]
    assert mail("sales", to=["a@example.com"], conn_id="m").conn_id == "m"


@pytest.mark.parametrize("name", ["a", "a_b-9", "s" * 40])
def test_a_channel_may_be_called_so(name: str) -> None:
    assert mail(name, to=["a@example.com"]).name == name


@pytest.mark.parametrize("channel", ["#sales", "#営業", "C0123456", "G0123456", "D0123456"])
def test_a_channel_of_slack_is_named_or_known_by_its_id(channel: str) -> None:
    assert slack("team", channel=channel).channel == channel


@pytest.mark.parametrize(
    ("channel", "allowed", "environment", "refused"),
    [
        (mail_to("a@example.com"), "", "stg", []),
        (mail_to("a@example.com"), "example.com", "prd", []),
        (mail_to("a@Example.COM"), "other.org, EXAMPLE.com", "prd", []),
        (mail_to("a@example.com", "b@example.org"), "", "prd", ["example.com", "example.org"]),
        (mail_to("a@example.com", "b@evil.com"), "example.com", "dev", ["evil.com"]),
        (mail_to("a@sub.example.com"), "example.com", "dev", ["sub.example.com"]),
        (mail_to("a@badexample.com"), "example.com", "dev", ["badexample.com"]),
        (slack("team", channel="#sales"), "example.com,#sales", "prd", []),
        (slack("team", channel="#Sales"), "#sales", "prd", []),
        (slack("team", channel="C0123456"), "#sales,C0123456", "prd", []),
        (slack("team", channel="#all"), "example.com,#sales", "prd", ["#all"]),
        (notify("topic", Silent()), "", "prd", []),
    ],
)
def test_a_deployment_delivers_to_those_that_it_names(
    channel: Channel, allowed: str, environment: str, refused: list[str]
) -> None:
    variables = {"ATHENA_REPORTS_RECIPIENTS": allowed, "ATHENA_REPORTS_ENV": environment}
    assert refused_recipients(channel, read_settings({**ENDPOINT, **variables})) == refused
