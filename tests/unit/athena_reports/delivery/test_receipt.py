from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from athena_reports.aws.s3 import S3
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.receipt import (
    History,
    Receipt,
    claim,
    history_of,
    last_versions,
    receipts_of,
)
from athena_reports.publication.location import PeriodLocation
from tests.support.calendars import WEEK
from tests.support.memory_store import MemoryS3
from tests.unit.athena_reports.delivery import contents

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)


def receipt(channel: str, version: str, number: int, minutes: int, **more: Any) -> Receipt:
    sent_at = NOON + timedelta(minutes=minutes)
    named = {"channel": channel, "version": version, "number": number}
    return contents.receipt(**named, sent_at=sent_at, **more)


def write(location: PeriodLocation, store: S3, *receipts: Receipt) -> None:
    for each in receipts:
        each.write(location, store)


@pytest.fixture
def store() -> S3:
    return S3(MemoryS3())  # type: ignore[arg-type]


LOCATION = PeriodLocation.of("reports", "plays", WEEK)
FOLDER = "s3://reports/plays/weekly/2025-06-08/receipts/"


def test_receipts_come_in_the_order_of_their_sending_by_the_clock_of_s3(store: S3) -> None:
    """The clocks of workers can be minutes apart. Those of one second come by these clocks."""
    first = receipt("sales", "ff", 1, 30)
    again = receipt("sales", "ff", 10, 20)
    last = receipt("sales", "aa", 1, 10, refused={"b@example.com": "550 no"})
    other = receipt("sales-2", "ff", 1, 5)
    with time_machine.travel(NOON, tick=False) as clock:
        for group in ((first,), (last, again), (other,)):
            write(LOCATION, store, *group)
            clock.shift(1)
        write(PeriodLocation.of("reports", "plays", WEEK.next), store, receipt("sales", "gg", 1, 0))
    foreign = "plays/weekly/2025-06-08/receipts/readme.txt"
    store.client.put_object(Bucket="reports", Key=foreign, Body=b"x")

    assert receipts_of(LOCATION, store) == [first, last, again, other]
    assert history_of(LOCATION, store, "sales") == History([first, last, again], {})
    assert last_versions(LOCATION, store) == {"sales": "ff", "sales-2": "ff"}
    assert store.exists(f"{FOLDER}ff/sales/1.json")


def test_a_receipt_is_written_once(store: S3) -> None:
    first = receipt("sales", "aa", 1, 0)
    write(LOCATION, store, first, receipt("sales", "aa", 1, 1))
    assert receipts_of(LOCATION, store) == [first]


def test_one_attempt_claims_a_message_and_one_replaces_its_claim(s3: S3Client, bucket: str) -> None:
    location, store = PeriodLocation.of(bucket, "plays", WEEK), S3(s3)

    def claim_it(replacing: str | None) -> str:
        return claim(location, store, version="aa", channel="sales", number=1, replacing=replacing)

    uri = claim_it(None)
    with pytest.raises(DeliveryError, match=r"just claimed version aa; will retry.$") as caught:
        claim_it(None)
    assert caught.value.retryable
    (claimed,) = history_of(location, store, "sales").claims.items()
    assert (claimed[0], claimed[1].number) == ("aa", 1)
    assert history_of(location, store, "team").claims == {}
    assert last_versions(location, store) == {}

    claim_it(claimed[1].etag)
    with pytest.raises(DeliveryError):
        claim_it(claimed[1].etag)
    store.delete([uri])
    assert history_of(location, store, "sales").claims == {}
    claim_it(None)
    sent = receipt("sales", "aa", 1, 0)
    write(location, store, sent)
    assert history_of(location, store, "sales") == History([sent], {})


@pytest.mark.parametrize("body", [b"{}", b"no JSON", b'{"receipt_format": 2}'])
def test_what_is_no_receipt_is_not_taken_for_one(store: S3, body: bytes) -> None:
    """A channel without receipts would get everything again."""
    uri = f"{FOLDER}aa/sales/1.json"
    store.write(uri, body, "application/json", replacing=None)
    with pytest.raises(DeliveryError) as caught:
        receipts_of(LOCATION, store)
    assert str(caught.value).startswith(f"{uri} is not a receipt that this release can read: ")
    assert str(caught.value).endswith(". Move it elsewhere, or install the newer release.")
    assert not caught.value.retryable
