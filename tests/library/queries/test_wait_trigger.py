from __future__ import annotations

import asyncio
import inspect
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.utils import import_string

from athena_reports import PATIENT, WaitPolicy
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.wait_trigger import MAX_FAILED_POLLS, POLLS_PER_SECOND, AthenaWaitTrigger
from tests.library.queries.samples import start_sql
from tests.simulation.clock import START, VirtualClock, virtual_clock
from tests.simulation.memory_athena import LOST, THROTTLED, MemoryAthena, Plan, api_error, serve

SUBMITTED = START.isoformat(timespec="milliseconds")


def start(athena: MemoryAthena, plan: Plan) -> AthenaWaitTrigger:
    """A query that was submitted just now, and the trigger that waits for it."""
    id_ = start_sql(athena, "SELECT 1")
    athena.queries[id_].plan = plan
    return AthenaWaitTrigger(id_, athena.now.isoformat(), WaitPolicy(), "aws_default")


def running(seconds: float, **fields: Any) -> Plan:
    return Plan(states=(("QUEUED", seconds / 2), ("RUNNING", seconds / 2)), **fields)


async def fired(trigger: AthenaWaitTrigger) -> dict[str, Any]:
    """What it fires; nothing may follow."""
    events = [event async for event in trigger.run()]
    (event,) = events
    payload: dict[str, Any] = json.loads(json.dumps(event.payload))
    return payload


def looks_of(athena: MemoryAthena) -> list[float]:
    """When it was asked for a query, in seconds from the start."""
    return [(at - START).total_seconds() for action, at in athena.calls if action == "GetQueryExecution"]


# --- through the metadata database


def test_a_trigger_comes_back_from_the_metadata_database_as_it_was() -> None:
    given: dict[str, Any] = {
        "query_execution_id": "q-1",
        "submitted_at": SUBMITTED,
        "policy": WaitPolicy(factor=1.5, give_up_after=timedelta(minutes=7, milliseconds=1)),
        "aws_conn_id": "aws_reports",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 10},
    }
    classpath, fields = AthenaWaitTrigger(**given).serialize()
    again = import_string(classpath)(**json.loads(json.dumps(fields)))

    assert type(again) is AthenaWaitTrigger
    assert {name: getattr(again, name) for name in given} == given
    assert again.serialize() == (classpath, fields)


def test_every_argument_of_the_providers_trigger_that_reaches_the_hook_is_kept() -> None:
    ours = set(AthenaWaitTrigger("q-1", "", WaitPolicy(), None).serialize()[1])
    theirs = set(AthenaTrigger("q-1", 1, 1, "c", region_name="r", verify=True, botocore_config={"a": 1}).serialize()[1])

    assert theirs - ours == {"waiter_delay", "waiter_max_attempts"}  # the policy stands for them
    assert "self" in inspect.signature(AthenaWaitTrigger.on_kill).parameters


# --- waiting


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        (running(10), "SUCCEEDED"),
        (replace(running(10), end="FAILED", reason="TABLE_NOT_FOUND"), "FAILED"),
        (replace(running(10), end="CANCELLED"), "CANCELLED"),
        (replace(running(10), end="PAUSED"), "UNKNOWN"),
    ],
    ids=["succeeded", "failed", "cancelled", "unknown"],
)
def test_it_fires_the_facts_of_a_query_that_is_no_longer_under_way(
    clock: VirtualClock, athena: MemoryAthena, plan: Plan, state: str
) -> None:
    trigger = start(athena, plan)
    execution = QueryExecution.model_validate(clock.run(fired(trigger))["query"])

    assert (execution.id, execution.state) == ("q-1", state)
    assert plan.reason in execution.reason
    assert execution.submitted_at == SUBMITTED
    assert execution.scanned_bytes == 20_000_000


def test_a_query_may_go_back_to_the_queue(clock: VirtualClock, athena: MemoryAthena) -> None:
    plan = Plan(states=(("QUEUED", 3), ("RUNNING", 5), ("QUEUED", 5), ("RUNNING", 3)))

    assert clock.run(fired(start(athena, plan)))["query"]["state"] == "SUCCEEDED"
    assert clock.seconds >= 16


