"""
# Upkeep

Looks after what the reports have published: Glue partitions and `latest.json` that a crash left behind their
manifest are repaired, and old versions may go. This Airflow DAG only lists what may go until it is built with
`delete=True`; read a few days' lists first.

**Schedule.** Daily.

**Input.** Every object of the report bucket, the manifests, and the partitions of the published tables.

**Rerun.** At any time; it looks at what is there.

**Permissions.** Report bucket: ListBucket, GetObject, PutObject, DeleteObject. Glue: GetTable, GetPartitions,
CreatePartition, UpdatePartition on the published tables.
"""

from athena_reports import build_upkeep

athena_reports_upkeep = build_upkeep(doc=__doc__)
