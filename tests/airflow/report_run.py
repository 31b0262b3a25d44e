"""A run of a report's DAG in a real Airflow, seen from both sides:
its tasks, and its queries in Athena.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import psutil  # type: ignore[import-untyped]

from athena_reports_cli.local.runs import require_success
from tests.support.local_athena import query_executions
from tests.support.query_comments import comment_of

if TYPE_CHECKING:
    from athena_reports_cli.local.client import TaskInstance
    from athena_reports_cli.local.services import Services
    from tests.support.live_airflow import LiveAirflow

_T = TypeVar("_T")

TASK_TITLE = "airflow worker -- "
"""What Airflow calls the process of a task, before the id of the task instance."""


def until(happened: Callable[[], _T | None], what: str, *, seconds: float = 60) -> _T:
    """Wait until a function returns something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (outcome := happened()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
    return outcome


def logs_stop_of(query_id: str, log: str) -> bool:
    """Return whether a log says that a query is being stopped, in our words or the hook's."""
    return re.search(rf"Stopping query (with executionId - )?{query_id}", log, re.I) is not None


@dataclass(frozen=True)
class Query:
    """A query execution as the local Athena tells it, and the run that it was started for."""

    id: str
    run_id: str
    map_index: int
    state: str
    submitted: datetime
    completed: datetime | None


@dataclass(frozen=True)
class ReportRun:
    """A run of a report's DAG; its queries are told by their comment."""

    airflow: LiveAirflow
    services: Services
    dag_id: str
    run_id: str

    @classmethod
    def begin(
        cls,
        airflow: LiveAirflow,
        services: Services,
        dag_id: str,
        run_id: str,
        period: str,
    ) -> ReportRun:
        """Trigger a run for a period; `run_id` is in the text of its queries."""
        body = {"logical_date": None, "dag_run_id": run_id, "conf": {"period": period}}
        airflow.client.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return cls(airflow, services, dag_id, run_id)

    @property
    def queries(self) -> list[Query]:
        """All queries that were ever created for the run, in the order of their creation."""
        return [
            query for query in queries_of(self.services, self.dag_id) if query.run_id == self.run_id
        ]

    @property
    def states(self) -> list[str]:
        return [query.state for query in self.queries]

    def task(self, task_id: str, map_index: int = -1) -> TaskInstance:
        tasks = self.airflow.client.task_instances(self.dag_id, self.run_id)
        return next(
            task for task in tasks if (task.task_id, task.map_index) == (task_id, map_index)
        )

    def log(self, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        return self.airflow.client.task_log(
            self.dag_id, self.run_id, task_id, try_number, map_index
        )

    def notes(self, task_id: str) -> list[str]:
        """The ids of the executions that a task has noted in Airflow's state store."""
        run = f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}"
        path = f"{run}/taskInstances/{task_id}/state-store"
        rows = self.airflow.client.rows(path, "task_state_store")
        return [id_ for row in rows for ids in row["value"].values() for id_ in ids.values()]

    def xcom(self, task_id: str) -> Any:
        return self.airflow.client.xcom(self.dag_id, self.run_id, task_id)

    def process(self, task_id: str, map_index: int = -1) -> psutil.Process:
        """The process in which a task runs; Airflow names it by the id of the task instance."""
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances"
        (title,) = (
            TASK_TITLE + row["id"]
            for row in self.airflow.client.rows(path, "task_instances")
            if (row["task_id"], row["map_index"]) == (task_id, map_index)
        )

        def found() -> list[psutil.Process]:
            return [each for each in self.airflow.processes("scheduler") if title in title_of(each)]

        (process,) = until(found, f"a process of {task_id}")
        return process

    def wait_for_query(self) -> Query:
        """Wait until Athena has a query of the run, and return the latest."""
        return until(lambda: self.queries, f"a query of {self.run_id}")[-1]

    def wait_until_watched(self) -> None:
        """Wait until the triggerer has looked at the query, as the task had before."""

        def has_looked() -> bool:
            task = self.task("wait_for_query")
            return (
                task.state == "deferred"
                and self.log(task.task_id, task.try_number).count("RUNNING") > 1
            )

        until(has_looked, f"the triggerer looks at the query of {self.run_id}")

    def wait_until_over(self) -> str:
        """Wait until the run has ended, and return its state."""
        (run,) = self.airflow.client.wait_for_runs(self.dag_id, [self.run_id], timeout_seconds=120)
        return run.state

    def wait_until_success(self) -> None:
        self.wait_until_over()
        require_success(self.airflow.client, self.airflow.client.run(self.dag_id, self.run_id))

    def wait_until_ended(self, query_id: str) -> Query:
        """Wait until a query of the run has ended, and return it."""

        def ended() -> Query | None:
            (query,) = (query for query in self.queries if query.id == query_id)
            return query if query.completed is not None else None

        return until(ended, f"query {query_id} of {self.run_id} has ended")

    def wait_until_cancelled(self, query: Query) -> None:
        assert self.wait_until_ended(query.id).state == "CANCELLED"


def queries_of(services: Services, dag_id: str) -> list[Query]:
    """All queries that were ever created for a DAG, in the order of their creation."""
    queries = []
    for execution in query_executions(services.athena):
        comment = comment_of(execution["Query"])
        status = execution["Status"]
        if comment.get("dag_id") == dag_id:
            queries.append(
                Query(
                    id=execution["QueryExecutionId"],
                    run_id=comment["run_id"],
                    map_index=comment["map_index"],
                    state=status["State"],
                    submitted=status["SubmissionDateTime"],
                    completed=status.get("CompletionDateTime"),
                )
            )
    return sorted(queries, key=lambda query: query.submitted)


def cells_on_the_page(airflow: LiveAirflow, dag_id: str) -> list[dict[str, Any]]:
    """The periods of a DAG as the Reports page shows them."""
    answer = airflow.client.request(
        "GET", "/athena-reports/api/coverage", params={"dag_id": [dag_id]}
    )
    (report,) = map(json.loads, answer["rows"].values())
    assert report["problems"] == []
    return [dict(zip(answer["fields"], cell, strict=False)) for cell in report["cells"]]


def title_of(process: psutil.Process) -> str:
    """The title of a process; nothing for one that is gone."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).strip()  # setproctitle pads it
    return ""


def now() -> datetime:
    return datetime.now(UTC)
