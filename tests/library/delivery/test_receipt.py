from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports.aws.s3 import S3, ConditionError
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.receipt import Receipt, receipts_of
from athena_reports.publication.location import PeriodLocation
from tests.support.calendars import WEEK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)


def receipt(channel: str, version: str, number: int, minutes: int, **more: Any) -> Receipt:
    return Receipt(
        channel=channel,
        version=version,
        number=number,
        sent_at=NOON + timedelta(minutes=minutes),
        recipients=("a@example.com",),
        message_id="<1@example.com>",
        first_message_id="<1@example.com>",
        run_id="run-1",
        clear=0,
        **more,
    )


def test_receipts_come_in_the_order_of_their_sending(s3: S3Client, bucket: str) -> None:
    location, store = PeriodLocation.of(bucket, "plays", WEEK), S3(s3)
    late = receipt("sales", "aa", 1, 30, refused={"b@example.com": "550 no"})
    early = receipt("sales", "ff", 1, 10)
    again = receipt("sales", "ff", 10, 20)
    other = receipt("sales-2", "ff", 1, 5)
    for written in (late, early, again, other):
        written.write(location, store)
    s3.put_object(Bucket=bucket, Key="plays/weekly/2025-06-08/receipts/readme.txt", Body=b"x")
    receipt("sales", "ff", 1, 0).write(PeriodLocation.of(bucket, "plays", WEEK.next), store)

    assert receipts_of(location, store, channel="sales") == [early, again, late]
    assert receipts_of(location, store) == [other, early, again, late]
    assert early.uri(location) == (
        f"s3://{bucket}/plays/weekly/2025-06-08/receipts/ff/sales/1.json"
    )


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
    with pytest.raises(DeliveryError, match=f"^s3://{bucket}/{key} is no receipt of this release"):
        receipts_of(location, S3(s3))
