"""Airflow as the library sees it: a run of four tasks, or five, with tries, clears, XComs,
deferral and workers that die.

The tasks are the real operator, sensor, trigger and publisher; in `transform` only the rows are
made up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.utils.state import TaskInstanceState
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.periods.calendar import Period
from athena_reports.publication.folder import CalendarError, require_calendar
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.submission import Submitted
from athena_reports.rows.columns import TableColumn
from athena_reports.rows.writer import LocalFile, LocalTable
from athena_reports.steps.airflow_errors import report_errors
from athena_reports.steps.preparation import upload_version
from athena_reports.steps.prepared_version import PreparedVersion
from athena_reports.steps.publish import S3PublishOperator
from athena_reports.steps.run_query import AthenaSubmitOperator
from athena_reports.steps.wait_for_inputs import InputsWaitSensor
from athena_reports.steps.wait_for_query import AthenaWaitSensor
from athena_reports.steps.wait_trigger import AWAITED_XCOM
from tests.support.airflow_run import StateStore, TaskInstance
from tests.support.memory_athena import FINAL, Plan
from tests.support.triggers import WAITING, first_event, through_the_database
from tests.world.promises import judge_followers
from tests.world.world import (
    BUCKET,
    DEAD_AFTER_SECONDS,
    FOLDER,
    OURS,
    REPORT,
    SOURCE_DATABASE,
    CrashError,
    Deployment,
    Start,
    TurnsLoop,
    World,
)

TASKS = ("run_query", "wait_for_query", "transform", "publish")
INPUTS_TASK = "wait_for_inputs"
RETRIES = 2
RETRY_DELAY_SECONDS = 30.0
QUERY_TIMEOUT = timedelta(minutes=20)
_COLUMNS = (TableColumn(name="user", type="VARCHAR", glue="string"),)
_CLEARED = ("wait cleared", "run cleared")
_HANDED_OVER = "wait changes hands"
_MOST_TRIES = 200
_MOST_REFUSALS = 2  # until whoever is responsible believes that the folder is somebody else's
_TASKS: dict[tuple[type[Any], bool | None], Any] = {}


def task(kind: type[Any], given: Mapping[str, Any], **options: Any) -> Any:
    """Return a task as a new process has it;
    a copy, since to make operators takes most of the time.
    """
    key = (kind, given.get("deferrable"))  # a sensor's mode depends on it
    if key not in _TASKS:
        with DAG(f"{REPORT}_weekly", schedule=None):
            named = {"task_id": kind.__name__, **given}
            _TASKS[key] = kind(retries=RETRIES, **named, **options)
    made = copy(_TASKS[key])
    for name, value in given.items():
        setattr(made, name, value)
    return made


class Store(StateStore):
    """The state store of one task, whose calls are turns of others too."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def get(self, key: str, default: Any = None) -> Any:
        self._world.pause(self._world.rng.uniform(0, 0.2))
        if self._world.attempt.outcome is not None:  # the next try has another id
            return default
        return super().get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self._world.pause(self._world.rng.uniform(0, 0.2))
        if self._world.attempt.outcome is not None:
            raise LookupError("There is no such task instance.")
        super().set(key, value)
        self._world.attempt.after_a_call()


class WaitOverError(Exception):
    """What a deferred task waited for is over: its time, its trigger, or the wait itself."""


