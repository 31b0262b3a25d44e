from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from athena_reports.delivery.receipt import Receipt
from athena_reports.maintenance.undelivered import AthenaUndeliveredOperator
from athena_reports.publication.manifest import Manifest, PlannedDelivery
from tests.support.airflow_run import TaskInstance
from tests.support.publishing import Place, facts

HOUR = timedelta(hours=1)
FIRST, SECOND = "2026-11-15", "2026-11-22"

Triggers = dict[str, str]  # the ids of the runs, by period


def publish(
    place: Place,
    *,
    channels: tuple[str, ...] = ("sales", "team"),
    published: timedelta = HOUR,
    until: timedelta = HOUR,
    period_id: str = FIRST,
    rows: str = "a",
) -> Manifest:
    """Publish a period some time ago that is delivered until some time from now."""
    now = datetime.now(UTC)
    at = (now - published).isoformat(timespec="milliseconds")
    planned = PlannedDelivery(channels=channels, until=(now + until).isoformat())
    delivery = planned if channels else None
    place = place.at(period_id)
    version = place.upload(rows)
    return place.publish(version, facts(at, period_id=period_id, delivery=delivery)).manifest


def deliver(place: Place, manifest: Manifest, channel: str) -> None:
    receipt = Receipt(
        channel=channel,
        version=manifest.version,
        number=1,
        sent_at=datetime.now(UTC),
        recipients=(),
        message_id="",
        first_message_id="",
        run_id="run-1",
        clear=0,
    )
    receipt.write(place.at(manifest.period.id).location, place.s3)


@pytest.fixture
def look(tabled: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Triggers]:
    """Runs the task, and returns the periods and the ids of the runs that it triggers."""
    assert tabled.table is not None
    database = tabled.table.database
    monkeypatch.setenv("AWS_ENDPOINT_URL", tabled.s3.client.meta.endpoint_url)

    def look(*, is_paused: bool | None = False, runs: Collection[str] = ()) -> Triggers:
        with DAG("athena_reports_restatement", schedule=None):
            task = AthenaUndeliveredOperator(task_id="find", database=database)

        def get_dag(dag_id: str) -> Any:
            assert dag_id == "plays_weekly_deliver"
            if is_paused is None:
                detail = {"status_code": 404, "message": "Not Found"}
                raise AirflowRuntimeError(
                    ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)
                )
            return SimpleNamespace(is_paused=is_paused)

        ti: Any = TaskInstance()
        ti.get_dag = get_dag
        ti.get_dr_count = lambda run_ids, **_: len(set(run_ids) & set(runs))
        context: Any = {"ti": ti}
        triggers = task.execute(context)
        assert {trigger["trigger_dag_id"] for trigger in triggers} <= {"plays_weekly_deliver"}
        return {trigger["conf"]["period"]: trigger["trigger_run_id"] for trigger in triggers}

    return look


def test_what_a_channel_has_not_got_is_delivered(
    tabled: Place, look: Callable[..., Triggers]
) -> None:
    first = publish(tabled)
    publish(tabled, period_id=SECOND)
    assert list(look()) == [FIRST, SECOND]
    deliver(tabled, first, "sales")
    assert list(look()) == [FIRST, SECOND], "the other channel has not got it"
    deliver(tabled, first, "team")
    assert list(look()) == [SECOND]


def test_a_later_version_is_another_one(tabled: Place, look: Callable[..., Triggers]) -> None:
    first = publish(tabled, channels=("sales",), published=2 * HOUR)
    deliver(tabled, first, "sales")
    assert look() == {}
    publish(tabled, channels=("sales",), rows="b")
    assert list(look()) == [FIRST]


@pytest.mark.parametrize(
    "which",
    [
        {"channels": ()},
        {"published": timedelta(minutes=5)},  # its event is on its way
        {"until": -HOUR},
    ],
)
def test_what_is_not_to_be_delivered_now_is_left_alone(
    tabled: Place, look: Callable[..., Triggers], which: dict[str, Any]
) -> None:
    publish(tabled, **which)
    assert look() == {}


@pytest.mark.parametrize("is_paused", [True, None], ids=["paused", "gone"])
def test_a_dag_that_does_not_run_is_left_alone(
    tabled: Place, look: Callable[..., Triggers], is_paused: bool | None
) -> None:
    publish(tabled)
    assert look(is_paused=is_paused) == {}


def test_each_state_of_a_period_is_tried_once(tabled: Place, look: Callable[..., Triggers]) -> None:
    """Its run may have found that it is not to be sent."""
    publish(tabled, published=2 * HOUR)
    (tried,) = look().values()
    assert look(runs={tried}) == {}
    publish(tabled, rows="b")
    assert list(look(runs={tried})) == [FIRST]
