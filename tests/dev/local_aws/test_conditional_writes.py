"""Of several writers with one condition exactly one wins (S3 user guide, "Conditional requests")."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from local_aws import LocalAws

RACERS = 16
BUCKET = "races"
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=race/20260101/us-east-1/s3/aws4_request"


class Racer:
    """A writer with a connection of its own, so that nothing but the server decides who comes first."""

    def __init__(self, aws: LocalAws) -> None:
        self._connection = HTTPConnection(urlsplit(aws.endpoint_url).netloc)

    def put(self, key: str, body: str, **headers: str) -> tuple[int, str]:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request("PUT", f"/{BUCKET}/{key}", body, {"Authorization": AUTHORIZATION, **headers})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("ETag", "")


@pytest.fixture(autouse=True)
def threads_that_switch_often() -> Iterator[None]:
    """The server's threads run in this process: switched often, they meet between check and write."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(aws: LocalAws, rounds: int) -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET)
    racers = [Racer(aws) for _ in range(RACERS)]
    start = threading.Barrier(RACERS)
    with ThreadPoolExecutor(RACERS) as threads:
        for number in range(rounds):
            condition = {"If_None_Match": "*"}
            for turn in ("create", "replace"):

                def write(
                    racer: int, key: str = f"{number}", turn: str = turn, held: dict[str, str] = condition
                ) -> tuple[int, str]:
                    start.wait()
                    return racers[racer].put(key, f"{turn} {racer}", **held)

                answers = list(threads.map(write, range(RACERS)))
                statuses = Counter(status for status, _ in answers)
                assert statuses == {200: 1, 412: RACERS - 1}, f"round {number}, {turn}: {statuses}"
                (etag,) = [etag for status, etag in answers if status == 200]
                found = aws.client("s3").head_object(Bucket=BUCKET, Key=f"{number}")["ETag"]
                assert found == etag, f"round {number}, {turn}: the object is not the winner's"
                condition = {"If_Match": etag}


def test_one_of_sixteen_racers_wins_each_round(aws: LocalAws) -> None:
    race(aws, rounds=40)


@pytest.mark.full
def test_one_of_sixteen_racers_wins_each_of_a_thousand_rounds(aws: LocalAws) -> None:
    race(aws, rounds=1_000)
