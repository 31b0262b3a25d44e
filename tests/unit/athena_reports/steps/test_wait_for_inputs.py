"""The wait for the inputs of a period: when it begins, what it tells, and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowRuntimeError,
    ErrorType,
    TaskDeferred,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, SetXCom

from athena_reports import Input
from athena_reports.inputs.published import Source
from athena_reports.steps.inputs_trigger import InputsTrigger
from athena_reports.steps.missing_inputs import MissingInputs
from athena_reports.steps.partition_poller import PAUSE_SECONDS
from athena_reports.steps.wait_for_inputs import InputsWaitSensor
from tests.support.airflow_run import DagRun, context
from tests.support.aws_errors import THROTTLED, api_error
from tests.support.calendars import WEEK, WEEKS
from tests.support.retried import raises_retried
from tests.support.triggers import CONNECTION, WAITING, first_event, through_the_database
from tests.support.virtual_clock import START, VirtualClock
from tests.unit.athena_reports.steps.source_lake import DATABASE, SourceLake, nothing

DATES = [str(date(2025, 6, 7) + timedelta(days=days)) for days in range(8)]  # of WEEK, in UTC
LONG = timedelta(days=30)
NO_API = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
TIMED_OUT = ("__fail__", {"error": "Trigger timeout"})


Logged = Callable[[], list[str]]

pytestmark = pytest.mark.usefixtures("clock")


def wait_task(*inputs: Source, **fields: Any) -> Any:
    usual: dict[str, Any] = {"cadence": WEEKS, "late_by": timedelta(0), "database": DATABASE}
    with DAG("plays_weekly", schedule=None):
        return InputsWaitSensor(
            task_id="wait_for_inputs", inputs=inputs, environment="dev", **usual | fields
        )


def rendered(task: Any, given: Any) -> Any:
    """The task as a new process has it."""
    task.render_template_fields(given)
    return task


def new_context(**of_task: Any) -> Any:
    return context(DagRun(start_date=START), task_id="wait_for_inputs", **of_task)


def deferred_of(task: Any, given: Any, resumed: tuple[str, Any] | None = None) -> TaskDeferred:
    go_on = rendered(task, given).execute
    if resumed is not None:
        go_on = partial(task.resume_execution, *resumed)
    with pytest.raises(TaskDeferred) as deferred:
        go_on(given)
    return deferred.value


def test_the_log_says_what_is_waited_for(
    lake: SourceLake, clock: VirtualClock, logged: Logged
) -> None:
    lake.create(dates=DATES[:7])
    given = new_context()
    task = wait_task(Input("plays", wait=LONG))
    deferred_of(task, given)
    (told,) = given["ti"].pushed["missing_inputs"]["missing"]
    since = f"{START:%Y-%m-%d %H:%M} UTC"
    assert logged() == [f"info: Waiting for inputs since {since}: {told}."]

    def throttle(_: str) -> None:
        raise THROTTLED

    lake.before = throttle
    deferred_of(task, given)
    (line,) = logged()
    assert line == f"warning: Could not check the inputs; will retry: {THROTTLED}"
    lake.before = nothing
    lake.land(DATES[7])
    task.execute(given)
    assert logged() == ["info: All required partitions exist."]
    clock.sleep(LONG.total_seconds())
    task.execute(given)
    assert logged() == ["info: The wait for the inputs has timed out."]


def test_what_is_told_names_each_input_and_the_time_in_utc() -> None:
    """Whatever the time zone is in which it was stored."""
    since = datetime.fromisoformat("2025-06-19T06:05+09:00")
    assert str(MissingInputs(since=since, missing=("plays lacks a", "games lacks b"))) == (
        "Waiting for inputs since 2025-06-18 21:05 UTC: plays lacks a; games lacks b."
    )


def test_what_is_missing_is_told_and_waited_for_until_the_time_of_the_input_is_over(
    lake: SourceLake,
) -> None:
    """It counts from the end of the period, which was three and a half days ago."""
    lake.create(dates=DATES[:6])
    given = new_context()
    deferred = deferred_of(wait_task(Input("plays", wait=LONG)), given)
    (told,) = given["ti"].pushed.values()
    assert datetime.fromisoformat(told["since"]) == START
    (sentence,) = told["missing"]
    assert sentence.startswith(f"{DATABASE}.plays: 2 of 8 ")
    assert f"dt={DATES[6]}, dt={DATES[7]}" in sentence
    assert START + deferred.timeout == WEEK.end_utc + LONG


@pytest.mark.parametrize("is_complete", [True, False])
def test_after_the_trigger_it_looks_again(lake: SourceLake, is_complete: bool) -> None:
    """What the trigger has seen may be gone since."""
    lake.create(dates=DATES[:7])
    task, given = wait_task(Input("plays", wait=LONG)), new_context()
    deferred_of(task, given)
    resumed = ("execute_complete", {"event": {"missing": []}})
    if is_complete:
        lake.land(DATES[7])
        assert rendered(task, given).resume_execution(*resumed, given) is None
    else:
        deferred_of(task, given, resumed)


def test_when_the_time_is_over_the_task_succeeds_whatever_is_missing(
    lake: SourceLake, clock: VirtualClock
) -> None:
    lake.create(dates=DATES[:7])
    task, given = wait_task(Input("plays", wait=LONG)), new_context()
    deferred = deferred_of(task, given)
    clock.sleep(deferred.timeout.total_seconds())
    assert rendered(task, given).resume_execution(*TIMED_OUT, given) is None


def test_a_run_that_begins_after_that_does_not_even_look(lake: SourceLake) -> None:
    """As a backfill of old gaps."""
    given = new_context()
    task = wait_task(Input("absent", wait=timedelta(days=3)))
    assert rendered(task, given).execute(given) is None
    assert lake.calls == []


def test_each_input_has_its_own_time_and_others_are_not_waited_for(
    lake: SourceLake, clock: VirtualClock
) -> None:
    for table in ("plays", "users", "purchases"):
        lake.create(table)
    task = wait_task(
        Input("plays", wait=timedelta(days=4)), Input("users"), Input("purchases", wait=LONG)
    )
    given = new_context()
    first = deferred_of(task, given)
    assert START + first.timeout == WEEK.end_utc + timedelta(days=4)
    assert len(given["ti"].pushed["missing_inputs"]["missing"]) == 2

    clock.sleep(first.timeout.total_seconds())
    second = deferred_of(task, given, TIMED_OUT)
    assert clock.now + second.timeout == WEEK.end_utc + LONG
    told = given["ti"].pushed["missing_inputs"]
    assert [f"{DATABASE}.purchases" in sentence for sentence in told["missing"]] == [True]
    assert datetime.fromisoformat(told["since"]) == START  # it still waits since then


def test_late_partitions_are_not_waited_for_before_they_can_be_there(lake: SourceLake) -> None:
    """So what is provisional is still published at once."""
    lake.create(dates=DATES)
    given = new_context()
    task = wait_task(Input("plays", wait=LONG), late_by=timedelta(days=7))
    assert rendered(task, given).execute(given) is None


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("table", ["plays", "absent"])
def test_what_no_wait_can_correct_fails_at_once(
    lake: SourceLake, table: str, deferrable: bool
) -> None:
    def refuse(action: str) -> None:
        if table == "plays":
            raise api_error("AccessDeniedException", "not authorized")

    lake.before = refuse
    given = new_context()
    task = wait_task(Input(table, wait=LONG), deferrable=deferrable)
    with pytest.raises(
        AirflowFailException, match=r"^plays_weekly, period 2025-06-08, environment dev: "
    ):
        rendered(task, given).execute(given)


def test_the_trigger_looks_by_the_connection_of_its_task(
    lake: SourceLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_GAMES", "aws://")
    lake.create(dates=DATES[:6])
    task = wait_task(Input("plays", wait=LONG), **CONNECTION)
    trigger = through_the_database(deferred_of(task, new_context()).trigger)
    assert trigger.connection == CONNECTION
    # What the task has told already is not told again.
    assert [sentence.endswith(f"dt={DATES[7]}") for sentence in trigger.missing] == [True]


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_connection_that_is_missing_is_no_other_one(lake: SourceLake, deferrable: bool) -> None:
    """The hook would look with whatever credentials it finds, into another account."""
    lake.create(dates=DATES)
    given = new_context()
    task = wait_task(Input("plays", wait=LONG), aws_conn_id="aws_games", deferrable=deferrable)
    says = "plays_weekly, period 2025-06-08, environment dev: Airflow connection"
    with raises_retried(f"^{says} 'aws_games'"):
        rendered(task, given).execute(given)
    assert lake.calls == []


def test_without_a_triggerer_the_task_comes_back_until_nothing_is_missing(
    lake: SourceLake, clock: VirtualClock
) -> None:
    lake.create(dates=DATES[:7])
    task, given = wait_task(Input("plays", wait=LONG), deferrable=False), new_context()
    ti = given["ti"]
    for _ in range(3):
        with pytest.raises(AirflowRescheduleException) as again:
            rendered(task, given).execute(given)
        told = ti.pushed["missing_inputs"]
        assert datetime.fromisoformat(told["since"]) == START
        ti.values.clear()  # as Airflow does
        ti.first_reschedule_date = ti.first_reschedule_date or START
        clock.sleep((again.value.reschedule_date - clock.now).total_seconds())
    assert (clock.now - START) == timedelta(minutes=3)
    lake.land(DATES[7])
    rendered(task, given).execute(given)


def test_without_a_triggerer_each_input_has_its_own_time_too(
    lake: SourceLake, clock: VirtualClock
) -> None:
    """Airflow must not end the task when the time of the first input is over."""
    lake.create("plays")
    lake.create("users")
    given = new_context()
    short = Input("plays", wait=timedelta(days=4))
    task = wait_task(short, Input("users", wait=LONG), deferrable=False)
    given["ti"].first_reschedule_date = START
    for days in (0, 5, 20):
        clock.sleep((START + timedelta(days=days) - clock.now).total_seconds())
        with pytest.raises(AirflowRescheduleException):
            rendered(task, given).execute(given)
    clock.sleep((WEEK.end_utc + LONG - clock.now).total_seconds())
    rendered(task, given).execute(given)


def test_a_period_that_is_not_over_or_is_misspelt_fails_at_once(lake: SourceLake) -> None:
    task = wait_task(Input("plays", wait=LONG))
    for given, says in (
        (context(param="2025-06-15"), "2025-06-15"),
        (
            context(DagRun.manual(datetime(2025, 6, 18, tzinfo=UTC))) | {"params": {"perod": "x"}},
            "Did you mean 'period'",
        ),
    ):
        with pytest.raises(AirflowFailException, match=says):
            task.render_template_fields(given)


# --- in the triggerer


class Supervisor:
    """Takes the XComs of a trigger, unless Airflow's API does not answer."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.told: list[Any] = []

    async def asend(self, message: SetXCom) -> None:
        assert message.key == "missing_inputs"
        task = (message.dag_id, message.run_id, message.task_id, message.map_index)
        assert task == ("plays_weekly", "run-1", "wait_for_plays", 3)
        if self.error is not None:
            raise self.error
        self.told.append(message.value)


