"""Every byte that the library reads from S3 or writes to it passes through here.

The client comes from the caller's Airflow connection, so its credentials and its endpoint hold for each call. So do the
environment's settings: the account that must own the buckets (`ExpectedBucketOwner`) and the encryption of what is
written. No ACL is ever sent. Objects are named by their `s3://` address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

    from athena_reports.settings import Encryption

_MULTIPART_BYTES = 64 * 1024 * 1024
_DELETED_AT_ONCE = 1000  # DeleteObjects takes no more
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_CONDITION = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_PERMISSION = (
    "Allow it for the connection's role in IAM and in the bucket's policy and, if ATHENA_REPORTS_BUCKET_OWNER is set, "
    "see that this account owns the bucket."
)
_ADVICE = {
    "NoSuchBucket": "Create the bucket, or name another one in the settings (ATHENA_REPORTS_BUCKET, "
    "ATHENA_REPORTS_QUERY_RESULTS).",
    "AccessDenied": _PERMISSION,
    "403": _PERMISSION,
    "PermanentRedirect": "The bucket is in another region: set the region of the Airflow connection.",
}


class S3Error(AthenaReportsError):
    """S3 refused a call; the message names the object, the reason and what to do.

    Attributes:
        retryable: Whether the same call may succeed later as it is.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class MissingObjectError(S3Error):
    """There is no such object."""


class ConditionError(S3Error):
    """The object is not, or no longer, the one that the call was made for."""


