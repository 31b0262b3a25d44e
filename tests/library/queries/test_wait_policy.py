"""The wait of the state machine that this package replaces, beside ours, on the same scripted Athena.

The machine as it was meant: a look, and while the query is in progress a retry from 5 s on, each pause 1.2
times the one before, at most 10 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

import pytest

from athena_reports.queries.wait_policy import STATE_MACHINE, WaitPolicy


@dataclass(frozen=True)
class Wait:
    """The seconds at which a query was looked at, and whether its end was seen."""

    looks: list[float]
    ended: bool


def machine(query_seconds: float) -> Wait:
    """Step Functions' retrier: IntervalSeconds 5, BackoffRate 1.2, MaxAttempts 10."""
    at, interval, looks = 0.0, 5.0, [0.0]
    for _ in range(10):
        if at >= query_seconds:
            return Wait(looks, ended=True)
        at, interval = at + interval, interval * 1.2
        looks.append(at)
    return Wait(looks, ended=at >= query_seconds)


def ours(policy: WaitPolicy, query_seconds: float) -> Wait:
    at, looks, give_up = 0.0, [0.0], policy.give_up_after.total_seconds()
    while at < query_seconds:
        at += policy.pause_after(at)
        if at > give_up:
            return Wait(looks, ended=False)
        looks.append(at)
    return Wait(looks, ended=True)


@pytest.mark.parametrize("query_seconds", [0.5, 1, 3, 5, 10, 60, 100, 129])
def test_the_named_policy_looks_when_the_machine_did(query_seconds: float) -> None:
    theirs, named = machine(query_seconds), ours(STATE_MACHINE, query_seconds)
    assert named.looks == pytest.approx(theirs.looks)
    assert named.ended == theirs.ended is True


def test_both_give_up_on_a_query_that_takes_longer() -> None:
    theirs, named = machine(600), ours(STATE_MACHINE, 600)
    assert (theirs.ended, named.ended) == (False, False)
    assert named.looks == pytest.approx(theirs.looks)
    assert len(theirs.looks) == 11
    assert theirs.looks[-1] == pytest.approx(129.8, abs=0.1)


@pytest.mark.parametrize(("shortest", "longest", "saved"), [(0.1, 5, 1.5), (5, 20, 1), (20, 129, 0)])
def test_the_default_policy_knows_the_end_sooner_and_asks_little_more(
    shortest: float, longest: float, saved: float
) -> None:
    queries = [shortest + (longest - shortest) * n / 500 for n in range(500)]
    theirs, default = [machine(query) for query in queries], [ours(WaitPolicy(), query) for query in queries]
    delays = [
        mean(wait.looks[-1] - query for wait, query in zip(waits, queries, strict=True))
        for waits in (theirs, default)
    ]
    assert delays[1] <= delays[0] - saved
    assert mean(len(wait.looks) for wait in default) <= mean(len(wait.looks) for wait in theirs) + 9


def test_the_default_policy_waits_for_a_query_that_the_machine_gave_up_on() -> None:
    waited = ours(WaitPolicy(), 1800)
    assert waited.ended
    assert waited.looks[-1] - 1800 <= 60
    assert len(waited.looks) < 60
