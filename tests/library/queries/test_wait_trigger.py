from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.utils import import_string

from athena_reports import PATIENT, WaitPolicy
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.wait_trigger import MAX_FAILED_POLLS, POLLS_PER_SECOND, AthenaWaitTrigger
from tests.library.queries.samples import start_sql
from tests.simulation.clock import START, VirtualClock, virtual_clock
from tests.simulation.memory_athena import THROTTLED, MemoryAthena, Plan, serve

SUBMITTED = START.isoformat(timespec="milliseconds")


def start(athena: MemoryAthena, seconds: float, **fields: Any) -> AthenaWaitTrigger:
    """A query that was submitted just now and runs so long, and the trigger that waits for it."""
    id_ = start_sql(athena, "SELECT 1")
    athena.queries[id_].plan = Plan(states=(("QUEUED", seconds / 2), ("RUNNING", seconds / 2)), **fields)
    return AthenaWaitTrigger(id_, athena.now.isoformat(), WaitPolicy(), aws_conn_id="aws_default")


async def fired(trigger: AthenaWaitTrigger) -> dict[str, Any]:
    """What it fires; nothing may follow."""
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = json.loads(json.dumps(event.payload))
    return payload


def looks_of(athena: MemoryAthena) -> list[float]:
    """When it was asked for a query, in seconds from the start."""
    return [(at - START).total_seconds() for action, at in athena.calls if action == "GetQueryExecution"]


def test_a_trigger_comes_back_from_the_metadata_database_as_it_was() -> None:
    given: dict[str, Any] = {"query_execution_id": "q-1", "submitted_at": SUBMITTED, "aws_conn_id": "aws_reports"}
    given |= {"policy": WaitPolicy(factor=1.5, give_up_after=timedelta(minutes=7, milliseconds=1)), "verify": False}
    given |= {"region_name": "eu-west-1", "botocore_config": {"read_timeout": 10}}
    classpath, fields = AthenaWaitTrigger(**given).serialize()
    again = import_string(classpath)(**json.loads(json.dumps(fields)))

    assert type(again) is AthenaWaitTrigger
    assert {name: getattr(again, name) for name in given} == given
    assert again.serialize() == (classpath, fields)


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED", "PAUSED"])
def test_it_fires_the_facts_of_a_query_that_is_no_longer_under_way(
    clock: VirtualClock, athena: MemoryAthena, state: str
) -> None:
    trigger = start(athena, 10, end=state, reason="for a reason")
    execution = QueryExecution.model_validate(clock.run(fired(trigger))["query"])

    assert (execution.id, execution.state, execution.reason) == ("q-1", state, "for a reason")
    assert (execution.submitted_at, execution.scanned_bytes) == (SUBMITTED, 20_000_000)


@settings(max_examples=40)
@given(st.floats(0.1, 3000), st.sampled_from([WaitPolicy(), PATIENT]))
def test_it_looks_when_the_policy_says_so(seconds: float, policy: WaitPolicy) -> None:
    athena = MemoryAthena()
    with virtual_clock() as clock, pytest.MonkeyPatch.context() as patch:
        serve(athena, patch)
        trigger = start(athena, seconds)
        trigger.policy = policy
        clock.run(fired(trigger))

    expected, at = [], 0.0
    while at < seconds:
        at += policy.pause_after(at)
        expected.append(at)
    assert looks_of(athena) == pytest.approx(expected, abs=0.001 * len(expected))


def test_too_many_failed_calls_in_a_row_are_the_tasks_to_decide(clock: VirtualClock, athena: MemoryAthena) -> None:
    def fail(_: str) -> None:
        raise THROTTLED

    trigger = start(athena, 10)
    athena.before = fail
    event = clock.run(fired(trigger))

    assert event == {"error": f"Athena could not be asked about q-1: {THROTTLED}"}
    assert len(looks_of(athena)) == MAX_FAILED_POLLS


def test_a_triggerer_that_starts_again_with_500_queries_takes_turns(clock: VirtualClock, athena: MemoryAthena) -> None:
    triggers = [start(athena, 30) for _ in range(500)]
    clock.sleep(29)

    async def all_of_them() -> Any:
        return await asyncio.gather(*map(fired, triggers))

    clock.run(all_of_them())
    assert max(Counter(int(at) for at in looks_of(athena)).values()) <= POLLS_PER_SECOND + 1
    assert len(looks_of(athena)) == 500  # all had ended when they were looked at
