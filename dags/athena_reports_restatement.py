"""
# Restatement

Reports provisional periods again once all their late events can have landed. Trigger this Airflow DAG with the param
`stale` to report also periods whose SQL reads a period that was restated since; repeat until it finds nothing.

**Schedule.** Every 30 minutes.

**Input.** The partitions of the published tables.

**Rerun.** At any time; a period is triggered once for each version of it.

**Permissions.** Glue: GetTables and GetPartitions on the database of the published tables.
"""

from athena_reports import build_restatement

athena_reports_restatement = build_restatement(doc=__doc__)