@pytest.mark.parametrize("error", [None, RuntimeError("no database"), NO_API])
def test_the_trigger_tells_each_change_and_fires_when_nothing_is_missing(
    lake: SourceLake,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
    error: Exception | None,
) -> None:
    lake.create(dates=DATES[:6])
    supervisor = Supervisor(error)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    given = new_context()
    task = wait_task(Input("plays", wait=LONG))
    trigger: InputsTrigger = through_the_database(deferred_of(task, given).trigger)
    mapped: Any = {**vars(WAITING), "task_id": "wait_for_plays", "map_index": 3}
    trigger.task_instance = SimpleNamespace(**mapped)

    async def land() -> None:
        for day in DATES[6:]:
            await asyncio.sleep(5 * PAUSE_SECONDS)
            lake.land(day)

    async def both() -> Any:
        event, _ = await asyncio.gather(first_event(trigger), land())
        return event

    logged()
    assert clock.run(both()) == {"missing": []}
    waits, *not_told = logged()
    assert waits.startswith(f"info: Waiting for inputs since {START:%Y-%m-%d %H:%M} UTC: ")
    if error is not None:
        assert not_told == [
            f"warning: Could not update the missing inputs on the Reports page: {error!r}"
        ]
    else:
        assert not_told == []
        (told,) = supervisor.told
        assert datetime.fromisoformat(told["since"]) == START
        assert [sentence.endswith(f"dt={DATES[7]}") for sentence in told["missing"]] == [True]
