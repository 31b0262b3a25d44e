"""
# Maintenance of the reports

- `athena_reports_reconciler` stops queries that nobody waits for any more, which a killed process left behind: of an
  Airflow DAG run that has ended, timed out or was deleted, or that has submitted a newer one. Usually there are none.
- `athena_reports_restatement` reports provisional periods again once all their late events can have landed. Trigger it
  with the param `stale` to report also periods whose SQL reads a period that was restated since; repeat until it finds
  nothing. It triggers each version of a period once.
- `athena_reports_cleanup` repairs Glue partitions and `latest.json` that a crash left behind their manifest, and lists
  old versions. It deletes them only if it is built with `delete=True`: read a few days' lists first.

**Schedule.** Every ten minutes, every 30 minutes, daily.

**Input.** The latest 250 query executions of the workgroup that this environment submitted, and their runs; every
object of the report bucket, the manifests, and the partitions of the published tables.

**Rerun.** At any time.

**Permissions.** Athena on the workgroup: ListQueryExecutions, BatchGetQueryExecution, StopQueryExecution. Bucket of
reports: ListBucket, GetObject, PutObject, DeleteObject. Published tables in Glue: GetTables, GetTable, GetPartitions,
CreatePartition, UpdatePartition.
"""

from athena_reports import build_cleanup, build_reconciler, build_restatement

athena_reports_reconciler = build_reconciler(doc=__doc__)
athena_reports_restatement = build_restatement(doc=__doc__)
athena_reports_cleanup = build_cleanup(doc=__doc__)