def test_progress_is_logged_at_each_look(
    clock: VirtualClock, athena: MemoryAthena, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.run(fired(start(athena, running(20))))

    told = capsys.readouterr().out
    assert told.count("20,000,000 bytes scanned so far") == len(looks_of(athena)) - 1
    assert "Query q-1 is QUEUED" in told
    assert "Query q-1 is RUNNING" in told


@settings(max_examples=60)
@given(st.floats(0.1, 3000), st.sampled_from([WaitPolicy(), PATIENT]))
def test_it_looks_when_the_policy_says_so(seconds: float, policy: WaitPolicy) -> None:
    with virtual_clock() as clock, pytest.MonkeyPatch.context() as patch:
        athena = MemoryAthena()
        serve(athena, patch)
        trigger = start(athena, running(seconds))
        trigger.policy = policy
        clock.run(fired(trigger))

    found = looks_of(athena)
    expected, at = [], 0.0
    while at < seconds:
        at += policy.pause_after(at)
        expected.append(at)
    assert found == pytest.approx(expected, abs=0.001 * len(expected))


@pytest.mark.parametrize("known", [True, False], ids=["submission known", "not known"])
def test_whoever_takes_the_wait_over_looks_as_seldom_as_the_age_of_the_query_allows(
    clock: VirtualClock, athena: MemoryAthena, known: bool
) -> None:
    trigger = start(athena, running(1000))
    if not known:  # the task's look was not answered
        trigger.submitted_at = ""
    clock.sleep(900)  # the triggerer was away
    clock.run(fired(trigger))

    assert clock.seconds < 1000 + WaitPolicy().longest_pause_seconds
    assert len(looks_of(athena)) <= 4


@pytest.mark.parametrize("error", [THROTTLED, LOST, api_error("InternalServerException", status=500)])
def test_a_few_looks_that_are_not_answered_are_borne_with_longer_pauses(
    clock: VirtualClock, athena: MemoryAthena, error: Exception
) -> None:
    def fail(_: str) -> None:
        # All but each tenth: never MAX_FAILED_POLLS in a row.
        if len(looks_of(athena)) % MAX_FAILED_POLLS:
            raise error

    trigger = start(athena, running(300))
    athena.before = fail

    assert clock.run(fired(trigger))["query"]["state"] == "SUCCEEDED"
    assert len(looks_of(athena)) % MAX_FAILED_POLLS == 0
    pauses = [later - earlier for earlier, later in zip(looks_of(athena), looks_of(athena)[1:], strict=False)]
    undisturbed = [WaitPolicy().pause_after(at) for at in looks_of(athena)]
    assert all(pause >= plain - 0.01 for pause, plain in zip(pauses, undisturbed, strict=False))
    assert pauses[0] >= 2 * undisturbed[0] - 0.01


def test_too_many_in_a_row_are_the_tasks_to_decide(clock: VirtualClock, athena: MemoryAthena) -> None:
    def fail(_: str) -> None:
        raise THROTTLED

    trigger = start(athena, running(10))
    athena.before = fail
    event = clock.run(fired(trigger))

    assert event.keys() == {"error"}
    assert event["error"].startswith("Athena could not be asked about q-1: ")
    assert "Rate exceeded" in event["error"]
    assert len(looks_of(athena)) == MAX_FAILED_POLLS


# --- stopping


def test_a_kill_stops_the_query(clock: VirtualClock, athena: MemoryAthena) -> None:
    trigger = start(athena, Plan.endless())

    async def killed() -> None:
        waiting = asyncio.create_task(fired(trigger))
        await asyncio.sleep(100)
        waiting.cancel()
        await trigger.on_kill()

    clock.run(killed())
    assert athena.states == ["CANCELLED"]


def test_the_end_of_a_triggerer_stops_no_query(clock: VirtualClock, athena: MemoryAthena) -> None:
    trigger = start(athena, Plan.endless())

    async def ended() -> None:
        waiting = asyncio.create_task(fired(trigger))
        await asyncio.sleep(100)
        waiting.cancel()
        await trigger.cleanup()

    clock.run(ended())
    assert athena.states == ["RUNNING"]
    assert athena.count("StopQueryExecution") == 0


# --- the quota


def start_times(number: int) -> list[float]:
    """When queries start that are submitted as fast as is allowed: a burst of 80, then 20 a second."""
    return [max(0.0, (at - 79) / 20) for at in range(number)]


def throttled(calls: list[float]) -> int:
    """How many calls GetQueryExecution's quota refuses: 100 a second, 200 in a burst (a token bucket)."""
    refused, left, before = 0, 200.0, 0.0
    for at in calls:
        left, before = min(200.0, left + (at - before) * 100), at
        if left < 1:
            refused += 1
        else:
            left -= 1
    return refused


def test_500_queries_that_wait_at_once_stay_under_athenas_quota(clock: VirtualClock, athena: MemoryAthena) -> None:
    """The look of each wait_for_query, as it starts, counts too."""

    async def wait_for(at: float, seconds: float) -> float:
        await asyncio.sleep(at)
        trigger = start(athena, running(seconds))
        athena.get_query_execution(trigger.query_execution_id)  # the sensor's own look
        await fired(trigger)
        return clock.seconds - at - seconds

    async def all_of_them() -> list[float]:
        return await asyncio.gather(*map(wait_for, start_times(500), durations))

    durations = [1.0 + at * 7 % 600 for at in range(500)]
    lateness = clock.run(all_of_them())
    looks = looks_of(athena)
    by_second = Counter(map(int, looks))

    assert athena.states == ["SUCCEEDED"] * 500
    assert throttled(looks) == 0
    assert max(count for second, count in by_second.items() if second > 0) <= 100
    assert max(by_second.values()) > POLLS_PER_SECOND  # it was a crowd
    allowed = [1 + 0.2 * seconds + 500 / POLLS_PER_SECOND for seconds in durations]
    assert all(late <= most for late, most in zip(lateness, allowed, strict=True))


def test_a_triggerer_that_starts_again_with_500_queries_takes_turns(clock: VirtualClock, athena: MemoryAthena) -> None:
    triggers = [start(athena, running(30)) for _ in range(500)]
    clock.sleep(29)

    async def all_of_them() -> Any:
        return await asyncio.gather(*map(fired, triggers))

    clock.run(all_of_them())
    in_each_second = Counter(int(at) for at in looks_of(athena))
    assert max(in_each_second.values()) <= POLLS_PER_SECOND + 1
    assert len(looks_of(athena)) == 500  # all had ended when they were looked at
