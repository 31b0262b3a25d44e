from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse, TriggerDagRun

from athena_reports.delivery.receipt import Receipt
from athena_reports.maintenance.undelivered import (
    AthenaUndeliveredOperator,
    PublishedDelivery,
    planned_deliveries,
)
from athena_reports.publication.glue_table import Table, published_tables
from athena_reports.publication.manifest import Manifest, PlannedDelivery
from athena_reports.rows.checks import CheckResult
from tests.support.airflow_run import TaskInstance
from tests.support.publishing import Place, facts

HOUR = timedelta(hours=1)
WARNING = CheckResult(name="rows", severity="warn", passed=False, message="few")
FIRST, SECOND = "2026-11-15", "2026-11-22"

DAG_ID = "plays_weekly_deliver"
RUNNING: Mapping[str, bool | None] = {DAG_ID: False}  # is each DAG paused? None if it is gone
PAUSED, GONE = {DAG_ID: True}, {DAG_ID: None}

Triggers = dict[str, str]  # the ids of the runs, by period


def publish(
    place: Place,
    *,
    channels: tuple[str, ...] = ("sales", "team"),
    published: timedelta = HOUR,
    until: timedelta = HOUR,
    correct_until: timedelta = HOUR,
    period_id: str = FIRST,
    rows: str = "a",
    checks: tuple[CheckResult, ...] = (),
) -> Manifest:
    """Publish a period some time ago that is delivered until some time from now."""
    now = datetime.now(UTC)
    published_at = (now - published).isoformat(timespec="milliseconds")
    submitted_at = (now - published - 2 * HOUR).isoformat(timespec="milliseconds")
    planned = PlannedDelivery(
        channels=channels,
        until=(now + until).isoformat(),
        correct_until=(now + correct_until).isoformat(),
    )
    delivery = planned if channels else None
    place = place.at(period_id)
    version = place.upload(rows)
    more: Any = {"published_at": published_at, "delivery": delivery, "checks": checks}
    return place.publish(version, facts(submitted_at, period_id=period_id, **more)).manifest


def deliver(place: Place, manifest: Manifest, channel: str) -> None:
    receipt = Receipt(
        channel=channel,
        kind="mail",
        version=manifest.version,
        number=1,
        sent_at=datetime.now(UTC),
        recipients=(),
        message_id="",
        run_id="run-1",
        clears=0,
    )
    receipt.write(place.at(manifest.period.id).location, place.s3)


def refusal(status: int) -> AirflowRuntimeError:
    """What a task gets if Airflow's API refuses a request."""
    detail = {"status_code": status, "message": "refused"}
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


@pytest.fixture
def look(tabled: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Triggers]:
    """Runs the task, and returns the periods and the ids of the runs that it triggers."""
    database = tabled.own_table.database
    glue = tabled.own_table.glue
    monkeypatch.setenv("AWS_ENDPOINT_URL", tabled.s3.client.meta.endpoint_url)

    def look(
        *,
        dags: Mapping[str, bool | None] = RUNNING,
        runs: Collection[str] = (),
        refused: int = 0,
        unknown: int = 404,
    ) -> Triggers:
        planned = []
        for table in published_tables(database, glue):
            periods = planned_deliveries(
                table.location, table.published_periods(), datetime.now(UTC)
            )
            planned += [each.model_dump(mode="json") for each in periods]
        with DAG("athena_reports_restatement", schedule=None):
            task = AthenaUndeliveredOperator(task_id="deliver", planned=planned)
        triggers: Triggers = {}

        def get_dag(dag_id: str) -> Any:
            if dags[dag_id] is None:
                raise refusal(unknown)
            return SimpleNamespace(is_paused=dags[dag_id])

        def send(request: TriggerDagRun) -> Any:
            assert request.dag_id == DAG_ID
            if refused:
                raise refusal(refused)
            if request.run_id in runs:
                return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
            triggers[(request.conf or {})["period"]] = request.run_id
            return OKResponse(ok=True)

        ti: Any = TaskInstance()
        ti.get_dag = get_dag
        supervisor = SimpleNamespace(send=send)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
        context: Any = {"ti": ti}
        assert task.execute(context) == list(triggers.values())
        return triggers

    return look


def test_what_a_channel_has_not_got_is_delivered(
    tabled: Place, look: Callable[..., Triggers]
) -> None:
    publish(tabled, period_id=SECOND)
    first = publish(tabled)
    assert list(look()) == [FIRST, SECOND]
    deliver(tabled, first, "sales")
    assert list(look()) == [FIRST, SECOND], "the other channel has not got it"
    deliver(tabled, first, "team")
    assert list(look()) == [SECOND]


