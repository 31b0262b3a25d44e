"""Deliveries in a real Airflow: events start them, and each version arrives once.

Mail goes to a server of this process, Slack's API is a stand-in, SNS is the local one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from athena_reports import weekly
from athena_reports_cli.local.services import Services
from demo.lake import land_late_plays
from tests.airflow.report_run import ReportRun, until
from tests.support.inbox import Inbox
from tests.support.mail_server import MailServer, mail_server
from tests.support.partition_facts import alter_partition, an_hour_before
from tests.support.published import facts_in, partitions_of
from tests.support.slack_server import SlackServer, slack_server

if TYPE_CHECKING:
    from athena_reports_cli.local.client import DagRun
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

WEEK = weekly("sunday", "Asia/Tokyo").period("2025-06-08")
DAG_FILE = """
from datetime import timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

from athena_reports import Report, build_dag, build_restatement, mail, notify, slack, weekly


def build(name, **options):
    report = Report(
        name=name,
        sql="top_users.sql",
        owner="tests",
        since="2023-01-01",
        until="2025-06-30",
        params={"top": 100},
        empty="publish",
        key=["user_id"],
        doc="A report that is delivered.",
    )
    to = [f"{name}@example.com"]
    channels = [
        mail("sales", to=to, bar="score", attach="xlsx"),
        slack("team", channel="#sales"),
        notify("topic", topic),
    ]
    return build_dag(report, weekly("sunday", "Asia/Tokyo"), deliver=channels, **options)


