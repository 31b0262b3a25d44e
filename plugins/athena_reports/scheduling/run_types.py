"""Which kinds of runs the DAGs beside the reports take."""

from airflow.utils.types import DagRunType

# A maintenance DAG would do today's work many times over, and a DAG that alerts would tell of
# each old period.
ALL_BUT_BACKFILLS = tuple(kind.value for kind in DagRunType if kind is not DagRunType.BACKFILL_JOB)
