"""
# Maintenance of the reports

- `athena_reports_reconciler` stops queries that a killed process left behind. Their Airflow DAG run
  has ended, timed out, was deleted, or has submitted a newer query. Usually there are none.
- `athena_reports_restatement` reports a provisional period again when its late events have landed.
  Trigger it with the param `stale` to also repeat periods whose SQL reads a period that was
  restated. Repeat that until it finds nothing. It triggers each version of a period once.
- `athena_reports_cleanup` lets Glue partitions and `latest.json` follow their manifest after a
  crash. It lists old versions. With `delete=True` it deletes them: read the lists of a few days
  first.

**Schedule.** Every ten minutes, every 30 minutes, daily.

**Input.** The latest 250 query executions of the workgroup, and the runs that submitted them. All
objects of the report bucket, and the partitions of the published tables.

**Rerun.** At any time.

**Permissions.** Athena on the workgroup: ListQueryExecutions, BatchGetQueryExecution,
GetQueryExecution, StopQueryExecution. Bucket of reports: ListBucket, GetObject, PutObject,
DeleteObject. Published tables in Glue: GetTables, GetTable, GetPartitions, CreatePartition,
UpdatePartition.
"""

from athena_reports import build_cleanup, build_reconciler, build_restatement

athena_reports_reconciler = build_reconciler(doc=__doc__)
athena_reports_restatement = build_restatement(doc=__doc__)
athena_reports_cleanup = build_cleanup(doc=__doc__)
