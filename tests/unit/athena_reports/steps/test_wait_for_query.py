"""What the sensor decides;
tests/world takes it through faults, kills and clears.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred

from athena_reports.queries.failures import QueryFailedError
from athena_reports.steps.shared_poller import Connection
from athena_reports.steps.wait_for_query import MAX_SUCCESSORS, PAUSES_SECONDS
from athena_reports.steps.wait_trigger import AWAITED_XCOM
from tests.support.airflow_run import DagRun, StateStore, context
from tests.support.aws_errors import THROTTLED
from tests.support.memory_athena import MemoryAthena, Plan, nothing
from tests.support.tasks import pushed_by_run_query, submitted, wait_task
from tests.support.triggers import CONNECTION, first_event, through_the_database
from tests.support.virtual_clock import START as NOW
from tests.support.virtual_clock import VirtualClock

# As Airflow resumes a task whose trigger timed out.
TIMED_OUT = ("__fail__", {"error": "Trigger timeout"})


@pytest.fixture(autouse=True)
def _submitted(athena: MemoryAthena) -> None:
    """A query that was submitted just now, `q-1`."""
    submitted(context())
    athena.calls.clear()


def fate(athena: MemoryAthena, plan: Plan) -> None:
    """Let the query that was submitted go so."""
    athena.queries["q-1"].plan = plan


def fail_before_an_endless_successor(athena: MemoryAthena, clock: VirtualClock) -> None:
    fate(athena, Plan.failing(1602))
    athena.plan = lambda _: Plan.endless()
    clock.sleep(60)


def refusing(throttled: str) -> Callable[[str], None]:
    """Let each call of one action be throttled."""

    def refuse(action: str) -> None:
        if action == throttled:
            raise THROTTLED

    return refuse


FAILING_AT_ONCE = Plan(states=(), end="FAILED", error={"ErrorCategory": 1, "ErrorType": 1602})


def looks_of(athena: MemoryAthena) -> list[float]:
    """When it was asked for, in seconds."""
    return [(at - NOW).total_seconds() for _, at in athena.calls]


def deferral(given: Any, id_: str = "q-1", **fields: Any) -> Any:
    """How a try of the wait is deferred."""
    with pytest.raises(TaskDeferred) as caught:
        wait_task(id_, **fields).execute(given)
    return caught.value


def noted_context() -> Any:
    """The context of a task whose notes Airflow keeps."""
    return context() | {"task_state_store": StateStore()}


@pytest.mark.parametrize(
    "fields",
    [
        {"submitted": None},
        {"submitted": pushed_by_run_query("q-2")},
        {"deferrable": False},  # and no notes, as on Airflow 3.2: each poke forgets the others
    ],
    ids=["not told", "another query", "rescheduled without notes"],
)
def test_a_query_that_may_not_have_a_successor_fails_the_wait(
    athena: MemoryAthena, clock: VirtualClock, fields: dict[str, Any]
) -> None:
    fate(athena, Plan.failing(1602))
    clock.sleep(60)
    with pytest.raises(AirflowFailException, match="Query q-1 is FAILED"):
        wait_task(**fields).execute(context())
    assert len(athena.queries) == 1


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("try_number", [1, 2])
def test_a_query_that_was_cancelled_is_final_in_every_try(
    athena: MemoryAthena, try_number: int, deferrable: bool
) -> None:
    """Else nobody could stop a runaway query."""
    athena.cancel("q-1")
    given = context(try_number=try_number, max_tries=4) | {"task_state_store": StateStore()}
    with pytest.raises(AirflowFailException, match="the query was cancelled;"):
        wait_task(deferrable=deferrable).execute(given)
    assert len(athena.queries) == 1


@pytest.mark.parametrize(
    ("partition", "address"),
    [
        ("aws", " https://us-east-1.console.aws.amazon.com/athena/home?region=us-east-1"),
        ("aws-cn", " https://us-east-1.console.amazonaws.cn/athena/home?region=us-east-1"),
        ("aws-iso", ""),
    ],
)
def test_a_query_that_failed_fails_the_wait_for_good_and_says_whose_it_is_and_where_to_look(
    athena: MemoryAthena,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    partition: str,
    address: str,
) -> None:
    """China has another console, and some partitions have none that is known."""
    monkeypatch.setattr(AthenaHook, "conn_partition", partition)
    fate(athena, Plan.failing(1006, category=2))
    clock.sleep(60)
    with pytest.raises(AirflowFailException) as caught:
        wait_task().execute(context())
    failure = caught.value.__cause__
    assert isinstance(failure, QueryFailedError)
    assert (failure.execution.id, str(caught.value)) == ("q-1", str(failure))
    whose, _, link = str(failure).partition("tasks to try again.")
    assert whose.startswith(
        "plays_weekly, period 2025-06-08, environment dev: Query q-1 is FAILED: Failed with type"
    )
    assert link == (f"{address}#/query-editor/history/q-1" if address else "")
    assert len(athena.queries) == 1


def test_a_query_has_at_most_three_successors_after_longer_and_longer_pauses(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, FAILING_AT_ONCE)
    athena.plan = lambda _: FAILING_AT_ONCE
    with pytest.raises(AirflowFailException, match="Query q-4 is FAILED"):
        wait_task().execute(context())
    assert athena.states == ["FAILED"] * (1 + MAX_SUCCESSORS)
    started = [query.submitted_at.timestamp() for query in athena.queries.values()]
    pauses = [later - earlier for earlier, later in pairwise(started)]
    assert all(
        most / 2 <= pause <= most for pause, most in zip(pauses, PAUSES_SECONDS, strict=True)
    )


def test_the_successors_of_one_try_are_counted_through_its_deferrals(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    athena.plan = lambda _: Plan.failing(1602)
    fate(athena, Plan.failing(1602))
    given = context()
    deferred = deferral(given)
    ids = []
    while deferred is not None:
        trigger = through_the_database(deferred.trigger)
        ids.append(trigger.query_execution_id)
        event = clock.run(first_event(trigger))
        try:
            wait_task().resume_execution("execute_complete", {"event": event}, given)
        except TaskDeferred as again:
            deferred = again
        except AirflowFailException:
            deferred = None
    assert ids == ["q-1", "q-2", "q-3", "q-4"]


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("is_remembered", [True, False])
def test_the_next_try_of_a_wait_goes_on_with_the_noted_successor(
    athena: MemoryAthena, clock: VirtualClock, deferrable: bool, is_remembered: bool
) -> None:
    """As does each poke without a triggerer."""
    fail_before_an_endless_successor(athena, clock)
    given = noted_context()
    ends_by = TaskDeferred if deferrable else AirflowRescheduleException
    for _ in range(3):
        with pytest.raises(ends_by):
            wait_task(deferrable=deferrable).execute(given)
        if not is_remembered:
            athena.forget_tokens()
        given["ti"].begin_next_try()
    assert len(athena.queries) == 2


def test_on_airflow_3_2_the_next_try_of_a_wait_gets_the_successor_by_its_token(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fail_before_an_endless_successor(athena, clock)
    for try_number in (1, 2):
        trigger = deferral(context(try_number=try_number)).trigger
        assert trigger.query_execution_id == "q-2"
    assert len(athena.queries) == 2


def test_a_cleared_wait_stops_the_successor_that_it_does_not_wait_for_any_more(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """The triggerer was down when the run was cleared."""
    fail_before_an_endless_successor(athena, clock)
    given = noted_context()
    deferral(given)
    cleared = submitted(context(DagRun(clear_number=1)))
    given["ti"].begin_next_try()
    deferral(given, cleared)
    assert athena.states == ["FAILED", "CANCELLED", "RUNNING"]


def test_a_running_query_is_handed_over_to_the_triggerer_with_the_time_that_is_left(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.endless())
    clock.sleep(90)
    given = context()
    deferred = deferral(given, timeout=timedelta(minutes=10))
    assert looks_of(athena) == [90]
    assert given["ti"].pushed == {AWAITED_XCOM: "q-1"}
    assert deferred.trigger.query_execution_id == "q-1"
    assert (deferred.timeout.total_seconds(), deferred.method_name) == (510, "execute_complete")


@pytest.mark.parametrize("fields", [{}, {"soft_fail": True}])
def test_a_query_that_succeeded_unseen_is_not_thrown_away_when_the_wait_times_out(
    athena: MemoryAthena, clock: VirtualClock, fields: Any
) -> None:
    """It ended while no triggerer looked, or within the last pause.

    The second one was submitted again.
    """
    clock.sleep(3600)
    assert wait_task(**fields).resume_execution(*TIMED_OUT, context())["id"] == "q-1"

    fate(athena, Plan.failing(1602))
    given = context(task_id="wait_for_query")
    deferral(given, **fields)
    clock.sleep(3600)
    assert wait_task(**fields).resume_execution(*TIMED_OUT, given)["id"] == "q-2"
    assert athena.states == ["FAILED", "SUCCEEDED"]


def test_a_query_that_failed_in_passing_unseen_is_not_paid_again_when_the_wait_times_out(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.failing(1602))
    clock.sleep(3600)
    with pytest.raises(AirflowFailException, match="query q-1 timed out after 1:00:00"):
        wait_task().resume_execution(*TIMED_OUT, context())
    assert athena.states == ["FAILED"]


@pytest.mark.parametrize("option", [{}, {"soft_fail": True}, {"never_fail": True}])
def test_a_wait_that_times_out_stops_the_successor_that_it_waits_for(
    athena: MemoryAthena, clock: VirtualClock, option: dict[str, Any]
) -> None:
    """The process that is resumed was told of the first execution alone."""
    fail_before_an_endless_successor(athena, clock)
    given = context(task_id="wait_for_query")
    deferral(given, **option)
    ends_by = AirflowSkipException if option else AirflowFailException
    with pytest.raises(ends_by):
        wait_task(**option).resume_execution(*TIMED_OUT, given)
    assert athena.states == ["FAILED", "CANCELLED"]


def test_a_wait_that_times_out_stops_the_successor_that_it_could_not_look_up(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """Without a triggerer, each poke begins with the first execution."""

    fail_before_an_endless_successor(athena, clock)
    given = noted_context()
    with pytest.raises(AirflowRescheduleException):
        wait_task(deferrable=False, timeout=60).execute(given)
    given["ti"].first_reschedule_date = clock.now
    clock.sleep(61)
    athena.before = refusing("GetQueryExecution")
    with pytest.raises(AirflowFailException):
        wait_task(deferrable=False, timeout=60).execute(given)
    assert athena.states == ["FAILED", "CANCELLED"]


def test_a_wait_that_cannot_stop_its_query_is_tried_again_and_then_stops_it(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """A query that is not stopped runs on, and is billed."""
    fate(athena, Plan.endless())
    given = context()
    athena.before = refusing("StopQueryExecution")
    with pytest.raises(AirflowException) as caught:
        wait_task().resume_execution(*TIMED_OUT, given)
    assert not isinstance(caught.value, (AirflowFailException, AirflowSkipException))
    assert athena.states == ["RUNNING"]

    athena.before = nothing
    given["ti"].begin_next_try()
    with pytest.raises(AirflowFailException, match="and was stopped"):
        wait_task().resume_execution(*TIMED_OUT, given)
    assert athena.states == ["CANCELLED"]


def test_a_wait_that_is_killed_leaves_its_query_to_the_next_try(athena: MemoryAthena) -> None:
    """A SIGTERM also comes from an evicted pod or a deployment."""
    fate(athena, Plan.endless())
    wait_task().on_kill()
    assert athena.states == ["RUNNING"]
    assert athena.calls == []


Logged = Callable[[], list[str]]


def test_the_log_says_what_becomes_of_the_query(
    athena: MemoryAthena, clock: VirtualClock, logged: Logged
) -> None:
    given = context()
    fate(athena, Plan.failing(1602))
    clock.sleep(60)
    logged()
    deferral(given)
    so_far = "queued for 0.0 s, 20,000,000 bytes scanned so far."
    assert sorted(logged()) == [
        f"info: Query q-2 is QUEUED: {so_far}",
        "info: Started query q-2.",
        "warning: Query q-1 failed: Failed with type 1602. Retrying as query q-2.",
    ]

    athena.before = refusing("GetQueryExecution")
    deferral(given)
    assert logged() == [f"warning: No response from Athena: {THROTTLED}"]
    athena.before = nothing
    clock.sleep(60)
    wait_task("q-2").execute(given)
    assert logged() == [f"info: Query q-2 is SUCCEEDED: {so_far}"]


def test_the_trigger_logs_each_state_of_the_query(
    athena: MemoryAthena, clock: VirtualClock, logged: Logged
) -> None:
    fate(athena, Plan(states=(("QUEUED", 5), ("RUNNING", 60))))
    trigger = through_the_database(deferral(context()).trigger)
    logged()
    clock.run(first_event(trigger))
    states = [line.partition(": queued")[0] for line in logged()]
    assert states == ["info: Query q-1 is QUEUED", "info: Query q-1 is RUNNING"]


def test_a_wait_whose_trigger_could_not_ask_is_tried_again(athena: MemoryAthena) -> None:
    """The paid query goes on."""
    event = {"error": "Could not get the status"}
    with pytest.raises(AirflowException, match=event["error"]) as caught:
        wait_task().resume_execution("execute_complete", {"event": event}, context())
    assert not isinstance(caught.value, AirflowFailException)
    assert athena.count("StopQueryExecution") == 0


def test_the_trigger_asks_by_the_connection_of_its_task(athena: MemoryAthena) -> None:
    fate(athena, Plan(states=(("RUNNING", 60),)))
    trigger = through_the_database(deferral(context(), **CONNECTION).trigger)
    assert trigger.query_execution_id == "q-1"
    assert trigger._poller.connection == Connection(**CONNECTION)


def test_without_a_triggerer_the_pauses_grow_to_half_a_minute_and_hold_no_worker(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """As Airflow drives it: each poke is a process of its own.

    It knows only when the first poke was.
    """
    fate(athena, Plan.endless())
    given = context()
    for _ in range(20):
        with pytest.raises(AirflowRescheduleException) as caught:
            wait_task(deferrable=False).execute(given)
        given["ti"].first_reschedule_date = NOW
        clock.sleep((caught.value.reschedule_date - clock.now).total_seconds())
    pauses = [after - before for before, after in pairwise(looks_of(athena))]
    assert pauses[0] == 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30


@pytest.mark.parametrize("by", ["arguments", "default_args"])
def test_what_every_sensor_takes_is_taken(
    athena: MemoryAthena, clock: VirtualClock, by: str
) -> None:
    given: dict[str, Any] = {"mode": "poke", "poke_interval": timedelta(seconds=30), "timeout": 100}
    given["exponential_backoff"] = False
    fields: dict[str, Any] = {"default_args": given} if by == "default_args" else given
    fate(athena, Plan(states=(("RUNNING", 70),)))
    assert wait_task(deferrable=False, **fields).execute(context())["state"] == "SUCCEEDED"
    assert looks_of(athena) == pytest.approx([0, 30, 60, 90])

    cleared = submitted(context(DagRun(clear_number=1)))
    assert deferral(context(), cleared, **fields).timeout == timedelta(seconds=100)


@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_wait_that_may_not_fail_is_skipped_and_stops_the_query_at_its_time_out(
    athena: MemoryAthena, clock: VirtualClock, logged: Logged, option: str, deferrable: bool
) -> None:
    fate(athena, Plan.endless())
    given = context(first_reschedule_date=NOW - timedelta(seconds=61))
    task = wait_task(timeout=60, deferrable=deferrable, **{option: True})
    with pytest.raises(AirflowSkipException):
        task.resume_execution(*TIMED_OUT, given) if deferrable else task.execute(given)
    assert athena.states == ["CANCELLED"]

    athena.queries["q-1"].cancelled_at = None
    fate(athena, Plan.failing(1006, category=2))
    clock.sleep(60)
    with pytest.raises(AirflowSkipException):
        wait_task(deferrable=deferrable, **{option: True}).execute(context())
    assert "warning: Gave up on query q-1: plays_weekly, period 2025-06-08" in logged()[-1]


@pytest.mark.parametrize(
    ("option", "raised"), [("soft_fail", AirflowException), ("never_fail", AirflowSkipException)]
)
def test_what_a_retry_may_correct_is_skipped_only_by_never_fail(
    athena: MemoryAthena, option: str, raised: type[Exception]
) -> None:
    """The query fails in passing, and Athena does not start its successor."""

    fate(athena, FAILING_AT_ONCE)
    athena.before = refusing("StartQueryExecution")
    with pytest.raises(AirflowException) as caught:
        wait_task(**{option: True}).execute(context())
    assert type(caught.value) is raised
