"""Whose a report's folder is: other environments and other calendars are kept out of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from athena_reports import RetentionPolicy, build_cleanup
from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.published import manifest_of
from tests.support.task_runner import run_dag

REPORT = """
from airflow.sdk import DAG
from athena_reports import Report, build_dag, {unit}

plays = Report(name="{name}", sql="{name}.sql", since="2025-01-01")
dag = build_dag(plays, {cadence})
"""
BY_HAND = """
from datetime import UTC, datetime
from functools import partial
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, XComArg
from athena_reports import (
    AthenaSubmitOperator, AthenaWaitSensor, Recipe, S3PublishOperator, transform_result, weekly
)

with DAG(
    "by_hand", schedule=None, params={{"period": Param("", type=["null", "string"])}}
) as dag:
    run_query = AthenaSubmitOperator(
        task_id="run_query", query="SELECT '{{{{ period.id }}}}' AS id, 2 AS plays",
        cadence={cadence}, database="database_dev", workgroup="dev",
        output_location="s3://athena-query-result-dev/",
    )
    submitted = XComArg(run_query, key="submitted")
    wait = AthenaWaitSensor(
        task_id="wait_for_query", query_execution_id=run_query.output, submitted=submitted
    )
    transform = PythonOperator(
        task_id="transform",
        python_callable=partial(
            transform_result, recipe=Recipe(report="{name}", bucket="{bucket}", formats=["csv"])
        ),
        op_kwargs={{"query": wait.output, "submitted": submitted}},
    )
    publish = S3PublishOperator(
        task_id="publish", prepared=transform.output, submitted=submitted, bucket="{bucket}",
        report="{name}", environment="{environment}",
    )
    run_query >> wait >> transform >> publish
