"""
# User ranking

Who scored the most in a week or month in Asia/Tokyo, and how far each user moved since the previous
one.

**Schedule.** The weekly Airflow DAG runs on Sundays, the monthly one on the 1st, at 00:05 in
Asia/Tokyo.

**Input.** `plays`, partitioned by the UTC date on which the event landed (`dt`). Events land at
most a day late. A period that is published earlier is provisional. A period with missing partitions
is marked as partial.

**Rerun.** Any run may be cleared at any time: it reports the same period again. For one
period, trigger the DAG with the param `period`. For several, start a backfill. Runs do not depend
on each other.

**Permissions.** Athena; read `plays` in Glue and S3; read and write the query results and the
report bucket.
"""

from datetime import timedelta

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

user_ranking = Report(
    name="user_ranking",
    sql="user_ranking.sql",
    owner="analytics",
    since="2025-01-01",
    late_by=timedelta(days=1),
    params={"top": 100},
    transform=transforms.movement(),
    inputs=[Input("plays", "dt", previous=True, missing="partial")],
    columns={
        "rank": Column(
            "bigint", "1 for the highest score; equal scores are ordered by plays, then by user_id"
        ),
        "user_id": Column("varchar", "the user"),
        "user_name": Column("varchar", "the latest name within the period; NULL if there was none"),
        "score": Column("bigint", "sum of the scores within the period", unit="points"),
        "plays": Column("bigint", "number of plays within the period"),
        "previous_rank": Column(
            "bigint", "rank among all users of the previous period; NULL for a newcomer"
        ),
        "movement": Column("varchar", "new, up 3, down 3 or same"),
    },
    key=["user_id"],
    checks=[
        checks.not_null("rank", "score"),
        checks.in_range("plays", at_least=1),
        checks.change("rows", within=0.5, severity="warn"),
    ],
    doc=__doc__,
)

user_ranking_weekly = build_dag(
    user_ranking, weekly("sunday", "Asia/Tokyo"), run_timeout=timedelta(hours=3)
)
user_ranking_monthly = build_dag(
    user_ranking,
    monthly("Asia/Tokyo"),
    params={"top": 1000},
    wait=LONG_QUERY_TIMEOUT,
    retry=RetryPolicy(retries=5),
    run_timeout=timedelta(hours=12),
)
