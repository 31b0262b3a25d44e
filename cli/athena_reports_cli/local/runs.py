"""Waits for runs in an Airflow, and reports their progress."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime

from rich.console import Console
from rich.text import Text

from athena_reports_cli.local.client import (
    AirflowClient,
    AirflowRuntimeError,
    DagRun,
    TaskInstance,
)

_POLL_SECONDS = 1.0
_SHOWN_EVENTS = 10  # of a log without an exception


class TimedProgress:
    """Prints what happens, a line each time, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()

    def __call__(self, message: str) -> None:
        """Print a line."""
        line = Text.assemble((f"{time.monotonic() - self._start:6.1f} s", "dim"), f"  {message}")
        self._console.print(line, soft_wrap=True)


def follow_run(
    client: AirflowClient,
    dag_id: str,
    run_id: str,
    progress: Callable[[str], None],
    timeout_seconds: float = math.inf,
) -> DagRun:
    """Wait for a run, and report each state of its tasks, with the reason of a retry."""
    reported: set[tuple[str, int, int, str | None]] = set()
    deadline = time.monotonic() + timeout_seconds
    while True:
        # Before its tasks, so that the last states of the tasks are reported too.
        run = client.run(dag_id, run_id)
        for task in client.task_instances(dag_id, run_id):
            state = (task.task_id, task.map_index, task.try_number, task.state)
            if not task.state or state in reported:
                continue
            reported.add(state)
            line = f"{task.task_id}: {task.state}"
            if task.state == "up_for_retry":
                line += f" after {_reason(client, dag_id, task)}"
            progress(line)
        if run.finished:
            return run
        if time.monotonic() > deadline:
            raise AirflowRuntimeError(
                f"Run {run_id} of {dag_id} is still {run.state} after {timeout_seconds:.0f} s."
            )
        time.sleep(_POLL_SECONDS)


def follow_backfill(
    client: AirflowClient,
    dag_id: str,
    starts: Collection[datetime],
    progress: Callable[[str], None],
) -> list[DagRun]:
    """Wait for the runs of a backfill, and report how many are in which state.

    `starts` are the logical dates of the runs: the starts of their periods. `progress` is called
    with a line of text whenever a number has changed.
    """
    reported = ""
    while True:
        in_range = client.runs(
            dag_id,
            logical_date_gte=min(starts).isoformat(),
            logical_date_lte=max(starts).isoformat(),
        )
        runs = [run for run in in_range if run.logical_date in starts]
        number_of_state = Counter(run.state for run in runs)
        numbers = ", ".join(f"{number} {state}" for state, number in number_of_state.items())
        if numbers != reported:
            progress(f"{dag_id}: {numbers}")
            reported = numbers
        if runs and all(run.finished for run in runs):
            return runs
        time.sleep(_POLL_SECONDS)


def require_success(client: AirflowClient, run: DagRun) -> None:
    """Raise AirflowRuntimeError if a run failed; it has the reason of each failed task."""
    if run.state == "success":
        return
    reasons = [
        f"\n{task.task_id}: {_reason(client, run.dag_id, task)}"
        for task in client.task_instances(run.dag_id, run.run_id)
        if task.state == "failed"
    ]
    raise AirflowRuntimeError(f"Run {run.run_id} of {run.dag_id} is {run.state}.{''.join(reasons)}")


def _reason(client: AirflowClient, dag_id: str, task: TaskInstance) -> str:
    """Return the exception that ended a task, or the last events of its log if it has none."""
    events = client.log_events(dag_id, task.run_id, task.task_id, task.try_number, task.map_index)
    for event in reversed(events):
        if event.get("error_detail"):
            exception = event["error_detail"][0]
            return f"{exception['exc_type']}: {exception['exc_value']}"
    return "\n".join(str(event["event"]) for event in events[-_SHOWN_EVENTS:])
