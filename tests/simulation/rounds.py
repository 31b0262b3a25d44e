"""A round: one run of a report under random faults and kills, from its first try to its success.

The world around the tasks is a model: Airflow's scheduler with its tries, clears and XComs, workers and a
triggerer that die, people who cancel, clear, edit and copy, an Athena in memory, and a clock that only moves
when somebody waits. The tasks are the real operator, sensor, trigger and reconciler.

All that is random comes from the seed, so a round can be played again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
from botocore.exceptions import BotoCoreError, ClientError
from jinja2.utils import import_string

from athena_reports import WaitPolicy
from athena_reports.queries.orphans import AthenaReconcileOperator
from athena_reports.queries.ownership import Marker
from athena_reports.queries.submit_operator import AthenaSubmitOperator
from athena_reports.queries.wait_sensor import AthenaWaitSensor
from tests.simulation.clock import VirtualClock, virtual_clock
from tests.simulation.memory_athena import LOST, THROTTLED, MemoryAthena, Plan, Query, serve

RETRIES = 2
RETRY_DELAY_SECONDS = 30
POLICY = WaitPolicy(give_up_after=timedelta(minutes=20))
MOST_INCIDENTS = 30
_MOST_STEPS = 500
COPY = "SELECT 1000 +"
"""How a query begins that somebody has made of ours, with our marker."""

INCIDENTS = {
    "throttled": 0.08,
    "answer lost": 0.08,
    "crash before a call": 0.06,
    "crash after a call": 0.06,
    "worker killed during a call": 0.05,
    "task stopped during a call": 0.04,
    "task cleared during a call": 0.06,
    "XCom lost": 0.15,
    "tokens forgotten": 0.3,
    "SQL edited": 0.3,
    "failed in passing": 0.35,
    "failed for good": 0.1,
    "takes too long": 0.1,
    "back to the queue": 0.2,
    "cancelled in the console": 0.1,
    "copied and edited in the console": 0.2,
    "triggerer restarted": 0.3,
    "wait lost": 0.15,
    "wait cleared": 0.15,
    "run cleared": 0.1,
    "reconciled": 0.25,
}
"""What can happen, and how probable it is each time that it can."""


class CrashError(BaseException):
    """The worker's process is gone."""


@dataclass
class TaskInstance:
    """What Airflow keeps of a task."""

    try_number: int = 0
    map_index: int | None = -1
    max_tries: int = RETRIES
    first_reschedule_date: datetime | None = None

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        json.dumps(value)

    def get_first_reschedule_date(self, _: Any) -> datetime | None:
        return self.first_reschedule_date

    def clear(self, *, running: bool) -> None:
        """As Airflow does: a task that runs keeps its `max_tries`."""
        if not running:
            self.max_tries = self.try_number + RETRIES
        self.first_reschedule_date = None


