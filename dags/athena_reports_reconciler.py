"""
# Reconciler

Stops queries of the reports that nobody waits for any more, which a killed process left behind: of an Airflow DAG run
that has ended, timed out or was deleted, or that has submitted a newer one. Usually there are none.

**Schedule.** Every ten minutes.

**Input.** The latest 250 query executions of the workgroup that this environment submitted, and the runs they name.

**Rerun.** At any time.

**Permissions.** Athena on the workgroup: ListQueryExecutions, BatchGetQueryExecution, StopQueryExecution.
"""

from athena_reports import build_reconciler

athena_reports_reconciler = build_reconciler(doc=__doc__)
