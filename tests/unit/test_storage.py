from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_reports import storage as module
from athena_reports.settings import Encryption
from athena_reports.storage import (
    RESUMES,
    ConditionError,
    MissingObjectError,
    Storage,
    StorageError,
    split_uri,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = bytes(range(256)) * 400


@pytest.fixture
def uri(s3: S3Client, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="a/b.csv", Body=BODY)
    return f"s3://{bucket}/a/b.csv"


class Breaking:
    """A client of S3 whose answers break off after some bytes, again and again.

    Attributes:
        ranges: What was asked for, in order.
    """

    def __init__(self, s3: S3Client, after: list[int], error: Exception | None = None) -> None:
        self._s3 = s3
        self._after = after
        self._error = error
        self.ranges: list[str | None] = []

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.ranges.append(request.get("Range"))
        answer: dict[str, Any] = dict(self._s3.get_object(**request))
        if self._after:
            answer["Body"] = BreakingBody(answer["Body"].read(), self._after.pop(0), self._error)
        return answer


class BreakingBody:
    def __init__(self, body: bytes, after: int, error: Exception | None) -> None:
        self._rest = body[:after]
        self._error = error

    def read(self, size: int) -> bytes:
        if not self._rest and self._error is not None:
            raise self._error
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk

    def close(self) -> None:
        """Nothing to let go of."""


ERRORS = [
    ResponseStreamingError(error="reset"),
    ReadTimeoutError(endpoint_url="http://s3"),
    ConnectionResetError("reset"),
    None,  # it just ends
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    after=st.lists(st.integers(0, len(BODY)), max_size=RESUMES),
    sizes=st.lists(st.integers(1, 40_000), min_size=1),
)
def test_a_read_that_breaks_off_goes_on_where_it_stopped(
    s3: S3Client, uri: str, error: Exception | None, after: list[int], sizes: list[int]
) -> None:
    storage = Storage(Breaking(s3, list(after), error))  # type: ignore[arg-type]  # as much of a client as it takes
    with storage.open(uri) as stream:
        found = [stream.read(size) for size in sizes]
        rest = stream.read()

    assert b"".join(found) + rest == BODY
    assert all(
        len(chunk) == size for chunk, size in zip(found[:-1], sizes, strict=False) if rest or found[-1]
    )


def test_a_read_that_always_breaks_off_is_an_error_that_may_pass(s3: S3Client, uri: str) -> None:
    broken = Breaking(s3, [1000] * (RESUMES + 1), ConnectionResetError("reset"))

    with pytest.raises(
        StorageError, match=rf"{uri} cannot be read: it broke off 4 times.*4,000 of 102,400"
    ) as caught:
        Storage(broken).read(uri)  # type: ignore[arg-type]
    assert caught.value.retryable
    assert broken.ranges == [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]


def test_an_object_that_is_replaced_while_it_is_read_is_noticed(s3: S3Client, bucket: str, uri: str) -> None:
    storage = Storage(Breaking(s3, [1000], ConnectionResetError("reset")))  # type: ignore[arg-type]
    with storage.open(uri) as stream:
        assert stream.read(1000) == BODY[:1000]
        s3.put_object(Bucket=bucket, Key="a/b.csv", Body=BODY[::-1])
        with pytest.raises(ConditionError, match="cannot be read"):
            stream.read()


def test_a_missing_object_and_a_missing_bucket(s3: S3Client, bucket: str) -> None:
    storage = Storage(s3)
    with pytest.raises(MissingObjectError, match=rf"s3://{bucket}/none cannot be read") as caught:
        storage.read(f"s3://{bucket}/none")
    assert not caught.value.retryable
    with pytest.raises(
        StorageError, match=r"Create the bucket, or name another one in the settings"
    ) as other:
        storage.read("s3://no-such-bucket-anywhere/none")
    assert not isinstance(other.value, MissingObjectError)


def test_a_small_object_is_written_on_a_condition(s3: S3Client, bucket: str) -> None:
    storage, uri = Storage(s3), f"s3://{bucket}/manifest.json"
    storage.write(uri, b"1", "application/json", replacing=None)
    with pytest.raises(ConditionError):
        storage.write(uri, b"2", "application/json", replacing=None)
    _, etag = storage.read(uri)
    storage.write(uri, b"3", "application/json", replacing=etag)
    with pytest.raises(ConditionError):
        storage.write(uri, b"4", "application/json", replacing=etag)

    assert storage.read(uri)[0] == b"3"
    assert s3.head_object(Bucket=bucket, Key="manifest.json")["ContentType"] == "application/json"


@pytest.mark.parametrize("size", [0, 10, 65 * 1024 * 1024], ids=["empty", "small", "in parts"])
def test_a_file_arrives_as_it_is(s3: S3Client, bucket: str, tmp_path: Path, size: int) -> None:
    path, back = tmp_path / "rows", tmp_path / "back"
    path.write_bytes((BODY * (size // len(BODY) + 1))[:size])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    storage, uri = Storage(s3), f"s3://{bucket}/rows"
    for _ in range(2):  # a second upload is nothing new
        storage.upload(path, uri, "text/csv", sha256=digest)
    storage.download(uri, back)

    assert back.read_bytes() == path.read_bytes()
    head = s3.head_object(Bucket=bucket, Key="rows")
    assert (head["Metadata"], head["ContentType"]) == ({"sha256": digest}, "text/csv")
    (listed,) = storage.list(f"s3://{bucket}/ro")
    assert (listed.uri, listed.bytes, listed.etag) == (uri, size, head["ETag"])


@pytest.mark.parametrize("computed", [True, False], ids=["by S3", "here"])
def test_a_copy_is_the_object_with_its_checksum(
    s3: S3Client, bucket: str, computed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, uri = Storage(s3), f"s3://{bucket}/copies/é?#"
    s3.put_object(Bucket=bucket, Key="of athena/é?#+", Body=BODY, Metadata={"of": "athena"}, Tagging="a=b")
    (source,) = storage.list(f"s3://{bucket}/of athena/")
    expected = hashlib.sha256(BODY)
    copy_object = s3.copy_object

    def answer(**request: Any) -> Any:
        assert request["ChecksumAlgorithm"] == "SHA256"
        found = copy_object(**request)
        found["CopyObjectResult"].pop("ChecksumSHA256", None)
        if computed:  # as S3 does, but not every server
            found["CopyObjectResult"]["ChecksumSHA256"] = base64.b64encode(expected.digest()).decode()
        return found

    monkeypatch.setattr(s3, "copy_object", answer)
    monkeypatch.setattr(Storage, "open", Storage.open if not computed else None)

    assert storage.copy(source, uri, "text/csv") == expected.hexdigest()
    head = s3.get_object(Bucket=bucket, Key="copies/é?#")
    assert (head["Body"].read(), head["ContentType"], head["Metadata"]) == (BODY, "text/csv", {})
    assert s3.get_object_tagging(Bucket=bucket, Key="copies/é?#")["TagSet"] == []


def test_an_object_that_was_replaced_is_not_copied(
    s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_object = s3.copy_object

    def conditional(**request: Any) -> Any:  # as S3's is; moto does not look at the condition
        if s3.head_object(**request["CopySource"])["ETag"] != request["CopySourceIfMatch"]:
            answer: Any = {"Error": {"Code": "PreconditionFailed"}}
            raise ClientError(answer, "CopyObject")
        return copy_object(**request)

    monkeypatch.setattr(s3, "copy_object", conditional)
    storage = Storage(s3)
    s3.put_object(Bucket=bucket, Key="one", Body=b"1")
    (source,) = storage.list(f"s3://{bucket}/one")
    s3.put_object(Bucket=bucket, Key="one", Body=b"2")

    with pytest.raises(ConditionError, match=f"{source.uri}, to s3://{bucket}/two, cannot be copied"):
        storage.copy(source, f"s3://{bucket}/two", "text/plain")
    assert not list(storage.list(f"s3://{bucket}/two"))


def test_a_copy_of_what_is_gone_says_so(s3: S3Client, bucket: str) -> None:
    storage = Storage(s3)
    s3.put_object(Bucket=bucket, Key="one", Body=b"1")
    (source,) = storage.list(f"s3://{bucket}/one")
    s3.delete_object(Bucket=bucket, Key="one")

    with pytest.raises(MissingObjectError, match=source.uri):
        storage.copy(source, f"s3://{bucket}/two", "text/plain")


@pytest.mark.parametrize("size", [1, 5, 500])
def test_the_tail_of_an_object(s3: S3Client, bucket: str, size: int) -> None:
    head = s3.put_object(Bucket=bucket, Key="one", Body=b"0123456789")
    end, stored = Storage(s3).tail(f"s3://{bucket}/one", size)

    assert end == b"0123456789"[-size:]
    assert (stored.bytes, stored.etag) == (10, head["ETag"])


def test_more_objects_than_one_call_deletes(
    s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DELETED_AT_ONCE", 10)
    storage = Storage(s3)
    uris = [f"s3://{bucket}/old/{number:04d}?#é" for number in range(21)]
    for uri in uris:
        storage.write(uri, b"", "text/plain", replacing=None)
    storage.write(f"s3://{bucket}/new", b"", "text/plain", replacing=None)

    assert [listed.uri for listed in storage.list(f"s3://{bucket}/old/")] == uris
    storage.delete([*uris, f"s3://{bucket}/gone-already"])
    assert [listed.uri for listed in storage.list(f"s3://{bucket}/")] == [f"s3://{bucket}/new"]


def test_a_key_may_hold_what_separates_in_other_addresses() -> None:
    assert split_uri("s3://bucket/a b/c?d#e%20/f") == ("bucket", "a b/c?d#e%20/f")


@pytest.fixture
def recorded(s3_endpoint: str) -> Iterator[tuple[S3Client, list[tuple[str, dict[str, str]]]]]:
    """A client, and the headers of what it has sent."""
    client = boto3.client("s3", endpoint_url=s3_endpoint, config=Config(retries={"max_attempts": 1}))
    sent: list[tuple[str, dict[str, str]]] = []

    def record(request: Any, **_: Any) -> None:
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        sent.append((request.method, headers))

    client.meta.events.register("before-send.s3", record)
    yield client, sent
    client.close()


@pytest.mark.parametrize("call", ["write", "upload", "upload in parts", "list", "delete", "read"])
def test_every_call_names_the_owner_and_no_call_an_acl(
    recorded: tuple[S3Client, list[tuple[str, dict[str, str]]]], bucket: str, tmp_path: Path, call: str
) -> None:
    client, sent = recorded
    path = tmp_path / "rows"
    path.write_bytes(b"x" * 65 * 1024 * 1024 if call == "upload in parts" else b"x")
    uri = f"s3://{bucket}/key"
    if call == "read":
        Storage(client).write(uri, b"x", "text/plain", replacing=None)
        sent.clear()
    storage = Storage(client, "123456789012", Encryption("aws:kms", "alias/reports"))
    if call == "write":
        storage.write(uri, b"x", "text/plain", replacing=None)
    elif call.startswith("upload"):
        storage.upload(path, uri, "text/plain", sha256="0")
    elif call == "list":
        assert not list(storage.list(uri))
    elif call == "delete":
        storage.delete([uri])
    else:
        storage.read(uri)

    assert len(sent) > (5 if call == "upload in parts" else 0)
    for method, headers in sent:
        assert headers["x-amz-expected-bucket-owner"].strip("b'") == "123456789012", method
        assert not [name for name in headers if name.startswith(("x-amz-acl", "x-amz-grant"))]
    encrypted = [headers for _, headers in sent if "x-amz-server-side-encryption" in headers]
    assert len(encrypted) == (1 if call.startswith(("write", "upload")) else 0)
    for headers in encrypted:
        assert "alias/reports" in headers["x-amz-server-side-encryption-aws-kms-key-id"]


@pytest.mark.parametrize(
    ("code", "status", "retryable", "advice"),
    [
        ("AccessDenied", 403, False, "Allow it for the connection's role"),
        ("PermanentRedirect", 301, False, "another region"),
        ("SlowDown", 503, True, ""),
        ("InternalError", 500, True, ""),
    ],
)
def test_an_error_says_what_to_do_and_whether_it_may_pass(
    s3_endpoint: str, code: str, status: int, retryable: bool, advice: str
) -> None:
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    with Stubber(client) as stub:
        stub.add_client_error("get_object", code, http_status_code=status)
        with pytest.raises(StorageError, match=f"{code}.*{advice}") as caught:
            Storage(client).read("s3://bucket/key")
    assert caught.value.retryable is retryable
