"""Who was told of what is kept in S3, whoever else writes there at the same time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.alerts.record import (
    CLAIM_LASTS,
    AlertRecord,
    Claim,
    ClaimResult,
    StoredRecord,
)
from athena_reports.aws.s3 import S3, S3Error
from tests.support.wire import CONFLICT, answered, s3_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START = datetime(2025, 6, 15, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),  # the process
        st.sampled_from(["claims", "tells", "fails", "is killed"]),
        st.integers(0, 90),  # seconds until then
    ),
    max_size=40,
)


@given(STEPS)
def test_no_two_processes_call_a_notifier_at_once_and_nobody_is_told_twice(
    steps: list[tuple[str, str, int]],
) -> None:
    """Held against a model: who is calling since when, and whether a finished call was noted."""
    record = AlertRecord()
    calling: dict[str, datetime] = {}
    was_told = False
    now = START
    for process, step, seconds in steps:
        now += timedelta(seconds=seconds)
        claim = Claim(process=process, at=now)
        alive = {other for other, since in calling.items() if now - since < CLAIM_LASTS}
        if step == "claims" and process not in calling:
            result = record.result_of_claim("SnsNotifier 1", claim)
            if was_told:
                assert result is ClaimResult.TOLD
            elif alive:
                assert result is ClaimResult.CLAIMED_BY_ANOTHER
            else:
                assert result is ClaimResult.CLAIMED
                record = record.with_claim("SnsNotifier 1", claim)
                calling = {process: now}
        elif process in alive and step == "tells":
            record = record.with_told("SnsNotifier 1", now)
            was_told = True
            calling = {}
        elif step == "fails":  # however late
            record = record.after_failed_call("SnsNotifier 1", process)
            calling.pop(process, None)
        # One that is killed does nothing: its claim ends by itself.
        record = AlertRecord.model_validate_json(record.model_dump_json())


def test_what_is_noted_of_a_notifier_leaves_the_others_alone() -> None:
    claim = Claim(process="a", at=START)
    record = AlertRecord().with_claim("Sns 1", claim).with_claim("Smtp 1", claim)
    assert record.claims == {"Sns 1": claim, "Smtp 1": claim}
    assert record.after_failed_call("Smtp 1", "a").claims == {"Sns 1": claim}
    told = record.with_told("Sns 1", START)
    assert (told.told, told.claims) == ({"Sns 1": START}, {"Smtp 1": claim})
    told = told.with_told("Smtp 1", START)
    assert (told.told, told.claims) == ({"Sns 1": START, "Smtp 1": START}, {})


def test_a_process_has_its_claim_though_the_answer_to_it_was_lost() -> None:
    """S3 has written it, and botocore sends it once more: then it is there already."""
    claim = Claim(process="a", at=START)
    record = AlertRecord().with_claim("Sns 1", claim)
    assert record.result_of_claim("Sns 1", claim) is ClaimResult.CLAIMED


Stored = Callable[[], StoredRecord]


@pytest.fixture
def stored(new_s3_client: Callable[[], S3Client], bucket: str) -> Stored:
    """Makes the record of one alert as each process does."""
    return lambda: StoredRecord.of(
        bucket,
        "plays_weekly",
        "scheduled__2025-06-15T00:00:00+00:00/2",
        "failed-0",
        open_s3=lambda: S3(new_s3_client()),
    )


def test_of_processes_that_race_one_may_call(stored: Stored) -> None:
    racers = 8
    start = Barrier(racers)

    def race(record: StoredRecord) -> ClaimResult:
        start.wait()
        return record.claim("SnsNotifier 1")

    with ThreadPoolExecutor(racers) as pool:
        results = Counter(pool.map(race, [stored() for _ in range(racers)]))
    assert results == {ClaimResult.CLAIMED: 1, ClaimResult.CLAIMED_BY_ANOTHER: racers - 1}


def test_what_a_process_has_noted_others_read(stored: Stored, s3: S3Client, bucket: str) -> None:
    first, second = stored(), stored()
    assert not second.was_somebody_told()
    assert first.claim("SnsNotifier 1") is ClaimResult.CLAIMED
    assert first.claim("SmtpNotifier 1") is ClaimResult.CLAIMED
    assert not second.was_somebody_told()  # who wants to tell may be killed before
    first.note_told("SnsNotifier 1")
    first.release("SmtpNotifier 1")

    assert second.claim("SnsNotifier 1") is ClaimResult.TOLD
    assert second.claim("SmtpNotifier 1") is ClaimResult.CLAIMED
    assert second.was_somebody_told()
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    run_id = "scheduled__2025-06-15T00%3A00%3A00%2B00%3A00%2F2"
    assert listed["Key"] == f"_alerts/plays_weekly/{run_id}/failed-0.json"
    body = s3.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read()
    assert list(json.loads(body)["told"]) == ["SnsNotifier 1"]


@pytest.mark.parametrize(
    "answer",
    [
        CONFLICT,
        ("PreconditionFailed", "At least one of the conditions did not hold", 412),
        ("NoSuchKey", "The specified key does not exist.", 404),
    ],
    ids=["conflict", "replaced", "deleted"],
)
def test_a_write_that_conflicts_with_another_one_is_done_again(
    s3: S3Client, bucket: str, answer: tuple[str, str, int]
) -> None:
    """S3 answers 409 while another process writes the record, and 404 if it was deleted meanwhile:
    then nothing is written.
    """
    record = StoredRecord.of(bucket, "plays_weekly", "run-1", "failed-0", open_s3=lambda: S3(s3))
    with answered(s3, "PutObject", s3_error(*answer), None, s3_error(*answer)) as requests:
        assert record.claim("SnsNotifier 1") is ClaimResult.CLAIMED
        record.note_told("SnsNotifier 1")
    assert len(requests) == 4
    assert record.was_somebody_told()


def test_a_record_that_cannot_be_read_is_not_taken_for_one_that_is_not_there(
    s3: S3Client, bucket: str
) -> None:
    record = StoredRecord.of(bucket, "plays_weekly", "run-1", "failed-0", open_s3=lambda: S3(s3))
    denied = s3_error("AccessDenied", "Access Denied", 403)
    with answered(s3, "GetObject", denied, denied), pytest.raises(S3Error, match="AccessDenied"):
        record.claim("SnsNotifier 1")


@pytest.mark.parametrize("call", ["claim", "note_told", "release"])
def test_a_record_that_others_change_all_the_time_is_given_up_and_tried_again_later(
    stored: Stored, s3: S3Client, bucket: str, call: str
) -> None:
    record = StoredRecord.of(bucket, "plays_weekly", "run-1", "failed-0", open_s3=lambda: S3(s3))
    conflicts = [s3_error(*CONFLICT)] * 10
    with answered(s3, "PutObject", *conflicts) as requests, pytest.raises(S3Error) as given_up:
        getattr(record, call)("SnsNotifier 1")
    assert len(requests) == 10
    assert given_up.value.retryable
    assert str(given_up.value).startswith(f"{record.uri} was changed by other processes 10 times.")
    assert not record.was_somebody_told()


def test_the_claim_of_a_process_that_was_killed_ends(stored: Stored) -> None:
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        assert stored().claim("SnsNotifier 1") is ClaimResult.CLAIMED
        clock.shift(CLAIM_LASTS - timedelta(seconds=1))
        assert stored().claim("SnsNotifier 1") is ClaimResult.CLAIMED_BY_ANOTHER
        clock.shift(timedelta(seconds=1))
        assert stored().claim("SnsNotifier 1") is ClaimResult.CLAIMED


def test_a_process_that_ends_after_its_claim_does_not_take_the_claim_of_another(
    stored: Stored,
) -> None:
    slow, second, third = stored(), stored(), stored()
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        assert slow.claim("SnsNotifier 1") is ClaimResult.CLAIMED
        clock.shift(CLAIM_LASTS)
        assert second.claim("SnsNotifier 1") is ClaimResult.CLAIMED
        slow.release("SnsNotifier 1")
        assert third.claim("SnsNotifier 1") is ClaimResult.CLAIMED_BY_ANOTHER
        second.release("SnsNotifier 1")
        assert third.claim("SnsNotifier 1") is ClaimResult.CLAIMED
