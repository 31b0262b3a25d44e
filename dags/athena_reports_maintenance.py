"""
# Maintenance of the reports

Two Airflow DAGs maintain the reports:

- `athena_reports_restatement` runs a provisional period again when its late events have arrived.
  Trigger it with the param `stale` to also rerun periods whose SQL reads a restated period. Repeat
  this until it finds none. It triggers each version of a period once.
- `athena_reports_cleanup` updates Glue partitions and `latest.json` to match their manifest after a
  crash. It lists old versions. With `delete=True`, it deletes them; review the lists of a few days
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