class StoredObject(BaseModel, frozen=True):
    """An object as a listing describes it: address, size, ETag with its quotes, and time of the last write."""

    uri: str
    bytes: int
    etag: str
    modified: datetime


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://` address. A key may hold any character, also `?` and `#`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True)
class S3:
    """S3 as one environment uses it. Every method raises S3Error, or MissingObjectError for an object that is missing.

    Attributes:
        client: A boto3 client of S3.
        owner: Account id that must own each bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
    """

    client: S3Client
    owner: str = ""
    encryption: Encryption | None = None

    def open(self, uri: str) -> StreamingBody:
        """Return an object's body as a stream. The caller closes it."""
        return self._get(uri)["Body"]  # type: ignore[no-any-return]

    def read(self, uri: str) -> tuple[bytes, str]:
        """Return a small object's bytes and its ETag."""
        answer = self._get(uri)
        with _explained(uri, "read"):
            return answer["Body"].read(), answer["ETag"]

    def download(self, uri: str, path: Path) -> None:
        """Copy an object into a file by boto3's transfer manager, which repeats a part that breaks off.

        Raises:
            ConditionError: The object was replaced meanwhile.
            OSError: The file cannot be written.
        """
        from boto3.s3.transfer import TransferConfig

        bucket, key = split_uri(uri)
        # Only a ranged GET is sent with If-Match on the ETag of the HEAD before it: so every GET is one.
        config = TransferConfig(multipart_threshold=1, max_concurrency=4)
        with _explained(uri, "read"):
            self.client.download_file(bucket, key, str(path), ExtraArgs=self._owner, Config=config)

    def upload(self, path: Path, uri: str, content_type: str, *, sha256: str) -> None:
        """Upload a file, in parts if it is large; S3 itself refuses bytes that arrive otherwise than sent.

        Args:
            path: The file.
            uri: Where.
            content_type: Its Content-Type.
            sha256: Its SHA-256 in hexadecimal, kept in the object's metadata.
        """
        from boto3.s3.transfer import TransferConfig

        bucket, key = split_uri(uri)
        extra = {
            "ContentType": content_type,
            "Metadata": {"sha256": sha256},
            "ChecksumAlgorithm": "SHA256",
            **self._owner,
            **self._encrypted,
        }
        config = TransferConfig(multipart_threshold=_MULTIPART_BYTES, max_concurrency=4)
        with _explained(uri, "written"):
            self.client.upload_file(str(path), bucket, key, ExtraArgs=extra, Config=config)

    def write(self, uri: str, body: bytes, content_type: str, *, replacing: str | None) -> None:
        """Write a small object in one conditional PUT.

        Args:
            uri: Where.
            body: What.
            content_type: Its Content-Type.
            replacing: ETag of the object that is replaced; None if there must be none.

        Raises:
            ConditionError: Another object is there, or none.
        """
        condition: dict[str, Any] = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"}
        bucket, key = split_uri(uri)
        extra = {"ContentType": content_type, **condition, **self._owner, **self._encrypted}
        with _explained(uri, "written"):
            self.client.put_object(Bucket=bucket, Key=key, Body=body, **extra)

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        """Yield the objects whose address begins with `prefix_uri`, by key."""
        bucket = split_uri(prefix_uri)[0]
        for page in self._pages(prefix_uri):
            for entry in page.get("Contents", []):
                uri = f"s3://{bucket}/{entry['Key']}"
                yield StoredObject(uri=uri, bytes=entry["Size"], etag=entry["ETag"], modified=entry["LastModified"])

    def folders(self, prefix_uri: str) -> Iterator[str]:
        """Yield the addresses of the folders directly below `prefix_uri`, each with its closing slash."""
        bucket = split_uri(prefix_uri)[0]
        for page in self._pages(prefix_uri, Delimiter="/"):
            for entry in page.get("CommonPrefixes", []):
                yield f"s3://{bucket}/{entry['Prefix']}"

    def delete(self, uris: Sequence[str]) -> None:
        """Delete objects of one bucket; a missing one counts as deleted. After an error some may be deleted."""
        for start in range(0, len(uris), _DELETED_AT_ONCE):
            some = uris[start : start + _DELETED_AT_ONCE]
            bucket = split_uri(some[0])[0]
            keys: list[Any] = [{"Key": split_uri(uri)[1]} for uri in some]
            delete: Any = {"Objects": keys, "Quiet": True}
            with _explained(some[0], "deleted"):
                answer = self.client.delete_objects(Bucket=bucket, Delete=delete, **self._owner)
            for failure in answer.get("Errors", [])[:1]:
                advice = _ADVICE.get(failure.get("Code", ""), "")
                reason = f"{failure.get('Code')}: {failure.get('Message')}"
                raise S3Error(f"s3://{bucket}/{failure.get('Key')} cannot be deleted: {reason}. {advice}".rstrip())

    def _get(self, uri: str) -> dict[str, Any]:
        bucket, key = split_uri(uri)
        with _explained(uri, "read"):
            return dict(self.client.get_object(Bucket=bucket, Key=key, **self._owner))

    def _pages(self, prefix_uri: str, **options: str) -> Iterator[Any]:
        bucket, prefix = split_uri(prefix_uri)
        paginator = self.client.get_paginator("list_objects_v2")
        with _explained(prefix_uri, "listed"):
            yield from paginator.paginate(Bucket=bucket, Prefix=prefix, **options, **self._owner)

    @property
    def _owner(self) -> dict[str, Any]:
        return {"ExpectedBucketOwner": self.owner} if self.owner else {}

    @property
    def _encrypted(self) -> dict[str, Any]:
        return dict(self.encryption.arguments) if self.encryption else {}


@contextmanager
def _explained(uri: str, done: str) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from s3transfer.exceptions import S3DownloadFailedError

    try:
        yield
    except S3DownloadFailedError as error:  # If-Match did not hold
        raise ConditionError(f"{uri} cannot be {done}: it was replaced meanwhile.") from error
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise _s3_error(error, uri, done) from error


def _s3_error(error: Exception, uri: str, done: str) -> S3Error:
    from botocore.exceptions import ClientError

    # boto3 wraps the error of an upload, whose answer says more, and the last one of a download.
    wrapped = error.__context__ if isinstance(error.__context__, ClientError) else error
    cause = getattr(wrapped, "last_exception", wrapped)
    response: Any = cause.response if isinstance(cause, ClientError) else {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = MissingObjectError if code in _ABSENT else ConditionError if code in _CONDITION else S3Error
    message = f"{uri} cannot be {done}: {cause}. {_ADVICE.get(code, '')}".rstrip()
    return kind(message, retryable=not 300 <= status < 500)
