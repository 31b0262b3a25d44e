from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports import RetentionPolicy, build_cleanup, build_reconciler, build_restatement


def test_the_contract_of_the_reconciler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_ENV", "stg")
    monkeypatch.setenv("ATHENA_REPORTS_AWS_CONN_ID", "aws_reports")
    monkeypatch.setenv("ATHENA_REPORTS_PAUSED", "true")
    dag: Any = build_reconciler(timedelta(minutes=3), doc="# Reconciler")

    (task,) = dag.tasks
    assert (dag.dag_id, task.task_id) == ("athena_reports_reconciler", "stop_unwanted_queries")
    assert (task.workgroup, task.environment, task.aws_conn_id) == ("stg", "stg", "aws_reports")
    assert dag.doc_md == "# Reconciler"
    assert dag.tags == {"athena-reports-maintenance", "stg"}
    assert dag.start_date == datetime(2025, 1, 1, tzinfo=UTC)
    assert dag.is_paused_upon_creation is True


def test_one_reconciliation_at_a_time_and_none_that_outlives_the_next() -> None:
    dag: Any = build_reconciler(timedelta(minutes=3))

    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.dagrun_timeout == timedelta(minutes=3)
    assert dag.tasks[0].retries == 0  # the next one comes soon
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.timetable == dag.timetable


def test_the_contract_of_the_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_ENV", "stg")
    policy = RetentionPolicy(keep_versions=1)
    dag: Any = build_cleanup(policy, delete=True, doc="# Cleanup")

    (task,) = dag.tasks
    assert (dag.dag_id, task.task_id) == ("athena_reports_cleanup", "clean_up")
    given = task.python_callable.keywords
    assert (given["bucket"], given["database"]) == ("athena-report-stg", "report_stg")
    assert (given["policy"], given["delete"]) == (policy, True)
    listing: Any = build_cleanup()
    assert listing.tasks[0].python_callable.keywords["delete"] is False
    assert (dag.doc_md, dag.max_active_runs) == ("# Cleanup", 1)


def test_the_contract_of_the_restatement() -> None:
    dag: Any = build_restatement(doc="# Restatement")

    assert (dag.dag_id, dag.task_ids) == ("athena_reports_restatement", ["find", "restate"])
    assert dag.params.dump() == {"stale": False}
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable == dag.timetable


@pytest.mark.parametrize("build", [build_reconciler, build_cleanup, build_restatement])
def test_a_backfill_is_refused(build: Any) -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(build()))

    assert "backfill" not in stored.allowed_run_types
    assert {"scheduled", "manual"} <= set(stored.allowed_run_types)
