"""Runs a DAG's tasks one after the other in this process, as a worker would: copy, render, execute.

What a test gets this way is every task's real code against real services, without the seconds that
each task of a scheduled run takes. The scheduler's own part is tested in tests/airflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
from airflow.sdk.execution_time.context import MacrosAccessor, OutletEventAccessors
from airflow.sdk.plugins_manager import integrate_macros_plugins

from tests.support.airflow_run import DagRun, TaskInstance
from tests.support.triggers import be_impatient, first_event, through_the_database

_WAIT_SECONDS = 300  # no test takes so long: a trigger that hangs ends


def run_dag(
    dag: DAG, run: DagRun | None = None, *, period: str = "", run_id: str = ""
) -> TaskInstance:
    """Run every task of a DAG in order and return what they pushed.

    A sensor that wants to look again has pushed nothing, and what follows on it does not run.
    """
    run_id = run_id or f"run-{uuid4()}"
    xcoms = TaskInstance(dag_id=dag.dag_id, run_id=run_id)
    for task in dag.topological_sort():
        if any(xcoms.states[upstream] != "success" for upstream in task.upstream_task_ids):
            xcoms.states[task.task_id] = "none"
            continue
        try:
            run_task(task, xcoms, run_id, run, {"period": period})
            xcoms.states[task.task_id] = "success"
        except AirflowRescheduleException:
            xcoms.states[task.task_id] = "up_for_reschedule"
    return xcoms


def run_task(
    task: BaseOperator,
    xcoms: TaskInstance,
    run_id: str = "run-1",
    run: DagRun | None = None,
    params: Mapping[str, Any] | None = None,
) -> None:
    """Run one task to its end, and push what it returns."""
    copy, context = prepare(task, xcoms, run_id, run, params)
    xcoms.xcom_push("return_value", execute(copy, context))


def prepare(
    task: BaseOperator,
    xcoms: TaskInstance,
    run_id: str,
    run: DagRun | None = None,
    params: Mapping[str, Any] | None = None,
) -> tuple[BaseOperator, dict[str, Any]]:
    """A task as a worker gets it, rendered, and the context of its run."""
    integrate_macros_plugins()
    xcoms.task_id = task.task_id
    context = {
        "dag": task.dag,
        "dag_run": run or DagRun.manual(datetime.now(UTC)),
        "params": dict(params or {}),
        "run_id": run_id,
        "ti": xcoms,
        "outlet_events": OutletEventAccessors(),
        "macros": MacrosAccessor(),
    }
    copy = task.prepare_for_execution()
    copy.render_template_fields(context, task.dag.get_template_env())
    xcoms.max_tries = task.retries
    return copy, context


def execute(task: BaseOperator, context: Mapping[str, Any]) -> Any:
    """Execute a task to its end; while it is deferred, its trigger runs as in a triggerer."""
    try:
        return task.execute(context)
    except TaskDeferred as error:
        deferred = error
    while True:
        trigger = through_the_database(deferred.trigger)
        with pytest.MonkeyPatch.context() as patch:
            be_impatient(patch)
            event = asyncio.run(asyncio.wait_for(first_event(trigger), _WAIT_SECONDS))
        try:
            return task.resume_execution(deferred.method_name, {"event": event}, context)
        except TaskDeferred as error:
            deferred = error
