"""`help`: `athena-reports --help` in a process of its own, against a limit."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from bench.results import Row

ROUNDS = 9
LIMIT_SECONDS = 0.4


def measure() -> Sequence[Row]:
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        command = [sys.executable, "-m", "athena_reports_cli", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    typical = median(seconds[1:])
    return [Row.of("help", "seconds", typical, {"limit": LIMIT_SECONDS}, LIMIT_SECONDS)]
