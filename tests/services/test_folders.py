"""Whose a report's folder is: other environments and other calendars are kept out of it."""

from __future__ import annotations

import json
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

    def objects(self) -> dict[str, bytes]:
        s3 = self.services.s3
        listed = s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = [item["Key"] for item in listed]
        return {key: s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, body: bytes) -> None:
        self.services.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

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


def test_a_second_environment_pays_no_query_and_overwrites_nothing(shared: Shared) -> None:
    run_dag(shared.dag("dev"), period=FIRST)
    for period in (FIRST, SECOND):
        message = shared.refused(shared.dag("stg", plays=2), period)
        assert "belongs to environment dev; this is environment stg" in message
    run_dag(shared.dag("dev", plays=3), period=FIRST)

    run_dag(shared.dag("stg", name="plays_stg"), period=FIRST)
    calendar = json.loads(shared.objects()["plays_stg/weekly/calendar.json"])
    assert calendar["environment"] == "stg"


def test_another_kind_of_period_pays_no_query_and_needs_a_new_name(shared: Shared) -> None:
    mondays = "weekly('monday', 'Asia/Tokyo')"
    run_dag(shared.dag("dev"), period=FIRST)
    message = shared.refused(shared.dag("dev", mondays), "2025-06-09")
    assert "report plays, Weekly from Monday, Asia/Tokyo, would reuse" in message
    run_dag(shared.dag("dev", mondays, name="plays_anew"), period="2025-06-09")
    run_dag(shared.dag("dev"), period=SECOND)


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


def test_a_period_that_another_environment_has_overwritten_is_listed_and_kept(
    shared: Shared,
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

    cleanup = build_cleanup(RetentionPolicy(keep_versions=0, keep_days=1), delete=True)
    says = "belongs to environment stg; its folder belongs to dev"
    with (
        time_machine.travel(datetime.now(UTC) + timedelta(days=400)),
        pytest.raises(Exception, match=says) as listed,
    ):
        run_dag(cleanup)
    assert f"s3://{shared.bucket}/{key}" in str(listed.value)
    removed = before.keys() - shared.objects().keys()
    assert removed
    assert {key.split("/")[2] for key in removed} == {SECOND}
