"""Deliveries as they arrive: the example of docs/how-to/deliver.md beside real services.

The local Athena, S3, Glue and SNS, a mail server and a stand-in of Slack's API.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import openpyxl
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
)

from athena_reports import weekly
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.delivery.receipt import Receipt
from athena_reports_cli.local.services import Services
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.airflow_versions import since_3_3
from tests.support.dag_files import parse_dags
from tests.support.examples import delivery_dag_file
from tests.support.inbox import Inbox
from tests.support.mail_page import Page
from tests.support.mail_server import MailServer, mail_server
from tests.support.published import manifest_of, rows_of
from tests.support.reports import SQL
from tests.support.retried import raises_retried
from tests.support.slack_server import SlackServer, slack_server
from tests.support.task_runner import execute, prepare, run_dag
from tests.support.variables import reaching

pytestmark = [pytest.mark.usefixtures("dags_folder", "plays_lake"), since_3_3]

WEEK = weekly("sunday", "Asia/Tokyo").period("2025-03-09")
SOON = WEEK.end_utc + timedelta(hours=1)
SCHEDULED = DagRun("scheduled", SOON, WEEK.start_utc, WEEK.end_utc, start_date=SOON)


@dataclass
class Deliveries:
    """A report with three channels, and what has arrived at each."""

    name: str
    dags: Mapping[str, Any]
    mails: MailServer
    slack: SlackServer
    inbox: Inbox

    def publish(self, run_id: str = "scheduled__1") -> dict[str, Any]:
        """Run the report's DAG, and return what `publish` returned."""
        ran = run_dag(self.dags[f"{self.name}_weekly"], SCHEDULED, run_id=run_id)
        returned: dict[str, Any] = ran.values["publish", "return_value"]
        return returned

    def deliver(
        self,
        channel: str,
        *,
        clears: int = 0,
        run_id: str = "event-1",
        period_id: str = WEEK.id,
    ) -> Any:
        """Run the task of a channel, as the event of a publication starts it."""
        dag = self.dags[f"{self.name}_weekly_deliver"]
        run = replace(DagRun.manual(SOON), run_type="asset_triggered", partition_key=period_id)
        ti = TaskInstance(dag_id=dag.dag_id, run_id=run_id, try_number=1 + clears)
        task, context = prepare(dag.get_task(channel), ti, run_id, run)
        ti.max_tries = task.retries + clears
        return execute(task, context)


_numbers = count(1)


@pytest.fixture
def channels(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[MailServer, SlackServer, Inbox]]:
    """A mail server, Slack and a topic, to which nothing was sent yet."""
    with mail_server() as mails, slack_server() as slack:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mails.connection)
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_API_DEFAULT", slack.connection)
        yield mails, slack, inbox


@pytest.fixture
def declare(
    channels: tuple[MailServer, SlackServer, Inbox], tmp_path: Path
) -> Callable[..., Deliveries]:
    """Declares the report of the example under a name of its own, with replacements of its text."""
    return declarer(f"delivered_{next(_numbers)}", tmp_path, channels)


def declarer(
    name: str, folder: Path, channels: tuple[MailServer, SlackServer, Inbox]
) -> Callable[..., Deliveries]:
    """Give what declares the example under a name, with replacements of its text."""

    def declared(*changes: tuple[str, str], at_any_time: bool = True) -> Deliveries:
        return Deliveries(name, dags_of(name, folder, *changes, at_any_time=at_any_time), *channels)

    return declared


@dataclass(frozen=True)
class PublishedExample:
    """The example, published once for all tests that only deliver it."""

    name: str
    manifest: dict[str, Any]

    @property
    def receipts(self) -> tuple[str, str]:
        """The bucket and the folder of what its channels have got."""
        return self.manifest["bucket"], f"{self.name}/weekly/{WEEK.id}/receipts/"

    def forget_deliveries(self) -> None:
        """Remove all claims and receipts, and what tasks have noted of their tries."""
        bucket, folder = self.receipts
        for prefix in (folder, folder.replace("/receipts/", "/tries/")):
            boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=prefix).delete()


@pytest.fixture(scope="module")
def published_example(
    running_services: Services, plays_lake: object, tmp_path_factory: pytest.TempPathFactory
) -> PublishedExample:
    name = "delivered_example"
    with reaching(running_services, ATHENA_REPORTS_SQL_FOLDER=str(SQL)):
        dags = dags_of(name, tmp_path_factory.mktemp("example"))
        ran = run_dag(dags[f"{name}_weekly"], SCHEDULED, run_id="scheduled__1")
        manifest = manifest_of(boto3.client("s3"), ran)
    return PublishedExample(name, manifest)