@dataclass
class Round:
    """The world of one run.

    Attributes:
        rng: All chance.
        clock: All time.
        tells_triggers: Whether a trigger is told that its task was stopped (from 3.3 on).
        deferrable: Whether there is a triggerer.
        athena: The Athena.
        incidents: What has happened.
        log: The same and more, in words, for whoever looks into a failure.
    """

    rng: random.Random
    clock: VirtualClock
    tells_triggers: bool
    deferrable: bool
    athena: MemoryAthena
    left: int
    incidents: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    sql: str = "SELECT 1"
    run_type: str = "scheduled"
    clear_number: int = 0
    start_date: datetime | None = None
    submitting: TaskInstance = field(default_factory=TaskInstance)
    waiting: TaskInstance = field(default_factory=TaskInstance)
    query_execution_id: str | None = None
    result: Any = None
    active: bool = True
    task: Any = None
    told: str = ""
    intentions: list[Marker] = field(default_factory=list)

    # --- chance

    def happens(self, incident: str) -> bool:
        """Whether it happens now."""
        if self.left <= 0 or self.rng.random() >= INCIDENTS[incident]:
            return False
        self.left -= 1
        self.incidents[incident] += 1
        self.say(incident)
        return True

    def say(self, what: str) -> None:
        self.log.append(f"{self.clock.seconds:9.1f} s  {what}")

    def plan(self, _: int) -> Plan:
        """How the next query goes."""
        states = [("QUEUED", self.rng.uniform(0, 5)), ("RUNNING", self.rng.expovariate(1 / 40))]
        if self.happens("back to the queue"):
            states += states
        if self.happens("failed in passing"):
            return Plan.failing(self.rng.choice([0, 233, 1403, 1602]))
        if self.happens("failed for good"):
            return Plan.failing(self.rng.choice([1301, 1402, 401, 1500, 9999]), category=2)
        if self.happens("takes too long"):
            return Plan.endless()
        return Plan(states=tuple(states))

    # --- faults of calls

    def before(self, action: str) -> None:
        if self.happens("throttled"):
            raise THROTTLED
        if self.task is not None and self.happens("crash before a call"):
            raise CrashError

    def after(self, action: str) -> None:
        if action == "StartQueryExecution":
            self.check_the_start()
        if self.happens("answer lost"):
            raise LOST
        if self.task is None:  # the triggerer, the reconciler
            return
        if self.happens("crash after a call"):
            raise CrashError
        for told in ("worker killed", "task stopped", "task cleared"):
            if not self.told and self.happens(f"{told} during a call"):
                self.told = told
                self.task.on_kill()

    def check_the_start(self) -> None:
        """No intention may have two queries at once, or another one when it has been paid."""
        *others, newest = self.athena.queries.values()
        sql = newest.request["QueryString"]
        self.say(f"{newest.id} is there for {Marker.find(sql)}")
        for other in others:
            if other.request["QueryString"] == sql and other.cancelled_at is None:
                state = other.state_at(self.clock.now)
                assert state == "FAILED", f"{newest.id} was started while {other.id} is {state}"

    # --- the scheduler

    def play(self) -> None:
        """Run both tasks, and start them again, until the wait has succeeded."""
        for _ in range(_MOST_STEPS):
            if self.result is not None:
                break
            if self.query_execution_id is None:
                self.attempt(self.submitting, self.submit)
            else:
                self.attempt(self.waiting, self.wait)
        assert self.result is not None, "it has not come to an end"
        self.active = False
        self.left = 0
        self.clock.sleep(120)
        self.reconcile()
        self.clock.sleep(60)

    def attempt(self, ti: TaskInstance, run: Callable[[TaskInstance], None]) -> None:
        """One try of a task, and what Airflow and people make of how it ends."""
        if ti.try_number > ti.max_tries:
            self.give_up()
            return
        ti.try_number += 1
        ti.first_reschedule_date = None
        self.told = ""
        try:
            run(ti)
        except CrashError:
            self.say("the worker is gone")
        except AirflowFailException as error:
            self.say(f"failed: {error}")
            self.task = None
            self.give_up()
            return
        except (AirflowException, ClientError, BotoCoreError) as error:
            self.say(f"to be retried: {error}")
        self.task = None
        if self.told == "task stopped":
            self.give_up()
        elif self.told == "task cleared":
            self.clear(running=ti)
        if self.happens("tokens forgotten"):
            self.athena.forget_tokens()
        if self.result is None:
            self.clock.sleep(RETRY_DELAY_SECONDS)

    def give_up(self) -> None:
        """The run has failed; after a while somebody clears it."""
        self.active, self.result = False, None
        self.clock.sleep(self.rng.uniform(1, 600))
        if self.happens("reconciled"):
            self.reconcile()
        self.clear()
        self.active = True

    def clear(self, running: TaskInstance | None = None) -> None:
        """Somebody clears both tasks, perhaps after having edited the report."""
        self.say("run cleared")
        self.clear_number += 1
        self.edit()
        for ti in (self.submitting, self.waiting):
            ti.clear(running=ti is running)
        self.query_execution_id, self.result = None, None

    def edit(self) -> None:
        if self.happens("SQL edited"):
            self.sql = self.rng.choice(["SELECT 1", "SELECT 2"])

    def context(self, ti: TaskInstance) -> Any:
        return {
            "ti": ti,
            "run_id": "run-1",
            "dag_run": self,
            "task_reschedule_count": int(ti.first_reschedule_date is not None),
        }

    # --- run_query

    def submit(self, ti: TaskInstance) -> None:
        if ti.try_number > 1:
            self.edit()
        with DAG("plays_weekly", schedule=None):
            self.task = AthenaSubmitOperator(
                task_id="run_query",
                query=self.sql,
                database="database_dev",
                workgroup="dev",
                environment="dev",
                retries=RETRIES,
            )
        id_ = self.task.execute(self.context(ti))
        if self.told:
            return
        if self.happens("XCom lost"):
            raise CrashError
        self.query_execution_id = id_

    # --- wait_for_query

    def sensor(self) -> AthenaWaitSensor:
        with DAG("plays_weekly", schedule=None):
            return AthenaWaitSensor(
                task_id="wait_for_query",
                query_execution_id=self.query_execution_id or "",
                policy=POLICY,
                environment="dev",
                deferrable=self.deferrable,
                retries=RETRIES,
            )

    def wait(self, ti: TaskInstance) -> None:
        if self.happens("cancelled in the console"):
            self.athena.cancel([*self.athena.queries][-1])
        if self.happens("copied and edited in the console"):
            request = self.athena.queries[self.query_execution_id or ""].request
            edited = COPY + request["QueryString"].partition("SELECT")[2]
            id_ = f"copy-{len(self.athena.queries)}"
            self.athena.queries[id_] = Query(id_, {**request, "QueryString": edited}, self.clock.now, Plan())
        resumed: tuple[str, Any] | None = None
        while True:
            self.task = self.sensor()
            try:
                if resumed:
                    found = self.task.resume_execution(*resumed, self.context(ti))
                else:
                    found = self.task.execute(self.context(ti))
            except AirflowRescheduleException as again:
                resumed = None
                ti.first_reschedule_date = ti.first_reschedule_date or self.clock.now
                pause = (again.reschedule_date - self.clock.now).total_seconds()
                if self.told or self.interrupted(ti, None, pause):
                    return
            except TaskDeferred as deferred:
                if self.told:
                    return
                resumed = self.watch(ti, deferred)
                if resumed is None:
                    return
            else:
                self.result = found if not self.told else None
                return

    def watch(self, ti: TaskInstance, deferred: TaskDeferred) -> tuple[str, Any] | None:
        """What the task is resumed with; None if it was stopped or lost while it was deferred."""
        self.task = None
        assert isinstance(deferred.timeout, timedelta)
        deadline = self.clock.seconds + deferred.timeout.total_seconds()
        while (left := deadline - self.clock.seconds) > 0:
            trigger = through_the_database(deferred.trigger)
            pause = min(left, self.rng.expovariate(1 / 30))
            try:
                event = self.clock.run(asyncio.wait_for(_first_event(trigger), pause))
            except TimeoutError:
                if self.interrupted(ti, trigger, 0):
                    return None
                self.happens("triggerer restarted")
            else:
                return deferred.method_name, {"event": event}
        return "__fail__", {"error": "Trigger timeout"}

    def interrupted(self, ti: TaskInstance, trigger: Any, pause: float) -> bool:
        """Let a part of the wait pass; whether it was ended from outside meanwhile."""
        self.clock.sleep(pause)
        if self.happens("reconciled"):
            self.reconcile()
        if self.happens("wait lost"):
            return True
        for incident in ("wait cleared", "run cleared"):
            if self.happens(incident):
                self.stop(trigger)
                if incident == "run cleared":
                    self.clear()
                else:
                    self.clear_number += 1
                    ti.clear(running=False)
                return True
        return False

    def stop(self, trigger: Any) -> None:
        """A wait that no process holds is stopped: its trigger is told, where Airflow does that."""
        if trigger is None or not self.tells_triggers:
            return
        try:
            self.clock.run(trigger.on_kill())
        except (ClientError, BotoCoreError) as error:
            self.say(f"the trigger could not stop the query: {error}")

    # --- the reconciler

    def get_dr_count(self, **_: Any) -> int:
        return int(self.active)

    def reconcile(self) -> None:
        task, self.task = self.task, None
        with DAG("athena_reports_reconciler", schedule=None):
            operator = AthenaReconcileOperator(task_id="stop", workgroup="dev", environment="dev")
        try:
            context: Any = {"ti": self}
            stopped = operator.execute(context)
            self.say(f"the reconciler stops {stopped}")
            assert not self.active or self.query_execution_id not in stopped, "it was still waited for"
        except (ClientError, BotoCoreError) as error:
            self.say(f"the reconciler failed: {error}")
        self.task = task


