"""
# Cleanup

Repairs Glue partitions and `latest.json` that a crash left behind their manifest, and lists old versions. It deletes
them only if this Airflow DAG is built with `delete=True`: read a few days' lists first.

**Schedule.** Daily.

**Input.** Every object of the report bucket, the manifests, and the partitions of the published tables.

**Rerun.** At any time.

**Permissions.** Report bucket: ListBucket, GetObject, PutObject, DeleteObject. Published tables in Glue: GetTable,
GetPartitions, CreatePartition, UpdatePartition.
"""

from athena_reports import build_cleanup

athena_reports_cleanup = build_cleanup(doc=__doc__)
