"""Every byte that the library reads from S3 or writes to it passes through here.

The client comes from the caller's Airflow connection, so its credentials and its endpoint hold for each
call. So do the environment's settings: the account that must own the buckets (`ExpectedBucketOwner`) and the
encryption of what is written. No ACL is ever sent. Objects are named by their `s3://` address.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import AthenaReportsError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

    from athena_reports.settings import Encryption

RESUMES = 3
"""How often a read that breaks off is taken up again where it stopped."""

COPY_BYTES = 5 * 1024**3
"""S3 copies no larger object in one call (API reference, CopyObject)."""

_CHUNK = 1024 * 1024
_MULTIPART_BYTES = 64 * 1024 * 1024
_DELETED_AT_ONCE = 1000  # DeleteObjects takes no more
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_CONDITION = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_ADVICE = {
    "NoSuchBucket": "Create the bucket, or name another one in the settings (ATHENA_REPORTS_BUCKET, "
    "ATHENA_REPORTS_QUERY_RESULTS).",
    "AccessDenied": "Allow it for the connection's role in IAM and in the bucket's policy and, if "
    "ATHENA_REPORTS_BUCKET_OWNER is set, see that this account owns the bucket.",
    "403": "Allow it for the connection's role in IAM and in the bucket's policy and, if "
    "ATHENA_REPORTS_BUCKET_OWNER is set, see that this account owns the bucket.",
    "PermanentRedirect": "The bucket lies in another region: set the region of the Airflow connection.",
}


class StorageError(AthenaReportsError):
    """S3 did not do what it was asked to; the message names the object, the reason and what to do.

    Attributes:
        retryable: Whether the same call may succeed later as it is.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class MissingObjectError(StorageError):
    """There is no such object."""


class ConditionError(StorageError):
    """The object is not, or no longer, the one that the call was made for."""


