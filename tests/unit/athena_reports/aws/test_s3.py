from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import IncompleteReadError
from botocore.stub import Stubber

from athena_reports.aws import s3 as module
from athena_reports.aws.errors import ErrorKind
from athena_reports.aws.s3 import S3, ConditionError, MissingObjectError, S3Error
from athena_reports.settings import Encryption
from tests.support.wire import CONFLICT, answered, response, s3_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = bytes(range(256)) * 100_000  # downloaded in four parts


@pytest.mark.parametrize("size", [200_000, len(BODY)], ids=["one part", "four parts"])
def test_an_object_that_is_replaced_while_its_download_breaks_off_is_noticed(
    s3: S3Client, new_s3_client: Callable[[], S3Client], bucket: str, tmp_path: Path, size: int
) -> None:
    """tests/services/test_result_sources.py has downloads that break off, once and forever."""
    s3.put_object(Bucket=bucket, Key="rows", Body=BODY[:size])
    client, asked = new_s3_client(), set[str]()
    get_object = client.get_object

    def break_off(**request: Any) -> Any:
        asked.add(request["IfMatch"])
        found = get_object(**request)
        s3.put_object(Bucket=bucket, Key="rows", Body=BODY[:size][::-1])
        return {
            **found,
            "Body": Mock(
                read=Mock(side_effect=[found["Body"].read(100_000), ConnectionResetError()])
            ),
        }

    client.get_object = break_off  # type: ignore[method-assign]
    with pytest.raises(ConditionError, match=f"Could not read s3://{bucket}/rows: another"):
        S3(client).download(f"s3://{bucket}/rows", tmp_path / "rows")
    assert list(tmp_path.iterdir()) == []
    assert len(asked) == 1


def test_a_missing_object_and_a_missing_bucket(s3: S3Client, bucket: str, tmp_path: Path) -> None:
    for call in (S3(s3).read, S3(s3).open, lambda uri: S3(s3).download(uri, tmp_path / "x")):
        with pytest.raises(
            MissingObjectError, match=f"Could not read s3://{bucket}/none: "
        ) as caught:
            call(f"s3://{bucket}/none")
        assert not caught.value.retryable
    with pytest.raises(S3Error, match="Create the bucket, or correct its name") as other:
        S3(s3).read("s3://no-such-bucket-anywhere/none")
    assert not isinstance(other.value, MissingObjectError)


@pytest.mark.parametrize("ends", [True, False], ids=["to its end", "broken off"])
def test_the_body_of_a_small_object_is_closed(
    new_s3_client: Callable[[], S3Client], bucket: str, ends: bool
) -> None:
    client, uri, bodies = new_s3_client(), f"s3://{bucket}/manifest.json", list[Any]()
    S3(client).write(uri, b"1", "application/json", replacing=None)
    get_object = client.get_object

    def watched(**request: Any) -> Any:
        found = get_object(**request)
        read = (
            found["Body"].read
            if ends
            else Mock(side_effect=IncompleteReadError(actual_bytes=0, expected_bytes=1))
        )
        bodies.append(Mock(wraps=found["Body"], read=read))
        return {**found, "Body": bodies[-1]}

    client.get_object = watched  # type: ignore[method-assign]
    with nullcontext() if ends else pytest.raises(S3Error, match=r"manifest\.json: 0 read"):
        S3(client).read(uri)
    (body,) = bodies
    body.close.assert_called_once()


def test_a_small_object_is_written_on_a_condition(s3: S3Client, bucket: str) -> None:
    store, uri = S3(s3), f"s3://{bucket}/manifest.json"
    store.write(uri, b"1", "application/json", replacing=None)
    _, etag = store.read(uri)
    store.write(uri, b"3", "application/json", replacing=etag)
    for old in (None, etag):
        with pytest.raises(ConditionError):
            store.write(uri, b"4", "application/json", replacing=old)
    with store.open(uri) as body:
        assert body.read() == store.read(uri)[0] == b"3"
    assert s3.head_object(Bucket=bucket, Key="manifest.json")["ContentType"] == "application/json"


