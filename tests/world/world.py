"""The world of the simulation: services in memory, a clock, chance,
and actors that take turns at every call.

An actor is a greenlet: it runs until it calls a service or sleeps. Then the actor goes on whose
time comes first. All that is random comes from the seed, so a world can be played again.
"""

from __future__ import annotations

import asyncio
import json
import random
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from airflow.sdk._shared.dagnode.node import GenericDAGNode
from airflow.sdk.definitions._internal.logging_mixin import LoggingMixin as SdkLogging
from airflow.sdk.execution_time import task_runner
from airflow.utils.log.logging_mixin import LoggingMixin as AirflowLogging
from botocore.exceptions import BotoCoreError, ClientError
from greenlet import getcurrent, greenlet

from athena_reports import weekly
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3
from athena_reports.inputs.input import Input
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.publication import differences
from athena_reports.publication.commit import read_manifest
from athena_reports.publication.folder import PublishedCalendar
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import PeriodLocation, ReportLocation
from athena_reports.publication.manifest import Manifest, Partition
from athena_reports.steps import partition_poller, preparation
from athena_reports.steps.partition_poller import PartitionPoller
from athena_reports.steps.query_poller import QueryPoller
from tests.support.aws_errors import LOST, THROTTLED, api_error
from tests.support.calendars import WEEKS, utc_dates
from tests.support.memory_athena import MemoryAthena, Plan, serve
from tests.support.memory_store import MemoryGlue, MemoryS3
from tests.support.triggers import Supervisor
from tests.support.virtual_clock import START, ClockLoop, NoWaiting, VirtualClock, virtual_clock

if TYPE_CHECKING:
    from tests.world.airflow_model import Attempt, Run
    from tests.world.alerts_model import Alerts
    from tests.world.author_model import Authors
    from tests.world.deliveries_model import Deliveries
    from tests.world.process import Process

T = TypeVar("T")

INCIDENTS = {
    # of any call
    "throttled": 0.02,
    "answer lost": 0.03,
    "server error after the effect": 0.02,
    "slow": 0.1,
    "process frozen": 0.01,
    # of a task's process
    "crash before a call": 0.015,
    "crash after a call": 0.015,
    "worker killed during a call": 0.01,
    "task stopped during a call": 0.01,
    "task cleared during a call": 0.015,
    "XCom lost": 0.05,
    # of the query
    "tokens forgotten": 0.3,
    "failed in passing": 0.3,
    "failed for good": 0.05,
    "takes too long": 0.05,
    "back to the queue": 0.2,
    "cancelled in the console": 0.1,
    # of the wait
    "triggerer restarted": 0.1,
    "wait lost": 0.05,
    "wait cleared": 0.05,
    "run cleared": 0.05,
    "wait changes hands": 0.1,
    # of alerts
    "run failed": 0.1,
    "callback lost": 0.4,
    "notifier hangs": 0.1,
    "notifier fails": 0.1,
    "alerting process killed": 0.06,
    # of an author's command
    "command killed": 0.01,
    # of deliveries
    "event lost": 0.2,
    "mail server busy": 0.2,
    "answer of the mail server lost": 0.1,
    "delivery killed": 0.04,
    "delivery cleared": 0.1,
    # of people, and of the lake
    "SQL edited": 0.2,
    "cleared days later": 0.8,
    "late events": 0.5,
    "slow removal": 0.5,
}
"""What can happen, and how probable it is each time that it can."""
# They count for nothing. Those of deliveries come last in a day, when others have had their number.
_ORDINARY = {
    "slow",
    "late events",
    "cleared days later",
    "slow removal",
    "event lost",
    "mail server busy",
    "answer of the mail server lost",
    "delivery killed",
    "delivery cleared",
}
BUCKET, REPORT = "reports", "plays"
SOURCE_DATABASE = "database_dev"
# The last one ends three days before the clock starts.
PERIODS = [WEEKS.period("2025-06-01"), WEEKS.period("2025-06-08")]
DAY, MORNING_SECONDS = 86_400.0, 120.0
DEAD_AFTER_SECONDS = 300.0  # Airflow takes a task without a heartbeat for dead
MOST_TRIES = 3  # of one call, by the AWS client
_MOST_INCIDENTS = 20  # a day
DAYS = 6
QUERY_LIMIT_SECONDS = 2400.0  # Athena's own limit, after which it fails a query
FOLDER = Path("/nowhere")  # of local files, which are in memory too


