"""What the sensor decides;
tests/services/test_scenarios.py takes it through faults, kills and clears.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
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

from athena_reports.queries import submission
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.failures import QueryFailedError
from athena_reports.queries.submission import PAUSES_SECONDS
from athena_reports.steps.shared_poller import Connection
from athena_reports.steps.wait_for_query import CLEAR_STOPS_WITHIN
from athena_reports.steps.wait_trigger import AWAITED_XCOM, AthenaWaitTrigger
from tests.support.airflow_run import DagRun, context
from tests.support.aws_errors import THROTTLED
from tests.support.memory_athena import MemoryAthena, Plan, nothing
from tests.support.submissions import of_author, start_sql
from tests.support.submissions import start as start_all
from tests.support.tasks import submitted, wait_task
from tests.support.triggers import CONNECTION, first_event, through_the_database
from tests.support.virtual_clock import START as NOW
from tests.support.virtual_clock import VirtualClock

CLEARED: dict[str, Any] = {"try_number": 2, "max_tries": 4}
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


def looks_of(athena: MemoryAthena) -> list[float]:
    """When it was asked for, in seconds."""
    return [(at - NOW).total_seconds() for _, at in athena.calls]


def test_a_query_that_failed_fails_the_wait_for_good_and_says_whose_it_is_and_where_to_look(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.failing(1006, category=2))
    clock.sleep(60)
    with pytest.raises(AirflowFailException) as caught:
        wait_task().execute(context())

    message = str(caught.value)
    assert message.startswith(
        "plays_weekly, period 2025-06-08, environment dev: Query q-1 is FAILED: Failed with type"
    )
    for part in (
        "[the SQL is not valid; category 2, type 1006; 20,000,000 bytes scanned (about ",
        "Correct it.",
    ):
        assert part in message
    assert "https://ap-northeast-1.console.aws.amazon.com/athena/" in message
    assert len(athena.queries) == 1

    failure = caught.value.__cause__
    assert isinstance(failure, QueryFailedError)
    assert (failure.execution_id, failure.category, failure.type) == ("q-1", 2, 1006)
    assert message == str(failure)
    assert message.endswith(f"{failure.advice} {failure.link}")


def test_a_query_of_somebody_else_is_not_submitted_again(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    of_console = start_sql(athena, "SELECT 1")
    (of_command,) = start_all(athena, of_author())
    for id_ in (of_console, of_command):
        athena.queries[id_].plan = Plan.failing(1602)
        clock.sleep(60)
        with pytest.raises(AirflowFailException) as caught:
            wait_task(id_).execute(context())
        assert str(caught.value) == (
            "plays_weekly, period 2025-06-08, environment dev:"
            f" Query {id_} is FAILED, and this run did not submit it."
        )
    assert len(athena.queries) == 3


def test_a_query_of_somebody_else_that_was_cancelled_stays_cancelled(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    of_console = start_sql(athena, "SELECT 1")
    (of_command,) = start_all(athena, of_author())
    for id_ in (of_console, of_command):
        athena.cancel(id_)
        with pytest.raises(AirflowFailException) as caught:
            wait_task(id_).execute(context())
        assert f"Query {id_} is CANCELLED" in str(caught.value)
        assert "this run did not submit it" not in str(caught.value)
        assert isinstance(caught.value.__cause__, QueryFailedError)
    assert len(athena.queries) == 3


@pytest.mark.parametrize(
    ("partition", "address"),
    [
        ("aws", " https://ap-northeast-1.console.aws.amazon.com/athena/home?region=ap-northeast-1"),
        (
            "aws-cn",
            " https://ap-northeast-1.console.amazonaws.cn/athena/home?region=ap-northeast-1",
        ),
        ("aws-iso", ""),
    ],
)
def test_the_link_is_to_the_console_of_the_partition(
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
    _, _, link = str(caught.value).partition("tasks to try again.")
    assert link == (f"{address}#/query-editor/history/q-1" if address else "")


def test_without_a_region_there_is_no_link(
    athena: MemoryAthena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AthenaHook, "conn_region_name", None)
    athena.cancel("q-1")
    with pytest.raises(AirflowFailException) as caught:
        wait_task().execute(context())
    assert "https://" not in str(caught.value)


def test_a_query_that_is_submitted_again_has_a_folder_of_its_own_however_long_ago_the_first_was(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Athena wants an empty folder. The first one is not among its latest queries any more."""
    monkeypatch.setattr(submission, "LOOK_BACK", 1)
    first = submitted(context(), unload_to="s3://results/unload/")
    athena.queries[first].plan = Plan.failing(1602)
    clock.sleep(60)
    submitted(context(DagRun(clear_number=7)))
    athena.forget_tokens()
    with pytest.raises(TaskDeferred):
        wait_task(first).execute(context())
    again = [*athena.queries.values()][-1].request["QueryString"]
    folders = [
        re.findall(r"/unload/[0-9a-f]+/(\d+)/'", text)
        for text in (athena.queries[first].request["QueryString"], again)
    ]
    assert folders == [["0"], ["1"]]


