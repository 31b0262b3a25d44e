"""What moto's S3 alone does not do: conditional writes with one winner, owners, no ACLs."""

from __future__ import annotations

import io
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from local_athena.athena.clients import ACCOUNT
from tests.account import Account, refused

RACERS = 16
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=race/20260101/us-east-1/s3/aws4_request"
OTHERS = "210987654321"
OTHER = {"ExpectedBucketOwner": OTHERS}


@pytest.mark.parametrize("rounds", [40, pytest.param(1_000, marks=pytest.mark.full)])
def test_one_of_sixteen_writers_with_one_condition_wins(account: Account, rounds: int) -> None:
    """S3 user guide, "Conditional requests". Threads that switch often meet in check and write."""
    before = sys.getswitchinterval()
    start = threading.Barrier(RACERS)
    # Each has a connection of its own, so that nothing but the server decides who comes first.
    place = urlsplit(account.aws.endpoint_url).netloc
    racers = [HTTPConnection(place) for _ in range(RACERS)]

    def write(number: int, key: str, condition: dict[str, str]) -> tuple[int, str]:
        headers = {"Authorization": AUTHORIZATION, **condition}
        start.wait()
        racers[number].request("PUT", f"/lake/{key}", f"{condition} {number}", headers)
        answer = racers[number].getresponse()
        answer.read()
        return answer.status, answer.getheader("ETag", "")

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(RACERS) as threads:
            for key in map(str, range(rounds)):
                condition = {"If-None-Match": "*"}
                for _ in ("created", "replaced"):
                    given = [range(RACERS), [key] * RACERS, [condition] * RACERS]
                    answers = list(threads.map(write, *given))
                    assert Counter(status for status, _ in answers) == {200: 1, 412: RACERS - 1}
                    (etag,) = [etag for status, etag in answers if status == 200]
                    assert account.s3.head_object(Bucket="lake", Key=key)["ETag"] == etag
                    condition = {"If-Match": etag}
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("put_object", {"Key": "k", "Body": bytes(9 * 1024 * 1024), **OTHER}),
        ("get_object", {"Key": "k", **OTHER}),
        ("head_object", {"Key": "k", **OTHER}),
        ("delete_object", {"Key": "k", **OTHER}),
        ("list_objects_v2", OTHER),
        ("create_multipart_upload", {"Key": "k", **OTHER}),
        ("copy_object", {"Key": "x", "CopySource": "lake/k", "ExpectedSourceBucketOwner": OTHERS}),
    ],
)
def test_a_bucket_must_have_the_expected_owner(
    account: Account, operation: str, parameters: dict[str, Any]
) -> None:
    account.s3.put_object(Bucket="lake", Key="k", Body=b"old", ExpectedBucketOwner=ACCOUNT)
    error = refused(getattr(account.s3, operation), Bucket="lake", **parameters)
    code = "403" if operation == "head_object" else "AccessDenied"
    assert (error["Code"], error["Status"]) == (code, 403)
    assert account.keys("lake") == ["k"]
    assert account.read("s3://lake/k") == b"old"
    large, ours = io.BytesIO(bytes(9 * 1024 * 1024)), {"ExpectedBucketOwner": ACCOUNT}
    account.s3.upload_fileobj(large, "lake", "large", ExtraArgs=ours)
    assert account.s3.list_objects_v2(Bucket="lake", **ours)["KeyCount"] == 2


@pytest.mark.parametrize("acl", [{"ACL": "bucket-owner-full-control"}, {"GrantRead": 'id="x"'}])
def test_no_request_may_carry_an_acl(account: Account, acl: dict[str, str]) -> None:
    key: dict[str, Any] = {"Bucket": "lake", "Key": "k"}
    error = refused(account.s3.put_object, **key, Body=b"x" * 99_999, **acl)
    assert (error["Code"], error["Status"]) == ("AccessControlListNotSupported", 400)