@pytest.mark.parametrize("size", [0, len(BODY)], ids=["empty", "in parts"])
def test_a_file_arrives_as_it_is(
    s3: S3Client, bucket: str, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MULTIPART_BYTES", 8 * 1024**2)
    path, back = tmp_path / "rows", tmp_path / "back"
    path.write_bytes(BODY[:size])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    store, uri = S3(s3), f"s3://{bucket}/rows"
    store.upload(path, uri, "text/csv", sha256=digest)
    store.download(uri, back)
    assert back.read_bytes() == path.read_bytes()
    head = s3.head_object(Bucket=bucket, Key="rows")
    assert (head["Metadata"], head["ContentType"]) == ({"sha256": digest}, "text/csv")
    (listed,) = store.list(f"s3://{bucket}/ro")
    assert (listed.uri, listed.bytes, listed.modified) == (uri, size, head["LastModified"])
    assert listed.etag == head["ETag"]


@pytest.mark.parametrize("size", [200_000, len(BODY)], ids=["whole", "in parts"])
def test_each_part_of_an_upload_is_sent_with_its_sha_256_by_which_s3_refuses_other_bytes(
    new_s3_client: Callable[[], S3Client],
    bucket: str,
    tmp_path: Path,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part_bytes = 8 * 1024**2  # of boto3's transfer manager
    monkeypatch.setattr(module, "MULTIPART_BYTES", part_bytes)
    path, client, sent = tmp_path / "rows", new_s3_client(), set[str]()
    path.write_bytes(BODY[:size])

    def record(request: Any, **_: Any) -> None:
        if request.method == "PUT":
            sent.add(request.headers["x-amz-checksum-sha256"].decode())

    client.meta.events.register("before-send.s3", record)
    S3(client).upload(path, f"s3://{bucket}/rows", "text/csv", sha256="0")
    parts = [BODY[:size][start : start + part_bytes] for start in range(0, size, part_bytes)]
    assert sent == {base64.b64encode(hashlib.sha256(part).digest()).decode() for part in parts}


def test_an_upload_that_is_tried_leaves_nothing_that_is_billed(s3: S3Client, bucket: str) -> None:
    S3(s3).try_upload(f"s3://{bucket}/results/")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_more_objects_than_one_call_deletes(
    s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DELETED_AT_ONCE", 10)
    store = S3(s3)
    uris = [f"s3://{bucket}/old/{number % 2}/{number:04d}?#é" for number in range(21)]
    for uri in [*uris, f"s3://{bucket}/new"]:
        store.write(uri, b"", "text/plain", replacing=None)
    assert sorted(listed.uri for listed in store.list(f"s3://{bucket}/old/")) == sorted(uris)
    assert list(store.folders(f"s3://{bucket}/old/")) == [
        f"s3://{bucket}/old/0/",
        f"s3://{bucket}/old/1/",
    ]
    store.delete([*uris, f"s3://{bucket}/gone-already"])
    assert [listed.uri for listed in store.list(f"s3://{bucket}/")] == [f"s3://{bucket}/new"]


CALLS: dict[str, Callable[[S3, str, Path], Any]] = {
    "write": lambda store, uri, _: store.write(uri, b"x", "text/plain", replacing=None),
    "upload": lambda store, uri, path: store.upload(path, uri, "text/plain", sha256="0"),
    "upload in parts": lambda store, uri, path: store.upload(path, uri, "text/plain", sha256="0"),
    "try to upload": lambda store, uri, _: store.try_upload(uri),
    "list": lambda store, uri, _: list(store.list(uri)),
    "list folders": lambda store, uri, _: list(store.folders(uri)),
    "look for": lambda store, uri, _: store.exists(uri),
    "delete": lambda store, uri, _: store.delete([uri]),
    "open": lambda store, uri, _: store.open(uri).close(),
    "read": lambda store, uri, _: store.read(uri),
    "download": lambda store, uri, path: store.download(uri, path),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_names_the_owner_and_no_call_an_acl(
    new_s3_client: Callable[[], S3Client],
    bucket: str,
    tmp_path: Path,
    call: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        module, "MULTIPART_BYTES", 1024 if call == "upload in parts" else 10_000_000
    )
    path, uri = tmp_path / "rows", f"s3://{bucket}/key"
    path.write_bytes(b"x" * 9_000_000)
    client, sent = new_s3_client(), []
    if call in ("open", "read", "download"):
        S3(client).write(uri, b"x", "text/plain", replacing=None)

    def record(request: Any, **_: Any) -> None:
        sent.append({name.lower(): str(value) for name, value in request.headers.items()})

    client.meta.events.register("before-send.s3", record)
    CALLS[call](
        S3(client, "123456789012", Encryption(algorithm="aws:kms", kms_key="alias/reports")),
        uri,
        path,
    )
    assert len(sent) > {"upload in parts": 3, "download": 1}.get(call, 0)
    for headers in sent:
        assert headers["x-amz-expected-bucket-owner"].strip("b'") == "123456789012"
        assert not [name for name in headers if name.startswith(("x-amz-acl", "x-amz-grant"))]
    keys = [
        headers[name]
        for headers in sent
        for name in headers
        if name.endswith("encryption-aws-kms-key-id")
    ]
    is_encrypted = call in ("write", "upload", "upload in parts", "try to upload")
    assert [key.strip("b'") for key in keys] == ["alias/reports"] * is_encrypted


@pytest.mark.parametrize("kind", [ErrorKind.DENIED, ErrorKind.WRONG_REGION, ErrorKind.THROTTLED])
@pytest.mark.parametrize(
    ("operation", "call"),
    [("get_object", "read"), ("put_object", "upload"), ("head_object", "download")],
)
def test_an_error_says_what_to_do_and_whether_it_may_pass(
    s3: S3Client, tmp_path: Path, kind: ErrorKind, operation: str, call: str
) -> None:
    """Also one that boto3's transfer manager wraps in its own."""
    path = tmp_path / "rows"
    path.write_bytes(b"x")
    code, *_ = (*kind.codes, "SlowDown")
    with Stubber(s3) as stub:
        stub.add_client_error(operation, code, http_status_code=400)
        with pytest.raises(S3Error, match=rf"^Could not .* s3://bucket/key: .*{code}") as caught:
            CALLS[call](S3(s3), "s3://bucket/key", path)
    assert str(caught.value).endswith(f". {kind.advice}")
    assert caught.value.retryable is kind.retryable


@pytest.mark.parametrize(
    ("code", "retryable"), [("AccessDenied", False), ("SlowDown", True), ("InternalError", True)]
)
@pytest.mark.parametrize("refused", ["old/0", "old/4"])
def test_an_object_that_s3_does_not_delete_is_named_though_the_call_succeeds(
    s3: S3Client,
    bucket: str,
    code: str,
    retryable: bool,
    refused: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DeleteObjects answers 200, and names in the body what it has not deleted."""
    monkeypatch.setattr(module, "_DELETED_AT_ONCE", 3)
    uris = [f"s3://{bucket}/old/{number}" for number in range(5)]
    error = f"<Key>{refused}</Key><Code>{code}</Code><Message>not now</Message>"
    result = response(200, f"<DeleteResult><Error>{error}</Error></DeleteResult>")
    answers = [result]
    if refused == "old/4":  # which is of the second call
        answers = [None, result]

    match = rf"Could not delete s3://{bucket}/{refused}: .*{code}.*: not now\."
    with answered(s3, "DeleteObjects", *answers), pytest.raises(S3Error, match=match) as caught:
        S3(s3).delete(uris)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("replacing", [None, '"an etag"'])
def test_a_write_that_conflicts_with_another_one_is_a_condition_that_does_not_hold(
    s3: S3Client, bucket: str, replacing: str | None
) -> None:
    """S3 does not decide then. The caller reads the object again, and decides anew."""
    uri = f"s3://{bucket}/manifest.json"
    with (
        answered(s3, "PutObject", s3_error(*CONFLICT)) as requests,
        pytest.raises(ConditionError, match="ConditionalRequestConflict"),
    ):
        S3(s3).write(uri, b"x", "application/json", replacing=replacing)
    assert len(requests) == 1, "botocore must not repeat it"


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
@pytest.mark.parametrize("times", [1, 9], ids=["once", "each time"])
def test_an_upload_in_parts_that_fails_at_its_end_is_no_success(
    new_s3_client: Callable[[], S3Client],
    bucket: str,
    tmp_path: Path,
    code: str,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CompleteMultipartUpload sends its status, 200, before it knows how it ends."""
    monkeypatch.setattr(module, "MULTIPART_BYTES", 1024)
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses
    path, client, uri = tmp_path / "rows", new_s3_client(), f"s3://{bucket}/rows"
    path.write_bytes(b"x" * 9_000_000)
    answers = [s3_error(code, "try again", 200) for _ in range(times)]

    with answered(client, "CompleteMultipartUpload", *answers):
        if times == 1:
            S3(client).upload(path, uri, "text/csv", sha256="0")
            assert S3(client).read(uri)[0] == path.read_bytes()
            return
        with pytest.raises(S3Error, match=f"Could not write {uri}: .*{code}") as caught:
            S3(client).upload(path, uri, "text/csv", sha256="0")
    assert caught.value.retryable
    assert list(S3(client).list(uri)) == []


def test_a_listing_goes_on_where_s3_has_truncated_it(
    new_s3_client: Callable[[], S3Client], bucket: str
) -> None:
    client = new_s3_client()
    uris = [f"s3://{bucket}/{number}/rows" for number in range(5)]
    for uri in uris:
        S3(client).write(uri, b"", "text/plain", replacing=None)

    def shorten(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 2  # S3 may give fewer than are asked for

    client.meta.events.register("provide-client-params.s3.ListObjectsV2", shorten)
    assert [item.uri for item in S3(client).list(f"s3://{bucket}/")] == uris
    assert list(S3(client).folders(f"s3://{bucket}/")) == [
        f"s3://{bucket}/{number}/" for number in range(5)
    ]


def test_a_listing_that_breaks_off_in_the_middle_gives_no_part_as_the_whole(
    new_s3_client: Callable[[], S3Client], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses
    client = new_s3_client()
    item = (
        "<Key>1/rows</Key><LastModified>2026-11-15T00:00:00Z</LastModified><Size>1</Size>"
        "<ETag>e</ETag>"
    )
    page = (
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t"
        f"</NextContinuationToken><Contents>{item}</Contents></ListBucketResult>"
    )
    slow_down = [s3_error("SlowDown", "Reduce your request rate.", 503) for _ in range(9)]

    with (
        answered(client, "ListObjectsV2", response(200, page), *slow_down),
        pytest.raises(S3Error, match=r"Could not list .*SlowDown") as caught,
    ):
        list(S3(client).list(f"s3://{bucket}/"))
    assert caught.value.retryable


def test_an_object_exists_if_its_own_key_does(s3: S3Client, bucket: str) -> None:
    for key in ("a/_SUCCESS.crc", "b/_SUCCESS", "b/_SUCCESS/more", "b/_SUCCESS.crc"):
        s3.put_object(Bucket=bucket, Key=key)
    assert [S3(s3).exists(f"s3://{bucket}/{name}/_SUCCESS") for name in "abc"] == [
        False,
        True,
        False,
    ]
    with pytest.raises(S3Error, match=f"Could not check for s3://{bucket}-none/a: .*NoSuchBucket"):
        S3(s3).exists(f"s3://{bucket}-none/a")
