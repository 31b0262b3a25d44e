"""`preview`: what it says before a run is what the run then does, and it publishes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports_cli.local.services import Services
from demo.plays import PlaysSpec
from tests.support.dag_files import load_dags
from tests.support.published import manifest_of, rows_of
from tests.support.shell import Shell
from tests.support.task_runner import run_dag

MONTH = "2025-05"
pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output


def stored(services: Services, bucket: str, prefix: str = "") -> dict[str, int]:
    pages = services.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}


def test_what_is_shown_is_what_the_run_does(
    shell: Shell, services: Services, plays_lake: PlaysSpec, dags_folder: Path
) -> None:
    before = stored(services, "athena-report-dev", "top_users/monthly/")
    seen = shell.json("preview", "top_users", MONTH, "--run")
    assert stored(services, "athena-report-dev", "top_users/monthly/") == before

    dag = load_dags(dags_folder / "top_users.py")["top_users_monthly"]
    manifest = manifest_of(services.s3, run_dag(dag, period=MONTH))
    execution = services.athena.get_query_execution(QueryExecutionId=manifest["query"]["id"])[
        "QueryExecution"
    ]
    assert seen["sql"] in execution["Query"]
    assert seen["period"] == manifest["period"]
    assert (
        seen["trial"]["scanned_bytes"]
        == manifest["query"]["scanned_bytes"]
        <= seen["estimate"]["bytes"]
    )
    rows = rows_of(services.s3, manifest, "parquet")
    assert seen["trial"]["rows"] == len(rows)
    names = list(seen["trial"]["columns"])
    shown = [dict(zip(names, row, strict=True)) for row in seen["trial"]["first_rows"]]
    assert shown == [
        {name: value and str(value) for name, value in row.items()} for row in rows[:10]
    ]
    assert [check["passed"] for check in seen["trial"]["checks"]] == [True]

    # Once periods are published, they say what the next one scans.
    again = shell.json("preview", "top_users_monthly", MONTH)
    assert again["trial"] is None
    assert again["estimate"]["bytes"] == manifest["query"]["scanned_bytes"]
    assert again["estimate"]["basis"] == f"median of {MONTH}"
