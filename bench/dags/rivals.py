"""What a backfill of ours is compared with: the DAG that people write by hand, and one that does nothing.

Both have the weeks of `user_ranking_weekly`, and as many tasks. The hand-written one runs the same query.
"""

import csv
import io

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.s3 import S3CreateObjectOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, chain
from pendulum import datetime

RESULTS = "athena-query-result-dev"

SQL = """
{%- set end = data_interval_end.in_timezone("Asia/Tokyo").start_of("day") %}
{%- set start = end.subtract(days=7) %}
{%- set before = end.subtract(days=14) %}
{%- macro instant(moment) %}TIMESTAMP '{{ moment.in_timezone("UTC").to_datetime_string() }}'{% endmacro %}
{%- macro utc_day(moment) %}'{{ moment.in_timezone("UTC").to_date_string() }}'{% endmacro %}
WITH events AS (
    SELECT user_id, user_name, score, played_at, event_id, played_at >= {{ instant(start) }} AS is_current
    FROM plays
    WHERE dt BETWEEN {{ utc_day(before) }} AND {{ utc_day(end.add(days=1)) }}
        AND played_at >= {{ instant(before) }} AND played_at < {{ instant(end) }}
),
totals AS (
    SELECT
        user_id,
        MAX_BY(user_name, ROW(played_at, event_id))
            FILTER (WHERE is_current AND user_name IS NOT NULL) AS user_name,
        SUM(score) FILTER (WHERE is_current) AS score,
        COUNT(*) FILTER (WHERE is_current) AS plays,
        SUM(score) FILTER (WHERE NOT is_current) AS previous_score,
        COUNT(*) FILTER (WHERE NOT is_current) AS previous_plays
    FROM events
    GROUP BY user_id
),
ranked AS (
    SELECT
        user_id, user_name, score, plays, previous_plays,
        ROW_NUMBER() OVER (ORDER BY score DESC NULLS LAST, plays DESC, user_id ASC) AS current_rank,
        ROW_NUMBER() OVER (ORDER BY previous_score DESC NULLS LAST, previous_plays DESC, user_id ASC)
            AS rank_before
    FROM totals
)
SELECT current_rank AS "rank", user_id, user_name, score, plays,
    CASE WHEN previous_plays > 0 THEN rank_before END AS previous_rank
FROM ranked
WHERE plays > 0 AND current_rank <= 100
ORDER BY current_rank
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
        schedule=CronDataIntervalTimetable("5 0 * * 0", timezone="Asia/Tokyo"),
        start_date=datetime(2023, 1, 1, tz="Asia/Tokyo"),
        catchup=False,
        is_paused_upon_creation=False,
    )


def by_hand(dag_id: str, **polling: int) -> None:
    """The DAG that people write; without `polling` with the provider's defaults."""
    with weekly(dag_id):
        run_query = AthenaOperator(
            task_id="run_query",
            query=SQL,
            database="database_dev",
            workgroup="dev",
            output_location=f"s3://{RESULTS}/",
            **({"sleep_time": polling["seconds"]} if polling else {}),
        )
        wait_for_query = AthenaSensor(
            task_id="wait_for_query",
            query_execution_id=run_query.output,
            **({"poke_interval": polling["seconds"]} if polling else {}),
        )
        transform = PythonOperator(task_id="transform", python_callable=as_csv, op_args=[run_query.output])
        publish = S3CreateObjectOperator(
            task_id="publish",
            s3_bucket="athena-report-dev",
            s3_key=f"{dag_id}/{{{{ data_interval_end | ds }}}}.csv",
            data=transform.output,
            replace=True,
        )
        chain(run_query, wait_for_query, transform, publish)


by_hand("by_hand")
by_hand("by_hand_1s", seconds=1)

with weekly("nothing"):
    chain(*[PythonOperator(task_id=f"nothing_{number}", python_callable=do_nothing) for number in range(4)])
