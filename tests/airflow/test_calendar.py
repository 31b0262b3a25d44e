"""Whose a report's folder is, in real Airflows: one of each of two environments that share a
bucket, with the same DAG files, as a deployment of a team has them.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from athena_reports_cli.local.services import Services, local_services
from demo.lake import land_late_plays, seed_plays
from demo.plays import PlaysSpec, generate
from tests.airflow.environment import PATIENCE
from tests.airflow.report_run import ReportRun, until
from tests.support.paths import ROOT
from tests.support.reports import SQL, Play, plays_of, top_users

if TYPE_CHECKING:
    from tests.airflow.harness import StartAirflow
    from tests.support.live_airflow import LiveAirflow

pytestmark = [pytest.mark.e2e, pytest.mark.full]

BUCKET = "shared-reports"
ENVIRONMENTS = ("dev", "stg")
LAKE = PlaysSpec(dt.date(2025, 5, 30), dt.date(2025, 6, 30), events=5_000, users=300)
FIRST, SECOND, THIRD = "2025-06-08", "2025-06-15", "2025-06-22"
WEEK = dt.timedelta(days=7)
TOKYO = "Asia/Tokyo"
REPORT = """
from datetime import timedelta

from airflow.sdk import DAG

from athena_reports import Report, build_dag, weekly

report = Report(
    name="{name}",
    sql="top_users.sql",
    since="2025-01-01",
    late_by=timedelta(days=1),
    params={{"top": 100}},
)
dag: DAG = build_dag(report, weekly("{first_day}", "{timezone}"))
"""
NAMED_BY_ENVIRONMENT = """
import os

from airflow.sdk import DAG

from athena_reports import Report, build_dag, weekly

name = "of_" + os.environ["ATHENA_REPORTS_ENV"]
report = Report(name=name, sql="top_users.sql", since="2025-01-01", params={"top": 100})
dag: DAG = build_dag(report, weekly("sunday", "Asia/Tokyo"))
"""
# Only its task is there: the other components of Airflow keep the time.
CLEANUP_IN_A_YEAR = """
from datetime import UTC, datetime, timedelta

import time_machine
from airflow.sdk import DAG

from athena_reports import RetentionPolicy, build_cleanup

dag: DAG = build_cleanup(RetentionPolicy(keep_versions=0, keep_days=1), delete=True)
task = dag.get_task("clean_up")
clean_up = task.python_callable


def clean_up_in_a_year():
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        return clean_up()


