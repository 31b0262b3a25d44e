"""Reads and writes objects in S3, named by their `s3://` address.

Every byte that the library reads from S3 or writes to it passes through here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.exceptions import Boto3Error, RetriesExceededError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody
from pydantic import BaseModel
from s3transfer.exceptions import S3DownloadFailedError

from athena_reports.aws.errors import ErrorKind, as_sentence, error_kind
from athena_reports.errors import AthenaReportsError
from athena_reports.settings import Encryption

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MULTIPART_BYTES = 64 * 1024**2  # a larger upload goes in parts
_TRANSFER_THREADS = 4
_DELETED_AT_ONCE = 1000  # DeleteObjects takes no more


class S3Error(AthenaReportsError):
    """S3 refused a call, or did not serve it."""


class MissingObjectError(S3Error):
    """The object does not exist."""


class ConditionError(S3Error):
    """The object is not, or no longer, the one that the call was made for."""


_ERROR_TYPES: Mapping[ErrorKind, type[S3Error]] = {
    ErrorKind.NO_OBJECT: MissingObjectError,
    ErrorKind.CONDITION_FAILED: ConditionError,
}


class StoredObject(BaseModel, frozen=True):
    """An object as a listing describes it."""

    uri: str
    bytes: int
    modified: datetime
    etag: str


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://` address."""
    # Not by `urllib`: a key can have any character, also `?` and `#`.
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True)
class S3:
    """S3 as one environment uses it.

    Every method raises S3Error, and MissingObjectError for a missing object.
    """

    client: "S3Client"
    owner: str = ""  # account id that must own each bucket; empty for any
    encryption: Encryption | None = None  # of what is written; None for the bucket's default

    def open(self, uri: str) -> StreamingBody:
        """Return an object's body as a stream, which the caller closes.

        Reading the stream raises the errors of botocore, not S3Error.
        """
        with _explained("read", uri):
            return self.client.get_object(**self._object(uri))["Body"]

    def read(self, uri: str) -> tuple[bytes, str]:
        """Return a small object's bytes and its ETag."""
        with _explained("read", uri):
            response = self.client.get_object(**self._object(uri))
            # Not `with body`: botocore gives its raw stream there, which does not notice that it is
            # cut off.
            with closing(response["Body"]) as body:
                return body.read(), response["ETag"]

    def exists(self, uri: str) -> bool:
        """Return whether an object exists; it needs s3:ListBucket alone."""
        # HeadObject needs s3:GetObject, and without s3:ListBucket it does not tell a missing object
        # from a denied one.
        bucket, key = split_uri(uri)
        with _explained("check for", uri):
            response = self.client.list_objects_v2(
                Bucket=bucket, Prefix=key, MaxKeys=1, **self._owner
            )
        # An object's own key comes before those that begin with it.
        first = next(iter(response.get("Contents", [])), None)
        return first is not None and first["Key"] == key

    def download(self, uri: str, path: Path) -> None:
        """Copy an object into a file; ConditionError if the object is replaced meanwhile."""
        bucket, key = split_uri(uri)
        # boto3 sends If-Match, with the ETag of the HEAD request before, only in GETs of a range.
        # With a threshold of one byte, every GET is one.
        config = TransferConfig(multipart_threshold=1, max_concurrency=_TRANSFER_THREADS)
        with _explained("read", uri):
            self.client.download_file(bucket, key, str(path), ExtraArgs=self._owner, Config=config)

    def upload(self, path: Path, uri: str, content_type: str, *, sha256: str) -> None:
        """Upload a file; `sha256` is in hexadecimal, for the object's metadata."""
        bucket, key = split_uri(uri)
        # With the checksum S3 itself refuses bytes that arrive otherwise than sent.
        arguments = {
            "Metadata": {"sha256": sha256},
            "ChecksumAlgorithm": "SHA256",
            **self._owner,
            **self._write_arguments(content_type),
        }
        config = TransferConfig(
            multipart_threshold=MULTIPART_BYTES, max_concurrency=_TRANSFER_THREADS
        )
        with _explained("write", uri):
            self.client.upload_file(str(path), bucket, key, ExtraArgs=arguments, Config=config)

    def try_upload(self, prefix_uri: str) -> None:
        """Begin an upload below an address and break it off; S3Error if it is refused."""
        target = self._object(f"{prefix_uri}.athena-reports-check")
        with _explained("write", prefix_uri):
            arguments = self._write_arguments("text/plain")
            upload = self.client.create_multipart_upload(**target, **arguments)
            self.client.abort_multipart_upload(**target, UploadId=upload["UploadId"])

    def write(self, uri: str, body: bytes, content_type: str, *, replacing: str | None) -> str:
        """Write a small object on a condition, and return its ETag.

        `replacing` is the ETag of the object that may be replaced; with None, the object must not
        exist. ConditionError if the condition does not hold.
        """
        condition: Any = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"}
        with _explained("write", uri):
            response = self.client.put_object(
                **self._object(uri),
                **self._write_arguments(content_type),
                **condition,
                Body=body,
            )
            return response["ETag"]

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        """Yield the objects whose address begins with `prefix_uri`, by key."""
        for uri, item in self._listed(prefix_uri, "Contents", "Key"):
            yield StoredObject(
                uri=uri, bytes=item["Size"], modified=item["LastModified"], etag=item["ETag"]
            )

    def folders(self, prefix_uri: str) -> Iterator[str]:
        """Yield the addresses of the folders directly below `prefix_uri`, with a closing slash."""
        for uri, _ in self._listed(prefix_uri, "CommonPrefixes", "Prefix", Delimiter="/"):
            yield uri

    def delete(self, uris: Sequence[str]) -> None:
        """Delete objects of one bucket. After an S3Error, others may be gone."""
        for start in range(0, len(uris), _DELETED_AT_ONCE):
            batch = uris[start : start + _DELETED_AT_ONCE]
            bucket, _ = split_uri(batch[0])
            objects: Any = [{"Key": uri.removeprefix(f"s3://{bucket}/")} for uri in batch]
            with _explained("delete", batch[0]):
                response: Any = self.client.delete_objects(
                    Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, **self._owner
                )
            for failure in response.get("Errors", []):
                with _explained("delete", f"s3://{bucket}/{failure['Key']}"):
                    raise ClientError({"Error": failure}, "DeleteObjects")

    def _listed(
        self, prefix_uri: str, field: str, key_field: str, **options: Any
    ) -> Iterator[tuple[str, Any]]:
        # The address of each item in a field of ListObjectsV2's response, and the item.
        bucket, prefix = split_uri(prefix_uri)
        paginator: Any = self.client.get_paginator("list_objects_v2")
        with _explained("list", prefix_uri):
            pages = paginator.paginate(Bucket=bucket, Prefix=prefix, **options, **self._owner)
            for page in pages:
                for item in page.get(field, []):
                    yield f"s3://{bucket}/{item[key_field]}", item

    def _object(self, uri: str) -> dict[str, Any]:
        bucket, key = split_uri(uri)
        return {"Bucket": bucket, "Key": key, **self._owner}

    @property
    def _owner(self) -> dict[str, Any]:
        return {"ExpectedBucketOwner": self.owner} if self.owner else {}

    def _write_arguments(self, content_type: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {"ContentType": content_type}
        if self.encryption is not None:
            arguments.update(self.encryption.arguments)
        return arguments


@contextmanager
def _explained(action: str, uri: str) -> Iterator[None]:
    try:
        yield
    except S3DownloadFailedError as error:  # If-Match did not hold
        raise ConditionError(f"Could not {action} {uri}: another process replaced it.") from error
    except (ClientError, BotoCoreError, Boto3Error) as error:
        cause = _cause(error)
        kind = error_kind(cause)
        error_type = _ERROR_TYPES.get(kind, S3Error)
        message = f"Could not {action} {uri}: {as_sentence(cause)} {kind.advice}".rstrip()
        raise error_type(message, retryable=kind.retryable) from error


def _cause(error: Exception) -> Exception:
    # boto3's transfer manager wraps the error of S3 or the connection in others.
    if isinstance(error, RetriesExceededError):  # of a download
        wrapper: Any = error  # boto3's types do not have the attribute
        last: Exception = wrapper.last_exception
        return last
    if isinstance(error.__context__, ClientError):  # of an upload, whose response says more
        return error.__context__
    return error
