"""Random faults and kills: every round ends with one paid query per intention, and none that runs.

One seed is one round, and is played again with `pytest tests/simulation -k seed-<number>`.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.rounds import INCIDENTS, play

SEEDS = range(200)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_one_query_is_paid_whatever_happens(seed: int) -> None:
    play(seed)


def test_a_round_can_be_played_again() -> None:
    assert play(7).log == play(7).log


def test_the_rounds_hold_every_incident() -> None:
    """A simulation in which nothing goes wrong would show nothing."""
    happened: Counter[str] = Counter()
    for seed in SEEDS:
        happened += play(seed).incidents

    assert set(happened) == set(INCIDENTS)
    assert happened.total() > 5 * len(SEEDS)