task.python_callable = clean_up_in_a_year
"""

Objects = Mapping[str, tuple[dt.datetime, bytes]]


@dataclass(frozen=True)
class Calendar:
    """What the weeks of a report are.

    Attributes:
        first_day: The day that they begin with.
        timezone: Where.
        message: How messages describe them.
    """

    first_day: str
    timezone: str
    message: str

    @property
    def timetable(self) -> str:
        """How Airflow shows a DAG that has them."""
        return f"Weekly from {self.first_day.capitalize()}, {self.timezone}, +5 min"


SUNDAYS = Calendar("sunday", TOKYO, "Weekly from Sunday, Asia/Tokyo")
MONDAYS = Calendar("monday", TOKYO, "Weekly from Monday, Asia/Tokyo")
SUNDAYS_OF_UTC = Calendar("sunday", "UTC", "Weekly from Sunday, UTC")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with local_services(tmp_path_factory.mktemp("local-aws") / "log") as running:
        for environment in ENVIRONMENTS:
            running.prepare(environment)
        running.s3.create_bucket(Bucket=BUCKET)
        seed_plays(running, "dev", LAKE)
        yield running


@pytest.fixture(scope="module")
def plays() -> list[Play]:
    return list(plays_of(table for _, table in generate(LAKE)))


@pytest.fixture(scope="module")
def dags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dags")
    write_report(folder, "played", SUNDAYS)
    (folder / "of_environment.py").write_text(NAMED_BY_ENVIRONMENT)
    (folder / "cleanup.py").write_text(CLEANUP_IN_A_YEAR)
    return folder


@dataclass(frozen=True)
class Deployment:
    """An Airflow of an environment, and the bucket that it publishes to.

    Attributes:
        environment: The environment.
        airflow: Its Airflow.
        services: Where it publishes.
        dags_folder: Its DAG files.
    """

    environment: str
    airflow: LiveAirflow
    services: Services
    dags_folder: Path

    def begin(self, dag_id: str, period: str) -> ReportRun:
        run_id = f"{dag_id}-{period}-{time.monotonic_ns()}"
        return ReportRun.begin(self.airflow, self.services, dag_id, run_id, period)

    def publish(self, dag_id: str, *periods: str) -> None:
        """Run a DAG for periods, at once."""
        runs = [self.begin(dag_id, period) for period in periods]
        for run in runs:
            run.wait_until_success()

    def refusal(self, dag_id: str, period: str) -> str:
        """Run a DAG that pays no query and changes nothing, and return what its log says."""
        before, paid = objects(self.services), executions(self.services)
        run = self.begin(dag_id, period)
        assert run.wait_until_over() == "failed"
        tasks = {
            task.task_id: (task.state, task.try_number)
            for task in self.airflow.client.task_instances(dag_id, run.run_id)
        }
        assert tasks.pop("run_query") == ("failed", 1)
        assert {state for state, _ in tasks.values()} == {"upstream_failed"}
        assert executions(self.services) == paid
        assert objects(self.services) == before
        return run.log("run_query")

    def edit(self, name: str, calendar: Calendar) -> None:
        """Edit the file of a report, and wait until Airflow has read it."""
        write_report(self.dags_folder, name, calendar)
        dag_id = f"{name}_weekly"

        def is_read() -> bool:
            dags = self.airflow.client.rows("/api/v2/dags", "dags")
            timetables = {dag["dag_id"]: dag["timetable_summary"] for dag in dags}
            return bool(timetables.get(dag_id) == calendar.timetable)

        until(is_read, f"{dag_id} is {calendar.timetable}", seconds=120)

    def clean_up(self) -> Mapping[str, Any]:
        """Let the cleanup run, a year later, and return what it did."""
        client, dag_id = self.airflow.client, "athena_reports_cleanup"
        run = client.trigger(dag_id)
        client.wait_for_runs(dag_id, [run.run_id], timeout_seconds=120)
        log = client.task_log(dag_id, run.run_id, "clean_up")
        assert client.run(dag_id, run.run_id).state == "success", log
        done: Mapping[str, Any] = client.xcom(dag_id, run.run_id, "clean_up")
        return done


@pytest.fixture(scope="module")
def deployments(
    start_airflow: StartAirflow, services: Services, dags_folder: Path
) -> Mapping[str, Deployment]:
    def start(environment: str) -> Deployment:
        airflow = start_airflow(
            dags_folder,
            dag_ids=["played_weekly", f"of_{environment}_weekly", "athena_reports_cleanup"],
            plugins_folder=ROOT / "plugins",
            environment={
                **services.environment,
                **PATIENCE,
                "ATHENA_REPORTS_SQL_FOLDER": str(SQL),
                "ATHENA_REPORTS_ENV": environment,
                "ATHENA_REPORTS_DATABASE": "database_dev",
                "ATHENA_REPORTS_BUCKET": BUCKET,
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
                # An edited file is read when it is seen, and not half a minute later.
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
                "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
            },
        )
        return Deployment(environment, airflow, services, dags_folder)

    return {environment: start(environment) for environment in ENVIRONMENTS}


@pytest.fixture(scope="module")
def dev(deployments: Mapping[str, Deployment]) -> Deployment:
    return deployments["dev"]


@pytest.fixture(scope="module")
def stg(deployments: Mapping[str, Deployment]) -> Deployment:
    return deployments["stg"]


def write_report(folder: Path, name: str, calendar: Calendar) -> None:
    """Write the file of a report at once: Airflow never reads half of it."""
    text = REPORT.format(name=name, first_day=calendar.first_day, timezone=calendar.timezone)
    half = folder / f"{name}.half"
    half.write_text(text)
    half.replace(folder / f"{name}.py")


def objects(services: Services, prefix: str = "") -> Objects:
    """What the bucket has, and since when."""
    pages = services.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    listed = [item for page in pages for item in page.get("Contents", [])]
    return {
        item["Key"]: (
            item["LastModified"],
            services.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read(),
        )
        for item in listed
    }


def executions(services: Services) -> set[str]:
    """Every query that Athena was ever asked for, by any environment."""
    paginator = services.athena.get_paginator("list_query_executions")
    return {
        query_id
        for environment in ENVIRONMENTS
        for page in paginator.paginate(WorkGroup=environment)
        for query_id in page["QueryExecutionIds"]
    }


def read_table(services: Services, table: str, period: str) -> list[dict[str, str | None]]:
    """The rows of a period as those see them who query the published table."""
    athena = services.athena
    sql = f"SELECT * FROM report_dev.{table} WHERE period = '{period}' ORDER BY \"rank\""
    query_id = athena.start_query_execution(QueryString=sql, WorkGroup="dev")["QueryExecutionId"]

    def has_succeeded() -> bool:
        execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        assert execution["Status"]["State"] not in ("FAILED", "CANCELLED"), execution
        return execution["Status"]["State"] == "SUCCEEDED"

    until(has_succeeded, f"{period} is read from {table}")
    rows = athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]
    names, *values = ([cell.get("VarCharValue") for cell in row["Data"]] for row in rows)
    table_rows = [dict(zip(map(str, names), row, strict=True)) for row in values]
    for row in table_rows:
        assert row.pop("period") == period
    return table_rows


def ranking(plays: list[Play], period: str, timezone: str = TOKYO) -> list[dict[str, str | None]]:
    """What the report must say of a week that begins on a date, counted without the package."""
    first = dt.date.fromisoformat(period)
    start, end, before = (
        dt.datetime.combine(day, dt.time.min, ZoneInfo(timezone))
        for day in (first, first + WEEK, first - WEEK)
    )
    return [
        {name: None if value is None else str(value) for name, value in row.items()}
        for row in top_users(plays, start, end, before)
    ]


@contextmanager
def late_play(services: Services, played_at: dt.datetime) -> Iterator[None]:
    """A play that wins its week, and is in the lake for as long as the context lasts."""
    landed = played_at.date()
    land_late_plays(services, "dev", landed, played_at, [100_000])
    yield
    services.s3.delete_object(Bucket="athena-lake-dev", Key=f"plays/dt={landed}/late-0.parquet")


def test_a_second_environment_in_a_bucket_pays_nothing_and_changes_nothing(
    dev: Deployment, stg: Deployment, services: Services
) -> None:
    dev.publish("played_weekly", FIRST)
    with late_play(services, dt.datetime(2025, 6, 10, 12, tzinfo=dt.UTC)):
        dev.publish("played_weekly", FIRST)  # so there is something to clean up

    for period in (FIRST, SECOND):
        log = stg.refusal("played_weekly", period)
        folder = f"s3://{BUCKET}/played/weekly/"
        assert f"{folder} belongs to environment dev; this is environment stg" in log
    assert services.glue.get_tables(DatabaseName="report_stg")["TableList"] == []

    before = objects(services, "played/")
    stg.publish("of_stg_weekly", FIRST)
    done = stg.clean_up()
    assert (done["deleted"], done["periods"], done["other_environments"]) == (True, 1, 1)
    assert objects(services, "played/") == before

    done = dev.clean_up()
    assert (done["deleted"], done["periods"], done["other_environments"]) == (True, 1, 1)
    assert objects(services, "played/").keys() < before.keys()
    dev.publish("played_weekly", SECOND)


@pytest.mark.parametrize(
    ("calendar", "period"),
    [
        pytest.param(MONDAYS, "2025-06-09", id="another-first-day"),
        pytest.param(SUNDAYS_OF_UTC, FIRST, id="another-zone"),
    ],
)
def test_a_report_whose_weeks_are_edited_publishes_under_a_new_name_only(
    dev: Deployment,
    services: Services,
    plays: list[Play],
    calendar: Calendar,
    period: str,
    request: pytest.FixtureRequest,
) -> None:
    name = request.node.callspec.id.replace("-", "_")
    dag_id = f"{name}_weekly"
    dev.edit(name, SUNDAYS)
    dev.publish(dag_id, FIRST, SECOND)

    dev.edit(name, calendar)
    log = dev.refusal(dag_id, period)
    folder = f"s3://{BUCKET}/{name}/weekly/"
    assert f"{folder} holds periods of report {name}, {SUNDAYS.message}" in log
    assert f"report {name}, {calendar.message}, would reuse the same period ids" in log
    for week in (FIRST, SECOND):
        assert read_table(services, dag_id, week) == ranking(plays, week)

    dev.edit(name, SUNDAYS)
    dev.edit(f"{name}_anew", calendar)
    dev.publish(dag_id, THIRD)
    dev.publish(f"{name}_anew_weekly", period)
    assert read_table(services, f"{name}_anew_weekly", period) == ranking(
        plays, period, calendar.timezone
    )
    for week in (FIRST, SECOND, THIRD):
        assert read_table(services, dag_id, week) == ranking(plays, week)
