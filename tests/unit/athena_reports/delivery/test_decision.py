"""Delivery semantics, by examples and in worlds of publications, kills, clears and rivals."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports import mail, slack
from athena_reports.delivery.decision import TIME_TO_SEND, Attempt, Send, Skip, decide, thread_of
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.delivery.receipt import Claim, History, Receipt
from athena_reports.publication.manifest import Manifest, PlannedDelivery, Version
from athena_reports.rows.checks import CheckResult
from tests.support.calendars import WEEK
from tests.support.publishing import facts
from tests.unit.athena_reports.delivery import contents

POLICY = DeliveryPolicy(timedelta(days=7), timedelta(days=60), "published")
FINAL = DeliveryPolicy(timedelta(days=7), timedelta(days=60), "final")
END = WEEK.end_utc
WARNING = CheckResult(name="few rows", severity="warn", passed=False, message="1 row")


def manifest(
    version: str = "v1", channels: tuple[str, ...] = ("sales",), *, hours: float = 1, **more: Any
) -> Manifest:
    """A version that is published some hours after the end of the period."""
    more["published_at"] = (END + timedelta(hours=hours)).isoformat()
    rows = Version(version=version, ordered=True, rows=1, columns=(), objects=())
    planned = PlannedDelivery(
        channels=channels,
        until=(END + POLICY.within).isoformat(),
        correct_until=(END + POLICY.correct_within).isoformat(),
    )
    return Manifest.of(rows, facts(delivery=planned if channels else None, **more))


def receipt(
    version: str = "v1",
    number: int = 1,
    *,
    run: str = "r1",
    clears: int = 0,
    hours: float = 1,
    **more: Any,
) -> Receipt:
    of_attempt = {"version": version, "number": number, "run_id": run, "clears": clears}
    sent_at = END + timedelta(hours=hours)
    usual = {"message_id": f"<{version}.{number}>"}
    return contents.receipt(**of_attempt, sent_at=sent_at, **usual | more)


def decided(
    published: Manifest,
    *receipts: Receipt,
    policy: DeliveryPolicy = POLICY,
    run: str = "r1",
    clears: int = 0,
    claim: Claim | None = None,
    now: float = 1,
) -> Any:
    """Decide some hours after the end of the period."""
    claims = {} if claim is None else {published.version: claim}
    attempt = Attempt(run, clears, END + timedelta(hours=now))
    return decide("sales", published, History(receipts, claims), policy, attempt)


def test_a_version_is_sent_once() -> None:
    assert decided(manifest()) == Send(number=1, corrects=None)
    skipped = decided(manifest(), receipt(), run="another event")
    assert skipped == Skip("sales has had version v1 since 2025-06-14 16:00:00 UTC")


def test_a_claim_of_another_attempt_is_waited_for_until_it_expires() -> None:
    claim = Claim(number=2, claimed_at=END + timedelta(hours=1), etag="e")
    timeout = TIME_TO_SEND / timedelta(hours=1)
    with pytest.raises(DeliveryError) as waits:
        decided(manifest(), claim=claim, now=1 + timeout - 0.001)
    assert waits.value.retryable
    assert str(waits.value) == (
        "another attempt claimed version v1 at 2025-06-14 16:00:00 UTC."
        " The claim expires at 2025-06-14 16:10:00 UTC; will retry."
    )
    expected = Send(number=2, corrects=None, replaces=claim)
    assert decided(manifest(), claim=claim, now=1 + timeout) == expected
    # Somebody who clears the task waits too, and a claim of another version is none.
    with pytest.raises(DeliveryError):
        decided(manifest(), claim=claim, clears=1)
    history = History((), {"v0": claim})
    attempt = Attempt("r1", 0, END + timedelta(hours=1))
    assert decide("sales", manifest(), history, POLICY, attempt) == Send(1, None)


def test_a_later_version_corrects_the_one_that_the_channel_had_last() -> None:
    first, second = receipt("v1"), receipt("v2", hours=2)
    assert decided(manifest("v3"), first, second, run="r3") == Send(number=1, corrects=second)
    # An earlier version is the current one again: readers have another one now.
    assert decided(manifest("v1"), first, second, run="r3") == Send(number=2, corrects=second)


def test_a_clear_sends_again_and_a_retry_of_it_does_not() -> None:
    first = receipt()
    again = decided(manifest(), first, clears=2)
    assert again == Send(number=2, corrects=None)
    second = receipt(number=2, clears=2, hours=3)
    assert isinstance(decided(manifest(), first, second, clears=2), Skip)
    # The run of another event is cleared, too.
    third = decided(manifest(), first, second, clears=2, run="r2")
    assert third == Send(number=3, corrects=None)


@pytest.mark.parametrize("policy", [POLICY, FINAL])
def test_a_clear_sends_what_is_not_sent_by_itself(policy: DeliveryPolicy) -> None:
    odd = manifest(channels=(), hours=24 * 800, provisional=True, partial=True, checks=(WARNING,))
    assert isinstance(decided(odd, policy=policy), Skip)
    assert isinstance(decided(odd, policy=policy, clears=1), Send)


@pytest.mark.parametrize(
    ("policy", "published", "sent"),
    [
        (POLICY, manifest(provisional=True), True),
        (POLICY, manifest(partial=True), True),
        (FINAL, manifest(), True),
        (FINAL, manifest(provisional=True), False),
        (FINAL, manifest(partial=True), False),
        (POLICY, manifest(channels=()), False),
        (POLICY, manifest(channels=("another",)), False),
        (POLICY, manifest(channels=("another", "sales")), True),
    ],
)
def test_what_is_sent(policy: DeliveryPolicy, published: Manifest, sent: bool) -> None:
    assert isinstance(decided(published, policy=policy), Send if sent else Skip)


def test_a_version_whose_check_warns_is_held_back() -> None:
    with pytest.raises(DeliveryError) as held:
        decided(manifest(checks=(WARNING,)))
    assert not held.value.retryable
    assert str(held.value) == (
        "not sent: version v1 has check warnings: few rows. Review the rows on the Reports page."
        " If they are correct, clear this task to send them."
    )
    passed = WARNING.model_copy(update={"passed": True})
    assert isinstance(decided(manifest(checks=(passed,))), Send)


@pytest.mark.parametrize(
    ("receipts", "days", "option"),
    [((), 7, "deliver_within"), ((receipt("v0"),), 60, "correct_within")],
    ids=["first", "correction"],
)
def test_old_periods_are_not_sent(receipts: tuple[Receipt, ...], days: int, option: str) -> None:
    in_time = decided(manifest(hours=24 * days), *receipts, run="r2")
    too_late = decided(manifest(hours=24 * days + 0.01), *receipts, run="r2")
    assert isinstance(in_time, Send)
    assert too_late == Skip(f"it was published later than {option} allows")


def test_a_clear_of_a_correction_sends_the_correction_again() -> None:
    first, second = receipt("v1"), receipt("v2", hours=2, corrects="v1")
    again = decided(manifest("v2"), first, second, clears=1)
    assert again == Send(number=2, corrects=first)


def test_a_message_replies_to_the_first_one_of_its_kind() -> None:
    channel, sent = mail("sales", to=["a@example.com"]), Send(number=1, corrects=None)
    told = receipt("v1", kind="notifier", message_id="")
    first, second = receipt("v2", hours=2), receipt("v3", hours=3)
    assert thread_of(channel, [], sent) == ""
    assert thread_of(channel, [told], sent) == ""
    assert thread_of(channel, [told, first, second], sent) == "<v2.1>"
    resumed = Send(number=1, corrects=None, resumed=first)
    assert thread_of(channel, [first], resumed) == ""

    here, there = slack("sales", channel="#here"), slack("sales", channel="#there")
    posted = receipt("v1", kind="slack", recipients=("#here",), message_id="17.1")
    assert thread_of(here, [first, posted], sent) == "17.1"
    assert thread_of(there, [first, posted], sent) == ""
    assert thread_of(channel, [posted, first], sent) == "<v2.1>"


def test_a_retry_sends_only_to_those_that_were_refused_temporarily() -> None:
    refused = {"b@example.com": "451 try later", "c@example.com": "550 no such user"}
    earlier = receipt("v0", hours=0)
    partly = receipt(refused=refused, corrects="v0")
    assert partly.refused_temporarily == ("b@example.com",)
    assert decided(manifest(), earlier, partly) == Send(number=2, corrects=earlier, resumed=partly)
    # Another event, another version, and a permanent refusal resume nothing.
    assert isinstance(decided(manifest(), partly, run="r2"), Skip)
    assert decided(manifest("v2"), partly).resumed is None
    for_good = receipt(number=2, refused={"c@example.com": "550 no such user"})
    assert isinstance(decided(manifest(), partly, for_good), Skip)


# --- worlds


@dataclass
class World:
    """One channel of one period: what arrives, by an S3 and a mail server that lose nothing."""

    current: Manifest = field(default_factory=manifest)
    receipts: list[Receipt] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    arrived: list[tuple[str, int]] = field(default_factory=list)  # version and number
    runs: int = 0
    clears: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    minutes: int = 0

    def publish(self) -> None:
        version = f"v{len(self.clears)}-{self.minutes}"
        self.current = manifest(version)

    def start(self) -> str:
        self.runs += 1
        run = f"r{self.runs}"
        self.clears[run] = 0
        return run

    def attempt(self, run: str, *, killed: str = "", minutes: int = 1) -> None:
        """Let an attempt go on until it is killed `before` or `after` the sending, or ends."""
        self.minutes += minutes
        version = self.current.version
        claim = self.claims.get(version)
        hours = self.minutes / 60
        clears = self.clears[run]
        try:
            decision = decided(
                self.current, *self.receipts, run=run, clears=clears, claim=claim, now=hours
            )
        except DeliveryError:  # another attempt may be sending it
            return
        if not isinstance(decision, Send):
            return
        assert decision.replaces == claim
        claimed_at = END + timedelta(minutes=self.minutes)
        self.claims[version] = Claim(decision.number, claimed_at, "e")
        if killed == "before":
            return
        self.arrived.append((version, decision.number))
        if killed == "after":
            self.kills += 1
            return
        del self.claims[version]
        self.receipts.append(receipt(version, decision.number, run=run, clears=clears, hours=hours))


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.just("")),
    st.tuples(st.just("event"), st.sampled_from(["", "before", "after"])),
    st.tuples(st.just("retry"), st.sampled_from(["", "before", "after"])),
    st.tuples(st.just("clear"), st.sampled_from(["", "before", "after"])),
)


@given(st.lists(st.tuples(STEPS, st.integers(1, 12)), max_size=12))
def test_each_channel_ends_with_the_current_version_and_gets_nothing_twice_unasked(
    steps: list[tuple[tuple[str, str], int]],
) -> None:
    world = World()
    run = world.start()
    asked_again = 0
    for (step, killed), minutes in steps:
        if step == "publish":
            world.publish()
            continue
        if step == "event":
            run = world.start()
        if step == "clear":
            world.clears[run] += 1
            asked_again += 1
        world.attempt(run, killed=killed, minutes=minutes)
    # The event of the last publication, or what stands in for it, when each claim has expired.
    world.attempt(world.start(), minutes=10)

    assert world.receipts[-1].version == world.current.version
    # What arrives twice has one number, so one Message-ID, and a kill between.
    repeated = sum(count - 1 for count in Counter(world.arrived).values())
    assert repeated <= world.kills
    versions = {version for version, _ in world.arrived}
    assert len(set(world.arrived)) <= len(versions) + asked_again
    numbers: dict[str, list[int]] = {}
    for kept in world.receipts:
        numbers.setdefault(kept.version, []).append(kept.number)
    for used in numbers.values():
        assert used == list(range(1, len(used) + 1))
