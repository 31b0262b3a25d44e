"""`max_scan`: a query that would scan more than the report allows is not started."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from athena_reports_cli.local.services import Services
from demo.plays import PlaysSpec
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.published import manifest_of
from tests.support.shell import Shell
from tests.support.task_runner import run_dag

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
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
limited_weekly = build_dag(limited, weekly("sunday", "Asia/Tokyo"))
"""
SQL = """SELECT user_id, SUM(score) AS score FROM plays
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }}
GROUP BY user_id ORDER BY user_id
"""


def report(name: str, most: str) -> str:
    return REPORT.format(most=most, name=name)


def test_the_first_period_is_published_and_a_larger_one_is_refused_before_it_is_paid(
    services: Services, plays_lake: PlaysSpec, sql_folder: Path, tmp_path: Path
) -> None:
    (sql_folder / "limited.sql").write_text(SQL)
    (tmp_path / "limited.py").write_text(report("limited", "1 kB"))
    dag = load_dags(tmp_path / "limited.py")["limited_weekly"]
    first = manifest_of(services.s3, run_dag(dag, period="2025-06-08"))
    scanned, before = first["query"]["scanned_bytes"], count_queries(services)
    assert scanned > 1000

    with pytest.raises(AirflowFailException) as refused:
        run_dag(dag, period="2025-06-15")
    assert count_queries(services) == before
    assert f"would scan about {scanned:,} bytes (median of 2025-06-08); max_scan is 1,000" in str(
        refused.value
    )

    (tmp_path / "limited.py").write_text(report("limited", f"{scanned} B"))
    run_dag(load_dags(tmp_path / "limited.py")["limited_weekly"], period="2025-06-15")
    assert count_queries(services) == before + 1


def test_a_plan_is_refused_before_any_of_its_periods_is_paid(
    shell: Shell,
    services: Services,
    plays_lake: PlaysSpec,
    sql_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "dags" / "planned.py"
    file.parent.mkdir()
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(file.parent))
    (sql_folder / "limited.sql").write_text(SQL)
    file.write_text(report("planned", "1 GB"))
    dag = load_dags(file)["planned_weekly"]
    manifests = [
        manifest_of(services.s3, run_dag(dag, period=period))
        for period in ("2025-06-08", "2025-06-15")
    ]
    scanned = max(manifest["query"]["scanned_bytes"] for manifest in manifests)
    before = count_queries(services)

    file.write_text(report("planned", "1 kB"))
    code, problem = shell("plan", "planned", "--yes")
    assert code == 1
    assert "planned_weekly, period 2025-06-08" in problem
    assert "max_scan is 1,000. No query was started." in problem
    assert shell.output == ""
    assert count_queries(services) == before

    file.write_text(report("planned", f"{scanned} B"))
    assert shell("plan", "planned", "--yes")[0] == 0
    assert count_queries(services) == before + 2
