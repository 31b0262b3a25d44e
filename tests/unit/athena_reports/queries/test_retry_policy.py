"""The retry policies, as Airflow's scheduler reads them from a stored DAG."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization

from athena_reports import STATE_MACHINE_RETRIES, Report, RetryPolicy, build_dag, weekly

FAILED_AT = datetime(2025, 6, 15, tzinfo=UTC)


def pauses(policy: RetryPolicy | None) -> list[float]:
    """The seconds that Airflow waits before each retry of a report's first task."""
    report = Report(name="plays", sql="plays.sql", since="2025-01-01")
    stored = DagSerialization.from_dict(
        DagSerialization.to_dict(build_dag(report, weekly(), retry=policy))
    )
    task: Any = stored.get_task("run_query")
    of_run: Any = {
        "dag_id": "plays_weekly",
        "task_id": "run_query",
        "logical_date": FAILED_AT,
        "end_date": FAILED_AT,
        "state": "running",
    }
    tries: Any = [
        SimpleNamespace(task=task, try_number=n + 1, retry_delay_override=None, **of_run)
        for n in range(task.retries)
    ]
    return [(TaskInstance.next_retry_datetime(each) - FAILED_AT).total_seconds() for each in tries]


def test_the_named_policy_pauses_as_the_machine_did(sql_folder: Path) -> None:
    """Step Functions' retrier: IntervalSeconds 3, BackoffRate 1, MaxAttempts 5."""
    assert pauses(STATE_MACHINE_RETRIES) == [3.0] * 5


@pytest.mark.parametrize(
    "policy", [None, RetryPolicy(retries=4, first_pause=timedelta(seconds=10), factor=3)]
)
def test_pauses_grow_by_the_factor_and_airflow_spreads_them(
    sql_folder: Path, policy: RetryPolicy | None
) -> None:
    expected = policy or RetryPolicy()
    least = [
        expected.first_pause.total_seconds() * expected.factor**number
        for number in range(expected.retries)
    ]
    assert all(low <= pause < 2 * low for low, pause in zip(least, pauses(policy), strict=True))


def test_no_pause_is_longer_than_the_longest(sql_folder: Path) -> None:
    assert max(pauses(RetryPolicy(retries=6, factor=2, longest_pause=timedelta(minutes=1)))) == 60.0
