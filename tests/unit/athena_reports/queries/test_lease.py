"""A query is wanted while its command lives, and for its lifetime after that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_reports.aws.s3 import S3, S3Error
from athena_reports.queries.execution import get_query_execution
from athena_reports.queries.lease import LIFETIME, RENEW_EVERY, Lease, is_expired
from athena_reports.queries.ownership import AuthorMarker
from tests.support.aws_errors import LOST
from tests.support.memory_athena import MemoryAthena, Plan
from tests.support.memory_store import MemoryS3
from tests.support.submissions import AUTHOR, of_author, start
from tests.support.virtual_clock import VirtualClock, virtual_clock
from tests.support.wire import answered, s3_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MINUTES = st.integers(0, 180)


class Command:
    """A command that waits for a query, and the reconciler that looks at it."""

    def __init__(self, clock: VirtualClock, s3: S3, output: str) -> None:
        self.clock, self.s3, self.athena = clock, s3, MemoryAthena(plan=lambda _: Plan.endless())
        submission = of_author(output=output)
        (self.id,) = start(self.athena, submission)
        assert isinstance(submission.marker, AuthorMarker)
        self.marker = submission.marker
        self.lease = Lease(self.marker, self.id, s3)

    def live(self, minutes: int) -> None:
        """Wait for the query, which nobody may stop meanwhile."""
        for _ in range(minutes):
            self.clock.sleep(60)
            self.lease.renew_if_due()
            assert not self.is_expired()

    def is_expired(self) -> bool:
        execution = get_query_execution(self.athena, self.id)  # type: ignore[arg-type]
        return is_expired(self.marker, execution, self.s3)


@settings(max_examples=15)
@given(MINUTES)
def test_a_query_is_wanted_while_its_command_lives_and_not_long_after(minutes: int) -> None:
    in_memory: Any = MemoryS3.holding({})
    with virtual_clock() as clock:
        command = Command(clock, S3(in_memory), "s3://results/")
        command.live(minutes)
        clock.sleep((LIFETIME - RENEW_EVERY).total_seconds() - 60)  # as the command is killed
        assert not command.is_expired()
        clock.sleep((RENEW_EVERY + timedelta(minutes=1)).total_seconds())
        assert command.is_expired()


def test_a_lease_lies_beside_the_results_and_is_removed(
    clock: VirtualClock, s3: S3Client, bucket: str
) -> None:
    def keys() -> list[str]:
        return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    command = Command(clock, S3(s3), f"s3://{bucket}/results/")
    command.live(4)
    assert keys() == []  # a short query needs none
    no_rights: Any = None  # nor the right to remove one
    Lease(command.marker, command.id, S3(no_rights)).remove()
    command.live(60)
    assert keys() == [f"results/leases/{command.id}.json"]
    command.lease.remove()
    assert keys() == []


def test_a_lease_names_its_command_and_is_written_every_few_minutes(
    clock: VirtualClock, s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_object = s3.put_object
    written: list[Any] = []

    def note_write(**request: Any) -> Any:
        written.append(json.loads(request["Body"]))
        return put_object(**request)

    monkeypatch.setattr(s3, "put_object", note_write)
    command = Command(clock, S3(s3), f"s3://{bucket}/")
    command.live(60)
    author = {"author": AUTHOR["author"], "command": "plan"}
    renewals = timedelta(hours=1) // RENEW_EVERY
    assert written == [{"query_execution_id": command.id, **author}] * renewals


@contextmanager
def unanswered_writes(s3: S3Client) -> Iterator[None]:
    """S3 does what it is asked, and the responses are lost."""

    def lose(**_: object) -> None:
        raise LOST

    s3.meta.events.register("after-call.s3.PutObject", lose)
    yield
    s3.meta.events.unregister("after-call.s3.PutObject", lose)


@pytest.mark.parametrize("has_begun", [False, True], ids=["the first", "a later one"])
def test_a_write_that_was_not_answered_neither_ends_the_lease_nor_leaves_it(
    has_begun: bool, clock: VirtualClock, s3: S3Client, bucket: str
) -> None:
    command = Command(clock, S3(s3), f"s3://{bucket}/")
    if has_begun:
        command.live(6)
    clock.sleep(RENEW_EVERY.total_seconds())
    with unanswered_writes(s3), pytest.raises(S3Error):
        command.lease.renew_if_due()
    command.live(60)
    command.lease.remove()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_command_that_ends_after_a_write_that_was_not_answered_leaves_no_lease(
    clock: VirtualClock, s3: S3Client, bucket: str
) -> None:
    command = Command(clock, S3(s3), f"s3://{bucket}/")
    clock.sleep(RENEW_EVERY.total_seconds())
    with unanswered_writes(s3), pytest.raises(S3Error):
        command.lease.renew_if_due()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    command.lease.remove()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("lost", ["the first was not written", "somebody has removed it"])
def test_a_lease_that_is_not_there_is_written_again(
    lost: str, clock: VirtualClock, s3: S3Client, bucket: str
) -> None:
    command = Command(clock, S3(s3), f"s3://{bucket}/")
    if lost == "the first was not written":
        clock.sleep(RENEW_EVERY.total_seconds())
        unavailable = s3_error("InvalidRequest", "not now", 400)
        with answered(s3, "PutObject", unavailable), pytest.raises(S3Error):
            command.lease.renew_if_due()
    else:
        command.live(6)
        s3.delete_object(Bucket=bucket, Key=f"leases/{command.id}.json")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    clock.sleep(RENEW_EVERY.total_seconds())
    command.lease.renew_if_due()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    command.lease.remove()
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_write_that_botocore_sends_twice_is_one(
    clock: VirtualClock, s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response of the first one was lost."""
    put_object = s3.put_object

    def put_twice(**request: Any) -> Any:
        put_object(**request)
        return put_object(**request)

    monkeypatch.setattr(s3, "put_object", put_twice)
    command = Command(clock, S3(s3), f"s3://{bucket}/")
    command.live(60)


def test_without_a_place_for_a_lease_the_marker_stands_alone(
    clock: VirtualClock, s3: S3Client
) -> None:
    """The workgroup manages its results."""
    command = Command(clock, S3(s3), "")
    command.live(29)
    clock.sleep(60)
    command.lease.renew_if_due()
    assert command.is_expired()
    command.lease.remove()


@pytest.mark.parametrize("hours", [-5, 5])
def test_the_clock_of_the_author_does_not_count(s3: S3Client, bucket: str, hours: int) -> None:
    """What counts is when Athena was asked, and when the lease came to S3."""
    with virtual_clock() as clock:
        clock.sleep(3600 * hours)
        submission = of_author(output=f"s3://{bucket}/")
        clock.sleep(-3600 * hours)
        athena = MemoryAthena(plan=lambda _: Plan.endless())
        (id_,) = start(athena, submission)
        assert isinstance(submission.marker, AuthorMarker)
        for minutes, expected in ((29, False), (1, True)):
            clock.sleep(60 * minutes)
            execution = get_query_execution(athena, id_)  # type: ignore[arg-type]
            assert is_expired(submission.marker, execution, S3(s3)) == expected
