"""Many waits in one process, as a triggerer has them, for `bench.wait`.

Reads ids of queries as JSON from stdin, and prints JSON: when each wait ended (seconds since the
epoch), the process's peak memory (MB), and its processor seconds.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

# What a triggerer has in memory anyway.
import airflow.jobs.triggerer_job_runner  # noqa: F401

from athena_reports.steps.wait_trigger import AthenaWaitTrigger


async def end_of(query_id: str) -> float:
    async for event in AthenaWaitTrigger(query_id, aws_conn_id="aws_default").run():
        has_failed = "error" in event.payload or event.payload["query"]["state"] != "SUCCEEDED"
        if has_failed:
            raise RuntimeError(str(event.payload))
    return time.time()


async def wait_for_all(query_ids: list[str]) -> dict[str, float]:
    ended = await asyncio.gather(*map(end_of, query_ids))
    return dict(zip(query_ids, ended, strict=True))


def most_kilobytes() -> int:
    """Return the peak memory; `getrusage` would also count that of the process that started it."""
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if peak is None:
        raise RuntimeError("/proc/self/status does not have VmHWM")
    return int(peak[1])


def main() -> None:
    before = time.process_time()
    ended = asyncio.run(wait_for_all(json.load(sys.stdin)))
    figures = {
        "ended": ended,
        "megabytes": most_kilobytes() / 1024,
        "cpu_seconds": time.process_time() - before,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
