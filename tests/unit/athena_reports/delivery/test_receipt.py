from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from athena_reports.aws.s3 import S3, ConditionError
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.receipt import Receipt, last_versions, receipts_of
from athena_reports.publication.location import PeriodLocation
from tests.support.calendars import WEEK
from tests.support.memory_store import MemoryS3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)


def receipt(channel: str, version: str, number: int, minutes: int, **more: Any) -> Receipt:
    return Receipt(
        channel=channel,
        kind="mail",
        version=version,
        number=number,
        sent_at=NOON + timedelta(minutes=minutes),
        recipients=("a@example.com",),
        message_id="<1@example.com>",
        run_id="run-1",
        clears=0,
        **more,
    )


def test_receipts_come_in_the_order_of_their_sending_by_the_clock_of_s3() -> None:
    """The clocks of workers can be minutes apart."""
    location = PeriodLocation.of("reports", "plays", WEEK)
    store = S3(MemoryS3())  # type: ignore[arg-type]
    first = receipt("sales", "ff", 1, 30)
    again = receipt("sales", "ff", 10, 20)
    last = receipt("sales", "aa", 1, 10, refused={"b@example.com": "550 no"})
    other = receipt("sales-2", "ff", 1, 5)
    with time_machine.travel(NOON, tick=False) as clock:
        for written in (first, again, other, last):
            written.write(location, store)
            clock.shift(1)
        receipt("sales", "gg", 1, 0).write(PeriodLocation.of("reports", "plays", WEEK.next), store)
    foreign = "plays/weekly/2025-06-08/receipts/readme.txt"
    store.client.put_object(Bucket="reports", Key=foreign, Body=b"x")

    assert receipts_of(location, store, channel="sales") == [first, again, last]
    assert receipts_of(location, store) == [first, again, other, last]
    assert last_versions(location, store) == {"sales": "aa", "sales-2": "ff"}
    assert first.uri(location) == "s3://reports/plays/weekly/2025-06-08/receipts/ff/sales/1.json"


def test_receipts_of_one_second_come_by_the_clock_of_the_workers() -> None:
    location = PeriodLocation.of("reports", "plays", WEEK)
    store = S3(MemoryS3())  # type: ignore[arg-type]
    first, second = receipt("sales", "ff", 1, 10), receipt("sales", "aa", 1, 20)
    with time_machine.travel(NOON, tick=False):
        second.write(location, store)
        first.write(location, store)
    assert receipts_of(location, store) == [first, second]


def test_a_receipt_is_written_once(s3: S3Client, bucket: str) -> None:
    location, store = PeriodLocation.of(bucket, "plays", WEEK), S3(s3)
    first = receipt("sales", "aa", 1, 0)
    first.write(location, store)
    with pytest.raises(ConditionError):
        receipt("sales", "aa", 1, 1).write(location, store)
    kept, etag = Receipt.read(first.uri(location), store)
    assert kept == first

    receipt("sales", "aa", 1, 2).write(location, store, replacing=etag)
    with pytest.raises(ConditionError):
        receipt("sales", "aa", 1, 3).write(location, store, replacing=etag)


@pytest.mark.parametrize("body", [b"{}", b"no JSON", b'{"receipt_format": 2}'])
def test_what_is_no_receipt_is_not_taken_for_one(s3: S3Client, bucket: str, body: bytes) -> None:
    """A channel without receipts would get everything again."""
    location = PeriodLocation.of(bucket, "plays", WEEK)
    key = "plays/weekly/2025-06-08/receipts/aa/sales/1.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    with pytest.raises(DeliveryError) as caught:
        receipts_of(location, S3(s3))
    assert str(caught.value).startswith(f"s3://{bucket}/{key} is no receipt of this release: ")
    assert str(caught.value).endswith(". Move it away, or install the newer release.")
    assert not caught.value.retryable
