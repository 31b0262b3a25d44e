"""
# Restatement

Reports periods again whose numbers have changed since: a period that was published while late events could
still land, once they all have. What changed is in the manifest of the new version.

Periods whose SQL reads the period before, such as a ranking with the previous rank, are stale when that one
was restated. Trigger this Airflow DAG with the param `stale` to report these again too, in order; or fill
them on the Reports page. One whose rows change by that makes the period after it stale in turn: trigger it
again until it finds nothing.

**Schedule.** Every 30 minutes.

**Input.** The partitions of the published tables.

**Rerun.** At any time; a period is triggered once for each version of it.

**Permissions.** Glue: GetTables and GetPartitions on the database of the published tables.
"""

from athena_reports import build_restatement

athena_reports_restatement = build_restatement(doc=__doc__)
