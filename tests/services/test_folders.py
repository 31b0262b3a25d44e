"""A bucket that two environments name: the second one is kept out of the folders of the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.task_runner import run_dag

REPORT = """
from airflow.sdk import DAG
from athena_reports import Report, build_dag, weekly

plays = Report(name="{name}", sql="{name}.sql", since="2025-01-01")
dag = build_dag(plays, weekly("sunday", "Asia/Tokyo"))
"""
FIRST, SECOND = "2025-06-08", "2025-06-15"
BUCKET = "shared-reports"


def objects(services: Services) -> dict[str, bytes]:
    s3 = services.s3
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def test_a_second_environment_pays_no_query_and_overwrites_nothing(
    services: Services, sql_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )
    for environment in ("dev", "stg"):
        database: Any = {"Name": f"shared_reports_{environment}"}
        services.glue.create_database(DatabaseInput=database)

    def dag_of(environment: str, plays: int, name: str = "plays") -> DAG:
        """A report of a deployment that reads what dev reads, and shares the bucket."""
        names = {
            "ENV": environment,
            "DATABASE": "database_dev",
            "WORKGROUP": "dev",
            "QUERY_RESULTS": "s3://athena-query-result-dev/",
            "BUCKET": BUCKET,
            "REPORT_DATABASE": f"shared_reports_{environment}",
        }
        for variable, value in names.items():
            monkeypatch.setenv(f"ATHENA_REPORTS_{variable}", value)
        settings.cache_clear()
        sql = f"SELECT '{{{{ period.id }}}}' AS id, {plays} AS plays"
        (sql_folder / f"{name}.sql").write_text(sql)
        file = tmp_path / f"{name}.py"
        file.write_text(REPORT.format(name=name))
        (dag,) = load_dags(file).values()
        return dag

    run_dag(dag_of("dev", plays=1), period=FIRST)
    published, paid = objects(services), count_queries(services)
    for period in (FIRST, SECOND):
        with pytest.raises(AirflowFailException) as refused:
            run_dag(dag_of("stg", plays=2), period=period)
        assert "belongs to environment dev; this is environment stg" in str(refused.value)
        assert (objects(services), count_queries(services)) == (published, paid)
    run_dag(dag_of("dev", plays=3), period=FIRST)

    run_dag(dag_of("stg", plays=1, name="plays_stg"), period=FIRST)
    calendar = json.loads(objects(services)["plays_stg/weekly/calendar.json"])
    assert calendar["environment"] == "stg"
