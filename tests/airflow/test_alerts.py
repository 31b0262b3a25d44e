"""Alerts in a real Airflow: a notifier that hangs, and a failure that Airflow tells nobody of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from athena_reports import weekly
from athena_reports_cli.local.services import Services
from local_athena.faults import Faults, Hold
from tests.airflow.report_run import ReportRun, until
from tests.support.inbox import Inbox

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

WEEK = weekly("sunday", "Asia/Tokyo").period("2025-06-08")
DAG_FILE = """
import time
from datetime import timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import BaseNotifier

from athena_reports import Report, RetryPolicy, build_dag, weekly


class Hanging(BaseNotifier):
    def notify(self, context):
        time.sleep(600)


def build(name, **options):
    report = Report(
        name=name,
        sql="top_users.sql",
        owner="tests",
        since="2025-01-01",
        params={"top": 100},
        doc="A report whose notifier hangs, or that somebody marks.",
    )
    retry = RetryPolicy(retries=2, first_pause=timedelta(seconds=1))
    return build_dag(report, weekly("sunday", "Asia/Tokyo"), retry=retry, **options)


somebody = SnsNotifier(
    target_arn="arn:aws:sns:us-east-1:123456789012:alerts",
    subject="{{ alert.subject }}",
    message="{{ alert.message }}",
)
hanging = build("hanging", on_failure=[Hanging(), somebody])
marked = build("marked", on_failure=[somebody])
"""


@pytest.fixture(scope="module")
def airflow(
    start_airflow: StartAirflow, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> LiveAirflow:
    dags_folder = tmp_path_factory.mktemp("dags")
    (dags_folder / "alerts.py").write_text(DAG_FILE)
    return start_airflow(
        dags_folder,
        dag_ids=["hanging_weekly", "marked_weekly_alerts"],
        services=services,
    )


def test_a_failure_is_told_though_a_notifier_of_the_callback_hangs(
    airflow: LiveAirflow, services: Services, inbox: Inbox
) -> None:
    run = ReportRun.begin(airflow, services, "hanging_weekly", "of-the-future", "2199-01-06")
    assert run.wait_until_over() == "failed"
    ((subject, _),) = until(inbox.take, "the failure is told")
    assert subject == "dev: hanging_weekly 2199-01-06 failed"


def test_a_failure_that_airflow_calls_nobody_for_is_told_when_the_period_is_due(
    airflow: LiveAirflow, services: Services, inbox: Inbox
) -> None:
    """As Airflow calls nobody if somebody marks a run."""
    client = airflow.client
    faults = Faults(services.endpoint_url)
    faults.add(Hold(sql="marked_weekly", times=None))
    client.backfill("marked_weekly", WEEK.start_utc, WEEK.start_utc)
    (run,) = (
        ReportRun(airflow, services, "marked_weekly", run.run_id)
        for run in client.runs("marked_weekly")
        if run.run_id.startswith("backfill__")
    )
    run.wait_for_query()
    run.wait_until_watched()
    client.set_state("marked_weekly", run.run_id, "failed")
    assert run.wait_until_over() == "failed"
    faults.clear()

    def check() -> list[tuple[str, str]]:
        check = client.trigger("marked_weekly_alerts", logical_date=WEEK.end_utc.isoformat())
        client.wait_for_runs("marked_weekly_alerts", [check.run_id], timeout_seconds=60)
        assert client.run("marked_weekly_alerts", check.run_id).state == "success"
        client.request("DELETE", f"/api/v2/dags/marked_weekly_alerts/dagRuns/{check.run_id}")
        return inbox.take()

    told = check()
    assert len(told) == 1, told
    ((subject, message),) = told
    assert subject == f"dev: marked_weekly {WEEK.id} failed"
    assert "/dags/marked_weekly/runs/backfill__" in message
    assert check() == []