topic = SnsNotifier(
    target_arn="arn:aws:sns:us-east-1:123456789012:alerts",
    subject="{{ delivery.subject }}",
    message="{{ delivery.text }}",
)
alert = SnsNotifier(
    target_arn="arn:aws:sns:us-east-1:123456789012:alerts",
    subject="{{ alert.subject }}",
    message="{{ alert.message }}",
)
ages = timedelta(days=36500)
delivered = build("delivered", deliver_within=ages, correct_within=ages)
down = build("down", deliver_within=ages, correct_within=ages, on_failure=[alert])
old = build("old")
restatement = build_restatement(every=timedelta(days=1))
"""


@dataclass
class World:
    """An Airflow, and where its deliveries arrive."""

    airflow: LiveAirflow
    services: Services
    mails: MailServer
    slack: SlackServer
    inbox: Inbox

    def mails_of(self, report: str) -> list[EmailMessage]:
        return [mail for to, mail in self.mails.arrived if to == (f"{report}@example.com",)]

    def deliveries(self, report: str) -> list[DagRun]:
        return self.airflow.client.runs(f"{report}_weekly_deliver")

    def wait_for_deliveries(self, report: str, number: int) -> DagRun:
        """Wait until so many deliveries have ended, and return the last one."""

        def ended() -> list[DagRun] | None:
            runs = self.deliveries(report)
            assert len(runs) <= number
            return runs if len(runs) == number and all(run.finished for run in runs) else None

        return until(ended, f"{number} deliveries of {report}", seconds=120)[-1]

    def states(self, run: DagRun) -> dict[str, str | None]:
        """How the tasks of a delivery have ended."""
        tasks = self.airflow.client.task_instances(run.dag_id, run.run_id)
        return {task.task_id: task.state for task in tasks}


@pytest.fixture(scope="module")
def world(
    start_airflow: StartAirflow,
    services: Services,
    inbox: Inbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    dags_folder = tmp_path_factory.mktemp("dags")
    (dags_folder / "delivered.py").write_text(DAG_FILE)
    with mail_server() as mails, slack_server() as slack:
        airflow = start_airflow(
            dags_folder,
            dag_ids=["delivered_weekly_deliver", "down_weekly_deliver", "old_weekly_deliver"],
            services=services,
            environment={
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
                "AIRFLOW_CONN_SMTP_DEFAULT": mails.connection,
                "AIRFLOW_CONN_SLACK_API_DEFAULT": slack.connection,
            },
        )
        yield World(airflow, services, mails, slack, inbox)


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_a_version_arrives_once_and_a_correction_follows(world: World) -> None:
    client = world.airflow.client
    client.backfill("delivered_weekly", WEEK.start_utc, WEEK.start_utc)
    first = world.wait_for_deliveries("delivered", 1)
    assert (first.run_type, first.partition_key) == ("asset_triggered", WEEK.id)
    assert world.states(first) == dict.fromkeys(["sales", "team", "topic"], "success")
    (mail,) = world.mails_of("delivered")
    (message,) = world.slack.arrived
    ((subject, _),) = world.inbox.take()
    assert mail["Subject"] == subject == "delivered: week of 8 to 14 Jun 2025 (dev)"
    assert message["text"].startswith(subject)

    # The same rows once more start nothing.
    (report_run,) = client.runs("delivered_weekly")
    run = ReportRun(world.airflow, world.services, "delivered_weekly", report_run.run_id)
    client.clear("delivered_weekly", run.run_id)
    run.wait_until_success()

    # A late play wins the week: others lose their ranks.
    played_at = dt.datetime(2025, 6, 10, 12, tzinfo=dt.UTC)
    land_late_plays(world.services, "dev", played_at.date(), played_at, [100_000])
    client.clear("delivered_weekly", run.run_id)
    run.wait_until_success()
    second = world.wait_for_deliveries("delivered", 2)
    assert world.states(second) == dict.fromkeys(["sales", "team", "topic"], "success")
    _, correction = world.mails_of("delivered")
    assert correction["Subject"] == f"Correction: {subject}"
    assert correction["In-Reply-To"] == mail["Message-ID"]
    assert "1 row added" in text_of(correction)
    _, threaded = world.slack.arrived
    assert threaded["thread_ts"] == "1750000000.000001"
    world.inbox.take()

    # What the Reports page sends clears one task. It sends again, and only it.
    path = f"/athena-reports/api/dags/delivered_weekly/periods/{WEEK.id}/deliveries"
    shown = client.request("GET", path)
    assert shown["problem"] == ""
    sendings = [(sent["channel"], bool(sent["corrects"])) for sent in shown["receipts"]]
    channels = ["sales", "team", "topic"]
    assert sorted(sendings[:3]) == [(channel, True) for channel in channels]
    assert sorted(sendings[3:]) == [(channel, False) for channel in channels]
    assert [channel["name"] for channel in shown["channels"]] == channels
    (sales,) = (channel for channel in shown["channels"] if channel["name"] == "sales")
    assert (sales["task"]["run_id"], sales["task"]["state"]) == (second.run_id, "success")
    cleared = client.request(
        "POST", f"/api/v2/{sales['clear']['path']}", json=sales["clear"]["body"]
    )
    assert cleared["total_entries"] == 1
    # It is under way for the next look, so the page goes on to look.
    (sales, *_) = client.request("GET", path)["channels"]
    assert sales["task"]["state"] != "success" or sales["task"]["try_number"] == 2
    world.wait_for_deliveries("delivered", 2)
    mails = world.mails_of("delivered")
    assert len(mails) == 3
    assert len({mail["Message-ID"] for mail in mails}) == 3
    assert len(world.slack.arrived) == 2
    assert world.inbox.take() == []
    newest, *_ = client.request("GET", path)["receipts"]
    assert (newest["channel"], newest["number"]) == ("sales", 2)
    assert newest["recipients"] == ["delivered@example.com"]


def test_a_backfill_of_a_year_starts_no_delivery(world: World) -> None:
    first = WEEK
    for _ in range(51):
        first = first.previous
    arrived = len(world.mails.arrived), len(world.slack.arrived)
    client = world.airflow.client
    client.backfill("old_weekly", first.start_utc, WEEK.start_utc)

    def all_published() -> bool:
        runs = client.runs("old_weekly")
        return len(runs) == 52 and all(run.finished for run in runs)

    until(all_published, "each of 52 weeks is published", seconds=900)
    assert {run.state for run in client.runs("old_weekly")} == {"success"}
    assert world.deliveries("old") == []
    assert (len(world.mails.arrived), len(world.slack.arrived)) == arrived
    assert world.inbox.take() == []


def test_a_channel_that_is_down_for_all_tries_is_told_and_gets_it_once_it_is_repaired(
    world: World,
) -> None:
    """The pauses between its tries, more than an hour in all, are cut to a second each."""
    client = world.airflow.client
    tries = 13
    before = len(world.slack.arrived)
    world.slack.answers = [(503, {"ok": False, "error": "service_unavailable"})] * tries
    client.backfill("down_weekly", WEEK.start_utc, WEEK.start_utc)

    def failed() -> DagRun | None:
        ended = [run for run in world.deliveries("down") if run.finished]
        return ended[0] if ended else None

    run = until(failed, "its last try has failed", seconds=600)
    assert run.state == "failed"
    assert world.states(run) == {"sales": "success", "team": "failed", "topic": "success"}
    assert world.slack.answers == [], "each try asks once, and none is left out"
    assert len(world.slack.arrived) == before
    assert len(world.mails_of("down")) == 1, "a channel that is down holds up no other"
    arrived: list[tuple[str, str]] = []

    def alerts() -> list[str]:
        arrived.extend(world.inbox.take())
        subject_of_alert = f"dev: down_weekly_deliver {WEEK.id} failed"
        return [text for subject, text in arrived if subject == subject_of_alert]

    (alert,) = until(alerts, "somebody is told")
    assert "team: " in alert
    assert "service_unavailable" in alert
    assert "clear only the failed task" in alert
    assert client.runs("down_weekly")[0].state == "success", "what is published stays published"

    client.clear(run.dag_id, run.run_id, task_ids=["team"])
    until(lambda: client.run(run.dag_id, run.run_id).state == "success", "it is delivered")
    (message,) = world.slack.arrived[before:]
    assert message["text"].startswith("down: week of 8 to 14 Jun 2025 (dev)")
    assert len(world.mails_of("down")) == 1
    assert len(alerts()) == 1
    assert len([subject for subject, _ in arrived if subject.startswith("down: ")]) == 1


def test_what_a_lost_event_should_have_started_is_delivered(world: World) -> None:
    """Airflow forgets the events of a publication while the DAG that they start is paused."""
    client = world.airflow.client
    before = len(world.mails_of("delivered"))
    week = WEEK.previous.previous
    client.pause("delivered_weekly_deliver")
    client.backfill("delivered_weekly", week.start_utc, week.start_utc)

    def published() -> bool:
        runs = [
            run for run in client.runs("delivered_weekly") if run.logical_date == week.start_utc
        ]
        return bool(runs) and runs[0].state == "success"

    until(published, "the week is published", seconds=120)
    let_time_pass(world.services, week.id)
    looks = [client.trigger("athena_reports_restatement") for _ in range(2)]
    client.wait_for_runs("athena_reports_restatement", [looks[0].run_id], timeout_seconds=120)
    assert len(world.mails_of("delivered")) == before, "a paused DAG collects no runs"

    client.unpause("delivered_weekly_deliver")
    look = client.trigger("athena_reports_restatement")
    client.wait_for_runs("athena_reports_restatement", [look.run_id], timeout_seconds=120)
    until(lambda: world.mails_of("delivered")[before:], "the mail arrives", seconds=120)
    again = client.trigger("athena_reports_restatement")
    client.wait_for_runs("athena_reports_restatement", [again.run_id], timeout_seconds=120)
    assert client.run("athena_reports_restatement", again.run_id).state == "success"
    until(lambda: all(run.finished for run in world.deliveries("delivered")), "all have ended")
    (mail,) = world.mails_of("delivered")[before:]
    assert "25 to 31 May 2025" in mail["Subject"]


def let_time_pass(services: Services, period_id: str) -> None:
    """Let a period look as if it was published an hour ago."""
    glue, database, table = services.glue, "report_dev", "delivered_weekly"
    published_at = facts_in(partitions_of(glue, database, table)[period_id])["published_at"]
    earlier = an_hour_before(published_at)
    alter_partition(glue, database, table, period_id, published_at=earlier)
