"""`max_scan`: a query that would scan more than the report allows is not started."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_local.services import Services
from demo.plays import PlaysSpec
from tests.integration.runner import load_dags, manifest_of, run_dag

REPORT = """
from airflow.sdk import DAG
from athena_reports import Input, Report, build_dag, weekly

limited = Report(
    name="limited", sql="limited.sql", since="2025-01-01", inputs=[Input("plays", "dt", previous=True)], max_scan="{}",
)
limited_weekly = build_dag(limited, weekly("sunday", "Asia/Tokyo"))
"""
SQL = """SELECT user_id, SUM(score) AS score FROM plays
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }} GROUP BY user_id ORDER BY user_id
"""


def executions(services: Services) -> int:
    pages = services.athena.get_paginator("list_query_executions").paginate(WorkGroup="dev")
    return sum(len(page["QueryExecutionIds"]) for page in pages)


def test_the_first_period_is_published_and_a_larger_one_is_refused_before_it_is_paid(
    services: Services, plays_lake: PlaysSpec, sql_folder: Path, tmp_path: Path
) -> None:
    (sql_folder / "limited.sql").write_text(SQL)
    (tmp_path / "limited.py").write_text(REPORT.format("1 kB"))
    dag = load_dags(tmp_path / "limited.py")["limited_weekly"]
    first = manifest_of(services.s3, run_dag(dag, period="2025-06-08"))
    scanned, before = first["query"]["scanned_bytes"], executions(services)
    assert scanned > 1000

    with pytest.raises(AirflowFailException) as refused:
        run_dag(dag, period="2025-06-15")
    assert executions(services) == before
    assert f"would scan about {scanned:,} bytes (median of 2025-06-08); max_scan is 1,000" in str(refused.value)

    (tmp_path / "limited.py").write_text(REPORT.format(f"{scanned} B"))
    run_dag(load_dags(tmp_path / "limited.py")["limited_weekly"], period="2025-06-15")
    assert executions(services) == before + 1
