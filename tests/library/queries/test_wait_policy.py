"""The wait policies, beside the wait of the state machine that this package replaces."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.queries.wait_policy import STATE_MACHINE, WaitPolicy


def looks(policy: WaitPolicy, query_seconds: float, begin: float = 0.0) -> list[float]:
    """When somebody who looks first at `begin` looks,
    until the query has ended or the wait is given up.
    """
    found, at = [begin], begin
    while at < query_seconds:
        at += policy.pause_after(at)
        if at > policy.give_up_after.total_seconds():
            break
        found.append(at)
    return found


@given(st.floats(0.5, 10), st.floats(1, 3), st.floats(0, 100), st.floats(0, 500))
def test_each_pause_is_the_one_before_times_the_factor_until_the_longest(
    first: float, factor: float, more: float, end: float
) -> None:
    policy = WaitPolicy(first_poll_seconds=first, factor=factor, longest_pause_seconds=first + more)
    expected = first
    for before, after in pairwise(looks(policy, end)):
        assert after - before == pytest.approx(min(expected, first + more))
        expected *= factor


@given(st.floats(0, 1500), st.floats(0, 1500))
@example(0, 59.999)
@example(0, 60.0)
def test_by_default_no_end_is_noticed_later_than_a_fifth_of_the_time_plus_a_second(
    begin: float, more: float
) -> None:
    """Also by whoever takes a wait over at any time:
    a look that a crash adds shifts the schedule.
    """
    end = begin + more
    assert looks(WaitPolicy(), end, begin)[-1] - end <= 0.2 * end + 1 + 1e-9


def machine(query_seconds: float) -> list[float]:
    """When Step Functions' retrier looks: IntervalSeconds 5, BackoffRate 1.2, MaxAttempts 10."""
    found, interval = [0.0], 5.0
    while found[-1] < query_seconds and len(found) <= 10:
        found.append(found[-1] + interval)
        interval *= 1.2
    return found


@pytest.mark.parametrize("query_seconds", [0.5, 10, 60, 129, 600])
def test_the_named_policy_looks_and_gives_up_when_the_machine_did(query_seconds: float) -> None:
    assert looks(STATE_MACHINE, query_seconds) == pytest.approx(machine(query_seconds))
    assert machine(600)[-1] == pytest.approx(129.8, abs=0.1)
