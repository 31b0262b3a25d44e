"""`wait`: how soon the end of a query is known, and what is held and asked meanwhile.

Our sensor with its trigger, and the provider's operator and sensor, with their defaults and with a
poll each second, wait for queries of 1, 3, 10, 60 and 600 seconds. The code is the real one; the
clock is virtual. `bench.many_waits` waits for 200 queries at once.

The worker slots of our two task processes, and the time until the next task starts, are measured
in a real Airflow, with a query that the local Athena holds for a minute.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import time_machine
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator, AthenaQueryResultsLink
from airflow.providers.amazon.aws.sensors.athena import AthenaSensor
from airflow.sdk.exceptions import TaskDeferred

from athena_reports.steps import query_poller
from athena_reports.steps.shared_poller import RateLimiter
from athena_reports_cli.local.services import Services, local_services
from bench.local_airflow import ROOT, WORK, airflow_config
from bench.results import Row
from demo.lake import seed_flights
from local_athena.faults import Faults, Hold
from tests.support.live_airflow import LiveAirflow

DURATIONS_SECONDS = (1, 3, 10, 60, 600)
LIVE_SECONDS = 60
_MANY, _MANY_SECONDS = 200, 10
_MOST_LATE_SECONDS = 2.0
_MOST_MEGABYTES = 450.0
_DELAY = "seconds until the end is known"
_NEXT_TASK = "seconds from the query's end until the next task starts, in a real Airflow"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Waited:
    """Seconds from the query's end until it was known, slot seconds held, and calls made."""

    delay_seconds: float
    slot_seconds: float
    calls: int


@dataclass(frozen=True)
class Many:
    """What many waits of one process did: how late they were, its memory and processor time."""

    median_seconds: float
    latest_seconds: float
    megabytes: float
    cpu_seconds: float


class ScriptedAthena:
    """An Athena whose one query, submitted at START, succeeds after a while."""

    def __init__(self, duration_seconds: float) -> None:
        self.ends = START + dt.timedelta(seconds=duration_seconds)
        self.calls = 0
        self.client = boto3.client("athena", region_name="us-east-1")
        register = self.client.meta.events.register
        register("before-call.athena.GetQueryExecution", self._answer_one)
        register("before-call.athena.BatchGetQueryExecution", self._answer_many)

    def _answer_one(self, **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"QueryExecution": self._describe()}

    def _answer_many(self, **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"QueryExecutions": [self._describe()]}

    def _describe(self) -> dict[str, Any]:
        """What Athena says of the query now."""
        self.calls += 1
        state = "SUCCEEDED" if dt.datetime.now(dt.UTC) >= self.ends else "RUNNING"
        status = {"State": state, "SubmissionDateTime": START}
        return {"QueryExecutionId": "q", "Query": "SELECT 1", "Status": status}

    @contextmanager
    def virtual_time(self) -> Iterator[None]:
        """Let sleeping move the clock, and hooks reach this Athena."""
        hook = {"get_conn": lambda _: self.client, "conn": self.client, "run_query": lambda *_: "q"}
        yield_once = partial(asyncio.sleep, 0)

        async def sleep(seconds: float) -> None:
            for _ in range(5):  # whoever has an answer goes on before time passes
                await yield_once()
            clock.shift(seconds)

        with (
            time_machine.travel(START, tick=False) as clock,
            patch.object(time, "sleep", clock.shift),
            patch.object(time, "monotonic", lambda: dt.datetime.now(dt.UTC).timestamp()),
            patch.object(query_poller, "_rate_limiter", RateLimiter()),
            patch.object(asyncio, "sleep", sleep),
            patch.multiple(AthenaHook, **hook),
        ):
            yield


def elapsed_seconds() -> float:
    """Virtual seconds since the query was submitted."""
    return (dt.datetime.now(dt.UTC) - START).total_seconds()


def wait_with_ours(context: Mapping[str, Any]) -> float:
    """Wait with the sensor and its trigger, which holds no slot while it waits."""
    from athena_reports.steps.wait_for_query import AthenaWaitSensor

    async def first(trigger: Any) -> Any:
        return await anext(trigger.run())

    sensor = AthenaWaitSensor(task_id="wait", query_execution_id="q")
    time.sleep(1)  # a task starts about a second after the one before it
    try:
        sensor.execute(context)
    except TaskDeferred as deferred:
        event = asyncio.run(first(deferred.trigger))
        sensor.resume_execution(deferred.method_name, {"event": event.payload}, context)
    return 0.0


def wait_with_operator(context: Mapping[str, Any], **arguments: Any) -> float:
    """Submit and wait with the provider's operator; returns the slot seconds."""
    run = AthenaOperator(
        task_id="run", query="SELECT 1", database="d", output_location="s3://b/", **arguments
    )
    with patch.object(AthenaQueryResultsLink, "persist"):
        run.execute(context)
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
    "AthenaOperator, 1 s": partial(wait_with_operator, sleep_time=1),
    "AthenaSensor, 1 s": partial(wait_with_sensor, sleep_time=1),
}


