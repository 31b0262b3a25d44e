"""What a backfill of ours is compared with: the DAG that people write by hand, and one that does nothing.

Both have the weeks of `user_ranking_weekly`, and as many tasks. The hand-written one runs the same query.
"""

import csv
import io
import os

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.s3 import S3CreateObjectOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, chain
from pendulum import datetime

RESULTS = "athena-query-result-dev"

SQL = """
{% set period = macros.athena_reports.period(
    dag_run, macros.athena_reports.weekly("sunday", timezone="Asia/Tokyo"), late_days=1) %}
{% include "user_ranking.sql" %}
"""


def as_csv(query_execution_id: str) -> str:
    """Read the CSV, add how far each user has moved, and return a CSV."""
    text = S3Hook().read_key(f"{query_execution_id}.csv", RESULTS)
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        before = row["previous_rank"]
        row["movement"] = str(int(before) - int(row["rank"])) if before else ""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def do_nothing() -> None:
    """Do nothing."""


def weekly(dag_id: str) -> DAG:
    """A DAG with a run per week of Tokyo."""
    return DAG(
        dag_id,
        schedule=CronDataIntervalTimetable("0 0 * * 0", timezone="Asia/Tokyo"),
        start_date=datetime(2023, 1, 1, tz="Asia/Tokyo"),
        catchup=False,
        is_paused_upon_creation=False,
        params={"top": 100},
        template_searchpath=os.environ["ATHENA_REPORTS_SQL_FOLDER"],
    )


with weekly("by_hand_1s"):
    run_query = AthenaOperator(
        task_id="run_query",
        query=SQL,
        database="database_dev",
        workgroup="dev",
        output_location=f"s3://{RESULTS}/",
        sleep_time=1,
    )
    wait_for_query = AthenaSensor(
        task_id="wait_for_query", query_execution_id=run_query.output, sleep_time=1, poke_interval=1
    )
    transform = PythonOperator(task_id="transform", python_callable=as_csv, op_args=[run_query.output])
    publish = S3CreateObjectOperator(
        task_id="publish",
        s3_bucket="athena-report-dev",
        s3_key="by_hand_1s/{{ data_interval_end | ds }}.csv",
        data=transform.output,
        replace=True,
    )
    chain(run_query, wait_for_query, transform, publish)

with weekly("nothing"):
    chain(*[PythonOperator(task_id=f"nothing_{number}", python_callable=do_nothing) for number in range(4)])
