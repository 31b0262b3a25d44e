"""Waits for runs in a local Airflow, and says how far they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from athena_reports_cli.local.client import AirflowClient, AirflowRuntimeError, DagRun


class Watch:
    """Says every few seconds how many tasks of all runs are done."""

    def __init__(self, client: AirflowClient, progress: Callable[[str], None]) -> None:
        self._client = client
        self._progress = progress
        self._told_at = time.monotonic()

    def all_finished(self, runs: Sequence[DagRun]) -> bool:
        """Whether the runs have finished; called at each look."""
        if time.monotonic() - self._told_at > 5:
            done = self._tasks(state="success")
            created = self._tasks()
            self._progress(f"{done} of {created} tasks done")
            self._told_at = time.monotonic()
        return all(run.finished for run in runs)

    def _tasks(self, **filters: str) -> int:
        """Return how many tasks of all runs the filters of the API leave."""
        path = "/api/v2/dags/~/dagRuns/~/taskInstances"
        tasks = self._client.request("GET", path, params={"limit": 1, **filters})
        return int(tasks["total_entries"])


class TimedProgress:
    """Prints what happens, a line each time, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = time.monotonic()

    def __call__(self, message: str) -> None:
        """Print a line."""
        line = Text.assemble((f"{time.monotonic() - self._start:6.1f} s", "dim"), f"  {message}")
        self._console.print(line, soft_wrap=True)


def finish(client: AirflowClient, dag_id: str, watch: Watch) -> None:
    """Wait for all runs of a DAG.

    Raises:
        AirflowRuntimeError: A run failed; the message says which task, and how its log ends.
    """
    for run in client.wait_for_runs(dag_id, until=watch.all_finished, timeout_seconds=600):
        if run.state != "success":
            tasks = client.task_instances(dag_id, run.run_id)
            ends_of_logs = []
            for task in tasks:
                if task.state == "failed":
                    log = client.task_log(dag_id, run.run_id, task.task_id, task.try_number)
                    ends_of_logs.append(log[-2000:])
            ends = "\n".join(ends_of_logs)
            raise AirflowRuntimeError(f"run {run.run_id} of {dag_id} is {run.state}.\n{ends}")
