"""What the page finds of deliveries in a metadata database, as Airflow fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
from airflow.models import DagModel, DagTag
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import delete, update

from athena_reports.page.deliveries import (
    DeliveringDag,
    DeliveringTask,
    clear_request,
    delivering_dag,
    delivering_tasks,
)
from athena_reports.page.runs import report_dags
from tests.support.airflow_versions import since_3_3
from tests.support.calendars import WEEKS
from tests.unit.athena_reports.page.metadata import add_run, add_task

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

WEEK = WEEKS.period("2026-03-01")
DELIVERING = "sent_weekly_deliver"


def delivering(session: Session, report: str = "sent_weekly") -> DeliveringDag | None:
    (dag,) = report_dags([report], session)
    return delivering_dag(dag, session)


def add_delivery(
    session: Session, run_id: str, states: dict[str, Any], *, try_number: int = 1, **fields: Any
) -> None:
    add_run(session, run_id, "running", dag_id=DELIVERING, **fields)
    for channel, state in states.items():
        add_task(session, run_id, channel, state, dag_id=DELIVERING, try_number=try_number)


@since_3_3
def test_the_delivering_dag_of_a_report_has_its_channels(session: Session) -> None:
    channels = ["sales", "board"]
    assert delivering(session) == DeliveringDag(DELIVERING, is_paused=False, channels=channels)
    assert delivering(session, "plays_weekly") is None
    of_delivering = update(DagModel).where(DagModel.dag_id == DELIVERING)
    session.execute(of_delivering.values(is_paused=True))
    paused = delivering(session)
    assert paused is not None
    assert paused.is_paused
    session.execute(of_delivering.values(is_stale=True))  # `deliver` was taken out
    assert delivering(session) is None


@pytest.mark.parametrize(
    "what", [DagTag, SerializedDagModel], ids=["no report made it", "not stored yet"]
)
def test_another_dag_of_that_name_delivers_nothing(session: Session, what: Any) -> None:
    session.execute(delete(what).where(what.dag_id == DELIVERING))
    assert delivering(session) is None


@since_3_3
def test_of_each_channel_the_task_of_the_last_run_for_the_period_counts(session: Session) -> None:
    dag = delivering(session)
    assert dag is not None
    assert delivering_tasks(dag, WEEK.id, session) == {}
    add_delivery(session, "first", {"sales": "failed", "old": "failed"}, partition_key=WEEK.id)
    # The channel `board` is newer than the first run.
    states = {"sales": "up_for_retry", "board": None}
    add_delivery(session, "by-param", states, conf={"period": WEEK.id}, try_number=3)
    add_delivery(session, "of-nothing", {"sales": "failed"})
    add_delivery(session, "of-the-next", {"sales": "failed"}, partition_key=WEEK.next.id)
    add_delivery(session, "next-by-param", {"sales": "failed"}, conf={"period": WEEK.next.id})
    # What an event has started is for its key.
    of_event = {"partition_key": WEEK.next.id, "conf": {"period": WEEK.id}}
    add_delivery(session, "of-event", {"sales": "success"}, **of_event)
    assert delivering_tasks(dag, WEEK.id, session) == {
        "sales": DeliveringTask("by-param", "up_for_retry", 3),
        "board": DeliveringTask("by-param", None, 3),
    }
    add_delivery(session, "last", {"sales": "skipped"}, partition_key=WEEK.id)
    # A run of another DAG may have the same id, and a task of the same name.
    add_run(session, "last", "running", dag_id="plays_weekly")
    add_task(session, "last", "sales", "failed", dag_id="plays_weekly")
    of_sales = delivering_tasks(dag, WEEK.id, session)["sales"]
    assert of_sales == DeliveringTask("last", "skipped", 1)
    assert delivering_tasks(dag, WEEK.next.id, session) == {
        "sales": DeliveringTask("of-event", "success", 1)
    }


SENT = DeliveringDag(dag_id="sent weekly", is_paused=False, channels=["sales", "board"])


def test_a_task_that_has_ended_or_waits_for_its_next_try_can_be_cleared() -> None:
    states = ["success", "failed", "skipped", "upstream_failed", "up_for_retry"]
    for state in states:
        assert clear_request(SENT, "sales", DeliveringTask("run", state, 1)), state
    for under_way in (None, "scheduled", "queued", "running", "restarting"):
        assert clear_request(SENT, "sales", DeliveringTask("run", under_way, 1)) is None


def test_the_request_clears_the_task_of_one_channel_in_one_run() -> None:
    task = DeliveringTask("asset triggered/1", "success", 1)
    request = clear_request(SENT, "sales", task)
    assert request is not None
    assert request.path == "dags/sent%20weekly/clearTaskInstances"
    # As Airflow understands it: what it is not told has defaults that clear more, or nothing.
    understood = ClearTaskInstancesBody.model_validate(request.body)
    assert (understood.dag_run_id, understood.task_ids) == (task.run_id, ["sales"])
    assert (understood.dry_run, understood.only_failed, understood.only_running) == (False,) * 3
    assert (understood.include_downstream, understood.include_upstream) == (False, False)
    assert (understood.include_future, understood.include_past) == (False, False)
    assert understood.reset_dag_runs
    assert understood.prevent_running_task
