"""Whether a channel gets the version that is published now: decided from its receipts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from athena_reports.delivery.receipt import Receipt
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import Manifest


@dataclass(frozen=True)
class DeliveryPolicy:
    """When versions are delivered.

    Attributes:
        within: How long after the end of a period a channel gets its first version.
        correct_within: How long after the end of a period a channel that has a version gets a
            later one.
        when: `published` for each version, or `final` only for those that are neither provisional
            nor partial.
    """

    within: timedelta
    correct_within: timedelta
    when: Literal["published", "final"]

    @property
    def longest(self) -> timedelta:
        """How long after the end of a period something may be delivered."""
        return max(self.within, self.correct_within)


@dataclass(frozen=True)
class Send:
    """The version is to be sent.

    Attributes:
        number: The number of its receipt.
        corrects: The receipt of the version that the channel had before; None if it had none.
        first: The first receipt of the channel in this period; None if there is none.
        resumed: The receipt of this sending, if a server has put off some of the recipients. Only
            these get it now. None if nobody got it yet.
    """

    number: int
    corrects: Receipt | None
    first: Receipt | None
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
        clear: Which clear of the task it belongs to; 0 if the task was not cleared.
        now: The time.
    """

    run_id: str
    clear: int
    now: datetime


def decide(
    channel: str,
    manifest: Manifest,
    period: Period,
    receipts: Sequence[Receipt],
    policy: DeliveryPolicy,
    asking: Try,
) -> Decision:
    """Decide whether a channel gets the current version of a period.

    A task that somebody has cleared sends once more, whatever was sent before and however old the
    period is: to clear it is how one asks for that. A retry sends nothing twice.

    Args:
        channel: Name of the channel.
        manifest: The manifest of the period.
        period: The period.
        receipts: The receipts of the channel in this period, in the order of their sending.
        policy: When versions are delivered.
        asking: The try that asks.
    """
    last = receipts[-1] if receipts else None
    first = receipts[0] if receipts else None
    was_cleared = asking.clear > 0
    if last is not None and last.version == manifest.version:
        own = _own_receipt(receipts, manifest.version, asking)
        if own is not None and own.put_off:
            return Send(
                number=own.number,
                corrects=_receipt_of(own.corrects, receipts),
                first=None if first == own else first,
                resumed=own,
            )
        if own is not None or not was_cleared:
            return Skip(f"{channel} has version {manifest.version} since {last.sent_at:%F %T} UTC")
        return Send(number=_next_number(receipts, manifest.version), corrects=None, first=first)
    if not was_cleared:
        refusal = _refusal(channel, manifest, period, last, policy, asking.now)
        if refusal is not None:
            return refusal
    return Send(number=_next_number(receipts, manifest.version), corrects=last, first=first)


def _own_receipt(receipts: Sequence[Receipt], version: str, asking: Try) -> Receipt | None:
    """Return the receipt that this try, or an earlier one since the last clear, has written."""
    for receipt in receipts:
        is_own = (receipt.run_id, receipt.clear) == (asking.run_id, asking.clear)
        if is_own and receipt.version == version:
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
    channel: str,
    manifest: Manifest,
    period: Period,
    last: Receipt | None,
    policy: DeliveryPolicy,
    now: datetime,
) -> Hold | Skip | None:
    """Return why a version is not sent by itself; None if it is."""
    planned = manifest.delivery
    if planned is None or channel not in planned.channels:
        return Skip(f"version {manifest.version} is older than the channel {channel}")
    allowed = policy.within if last is None else policy.correct_within
    if now > period.end_utc + allowed:
        return Skip(f"the period ended more than {allowed} ago")
    if policy.when == "final" and manifest.provisional:
        return Skip(f"it is provisional until {manifest.settles_at}")
    if policy.when == "final" and manifest.partial:
        return Skip("partitions of its input are missing")
    warned = [check.name for check in manifest.checks if not check.passed]
    if warned:
        return Hold(f"a check warns of version {manifest.version}: {', '.join(warned)}")
    return None
