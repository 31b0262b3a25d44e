"""`parse`: reading 200 reports of two cadences each, against the same DAGs written by hand.

Both are read by Airflow's DagBag in one process, in turns, after a first reading that pays for the imports.
The DAGs by hand use the provider's operators with the same schedules, retries, tags, docs and params.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.results import Row, paired

REPORTS = 200
ROUNDS = 7
REQUIRED = 1.15
_ROOT = Path(__file__).resolve().parents[2]
_WORK = Path(__file__).with_name(".work") / "parse"

_OURS = '''"""
# {name}

An Airflow report for the benchmark.
"""

from athena_reports import Report, build_dag, monthly, weekly

report = Report(
    name="{name}", sql="{name}.sql", owner="analytics", since="2025-01-01", params={{"top": 100}}, doc=__doc__
)

weekly_dag = build_dag(report, weekly(first_day="sunday", timezone="Asia/Tokyo"))
monthly_dag = build_dag(report, monthly(timezone="Asia/Tokyo"))
'''

_BY_HAND = '''"""
# {name}

An Airflow report for the benchmark.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.s3 import S3CreateObjectOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable


for cadence, cron in (("weekly", "5 0 * * 0"), ("monthly", "5 0 1 * *")):
    with DAG(
        f"{name}_{{cadence}}",
        description=f"{name}: {{cadence}}",
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(cron, timezone="Asia/Tokyo"),
        start_date=datetime(2025, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
        catchup=False,
        default_args={{
            "owner": "analytics",
            "retries": 3,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
        }},
        params={{"period": Param("", type="string", title="Period", description_md="Id of the period.")}},
        tags=["athena-report", cadence, "dev"],
        template_searchpath="{sql_folder}",
    ) as dag:
        run_query = AthenaOperator(
            task_id="run_query",
            query="{name}.sql",
            database="database_dev",
            workgroup="dev",
            output_location="s3://athena-query-result-dev/",
        )
        wait_for_query = AthenaSensor(
            task_id="wait_for_query", query_execution_id=run_query.output, mode="reschedule"
        )
        transformed = PythonOperator(
            task_id="transform",
            python_callable=str,
            op_args=[run_query.output],
        )
        publish = S3CreateObjectOperator(
            task_id="publish",
            s3_bucket="athena-report-dev",
            s3_key="{name}/{{{{ ds }}}}.csv",
            data=transformed.output,
            replace=True,
        )
        run_query >> wait_for_query >> transformed >> publish
    globals()[dag.dag_id] = dag
'''

# Runs in a process of its own, since Airflow takes its folders from the environment when it is imported.
_MEASURE = """
import json, sys, time
from airflow.dag_processing.dagbag import DagBag

ours, by_hand, rounds, expected = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def parse(folder):
    start = time.perf_counter()
    bag = DagBag(folder)
    seconds = time.perf_counter() - start
    assert not bag.import_errors, bag.import_errors
    assert len(bag.dags) == expected, len(bag.dags)
    return seconds

parse(ours), parse(by_hand)
pairs = [(parse(ours), parse(by_hand)) for _ in range(rounds)]
print(json.dumps(pairs), file=sys.stderr)
"""


def measure() -> Sequence[Row]:
    """Write both sets of DAG files, read them in turns, and compare."""
    shutil.rmtree(_WORK, ignore_errors=True)
    ours, by_hand, sql = (_WORK / name for name in ("ours", "by_hand", "sql"))
    for folder in (ours, by_hand, sql):
        folder.mkdir(parents=True)
    for name in (f"report_{number:03d}" for number in range(REPORTS)):
        (ours / f"{name}.py").write_text(_OURS.format(name=name))
        (by_hand / f"{name}.py").write_text(_BY_HAND.format(name=name, sql_folder=sql))
        shutil.copy(_ROOT / "include" / "sql" / "user_ranking.sql", sql / f"{name}.sql")
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(_WORK / "home"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "ATHENA_REPORTS_SQL_FOLDER": str(sql),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-c", _MEASURE, str(ours), str(by_hand), str(ROUNDS), str(2 * REPORTS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the DAGs could not be read:\n{done.stdout}\n{done.stderr}")
    mine, theirs = zip(*json.loads(done.stderr.splitlines()[-1]), strict=True)
    unit = f"seconds for {REPORTS} reports x 2 cadences"
    return [paired("parse", unit, mine, "DAGs by hand", theirs, REQUIRED)]