@dataclass(frozen=True)
class StoredObject:
    """What a listing says of an object.

    Attributes:
        uri: Its `s3://` address.
        bytes: Its size.
        etag: Its ETag, as S3 writes it, with quotes.
        modified: When it was written.
    """

    uri: str
    bytes: int
    etag: str
    modified: datetime


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://` address. A key may hold any character, also `?` and `#`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True)
class Storage:
    """S3 as one environment uses it.

    Attributes:
        client: A boto3 client of S3.
        owner: Account id that must own each bucket; empty for any.
        encryption: How what is written is encrypted; None for the bucket's default.
    """

    client: S3Client
    owner: str = ""
    encryption: Encryption | None = None

    def open(self, uri: str, *, etag: str = "") -> ObjectStream:
        """Open an object for reading from its beginning to its end, on condition that it has a given `etag`.

        Raises:
            StorageError: It cannot be read; a MissingObjectError if it is not there.
        """
        return ObjectStream(self, uri, self.get(uri, etag=etag))

    def read(self, uri: str) -> tuple[bytes, str]:
        """Return an object's bytes and its ETag.

        Raises:
            StorageError: It cannot be read; a MissingObjectError if it is not there.
        """
        with self.open(uri) as stream:
            return stream.read(), stream.etag

    def download(self, uri: str, path: Path, *, etag: str = "") -> None:
        """Copy an object into a file, on condition that it has a given `etag`.

        Raises:
            StorageError: It cannot be read.
            OSError: The file cannot be written.
        """
        with self.open(uri, etag=etag) as stream, path.open("wb") as file:
            while chunk := stream.read(_CHUNK):
                file.write(chunk)

    def tail(self, uri: str, size: int) -> tuple[bytes, StoredObject]:
        """Return the last `size` bytes of an object, or all if it has fewer, and what the object is.

        Raises:
            StorageError: It cannot be read, or has no bytes.
        """
        answer = self.get(uri, offset=-size)
        whole = int(answer["ContentRange"].rpartition("/")[2])
        with _explained(uri, "read"):
            return answer["Body"].read(), StoredObject(uri, whole, answer["ETag"], answer["LastModified"])

    def sha256(self, uri: str, *, etag: str) -> str:
        """Return the SHA-256 of an object in hexadecimal, on condition that it has `etag`.

        Raises:
            StorageError: It cannot be read.
        """
        digest = hashlib.sha256()
        with self.open(uri, etag=etag) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def copy(self, source: StoredObject, uri: str, content_type: str) -> str:
        """Let S3 copy an object, of at most `COPY_BYTES`, on condition that it still has its ETag.

        Returns:
            The SHA-256 of its bytes in hexadecimal, which S3 computes; a server that does not is asked for
            the bytes.

        Raises:
            ConditionError: Another object stands at the source.
            StorageError: It cannot be copied.
        """
        bucket, key = split_uri(uri)
        source_bucket, source_key = split_uri(source.uri)
        owner: dict[str, Any] = {"ExpectedSourceBucketOwner": self.owner} if self.owner else {}
        with _explained(f"{source.uri}, to {uri},", "copied"):
            answer = self.client.copy_object(
                Bucket=bucket,
                Key=key,
                CopySource={"Bucket": source_bucket, "Key": source_key},
                CopySourceIfMatch=source.etag,
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",  # copying tags takes a permission of its own
                ContentType=content_type,
                ChecksumAlgorithm="SHA256",
                **owner,
                **self._owner,
                **self._encrypted,
            )
        checksum = answer["CopyObjectResult"].get("ChecksumSHA256")
        return base64.b64decode(checksum).hex() if checksum else self.sha256(source.uri, etag=source.etag)

    def write(self, uri: str, body: bytes, content_type: str, *, replacing: str | None) -> None:
        """Write a small object on one condition.

        Args:
            uri: Where.
            body: What.
            content_type: Its Content-Type.
            replacing: ETag of the object that is replaced; None if there must be none.

        Raises:
            ConditionError: Another object stands there, or none.
            StorageError: It cannot be written.
        """
        condition: dict[str, Any] = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"}
        bucket, key = split_uri(uri)
        with _explained(uri, "written"):
            self.client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                **condition,
                **self._owner,
                **self._encrypted,
            )

    def upload(self, path: Path, uri: str, content_type: str, *, sha256: str) -> None:
        """Upload a file, in parts if it is large; S3 itself refuses bytes that arrive otherwise than sent.

        Args:
            path: The file.
            uri: Where.
            content_type: Its Content-Type.
            sha256: Its SHA-256 in hexadecimal, kept in the object's metadata.

        Raises:
            StorageError: It cannot be written.
        """
        from boto3.exceptions import S3UploadFailedError
        from boto3.s3.transfer import TransferConfig

        bucket, key = split_uri(uri)
        try:
            with _explained(uri, "written"):
                self.client.upload_file(
                    str(path),
                    bucket,
                    key,
                    ExtraArgs={
                        "ContentType": content_type,
                        "Metadata": {"sha256": sha256},
                        "ChecksumAlgorithm": "SHA256",
                        **self._owner,
                        **self._encrypted,
                    },
                    Config=TransferConfig(multipart_threshold=_MULTIPART_BYTES, max_concurrency=4),
                )
        except S3UploadFailedError as error:
            raise storage_error(error.__context__ or error, uri, "written") from error

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        """Yield the objects whose address begins with `prefix_uri`, by key.

        Raises:
            StorageError: The bucket cannot be listed.
        """
        bucket, prefix = split_uri(prefix_uri)
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, **self._owner
        )
        with _explained(prefix_uri, "listed"):
            for page in pages:
                for entry in page.get("Contents", []):
                    yield StoredObject(
                        f"s3://{bucket}/{entry['Key']}", entry["Size"], entry["ETag"], entry["LastModified"]
                    )

    def folders(self, prefix_uri: str) -> Iterator[str]:
        """Yield the addresses of the folders right below `prefix_uri`, each with its closing slash.

        Raises:
            StorageError: The bucket cannot be listed.
        """
        bucket, prefix = split_uri(prefix_uri)
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, Delimiter="/", **self._owner
        )
        with _explained(prefix_uri, "listed"):
            for page in pages:
                for entry in page.get("CommonPrefixes", []):
                    yield f"s3://{bucket}/{entry['Prefix']}"

    def delete(self, uris: Sequence[str]) -> None:
        """Delete objects of one bucket; one that is not there counts as deleted.

        Raises:
            StorageError: One of them cannot be deleted; others may have been.
        """
        for start in range(0, len(uris), _DELETED_AT_ONCE):
            some = uris[start : start + _DELETED_AT_ONCE]
            bucket = split_uri(some[0])[0]
            keys: list[Any] = [{"Key": split_uri(uri)[1]} for uri in some]
            with _explained(some[0], "deleted"):
                answer = self.client.delete_objects(
                    Bucket=bucket, Delete={"Objects": keys, "Quiet": True}, **self._owner
                )
            for failure in answer.get("Errors", [])[:1]:
                raise StorageError(
                    f"s3://{bucket}/{failure.get('Key')} cannot be deleted: {failure.get('Code')}: "
                    f"{failure.get('Message')}. {_ADVICE.get(failure.get('Code', ''), '')}".rstrip()
                )

    def get(self, uri: str, *, offset: int = 0, etag: str = "") -> dict[str, Any]:
        """Return the answer of GetObject, from `offset` on, for the object that has `etag` if one is given.

        A negative offset counts from the object's end.

        Raises:
            StorageError: It cannot be read.
        """
        bucket, key = split_uri(uri)
        wanted: dict[str, Any] = {"IfMatch": etag} if etag else {}
        if offset:
            wanted["Range"] = f"bytes={offset}-" if offset > 0 else f"bytes={offset}"
        with _explained(uri, "read"):
            return dict(self.client.get_object(Bucket=bucket, Key=key, **wanted, **self._owner))

    @property
    def _owner(self) -> dict[str, Any]:
        return {"ExpectedBucketOwner": self.owner} if self.owner else {}

    @property
    def _encrypted(self) -> dict[str, Any]:
        return dict(self.encryption.arguments) if self.encryption else {}


