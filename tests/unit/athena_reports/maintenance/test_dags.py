from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports import RetentionPolicy, build_cleanup, build_restatement
from athena_reports.maintenance.cleanup import clean_up_bucket
from athena_reports.settings import Settings


def test_the_contract_of_the_restatement() -> None:
    dag: Any = build_restatement()
    assert dag.task_ids == ["find", "restate", "deliver"]
    assert dag.params.dump() == {"stale": False}
    restate = dag.get_task("restate")
    assert restate.upstream_task_ids == {"find"}
    assert dag.get_task("deliver").upstream_task_ids == {"find"}, "a failed restatement delays none"
    assert restate.partial_kwargs["logical_date"] is None  # Airflow takes one only once of a DAG
    assert restate.max_active_tis_per_dagrun == 1  # the oldest run comes first
    # A run that an earlier try of the trigger has created is no failure of this one.
    assert restate.partial_kwargs["skip_when_already_exists"] is True


@pytest.mark.parametrize("build", [build_cleanup, build_restatement])
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


def test_each_setting_reaches_the_tasks(deployment: Settings) -> None:
    policy = RetentionPolicy(keep_versions=1)
    (clean_up,) = build_cleanup(policy, delete=True).tasks
    restatement: Any = build_restatement()

    assert clean_up.python_callable.func is clean_up_bucket
    assert clean_up.python_callable.keywords == {
        "policy": policy,
        "delete": True,
        "bucket": "acme-reports",
        "database": "reports_db",
        "environment": "stg",
        "bucket_owner": "012345678901",
        "encryption": deployment.encryption,
        "aws_conn_id": "aws_reports",
    }
    find, deliver = (restatement.get_task(task_id) for task_id in ("find", "deliver"))
    assert (find.database, find.aws_conn_id) == ("reports_db", "aws_reports")
    assert (deliver.bucket_owner, deliver.aws_conn_id) == ("012345678901", "aws_reports")


@pytest.mark.parametrize(
    ("build", "name", "every"),
    [
        (build_cleanup, "cleanup", timedelta(days=1)),
        (build_restatement, "restatement", timedelta(minutes=30)),
    ],
)
def test_what_all_maintenance_has_in_common(
    deployment: Settings, build: Any, name: str, every: timedelta
) -> None:
    dag = build(doc="# What it does")
    assert (dag.dag_id, dag.schedule) == (f"athena_reports_{name}", every)
    assert dag.tags == {"athena-reports-maintenance", "stg"}
    assert dag.is_paused_upon_creation
    for task_id in set(dag.task_ids) - {"restate"}:
        assert (dag.get_task(task_id).owner, dag.get_task(task_id).retries) == ("airflow", 1)
    assert dag.dagrun_timeout is None, "a cleanup may take hours"
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.timetable == dag.timetable
    assert stored.doc_md == "# What it does"
    assert (stored.max_active_runs, stored.catchup) == (1, False)
    assert "backfill" not in stored.allowed_run_types


def test_a_cleanup_deletes_nothing_unless_it_is_told_to_and_keeps_as_documented() -> None:
    dag = build_cleanup()
    assert dag.tasks[0].python_callable.keywords["delete"] is False
    assert dag.policy == dag.tasks[0].python_callable.keywords["policy"]
    assert dict(dag.policy) == {"keep_versions": 3, "keep_days": 90, "abandoned_after_days": 7}
    policy = RetentionPolicy(keep_days=30)
    assert build_cleanup(policy).policy == policy
