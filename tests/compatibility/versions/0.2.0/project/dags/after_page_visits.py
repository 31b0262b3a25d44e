"""An Airflow DAG that starts when all weeks of a month are published."""

from airflow.sdk import DAG, task

from athena_reports import monthly, weekly, when_published

WEEKS = weekly("sunday", "Asia/Tokyo")
MONTHS = monthly("Asia/Tokyo")


@task
def published(partition_key=None):
    return partition_key


with DAG("after_page_visits", schedule=when_published("page_visits", WEEKS, all_of=MONTHS)):
    published()
