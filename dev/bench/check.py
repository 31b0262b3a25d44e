"""`check`: 50 reports of two cadences, each with its table and SQL; engine start included."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from athena_reports_cli.authoring.source_tables import TableSchema, write_tables
from bench.local_airflow import ROOT, WORK
from bench.results import Row

REPORTS = 50
ROUNDS = 3
LIMIT_SECONDS = 10.0
TABLE = TableSchema(
    environment="dev",
    columns={
        "event_id": "string",
        "user_id": "string",
        "user_name": "string",
        "score": "bigint",
        "played_at": "timestamp",
    },
    partition_keys={"dt": "string"},
)
_CHECK = [sys.executable, "-m", "athena_reports_cli", "check"]


def measure() -> Sequence[Row]:
    project = write_project(WORK / "check", [f"ranking_{number}" for number in range(REPORTS)])
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(_CHECK, cwd=project, check=True)
        seconds.append(time.perf_counter() - start)
    unit = f"seconds for {REPORTS} reports x 2 cadences"
    return [Row.of("check", unit, median(seconds), {"limit": LIMIT_SECONDS}, to=LIMIT_SECONDS)]


def write_project(project: Path, reports: Sequence[str]) -> Path:
    """Write a project of copies of the reference report with these names, golden files included."""
    shutil.rmtree(project, ignore_errors=True)
    for folder in ("dags", "include/sql", "plugins"):
        (project / folder).mkdir(parents=True)
    # In an installation Airflow finds the plugin by its entry point.
    shutil.copy(ROOT / "plugins" / "athena_reports_plugin.py", project / "plugins")
    (project / "pyproject.toml").write_text("[tool.athena-reports]\n")
    dag_file = (ROOT / "dags" / "user_ranking.py").read_text()
    sql = (ROOT / "include" / "sql" / "user_ranking.sql").read_text()
    tables = {}
    for number, report in enumerate(reports):
        table = f"plays_{number}"
        tables[table] = TABLE
        text = dag_file.replace("user_ranking", report).replace('"plays", "dt"', f'"{table}", "dt"')
        (project / "dags" / f"{report}.py").write_text(text)
        text = sql.replace("FROM plays", f"FROM {table}").replace("inputs.plays", f"inputs.{table}")
        (project / "include" / "sql" / f"{report}.sql").write_text(text)
    write_tables(tables, project)
    subprocess.run([*_CHECK, "--renew"], cwd=project, check=True)
    return project
