"""One period by every way in which a run can come to be, in a real Airflow:
the data objects are the same.

The lake lies around the last complete week, since only that week is scheduled without catch-up.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports_cli.local.client import DagRun
from athena_reports_cli.local.runs import require_success
from athena_reports_cli.local.services import Services, local_services
from demo.lake import seed_plays
from demo.plays import PlaysSpec
from tests.support.dates import TOKYO, Period, sunday_of, weeks
from tests.support.live_airflow import LiveAirflow, LiveClient
from tests.support.published import read_json
from tests.support.reports import DAGS

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

DAG_ID = "top_users_weekly"
BUCKET = "athena-report-dev"
TASKS = ["run_query", "wait_for_query", "transform", "publish"]


@pytest.fixture(scope="module")
def last_weeks() -> list[Period]:
    """The last complete week and the present one: it may end just now.

    Runs start five minutes after the end of a week.
    """
    sunday = sunday_of(dt.datetime.now(TOKYO) - dt.timedelta(minutes=5))
    return weeks(sunday - dt.timedelta(days=7), 2, TOKYO)


@pytest.fixture(scope="module")
def services(
    tmp_path_factory: pytest.TempPathFactory, last_weeks: list[Period]
) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        running.prepare("dev")
        first = last_weeks[0].previous - dt.timedelta(days=2)
        last = last_weeks[1].end + dt.timedelta(days=2)
        spec = PlaysSpec(first, last, events=20_000, users=1_000)
        seed_plays(running, "dev", spec)
        yield running


@pytest.fixture(scope="module")
def airflow(start_airflow: StartAirflow, services: Services) -> LiveAirflow:
    return start_airflow(
        DAGS,
        dag_ids=[DAG_ID],
        services=services,
        environment={
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
            "AIRFLOW__CORE__PARALLELISM": "2",
        },
    )


@pytest.fixture(scope="module")
def scheduled(airflow: LiveAirflow, last_weeks: list[Period]) -> DagRun:
    """The first run that the scheduler makes: DAGs start unpaused and without catch-up."""

    def first_is_over(runs: Sequence[DagRun]) -> bool:
        return bool(runs) and runs[0].finished

    run = airflow.client.wait_for_runs(DAG_ID, until=first_is_over, timeout_seconds=120)[0]
    assert (run.run_type, run.state) == ("scheduled", "success")
    assert run.data_interval_start in [week.start for week in last_weeks]
    return run


@pytest.fixture(scope="module")
def week(scheduled: DagRun, last_weeks: list[Period]) -> Period:
    """The week of the first scheduled run."""
    (week,) = [week for week in last_weeks if week.start == scheduled.data_interval_start]
    return week


def test_one_period_is_the_same_bytes_by_every_way(
    airflow: LiveAirflow, services: Services, scheduled: DagRun, week: Period
) -> None:
    client = airflow.client
    published = {"scheduled": take_objects(services, week)}

    end = week.midnight(week.end)
    assert (scheduled.data_interval_start, scheduled.data_interval_end) == (week.start, end)
    assert scheduled.run_after == end + dt.timedelta(minutes=5)
    assert_tasks_show_what_went_in_and_out(client, scheduled, week)

    client.clear(DAG_ID, scheduled.run_id)
    wait_for(client, scheduled)
    published["cleared"] = take_objects(services, week)

    # One run has one logical date, so the backfill takes the scheduled run over.
    backfill_id = client.backfill(DAG_ID, week.start, week.start, reprocess_behavior="completed")
    (backfilled,) = client.wait_for_runs(DAG_ID, [scheduled.run_id], timeout_seconds=120)
    assert (backfilled.run_type, backfilled.state) == ("backfill", "success")
    published["backfill"] = take_objects(services, week)
    client.cancel_backfill(backfill_id)

    in_the_next_week = (end + dt.timedelta(minutes=7)).isoformat()
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


def assert_tasks_show_what_went_in_and_out(client: LiveClient, run: DagRun, week: Period) -> None:
    tasks = {task.task_id: task for task in client.task_instances(DAG_ID, run.run_id)}
    assert [task for task in TASKS if task in tasks] == TASKS
    assert [tasks[task].operator_name for task in TASKS] == [
        "AthenaSubmitOperator",
        "AthenaWaitSensor",
        "PythonOperator",
        "S3PublishOperator",
    ]
    fields = {task: json.dumps(tasks[task].rendered_fields) for task in TASKS}
    for task in TASKS:
        assert week.id in fields[task], task
        assert week.start.isoformat() in fields[task], task
        assert week.start.astimezone(dt.UTC).isoformat() in fields[task], task
    assert "FROM plays" in fields["run_query"]
    for task in TASKS:
        came_out = json.dumps(client.xcom(DAG_ID, run.run_id, task))
        assert "u0" not in came_out, "rows pass through XCom"
        assert len(came_out) < 3_000, task


def read_manifest(services: Services, week: Period) -> Mapping[str, Any]:
    return read_json(services.s3, f"s3://{BUCKET}/top_users/weekly/{week.id}/manifest.json")


def take_objects(services: Services, week: Period) -> Mapping[str, bytes]:
    """Read the data objects of a period by format,
    and remove everything that was published of it.
    """
    objects = {
        entry["format"]: services.s3.get_object(Bucket=BUCKET, Key=entry["key"])["Body"].read()
        for entry in read_manifest(services, week)["objects"]
    }
    prefix = f"top_users/weekly/{week.id}/"
    for entry in services.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        services.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    return objects


def wait_for(client: LiveClient, run: DagRun) -> None:
    (ended,) = client.wait_for_runs(DAG_ID, [run.run_id], timeout_seconds=120)
    require_success(client, ended)