def test_the_log_says_who_has_not_got_it_or_why_nothing_is_sent(
    tabled: Place, look: Callable[..., Triggers], logged: Callable[[], list[str]]
) -> None:
    manifest = publish(tabled, channels=("sales", "team", "topic"))
    deliver(tabled, manifest, "team")
    logged()
    look()
    assert logged() == [f"info: {DAG_ID}, period {FIRST}: not yet delivered to sales, topic"]
    assert look(dags=PAUSED) == {}
    assert logged() == [f"info: {DAG_ID}: the DAG is paused, so nothing is delivered"]
    assert look(dags=GONE) == {}
    assert logged() == [f"info: {DAG_ID}: the DAG does not exist, so nothing is delivered"]
    assert look(refused=400) == {}
    assert logged() == [f"warning: {DAG_ID} cannot be triggered: {refusal(400)}"]


@pytest.mark.parametrize(
    "which",
    [
        {"published": 48 * HOUR, "until": -47 * HOUR, "correct_until": -47 * HOUR},
        {"published": timedelta(minutes=16)},  # its event has not come in a quarter of an hour
    ],
)
def test_what_was_published_in_time_is_delivered_some_days_later(
    tabled: Place, look: Callable[..., Triggers], which: dict[str, Any]
) -> None:
    publish(tabled, **which)
    assert list(look()) == [FIRST]


def test_what_was_published_too_late_for_a_first_version_is_delivered_as_a_correction_only(
    tabled: Place, look: Callable[..., Triggers]
) -> None:
    """A backfill of old periods has published it."""
    until = -60 * HOUR  # longer ago than what is still recovered
    old = publish(tabled, published=3 * HOUR, until=until)
    assert look() == {}
    deliver(tabled, old, "sales")
    assert look() == {}
    publish(tabled, rows="b", until=until)
    assert list(look()) == [FIRST]


def test_a_report_that_is_not_delivered_now_holds_up_no_other(
    tabled: Place, look: Callable[..., Triggers]
) -> None:
    for name, channels in (("flights", ("sales",)), ("goals", ())):  # one is paused
        location = replace(tabled.location.report, name=name)
        table = Table(tabled.own_table.database, location, tabled.own_table.glue)
        publish(
            replace(tabled, location=location.period_folder(FIRST), table=table), channels=channels
        )
    publish(tabled)
    assert list(look(dags={**RUNNING, "flights_weekly_deliver": True})) == [FIRST]


@pytest.mark.parametrize(
    "which",
    [
        {"channels": ()},
        {"published": timedelta(minutes=14)},  # its event is on its way
        {"published": 50 * HOUR, "until": -49 * HOUR, "correct_until": -49 * HOUR},
        {"until": -2 * HOUR, "correct_until": -2 * HOUR},  # it was published after that
        {"checks": (WARNING,)},  # a person has been told
    ],
)
def test_what_is_not_to_be_delivered_now_is_left_alone(
    tabled: Place, look: Callable[..., Triggers], which: dict[str, Any]
) -> None:
    publish(tabled, **which)
    assert look() == {}


def test_an_airflow_that_does_not_answer_is_not_taken_for_a_dag_that_is_gone(
    tabled: Place, look: Callable[..., Triggers]
) -> None:
    """The next run of the task looks again."""
    publish(tabled)
    with pytest.raises(AirflowRuntimeError, match="500"):
        look(dags=GONE, unknown=500)


def test_a_dag_that_airflow_still_knows_and_cannot_start_fails_nothing(
    tabled: Place, look: Callable[..., Triggers]
) -> None:
    publish(tabled)
    assert look(refused=404) == {}
    with pytest.raises(AirflowRuntimeError):
        look(refused=500)


def test_each_state_of_a_period_is_tried_once(tabled: Place, look: Callable[..., Triggers]) -> None:
    """Its run may have found that it is not to be sent."""
    publish(tabled, published=2 * HOUR)
    (tried,) = look().values()
    assert look(runs={tried}) == {}
    publish(tabled, rows="b")
    assert list(look(runs={tried})) == [FIRST]


def test_each_state_of_a_period_has_a_run_of_its_own() -> None:
    """The same rows of a later query are one too: they may be delivered when they are final."""
    states = [("2025-06-08", "v1", "a"), ("2025-06-15", "v1", "a")]
    states += [("2025-06-08", "v2", "a"), ("2025-06-08", "v1", "b")]
    delivery = PlannedDelivery(channels=(), until="", correct_until="")
    run_ids = [
        PublishedDelivery(
            folder_uri="s3://reports/plays/weekly/",
            period_id=period_id,
            version=version,
            submitted_at=submitted_at,
            published_at="",
            delivery=delivery,
        ).run_id
        for period_id, version, submitted_at in states
    ]
    assert run_ids[0] == "undelivered__2025-06-08__v1__a"
    assert len(set(run_ids)) == len(states)
