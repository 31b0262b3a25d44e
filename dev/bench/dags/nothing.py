"""As many tasks as a weekly report has, which do nothing."""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, chain
from pendulum import datetime

with DAG(
    "nothing_weekly",
    schedule=CronDataIntervalTimetable("0 0 * * 0", timezone="Asia/Tokyo"),
    start_date=datetime(2023, 1, 1, tz="Asia/Tokyo"),
    catchup=False,
    is_paused_upon_creation=False,
):
    ids = [f"nothing_{number}" for number in range(4)]
    chain(*[PythonOperator(task_id=id_, python_callable=lambda: None) for id_ in ids])
