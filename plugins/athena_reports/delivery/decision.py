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
from athena_reports.delivery.errors import DeliveryError
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
class Skip:
    """There is nothing to send. `reason` says why."""

    reason: str


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

    def wrote(self, receipt: Receipt) -> bool:
        """Return whether the task has written a receipt since it was cleared last."""
        return (receipt.run_id, receipt.clears) == (self.run_id, self.clears)


def decide(
    channel_name: str,
    manifest: Manifest,
    history: History,
    policy: DeliveryPolicy,
    attempt: Attempt,
) -> Send | Skip:
    """Decide whether a channel gets the current version of a period.

    A clear sends the version again, whatever was sent before and however old the period is.

    Raises:
        DeliveryError: A person has to look at the version first, or, retryable, another attempt may
            be sending it.
    """
    receipts = history.receipts
    last = receipts[-1] if receipts else None
    of_version = [receipt for receipt in receipts if receipt.version == manifest.version]
    corrects = last
    resumed = None
    if last is not None and last.version == manifest.version:
        own = [receipt for receipt in of_version if attempt.wrote(receipt)]
        if own and own[-1].refused_temporarily:
            resumed = own[-1]
        elif own or not attempt.clears:
            since = f"{last.sent_at:%F %T} UTC"
            return Skip(f"{channel_name} has had version {manifest.version} since {since}")
        corrected = [receipt for receipt in receipts if receipt.version == last.corrects]
        corrects = corrected[-1] if corrected else None
    elif not attempt.clears:
        reason = _reason_to_skip(channel_name, manifest, last, policy)
        if reason:
            return Skip(reason)
        _require_no_warning(manifest)
    claim = history.claims.get(manifest.version)
    if claim is None:
        number = max((receipt.number for receipt in of_version), default=0) + 1
        return Send(number, corrects, resumed)
    expires_at = claim.claimed_at + TIME_TO_SEND
    if attempt.now < expires_at:
        raise DeliveryError(
            f"another attempt claimed version {manifest.version} at {claim.claimed_at:%F %T} UTC."
            f" The claim expires at {expires_at:%F %T} UTC; will retry.",
            retryable=True,
        )
    return Send(claim.number, corrects, resumed, replaces=claim)


def thread_of(channel: Channel, receipts: Sequence[Receipt], decision: Send) -> str:
    """Return the id of the message that a new one replies to; empty for none.

    It is the channel's first message about the period. The channel can have changed its kind since,
    or its channel in Slack, to which a thread belongs.
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


def _reason_to_skip(
    channel_name: str, manifest: Manifest, last: Receipt | None, policy: DeliveryPolicy
) -> str:
    """Return why a version is not sent unless the task is cleared; empty if it is sent."""
    planned = manifest.delivery
    if planned is None or channel_name not in planned.channels:
        return f"version {manifest.version} predates channel {channel_name}"
    is_correction = last is not None
    if not planned.is_in_time(manifest.published_at, is_correction=is_correction):
        option = "correct_within" if is_correction else "deliver_within"
        return f"it was published later than {option} allows"
    if policy.when == "final" and manifest.provisional:
        return f"it is provisional until {manifest.settles_at}"
    if policy.when == "final" and manifest.partial:
        return "input partitions are missing"
    return ""


def _require_no_warning(manifest: Manifest) -> None:
    """Raise DeliveryError if a check warns of a version."""
    warned = [check.name for check in manifest.warnings]
    if warned:
        raise DeliveryError(
            f"not sent: version {manifest.version} has check warnings: {', '.join(warned)}. Review"
            " the rows on the Reports page. If they are correct, clear this task to send them."
        )
