"""Play many worlds on all cores, or a single one: 100000, or seed-123."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.world.checker import play
from tests.world.world import story_of

SEED = "seed-"


class Played(NamedTuple):
    """What came of a world: its figures, and its story if something does not hold."""

    figures: Counter[str]
    failure: str


def played(seed: int) -> Played:
    story = io.StringIO()
    try:
        with contextlib.redirect_stdout(story):
            made = play(seed)
    except Exception as error:
        return Played(Counter(), f"{story.getvalue()}{type(error).__name__}: {error}")
    return Played(made.figures, "")


def silence() -> None:
    """Let the library's log lines be told by the story alone."""
    logging.disable(logging.CRITICAL)


def play_one(seed: int) -> int:
    """Play a world and print its story; return 1 if something does not hold."""
    try:
        made = play(seed)
    except Exception as error:  # the story has been printed
        print(f"{type(error).__name__}: {error}")
        return 1
    print(story_of(made))
    print(f"All holds in the world of seed {seed}.")
    return 0


def play_many(first: int, number: int) -> int:
    """Play worlds; print the stories that end badly, and return 1 if there is one."""
    begun = time.monotonic()
    figures: Counter[str] = Counter()
    bad = 0
    seeds = range(first, first + number)
    with ProcessPoolExecutor(initializer=silence) as pool:
        for seed, result in zip(seeds, pool.map(played, seeds, chunksize=20), strict=True):
            figures.update(result.figures)
            if result.failure:
                bad += 1
                print(f"{result.failure}\nPlay it again: make simulate SEEDS={SEED}{seed}\n")
            done = seed + 1 - first
            if done % 1000 == 0:
                seconds = time.monotonic() - begun
                print(f"{done} worlds, {bad} bad, {seconds:.0f} s", flush=True)
    for name, count in sorted(figures.items()):
        print(f"{count:>10,} {name}")
    return int(bad > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line asks for; return 1 if something does not hold."""
    parser = argparse.ArgumentParser(prog="tests.world", description=__doc__)
    parser.add_argument(
        "seeds", nargs="?", default="10000", help=f"how many worlds, or {SEED}<number> for one"
    )
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    options = parser.parse_args(arguments)
    is_one = options.seeds.startswith(SEED)
    digits = options.seeds.removeprefix(SEED)
    if not digits.isdecimal():
        parser.error(f"{options.seeds} is neither a number of worlds nor {SEED}<number>")
    if is_one:
        return play_one(int(digits))
    return play_many(options.first, int(digits))


if __name__ == "__main__":
    silence()
    sys.exit(main())
