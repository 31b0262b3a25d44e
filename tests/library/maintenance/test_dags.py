from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports import build_cleanup, build_reconciler, build_restatement


def test_the_contract_of_the_reconciler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENV": "stg", "AWS_CONN_ID": "aws_reports", "PAUSED": "true"}.items():
        monkeypatch.setenv(f"ATHENA_REPORTS_{name}", value)
    dag: Any = build_reconciler(timedelta(minutes=3), doc="# Reconciler")

    (task,) = dag.tasks
    assert (dag.dag_id, task.task_id) == ("athena_reports_reconciler", "stop_unwanted_queries")
    assert (task.workgroup, task.environment, task.aws_conn_id) == ("stg", "stg", "aws_reports")
    assert (dag.doc_md, dag.tags) == ("# Reconciler", {"athena-reports-maintenance", "stg"})
    assert dag.is_paused_upon_creation
    assert dag.dagrun_timeout == timedelta(minutes=3)  # none outlives the next
    assert task.retries == 0  # the next one comes soon


def test_the_contract_of_the_restatement() -> None:
    dag: Any = build_restatement(doc="# Restatement")

    assert (dag.dag_id, dag.task_ids) == (
        "athena_reports_restatement",
        [
            "find",
            "restate",
            "deliver",
        ],
    )
    assert dag.params.dump() == {"stale": False}
    restate = dag.get_task("restate")
    assert restate.max_active_tis_per_dagrun == 1  # the oldest run comes first
    # A run that an earlier try of the trigger has created is no failure of this one.
    assert restate.partial_kwargs["skip_when_already_exists"] is True


@pytest.mark.parametrize("build", [build_reconciler, build_cleanup, build_restatement])
def test_the_first_run_comes_at_once_and_the_next_ones_at_intervals(build: Any) -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(build(every=timedelta(hours=3))))
    now = datetime(2026, 11, 15, 7, 30, tzinfo=UTC)
    with time_machine.travel(now, tick=False) as clock:
        first = stored.next_dagrun_info(last_automated_run_info=None)
        clock.shift(timedelta(seconds=20))
        second = stored.next_dagrun_info(last_automated_run_info=first)

    assert first is not None
    assert second is not None
    assert (first.run_after, second.run_after) == (now, now + timedelta(hours=3))


@pytest.mark.parametrize("build", [build_reconciler, build_cleanup, build_restatement])
def test_one_runs_at_a_time_and_a_backfill_is_refused(build: Any) -> None:
    dag = build(doc="# What it does")
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))

    assert stored.timetable == dag.timetable
    assert stored.doc_md == "# What it does"
    assert (stored.max_active_runs, stored.catchup) == (1, False)
    assert "backfill" not in stored.allowed_run_types
