"""Alerts of a world: notifiers that fail and hang, and who calls them.

The callback of a report's DAG and the tries of the two sensors beside it are the real ones. Each is
a process, which is killed at any call, with all of its threads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, Self, TypeVar

from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import BaseNotifier, PokeReturnValue
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetDagRun
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.alerts import alerts_dag, kinds, notifying
from athena_reports.alerts.kinds import all_clear_record, failure_record, late_record
from athena_reports.alerts.policy import AlertPolicy
from athena_reports.alerts.record import AlertRecord
from athena_reports.alerts.sensors import (
    WHEN_DUE_TASK,
    WHEN_PUBLISHED_TASK,
    WhenDueSensor,
    WhenPublishedSensor,
)
from athena_reports.queries.retry_policy import RetryPolicy
from tests.support.calendars import WEEKS
from tests.support.triggers import Supervisor
from tests.world.airflow_model import Run, task
from tests.world.process import Process
from tests.world.world import BUCKET, DAY, PERIODS, REPORT, Actor, CrashError, World

CALLBACK_LIMIT_SECONDS = 50.0  # Airflow ends the process of a DAG's callbacks
LOOK_EVERY_SECONDS = 600.0
# A process notes who was told, or gives up, so long after the call.
NOTED_WITHIN_SECONDS = 20.0
PERIOD = PERIODS[-1]
CHECK_RUN = "check"
_ALWAYS = 1e6
_ENDED = {"success", "failed"}
_ERRORS = (AirflowException, ClientError, BotoCoreError)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Topic:
    """What notifiers are told of: a failure of a run, or that a period is late, or no longer."""

    problem: str
    run_id: str
    clear_number: int


@dataclass(eq=False)
class AlertProcess(Process):
    """A process that calls notifiers, each in a thread."""

    failure: Topic | None = None
    began_at: float = 0.0
    has_no_record: bool = False  # S3 did not serve it, so the process went on without

    @classmethod
    def begin(cls, world: World, limit_seconds: float, failure: Topic | None = None) -> Self:
        """Begin a process that Airflow kills after a time."""
        now = world.clock.seconds
        incident, dies_at = "alerting process killed", now + limit_seconds
        return cls(world, incident, dies_at, failure=failure, began_at=now)


class MemoryNotifier(BaseNotifier):
    """Delivers into a list, unless it fails or hangs."""

    def __init__(self, alerts_of_world: Alerts) -> None:
        super().__init__()
        self.alerts_of_world = alerts_of_world
        self.name = f"{type(self).__name__} {len(alerts_of_world.notifiers) + 1}"
        self.always_hangs = False

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """It has none, and to make Jinja's environment takes long."""

    def notify(self, context: Any) -> None:
        self.alerts_of_world.deliver(self, context["alert"]["subject"])


@dataclass(frozen=True)
class Delivery:
    """A notifier has told somebody."""

    process: AlertProcess
    is_late: bool  # the process had stopped waiting
    at: float