"""
SUNDAYS = "weekly('sunday', 'Asia/Tokyo')"
FIRST, SECOND = "2025-06-08", "2025-06-15"
_numbers = count(1)


class Shared:
    """A bucket that several environments name, and the DAGs of their reports."""

    def __init__(self, services: Services, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.services = services
        self.folder = folder
        self.patch = patch
        self.number = next(_numbers)
        self.bucket = f"shared-reports-{self.number}"
        for environment in ("dev", "stg"):
            database: Any = {"Name": self.database(environment)}
            services.glue.create_database(DatabaseInput=database)
        services.s3.create_bucket(
            Bucket=self.bucket,
            CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"},
        )

    def database(self, environment: str) -> str:
        return f"shared_reports_{self.number}_{environment}"

    def enter(self, environment: str) -> None:
        """Be a deployment of an environment that reads what dev reads, and shares the bucket."""
        names = {
            "ENV": environment,
            "DATABASE": "database_dev",
            "WORKGROUP": "dev",
            "QUERY_RESULTS": "s3://athena-query-result-dev/",
            "BUCKET": self.bucket,
            "REPORT_DATABASE": self.database(environment),
        }
        for name, value in names.items():
            self.patch.setenv(f"ATHENA_REPORTS_{name}", value)
        settings.cache_clear()

    def dag(
        self, environment: str, cadence: str = SUNDAYS, name: str = "plays", plays: int = 1
    ) -> DAG:
        self.enter(environment)
        sql = f"SELECT '{{{{ period.id }}}}' AS id, {plays} AS plays"
        (self.folder / "sql" / f"{name}.sql").write_text(sql)
        file = self.folder / f"{name}.py"
        unit = cadence.partition("(")[0]
        file.write_text(REPORT.format(name=name, unit=unit, cadence=cadence))
        (dag,) = load_dags(file).values()
        return dag

    def by_hand(self, environment: str, cadence: str = SUNDAYS) -> DAG:
        file = self.folder / "by_hand.py"
        text = BY_HAND.format(
            cadence=cadence, name="plays", bucket=self.bucket, environment=environment
        )
        file.write_text(text)
        return load_dags(file)["by_hand"]

    def objects(self) -> dict[str, bytes]:
        s3 = self.services.s3
        listed = s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = [item["Key"] for item in listed]
        return {key: s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, body: bytes) -> None:
        self.services.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def calendar(self, folder: str = "plays/weekly") -> Any:
        return json.loads(self.objects()[f"{folder}/calendar.json"])

    def forget_calendar(self) -> None:
        """Make the folder one of a release without calendars."""
        self.services.s3.delete_object(Bucket=self.bucket, Key="plays/weekly/calendar.json")

    def refused(self, dag: DAG, period: str) -> str:
        """Run a DAG that pays no query and changes nothing, and return why."""
        objects, queries = self.objects(), count_queries(self.services)
        with pytest.raises(AirflowFailException) as refused:
            run_dag(dag, period=period)
        assert count_queries(self.services) == queries
        assert self.objects() == objects
        return str(refused.value)


@pytest.fixture
def shared(
    services: Services, sql_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Shared:
    services.prepare("stg")
    return Shared(services, tmp_path, monkeypatch)


def test_the_first_run_says_whose_folder_it_is(shared: Shared) -> None:
    run_dag(shared.dag("dev"), period=FIRST)
    assert shared.calendar() == {
        "calendar_format": 1,
        "environment": "dev",
        "report": "plays",
        "cadence": {"unit": "weekly", "timezone": "Asia/Tokyo", "first_day": "sunday"},
    }


def test_a_second_environment_pays_no_query_and_overwrites_nothing(shared: Shared) -> None:
    run_dag(shared.dag("dev"), period=FIRST)
    for period in (FIRST, SECOND):
        message = shared.refused(shared.dag("stg", plays=2), period)
        assert "belongs to environment dev; this is environment stg" in message
    run_dag(shared.dag("dev", plays=3), period=FIRST)

    run_dag(shared.dag("stg", name="plays_stg"), period=FIRST)
    assert shared.calendar("plays_stg/weekly")["environment"] == "stg"


def test_a_dag_that_is_written_by_hand_publishes_nothing_there(shared: Shared) -> None:
    run_dag(shared.dag("dev"), period=FIRST)
    before = shared.objects()
    for environment, cadence, says in (
        ("stg", SUNDAYS, "belongs to environment dev; this is environment stg"),
        ("dev", "weekly('sunday', 'UTC')", "holds periods of report plays, Weekly from Sunday"),
    ):
        dag = shared.by_hand(environment, cadence)
        for period in (FIRST, SECOND):
            with pytest.raises(AirflowFailException, match=says):
                run_dag(dag, period=period)
            after = shared.objects()
            uploaded = {key for key in after.keys() - before.keys() if "/versions/" in key}
            assert {key: body for key, body in after.items() if key not in uploaded} == before

    dag = shared.by_hand("dev")
    for period in (FIRST, SECOND):
        run_dag(dag, period=period)


@pytest.mark.parametrize(
    ("old", "new", "period", "says"),
    [
        (
            SUNDAYS,
            "weekly('monday', 'Asia/Tokyo')",
            "2025-06-09",
            "Weekly from Monday, Asia/Tokyo",
        ),
        (
            "monthly('Asia/Tokyo')",
            "monthly('UTC')",
            "2025-05",
            "Monthly, UTC",
        ),
    ],
)
def test_another_kind_of_period_pays_no_query_and_needs_a_new_name(
    shared: Shared, old: str, new: str, period: str, says: str
) -> None:
    run_dag(shared.dag("dev", old), period="2025-05" if "month" in old else FIRST)
    message = shared.refused(shared.dag("dev", new), period)
    assert f"report plays, {says}, would reuse the same period ids" in message
    run_dag(shared.dag("dev", new, name="plays_anew"), period=period)
    run_dag(shared.dag("dev", old), period="2025-04" if "month" in old else SECOND)


def test_a_calendar_of_which_nothing_is_published_can_be_deleted(shared: Shared) -> None:
    """A first run that failed has claimed the folder."""
    broken = shared.dag("dev", plays=1)
    broken.get_task("run_query").query = "SELECT no_such_column FROM no_such_table"
    with pytest.raises(AirflowFailException):
        run_dag(broken, period=FIRST)
    mondays = shared.dag("dev", "weekly('monday', 'Asia/Tokyo')")
    message = shared.refused(mondays, "2025-06-09")
    assert f"delete s3://{shared.bucket}/plays/weekly/calendar.json instead" in message
    shared.forget_calendar()
    run_dag(mondays, period="2025-06-09")


def test_what_a_newer_release_wrote_is_not_overwritten(shared: Shared) -> None:
    run_dag(shared.dag("dev"), period=FIRST)
    published = shared.objects()
    newer = shared.dag("dev", plays=2)
    for name in ("latest.json", f"{FIRST}/manifest.json", "calendar.json"):
        key = f"plays/weekly/{name}"
        document = json.loads(published[key])
        format_field = "calendar_format" if name == "calendar.json" else "manifest_format"
        assert document[format_field] == 1
        document[format_field] = 2
        body = json.dumps(document).encode()
        shared.put(key, body)

        with pytest.raises(AirflowFailException) as refused:
            run_dag(newer, period=FIRST)
        message = str(refused.value)
        assert f"s3://{shared.bucket}/{key} is not a document of this report" in message
        assert shared.objects()[key] == body
        for each, content in published.items():
            shared.put(each, content)


Cleaned = Callable[[str], Mapping[str, Any]]


@pytest.fixture
def cleaned(shared: Shared) -> Cleaned:
    """Lets an environment remove all that it may, in more than a year."""

    def cleaned(environment: str) -> Mapping[str, Any]:
        shared.enter(environment)
        dag = build_cleanup(RetentionPolicy(keep_versions=0, keep_days=1), delete=True)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
            result: Mapping[str, Any] = run_dag(dag).values["clean_up", "return_value"]
        return result

    return cleaned


def test_a_cleanup_touches_the_folders_of_its_own_environment_only(
    shared: Shared, cleaned: Cleaned, caplog: pytest.LogCaptureFixture
) -> None:
    for plays in (1, 2):
        run_dag(shared.dag("dev", plays=plays), period=FIRST)
        run_dag(shared.dag("stg", name="plays_stg", plays=plays), period=FIRST)
    before = shared.objects()

    done = cleaned("stg")
    removed = before.keys() - shared.objects().keys()
    assert removed
    assert {key.split("/")[0] for key in removed} == {"plays_stg"}
    assert (done["periods"], done["other_environments"]) == (1, 1)
    assert f"s3://{shared.bucket}/plays/weekly/ belongs to environment dev" in caplog.text

    done = cleaned("dev")
    assert (done["periods"], done["other_environments"]) == (1, 1)
    removed = before.keys() - removed - shared.objects().keys()
    assert {key.split("/")[0] for key in removed} == {"plays"}


def test_a_cleanup_leaves_tables_of_another_bucket_alone(shared: Shared, cleaned: Cleaned) -> None:
    """Others own what is there."""
    for plays in (1, 2):
        run_dag(shared.dag("dev", plays=plays), period=FIRST)
    elsewhere = f"elsewhere-{shared.number}"
    shared.services.s3.create_bucket(
        Bucket=elsewhere, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    for key, body in shared.objects().items():
        moved = key.replace("plays/", "moved/")
        body = body.replace(b"plays/", b"moved/").replace(
            shared.bucket.encode(), elsewhere.encode()
        )
        shared.services.s3.put_object(Bucket=elsewhere, Key=moved, Body=body)
    glue, database = shared.services.glue, shared.database("dev")
    (table,) = glue.get_tables(DatabaseName=database)["TableList"]
    storage = table["StorageDescriptor"] | {"Location": f"s3://{elsewhere}/moved/weekly/"}
    foreign: Any = {
        "Name": "moved_weekly",
        "Parameters": table["Parameters"],
        "PartitionKeys": table["PartitionKeys"],
        "StorageDescriptor": storage,
    }
    glue.create_table(DatabaseName=database, TableInput=foreign)
    before = shared.objects().keys()

    cleaned("dev")
    assert before - shared.objects().keys()
    listed = shared.services.s3.list_objects_v2(Bucket=elsewhere)["Contents"]
    assert {each["Key"].replace("moved/", "plays/") for each in listed} == before


def test_a_period_that_another_environment_has_overwritten_is_listed_and_kept(
    shared: Shared, cleaned: Cleaned
) -> None:
    """A release without calendars did that."""
    for plays in (1, 2):
        manifest = manifest_of(
            shared.services.s3, run_dag(shared.dag("dev", plays=plays), period=FIRST)
        )
        run_dag(shared.dag("dev", plays=plays), period=SECOND)
    foreign = {name: value for name, value in manifest.items() if name != "bucket"}
    foreign["environment"] = "stg"
    key = f"plays/weekly/{FIRST}/manifest.json"
    body = json.dumps(foreign).encode()
    shared.put(key, body)
    before = shared.objects()

    says = "belongs to environment stg; its folder belongs to dev"
    with pytest.raises(Exception, match=says) as listed:
        cleaned("dev")
    assert f"s3://{shared.bucket}/{key}" in str(listed.value)
    removed = before.keys() - shared.objects().keys()
    assert removed
    assert {key.split("/")[2] for key in removed} == {SECOND}
