"""Play many worlds on all cores: `python -m tests.simulation --seeds 100000 --from 500`."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.checker import play


def story_of(seed: int) -> str:
    """Return the story of a world in which something does not hold, else an empty text."""
    logging.disable(logging.CRITICAL)
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            play(seed)
    except Exception as error:
        return f"{told.getvalue()}{type(error).__name__}: {error}"
    return ""


def main() -> int:
    """Play the worlds, print the stories that end badly, and return 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many worlds")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    begun, bad = time.monotonic(), 0
    with ProcessPoolExecutor() as pool:
        seeds = range(given.first, given.first + given.seeds)
        for seed, story in zip(seeds, pool.map(story_of, seeds, chunksize=20), strict=True):
            if story:
                bad += 1
                print(f"{story}\n", flush=True)
            if (seed + 1 - given.first) % 1000 == 0:
                print(
                    f"{seed + 1 - given.first} worlds, {bad} bad, {time.monotonic() - begun:.0f} s",
                    flush=True,
                )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
