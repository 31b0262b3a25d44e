"""What people write by hand in place of a report: two DAGs, named by their file."""

import csv
import io
import os
from datetime import timedelta
from pathlib import Path

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.s3 import S3CreateObjectOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain
from pendulum import datetime

RETRY_DELAY = timedelta(seconds=30)
RESULTS = "athena-query-result-dev"
OUTPUT = f"s3://{RESULTS}/"
KEY = "{{ dag.dag_id }}/{{ data_interval_end | ds }}.csv"
SQL = """
{% set period = macros.athena_reports.period(
    dag_run, macros.athena_reports.weekly("sunday", timezone="Asia/Tokyo"), late_days=1) %}
{% set partitions =
    "(" ~ period.previous.partitions("dt") ~ " OR " ~ period.partitions("dt") ~ ")" %}
{% set inputs = {"plays": {"partitions": partitions}} %}
{% include "user_ranking.sql" %}
"""


def as_csv(query_execution_id: str) -> str:
    """Read the CSV, add how far each user has moved, and return a CSV."""
    text = S3Hook().read_key(f"{query_execution_id}.csv", RESULTS)
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        if row["previous_rank"]:
            row["movement"] = int(row["previous_rank"]) - int(row["rank"])
        else:
            row["movement"] = ""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


for cadence, cron in (("weekly", "0 0 * * 0"), ("monthly", "0 0 1 * *")):
    with DAG(
        f"{Path(__file__).stem}_{cadence}",
        description=f"By hand: {cadence}",
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(cron, timezone="Asia/Tokyo"),
        start_date=datetime(2023, 1, 1, tz="Asia/Tokyo"),
        catchup=False,
        is_paused_upon_creation=False,
        default_args={
            "owner": "analytics",
            "retries": 3,
            "retry_delay": RETRY_DELAY,
            "retry_exponential_backoff": True,
        },
        params={
            "top": 100,
            "period": Param("", type="string", title="Period", description_md="Id of the period."),
        },
        tags=["athena-report", cadence, "dev"],
        template_searchpath=os.environ["ATHENA_REPORTS_SQL_FOLDER"],
    ) as dag:
        run_query = AthenaOperator(
            task_id="run_query",
            query=SQL,
            database="database_dev",
            workgroup="dev",
            output_location=OUTPUT,
            sleep_time=1,
        )
        wait_for_query = AthenaSensor(
            task_id="wait_for_query",
            query_execution_id=run_query.output,
            sleep_time=1,
            poke_interval=1,
        )
        transform = PythonOperator(
            task_id="transform", python_callable=as_csv, op_args=[run_query.output]
        )
        publish = S3CreateObjectOperator(
            task_id="publish",
            s3_bucket="athena-report-dev",
            s3_key=KEY,
            data=transform.output,
            replace=True,
        )
        chain(run_query, wait_for_query, transform, publish)
    globals()[dag.dag_id] = dag