def waited(how: str, duration_seconds: float) -> Waited:
    athena = ScriptedAthena(duration_seconds)
    with athena.virtual_time():
        nothing = dict.fromkeys(("xcom_push", "xcom_pull"), lambda **_: None)
        task = SimpleNamespace(max_tries=0, map_index=-1, **nothing)
        slots = WAITS[how]({"ti": task, "task_reschedule_count": 0})
        return Waited(max(elapsed_seconds() - duration_seconds, 0.0), slots, athena.calls)


def live() -> tuple[float, float, float]:
    """Wait for a query of a minute in a real Airflow on the local services.

    Returns seconds: that the task held a worker slot, sampled; from the query's end until the task
    had ended, and until the next one had started.
    """
    dag_id, work, held = "carrier_ranking_monthly", WORK / "wait", 0.0
    with local_services(work / "local-aws.log") as services:
        services.prepare("dev")
        seed_flights(services, "dev")
        Faults(services.endpoint_url).add(Hold(seconds=LIVE_SECONDS))
        config = airflow_config(services.environment, work, ROOT / "dags")
        with LiveAirflow(config, dag_ids=[dag_id]) as airflow:
            client = airflow.client
            run_id = client.trigger(dag_id, conf={"period": "2013-02"}).run_id
            before = time.monotonic()
            while not client.run(dag_id, run_id).finished:
                tasks = {task.task_id: task for task in client.task_instances(dag_id, run_id)}
                now = time.monotonic()
                held += now - before if tasks["wait_for_query"].state == "running" else 0.0
                before = now
                time.sleep(0.05)
            tasks = {task.task_id: task for task in client.task_instances(dag_id, run_id)}
            query = client.xcom(dag_id, run_id, "run_query")
        answer = services.athena.get_query_execution(QueryExecutionId=query)
        status = answer["QueryExecution"]["Status"]
    known, started = tasks["wait_for_query"].end_date, tasks["transform"].start_date
    if known is None or started is None:
        raise RuntimeError(f"the run did not get to its end: {tasks}")
    ended = status["CompletionDateTime"]
    return held, (known - ended).total_seconds(), (started - ended).total_seconds()


def many() -> Many:
    with local_services(WORK / "wait" / "local-aws-many.log") as services:
        services.prepare("dev")
        faults = Faults(services.endpoint_url)
        # QUEUED, since the local Athena runs fewer queries at once.
        faults.add(Hold(state="QUEUED", seconds=_MANY_SECONDS, times=None))
        start = services.athena.start_query_execution
        ids = [
            start(QueryString=f"SELECT {number}", WorkGroup="dev")["QueryExecutionId"]
            for number in range(_MANY)
        ]
        process = subprocess.run(
            [sys.executable, "-m", "bench.many_waits"],
            input=json.dumps(ids),
            env={**os.environ, **services.environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        figures = json.loads(process.stdout.splitlines()[-1])
        late = sorted(
            figures["ended"][query_id] - _completed_at(services, query_id) for query_id in ids
        )
    return Many(
        median_seconds=statistics.median(late),
        latest_seconds=late[-1],
        megabytes=figures["megabytes"],
        cpu_seconds=figures["cpu_seconds"],
    )


def _completed_at(services: Services, query_id: str) -> float:
    answer = services.athena.get_query_execution(QueryExecutionId=query_id)
    return answer["QueryExecution"]["Status"]["CompletionDateTime"].timestamp()


def measure() -> Sequence[Row]:
    held, known, started = live()
    found = {seconds: {how: waited(how, seconds) for how in WAITS} for seconds in DURATIONS_SECONDS}
    slots = {how: each.slot_seconds for how, each in found[60].items()} | {"ours": held}
    calls = {how: each.calls for how, each in found[60].items()}
    slots_limit = 0.05 * min(slots[how] for how in slots if how.endswith("defaults"))
    next_task = {"ours": started, "until the wait's task has ended": known}
    at_once = many()
    lateness = {"ours": at_once.latest_seconds, "in the median": at_once.median_seconds}
    memory = {"ours": at_once.megabytes}
    rows = {
        "60 s: slots": ("worker-slot seconds", slots, slots_limit),
        # Of one wait. Up to 50 waits of a triggerer have their calls in common.
        "60 s: calls": ("calls that ask for the query", calls, float(LIVE_SECONDS)),
        "60 s: next task": (_NEXT_TASK, next_task, 0.2 * LIVE_SECONDS + 1),
        f"{_MANY} at once: delay": (_DELAY, lateness, _MOST_LATE_SECONDS),
        f"{_MANY} at once: memory": ("MB of one process", memory, _MOST_MEGABYTES),
        f"{_MANY} at once: CPU": ("processor seconds", {"ours": at_once.cpu_seconds}, 8.0),
    }
    for seconds, waits in found.items():
        delays = {how: each.delay_seconds for how, each in waits.items()}
        rows[f"{seconds} s: delay"] = (_DELAY, delays, _MOST_LATE_SECONDS)
    return [
        Row.of(f"wait {name}", unit, figures.pop("ours"), figures, limit)
        for name, (unit, figures, limit) in rows.items()
    ]
