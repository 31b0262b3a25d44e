"""When it looks; tests/integration/test_scenarios.py shows what it fires, and that it survives the database."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports import PATIENT, WaitPolicy
from athena_reports.steps.wait_trigger import POLLS_PER_SECOND, AthenaWaitTrigger
from tests.library.queries.samples import start_sql
from tests.simulation.clock import START, VirtualClock, virtual_clock
from tests.simulation.memory_athena import MemoryAthena, Plan, serve


def start(athena: MemoryAthena, seconds: float) -> AthenaWaitTrigger:
    """A query that was submitted just now and runs so long, and the trigger that waits for it."""
    id_ = start_sql(athena, "SELECT 1")
    athena.queries[id_].plan = Plan(states=(("QUEUED", seconds / 2), ("RUNNING", seconds / 2)))
    return AthenaWaitTrigger(id_, athena.now.isoformat(), WaitPolicy(), aws_conn_id="aws_default")


async def fired(trigger: AthenaWaitTrigger) -> dict[str, Any]:
    """What it fires; nothing may follow."""
    (event,) = [event async for event in trigger.run()]
    payload: dict[str, Any] = json.loads(json.dumps(event.payload))
    return payload


def looks_of(athena: MemoryAthena) -> list[float]:
    """When it was asked for a query, in seconds from the start."""
    return [(at - START).total_seconds() for action, at in athena.calls if action == "GetQueryExecution"]


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


def test_a_triggerer_that_starts_again_with_500_queries_takes_turns(clock: VirtualClock, athena: MemoryAthena) -> None:
    triggers = [start(athena, 30) for _ in range(500)]
    clock.sleep(29)

    async def all_of_them() -> Any:
        return await asyncio.gather(*map(fired, triggers))

    clock.run(all_of_them())
    assert max(Counter(int(at) for at in looks_of(athena)).values()) <= POLLS_PER_SECOND + 1
    assert len(looks_of(athena)) == 500  # all had ended when they were looked at
