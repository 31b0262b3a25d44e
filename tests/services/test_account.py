"""The first run of a report: what the account lacks is named, and no query is paid."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from athena_reports.settings import settings
from athena_reports_cli.local.services import Services
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.task_runner import run_dag

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
REPORT = """
from airflow.sdk import DAG
from athena_reports import Input, Report, build_dag, weekly

inputs = [Input("plays", "dt")]
first = Report(name="first_{}", sql="plays_of_users.sql", since="2025-01-01", inputs=inputs)
first_weekly = build_dag(first, weekly("sunday", "Asia/Tokyo"))
"""
SQL = """SELECT user_id, COUNT(*) AS plays FROM plays
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }}
GROUP BY user_id ORDER BY user_id
"""
NO_BUCKET = "there-is-no-such-bucket"
# A wrong value of a setting, what is then missing, and the way out.
WRONG = {
    "WORKGROUP": ("absent", "workgroup absent", "ATHENA_REPORTS_WORKGROUP"),
    "BUCKET": (NO_BUCKET, f"report bucket {NO_BUCKET}", "Create the bucket"),
}


@pytest.mark.parametrize("variable", WRONG)
@pytest.mark.usefixtures("plays_lake")
def test_a_first_run_pays_no_query_where_something_is_missing(
    variable: str,
    services: Services,
    sql_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value, name, way_out = WRONG[variable]
    (sql_folder / "plays_of_users.sql").write_text(SQL)
    file, dag_id = tmp_path / "first.py", f"first_{variable.lower()}_weekly"
    file.write_text(REPORT.format(variable.lower()))
    before = count_queries(services)
    monkeypatch.setenv(f"ATHENA_REPORTS_{variable}", value)
    dag = load_dags(file)[dag_id]
    with pytest.raises(AirflowException) as refused:
        run_dag(dag, period="2025-06-08")
    assert count_queries(services) == before
    assert name in str(refused.value)
    assert way_out in str(refused.value)

    monkeypatch.delenv(f"ATHENA_REPORTS_{variable}")
    settings.cache_clear()
    run_dag(load_dags(file)[dag_id], period="2025-06-08")
    assert count_queries(services) == before + 1