def through_the_database(trigger: Any) -> Any:
    """A trigger as a triggerer gets it."""
    classpath, fields = trigger.serialize()
    return import_string(classpath)(**json.loads(json.dumps(fields)))


async def _first_event(trigger: Any) -> Any:
    async for event in trigger.run():
        return json.loads(json.dumps(event.payload))
    raise AssertionError("the trigger fired nothing")


def play(seed: int) -> Round:
    """Play the round of a seed to its end; what happened is printed, for whoever looks into a failure."""
    rng = random.Random(seed)
    random.seed(seed)  # of the pauses between two starts
    with virtual_clock() as clock, pytest.MonkeyPatch.context() as patch:
        found = Round(
            rng=rng,
            clock=clock,
            tells_triggers=rng.random() < 0.7,
            deferrable=rng.random() < 0.7,
            athena=MemoryAthena(stop_seconds=rng.choice([0.0, 0.0, 2.0, 45.0])),
            left=rng.randint(0, MOST_INCIDENTS),
        )
        athena = found.athena
        athena.plan, athena.before, athena.after = found.plan, found.before, found.after
        serve(athena, patch)
        try:
            found.play()
            found.say(f"the queries are {athena.states}")
            _judge(found)
        except BaseException:
            print(f"The round of seed {seed}:", *found.log, sep="\n")
            raise
    return found


def _judge(found: Round) -> None:
    """One paid query for the intention that the run ended with, at most one for each other, none running."""
    states = found.athena.states
    assert not {"QUEUED", "RUNNING"} & set(states), f"something still runs: {states}"
    queries = list(found.athena.queries.values())
    paid = Counter(
        query.request["QueryString"]
        for query, state in zip(queries, states, strict=True)
        if state == "SUCCEEDED" and not query.request["QueryString"].startswith(COPY)
    )
    assert set(paid.values()) == {1}, f"an intention was paid more than once: {paid}"
    wanted = found.athena.queries[found.result["id"]]
    assert wanted.request["QueryString"] in paid
    assert wanted.request["QueryString"].startswith(found.sql)
