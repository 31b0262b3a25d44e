"""Alerts in a real Airflow: a notifier that hangs, and a failure that Airflow tells nobody of."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from athena_reports import weekly
from athena_reports_cli.local.services import Services
from local_athena.faults import Faults, Hold
from tests.airflow.environment import PATIENCE
from tests.airflow.report_run import ReportRun, until
from tests.support.inbox import Inbox
from tests.support.paths import ROOT
from tests.support.reports import SQL

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

WEEK = weekly("sunday", "Asia/Tokyo").period("2025-06-08")
SLOTS = 4
PROMPT = [f"prompt_{number}_weekly" for number in range(SLOTS)]
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
        doc="A report whose notifiers hang, or that publishes beside one.",
    )
    retry = RetryPolicy(retries=2, first_pause=timedelta(seconds=1))
    return build_dag(report, weekly("sunday", "Asia/Tokyo"), retry=retry, **options)


somebody = SnsNotifier(
    target_arn="arn:aws:sns:us-east-1:123456789012:alerts",
    subject="{{ alert.subject }}",
    message="{{ alert.message }}",
)
prompt = [build(f"prompt_{number}") for number in range(4)]
hanging = build("hanging", on_failure=[Hanging(), somebody], on_late=[Hanging(), somebody])
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
        dag_ids=[*PROMPT, "hanging_weekly_alerts", "marked_weekly_alerts"],
        plugins_folder=ROOT / "plugins",
        environment={
            "ATHENA_REPORTS_SQL_FOLDER": str(SQL),
            **services.environment,
            **PATIENCE,
            "ATHENA_REPORTS_ENV": "dev",
            "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        },
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
        check = client.trigger("marked_weekly_alerts", logical_date=WEEK.end_utc)
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


def test_checks_whose_notifier_hangs_hold_no_worker_slot_for_long(
    airflow: LiveAirflow, services: Services, inbox: Inbox
) -> None:
    """Four of them take all slots there are, each for 20 seconds and not for ten minutes."""
    client = airflow.client
    client.pause("hanging_weekly")
    checks = [
        client.trigger(
            "hanging_weekly_alerts", logical_date=WEEK.end_utc + dt.timedelta(seconds=number)
        )
        for number in range(SLOTS)
    ]

    def slots_taken() -> bool:
        tasks = client.task_instances("hanging_weekly_alerts", "~")
        states = Counter(task.state for task in tasks if task.task_id == "tell_when_due")
        return states["running"] == SLOTS

    until(slots_taken, "all slots are taken")
    runs = [
        ReportRun.begin(airflow, services, dag_id, f"beside-{dag_id}", WEEK.id) for dag_id in PROMPT
    ]
    for run in runs:
        run.wait_until_success()

    def all_failed() -> bool:
        tasks = [
            task
            for check in checks
            for task in client.task_instances("hanging_weekly_alerts", check.run_id)
            if task.task_id == "tell_when_due"
        ]
        return all(task.state == "failed" for task in tasks)

    until(all_failed, "the checks have used up their tries", seconds=300)
    messages: list[tuple[str, str]] = []

    def all_told() -> bool:
        messages.extend(inbox.take())
        return len(messages) >= 2 * SLOTS

    until(all_told, "the periods are told as late, and the checks as failed")
    subjects = Counter(subject for subject, _ in messages)
    assert subjects == {
        f"dev: hanging_weekly {WEEK.id} is late": SLOTS,  # once in four tries
        f"dev: hanging_weekly_alerts {WEEK.id} failed": SLOTS,
    }
    for _, message in messages:
        assert "the DAG is paused" in message or "Hanging 1 failed: it took longer" in message