class CrashError(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Deployment:
    """The report as an environment has it, with the calendar that it has there."""

    environment: str
    cadence: Cadence

    @property
    def database(self) -> str:
        return f"report_{self.environment}"

    @property
    def calendar(self) -> PublishedCalendar:
        return PublishedCalendar(environment=self.environment, report=REPORT, cadence=self.cadence)


OURS = Deployment("dev", WEEKS)
ANOTHER_ENVIRONMENT = Deployment("stg", WEEKS)
# The same report, after its file was edited.
OTHER_CALENDARS = [
    Deployment("dev", weekly("sunday", timezone="UTC")),
    Deployment("dev", weekly("monday", timezone="Asia/Tokyo")),
]


@dataclass(eq=False)
class Actor:
    """Whoever acts beside others; `attempt` is the task's process that it is,
    `scheduler` who waits for its end. One that had trouble was frozen, or had a call that failed.
    `missed_start` if the answer to the start of a query was lost.
    """

    name: str
    thread: greenlet
    wake: float
    attempt: Attempt | Process | None = None
    scheduler: Actor | None = None
    is_frozen: bool = False
    had_trouble: bool = False
    missed_start: bool = False
    work: Work | None = None


@dataclass(eq=False)
class Work:
    """What writes partitions: a try of `publish`, or a cleanup."""

    deployment: Deployment
    period_id: str | None  # None for all
    is_over: bool = False
    is_complete: bool = False  # it neither died nor gave up on the way


@dataclass(eq=False)
class Start:
    """What the books say of an execution, which they know by neither token nor SQL.

    Attributes:
        purpose: Who wants it, and what: no two executions may have the same one.
        root: The execution that its chain began with.
        length: How many executions the chain has with it.
        run: The run; None for an author's command.
        forgotten: How often Athena had forgotten its tokens before.
        outlived: Whether the process that started it heard of it and went on, and so has noted it.
        unanswered: Whether the answer to its start was lost.
    """

    id: str
    purpose: tuple[Any, ...]
    root: str
    length: int
    run: Run | None
    forgotten: int
    outlived: bool = False
    unanswered: bool = False


@dataclass(frozen=True)
class Sources:
    """What the report reads, in worlds in which its runs wait for it.

    Attributes:
        source: The input. Its time is over some hours after the world begins.
        lands_at: When each partition comes, by its date; None for never.
    """

    source: Input
    lands_at: Mapping[str, datetime | None]

    @classmethod
    def of(cls, seed: int) -> Sources:
        rng = random.Random(f"sources of {seed}")
        patience = timedelta(hours=rng.choice([1, 6, 24]))
        wait = START + patience - PERIODS[-1].end_utc
        lands_at: dict[str, datetime | None] = {}
        dates = {day for period in PERIODS for day in utc_dates(period)}
        for day in sorted(dates):
            lands_at[str(day)] = START
            if rng.random() < 0.2:
                # While the first runs submit their queries, or hours later.
                mean_hours = rng.choice([1 / 30, 4])
                lands_at[str(day)] = START + timedelta(hours=rng.expovariate(1 / mean_hours))
            elif rng.random() < 0.05:
                lands_at[str(day)] = None
        return cls(Input("plays", wait=wait, missing="partial"), lands_at)

    def create(self, glue: MemoryGlue) -> None:
        glue.tables[SOURCE_DATABASE, "plays"] = {
            "Name": "plays",
            "PartitionKeys": [{"Name": "dt", "Type": "string"}],
        }
        for day, instant in self.lands_at.items():
            if instant == START:
                self.land(glue, day)

    @staticmethod
    def land(glue: MemoryGlue, day: str) -> None:
        """Register a partition, which the pipeline before does."""
        glue.partitions[SOURCE_DATABASE, "plays", day] = {"Values": [day]}

    def missing(self, period: Period, instant: datetime) -> list[str]:
        """The dates of a period whose partitions had not come."""
        missing = []
        for day in utc_dates(period):
            landed_at = self.lands_at.get(str(day))
            if landed_at is None or landed_at > instant:
                missing.append(str(day))
        return missing


@dataclass(eq=False)
class World:
    """All that there is.

    `left` counts, by day, the incidents that may still happen. `works` has all that writes
    partitions, and `last_work` what has written the partition of each period last.
    """

    seed: int
    clock: VirtualClock
    patch: pytest.MonkeyPatch
    rng: random.Random = field(init=False)
    left: dict[int, int] = field(default_factory=dict)
    incidents: Counter[str] = field(default_factory=Counter)
    log: list[tuple[datetime, str, str]] = field(default_factory=list)  # when, who, what
    actors: list[Actor] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    lake: dict[str, int] = field(default_factory=Counter)
    rows: dict[str, str] = field(default_factory=dict)  # of each query, by its id
    books: dict[str, Start] = field(default_factory=dict)  # by the id of the execution
    forgotten: int = 0  # how often Athena has forgotten its tokens
    calls: int = 0
    works: list[Work] = field(default_factory=list)
    last_work: dict[str, Work] = field(default_factory=dict)
    alerts: Alerts | None = None
    authors: Authors | None = None
    deliveries: Deliveries | None = None
    judged_at: dict[str, int] = field(default_factory=dict)  # after how many writes, by period
    judged: Counter[str] = field(default_factory=Counter)  # how often the followers were

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        features = random.Random(f"features of {self.seed}")
        self.has_alerts = features.random() < 0.25
        self.has_authors = features.random() < 0.25
        self.rival: Deployment | None = None
        kind = features.random()
        if kind < 0.2 and not self.has_alerts:
            self.rival = ANOTHER_ENVIRONMENT
        elif kind > 0.8:
            self.rival = features.choice(OTHER_CALENDARS)
        self.sources: Sources | None = None
        if random.Random(f"late inputs of {self.seed}").random() < 0.2:
            self.sources = Sources.of(self.seed)
        self.has_deliveries = False
        if self.rival is None:
            self.has_deliveries = random.Random(f"deliveries of {self.seed}").random() < 0.3
        self.hub = getcurrent()
        stop_seconds = self.rng.choice([0.0, 0.0, 2.0, 45.0])
        self.athena = MemoryAthena(
            plan=self._plan, stop_seconds=stop_seconds, before=self._before, after=self._after
        )
        self.s3 = MemoryS3(self._call, files={})
        self.glue = MemoryGlue(self._call, self._note_write)
        if self.sources is not None:
            self.sources.create(self.glue)
        self.store = S3(self.s3)  # type: ignore[arg-type]

    # --- time and turns

    def spawn(
        self,
        name: str,
        act: Callable[[], None],
        *,
        after: float = 0.0,
        attempt: Attempt | Process | None = None,
    ) -> Actor:
        """Let somebody act from some seconds on."""
        scheduler = self.acting if attempt else None
        actor = Actor(
            name, greenlet(act, parent=self.hub), self.clock.seconds + after, attempt, scheduler
        )
        self.actors.append(actor)
        return actor

    def play(self) -> None:
        """Let the actors act until all rest."""
        while self.actors:
            actor = min(self.actors, key=attrgetter("wake"))
            if actor.wake > self.clock.seconds:
                self.clock.sleep(actor.wake - self.clock.seconds)
            self.acting = actor
            actor.thread.switch()
            if actor.thread.dead:
                self.actors.remove(actor)
                if actor.scheduler is not None:
                    actor.scheduler.wake = min(actor.scheduler.wake, self.clock.seconds + 0.1)

    def pause(self, seconds: float) -> None:
        """Let others act for so long."""
        self.acting.wake = self.clock.seconds + seconds
        # asyncio notes the running loop per thread. Other greenlets of this thread run their own
        # loops meanwhile.
        own_loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self.hub.switch()
        finally:
            asyncio._set_running_loop(own_loop)
        if self.attempt is not None:
            self.attempt.go_on()

    def pause_until_morning(self, days: int = 1) -> None:
        """Let others act until some minutes of a later day in which everybody is at work."""
        begins = (self.clock.seconds // DAY + days) * DAY
        self.pause(begins + self.rng.uniform(0, MORNING_SECONDS) - self.clock.seconds)

    @property
    def attempt(self) -> Any:
        return self.acting.attempt

    # --- who writes partitions

    @contextmanager
    def working(self, deployment: Deployment, period_id: str | None = None) -> Iterator[None]:
        """Know of the acting one that it writes partitions, and how its work ends."""
        work = Work(deployment, period_id)
        self.works.append(work)
        self.acting.work = work
        worker = self.acting
        try:
            yield
            work.is_complete = True
        finally:
            work.is_over = True
            worker.work = None

    def _note_write(self, period_id: str) -> None:
        assert self.acting.work is not None, "only publications and cleanups write partitions"
        self.last_work[period_id] = self.acting.work

    # --- chance

    def happens(self, incident: str) -> bool:
        if self.rng.random() >= INCIDENTS[incident]:
            return False
        day = int(self.clock.seconds // DAY)
        if day not in self.left:
            self.left[day] = self.rng.randint(0, _MOST_INCIDENTS)
        if day >= DAYS or (self.left[day] <= 0 and incident not in _ORDINARY):
            return False
        self.left[day] -= incident not in _ORDINARY
        self.incidents[incident] += 1
        self.say(incident.upper())
        return True

    def forget_tokens(self) -> None:
        """As Athena does after an unknown time."""
        if not self.is_anybody_frozen and self.happens("tokens forgotten"):
            self.forgotten += 1
            self.athena.forget_tokens()

    @property
    def is_anybody_frozen(self) -> bool:
        """Whether a process may go on that was taken for dead, and is about to start a query.

        Only its token prevents a second query then.
        """
        return any(
            each.attempt and (each.is_frozen or each.attempt.outcome) for each in self.actors
        )

    def say(self, what: str) -> None:
        self.log.append((self.clock.now, self.acting.name if self.actors else "", what))

    @property
    def figures(self) -> Counter[str]:
        """What there was, for the figures of many worlds."""
        figures = Counter({f"judged: {name}": count for name, count in self.judged.items()})
        figures.update({f"incident: {name}": count for name, count in self.incidents.items()})
        if self.deliveries is not None:
            figures["mails"] = len(self.deliveries.arrivals)
        figures["worlds"] = 1
        figures["worlds with notifiers"] = int(self.has_alerts)
        figures["worlds with an author's commands"] = int(self.has_authors)
        figures["worlds with deliveries"] = int(self.has_deliveries)
        figures["worlds with inputs that come late"] = int(self.sources is not None)
        figures["worlds with another environment"] = int(self.rival is ANOTHER_ENVIRONMENT)
        figures["worlds with a changed calendar"] = int(self.rival in OTHER_CALENDARS)
        figures["calls"] = self.calls
        figures["runs"] = len(self.runs)
        figures["queries"] = len(self.athena.queries)
        figures["hours of virtual time"] = int(self.clock.seconds // 3600)
        return figures

    def log_line(self, message: str, *values: Any, **_: Any) -> None:
        """What operators, hooks and triggers log is a part of the story."""
        if "outside of the Task Runner" not in message and not message.startswith(
            ("Running Query", "Unable to find")
        ):
            given = values[0] if len(values) == 1 and isinstance(values[0], Mapping) else values
            self.say(f"  {message % given if given else message}")

    def _plan(self, number: int) -> Plan:
        """How the next query goes, which the acting process starts."""
        start: Start = self.attempt.start(f"q-{number + 1}")
        self._judge_start(start)
        self.books[start.id] = start
        plan: Plan = self.attempt.plan(number)
        return plan

    def _judge_start(self, start: Start) -> None:
        """No two executions are for the same purpose, unless Athena has forgotten the token.

        And then only if the first one could not be noted.
        """
        for other in self.books.values():
            if other.purpose != start.purpose:
                continue
            could_be_noted = start.run is not None and start.run.is_3_3 and other.outlived
            is_excused = start.forgotten > other.forgotten and not could_be_noted
            assert is_excused, f"{start.id} was started beside {other.id}: {start.purpose}"
            self.judged["second query of a forgotten token"] += 1
        assert start.length <= 4, f"{start.id} is the execution number {start.length} of a chain"

    def judge_stop(self, id_: str) -> None:
        """A task stops only queries of its own run, and run_query none that it wants."""
        start = self.books[id_]
        if start.run is None or self.attempt is None:
            return
        assert self.attempt.run is start.run, f"{id_} is of another run"
        is_wanted = self.attempt.name == "run_query" and self.attempt.purpose == start.purpose
        assert not is_wanted, f"{id_} was stopped, and is wanted"

    def plan_of_run(self, period_id: str, number: int) -> Plan:
        """How the query of a run goes, and what its rows are."""
        if self.happens("late events"):
            self.lake[period_id] = 1 - self.lake[period_id]
        self.rows[f"q-{number + 1}"] = (
            f"rows of {period_id} in state {self.lake[period_id]} of the lake"
        )
        states = [("QUEUED", self.rng.uniform(0, 5)), ("RUNNING", self.rng.expovariate(1 / 40))]
        if self.happens("back to the queue"):
            states += states
        if self.happens("failed in passing"):
            return Plan.failing(self.rng.choice([0, 233, 1403, 1602]))
        if self.happens("failed for good"):
            return Plan.failing(self.rng.choice([1301, 1402, 401, 1500, 9999]), category=2)
        return self.plan_to_limit() if self.happens("takes too long") else Plan(tuple(states))

    @staticmethod
    def plan_to_limit() -> Plan:
        """A query that runs until Athena itself ends it."""
        error = {"ErrorCategory": 1, "ErrorType": 210}
        states = (("RUNNING", QUERY_LIMIT_SECONDS),)
        return Plan(states, end="FAILED", reason="Query timeout", error=error)

    # --- faults of calls

    def _call(self, action: str, effect: Callable[[], Any]) -> Any:
        """A call of S3 or Glue, which the AWS client repeats."""
        for number in range(MOST_TRIES):
            try:
                self._before(action)
                answer = effect()
                self._after(action)
                return answer
            except (ClientError, BotoCoreError) as error:
                if number + 1 == MOST_TRIES or error not in (THROTTLED, LOST, _FAULT):
                    raise
                self.pause(self.rng.uniform(0.1, 2))
        raise AssertionError("the last try returns or raises")

    def _before(self, action: str) -> None:
        self.pause(
            self.rng.expovariate(1 / 20) if self.happens("slow") else self.rng.uniform(0, 0.4)
        )
        if action == "DeleteObjects" and self.happens("slow removal"):
            self.pause(self.rng.uniform(60, 1800))
        if self.happens("process frozen"):
            self.acting.is_frozen = True
            self.acting.had_trouble = True
            self.pause(self.rng.uniform(60, 1800))
            self.acting.is_frozen = False
        self.calls += 1
        self.say(action)
        started = None if self.attempt is None else self.attempt.started
        if started is not None and not started.unanswered:
            started.outlived = True
        if self.happens("throttled"):
            self.acting.had_trouble = True
            raise THROTTLED.with_traceback(None)  # else it would keep all that has ever raised it
        if self.attempt is not None and self.happens("crash before a call"):
            self.attempt.crash()

    def _after(self, action: str) -> None:
        self.pause(self.rng.uniform(0, 0.4))
        if self.happens("answer lost"):
            self._note_trouble_after(action)
            raise LOST.with_traceback(None)
        if self.happens("server error after the effect"):
            self._note_trouble_after(action)
            raise _FAULT.with_traceback(None)
        if self.attempt is not None:
            self.attempt.after_a_call()

    def _note_trouble_after(self, action: str) -> None:
        self.acting.had_trouble = True
        if action == "StartQueryExecution":
            self.acting.missed_start = True
            if self.attempt.started is not None:  # else Athena returned the query of an earlier try
                self.attempt.started.unanswered = True

    # --- what others ask

    def get_dr_count(self, *, run_ids: list[str], **_: Any) -> int:
        """As Airflow's task instance: how many of the runs are active."""
        return sum(run.run_id in run_ids and run.active for run in self.runs)

    def xcom_push(self, key: str, value: Any) -> None:
        """As Airflow's task instance; nobody reads it here."""

    def version_name(self, _: int) -> str:
        return f"{self.rng.getrandbits(64):016x}"

    def location(self, period_id: str) -> PeriodLocation:
        return PeriodLocation.of(BUCKET, REPORT, WEEKS.period(period_id))

    def runs_of_owner(self, period_id: str) -> list[Run]:
        """The runs of a period that may publish it."""
        owner = self.owner
        of_period = [run for run in self.runs if run.period.id == period_id]
        return [run for run in of_period if run.deployment == owner]

    @property
    def owner(self) -> Deployment:
        """Whose the report's folder is; ours, as long as it is nobody's."""
        if self.calendars and self.calendars[-1] == ANOTHER_ENVIRONMENT.calendar:
            return ANOTHER_ENVIRONMENT
        return OURS

    @property
    def calendars(self) -> list[PublishedCalendar]:
        """All that `calendar.json` has ever said."""
        uri = ReportLocation.of(BUCKET, REPORT, WEEKS).calendar_uri
        bodies = self.s3.history.get(uri.removeprefix("s3://"), [])
        return [PublishedCalendar.model_validate_json(body) for body in bodies]

    @property
    def table(self) -> Table:
        return self._table(self.glue)

    def _table(self, glue: MemoryGlue) -> Table:
        location = ReportLocation.of(BUCKET, REPORT, WEEKS)
        return Table(self.owner.database, location, glue)  # type: ignore[arg-type]

    # --- what a judge sees, whose look takes no turn and no time

    @property
    def writes(self) -> int:
        """How many objects and partitions have been written."""
        return self.s3.writes + self.glue.writes

    def manifest_now(self, period_id: str) -> Manifest | None:
        manifest, _ = read_manifest(self.location(period_id), self.store_now)
        return manifest

    @property
    def store_now(self) -> S3:
        """What is stored now."""
        return S3(replace(self.s3, call=_at_once))  # type: ignore[arg-type]

    def partition_now(self, period_id: str) -> Partition | None:
        table = self._table(replace(self.glue, call=_at_once))
        return table.partitions().get(period_id)

    def latest_now(self, location: PeriodLocation) -> Any:
        body, _ = self.store_now.read(location.report.latest_uri)
        return json.loads(body)


def story_of(made: World) -> str:
    """Tell who did what, and when."""
    lines = [f"The world of seed {made.seed}:"]
    lines += [f"{at:%d %H:%M:%S} {name:<28} {what}" for at, name, what in made.log]
    return "\n".join(lines)


_FAULT = api_error("InternalError", "We encountered an internal error", status=500)


@contextmanager
def world(seed: int) -> Iterator[World]:
    """Make the world of a seed;
    the library's clients, its clock and its pauses are those of this world.
    """
    random.seed(seed)  # of the pauses between two starts
    with virtual_clock() as clock, pytest.MonkeyPatch.context() as patch:
        made = World(seed, clock, patch)
        serve(made.athena, patch)
        stop = made.athena.stop_query_execution

        def judge_and_stop(QueryExecutionId: str) -> dict[str, Any]:
            made.judge_stop(QueryExecutionId)
            return stop(QueryExecutionId)

        patch.setattr(made.athena, "stop_query_execution", judge_and_stop)
        clients: Mapping[str, Any] = {"s3": made.s3, "glue": made.glue}
        patch.setattr(SharedSessionHook, "client", lambda _, service: clients[service])
        # Nobody asks it for anything, and to make one takes longer than the rest of a task.
        patch.setattr(SharedSessionHook, "_session", None)
        levels = dict.fromkeys(("info", "warning", "error"), made.log_line)
        log = SimpleNamespace(
            **levels,
            log=lambda _, message, *values: made.log_line(message, *values),
            debug=lambda *_, **__: None,
        )
        for kind in (GenericDAGNode, SdkLogging, AirflowLogging):
            patch.setattr(kind, "log", log)
        patch.setattr("time.sleep", made.pause)
        patch.setattr(preparation, "token_hex", made.version_name)
        # Each wait has a triggerer of its own.
        patch.setattr(QueryPoller, "of", QueryPoller)
        patch.setattr(PartitionPoller, "of", PartitionPoller)
        patch.setattr(partition_poller, "PAUSE_SECONDS", 600.0)  # it would look for hours
        patch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(None), raising=False)
        # DuckDB is not what is looked at: the rows are a text.
        engine = SimpleNamespace(folder=FOLDER)
        patch.setattr(differences, "open_engine", lambda *_, **__: nullcontext(engine))
        difference = SimpleNamespace(added=1, removed=1, changed=0)
        patch.setattr(differences, "find_differences", lambda *_, **__: difference)
        try:
            yield made
        finally:
            # Those of a world that has ended badly: none goes on in another one.
            for actor in made.actors:
                while not actor.thread.dead:
                    actor.thread.throw()


def _at_once(_: str, effect: Callable[[], Any]) -> Any:
    return effect()


class TurnsLoop(ClockLoop):
    """The event loop of a triggerer, which gives turns to others instead of waiting.

    What ends its process, or a wait, is raised by `run`.
    """

    def __init__(self, clock: VirtualClock, pause: Callable[[float], None]) -> None:
        self._turns = _Turns(pause)
        super().__init__(clock, self._turns)

    @classmethod
    def run(
        cls, coroutine: Coroutine[Any, Any, T], clock: VirtualClock, pause: Callable[[float], None]
    ) -> T:
        """Run a coroutine of a triggerer to its end; `pause` gives turns to others."""
        loop = cls(clock, pause)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                return runner.run(coroutine)
            finally:
                loop._turns.are_over = True  # what is left is cancelled, and has no turn

    def run_in_executor(  # type: ignore[override]  # as that of ClockLoop
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        try:
            return super().run_in_executor(executor, func, *args)
        except BaseException as end:
            # A task of asyncio would keep it to itself.
            self._turns.end = end
            raise


class _Turns(NoWaiting):
    """Gives turns to others until the next timer of its event loop is due."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        super().__init__(pause)
        self.end: BaseException | None = None
        self.are_over = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.are_over:
            return super().select(0)
        if self.end is not None:
            raise self.end
        return super().select(timeout)
