"""`max_scan`: a query that would scan more than the report allows, by its published periods, is not started."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_local.services import Services
from demo.plays import PlaysSpec
from tests.integration.conftest import Shell
from tests.integration.runner import load_dags, manifest_of, run_dag

REPORT = """
from airflow.sdk import DAG
from athena_reports import Input, Report, build_dag, weekly

limited = Report(
    name="{name}",
    sql="limited.sql",
    since="2025-01-01",
    inputs=[Input("plays", "dt", previous=True)],
    max_scan="{most}",
)
limited_weekly = build_dag(limited, weekly("{first_day}", "Asia/Tokyo"))
"""
SQL = """SELECT user_id, SUM(score) AS score FROM plays
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }} GROUP BY user_id ORDER BY user_id
"""


def report(most: str, name: str = "limited", first_day: str = "sunday") -> str:
    return REPORT.format(most=most, name=name, first_day=first_day)


def executions(services: Services) -> int:
    pages = services.athena.get_paginator("list_query_executions").paginate(WorkGroup="dev")
    return sum(len(page["QueryExecutionIds"]) for page in pages)


def test_the_first_period_is_published_and_a_larger_one_is_refused_before_it_is_paid(
    services: Services, plays_lake: PlaysSpec, sql_folder: Path, tmp_path: Path
) -> None:
    (sql_folder / "limited.sql").write_text(SQL)
    (tmp_path / "limited.py").write_text(report("1 kB"))
    dag = load_dags(tmp_path / "limited.py")["limited_weekly"]
    first = manifest_of(services.s3, run_dag(dag, period="2025-06-08"))
    scanned, before = first["query"]["scanned_bytes"], executions(services)
    assert scanned > 1000

    with pytest.raises(AirflowFailException) as refused:
        run_dag(dag, period="2025-06-15")
    assert executions(services) == before
    assert f"would scan about {scanned:,} bytes (median of 2025-06-08); max_scan is 1,000" in str(refused.value)

    (tmp_path / "limited.py").write_text(report(f"{scanned} B"))
    run_dag(load_dags(tmp_path / "limited.py")["limited_weekly"], period="2025-06-15")
    assert executions(services) == before + 1


@pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
def test_weeks_that_were_published_before_first_day_was_changed_are_left_out(
    shell: Shell,
    services: Services,
    plays_lake: PlaysSpec,
    sql_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    (sql_folder / "limited.sql").write_text(SQL)
    file = tmp_path / "moved.py"
    file.write_text(report("1 kB", "moved"))
    run_dag(load_dags(file)["moved_weekly"], period="2025-06-08")

    file.write_text(report("1 kB", "moved", "monday"))
    dag = load_dags(file)["moved_weekly"]
    unknown = shell.json("preview", "moved", "2025-06-09")["estimate"]
    assert unknown["basis"].startswith("every column of the partitions: no period is published yet")
    code, printed = shell("plan", "moved", "--yes")
    assert code == 1
    assert "No period of moved_weekly (Weekly from Monday, Asia/Tokyo) is published in Glue" in printed
    first = manifest_of(services.s3, run_dag(dag, period="2025-06-09"))

    scanned, before = first["query"]["scanned_bytes"], executions(services)
    with pytest.raises(AirflowFailException, match=rf"{scanned:,} bytes \(median of 2025-06-09\); max_scan is 1,000"):
        run_dag(dag, period="2025-06-16")
    seen = shell.json("preview", "moved", "2025-06-16")["estimate"]
    assert (seen["bytes"], seen["basis"]) == (scanned, "median of 2025-06-09")
    assert executions(services) == before
    (planned,) = shell.json("plan", "moved", "--yes")["periods"]
    assert (planned["period"], planned["rows"]) == ("2025-06-09", first["rows"])
