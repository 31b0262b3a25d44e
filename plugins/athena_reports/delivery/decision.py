"""Delivery semantics: which version a channel gets, and how often.

An attempt to send a message

1. claims it, by a conditional write of `<number>.claim`: of two attempts, one sends;
2. sends it;
3. writes its receipt, `<number>.json`. If nothing was sent, it removes its claim instead.

**At least once.** A claim without a receipt expires after the task's execution timeout. The next
attempt then sends the message again, with the same number and so the same `Message-ID`.

**Twice** only if the sender dies, or loses its connection, between the sending and the receipt.

A version has another message only if somebody clears the task, or after a partial refusal: a retry
sends it to the recipients that were refused temporarily, and the task names the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from athena_reports.delivery.channels import Channel, SlackChannel
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.delivery.receipt import Claim, History, Receipt
from athena_reports.publication.manifest import Manifest

TIME_TO_SEND = timedelta(minutes=10)
"""The execution timeout of a task that delivers, after which its claim expires."""


@dataclass(frozen=True)
class Send:
    """Send the version.

    Attributes:
        number: Number of the message.
        corrects: The receipt of the version that the channel had before; None if it had none.
        resumed: The receipt of a message that some recipients have; only those that were refused
            temporarily get it now. None for a new message.
        replaces: The expired claim of this message; None for none.
    """

    number: int
    corrects: Receipt | None
    resumed: Receipt | None = None
    replaces: Claim | None = None


@dataclass(frozen=True)
class Wait:
    """Another attempt may be sending the version. `reason` says since when."""

    reason: str


@dataclass(frozen=True)
class Hold:
    """The version is not sent until somebody clears the task. `reason` says why."""

    reason: str


@dataclass(frozen=True)
class Skip:
    """There is nothing to send. `reason` says why."""

    reason: str


Decision = Send | Wait | Hold | Skip


@dataclass(frozen=True)
class Attempt:
    """The task that asks.

    Attributes:
        run_id: Its run.
        clears: How often somebody has cleared the task in this run.
        now: The time.
    """

    run_id: str
    clears: int
    now: datetime

    @property
    def is_cleared(self) -> bool:
        """Whether somebody has cleared the task in this run."""
        return self.clears > 0


def decide(
    channel_name: str,
    manifest: Manifest,
    history: History,
    policy: DeliveryPolicy,
    attempt: Attempt,
) -> Decision:
    """Decide whether a channel gets the current version of a period.

    A clear sends the version again, whatever was sent before and however old the period is.

    Args:
        channel_name: Name of the channel.
        manifest: The manifest of the period.
        history: What the channel got of the period.
        policy: When versions are delivered.
        attempt: The task that asks.
    """
    receipts = history.receipts
    last = receipts[-1] if receipts else None
    corrects = last
    resumed = None
    if last is not None and last.version == manifest.version:
        own = _own_receipt(receipts, manifest.version, attempt)
        if own is not None and own.refused_temporarily:
            resumed = own
        elif own is not None or not attempt.is_cleared:
            since = f"{last.sent_at:%F %T} UTC"
            return Skip(f"{channel_name} has version {manifest.version} since {since}")
        corrects = _receipt_of(last.corrects, receipts)
    elif not attempt.is_cleared:
        refusal = _refusal(channel_name, manifest, last, policy)
        if refusal is not None:
            return refusal
    claim = history.claims.get(manifest.version)
    if claim is None:
        return Send(_next_number(receipts, manifest.version), corrects, resumed)
    expires_at = claim.claimed_at + TIME_TO_SEND
    if attempt.now < expires_at:
        return Wait(
            f"another attempt claimed version {manifest.version} at {claim.claimed_at:%F %T} UTC."
            f" The claim expires at {expires_at:%F %T} UTC"
        )
    return Send(claim.number, corrects, resumed, replaces=claim)


def thread_of(channel: Channel, receipts: Sequence[Receipt], decision: Send) -> str:
    """Return the id of the message that a new one replies to; empty for none.

    It is the channel's first message about the period. The channel can have changed its kind since,
    or its channel in Slack, to which a thread belongs.

    Args:
        channel: The channel.
        receipts: Its receipts in this period, in the order of their sending.
        decision: How the new message is sent.
    """
    for receipt in receipts:
        if receipt.kind != channel.kind or not receipt.message_id:
            continue
        if isinstance(channel, SlackChannel) and receipt.recipients != (channel.channel,):
            continue
        if decision.resumed is not None and receipt.message_id == decision.resumed.message_id:
            return ""  # it is this message
        return receipt.message_id
    return ""


def _own_receipt(receipts: Sequence[Receipt], version: str, attempt: Attempt) -> Receipt | None:
    """Return the last receipt that the task has written since it was cleared last."""
    written = [
        receipt
        for receipt in receipts
        if (receipt.run_id, receipt.clears) == (attempt.run_id, attempt.clears)
    ]
    return _receipt_of(version, written)


def _receipt_of(version: str, receipts: Sequence[Receipt]) -> Receipt | None:
    """Return the last receipt of a version; None if there is none."""
    of_version = [receipt for receipt in receipts if receipt.version == version]
    return of_version[-1] if of_version else None


def _next_number(receipts: Sequence[Receipt], version: str) -> int:
    numbers = [receipt.number for receipt in receipts if receipt.version == version]
    return max(numbers, default=0) + 1


def _refusal(
    channel_name: str,
    manifest: Manifest,
    last: Receipt | None,
    policy: DeliveryPolicy,
) -> Hold | Skip | None:
    """Return why a version is not sent unless the task is cleared; None if it is sent."""
    planned = manifest.delivery
    if planned is None or channel_name not in planned.channels:
        return Skip(f"version {manifest.version} is older than the channel {channel_name}")
    is_correction = last is not None
    if not planned.is_in_time(manifest.published_at, is_correction=is_correction):
        option = "correct_within" if is_correction else "deliver_within"
        return Skip(f"it was published after {option}")
    if policy.when == "final" and manifest.provisional:
        return Skip(f"it is provisional until {manifest.settles_at}")
    if policy.when == "final" and manifest.partial:
        return Skip("partitions of its input are missing")
    warned = [check.name for check in manifest.checks if not check.passed]
    if warned:
        return Hold(f"checks of version {manifest.version} warn: {', '.join(warned)}")
    return None
