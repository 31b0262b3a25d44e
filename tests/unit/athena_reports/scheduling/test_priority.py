"""Which tasks of a report's DAG go first when a pool is full."""

from itertools import pairwise
from typing import Any

from athena_reports import build_dag, weekly
from tests.support.airflow_run import TaskInstance
from tests.support.declared import MakeReport


def test_the_schedule_goes_before_backfills_and_what_runs_before_what_waits(
    make_report: MakeReport,
) -> None:
    dag: Any = build_dag(make_report(), weekly("sunday", "Asia/Tokyo"))

    def weight(task_id: str, kind: str) -> int:
        task = dag.get_task(task_id)
        return int(
            task.weight_rule.get_weight(
                TaskInstance(task=task, run_id=f"{kind}__2025-06-08T00:00:00+00:00")
            )
        )

    submits, begun = ["run_query"], ["wait_for_query", "transform", "publish"]
    order = [
        {weight(task_id, kind) for task_id in task_ids}
        for kind in ("backfill", "scheduled")
        for task_ids in (submits, begun)
    ]
    assert all(max(later) < min(sooner) for later, sooner in pairwise(order))
    assert {weight("run_query", "manual")} == order[2]
    assert {weight("run_query", "fill")} == order[0]
