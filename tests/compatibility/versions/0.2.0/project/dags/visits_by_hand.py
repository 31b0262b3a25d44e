"""How many visits there were in a week: an Airflow DAG written by hand."""

from datetime import UTC, datetime
from functools import partial

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, XComArg

from athena_reports import (
    AthenaSubmitOperator,
    AthenaWaitSensor,
    PeriodTimetable,
    Recipe,
    S3PublishOperator,
    settings,
    transform_result,
    weekly,
)

weeks = weekly("monday", timezone="UTC")
deployment = settings.settings()

with DAG(
    "visits_by_hand",
    schedule=PeriodTimetable(weeks),
    start_date=datetime(2026, 1, 5, tzinfo=UTC),
    catchup=False,
    params={"period": Param("", type=["null", "string"])},
) as dag:
    run_query = AthenaSubmitOperator(
        task_id="run_query",
        query="""
            SELECT COUNT(*) AS visits FROM kept_visits
            WHERE {{ period.partitions("dt") }} AND {{ period.contains("visited_at") }}
        """,
        cadence=weeks,
        database=deployment.database,
        workgroup=deployment.workgroup,
    )
    submitted = XComArg(run_query, key="submitted")
    wait_for_query = AthenaWaitSensor(
        task_id="wait_for_query", query_execution_id=run_query.output, submitted=submitted
    )
    recipe = Recipe(report="visits_by_hand", bucket=deployment.report_bucket, formats=["csv"])
    transform = PythonOperator(
        task_id="transform",
        python_callable=partial(transform_result, recipe=recipe),
        op_kwargs={"query": wait_for_query.output, "submitted": submitted},
    )
    publish = S3PublishOperator(
        task_id="publish",
        prepared=transform.output,
        submitted=submitted,
        bucket=deployment.report_bucket,
        report="visits_by_hand",
        environment=deployment.environment,
    )
    run_query >> wait_for_query >> transform >> publish
