"""`max_scan`: a query that would scan more than the report allows is not started."""

from __future__ import annotations

import json
from collections.abc import Callable
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


Declare = Callable[[str, str], Path]


@pytest.fixture
def declare(
    shell: Shell,
    plays_lake: PlaysSpec,
    sql_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Declare:
    """Writes the only report of the DAGs folder, with a limit; returns its file."""
    dags = tmp_path / "dags"
    dags.mkdir()
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(dags))
    (sql_folder / "limited.sql").write_text(SQL)

    def declare(name: str, max_scan: str) -> Path:
        file = dags / f"{name}.py"
        file.write_text(report(name, max_scan))
        return file

    return declare


def publish(services: Services, file: Path, period: str) -> int:
    """Run a period, and return the bytes that it scanned."""
    dag = load_dags(file)[f"{file.stem}_weekly"]
    scanned = manifest_of(services.s3, run_dag(dag, period=period))["query"]["scanned_bytes"]
    assert scanned > 1000
    return int(scanned)


def test_a_preview_is_refused_as_its_run_is_and_still_shown(
    shell: Shell, services: Services, declare: Declare
) -> None:
    file = declare("previewed", "1 kB")
    scanned = publish(services, file, "2025-06-08")
    before = count_queries(services)
    with pytest.raises(AirflowFailException) as refused:
        run_dag(load_dags(file)["previewed_weekly"], period="2025-06-15")

    code, _ = shell("preview", "previewed", "2025-06-15", "--run")
    assert code == 1
    assert "FROM plays" in shell.output
    assert "Nothing was run. A run of this period would be refused." in shell.output
    assert str(refused.value) in " ".join(shell.output.split())

    code, _ = shell("preview", "previewed", "2025-06-15", "--run", "--json")
    assert code == 1
    shown = json.loads(shell.output)
    assert shown["trial"] is None
    assert (shown["estimate"]["bytes"], shown["max_scan"]) == (scanned, 1000)

    shown = shell.json("preview", "previewed", "2025-06-15")
    assert shown["refused"] == str(refused.value)
    assert count_queries(services) == before


def test_a_plan_is_refused_before_any_of_its_periods_is_paid(
    shell: Shell, services: Services, declare: Declare
) -> None:
    file = declare("planned", "1 GB")
    scanned = max(publish(services, file, period) for period in ("2025-06-08", "2025-06-15"))
    before = count_queries(services)

    declare("planned", "1 kB")
    code, problem = shell("plan", "planned", "--yes")
    assert code == 1
    assert "planned_weekly, period 2025-06-08" in problem
    assert "max_scan is 1,000. No query was started." in problem
    assert shell.output == ""
    assert count_queries(services) == before

    declare("planned", f"{scanned} B")
    assert shell("plan", "planned", "--yes")[0] == 0
    assert count_queries(services) == before + 2
