"""Stands for an Airflow whose runs go on from one look to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from tests.support.rest_api import TOKEN, RestApi, run_of

DAG_ID = "best_weekly"
_RUNS = f"/api/v2/dags/{DAG_ID}/dagRuns"


@dataclass
class AirflowOfRuns(RestApi):
    """An API with a login. Whoever lists the runs of the DAG sees the next of some states.

    Attributes:
        looks: The state of each run that is there, by its id, for each look. The last one repeats.
        tries: The number of tries of the failed task of a run.
        events: How many events stand in a log before the last one.
        logins: What was sent to log in.
        starts: The logical dates of runs.
    """

    looks: Sequence[dict[str, str]] = ({},)
    tries = 1
    events = 0
    number_of_looks = 0
    logins: list[Any] = field(default_factory=list)
    starts: dict[str, datetime] = field(default_factory=dict)

    def answer(
        self, method: str, path: str, body: Any, authorization: str | None
    ) -> tuple[HTTPStatus, Any] | None:
        if path == "/auth/token":
            self.logins.append(body)
            return HTTPStatus.OK, {"access_token": TOKEN}
        if authorization != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED, {}
        path, _, query = path.partition("?")
        if path == _RUNS:
            states = self.looks[min(self.number_of_looks, len(self.looks) - 1)]
            self.number_of_looks += 1
            runs = [self._run(run_id, state) for run_id, state in states.items()]
            return HTTPStatus.OK, {"dag_runs": runs, "total_entries": len(runs)}
        if path.startswith(_RUNS) and path.count("/") == _RUNS.count("/") + 1:
            run_id = path.rpartition("/")[2]
            states = self.looks[min(self.number_of_looks, len(self.looks) - 1)]
            self.number_of_looks += 1
            return HTTPStatus.OK, self._run(run_id, states[run_id])
        if path.endswith("/taskInstances"):
            run_id = path.split("/")[-2]
            tasks = [task_of(run_id, "run_query", "success", 1)]
            tasks.append(task_of(run_id, "transform", "failed", self.tries))
            tasks.append(task_of(run_id, "publish", "upstream_failed", 0))
            state = dict(parse_qsl(query)).get("state")
            tasks = [task for task in tasks if state in (None, task["state"])]
            return HTTPStatus.OK, {"task_instances": tasks, "total_entries": len(tasks)}
        _, _, task_and_try = path.partition("/taskInstances/")
        task_id, _, number = task_and_try.split("/")
        content = [{"event": f"event {event}"} for event in range(self.events)]
        return HTTPStatus.OK, {"content": [*content, {"event": f"try {number} of {task_id}"}]}

    def _run(self, run_id: str, state: str) -> dict[str, Any]:
        run = run_of(run_id, state, DAG_ID)
        if run_id in self.starts:
            run["logical_date"] = self.starts[run_id].isoformat()
        return run


def task_of(run_id: str, task_id: str, state: str, tries: int) -> dict[str, Any]:
    """A task instance as the API tells it."""
    task: dict[str, Any] = dict.fromkeys(("operator_name", "start_date", "end_date"))
    task |= {"id": f"{run_id} {task_id}", "dag_run_id": run_id, "task_id": task_id}
    return task | {"map_index": -1, "state": state, "try_number": tries, "rendered_fields": {}}