class ObjectStream(io.RawIOBase):
    """An object as a stream of bytes that survives a broken connection, and notices another object.

    A read that breaks off goes on where it stopped, on condition that the object still has its ETag.

    Attributes:
        uri: Its address.
        etag: Its ETag.
        size: Its length in bytes.
    """

    def __init__(self, storage: Storage, uri: str, answer: Mapping[str, Any]) -> None:
        super().__init__()
        self.uri: str = uri
        self.etag: str = answer["ETag"]
        self.size: int = answer["ContentLength"]
        self._storage = storage
        self._body: StreamingBody = answer["Body"]
        self._position = 0
        self._resumes = 0

    def readable(self) -> bool:
        """A stream to read from."""
        return True

    def tell(self) -> int:
        """How many bytes have been read."""
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, or all that are left; fewer only at the end.

        Raises:
            ConditionError: The object was replaced while it was read.
            StorageError: It broke off again and again, or is shorter than S3 had said.
        """
        wanted = self.size - self._position
        if size is not None and size >= 0:
            wanted = min(size, wanted)
        chunks = []
        while wanted:
            chunk = self._read_some(wanted)
            chunks.append(chunk)
            wanted -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._body.close()
        super().close()

    def _read_some(self, wanted: int) -> bytes:
        try:
            chunk = self._body.read(wanted)
        except (BotoCoreError, OSError) as error:
            self._resume(error)
            return b""
        if not chunk:
            self._resume(EOFError(f"it ends after {self._position:,} of {self.size:,} bytes"))
        self._position += len(chunk)
        return bytes(chunk)

    def _resume(self, error: Exception) -> None:
        if self._resumes == RESUMES:
            raise StorageError(
                f"{self.uri} cannot be read: it broke off {RESUMES + 1} times, at last after "
                f"{self._position:,} of {self.size:,} bytes: {error}.",
                retryable=True,
            ) from error
        self._resumes += 1
        self._body.close()
        self._body = self._storage.get(self.uri, offset=self._position, etag=self.etag)["Body"]


@contextmanager
def _explained(uri: str, done: str) -> Iterator[None]:
    """Turn an error of a call into a StorageError."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise storage_error(error, uri, done) from error


def storage_error(error: BaseException, uri: str, done: str) -> StorageError:
    """Return what an error of an S3 call means.

    Args:
        error: The error.
        uri: Address of the object.
        done: What should have been done with it: `read`, `written`, `copied`, `listed`, `deleted`.
    """
    response = error.response if isinstance(error, ClientError) else {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = MissingObjectError if code in _ABSENT else ConditionError if code in _CONDITION else StorageError
    advice = _ADVICE.get(code, "")
    return kind(f"{uri} cannot be {done}: {error}. {advice}".rstrip(), retryable=not 300 <= status < 500)
