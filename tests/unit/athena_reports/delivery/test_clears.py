"""How a task learns that it was cleared: from what its earlier tries have noted in S3."""

from __future__ import annotations

from typing import Any

import pytest

from athena_reports.aws.s3 import S3
from athena_reports.delivery.clears import note_try
from athena_reports.delivery.errors import DeliveryError
from athena_reports.publication.location import PeriodLocation
from tests.support.calendars import WEEK
from tests.support.memory_store import MemoryS3

LOCATION = PeriodLocation.of("reports", "plays", WEEK)


@pytest.fixture
def store() -> S3:
    return S3(MemoryS3())  # type: ignore[arg-type]


def tried(store: S3, try_number: int, max_tries: int, **other: Any) -> int:
    task = {"channel": "sales", "run_id": "event-1", **other}
    return note_try(LOCATION, store, try_number=try_number, max_tries=max_tries, **task)


def test_a_retry_is_no_clear_and_each_clear_is_counted_once(store: S3) -> None:
    """Airflow sets `max_tries` at a clear to the tries so far and the retries of then."""
    tries = [(1, 12), (2, 12), (3, 15), (4, 15), (5, 17), (6, 17)]
    assert [tried(store, *each) for each in tries] == [0, 0, 1, 1, 2, 2]


def test_the_first_try_of_a_run_is_never_cleared(store: S3) -> None:
    """A run that was deleted and created again has the id of the first one."""
    tried(store, 1, 12)
    assert tried(store, 2, 13) == 1
    assert tried(store, 1, 5) == 0
    assert tried(store, 2, 5) == 0


def test_a_try_after_others_that_noted_nothing_is_no_clear(store: S3) -> None:
    assert tried(store, 4, 15) == 0
    assert tried(store, 5, 16) == 1


def test_another_channel_and_another_run_are_other_tasks(store: S3) -> None:
    tried(store, 1, 12)
    tried(store, 2, 13)
    assert tried(store, 2, 14, channel="team") == 0
    assert tried(store, 2, 14, run_id="manual/1") == 0
    assert tried(store, 3, 13) == 1
    written = [stored.uri for stored in store.list("s3://reports/plays/weekly/2025-06-08/")]
    folder = "s3://reports/plays/weekly/2025-06-08/tries"
    assert written == [
        f"{folder}/sales/event-1.json",
        f"{folder}/sales/manual%2F1.json",
        f"{folder}/team/event-1.json",
    ]


def test_a_note_of_another_release_is_refused(store: S3) -> None:
    key = "plays/weekly/2025-06-08/tries/sales/event-1.json"
    store.client.put_object(Bucket="reports", Key=key, Body=b'{"tries_format": 2}')
    with pytest.raises(DeliveryError, match=r"event-1.json was not written by this release. Del"):
        tried(store, 2, 12)
