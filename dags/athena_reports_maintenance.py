"""
# Maintenance of the reports

Two Airflow DAGs keep the reports in order:

- `athena_reports_restatement` reports a provisional period again when its late events have landed.
  Trigger it with the param `stale` to also repeat periods whose SQL reads a period that was
  restated. Repeat that until it finds nothing. It triggers each version of a period once.
- `athena_reports_cleanup` lets Glue partitions and `latest.json` follow their manifest after a
  crash. It lists old versions. With `delete=True` it deletes them: read the lists of a few days
  first.

**Schedule.** Every 30 minutes, daily.

**Input.** All objects of the report bucket, and the partitions of the published tables.

**Rerun.** At any time.

**Permissions.** Bucket of reports: ListBucket, GetObject, PutObject, DeleteObject. Published tables
in Glue: GetTables, GetTable, GetPartitions, CreatePartition, UpdatePartition.
"""

from athena_reports import build_cleanup, build_restatement

athena_reports_restatement = build_restatement(doc=__doc__)
athena_reports_cleanup = build_cleanup(doc=__doc__)