@pytest.fixture
def declare_published(
    published_example: PublishedExample,
    channels: tuple[MailServer, SlackServer, Inbox],
    tmp_path: Path,
) -> Callable[..., Deliveries]:
    """Declares the example as it is published, of which no channel has got anything."""
    published_example.forget_deliveries()
    return declarer(published_example.name, tmp_path, channels)


@pytest.fixture
def deliveries(declare_published: Callable[..., Deliveries]) -> Deliveries:
    """The example, published, of which no channel has got anything."""
    return declare_published()


def dags_of(
    name: str, folder: Path, *changes: tuple[str, str], at_any_time: bool = True
) -> Mapping[str, Any]:
    """Parse the file of the example under another name, with replacements of its text."""
    text = delivery_dag_file()
    if at_any_time:
        text = text.replace(*AT_ANY_TIME)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / f"{name}.py"
    text = text.replace("best_users", name)
    file.write_text(f"from datetime import timedelta\n{text}")
    return parse_dags(file)


AT_ANY_TIME = (
    "    deliver=[",
    "    deliver_within=timedelta(days=36500),\n    correct_within=timedelta(days=36500),\n"
    "    deliver=[",
)
FEWER = ('params={"top": 100}', 'params={"top": 95}')
THREE = ('to=["sales@example.com"]', 'to=["a@example.com", "b@example.com", "c@example.com"]')