@pytest.mark.parametrize(
    ("completed_at", "submitted_again"),
    [
        (NOW - timedelta(hours=1), True),  # the new try began late, on a busy scheduler
        (NOW + CLEAR_STOPS_WITHIN - timedelta(milliseconds=1), True),
        (NOW + CLEAR_STOPS_WITHIN, False),
        (None, False),  # Athena does not say when
    ],
)
def test_a_cancellation_before_or_soon_after_a_cleared_wait_began_is_the_clears_own(
    athena: MemoryAthena, completed_at: datetime | None, submitted_again: bool
) -> None:
    """The old trigger stops the query a moment after the clear; whoever stops it later means it."""
    athena.cancel("q-1")
    stopped = QueryExecution.from_response(athena.get_query_execution("q-1")).model_dump(
        mode="json"
    )
    event = {"query": stopped | {"completed_at": completed_at.isoformat() if completed_at else ""}}

    with pytest.raises(TaskDeferred if submitted_again else AirflowFailException):
        wait_task().resume_execution("execute_complete", {"event": event}, context(**CLEARED))
    assert len(athena.queries) == 1 + submitted_again


@pytest.mark.parametrize(
    ("retries", "max_tries", "submitted_again"),
    [(0, 1, True), (0, 0, False), (2, 3, True), (2, 2, False)],
)
def test_more_tries_than_the_task_has_by_itself_tell_that_it_was_cleared(
    athena: MemoryAthena, retries: int, max_tries: int, submitted_again: bool
) -> None:
    athena.cancel("q-1")
    with pytest.raises(TaskDeferred if submitted_again else AirflowFailException):
        wait_task(retries=retries).execute(context(max_tries=max_tries))
    assert len(athena.queries) == 1 + submitted_again


@pytest.mark.parametrize(("looked_before", "submitted_again"), [(0, True), (1, False)])
def test_without_a_triggerer_only_the_first_look_of_a_cleared_wait_sees_what_the_clear_stopped(
    athena: MemoryAthena, looked_before: int, submitted_again: bool
) -> None:
    """A query that was running at the first look was cancelled by somebody after the clear."""
    athena.cancel("q-1")
    given = context(**CLEARED) | {"task_reschedule_count": looked_before}
    ends_by = AirflowRescheduleException if submitted_again else AirflowFailException
    with pytest.raises(ends_by):
        wait_task(deferrable=False).execute(given)
    assert len(athena.queries) == 1 + submitted_again


