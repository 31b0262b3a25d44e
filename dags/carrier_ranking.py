"""
# Carrier ranking

Which airline flew the most out of New York City in a week or month in America/New_York.

| column | meaning |
| --- | --- |
| `rank` | 1 for the most flights; equal numbers are ordered by `carrier` |
| `carrier` | two-letter code of the airline |
| `flights` | flights that departed |
| `distance_miles` | sum of their distances |
| `mean_arrival_delay_minutes` | mean delay of the flights that arrived, rounded to 0.01 |

**Schedule.** The weekly Airflow DAG covers Monday to Sunday, the monthly one a calendar month, in
America/New_York. The data ends in 2013, so nothing runs on schedule. Backfill the periods, or
trigger one with the param `period`.

**Input.** `flights`, partitioned by the UTC date of the scheduled departure (`dt`). The lake has
data for 2013. The periods at either end are marked as partial.

**Rerun.** Any run may be cleared at any time: it reports the same period again.

**Permissions.** Athena; read `flights` in Glue and S3; read and write the query results and the
report bucket.
"""

from athena_reports import Input, Report, build_dag, checks, monthly, weekly

carrier_ranking = Report(
    name="carrier_ranking",
    sql="carrier_ranking.sql",
    owner="analytics",
    since="2013-01-01",
    until="2013-12-31",
    inputs=[Input("flights", "dt", missing="partial")],
    key=["carrier"],
    checks=[checks.rows(at_least=10, at_most=30, severity="warn")],
    doc=__doc__,
)

carrier_ranking_weekly = build_dag(carrier_ranking, weekly("monday", "America/New_York"))
carrier_ranking_monthly = build_dag(carrier_ranking, monthly("America/New_York"))
