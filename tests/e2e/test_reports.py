"""One period by every way in which a run can come to be, in a real Airflow: the data objects are the same.

The lake lies around the last complete week, since only that week is scheduled without catch-up.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from demo.airflow import AirflowClient, AirflowConfig, AirflowRuntime, DagRun
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from demo.services import Services, local_services

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "user_ranking_weekly"
BUCKET = "athena-report-dev"
TOKYO = ZoneInfo("Asia/Tokyo")
TASKS = ["run_query", "wait_for_query", "transform", "publish"]


@dataclass(frozen=True)
class Week:
    """The last complete Tokyo week from Sunday, worked out without the package."""

    start: dt.datetime
    end: dt.datetime

    @classmethod
    def last_complete(cls) -> Week:
        # Runs start five minutes after the week's end.
        today = (dt.datetime.now(TOKYO) - dt.timedelta(minutes=5)).date()
        sunday = today - dt.timedelta(days=(today.weekday() + 1) % 7)
        start, end = (
            dt.datetime.combine(day, dt.time.min, TOKYO) for day in (sunday - dt.timedelta(7), sunday)
        )
        return cls(start, end)

    @property
    def id(self) -> str:
        return self.start.date().isoformat()


@pytest.fixture(scope="module")
def week() -> Week:
    return Week.last_complete()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, week: Week) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        running.prepare("dev")
        first = week.start.date() - dt.timedelta(days=9)
        last = week.end.date() + dt.timedelta(days=2)
        spec = PlaysSpec(first, last, events=20_000, users=1_000)
        seed_plays("dev", s3=running.s3, glue=running.glue, spec=spec)
        yield running


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[AirflowRuntime]:
    config = AirflowConfig(
        home=tmp_path_factory.mktemp("airflow"),
        dags_folder=ROOT / "dags",
        plugins_folder=ROOT / "plugins",
        environment=services.environment,
        parallelism=2,
    )
    with AirflowRuntime(config, dag_ids=[DAG_ID]) as runtime:
        yield runtime


def test_one_period_is_the_same_bytes_by_every_way(
    airflow: AirflowRuntime, services: Services, week: Week
) -> None:
    client = airflow.client
    published: dict[str, Mapping[str, bytes]] = {}

    # DAGs start unpaused and without catch-up: the scheduler has made exactly one run, for this week.
    (scheduled,) = client.wait_for_runs(DAG_ID, timeout_seconds=120)
    assert (scheduled.run_type, scheduled.state) == ("scheduled", "success")
    assert (scheduled.data_interval_start, scheduled.data_interval_end) == (week.start, week.end)
    assert scheduled.run_after == week.end + dt.timedelta(minutes=5)
    published["scheduled"] = take_objects(services, week)
    assert_tasks_show_what_went_in_and_out(client, scheduled, week)

    client.clear(DAG_ID, scheduled.run_id)
    wait_for(client, scheduled)
    published["cleared"] = take_objects(services, week)

    # One run has one logical date, so the backfill takes the scheduled run over.
    backfill_id = client.backfill(DAG_ID, week.start, week.start, reprocess="completed")
    (backfilled,) = client.wait_for_runs(DAG_ID, timeout_seconds=120)
    assert (backfilled.run_type, backfilled.state) == ("backfill", "success")
    published["backfill"] = take_objects(services, week)
    client.cancel_backfill(backfill_id)

    in_the_next_week = week.end + dt.timedelta(minutes=7)
    ways: dict[str, dict[str, Any]] = {
        "no logical date": {"run_after": in_the_next_week},
        "logical date": {"logical_date": in_the_next_week},
        "period": {"conf": {"period": week.id}},
    }
    for way, arguments in ways.items():
        wait_for(client, client.trigger(DAG_ID, **arguments))
        published[way] = take_objects(services, week)

    assert set(published["scheduled"]) == {"csv", "parquet"}
    assert len(published["scheduled"]["csv"].splitlines()) > 100
    for way, objects in published.items():
        assert objects == published["scheduled"], way


def test_a_period_on_a_backfill_fails_before_any_query_and_without_retries(
    airflow: AirflowRuntime, services: Services, week: Week
) -> None:
    client = airflow.client
    before = services.athena.list_query_executions(WorkGroup="dev")["QueryExecutionIds"]
    first = week.start - dt.timedelta(days=7)
    client.backfill(DAG_ID, first, first, conf={"period": week.id})

    def failed(runs: Any) -> bool:
        return any(run.run_type == "backfill" and run.finished for run in runs if run.logical_date == first)

    runs = client.wait_for_runs(DAG_ID, until=failed, timeout_seconds=120)
    (run,) = (run for run in runs if run.logical_date == first)
    assert run.state == "failed"
    task = next(task for task in client.task_instances(DAG_ID, run.run_id) if task.task_id == "run_query")
    assert (task.state, task.try_number) == ("failed", 1)
    assert "belongs to a backfill" in client.task_log(DAG_ID, run.run_id, "run_query")
    assert services.athena.list_query_executions(WorkGroup="dev")["QueryExecutionIds"] == before


@pytest.mark.parametrize(
    ("period", "message"),
    [
        ("2025-06-16", "2025-06-15 and 2025-06-22"),
        ("2199-01-06", "has not begun"),
    ],
)
def test_a_period_that_cannot_be_reported_fails_with_the_reason(
    airflow: AirflowRuntime, period: str, message: str
) -> None:
    run = airflow.client.trigger(DAG_ID, conf={"period": period})
    (run,) = airflow.client.wait_for_runs(DAG_ID, [run.run_id], timeout_seconds=120)
    assert run.state == "failed"
    assert message in airflow.client.task_log(DAG_ID, run.run_id, "run_query")


def assert_tasks_show_what_went_in_and_out(client: AirflowClient, run: DagRun, week: Week) -> None:
    tasks = {task.task_id: task for task in client.task_instances(DAG_ID, run.run_id)}
    assert [task for task in TASKS if task in tasks] == TASKS
    assert [tasks[task].operator_name for task in TASKS] == [
        "AthenaSubmitOperator",
        "AthenaWaitSensor",
        "PythonOperator",
        "S3PublishOperator",
    ]
    fields = {task: json.dumps(client.rendered_fields(DAG_ID, run.run_id, task)) for task in TASKS}
    for task in TASKS:
        assert week.id in fields[task], task
        assert week.start.isoformat() in fields[task], task
        assert week.start.astimezone(dt.UTC).isoformat() in fields[task], task
    assert "FROM plays" in fields["run_query"]
    for task in TASKS:
        came_out = json.dumps(client.xcom(DAG_ID, run.run_id, task))
        assert "u0" not in came_out, "rows pass through XCom"
        assert len(came_out) < 3_000, task


def take_objects(services: Services, week: Week) -> Mapping[str, bytes]:
    """Read the data objects of a period by format, and remove everything that was published of it."""
    prefix = f"user_ranking/weekly/{week.id}/"
    manifest = json.loads(services.s3.get_object(Bucket=BUCKET, Key=f"{prefix}manifest.json")["Body"].read())
    objects = {
        entry["format"]: services.s3.get_object(Bucket=BUCKET, Key=entry["key"])["Body"].read()
        for entry in manifest["objects"]
    }
    for entry in services.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        services.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    return objects


def wait_for(client: AirflowClient, run: DagRun) -> None:
    (ended,) = client.wait_for_runs(DAG_ID, [run.run_id], timeout_seconds=120)
    assert ended.state == "success", client.task_instances(DAG_ID, run.run_id)