class Alerts:
    """All that has to do with alerts in a world.

    Attributes:
        notifiers: Who is told; in some worlds one of them never answers.
        deliveries: Of each topic, by the notifier's name.
        task_states: Of the two tasks of the check, the run of the DAG beside the report.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        patch = world.patch
        self.notifiers: list[MemoryNotifier] = []
        for _ in range(world.rng.randint(1, 3)):
            self.notifiers.append(MemoryNotifier(self))
        if len(self.notifiers) > 1 and world.rng.random() < 0.3:
            world.rng.choice(self.notifiers).always_hangs = True
        self.deliveries: defaultdict[Topic, defaultdict[str, list[Delivery]]]
        self.deliveries = defaultdict(lambda: defaultdict(list))
        self._left_behind: list[Actor] = []  # threads that nobody waits for any more
        # Some minutes after the world begins.
        self.due = timedelta(days=3, hours=12, seconds=world.rng.uniform(0, 600))
        self.repetitions: list[str] = []
        self.was_late = False
        self.task_states = {WHEN_DUE_TASK: "scheduled", WHEN_PUBLISHED_TASK: "scheduled"}
        patch.setattr(notifying, "call_within", self.call_within)
        patch.setattr(alerts_dag, "call_within", self.call_within)
        settings = SimpleNamespace(
            report_bucket=BUCKET,
            environment="dev",
            aws_conn_id=None,
            bucket_owner="",
            encryption=None,
        )
        patch.setattr(kinds, "settings", lambda: settings)
        problem_of_record = notifying._problem_of_record

        def note_problem(record: AlertRecord, error: Exception) -> str:
            world.attempt.has_no_record = True
            return problem_of_record(record, error)

        patch.setattr(notifying, "_problem_of_record", note_problem)
        patch.setattr(task_runner, "SUPERVISOR_COMMS", SupervisorOfAlerts(self))

    # --- notifiers

    def deliver(self, notifier: MemoryNotifier, subject: str) -> None:
        """Tell somebody, in the thread of the process that called the notifier."""
        world = self.world
        process: AlertProcess = world.attempt
        topic = self._topic(subject, process)
        world.say(f"{notifier.name} is called: {subject}")
        if notifier.always_hangs:
            world.pause(_ALWAYS)
        if world.happens("notifier hangs"):
            world.pause(world.rng.uniform(1, 7200))
        if world.happens("notifier fails"):
            raise ConnectionError("refused")
        world.pause(world.rng.uniform(0, 2))
        delivery = Delivery(
            process, is_late=world.acting in self._left_behind, at=world.clock.seconds
        )
        world.say(f"{notifier.name} delivers: {subject}")
        earlier = self.deliveries[topic][notifier.name]
        self._judge_repetition(topic, notifier, earlier, delivery)
        earlier.append(delivery)
        process.after_a_call()

    def _topic(self, subject: str, process: AlertProcess) -> Topic:
        for problem in ("is no longer late", "is late"):
            if subject.endswith(problem):
                return Topic(problem, CHECK_RUN, 0)
        assert process.failure is not None, f"nobody knows of what is told: {subject}"
        return process.failure

    def _judge_repetition(
        self, topic: Topic, notifier: MemoryNotifier, earlier: list[Delivery], delivery: Delivery
    ) -> None:
        """Somebody is told twice only for a reason that the library cannot help."""
        for before in earlier:
            is_excused = (
                before.is_late
                or delivery.is_late
                # Both processes had read who was told before one of them noted it.
                or (
                    delivery.process is not before.process
                    and delivery.process.began_at <= before.at + NOTED_WITHIN_SECONDS
                )
                or before.process.has_no_record
                or delivery.process.has_no_record
            )
            if is_excused:
                continue
            is_noted = notifier.name in self._told(topic)
            if is_noted or before.process.outcome != "killed":
                # Not raised here, where the library would take it for an error of the notifier.
                self.repetitions.append(f"{notifier.name} is told twice of {topic}")
                self.world.say(self.repetitions[-1])

    def _told(self, topic: Topic) -> list[str]:
        """Who was noted as told."""
        record_of = {
            "failed": failure_record,
            "is late": late_record,
            "is no longer late": all_clear_record,
        }
        find_record = record_of[topic.problem]
        record = find_record(f"{REPORT}_weekly", topic.run_id, topic.clear_number)
        folder = record.folder_uri.removeprefix("s3://")
        names = [key.removeprefix(folder) for key in self.world.s3.objects]
        return [notifier.name for notifier in self.notifiers if notifier.name in names]

    def call_within(self, limit: timedelta, function: Callable[[], _Result]) -> _Result:
        """As `notifying.call_within`, with an actor in the place of a thread."""
        world = self.world
        process: AlertProcess = world.attempt
        outcome: Future[_Result] = Future()

        def run() -> None:
            try:
                outcome.set_result(function())
            except CrashError:
                process.outcome = process.outcome or "killed"
            except Exception as error:
                outcome.set_exception(error)

        thread = world.spawn(f"{world.acting.name} thread", run, attempt=process)
        process.threads.append(thread)
        ends_at = world.clock.seconds + limit.total_seconds()
        while not outcome.done() and world.clock.seconds < ends_at:
            world.pause(ends_at - world.clock.seconds)  # until then, or until the thread has ended
        if not outcome.done():
            self._left_behind.append(thread)
            raise TimeoutError(f"timed out after {limit.total_seconds():g} s")
        return outcome.result()

    # --- the callback of the report's DAG

    def call_back(self, run: Run) -> None:
        """A run has failed: Airflow calls its callback once, if it does."""
        if self.world.happens("callback lost"):
            return
        failure = Topic("failed", run.run_id, run.clear_number)
        process = AlertProcess.begin(self.world, CALLBACK_LIMIT_SECONDS, failure)
        (callback,) = alerts_dag.failure_callback(WEEKS, self.notifiers) or []
        dag_run = SimpleNamespace(
            conf={"period": run.period.id},
            run_type="manual",
            data_interval_start=None,
            data_interval_end=None,
            clear_number=run.clear_number,
        )
        context: dict[str, Any] = {
            "dag": SimpleNamespace(dag_id=f"{REPORT}_weekly"),
            "run_id": run.run_id,
            "dag_run": dag_run,
            "reason": "task_failure",
            "ti": None,
        }
        call = partial(process.execute, partial(callback, context), *_ERRORS)
        self.world.spawn(f"callback of {run.run_id}", call, attempt=process)

    # --- the DAG beside the report

    def play_check(self) -> None:
        """Let the two tasks of the check's run begin when the period is due."""
        until_due = PERIOD.end_utc + self.due - self.world.clock.now
        self.world.pause(until_due.total_seconds())
        policy = AlertPolicy(
            on_failure=self.notifiers, on_late=self.notifiers, on_warning=[], due=self.due
        )
        for kind, task_id in (
            (WhenDueSensor, WHEN_DUE_TASK),
            (WhenPublishedSensor, WHEN_PUBLISHED_TASK),
        ):
            self.world.spawn(task_id, partial(self._play_task, kind, task_id, policy))

    def _play_task(self, kind: type[Any], task_id: str, policy: AlertPolicy) -> None:
        world = self.world
        report: Any = SimpleNamespace(name=REPORT, empty="fail")
        named = {"report": report, "cadence": WEEKS, "alert_policy": policy}
        started_at = world.clock.now
        tries_left = 1 + RetryPolicy().retries
        while True:
            self.task_states[task_id] = "running"
            process = AlertProcess.begin(world, DAY)
            sensor = task(kind, named, timeout=timedelta(days=30))
            context: Any = {"ti": self, "run_id": CHECK_RUN, "dag_run": self._check_run(started_at)}
            look = partial(process.execute, partial(sensor.poke, context), *_ERRORS)
            world.spawn(f"{task_id} look", look, attempt=process)
            while process.outcome is None:
                world.pause(60)
            if process.outcome == "done":
                result: PokeReturnValue = process.result
                if result.is_done:
                    break
                self.task_states[task_id] = "up_for_reschedule"
                world.pause(LOOK_EVERY_SECONDS)
                continue
            tries_left -= 1
            if tries_left == 0:
                self.task_states[task_id] = "failed"
                return
            self.task_states[task_id] = "up_for_retry"
            world.pause(world.rng.uniform(30, 300))
        self.task_states[task_id] = "success"
        if task_id == WHEN_DUE_TASK and result.xcom_value:
            self.was_late = True

    def _check_run(self, started_at: Any) -> SimpleNamespace:
        return SimpleNamespace(
            run_type="scheduled",
            start_date=started_at,
            clear_number=0,
            logical_date=PERIOD.start_utc,
            data_interval_start=PERIOD.start_utc,
            data_interval_end=PERIOD.end_utc,
        )

    @property
    def scheduled_run(self) -> Run:
        """The run of the period that has its logical date."""
        return next(run for run in self.world.runs if run.period == PERIOD)

    # What Airflow answers to the sensors, whose task instance this is.

    def get_task_states(self, *, dag_id: str, run_ids: Any = None, **_: Any) -> dict[str, Any]:
        if run_ids:
            return {CHECK_RUN: dict(self.task_states)}
        run = self.scheduled_run
        state = "failed" if run.has_failed else None
        states = {"run_query": state}
        return {run.run_id: states}

    def get_dag_run(self) -> SimpleNamespace:
        run = self.scheduled_run
        state = "running"
        if run.has_failed:
            state = "failed"
        elif run.has_succeeded:
            state = "success"
        self.world.attempt.failure = Topic("failed", run.run_id, run.clear_number)
        return SimpleNamespace(
            data_interval_start=PERIOD.start_utc,
            state=SimpleNamespace(value=state),
            clear_number=run.clear_number,
        )

    def xcom_pull(self, **_: Any) -> None:
        return None

    def get_dag(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(is_paused=False)

    # --- what must hold

    def wait_until_told(self, run: Run) -> None:
        """Whoever corrects a failed run does it when all were told, or after a day."""
        topic = Topic("failed", run.run_id, run.clear_number)
        if run is not self.scheduled_run:
            return
        until = self.world.clock.seconds + DAY
        while self._looks_for_failures and self._untold(topic):
            assert self.world.clock.seconds < until, f"{self._untold(topic)} not told of {topic}"
            self.world.pause(LOOK_EVERY_SECONDS)

    @property
    def _looks_for_failures(self) -> bool:
        """Whether the check still looks: until the period is published, or its tries are over."""
        if self.task_states[WHEN_DUE_TASK] not in _ENDED:
            return True
        is_published = self.world.manifest_now(PERIOD.id) is not None
        return self.task_states[WHEN_PUBLISHED_TASK] not in _ENDED and not is_published

    def judge_at_rest(self) -> None:
        """Who is told that a period is late is told when it no longer is."""
        assert not self.repetitions, self.repetitions[0]
        assert set(self.task_states.values()) <= _ENDED, "the check has not come to its end"
        late = Topic("is late", CHECK_RUN, 0)
        all_clear = Topic("is no longer late", CHECK_RUN, 0)
        if not self.was_late:
            return
        assert not self._untold(late), f"{self._untold(late)} were not told of a late period"
        if self.task_states[WHEN_PUBLISHED_TASK] == "success":
            untold = self._untold(all_clear)
            assert not untold, f"{untold} were not told that a period is no longer late"

    def _untold(self, topic: Topic) -> list[str]:
        untold = []
        for notifier in self.notifiers:
            is_told = bool(self.deliveries[topic][notifier.name])
            if not is_told and not notifier.always_hangs:
                untold.append(notifier.name)
        return untold


class SupervisorOfAlerts(Supervisor):
    """Also answers the sensors beside a report."""

    def __init__(self, alerts_of_world: Alerts) -> None:
        super().__init__(None)
        self._alerts = alerts_of_world

    def send(self, question: GetDagRun) -> SimpleNamespace:
        assert isinstance(question, GetDagRun)
        return self._alerts.get_dag_run()
