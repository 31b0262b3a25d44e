"""Receipts: one small object in S3 for each time that a channel got a version.

They are beside the manifest, in `receipts/<version>/<channel>/<number>.json` of the period.
"""

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from athena_reports.aws.s3 import S3, StoredObject
from athena_reports.delivery.channels import ChannelKind
from athena_reports.delivery.errors import DeliveryError
from athena_reports.publication.location import PeriodLocation

_KEY = re.compile(r"receipts/(?P<version>[^/]+)/(?P<channel>[^/]+)/(?P<number>\d+)\.json$")


class Receipt(BaseModel, frozen=True):
    """A channel got a version.

    Attributes:
        channel: Name of the channel.
        kind: What it is.
        version: Name of the version.
        number: Counts from 1 in a version and a channel.
        sent_at: When, by the clock of the worker.
        recipients: Addresses of mail, or the channel of Slack; empty for a notifier, and if there
            was nothing to tell.
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
    def put_off(self) -> tuple[str, ...]:
        """The recipients that a server may take later: its answer begins with 4 (RFC 5321)."""
        return tuple(address for address, answer in self.refused.items() if answer.startswith("4"))

    @classmethod
    def read(cls, uri: str, s3: S3) -> tuple[Self, str]:
        """Return the receipt at an address, and its ETag.

        Raises:
            DeliveryError: It is not a receipt, or a newer release wrote it.
            S3Error: S3 refused the call, or did not serve it.
        """
        body, etag = s3.read(uri)
        try:
            return cls.model_validate_json(body), etag
        except ValidationError as error:
            problem = f"{uri} is no receipt of this release: {error.errors()[0]['msg']}."
            raise DeliveryError(f"{problem} Move it away, or install the newer release.") from error

    def uri(self, location: PeriodLocation) -> str:
        """Return its address."""
        folder = f"{location.receipts_uri}{self.version}/{self.channel}/"
        return f"{folder}{self.number}.json"

    def write(self, location: PeriodLocation, s3: S3, *, replacing: str | None = None) -> None:
        """Write it.

        Args:
            location: Where the period is published.
            s3: The client of the report bucket.
            replacing: The ETag of the receipt that it replaces; None if there must be none.

        Raises:
            ConditionError: Another process has written it.
            S3Error: S3 refused the call, or did not serve it.
        """
        body = self.model_dump_json(indent=2).encode()
        s3.write(self.uri(location), body, "application/json", replacing=replacing)


class _Found(NamedTuple):
    """A receipt in a listing."""

    stored: StoredObject
    version: str
    channel: str


def last_versions(location: PeriodLocation, s3: S3) -> dict[str, str]:
    """Return the version that each channel got last, by the name of the channel.

    Args:
        location: Where the period is published.
        s3: The client of the report bucket.

    Raises:
        S3Error: S3 refused a call, or did not serve it.
    """
    return {found.channel: found.version for found in _listed(location, s3)}


def _listed(location: PeriodLocation, s3: S3) -> list[_Found]:
    """Return the receipts of a period in the order of their sending, by S3's clock.

    The clocks of two workers can differ by minutes.
    """
    listed = []
    for stored in s3.list(location.receipts_uri):
        key = _KEY.search(stored.uri)
        if key is not None:
            listed.append(_Found(stored, key["version"], key["channel"]))
    return sorted(listed, key=lambda found: found.stored.modified)


def receipts_of(location: PeriodLocation, s3: S3, *, channel: str = "") -> Sequence[Receipt]:
    """Return the receipts of a period, in the order of their sending.

    Args:
        location: Where the period is published.
        s3: The client of the report bucket.
        channel: Only those of this channel; empty for all.

    Raises:
        DeliveryError: One is not a receipt, or a newer release wrote it.
        S3Error: S3 refused a call, or did not serve it.
    """
    receipts = []
    for found in _listed(location, s3):
        if channel in ("", found.channel):
            receipt, _ = Receipt.read(found.stored.uri, s3)
            receipts.append((found.stored.modified, receipt.sent_at, receipt))
    receipts.sort(key=itemgetter(0, 1))  # S3 dates an object by the second
    return [receipt for _, _, receipt in receipts]
