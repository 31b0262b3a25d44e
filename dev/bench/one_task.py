"""`python -m bench.one_task DAG_FILE TASK_ID XCOM_FILE`: a task of the benchmark `tasks`.

It prints its figures as JSON. What each task of Airflow imports is imported before it measures.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time import task_runner  # noqa: F401  # of every task
from airflow.sdk.execution_time.context import MacrosAccessor, OutletEventAccessors
from airflow.sdk.plugins_manager import integrate_macros_plugins

_WEEK_START = datetime(2025, 3, 8, 15, tzinfo=UTC)  # Sunday in Tokyo
_WEEK_END = _WEEK_START + timedelta(days=7)


class Xcoms:
    """Stands for the task instance: its XComs are those of the run."""

    map_index = -1
    try_number = 1
    max_tries = 3

    def __init__(self, dag_id: str, task_id: str, file: Path) -> None:
        self.dag_id, self.task_id, self.run_id = dag_id, task_id, "scheduled-1"
        self._file = file
        self._values = json.loads(file.read_text()) if file.exists() else {}

    def xcom_push(self, key: str, value: Any) -> None:
        self._values[f"{self.task_id} {key}"] = value
        self._file.write_text(json.dumps(self._values))

    def xcom_pull(self, task_ids: str, key: str = "return_value", **_: Any) -> Any:
        return self._values.get(f"{task_ids} {key}")


def main(dag_file: str, task_id: str, xcom_file: str) -> None:
    integrate_macros_plugins()
    begun = time.process_time()
    bag: Any = DagBag(Path(dag_file), collect_dags=False)
    bag.process_file(dag_file, only_if_updated=False)
    (dag,) = [dag for dag in bag.dags.values() if dag.dag_id.endswith("_weekly")]
    parsed = time.process_time()
    ti = Xcoms(dag.dag_id, task_id, Path(xcom_file))
    run = SimpleNamespace(
        run_type="scheduled",
        run_after=_WEEK_END,
        data_interval_start=_WEEK_START,
        data_interval_end=_WEEK_END,
        logical_date=_WEEK_START,
        start_date=_WEEK_END,
        clear_number=0,
        conf=None,
        partition_key=None,
    )
    context = {
        "dag": dag,
        "dag_run": run,
        "params": dag.params.dump(),
        "run_id": ti.run_id,
        "ti": ti,
        "outlet_events": OutletEventAccessors(),
        "macros": MacrosAccessor(),
        "data_interval_end": _WEEK_END,
    }
    task = dag.get_task(task_id).prepare_for_execution()
    task.render_template_fields(context, dag.get_template_env())
    ti.xcom_push("return_value", task.execute(context))
    ended = time.process_time()
    print(json.dumps({"parse": parsed - begun, "run": ended - parsed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
