"""`wait`: how soon the end of a query is known, and what is held and asked meanwhile.

Queries of 1, 3, 10, 60 and 600 seconds are waited for by our sensor with its trigger, and by the provider's
operator and sensor, with their defaults and with a poll every second. The code is the real one; the clock is
not: sleeping moves it, and Athena's answers follow it.

The worker slots that ours holds are the start and the end of its two task processes, which no simulation
knows: they are measured in a real Airflow, with a query that the local Athena holds for a minute. There the
time until the next task starts is measured too.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import time_machine
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.sdk.exceptions import TaskDeferred

from airflow_local.client import AirflowClient, DagRun
from airflow_local.runtime import AirflowConfig, AirflowRuntime
from airflow_local.services import local_services
from bench.results import Row
from demo.lake import seed_flights
from local_aws.faults import Faults, Hold

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(__file__).with_name(".work") / "wait"

DURATIONS_SECONDS = (1, 3, 10, 60, 600)
LIVE_SECONDS = 60
SAMPLE_SECONDS = 0.05
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Waited:
    """What one wait did: seconds from the query's end until it was known, slot seconds held, calls made."""

    delay_seconds: float
    slot_seconds: float
    calls: int


class ScriptedAthena:
    """An Athena whose one query, submitted at START, succeeds after a while."""

    def __init__(self, duration_seconds: float) -> None:
        self.ends = START + dt.timedelta(seconds=duration_seconds)
        self.calls = 0
        self.client = boto3.client("athena", region_name="us-east-1")
        self.client.meta.events.register("before-call.athena.GetQueryExecution", self._answer_call)

    def answer(self) -> dict[str, Any]:
        """What GetQueryExecution says now."""
        self.calls += 1
        state = "SUCCEEDED" if dt.datetime.now(dt.UTC) >= self.ends else "RUNNING"
        status = {"State": state, "SubmissionDateTime": START}
        return {"QueryExecution": {"QueryExecutionId": "q", "Query": "SELECT 1", "Status": status}}

    def _answer_call(self, **_: Any) -> tuple[Any, Mapping[str, Any]]:
        return SimpleNamespace(status_code=200), self.answer()

    async def get_query_execution(self, **_: Any) -> dict[str, Any]:
        """As the asynchronous client."""
        return self.answer()

    async def __aenter__(self) -> ScriptedAthena:
        return self

    async def __aexit__(self, *_: Any) -> None:
        """Nothing is open."""


@contextmanager
def virtual_time(athena: ScriptedAthena) -> Iterator[None]:
    """Let sleeping move the clock, and hooks reach the scripted Athena."""
    with ExitStack() as stack:
        clock = stack.enter_context(time_machine.travel(START, tick=False))

        async def sleep(seconds: float) -> None:
            clock.shift(seconds)

        async def async_client(_: AthenaHook) -> ScriptedAthena:
            return athena

        stack.enter_context(patch.object(time, "sleep", clock.shift))
        stack.enter_context(patch.object(asyncio, "sleep", sleep))
        stack.enter_context(patch.object(AthenaHook, "get_conn", lambda _: athena.client))
        stack.enter_context(patch.object(AthenaHook, "conn", athena.client))
        stack.enter_context(patch.object(AthenaHook, "get_async_conn", async_client))
        stack.enter_context(patch.object(AthenaHook, "run_query", lambda *_: "q"))
        yield


def elapsed_seconds() -> float:
    """Virtual seconds since the query was submitted."""
    return (dt.datetime.now(dt.UTC) - START).total_seconds()


def wait_with_ours(context: Mapping[str, Any]) -> float:
    """Wait with the sensor and its trigger, which holds no slot while it waits."""
    from athena_reports.queries.wait_sensor import AthenaWaitSensor

    sensor = AthenaWaitSensor(task_id="wait", query_execution_id="q")
    time.sleep(1)  # a task starts about a second after the one before it
    try:
        sensor.execute(context)
    except TaskDeferred as deferred:
        event = asyncio.run(_first(deferred.trigger))
        sensor.resume_execution(deferred.method_name, {"event": event.payload}, context)
    return 0.0


