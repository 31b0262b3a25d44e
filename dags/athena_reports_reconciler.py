"""
# Reconciler

Stops queries of the reports that nobody waits for any more: of a DAG run that has ended, timed out or was
deleted, or that has submitted a newer one. Usually there are none, because whoever stops a task stops its
query; this Airflow DAG finds what a killed process left behind.

**Schedule.** Every ten minutes.

**Input.** The latest 250 query executions of the workgroup, and the states of the runs that they name.
Queries that the reports of this environment did not submit are not touched.

**Rerun.** At any time.

**Permissions.** Athena on the workgroup: ListQueryExecutions, BatchGetQueryExecution, StopQueryExecution.
"""

from athena_reports import build_reconciler

athena_reports_reconciler = build_reconciler(doc=__doc__)