def test_a_retry_does_not_pay_again_what_athena_cancelled_for_its_scan_limit(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    """Another cancelled query may be one that the earlier try has stopped."""
    fate(athena, Plan(end="CANCELLED", reason="Bytes scanned limit was exceeded"))
    clock.sleep(60)
    with pytest.raises(AirflowFailException, match="Bytes scanned limit was exceeded"):
        wait_task().execute(context(try_number=2))
    assert len(athena.queries) == 1


@pytest.mark.parametrize("looks_before", range(4))
def test_a_wait_cleared_alone_succeeds_whenever_its_old_trigger_stops_the_query(
    athena: MemoryAthena, clock: VirtualClock, looks_before: int
) -> None:
    """Before the new try has begun, between any two of its looks, or when it has deferred."""
    fate(athena, Plan(states=(("RUNNING", 60),)))
    looks = 0

    def stop(action: str) -> None:
        nonlocal looks
        if action in ("GetQueryExecution", "BatchGetQueryExecution"):
            if looks == looks_before:
                athena.cancel("q-1")
            looks += 1

    athena.before = stop
    given = context(**CLEARED)
    with pytest.raises(TaskDeferred) as caught:
        wait_task().execute(given)
    while True:
        event = clock.run(first_event(through_the_database(caught.value.trigger)))
        try:
            result = wait_task().resume_execution("execute_complete", {"event": event}, given)
            break
        except TaskDeferred as deferred:
            caught.value.trigger = deferred.trigger
    assert result["state"] == "SUCCEEDED"
    assert athena.states == ["CANCELLED", "SUCCEEDED"]


def test_of_several_cancelled_executions_the_one_that_is_waited_for_is_named(
    athena: MemoryAthena,
) -> None:
    athena.cancel("q-1")
    with pytest.raises(TaskDeferred):
        wait_task().execute(context(try_number=2))
    # Whoever has the id of the first one waits for the second one too.
    with pytest.raises(TaskDeferred) as caught:
        wait_task("q-1").execute(context())
    trigger: Any = caught.value.trigger
    assert trigger.query_execution_id == "q-2"
    athena.cancel("q-2")
    for id_ in ("q-1", "q-2"):
        with pytest.raises(AirflowFailException, match=f"Query {id_} is CANCELLED"):
            wait_task(id_).execute(context())
    assert athena.states == ["CANCELLED", "CANCELLED"]


@pytest.mark.parametrize("map_index", [-1, 0, 3])
@pytest.mark.parametrize(
    "retried", ["run_query", "run_query, whose first try goes on", "wait_for_query"]
)
def test_a_query_that_an_earlier_try_may_have_stopped_is_submitted_again(
    athena: MemoryAthena, retried: str, map_index: int
) -> None:
    """A try that was taken for dead comes back, and is told to stop.

    It stops the query that the next try uses.
    """
    given = context(try_number=2, map_index=map_index)
    id_ = submitted(given)
    if retried != "wait_for_query":
        given["ti"].try_number = 1
    if retried == "run_query, whose first try goes on":
        assert submitted(given) == id_  # and pushes its XComs over those of the second
    athena.cancel(id_)
    earlier = len(athena.queries)
    with pytest.raises(TaskDeferred):
        wait_task(id_).execute(given)
    assert (len(athena.queries), athena.states[earlier - 1]) == (earlier + 1, "CANCELLED")
    assert given["ti"].pushed[AWAITED_XCOM] == f"q-{earlier + 1}"


@pytest.mark.parametrize("retried", [0, 3])
def test_what_was_retried_of_a_mapped_task_is_told_by_its_own_index(
    athena: MemoryAthena, retried: int
) -> None:
    """Of two, `retried` was, whose first try can have stopped its query and no other one."""
    given = context()
    ti = given["ti"]
    ids = {}
    for ti.map_index in (0, 3):
        ti.try_number = 2 if ti.map_index == retried else 1
        ids[ti.map_index] = submitted(given)
    ti.try_number = 1
    for id_ in ids.values():
        athena.cancel(id_)
    for ti.map_index, id_ in ids.items():
        expected = TaskDeferred if ti.map_index == retried else AirflowFailException
        with pytest.raises(expected):
            wait_task(id_).execute(given)


def test_a_running_query_is_handed_over_to_the_triggerer_with_the_time_that_is_left(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.endless())
    clock.sleep(90)
    given = context()
    with pytest.raises(TaskDeferred) as caught:
        wait_task(timeout=timedelta(minutes=10)).execute(given)

    assert looks_of(athena) == [90]
    assert given["ti"].pushed == {AWAITED_XCOM: "q-1"}
    trigger: Any = caught.value.trigger
    assert trigger.query_execution_id == "q-1"
    assert (caught.value.timeout, caught.value.method_name) == (
        timedelta(seconds=510),
        "execute_complete",
    )


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
    with pytest.raises(TaskDeferred):
        wait_task(**fields).execute(context())
    clock.sleep(3600)
    assert wait_task(**fields).resume_execution(*TIMED_OUT, context())["id"] == "q-2"
    assert athena.states == ["FAILED", "SUCCEEDED"]


def test_a_query_that_failed_in_passing_unseen_is_not_paid_again_when_the_wait_times_out(
    athena: MemoryAthena, clock: VirtualClock
) -> None:
    fate(athena, Plan.failing(1602))
    clock.sleep(3600)
    with pytest.raises(AirflowFailException, match="had not ended after 1:00:00"):
        wait_task().resume_execution(*TIMED_OUT, context())
    assert athena.states == ["FAILED"]


def test_a_wait_that_is_killed_stops_every_execution_that_runs(athena: MemoryAthena) -> None:
    """A first try of run_query that was taken for dead, and the next one, can each start one."""
    athena.forget_tokens()
    submitted(context())
    for query in athena.queries.values():
        query.plan = Plan.endless()
    wait_task("q-1").on_kill()
    assert athena.states == ["CANCELLED", "CANCELLED"]
    assert athena.count("StopQueryExecution") == 2


def test_a_wait_that_is_killed_before_the_query_is_submitted_again_stops_the_new_one(
    athena: MemoryAthena, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow calls `on_kill` out of the pause, and then the code goes on."""
    fate(athena, Plan.failing(1602))
    clock.sleep(60)
    task = wait_task()
    monkeypatch.setattr("time.sleep", lambda _: task.on_kill())
    with pytest.raises(AirflowFailException):
        task.execute(context())
    assert athena.states == ["FAILED", "CANCELLED"]


Logged = Callable[[], list[str]]


def test_the_log_says_what_becomes_of_the_query(
    athena: MemoryAthena, clock: VirtualClock, logged: Logged
) -> None:
    given = context()
    fate(athena, Plan.failing(1602))
    clock.sleep(60)
    logged()
    with pytest.raises(TaskDeferred):
        wait_task().execute(given)
    so_far = "queued for 0.0 s, 20,000,000 bytes scanned so far."
    assert logged() == [
        "info: Query execution id: q-2",
        "warning: Query q-1 is FAILED: Failed with type 1602. It was submitted again as q-2.",
        f"info: Query q-2 is QUEUED: {so_far}",
    ]

    def throttle(_: str) -> None:
        raise THROTTLED

    athena.before = throttle
    with pytest.raises(TaskDeferred):
        wait_task().execute(given)
    assert logged() == [f"warning: Athena did not answer: {THROTTLED}"]
    athena.before = nothing
    clock.sleep(60)
    wait_task("q-2").execute(given)
    assert logged() == [f"info: Query q-2 is SUCCEEDED: {so_far}"]


def test_the_trigger_logs_each_state_of_the_query(
    athena: MemoryAthena, clock: VirtualClock, logged: Logged
) -> None:
    fate(athena, Plan(states=(("QUEUED", 5), ("RUNNING", 60))))
    with pytest.raises(TaskDeferred) as deferred:
        wait_task().execute(context())
    logged()
    clock.run(first_event(through_the_database(deferred.value.trigger)))
    states = [line.partition(": queued")[0] for line in logged()]
    assert states == ["info: Query q-1 is QUEUED", "info: Query q-1 is RUNNING"]


def test_a_wait_whose_trigger_could_not_ask_is_tried_again(athena: MemoryAthena) -> None:
    """The paid query goes on."""
    event = {"error": f"Athena did not answer: {THROTTLED}"}
    with pytest.raises(AirflowException, match="Athena did not answer") as caught:
        wait_task().resume_execution("execute_complete", {"event": event}, context())
    assert not isinstance(caught.value, AirflowFailException)
    assert athena.count("StopQueryExecution") == 0


def test_the_trigger_asks_by_the_connection_of_its_task(athena: MemoryAthena) -> None:
    fate(athena, Plan(states=(("RUNNING", 60),)))
    with pytest.raises(TaskDeferred) as deferred:
        wait_task(**CONNECTION).execute(context())
    trigger: AthenaWaitTrigger = through_the_database(deferred.value.trigger)
    assert trigger.query_execution_id == "q-1"
    assert trigger._poller.connection == Connection(**CONNECTION)


def test_without_a_triggerer_the_pauses_grow_to_a_minute_and_hold_no_worker(
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
    assert pauses == pytest.approx([1.2**number for number in range(19)], rel=0.01)

    clock.sleep(1800)
    with pytest.raises(AirflowRescheduleException) as caught:
        wait_task(deferrable=False).execute(given)
    assert (caught.value.reschedule_date - clock.now).total_seconds() == 60


@pytest.mark.parametrize("by", ["arguments", "default_args"])
def test_what_every_sensor_takes_is_taken(
    athena: MemoryAthena, clock: VirtualClock, by: str
) -> None:
    given: dict[str, Any] = {"mode": "poke", "poke_interval": timedelta(seconds=30), "timeout": 100}
    fields: dict[str, Any] = {"default_args": given} if by == "default_args" else given
    fate(athena, Plan(states=(("RUNNING", 70),)))
    assert wait_task(deferrable=False, **fields).execute(context())["state"] == "SUCCEEDED"
    assert looks_of(athena) == pytest.approx([0, 30, 60, 90])

    with pytest.raises(TaskDeferred) as caught:
        wait_task(submitted(context(DagRun(clear_number=1))), **fields).execute(context())
    assert caught.value.timeout == timedelta(seconds=100)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"exponential_backoff": True, "max_wait": 60}, "leave out exponential_backoff, max_wait"),
        ({"default_args": {"max_wait": 60}}, "leave out max_wait"),
        ({"sleep_time": 10}, "wait_for_query: leave out sleep_time. poke_interval and timeout say"),
        ({"max_retries": 0}, "leave out max_retries. poke_interval"),
        ({"default_args": {"sleep_time": 5, "max_retries": 3}}, "sleep_time, max_retries"),
    ],
)
def test_a_second_way_to_say_when_to_look_is_refused(fields: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wait_task(**fields)


@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_wait_that_may_not_fail_is_skipped_and_stops_the_query_at_its_time_out(
    athena: MemoryAthena, clock: VirtualClock, option: str, deferrable: bool
) -> None:
    fate(athena, Plan.endless())
    given = context(first_reschedule_date=NOW - timedelta(seconds=61))
    task = wait_task(timeout=60, deferrable=deferrable, **{option: True})
    with pytest.raises(AirflowSkipException, match=r"had not ended|timed out"):
        task.resume_execution(*TIMED_OUT, given) if deferrable else task.execute(given)
    assert athena.states == ["CANCELLED"]

    athena.queries["q-1"].cancelled_at = None
    fate(athena, Plan.failing(1006, category=2))
    clock.sleep(60)
    with pytest.raises(AirflowSkipException, match="the SQL is not valid"):
        wait_task(deferrable=deferrable, **{option: True}).execute(context())


@pytest.mark.parametrize(
    ("option", "raised"), [("soft_fail", AirflowException), ("never_fail", AirflowSkipException)]
)
def test_what_a_retry_may_correct_is_skipped_only_by_never_fail(
    athena: MemoryAthena, option: str, raised: type[Exception]
) -> None:
    """The query fails in passing, and Athena does not say which executions there are."""

    def refuse(action: str) -> None:
        if action == "ListQueryExecutions" and athena.count(action) <= 1 + len(PAUSES_SECONDS):
            raise THROTTLED

    fate(athena, Plan(states=(), end="FAILED", error={"ErrorCategory": 1, "ErrorType": 1602}))
    athena.before = refuse
    with pytest.raises(AirflowException) as caught:
        wait_task(**{option: True}).execute(context())
    assert type(caught.value) is raised