async def _first(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger fired nothing")


def wait_with_operator(context: Mapping[str, Any], **arguments: Any) -> float:
    """Submit and wait with the provider's operator; returns the slot seconds."""
    with patch("airflow.providers.amazon.aws.operators.athena.AthenaQueryResultsLink.persist"):
        AthenaOperator(task_id="run", query="SELECT 1", database="d", output_location="s3://b/", **arguments).execute(
            context
        )
    return elapsed_seconds()


def wait_with_sensor(context: Mapping[str, Any], **arguments: Any) -> float:
    """Wait with the provider's sensor; returns the slot seconds."""
    time.sleep(1)
    AthenaSensor(task_id="wait", query_execution_id="q", **arguments).execute(context)
    return elapsed_seconds() - 1


WAITS: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "ours": wait_with_ours,
    "AthenaOperator, defaults": wait_with_operator,
    "AthenaSensor, defaults": wait_with_sensor,
    "AthenaOperator, 1 s": lambda context: wait_with_operator(context, sleep_time=1),
    "AthenaSensor, 1 s": lambda context: wait_with_sensor(context, sleep_time=1),
}


def waited(how: str, duration_seconds: float) -> Waited:
    """Wait for a query of some length."""
    athena = ScriptedAthena(duration_seconds)
    context = {"ti": SimpleNamespace(max_tries=0), "task_reschedule_count": 0}
    with virtual_time(athena):
        slots = WAITS[how](context)
        delay = (dt.datetime.now(dt.UTC) - athena.ends).total_seconds()
    return Waited(max(delay, 0.0), slots, athena.calls)


def live() -> tuple[float, float, float]:
    """Wait for a query of a minute in a real Airflow on the local services.

    Returns:
        Seconds for which the wait's task processes held a worker slot; seconds from the query's end until the
        wait's task had ended, and until the next task had started.
    """
    dag_id = "carrier_ranking_monthly"
    with local_services(WORK / "local-aws.log") as services:
        services.prepare("dev")
        seed_flights(services, "dev")
        Faults(services.endpoint_url).add(Hold(seconds=LIVE_SECONDS))
        config = AirflowConfig(
            home=WORK / "airflow",
            dags_folder=ROOT / "dags",
            plugins_folder=ROOT / "plugins",
            environment={**services.environment, "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"},
        )
        with AirflowRuntime(config, dag_ids=[dag_id]) as airflow:
            client = airflow.client
            run = client.trigger(dag_id, conf={"period": "2013-02"})
            held = _slot_seconds(client, run)
            tasks = {task.task_id: task for task in client.task_instances(dag_id, run.run_id)}
            query = client.xcom(dag_id, run.run_id, "run_query")
        status = services.athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
    known, started = tasks["wait_for_query"].end_date, tasks["transform"].start_date
    if known is None or started is None:
        raise RuntimeError(f"the run did not get to its end: {tasks}")
    ended = status["CompletionDateTime"]
    return held, (known - ended).total_seconds(), (started - ended).total_seconds()


def _slot_seconds(client: AirflowClient, run: DagRun) -> float:
    """Sample until the run has ended how long wait_for_query was queued to, or held by, an executor."""
    held, before = 0.0, time.monotonic()
    while not client.run(run.dag_id, run.run_id).finished:
        tasks = client.task_instances(run.dag_id, run.run_id)
        state = next(task.state for task in tasks if task.task_id == "wait_for_query")
        now = time.monotonic()
        held += now - before if state == "running" else 0.0
        before = now
        time.sleep(SAMPLE_SECONDS)
    return held


def measure() -> Sequence[Row]:
    """Wait for every query in every way."""
    held, known, started = live()
    found = {how: {seconds: waited(how, seconds) for seconds in DURATIONS_SECONDS} for how in WAITS}
    slots = {how: waits[60].slot_seconds for how, waits in found.items()} | {"ours": held}
    calls = {how: waits[60].calls for how, waits in found.items()}
    slots_limit = 0.05 * min(slots[how] for how in slots if how.endswith("defaults"))
    calls_limit = min(calls[how] for how in calls if how.endswith("1 s")) / 4
    next_task = {"ours": started, "until the wait's task has ended": known}
    unit = "seconds from the query's end until the next task starts, in a real Airflow"
    rows = []
    for seconds in DURATIONS_SECONDS:
        delays = {how: waits[seconds].delay_seconds for how, waits in found.items()}
        limit = 0.2 * seconds + 1
        rows.append(_row(f"wait {seconds} s: delay", "seconds until the end is known", delays, limit))
    return [
        *rows,
        _row("wait 60 s: slots", "worker-slot seconds", slots, slots_limit),
        _row("wait 60 s: calls", "GetQueryExecution calls", calls, calls_limit),
        _row("wait 60 s: next task", unit, next_task, 0.2 * LIVE_SECONDS + 1),
    ]


def _row(name: str, unit: str, figures: Mapping[str, float], limit: float) -> Row:
    """A row whose ratio is that of ours to what it may be at most."""
    ours = figures["ours"]
    others = {how: round(figure, 2) for how, figure in figures.items() if how != "ours"}
    return Row(name, unit, round(ours, 2), others, round(ours / limit, 3), 1.0)