def test_each_channel_gets_a_version_once(
    deliveries: Deliveries,
    published_example: PublishedExample,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    version = published_example.manifest["version"]
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team/")
    receipts = {channel: deliveries.deliver(channel) for channel in ("sales", "team", "topic")}

    ((recipients, mail),) = deliveries.mails.arrived
    assert recipients == ("sales@example.com",)
    assert "9 to 15 Mar 2025" in mail["Subject"]
    assert mail["Message-ID"] == f"<{version}.sales.1@example.com>"
    assert mail["In-Reply-To"] is None
    html = mail.get_body(("html",)).get_content()
    query_id = published_example.manifest["query"]["id"]
    page, console = re.findall(r'href="([^"]+)"', html)
    assert page == (
        f"https://airflow.example/team/athena-reports/#{deliveries.name}_weekly/2025-03-09"
    )
    assert console.endswith(f"#/query-editor/history/{query_id}")
    about = f"{deliveries.name}_weekly_deliver, period 2025-03-09, channel sales: "
    assert f"{about}sent version {version}" in capsys.readouterr().out
    (message,) = deliveries.slack.arrived
    assert message["channel"] == "#sales"
    assert message["text"].startswith(mail["Subject"])
    ((subject, text),) = deliveries.inbox.take()
    assert subject == mail["Subject"]
    assert text.startswith(f"{deliveries.name}: week of 9 to 15 Mar 2025 (Asia/Tokyo)")

    assert receipts["sales"]["recipients"] == ["sales@example.com"]
    assert receipts["team"]["message_id"] == "1750000000.000001"
    for channel, receipt in receipts.items():
        assert (receipt["version"], receipt["number"]) == (version, 1)
        for again in ("event-1", "event-2"):  # a retry, and another event
            with pytest.raises(AirflowSkipException, match="has had version"):
                deliveries.deliver(channel, run_id=again)
    assert len(deliveries.mails.arrived) == len(deliveries.slack.arrived) == 1
    assert deliveries.inbox.take() == []


def test_nothing_shows_a_private_column(
    deliveries: Deliveries, published_example: PublishedExample
) -> None:
    rows = rows_of(boto3.client("s3"), published_example.manifest, "parquet")
    for channel in ("sales", "team", "topic"):
        deliveries.deliver(channel)
    ((_, mail),) = deliveries.mails.arrived
    (html,) = [part.get_content() for part in mail.walk() if part.get_content_type() == "text/html"]
    (book,) = [part.get_payload(decode=True) for part in mail.iter_attachments()]
    sheet = openpyxl.load_workbook(io.BytesIO(book)).worksheets[0]
    header, *cells = sheet.values
    assert header == ("rank", "score (points)", "previous_rank")
    shown = ["rank", "score", "previous_rank"]
    assert [tuple(row) for row in cells] == [tuple(row[name] for name in shown) for row in rows]
    assert [row["rank"] for row in rows] == list(range(1, 101))
    page = Page.of(html)
    shown = ["rank", "score"]  # the usual columns of a mail
    assert [header for header in page.headers if header] == shown
    assert [[text.replace(",", "") for text in cells] for cells in page.table] == [
        ["–" if row[name] is None else str(row[name]) for name in shown] for row in rows[:20]
    ]
    everything = html + str(deliveries.slack.arrived) + str(deliveries.inbox.take())
    assert "user_id" not in everything
    assert not any(row["user_id"] in everything for row in rows)


def test_other_rows_are_a_correction_in_the_same_thread(
    declare: Callable[..., Deliveries],
) -> None:
    deliveries = declare()
    deliveries.publish()
    for channel in ("sales", "team"):
        deliveries.deliver(channel)
    restated = declare(FEWER)
    assert restated.publish("scheduled__2")["outcome"] == "published"
    for channel in ("sales", "team"):
        restated.deliver(channel, run_id="event-2")

    (_, first), (_, second) = restated.mails.arrived
    assert second["Subject"] == f"Correction: {first['Subject']}"
    assert second["In-Reply-To"] == first["Message-ID"]
    assert "5 rows removed" in second.get_body(("plain",)).get_content()
    assert restated.slack.arrived[1]["thread_ts"] == "1750000000.000001"

    with pytest.raises(AirflowSkipException, match="has had version"):
        restated.deliver("sales", run_id="event-3")
    again = restated.deliver("sales", run_id="event-2", clears=1)
    assert (again["number"], again["corrects"]) == (2, first["Message-ID"][1:].split(".")[0])
    _, third = restated.mails.arrived[-1]
    assert third["Subject"] == second["Subject"]


def test_who_is_put_off_gets_it_by_the_next_try_and_who_is_refused_is_named(
    declare_published: Callable[..., Deliveries], published_example: PublishedExample
) -> None:
    deliveries = declare_published(THREE)
    answers = {"b@example.com": "451 try later", "c@example.com": "550 no such user"}
    deliveries.mails.answers_to_recipients = answers
    with raises_retried(r"b@example.com: 451 try later; c@exa"):
        deliveries.deliver("sales")
    del answers["b@example.com"]
    with pytest.raises(AirflowFailException, match=r"refused c@example.com: 550 no such user"):
        deliveries.deliver("sales")
    with pytest.raises(AirflowSkipException):  # nothing is left for a retry
        deliveries.deliver("sales")
    assert [to for to, _ in deliveries.mails.arrived] == [("a@example.com",), ("b@example.com",)]
    assert len({mail["Message-ID"] for _, mail in deliveries.mails.arrived}) == 1
    assert {mail["To"] for _, mail in deliveries.mails.arrived} == {
        "a@example.com, b@example.com, c@example.com"
    }
    bucket, folder = published_example.receipts
    key = f"{folder}{published_example.manifest['version']}/sales/2.json"
    stored = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    receipt = json.loads(stored)
    assert receipt["recipients"] == ["b@example.com"]
    assert receipt["refused"] == {"c@example.com": "550 no such user"}


def test_a_receipt_that_cannot_be_written_is_told_and_its_claim_is_kept(
    deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def refuse(*_: Any) -> None:
        raise S3Error("SlowDown", retryable=True)

    monkeypatch.setattr(Receipt, "write", refuse)
    with pytest.raises(AirflowFailException) as caught:
        deliveries.deliver("sales")
    assert str(caught.value).endswith(
        "sent, but could not write the receipt: SlowDown The channel may receive the version again."
    )
    assert pauses == [1, 10, 60]
    with raises_retried("another attempt claimed version"):
        deliveries.deliver("sales", clears=1)
    assert len(deliveries.mails.arrived) == 1


def test_nothing_is_sent_where_nothing_can_be_claimed(
    deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: S3, uri: str, *__: Any, **___: Any) -> str:
        if "/2025-03-09/tries/" in uri:
            return '"etag"'
        assert "/2025-03-09/receipts/" in uri
        raise S3Error("AccessDenied", retryable=False)

    monkeypatch.setattr(S3, "write", refuse)
    with pytest.raises(AirflowFailException, match="AccessDenied"):
        deliveries.deliver("sales")
    assert deliveries.mails.arrived == []


def test_a_run_without_a_period_says_how_to_start_it(
    declare: Callable[..., Deliveries],
) -> None:
    deliveries = declare()
    with pytest.raises(
        AirflowFailException, match=r"no period. Trigger it with the param 'period'"
    ):
        deliveries.deliver("sales", period_id="")
    with pytest.raises(
        AirflowFailException, match=f"{deliveries.name}_weekly_deliver: .*2025-03-10"
    ):
        deliveries.deliver("sales", period_id="2025-03-10")
    with pytest.raises(AirflowSkipException, match="the period is not published"):
        deliveries.deliver("sales")
