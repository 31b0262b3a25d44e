"""
# Page visits

Which pages had most visits in a week or a month of Asia/Tokyo, and how far each moved.

**Schedule.** The weekly Airflow DAG runs on Sundays, the monthly one on the 1st, at 00:05 in
Asia/Tokyo.

**Input.** `kept_visits`, partitioned by the UTC date on which a visit landed (`dt`).

**Rerun.** Any run may be cleared at any time.

**Permissions.** Athena; read `kept_visits`; write the query results and the report bucket.
"""

from datetime import timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

from athena_reports import (
    LONG_QUERY_TIMEOUT,
    Column,
    Input,
    Report,
    RetryPolicy,
    build_dag,
    checks,
    monthly,
    transforms,
    weekly,
)

team = SnsNotifier(
    target_arn="arn:aws:sns:us-east-1:123456789012:reports-{{ alert.environment }}",
    subject="{{ alert.subject }}",
    message="{{ alert.message }}",
)

page_visits = Report(
    name="page_visits",
    sql="page_visits.sql",
    owner="analytics",
    since="2026-01-04",
    late_by=timedelta(days=20),
    params={"top": 10},
    transform=transforms.movement(),
    inputs=[Input("kept_visits", "dt", previous=True, missing="partial")],
    columns={
        "rank": Column("bigint", "1 for the page with most visits"),
        "page": Column("varchar", "its path"),
        "visits": Column("bigint", "number of visits within the period", unit="visits"),
        "previous_rank": Column("bigint", "its rank in the previous period; NULL for a new one"),
        "movement": Column("varchar", "new, up 3, down 3 or same"),
    },
    key=["page"],
    outputs=["parquet", "csv", "jsonl"],
    checks=[
        checks.not_null("rank", "visits"),
        checks.in_range("visits", at_least=1),
        checks.change("rows", within=0.5, severity="warn"),
    ],
    doc=__doc__,
)

page_visits_weekly = build_dag(
    page_visits,
    weekly("sunday", "Asia/Tokyo"),
    on_failure=[team],
    due=timedelta(hours=3),
    on_late=[team],
    on_warning=[team],
)
page_visits_monthly = build_dag(
    page_visits,
    monthly("Asia/Tokyo"),
    params={"top": 100},
    wait=LONG_QUERY_TIMEOUT,
    retry=RetryPolicy(retries=5),
)
