"""What the commands for authors know of a report is what its DAG carries, and what its run does."""

from pathlib import Path
from typing import Any

import pytest

from athena_reports import Cadence, Input, build_dag, daily, monthly, quarterly, weekly, yearly
from athena_reports.authors.report_files import DeclaredReport, declared_reports, find_report
from athena_reports.publication.location import PeriodLocation
from tests.support.airflow_run import DagRun, context
from tests.support.declared import MakeReport
from tests.support.virtual_clock import START as NOW

SQL = """
SELECT '{{ period.id }}' AS id, {{ params.top }} AS top FROM plays
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }}
"""
FILE = """
# For Airflow.
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from airflow.sdk import DAG

from athena_reports import Report, build_dag, monthly, weekly

report = Report(name="plays", sql="plays.sql", since="2025-01-01")
plays_weekly = build_dag(report, weekly("monday"))
plays_monthly = build_dag(report, monthly())
by_hand = DAG("by_hand", schedule=None, tags=["athena-report"])


@dataclass
class OfTheTeam:
    names: ClassVar[list[str]]
"""


@pytest.mark.parametrize(
    "cadence", [daily("Asia/Tokyo"), weekly("monday"), monthly(), quarterly(), yearly()], ids=str
)
def test_the_sql_is_that_of_the_run(
    cadence: Cadence, make_report: MakeReport, sql_folder: Path
) -> None:
    (sql_folder / "plays.sql").write_text(SQL)
    report = make_report(params={"top": 100}, inputs=[Input("plays", "dt", previous=True)])
    dag = build_dag(report, cadence, params={"top": 5})
    period = cadence.last_complete(NOW)

    task: Any = dag.get_task("run_query")
    run = DagRun(data_interval_start=period.start_utc, data_interval_end=period.end_utc)
    task.render_template_fields(context(run), dag.get_template_env())
    assert DeclaredReport(dag).sql(period) == task.query.strip()
    assert f"'{period.id}' AS id, 5 AS top" in task.query


@pytest.mark.parametrize("outputs", [["parquet"], ["csv"]])
def test_it_is_published_where_the_run_publishes_it(
    outputs: list[str], make_report: MakeReport
) -> None:
    weeks = weekly("sunday")
    dag = build_dag(make_report(outputs=outputs), weeks)
    declared = DeclaredReport(dag)
    publish: Any = dag.get_task("publish")
    period = weeks.period("2025-06-08")

    location = PeriodLocation.of(publish.bucket, publish.report, period)
    assert (declared.location, declared.prefix) == (location.report, location.report.folder_uri)
    assert (declared.database, declared.logic) == (publish.database, publish.logic)


def test_reports_are_the_dags_that_were_built_and_no_others(
    sql_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sql_folder / "plays.sql").write_text("SELECT 1")
    (tmp_path / "plays.py").write_text(FILE)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))

    found = declared_reports()
    assert found.problems == []
    assert [declared.dag.dag_id for declared in found.reports] == ["plays_weekly", "plays_monthly"]
    declared, period = find_report("plays", "2025-05", found)
    assert (declared.dag.dag_id, period) == ("plays_monthly", monthly().period("2025-05"))