@dataclass(eq=False)
class Run:
    """One run of the report, and its scheduler; it is also the `dag_run` that tasks see.

    `published` has the submission times of the queries that its publish task has succeeded with.
    `stores` has the state store of each task, which Airflow has from 3.3 on.
    """

    world: World
    run_id: str
    period: Period
    # From Airflow 3.3 on. Then a trigger is told that its task was stopped, and tasks have stores.
    is_3_3: bool
    deferrable: bool  # whether there is a triggerer
    deployment: Deployment = OURS
    is_handwritten: bool = False  # whether its DAG is, where only `publish` knows the folder
    run_type: str = "scheduled"
    clear_number: int = 0
    start_date: datetime | None = None
    active: bool = True
    has_failed: bool = False
    sql: str = "SELECT 1"
    skips_by: str = ""  # the argument by which its wait skips instead of failing
    tasks: dict[str, TaskInstance] = field(
        default_factory=lambda: {
            name: TaskInstance(name, try_number=0, max_tries=RETRIES)
            for name in (INPUTS_TASK, *TASKS)
        }
    )
    xcoms: dict[str, Any] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    refusals: int = 0
    coverages: Any = ()  # what run_query has told of the inputs
    stores: dict[str, Store] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.is_3_3:
            self.stores = {name: Store(self.world) for name in (INPUTS_TASK, *TASKS)}

    @property
    def task_ids(self) -> Sequence[str]:
        if self.world.sources is None:
            return TASKS
        return (INPUTS_TASK, *TASKS)

    def play(self) -> None:
        """Run the tasks, and again what fails or is cleared, until all have succeeded."""
        for _ in range(_MOST_TRIES):
            left = (name for name in self.task_ids if name not in self.xcoms)
            if (name := next(left, None)) is not None:
                self._try(name)
                if self.refusals >= _MOST_REFUSALS:
                    self.active = False
                    self.world.say("nobody clears the run again")
                    return
                continue
            self.active = False
            self.world.say("the run has succeeded")
            judge_followers(self.world)
            if not self.world.happens("cleared days later"):
                return
            self.world.pause_until_morning(self.world.rng.randint(1, 4))
            self.active = True
            self.clear(self.world.rng.choice(self.task_ids))
        raise AssertionError(f"{self.run_id} has not come to an end")

    @property
    def location(self) -> PeriodLocation:
        return PeriodLocation.of(BUCKET, REPORT, self.period)

    @property
    def has_succeeded(self) -> bool:
        """Whether nothing of it is to be done, unless somebody clears it."""
        return not self.active and "publish" in self.xcoms

    def _try(self, name: str) -> None:
        ti = self.tasks[name]
        has_failed = self.world.alerts is not None and self.world.happens("run failed")
        if has_failed or ti.try_number > ti.max_tries:
            self._give_up()
            return
        ti.begin_next_try()
        ti.start_date = self.world.clock.now
        attempt = Attempt(self, name, ti)
        child = self.world.spawn(
            f"{self.run_id} {name} {ti.try_number}", attempt.execute, attempt=attempt
        )
        while attempt.outcome is None:
            self.world.pause(DEAD_AFTER_SECONDS / 2)
            if (
                attempt.outcome is None
                and child.wake - self.world.clock.seconds > DEAD_AFTER_SECONDS
            ):
                if not child.is_frozen:
                    continue
                attempt.outcome, attempt.calls_left = "gone", self.world.rng.randint(0, 3)
                self.world.say(
                    f"{child.name} is taken for dead, and will go on for {attempt.calls_left} calls"
                )
        if attempt.outcome == "failed":
            self._give_up()
        elif attempt.outcome == "skipped":
            self._clear_later()
        elif attempt.outcome == "cleared":
            self.clear(self.world.rng.choice([name, "run_query"]), running=ti)
        self.world.forget_tokens()
        if attempt.outcome != "done":
            self.world.pause(RETRY_DELAY_SECONDS)

    def _give_up(self) -> None:
        """The run has failed; after a while somebody clears it."""
        self.active = False
        self.has_failed = True
        if self.world.alerts is not None:
            self.world.alerts.call_back(self)
            self.world.alerts.wait_until_told(self)
        self._clear_later()
        self.has_failed = False

    def _clear_later(self) -> None:
        """The run has published nothing; after a while somebody clears it."""
        self.active = False
        self.world.pause(self.world.rng.uniform(1, 600))
        self.active = True
        self.clear(self.task_ids[0])

    def clear(self, first: str, running: TaskInstance | None = None) -> None:
        """Somebody clears a task with all that is downstream,
        perhaps after having edited the report.
        """
        self.world.say(f"{self.run_id}: {first} cleared")
        self.clear_number += 1
        self.edit()
        for name in self.task_ids[self.task_ids.index(first) :]:
            self.xcoms.pop(name, None)
            ti = self.tasks[name]
            if ti is not running:  # as in Airflow: a task that runs keeps its `max_tries`
                ti.max_tries = ti.try_number + RETRIES

    def note_refusal(self, error: str) -> None:
        """The folder is said to be somebody else's, or to have another calendar."""
        self.refusals += 1
        owner = self.world.owner
        assert self.deployment != owner, f"the owner of the folder was refused: {error}"

    def edit(self) -> None:
        if self.world.happens("SQL edited"):
            self.sql = self.world.rng.choice(["SELECT 1", "SELECT 2"])


