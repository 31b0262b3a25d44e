"""The reconciler's decisions;
tests/services/test_scenarios.py and tests/world show it at work.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from athena_reports.aws.s3 import S3
from athena_reports.maintenance.reconcile import GRACE, AthenaReconcileOperator
from athena_reports.queries.lease import LIFETIME
from tests.support.airflow_run import TaskInstance
from tests.support.aws_errors import api_error
from tests.support.memory_athena import MemoryAthena, Plan
from tests.support.retried import raises_retried
from tests.support.submissions import of_author, start_sql, submission
from tests.support.submissions import start as start_all
from tests.support.virtual_clock import VirtualClock

ENDED = "run-ended"


@pytest.fixture(autouse=True)
def _endless(athena: MemoryAthena) -> None:
    athena.plan = lambda _: Plan.endless()


def start(athena: MemoryAthena, **fields: Any) -> str:
    return start_all(athena, submission(**{"run_id": ENDED} | fields))[0]


def reconcile(
    clock: VirtualClock, ti: TaskInstance | None = None, after: timedelta = GRACE
) -> list[str]:
    """Run the DAG's task some time later."""
    clock.sleep(after.total_seconds())
    with DAG("athena_reports_reconciler", schedule=None):
        task = AthenaReconcileOperator(task_id="stop", workgroup="dev", environment="dev")
    context: Any = {"ti": ti or TaskInstance()}
    return task.execute(context)


def test_what_a_run_left_behind_is_stopped_after_a_grace(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    """The run has ended, or was deleted: Airflow finds none.
    A query whose run may not be saved yet is left alone.
    """
    id_ = start(athena)
    assert reconcile(clock, after=timedelta(seconds=59)) == []
    ti = TaskInstance()

    assert reconcile(clock, ti, timedelta(seconds=1)) == [id_]
    assert athena.states == ["CANCELLED"]
    assert ti.asked == [
        {"dag_id": "plays_weekly", "run_ids": [ENDED], "states": ["queued", "running"]}
    ]


def test_workgroup_environment_and_grace_may_be_chosen(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    id_ = start(athena)
    with DAG("athena_reports_reconciler", schedule=None):
        task = AthenaReconcileOperator(
            task_id="stop",
            workgroup="{{ 'dev' }}",
            environment="{{ 'dev' }}",
            grace=timedelta(hours=1),
        )
    context: Any = {"ti": TaskInstance()}
    task.render_template_fields(context)
    clock.sleep(3599)
    assert task.execute(context) == []
    clock.sleep(1)
    assert task.execute(context) == [id_]


@pytest.mark.parametrize("newer", ["has ended", "is young", "runs"])
def test_an_older_query_of_a_task_that_has_a_newer_one_is_stopped(
    clock: VirtualClock, athena: MemoryAthena, newer: str
) -> None:
    """Its run goes on, and waits for the newer one alone."""
    ti = TaskInstance(active_runs={("plays_weekly", ENDED)})
    older = start(athena)
    clock.sleep(GRACE.total_seconds())
    newest = start(athena)
    if newer == "has ended":
        athena.queries[newest].plan = Plan()
    after = timedelta(seconds=1) if newer == "is young" else GRACE
    assert reconcile(clock, ti, after) == [older]


def test_the_log_says_whose_queries_are_stopped(
    clock: VirtualClock, athena: MemoryAthena, logged: Callable[[], list[str]]
) -> None:
    of_author_id = start_all(athena, of_author(output="", author="anna", command="plan"))[0]
    of_task = start(athena)
    logged()
    reconcile(clock, after=LIFETIME)
    assert logged() == [
        f"warning: Stopping query {of_task} of plays_weekly, run {ENDED}.",
        f"warning: Stopping query {of_author_id} of anna, command plan.",
    ]


def test_queries_of_others_are_not_even_asked_about(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    start_sql(athena, "SELECT 1")
    edited_copy = submission(run_id=ENDED).sql(0).replace("SELECT 1", "SELECT 1000")
    start_sql(athena, edited_copy)
    start(athena, environment="stg")
    start(athena, workgroup="stg")
    ti = TaskInstance()

    assert reconcile(clock, ti) == []
    assert athena.states == ["RUNNING"] * 4
    assert ti.asked == []


def test_a_call_that_athena_does_not_serve_names_the_task_that_made_it(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    def throttle(_: str) -> None:
        raise api_error("ThrottlingException", "Rate exceeded")

    athena.before = throttle
    with raises_retried() as caught:
        reconcile(clock)
    message = str(caught.value)
    assert message.startswith("athena_reports_reconciler: ")
    assert message.endswith("Clear stop and its downstream tasks to try again.")


def test_the_query_of_an_author_is_stopped_when_its_marker_has_expired(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    """Without a place for a lease; queries/test_lease.py has the leases."""
    id_, _ = start_all(
        athena, of_author(output=""), of_author(output="", environment="stg", command="test")
    )
    of_task = start(athena)
    ti = TaskInstance()

    assert reconcile(clock, ti) == [of_task]
    assert reconcile(clock, ti, LIFETIME - GRACE - timedelta(seconds=1)) == []
    assert reconcile(clock, ti, timedelta(seconds=1)) == [id_]
    assert athena.states == ["CANCELLED", "RUNNING", "CANCELLED"]
    assert {asked["dag_id"] for asked in ti.asked} == {"plays_weekly"}  # and no run of an author


def test_the_owner_of_the_leases_is_that_of_the_deployment(
    clock: VirtualClock, athena: MemoryAthena, made_s3: list[S3]
) -> None:
    with DAG("athena_reports_reconciler", schedule=None):
        task = AthenaReconcileOperator(
            task_id="stop", workgroup="dev", environment="dev", bucket_owner="123456789012"
        )
    task.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert {each.owner for each in made_s3} == {"123456789012"}


def test_a_lease_that_cannot_be_looked_for_fails_the_task_and_spares_no_other_query(
    clock: VirtualClock, athena: MemoryAthena
) -> None:
    start_all(athena, of_author(output="", command="test"))  # which has no lease
    clock.sleep(1)
    start_all(athena, of_author())
    start(athena)
    with raises_retried(r"s3://results/leases/q-2\.json cannot be listed"):
        reconcile(clock, after=LIFETIME)
    assert athena.states == ["CANCELLED", "RUNNING", "CANCELLED"]
