"""Deliveries of a world: a mail server that is busy, events that are lost, and who sends.

The tasks of the delivering DAG and the task that looks for lost events are the real ones. Each is a
process, which is killed at any call.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

from airflow.exceptions import AirflowException
from airflow.providers.common.compat.sdk import AirflowSkipException
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports import mail
from athena_reports.delivery.channels import MailChannel
from athena_reports.delivery.decision import Send
from athena_reports.delivery.deliver import DeliverOperator
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.delivery.receipt import history_of
from athena_reports.delivery.sending import Sent
from athena_reports.maintenance import undelivered
from athena_reports.maintenance.undelivered import (
    AthenaUndeliveredOperator,
    PublishedDelivery,
    planned_deliveries,
)
from athena_reports.publication.manifest import Manifest
from tests.support.airflow_run import TaskInstance
from tests.support.calendars import WEEKS
from tests.world.airflow_model import task
from tests.world.process import Process
from tests.world.world import BUCKET, DAY, DAYS, PERIODS, REPORT, World

RETRIES = 6
UNTIL = timedelta(days=60)  # after the end of a period, so in all of a world
_POLICY = DeliveryPolicy(within=UNTIL, correct_within=UNTIL, when="published")
_FIRST = "sales"
_LATER = "team"  # a channel that the report gets some days later
_ERRORS = (AirflowException, ClientError, BotoCoreError)
_LOOK_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Arrival:
    """A mail that the server has taken."""

    channel: str
    period_id: str
    version: str
    number: int
    corrects: str


@dataclass
class DeliveryRun:
    """A run of the delivering DAG."""

    run_id: str
    period_id: str
    conf: dict[str, str] | None
    partition_key: str | None
    tasks: dict[str, TaskInstance] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)  # channels whose tasks have not ended


class Deliveries:
    """All that has to do with deliveries in a world.

    Attributes:
        kills: How often a mail has arrived of a process that has not come to its end.
        unnoted: What has arrived of the process that runs.
        noted: What has arrived of processes that have come to their end.
        told: Which versions a task has failed for, by channel and period: somebody was told.
        clears: How often somebody has cleared a task that had sent, by channel and period.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.channels: list[MailChannel] = [mail(_FIRST, to=["a@example.com"])]
        self.runs: list[DeliveryRun] = []
        self.arrivals: list[Arrival] = []
        self.kills: Counter[Arrival] = Counter()
        self.clears: Counter[tuple[str, str]] = Counter()
        self.unnoted: list[Arrival] = []
        self.noted: list[Arrival] = []
        self.told: set[tuple[str, str, str]] = set()
        self._begun = 0
        model = self

        def send(operator: DeliverOperator, decision: Send, published: Any, *_: Any) -> Sent:
            name = operator.channel.name
            return model.send(name, decision, published.manifest, published.period.id)

        def trigger(_: Any, found: PublishedDelivery) -> bool:
            return model.trigger(found)

        world.patch.setattr(DeliverOperator, "_send", send)
        world.patch.setattr(AthenaUndeliveredOperator, "_trigger", trigger)
        # The actors of a world share one thread.
        in_turn = nullcontext(SimpleNamespace(map=map))
        world.patch.setattr(undelivered, "ThreadPoolExecutor", lambda _: in_turn)

    # --- what the report's DAG knows of it

    @property
    def options_of_publish(self) -> dict[str, Any]:
        """What `build_dag` gives the task `publish`."""
        names = tuple(channel.name for channel in self.channels)
        return {"channels": names, "deliver_within": UNTIL, "correct_within": UNTIL}

    def announce(self, period_id: str, outcome: str) -> None:
        """The task `publish` has succeeded: Airflow starts a run, unless it forgets the event."""
        if outcome not in ("published", "settled") or self.world.happens("event lost"):
            return
        number = len(self.runs) + 1
        self.runs.append(DeliveryRun(f"event-{number}", period_id, None, period_id))

    # --- people, and Airflow

    def play(self) -> None:
        """Airflow's scheduler: one run after the other."""
        while self.world.clock.seconds < DAYS * DAY:
            self._play_runs()
            self.world.pause(_LOOK_EVERY_SECONDS)

    def _play_runs(self) -> None:
        while self._begun < len(self.runs):
            self._begun += 1
            self._play_run(self.runs[self._begun - 1])

    def come_to_rest(self) -> None:
        """Let what is left be delivered, when nothing fails any more."""
        self._play_runs()
        self.look_for_lost_events()
        self._play_runs()

    def add_channel(self) -> None:
        """An author gives the report another channel, some days after it has begun."""
        self.world.pause_until_morning(self.world.rng.randint(1, 3))
        self.channels.append(mail(_LATER, to=["b@example.com"]))

    def _play_run(self, run: DeliveryRun) -> None:
        run.left = [channel.name for channel in self.channels]
        for name in run.left:
            run.tasks[name] = TaskInstance(
                name, dag_id=f"{REPORT}_weekly_deliver", run_id=run.run_id, try_number=0
            )
            run.tasks[name].max_tries = RETRIES
        while run.left:
            name = run.left[0]
            self._play_task(run, name)
            run.left.remove(name)
        cleared = [name for name in run.tasks if self.world.happens("delivery cleared")]
        for name in cleared:
            ti = run.tasks[name]
            ti.max_tries = ti.try_number + RETRIES
            self.clears[name, run.period_id] += 1
            self.world.say(f"{run.run_id}: {name} cleared")
            self._play_task(run, name)

    def _play_task(self, run: DeliveryRun, name: str) -> None:
        """Try a task until it has succeeded, was skipped, or has no tries left."""
        world = self.world
        ti = run.tasks[name]
        channel = next(channel for channel in self.channels if channel.name == name)
        while ti.try_number <= ti.max_tries:
            ti.begin_next_try()
            process = Process(world, "delivery killed", world.clock.seconds + DAY)
            operator = task(
                DeliverOperator,
                {"channel": channel},
                report=SimpleNamespace(name=REPORT),
                cadence=WEEKS,
                delivery_policy=_POLICY,
                deployment=SimpleNamespace(report_bucket=BUCKET, bucket_owner="", encryption=None),
            )
            context: Any = {"dag_run": run, "run_id": run.run_id, "ti": ti}
            deliver = partial(process.execute, partial(self._execute, operator, context), *_ERRORS)
            world.spawn(f"{run.run_id} {name} {ti.try_number}", deliver, attempt=process)
            while process.outcome is None:
                world.pause(_LOOK_EVERY_SECONDS)
            sent = self.unnoted
            self.unnoted = []
            if process.outcome == "done":
                self.noted += sent
                return
            self.kills.update(sent)
            world.pause(world.rng.uniform(30, 600))
        manifest = world.manifest_now(run.period_id)
        assert manifest is not None
        self.told.add((name, run.period_id, manifest.version))
        world.say(f"{run.run_id}: {name} has failed, which is told")

    @staticmethod
    def _execute(operator: DeliverOperator, context: Any) -> Any:
        try:
            return operator.execute(context)
        except AirflowSkipException as skipped:
            return str(skipped)

    def look_for_lost_events(self) -> None:
        """One run of the maintenance DAG."""
        table = self.world.table
        planned = planned_deliveries(
            table.location, table.published_periods(), self.world.clock.now
        )
        fields = [published.model_dump(mode="json") for published in planned]
        operator = task(AthenaUndeliveredOperator, {"planned": fields})
        context: Any = {"ti": self}
        operator.execute(context)

    # What Airflow answers to that task, whose task instance this is.

    def get_dag(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(is_paused=False)

    def trigger(self, found: PublishedDelivery) -> bool:
        if any(run.run_id == found.run_id for run in self.runs):
            return False
        self.world.say(f"triggers {found.run_id}")
        conf = {"period": found.period_id}
        self.runs.append(DeliveryRun(found.run_id, found.period_id, conf, None))
        return True

    # --- the mail server

    def send(self, channel: str, decision: Send, manifest: Manifest, period_id: str) -> Sent:
        """Take a mail, or not."""
        world = self.world
        process: Process = world.attempt
        world.pause(world.rng.uniform(0, 2))
        if world.happens("mail server busy"):
            raise DeliveryError("451 busy", retryable=True)
        corrects = decision.corrects.version if decision.corrects is not None else ""
        arrival = Arrival(channel, period_id, manifest.version, decision.number, corrects)
        self._judge(arrival)
        self.arrivals.append(arrival)
        world.say(f"{channel} gets {manifest.version}, number {decision.number}")
        self.unnoted.append(arrival)
        if world.happens("answer of the mail server lost"):
            raise DeliveryError("the connection broke off", retryable=True)
        process.after_a_call()
        return Sent(message_id=f"<{manifest.version}.{decision.number}>")

    # --- what must hold

    def _judge(self, arrival: Arrival) -> None:
        """A correction is of what the channel had last, and a first version corrects nothing."""
        place = (arrival.channel, arrival.period_id)
        noted = [other for other in self.noted if (other.channel, other.period_id) == place]
        earlier = [other for other in self.arrivals if (other.channel, other.period_id) == place]
        # A process that was killed may have written its receipt.
        after_noted = earlier
        allowed = {""}
        if noted:
            after_noted = earlier[earlier.index(noted[-1]) + 1 :]
            allowed = {noted[-1].version}
        allowed |= {other.version for other in after_noted}
        if arrival.version in allowed:
            return  # somebody has cleared the task
        assert arrival.corrects in allowed, f"{arrival} after {earlier}"

    def judge_at_rest(self) -> None:
        """Each channel has the current version, and got nothing twice without a reason."""
        history = self.world.s3.history
        for place, bodies in history.items():
            if "/receipts/" in place and place.endswith(".json"):
                assert len(bodies) == 1, f"{place} was written {len(bodies)} times"
        for period in PERIODS:
            self._judge_period(period.id)
        for arrival, times in Counter(self.arrivals).items():
            sent_again = times - 1 - self.kills[arrival]
            assert sent_again <= 0, f"{arrival} has arrived {times} times"
        self._judge_numbers()

    def _judge_period(self, period_id: str) -> None:
        manifest = self.world.manifest_now(period_id)
        assert manifest is not None
        assert manifest.delivery is not None
        location = self.world.location(period_id)
        for channel in manifest.delivery.channels:
            receipts = history_of(location, self.world.store_now, channel).receipts
            has_current = bool(receipts) and receipts[-1].version == manifest.version
            is_told = (channel, period_id, manifest.version) in self.told
            assert has_current or is_told, f"{channel} has not got {manifest.version}: {receipts}"
            self._judge_receipts(receipts, channel)

    def _judge_receipts(self, receipts: Any, channel: str) -> None:
        """Each receipt is of a mail that has arrived."""
        for receipt in receipts:
            arrived = [
                arrival
                for arrival in self.arrivals
                if (arrival.channel, arrival.version, arrival.number)
                == (channel, receipt.version, receipt.number)
            ]
            assert arrived, f"{receipt} is of nothing that has arrived"

    def _judge_numbers(self) -> None:
        """A version is sent once more only where somebody has cleared a task, or it came back."""
        numbers: dict[tuple[str, str], set[tuple[str, int]]] = {}
        for arrival in self.arrivals:
            place = (arrival.channel, arrival.period_id)
            numbers.setdefault(place, set()).add((arrival.version, arrival.number))
        for place, sent in numbers.items():
            versions = {version for version, _ in sent}
            again = len(sent) - len(versions)
            assert again <= self.clears[place], f"{place}: {sent}, cleared {self.clears[place]}"
