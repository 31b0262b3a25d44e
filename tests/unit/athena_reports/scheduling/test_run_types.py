from typing import Any

from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.types import DagRunType

from athena_reports.scheduling.run_types import ALL_BUT_BACKFILLS


def test_a_dag_beside_the_reports_takes_every_run_but_one_of_a_backfill() -> None:
    dag = DAG("beside", schedule="@daily", allowed_run_types=ALL_BUT_BACKFILLS)
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag))

    refused = [kind for kind in DagRunType if kind not in stored.allowed_run_types]
    assert refused == [DagRunType.BACKFILL_JOB]
    # By name too, as a member of another value would not show above.
    assert {"scheduled", "manual"} <= set(stored.allowed_run_types)
