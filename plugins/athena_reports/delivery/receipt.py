"""Claims and receipts: what S3 holds of the messages that channels got.

They are beside the manifest, in `receipts/<version>/<channel>/` of the period: `<number>.claim`
while a message is sent, and `<number>.json` when it was sent. `delivery/decision.py` says why.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError, StoredObject
from athena_reports.delivery.channels import ChannelKind
from athena_reports.delivery.errors import DeliveryError
from athena_reports.publication.location import PeriodLocation

_KEY = re.compile(
    r"receipts/(?P<version>[^/]+)/(?P<channel>[^/]+)/(?P<number>\d+)\.(?P<suffix>claim|json)$"
)


class Receipt(BaseModel, frozen=True):
    """A message was sent to a channel.

    Attributes:
        channel: Name of the channel.
        kind: What it is.
        version: Name of the version.
        number: Number of the message among those of a version and a channel, from 1.
        sent_at: When, by the clock of the worker.
        recipients: Addresses of mail, or the channel of Slack; empty for a notifier, and if no row
            differs from what the channel has.
        message_id: The Message-ID of a mail, or the `ts` of a message in Slack; empty for none.
        corrects: Name of the version that the channel had before; empty for none.
        run_id: The run of the delivering DAG.
        clears: How often its task had been cleared in that run.
        refused: Recipients that were refused, with the answer of their server.
    """

    receipt_format: Literal[1] = 1
    channel: str
    kind: ChannelKind
    version: str
    number: int = Field(ge=1)
    sent_at: AwareDatetime
    recipients: tuple[str, ...]
    message_id: str
    corrects: str = ""
    run_id: str
    clears: int
    refused: Mapping[str, str] = Field(default_factory=dict)

    @property
    def refused_temporarily(self) -> tuple[str, ...]:
        """Recipients that were refused temporarily: the answer begins with 4 (RFC 5321, 4.2.1)."""
        return tuple(address for address, answer in self.refused.items() if answer.startswith("4"))

    @property
    def refused_permanently(self) -> Mapping[str, str]:
        """The other refused recipients, with the answers."""
        return {
            address: answer
            for address, answer in self.refused.items()
            if address not in self.refused_temporarily
        }

    def write(self, location: PeriodLocation, s3: S3) -> None:
        """Write it."""
        uri = _uri(location, self.version, self.channel, self.number, "json")
        # A request whose response was lost has written it, or an attempt whose claim had expired.
        with suppress(ConditionError):
            body = self.model_dump_json(indent=2).encode()
            s3.write(uri, body, "application/json", replacing=None)


class Claim(NamedTuple):
    """A message that an attempt has begun to send.

    Attributes:
        number: Number of the message.
        claimed_at: When, by S3's clock.
        etag: The ETag of the claim.
    """

    number: int
    claimed_at: datetime
    etag: str


class History(NamedTuple):
    """What a channel got of a period.

    Attributes:
        receipts: Its receipts, in the order of their sending.
        claims: By version, the last claim that has no receipt.
    """

    receipts: Sequence[Receipt]
    claims: Mapping[str, Claim]


class _Listed(NamedTuple):
    """A claim or a receipt in a listing."""

    stored: StoredObject
    version: str
    channel: str
    number: int
    is_receipt: bool


def claim(
    location: PeriodLocation,
    s3: S3,
    *,
    version: str,
    channel: str,
    number: int,
    replacing: str | None,
) -> str:
    """Claim a message before it is sent, and return the address of the claim.

    Args:
        location: Where the period is published.
        s3: The client of the report bucket.
        version: Name of the version.
        channel: Name of the channel.
        number: Number of the message.
        replacing: The ETag of an expired claim that this one replaces; None for none.

    Raises:
        DeliveryError: Another attempt has just claimed it.
        S3Error: S3 refused the call, or did not serve it.
    """
    uri = _uri(location, version, channel, number, "claim")
    claimed_at = datetime.now(UTC).isoformat()  # so that each claim has an ETag of its own
    try:
        s3.write(uri, claimed_at.encode(), "text/plain", replacing=replacing)
    except (ConditionError, MissingObjectError) as error:
        raise DeliveryError(
            f"another attempt has just claimed version {version}; will retry.", retryable=True
        ) from error
    return uri


def history_of(location: PeriodLocation, s3: S3, channel: str) -> History:
    """Return what a channel got of a period, and what attempts have begun to send."""
    listed = [item for item in _listed(location, s3) if item.channel == channel]
    receipts = _receipts(listed, s3)
    sent = {(receipt.version, receipt.number) for receipt in receipts}
    claims = {}
    for item in listed:
        if not item.is_receipt and (item.version, item.number) not in sent:
            claims[item.version] = Claim(item.number, item.stored.modified, item.stored.etag)
    return History(receipts, claims)


def receipts_of(location: PeriodLocation, s3: S3) -> Sequence[Receipt]:
    """Return the receipts of a period, in the order of their sending."""
    return _receipts(_listed(location, s3), s3)


def last_versions(location: PeriodLocation, s3: S3) -> dict[str, str]:
    """Return the version that each channel got last, by the name of the channel."""
    return {item.channel: item.version for item in _listed(location, s3) if item.is_receipt}


def _listed(location: PeriodLocation, s3: S3) -> list[_Listed]:
    """Return claims and receipts by S3's clock: the clocks of two workers can differ by minutes."""
    listed = []
    for stored in s3.list(location.receipts_uri):
        key = _KEY.search(stored.uri)
        if key is not None:
            is_receipt = key["suffix"] == "json"
            number = int(key["number"])
            listed.append(_Listed(stored, key["version"], key["channel"], number, is_receipt))
    return sorted(listed, key=lambda item: item.stored.modified)


def _receipts(listed: Sequence[_Listed], s3: S3) -> Sequence[Receipt]:
    written = [item.stored for item in listed if item.is_receipt]
    receipts = [(stored.modified, _read(stored.uri, s3)) for stored in written]
    # S3 dates an object by the second.
    receipts.sort(key=lambda item: (item[0], item[1].sent_at))
    return [receipt for _, receipt in receipts]


def _read(uri: str, s3: S3) -> Receipt:
    body, _ = s3.read(uri)
    try:
        return Receipt.model_validate_json(body)
    except ValidationError as error:
        raise DeliveryError(
            f"{uri} is not a receipt that this release can read: {error.errors()[0]['msg']}. Move"
            " it elsewhere, or install the newer release."
        ) from error


def _uri(location: PeriodLocation, version: str, channel: str, number: int, suffix: str) -> str:
    return f"{location.receipts_uri}{version}/{channel}/{number}.{suffix}"