@dataclass(eq=False)
class Attempt:
    """One try of a task, in a process of its own; `outcome` is None while it lasts."""

    run: Run
    name: str
    ti: TaskInstance
    task: Any = None
    told: str = ""
    outcome: str | None = None
    calls_left: int | None = None  # before Airflow kills the process that it takes for dead
    trigger: Any = None
    deadline: float = 0.0
    started: Start | None = None

    def __post_init__(self) -> None:
        self.clear_number = self.run.clear_number  # as Airflow tells the process when it starts

    @property
    def purpose(self) -> tuple[Any, ...]:
        """What a query is for that run_query starts: one clear of the run, and what it asks."""
        gaps = [gap for coverage in self.task._coverages for gap in coverage.gaps]
        return (self.run.run_id, self.clear_number, self.task.query, *gaps)

    def start(self, id_: str) -> Start:
        """What the books say of a query that this try starts."""
        forgotten = self.run.world.forgotten
        if self.name == "run_query":
            self.started = Start(id_, self.purpose, id_, 1, self.run, forgotten)
            return self.started
        failed = self.run.world.books[self.task.query_execution_id]
        state = self.run.world.athena.describe(failed.id)["Status"]["State"]
        assert state == "FAILED", f"{failed.id} is {state}, and gets a successor"
        assert self.run.is_3_3 or self.run.deferrable, "each poke would start one"
        self.started = Start(
            id_, ("after", failed.id), failed.root, failed.length + 1, self.run, forgotten
        )
        return self.started

    def execute(self) -> None:
        """Do the task, and let the scheduler know how it ended."""
        outcome, found = "gone", None
        try:
            found = getattr(self, self.name)()
            outcome = "done"
        except CrashError:
            self.run.world.say("the worker is gone")
        except WaitOverError as over:
            self.run.world.say(f"the wait is over: {over}")
        except AirflowSkipException as error:
            self.run.world.say(f"skipped: {error}")
            outcome = "skipped"
        except AirflowFailException as error:
            self.run.world.say(f"failed: {error}")
            outcome = "failed"
            if isinstance(error.__cause__, CalendarError):
                self.run.note_refusal(str(error))
        except (AirflowException, ClientError, BotoCoreError) as error:
            self.run.world.say(f"to be retried: {error}")
        if outcome == "done" and self.started is not None:
            self.started.outlived = True
        if self.outcome is not None:
            return  # Airflow has taken it for dead
        if self.name == "wait_for_query" and outcome in ("failed", "skipped"):
            self._judge_end()
        if self.told:
            outcome = {"task stopped": "failed", "task cleared": "cleared"}.get(self.told, "gone")
        if outcome == "done" and self.run.world.happens("XCom lost"):
            outcome = "gone"
        if outcome == "done":
            self.run.xcoms[self.name] = found
            self._judge_adoption(found)
            if self.name == "run_query":
                self.run.coverages = self.ti.pushed["submitted"]["inputs"]
            if self.name == "run_query" and self.run.world.authors is not None:
                self.run.world.authors.judge_adoption(found)
            if self.name == "publish":
                self.run.published.append(self.run.xcoms["wait_for_query"]["submitted_at"])
            if self.name == "publish" and self.run.world.deliveries is not None:
                self.run.world.deliveries.announce(self.run.period.id, found["outcome"])
        self.outcome = outcome

    def _judge_adoption(self, found: Any) -> None:
        """A task hands on the query that it has started, or would have started."""
        books = self.run.world.books
        if self.name == "run_query":
            assert books[found].purpose == self.purpose, f"{found} is of {books[found].purpose}"
        if self.name == "wait_for_query":
            root = self.run.xcoms["run_query"]
            assert books[found["id"]].root == root, f"{found['id']} is not of {root}"

    def _judge_end(self) -> None:
        """A wait that ends for good leaves no query running, as nobody waits for it any more.

        `soft_fail` and `never_fail` also skip one that has not heard of the successor that it, or a
        try before it, has started. On Airflow 3.2 an earlier try leaves no note of its successor;
        on 3.3 none if it was killed before it could.
        """
        world, root = self.run.world, self.run.xcoms["run_query"]
        awaited = [start.id for start in world.books.values() if start.root == root][-1]
        start = world.books[awaited]
        is_known = (
            (self.run.is_3_3 and start.outlived)
            or self.started is start
            or self.task.query_execution_id == awaited
        )
        is_unheard = not is_known or world.acting.missed_start or start.unanswered
        if self.run.skips_by and is_unheard:
            world.judged["successor that a skip leaves"] += 1
            return
        query = world.athena.queries[awaited]
        is_over = query.state_at(world.clock.now) in FINAL or query.cancelled_at is not None
        assert is_over, f"{self.run.run_id} waits no longer, and {awaited} was not stopped"
        world.judged["wait that gave up"] += query.cancelled_at is not None

    def go_on(self) -> None:
        """Called when the process has slept, or has had its turn."""
        if self.calls_left is not None:
            if self.calls_left <= 0:
                raise CrashError
            self.calls_left -= 1

    def crash(self) -> None:
        raise CrashError

    def plan(self, number: int) -> Plan:
        return self.run.world.plan_of_run(self.run.period.id, number)

    def after_a_call(self) -> None:
        world = self.run.world
        if world.happens("crash after a call"):
            raise CrashError
        for told in ("worker killed", "task stopped", "task cleared"):
            if self.task is not None and not self.told and world.happens(f"{told} during a call"):
                self.told = told
                self.task.on_kill()
                raise CrashError

    @property
    def _dag_run(self) -> Run:
        """The run as Airflow told it to the process when that started."""
        run = copy(self.run)
        run.clear_number = self.clear_number
        return run

    @property
    def _context(self) -> Any:
        again = int(self.ti.first_reschedule_date is not None)
        named = {
            "ti": self.ti,
            "run_id": self.run.run_id,
            "dag_run": self._dag_run,
            "task_reschedule_count": again,
        }
        if self.run.stores:
            named["task_state_store"] = self.run.stores[self.name]
        return {**named, "outlet_events": {}}

    # --- the tasks

    def run_query(self) -> Any:
        if self.ti.try_number > 1:
            self.run.edit()
        require = None
        if not self.run.is_handwritten:
            require = self._require_calendar
        given = {
            "query": self.run.sql,
            "environment": self.run.deployment.environment,
            "require": require,
        }
        self.task = task(AthenaSubmitOperator, given, database=SOURCE_DATABASE, workgroup="dev")
        if self.run.world.sources is not None:
            self.task.inputs = [self.run.world.sources.source]
            self.task._run_period = self.run.period
        return self.task.execute(self._context)

    def _require_calendar(self, *_: Any) -> None:
        deployment = self.run.deployment
        location = ReportLocation.of(BUCKET, REPORT, deployment.cadence)
        require_calendar(location, deployment.calendar, self.run.world.store)

    def wait_for_inputs(self) -> Any:
        world, sources = self.run.world, self.run.world.sources
        assert sources is not None
        given = {
            "cadence": self.run.deployment.cadence,
            "late_by": timedelta(0),
            "inputs": [sources.source],
            "database": SOURCE_DATABASE,
            "environment": self.run.deployment.environment,
            "deferrable": self.run.deferrable,
        }

        def new_process() -> Any:
            made = task(InputsWaitSensor, given)
            made.waits = {sources.source: sources.source.wait}
            made._run_period = self.run.period
            made.poke_interval = 600.0  # else it would look for hours
            return made

        self._wait(new_process)
        missing = sources.missing(self.run.period, world.clock.now)
        is_over = world.clock.now >= self.run.period.end_utc + sources.source.wait
        assert is_over or not missing, f"{self.run.run_id} does not wait for {missing}"
        return True

    def wait_for_query(self) -> Any:
        world, id_ = self.run.world, self.run.xcoms["run_query"]
        if world.happens("cancelled in the console"):
            world.athena.cancel(id_)
        submitted = Submitted(period=None, query_execution_id=id_, sql_sha256=self.run.sql)
        given = {
            "task_id": self.name,
            "query_execution_id": id_,
            "submitted": submitted.model_dump(mode="json"),
            "deferrable": self.run.deferrable,
            "environment": self.run.deployment.environment,
            "soft_fail": self.run.skips_by == "soft_fail",
            "never_fail": self.run.skips_by == "never_fail",
        }
        return self._wait(lambda: task(AthenaWaitSensor, given, timeout=QUERY_TIMEOUT))

    def _wait(self, new_process: Callable[[], Any]) -> Any:
        """Run a sensor to its end, in each process that it needs."""
        world = self.run.world
        resumed: tuple[str, Any] | None = None
        while True:
            self.task = new_process()
            try:
                if resumed:
                    return self.task.resume_execution(*resumed, self._context)
                return self.task.execute(self._context)
            except AirflowRescheduleException as again:
                resumed = None
                self.ti.first_reschedule_date = self.ti.first_reschedule_date or world.clock.now
                try:
                    self._sleep((again.reschedule_date - world.clock.now).total_seconds())
                except WaitOverError as over:
                    self._clear(str(over))
                    raise
            except TaskDeferred as deferred:
                timeout: Any = deferred.timeout
                self.deadline = world.clock.seconds + timeout.total_seconds()
                resumed = self._watch(deferred)

    def transform(self) -> Any:
        query = QueryExecution.model_validate(self.run.xcoms["wait_for_query"])
        rows = self.run.world.rows[query.id].encode()
        path = FOLDER / hashlib.sha256(rows).hexdigest()
        self.run.world.s3.files[path] = rows
        file = LocalFile(format="parquet", path=path, rows=1, bytes=len(rows), sha256=path.name)
        table = LocalTable(path=path, rows=1, columns=_COLUMNS)
        store, location = self.run.world.store, self.run.location
        with report_errors():
            version = upload_version([file], table, location, store, ordered=True)
        version = version.model_copy(update={"read_by_next": path.name})
        prepared = PreparedVersion(query=query, version=version, checks=())
        return prepared.model_dump(mode="json")

    def publish(self) -> Any:
        named: dict[str, Any] = {"report": REPORT, "bucket": BUCKET}
        submitted = Submitted(
            period=self.run.period,
            sql_sha256=self.run.sql,
            inputs=self.run.coverages,
            late_by=timedelta(days=3, hours=12),
            reads_previous=True,
        )
        given: dict[str, Any] = {
            "channels": (),
            "prepared": self.run.xcoms["transform"],
            "submitted": submitted.model_dump(mode="json"),
            "database": self.run.deployment.database,
            "environment": self.run.deployment.environment,
        }
        if self.run.world.deliveries is not None:
            given |= self.run.world.deliveries.options_of_publish
        operator = task(S3PublishOperator, given, **named)
        # Where two environments have one bucket, each has partitions of its own.
        with self.run.world.working(self.run.deployment, self.run.period.id):
            return operator.execute(self._context)

    # --- the triggerer

    def _watch(self, deferred: TaskDeferred) -> tuple[str, Any]:
        """What the task is resumed with;
        WaitOverError if it was stopped or lost while it was deferred.
        """
        world = self.run.world
        while True:
            self.task, self.trigger = None, through_the_database(deferred.trigger)
            self.trigger.task_instance = WAITING
            try:
                event = TurnsLoop.run(first_event(self.trigger), world.clock, self.watch_for)
                return deferred.method_name, {"event": event}
            except WaitOverError as over:
                if str(over) == "timeout":
                    return "__fail__", {"error": "Trigger timeout"}
                if str(over) == _HANDED_OVER:
                    self._lose_to_another_triggerer()
                    continue
                if str(over) in _CLEARED and self.run.is_3_3:
                    try:
                        TurnsLoop.run(self.trigger.on_kill(), world.clock, world.pause)
                    except (ClientError, BotoCoreError) as error:
                        world.say(f"the trigger could not stop the query: {error}")
                self._clear(str(over))
                if str(over) != "triggerer restarted":
                    raise
            finally:
                self.trigger = None

    def _lose_to_another_triggerer(self) -> None:
        """This triggerer was frozen, and gives the wait up: Airflow 3.3 calls `on_kill` then."""
        world = self.run.world
        if not self.run.is_3_3:
            return
        supervisor: Any = task_runner.SUPERVISOR_COMMS
        before = list(world.athena.states)
        supervisor.state = TaskInstanceState.DEFERRED
        supervisor.awaited = self.ti.pushed.get(AWAITED_XCOM, "")
        stops = world.athena.count("StopQueryExecution")
        try:
            TurnsLoop.run(self.trigger.on_kill(), world.clock, lambda _: None)
        finally:
            supervisor.state = None
        assert world.athena.count("StopQueryExecution") == stops, (
            f"{self.run.run_id}: a query was stopped that is waited for: {before}"
        )

    def watch_for(self, seconds: float) -> None:
        """Sleep as the trigger; WaitOverError if it is ended from outside."""
        left = self.deadline - self.run.world.clock.seconds
        self._sleep(min(seconds, max(left, 0)))
        if seconds >= left:
            raise WaitOverError("timeout")
        world = self.run.world
        if world.happens("triggerer restarted"):
            raise WaitOverError("triggerer restarted")
        if world.sources is not None and world.happens(_HANDED_OVER):
            raise WaitOverError(_HANDED_OVER)

    def _sleep(self, seconds: float) -> None:
        world = self.run.world
        world.pause(seconds)
        if world.happens("wait lost"):
            raise WaitOverError("lost")
        for told in _CLEARED:
            if world.happens(told):
                raise WaitOverError(told)

    def _clear(self, told: str) -> None:
        """Clear the task that an incident names. Nobody clears a wait that was taken for dead."""
        if told not in _CLEARED or self.outcome is not None:
            return
        first = self.name if told == "wait cleared" else self.run.task_ids[0]
        self.run.clear(first)
