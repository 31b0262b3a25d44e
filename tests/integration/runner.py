"""Runs a DAG's tasks one after the other in this process, as a worker would: copy, render, execute.

What a test gets this way is every task's real code against real services, without the seconds that
each task of a scheduled run takes. The scheduler's own part is tested in tests/e2e.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
from airflow.sdk.execution_time.context import MacrosAccessor, OutletEventAccessors
from airflow.sdk.plugins_manager import integrate_macros_plugins
from airflow.triggers.base import BaseTrigger, TriggerEvent
from jinja2.utils import import_string

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WAIT_SECONDS = 30


def column_bytes(s3: S3Client, key: str, columns: set[str]) -> int:
    """What Athena bills for some columns of an object of the lake:
    their compressed bytes, by its footer.
    """
    body = s3.get_object(Bucket="athena-lake-dev", Key=key)["Body"].read()
    metadata = pq.read_metadata(io.BytesIO(body))
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    chunks = [group.column(column) for group in groups for column in range(metadata.num_columns)]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns)


@dataclass(frozen=True)
class FakeDagRun:
    """Stands for the DAG run: has what tasks look at."""

    run_after: datetime
    run_type: str = "manual"
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    clear_number: int = 0
    start_date: datetime | None = None
    logical_date: datetime | None = None


@dataclass
class XComs:
    """Stands for the task instance: keeps what tasks push, and how they ended."""

    dag_id: str
    run_id: str = ""
    states: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    task_id: str = ""
    try_number: int = 1
    map_index: int | None = -1
    max_tries: int = 0

    def xcom_push(self, key: str, value: Any) -> None:
        self.values[self.task_id, key] = json.loads(json.dumps(value))

    def xcom_pull(
        self,
        task_ids: str,
        key: str,
        default: Any = None,
        map_indexes: Any = None,
        dag_id: str = "",
        run_id: str = "",
    ) -> Any:
        if (dag_id or self.dag_id, run_id or self.run_id) != (self.dag_id, self.run_id):
            return default
        return self.values.get((task_ids, key), default)

    def get_task_states(self, dag_id: str, **_: Any) -> dict[str, dict[str, str]]:
        """The states of this run's tasks; no other DAG has a run."""
        return {self.run_id: self.states} if dag_id == self.dag_id else {}

    def get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(dag_id=dag_id, is_paused=False)

    def get_first_reschedule_date(self, _: Mapping[str, Any]) -> datetime | None:
        return None


def load_dags(file: Path) -> dict[str, DAG]:
    """The DAGs that a file defines, by id."""
    found = runpy.run_path(str(file)).values()
    return {value.dag_id: value for value in found if isinstance(value, DAG)}


def run_dag(
    dag: DAG, run: FakeDagRun | None = None, *, period: str = "", run_id: str = ""
) -> XComs:
    """Run every task of a DAG in order and return what they pushed.

    A sensor that wants to look again has pushed nothing, and what follows on it does not run.
    """
    run_id = run_id or f"run-{uuid4()}"
    xcoms = XComs(dag.dag_id, run_id)
    for task in dag.topological_sort():
        if any(xcoms.states[upstream] != "success" for upstream in task.upstream_task_ids):
            xcoms.states[task.task_id] = "none"
            continue
        copy, context = prepare(task, xcoms, run_id, run, {"period": period})
        try:
            xcoms.xcom_push("return_value", execute(copy, context))
            xcoms.states[task.task_id] = "success"
        except AirflowRescheduleException:
            xcoms.states[task.task_id] = "up_for_reschedule"
    return xcoms


def prepare(
    task: BaseOperator,
    xcoms: XComs,
    run_id: str,
    run: FakeDagRun | None = None,
    params: Mapping[str, Any] | None = None,
) -> tuple[BaseOperator, dict[str, Any]]:
    """A task as a worker gets it, rendered, and the context of its run."""
    integrate_macros_plugins()
    xcoms.task_id = task.task_id
    context = {
        "dag": task.dag,
        "dag_run": run or FakeDagRun(datetime.now(UTC)),
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
        event = asyncio.run(asyncio.wait_for(_first_event(deferred.trigger), _WAIT_SECONDS))
        try:
            return task.resume_execution(deferred.method_name, {"event": event.payload}, context)
        except TaskDeferred as error:
            deferred = error


async def _first_event(trigger: BaseTrigger) -> TriggerEvent:
    """What a trigger fires after it went through the metadata database, as every trigger does."""
    classpath, fields = trigger.serialize()
    again = import_string(classpath)(**json.loads(json.dumps(fields)))
    try:
        async for event in again.run():
            return event
    finally:
        await again.cleanup()
    raise AssertionError("the trigger fired nothing")


def manifest_of(s3: S3Client, xcoms: XComs) -> dict[str, Any]:
    """The manifest that a run published."""
    bucket, key = (
        xcoms.values["publish", "return_value"]["manifest"].removeprefix("s3://").split("/", 1)
    )
    return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) | {"bucket": bucket}


def rows_of(s3: S3Client, manifest: Mapping[str, Any], format: str) -> list[dict[str, Any]]:
    """The published rows of one format; the CSV is read with the types that the Parquet has."""
    body = object_of(s3, manifest, format)
    if format == "parquet":
        return pq.read_table(io.BytesIO(body)).to_pylist()
    schema = pq.read_schema(io.BytesIO(object_of(s3, manifest, "parquet")))
    convert = pa_csv.ConvertOptions(
        column_types=schema,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    return pa_csv.read_csv(
        io.BytesIO(body), parse_options=parse, convert_options=convert
    ).to_pylist()


def object_of(s3: S3Client, manifest: Mapping[str, Any], format: str) -> bytes:
    (key,) = (entry["key"] for entry in manifest["objects"] if entry["format"] == format)
    return s3.get_object(Bucket=manifest["bucket"], Key=key)["Body"].read()


def midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.min, zone)


def weeks(first: dt.date, last: dt.date) -> list[tuple[dt.date, dt.date, dt.date]]:
    """Of each week: the first day of the week before, its own, and that of the week after."""
    week = dt.timedelta(days=7)
    starts = [first + week * n for n in range((last - first) // week + 1)]
    return [(start - week, start, start + week) for start in starts]


def months(year: int, first: int, last: int) -> list[tuple[dt.date, dt.date, dt.date]]:
    def month(number: int) -> dt.date:
        return dt.date(year + (number - 1) // 12, (number - 1) % 12 + 1, 1)

    return [(month(n - 1), month(n), month(n + 1)) for n in range(first, last + 1)]
