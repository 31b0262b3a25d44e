"""What a delivering task is made of; tests/services/test_deliveries.py has what it sends."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import DAG

from athena_reports import mail
from athena_reports.aws.s3 import S3
from athena_reports.delivery import deliver
from athena_reports.delivery.decision import Send
from athena_reports.delivery.deliver import DeliverOperator
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.publication.location import PeriodLocation
from athena_reports.settings import Settings
from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport
from tests.support.publishing import Place


@pytest.fixture
def task(deployment: Settings, make_report: MakeReport) -> Any:
    policy = DeliveryPolicy(timedelta(days=7), timedelta(days=60), "published")
    with DAG("plays_weekly_deliver", schedule=None):
        return DeliverOperator(
            task_id="sales",
            report=make_report(),
            cadence=WEEKS,
            channel=mail("sales", to=["sales@example.com"]),
            delivery_policy=policy,
            deployment=deployment,
            retries=3,
            aws_conn_id=None,
        )


@pytest.mark.parametrize(
    ("partition", "domain"),
    [("aws", "aws.amazon.com"), ("aws-cn", "amazonaws.cn"), ("aws-iso", "")],
)
def test_the_query_is_in_the_console_of_the_partition(
    task: Any, monkeypatch: pytest.MonkeyPatch, partition: str, domain: str
) -> None:
    monkeypatch.setattr(AthenaHook, "conn_partition", partition)
    console = f"https://ap-northeast-1.console.{domain}/athena/home?region=ap-northeast-1"
    expected = f"{console}#/query-editor/history/q-1" if domain else ""
    assert task._query_url("q-1") == expected


def test_the_owner_the_encryption_and_the_memory_are_those_of_the_deployment(
    task: Any,
    deployment: Settings,
    made_s3: list[S3],
    memory_limits: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest: Any = SimpleNamespace(query=SimpleNamespace(id="q-1"))
    location, store = PeriodLocation.of("acme-reports", "plays", WEEK), task._s3()
    published = deliver._Published(WEEK, location, store, manifest)
    assert (made_s3[0].owner, made_s3[0].encryption) == ("012345678901", deployment.encryption)

    def send(channel: Any, _: Any, __: Any, reader: Any, *___: Any, **named: Any) -> Any:
        assert channel is task.channel
        assert (reader.report, reader.period) == (task.report, WEEK)
        assert (reader.location, reader.s3) == (published.location, published.s3)
        assert named["thread"] == "<1@example.com>"

    monkeypatch.setattr(deliver, "send", send)
    monkeypatch.setattr(AthenaHook, "conn_partition", "aws")
    task._send(Send(number=1, corrects=None), published, "<1@example.com>", {})
    assert memory_limits == ["512MB"]


def test_a_clear_is_told_from_retries_that_another_release_has_declared(
    task: Any, place: Place
) -> None:
    def clears(try_number: int, max_tries: int) -> int:
        ti = SimpleNamespace(try_number=try_number, max_tries=max_tries)
        attempt = task._attempt(place.location, place.s3, {"ti": ti, "run_id": "event-1"})
        return int(attempt.clears)

    assert task.retries == 3
    assert [clears(1, 12), clears(2, 12), clears(3, 5), clears(4, 5)] == [0, 0, 1, 1]


def test_a_try_of_a_period_that_is_not_published_is_noted(
    task: Any, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = place.location.report.bucket
    monkeypatch.setattr(
        task, "deployment", task.deployment.model_copy(update={"report_bucket": bucket})
    )
    monkeypatch.setattr(DeliverOperator, "_s3", lambda _: place.s3)
    run = DagRun("asset_triggered", partition_key=WEEK.id)
    with pytest.raises(AirflowSkipException, match="the period is not published"):
        task.execute({"dag_run": run, "ti": TaskInstance("sales"), "run_id": "event-1"})
    folder_uri = PeriodLocation.of(bucket, "plays", WEEK).folder_uri
    note, _ = place.s3.read(f"{folder_uri}tries/sales/event-1.json")
    assert b'"max_tries":3' in note
