"""Whether a channel gets the version that is published now: decided from its receipts."""

from collections.abc import Sequence
from dataclasses import dataclass

from athena_reports.delivery.channels import Channel, SlackChannel
from athena_reports.delivery.policy import DeliveryPolicy
from athena_reports.delivery.receipt import Receipt
from athena_reports.publication.manifest import Manifest


@dataclass(frozen=True)
class Send:
    """The version is to be sent.

    Attributes:
        number: The number of its receipt.
        corrects: The receipt of the version that the channel had before; None if it had none.
        resumed: The receipt of this sending, if a server has put off some of the recipients. Only
            these get it now. None if nobody got it yet.
    """

    number: int
    corrects: Receipt | None
    resumed: Receipt | None = None


@dataclass(frozen=True)
class Hold:
    """The version is not sent, and somebody has to look.

    Attributes:
        reason: Why.
    """

    reason: str


@dataclass(frozen=True)
class Skip:
    """The version is not sent, as it should be.

    Attributes:
        reason: Why.
    """

    reason: str


Decision = Send | Hold | Skip


@dataclass(frozen=True)
class Try:
    """The try of a task that asks.

    Attributes:
        run_id: Its run.
        clears: How often the task was cleared in that run.
    """

    run_id: str
    clears: int


def decide(
    channel_name: str,
    manifest: Manifest,
    receipts: Sequence[Receipt],
    policy: DeliveryPolicy,
    asking: Try,
) -> Decision:
    """Decide whether a channel gets the current version of a period.

    A task that somebody has cleared sends once more, whatever was sent before and however old the
    period is: to clear it is how one asks for that. A retry sends nothing twice.

    Args:
        channel_name: Name of the channel.
        manifest: The manifest of the period.
        receipts: The receipts of the channel in this period, in the order of their sending.
        policy: When versions are delivered.
        asking: The try that asks.
    """
    last = receipts[-1] if receipts else None
    was_cleared = asking.clears > 0
    if last is not None and last.version == manifest.version:
        own = _own_receipt(receipts, manifest.version, asking)
        if own is not None and own.put_off:
            return Send(
                number=own.number,
                corrects=_receipt_of(own.corrects, receipts),
                resumed=own,
            )
        if own is not None or not was_cleared:
            since = f"{last.sent_at:%F %T} UTC"
            return Skip(f"{channel_name} has version {manifest.version} since {since}")
        corrects = _receipt_of(last.corrects, receipts)
        return Send(number=_next_number(receipts, manifest.version), corrects=corrects)
    if not was_cleared:
        refusal = _refusal(channel_name, manifest, last, policy)
        if refusal is not None:
            return refusal
    return Send(number=_next_number(receipts, manifest.version), corrects=last)


def thread_of(channel: Channel, receipts: Sequence[Receipt], decision: Send) -> str:
    """Return the id of the message that a new one replies to; empty for none.

    It is the first one of the channel about the period. A channel can have changed its kind since,
    and a thread of Slack is of one channel there.

    Args:
        channel: The channel.
        receipts: Its receipts in this period, in the order of their sending.
        decision: How the new one is sent.
    """
    for receipt in receipts:
        if receipt.kind != channel.kind or not receipt.message_id:
            continue
        if _is_of_another_slack_channel(receipt, channel):
            continue
        if decision.resumed is not None and receipt.message_id == decision.resumed.message_id:
            return ""  # it is this message, sent to the rest
        return receipt.message_id
    return ""


def _is_of_another_slack_channel(receipt: Receipt, channel: Channel) -> bool:
    match channel:
        case SlackChannel(channel=name_in_slack):
            return receipt.recipients != (name_in_slack,)
        case _:
            return False


def _own_receipt(receipts: Sequence[Receipt], version: str, asking: Try) -> Receipt | None:
    """Return the receipt that this try, or an earlier one since the last clear, has written."""
    for receipt in receipts:
        is_of_run = receipt.run_id == asking.run_id
        is_of_clear = receipt.clears == asking.clears
        if is_of_run and is_of_clear and receipt.version == version:
            return receipt
    return None


def _receipt_of(version: str, receipts: Sequence[Receipt]) -> Receipt | None:
    """Return the last receipt of a version; None if there is none."""
    for receipt in reversed(receipts):
        if receipt.version == version:
            return receipt
    return None


def _next_number(receipts: Sequence[Receipt], version: str) -> int:
    numbers = [receipt.number for receipt in receipts if receipt.version == version]
    return max(numbers, default=0) + 1


def _refusal(
    channel_name: str,
    manifest: Manifest,
    last: Receipt | None,
    policy: DeliveryPolicy,
) -> Hold | Skip | None:
    """Return why a version is not sent by itself; None if it is."""
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
        return Hold(f"a check warns of version {manifest.version}: {', '.join(warned)}")
    return None
