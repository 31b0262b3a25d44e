"""`python -m bench [--only NAME]`: measure, print a table, and keep its rows in results.json."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from bench import (
    backfill,
    check,
    command_help,
    delivery,
    growth,
    page,
    parse,
    partitions,
    results_path,
    tasks,
    wait,
)
from bench.results import Row, keep, show

BENCHMARKS: Mapping[str, Callable[[], Sequence[Row]]] = {
    "help": command_help.measure,
    "parse": parse.measure,
    "check": check.measure,
    "wait": wait.measure,
    "results": results_path.measure,
    "results-large": results_path.measure_large,
    "results-small": results_path.measure_small,
    "page": page.measure,
    "backfill": backfill.measure,
    "tasks": tasks.measure,
    "delivery": delivery.measure,
    "partitions": partitions.measure,
    "growth": growth.measure,
    "growth-linear": growth.measure_linear,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="one benchmark instead of all")
    only = parser.parse_args().only
    rows = [
        row for name, measure in BENCHMARKS.items() if only in (None, name) for row in measure()
    ]
    keep(rows)
    show(rows, Console())


if __name__ == "__main__":
    main()
