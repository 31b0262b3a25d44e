"""`check-account`, and the first run of a report: what is missing is named,
and no query is paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_local.services import Services
from athena_reports.settings import settings
from demo.plays import PlaysSpec
from tests.support.dag_files import load_dags
from tests.support.local_athena import count_queries
from tests.support.rest_api import TOKEN, RestApi, rest_api
from tests.support.shell import Shell
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
    "QUERY_RESULTS": (
        f"s3://{NO_BUCKET}/",
        f"query results s3://{NO_BUCKET}/",
        "Create the bucket",
    ),
    "BUCKET": (NO_BUCKET, f"report bucket {NO_BUCKET}", "Create the bucket"),
    "REPORT_DATABASE": ("absent", "report database absent", "Create the database"),
}


@pytest.fixture
def reports(
    services: Services, plays_lake: PlaysSpec, flights_lake: None, dags_folder: Path
) -> None:
    """The reports of the tests, with all that they need."""


@pytest.mark.usefixtures("reports")
def test_what_the_settings_name_is_there_and_nothing_is_left_behind(
    shell: Shell, services: Services
) -> None:
    found = {each["name"]: each["problem"] for each in shell.json("check-account")}
    assert set(found.values()) == {""}
    assert {
        "workgroup dev",
        "report bucket athena-report-dev",
        "table database_dev.plays",
    } <= found.keys()
    assert not services.s3.list_multipart_uploads(Bucket="athena-report-dev").get("Uploads")


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("variable", [*WRONG, "DATABASE"])
def test_what_is_missing_is_named_alone(
    variable: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, name, way_out = WRONG.get(variable, ("absent", "table absent.", "not found"))
    monkeypatch.setenv(f"ATHENA_REPORTS_{variable}", value)
    code, printed = shell("check-account")
    assert code == 1
    missing = [line.removeprefix("✗ ") for line in printed.splitlines() if line.startswith("✗")]
    assert missing
    assert all(line.startswith(name) for line in missing)
    assert way_out in printed


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


@pytest.mark.usefixtures("reports")
def test_without_a_region_the_way_out_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    code, printed = shell("check-account")
    assert code == 1
    assert "Set AWS_DEFAULT_REGION" in printed


@pytest.fixture
def airflow() -> Iterator[RestApi]:
    """An Airflow that has one pool."""
    with rest_api({"GET /api/v2/pools/athena": HTTPStatus.OK}) as api:
        yield api


@pytest.mark.usefixtures("reports")
def test_the_pool_is_looked_for_in_airflow(
    airflow: RestApi, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_POOL", "athena")
    code, printed = shell("check-account", "--airflow", airflow.url)
    assert code == 1
    assert "AIRFLOW_TOKEN is not set" in printed
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    pool = shell.json("check-account", "--airflow", airflow.url)[-1]
    assert (pool["name"], pool["problem"]) == ("pool athena", "")
    settings.cache_clear()
    monkeypatch.setenv("ATHENA_REPORTS_POOL", "absent")
    code, printed = shell("check-account", "--airflow", airflow.url)
    assert code == 1
    assert "ATHENA_REPORTS_POOL" in printed
