"""What a run reads, where it publishes, and what its manifest says."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import DAG

from athena_reports import AthenaSubmitOperator
from athena_reports_cli.local.services import Services
from tests.support.airflow_run import DagRun
from tests.support.dag_files import load_dags
from tests.support.local_athena import column_bytes, facts_of_query
from tests.support.paths import ROOT
from tests.support.published import manifest_of, object_of
from tests.support.reports import WEEK_COLUMNS, carriers
from tests.support.task_runner import run_dag

WEEK_OF_NEW_YORK = [
    dt.datetime(2013, 3, day, tzinfo=ZoneInfo("America/New_York")) for day in (4, 11)
]


@pytest.mark.usefixtures("plays_lake")
def test_a_week_reads_exactly_the_partitions_of_its_two_weeks(
    services: Services, dags_folder: Path
) -> None:
    dag = load_dags(dags_folder / "top_users.py")["top_users_weekly"]
    xcoms = run_dag(dag, period="2025-03-09")
    # The two Tokyo weeks run from 2025-03-01 15:00 to 2025-03-15 15:00 UTC;
    # events land up to a day later.
    expected = {(dt.date(2025, 3, 1) + dt.timedelta(days=n)).isoformat() for n in range(16)}
    facts = facts_of_query(services, xcoms.values["run_query", "return_value"])
    (scan,) = facts["scans"]
    assert {partition["dt"] for partition in scan["partitions"]} == expected
    assert xcoms.values["wait_for_query", "return_value"]["scanned_bytes"] == sum(
        column_bytes(services.s3, f"plays/dt={day}/part-0.parquet", WEEK_COLUMNS)
        for day in expected
    )


PAGE = (ROOT / "docs" / "how-to" / "write-a-dag-by-hand.md").read_text(encoding="utf-8")


def code(language: str) -> str:
    """The example of the page on hand-written DAGs in one language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


@pytest.mark.usefixtures("flights_lake")
def test_the_documented_dag_written_by_hand_reports(services: Services, tmp_path: Path) -> None:
    (tmp_path / "by_hand.py").write_text(code("python"))
    (dag,) = load_dags(tmp_path / "by_hand.py").values()
    manifest = manifest_of(services.s3, run_dag(dag, period="2013-03-04"))
    flown = sum(row["flights"] for row in carriers(*WEEK_OF_NEW_YORK))
    assert object_of(services.s3, manifest, "csv") == f"flights\n{flown}\n".encode()


@pytest.mark.usefixtures("flights_lake")
def test_the_macros_give_any_dag_its_period(services: Services) -> None:
    with DAG("with_macros", schedule=None) as dag:
        AthenaSubmitOperator(
            task_id="run_query", query=code("sql"), database="database_dev", workgroup="dev"
        )
    run = DagRun.manual(dt.datetime(2013, 7, 3, tzinfo=dt.UTC))
    xcoms = run_dag(dag, run, period="2013-03-04")
    query = services.athena.get_query_execution(
        QueryExecutionId=xcoms.values["run_query", "return_value"]
    )["QueryExecution"]["Query"]
    # The first Monday of that March in New York began at 05:00 UTC; its week has 167 hours.
    assert "time_hour >= TIMESTAMP '2013-03-04 05:00:00.000'" in query
    assert "time_hour < TIMESTAMP '2013-03-11 04:00:00.000'" in query
