"""Every byte that the library reads from S3 or writes to it passes through here, named by its `s3://` address."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from athena_reports.errors import AthenaReportsError
from athena_reports.settings import Encryption

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

MULTIPART_BYTES = 64 * 1024**2  # a larger upload goes in parts
_DELETED_AT_ONCE = 1000  # DeleteObjects takes no more
_ADVICE = {
    "NoSuchBucket": "Create the bucket, or change ATHENA_REPORTS_BUCKET or ATHENA_REPORTS_QUERY_RESULTS.",
    "PermanentRedirect": "The bucket is in another region: set the region of the Airflow connection.",
    "AccessDenied": "Allow it in IAM and in the bucket's policy, and check ATHENA_REPORTS_BUCKET_OWNER.",
}


class S3Error(AthenaReportsError):
    """S3 refused a call; the message names the object, the reason and what to do."""


class MissingObjectError(S3Error):
    """There is no such object."""


class ConditionError(S3Error):
    """The object is not, or no longer, the one that the call was made for."""


class StoredObject(BaseModel, frozen=True):
    """An object as a listing describes it."""

    uri: str
    bytes: int
    modified: datetime


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://` address. A key may hold any character, also `?` and `#`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True)
class S3:
    """S3 as one environment uses it. Every method raises S3Error, and MissingObjectError for a missing object."""

    client: "S3Client"
    owner: str = ""  # account id that must own each bucket; empty for any
    encryption: Encryption | None = None  # of what is written; None for the bucket's default

    def open(self, uri: str) -> "StreamingBody":
        """Return an object's body as a stream. The caller closes it."""
        with _explained(uri, "read"):
            return self.client.get_object(**self._object(uri))["Body"]

    def read(self, uri: str) -> tuple[bytes, str]:
        """Return a small object's bytes and its ETag."""
        with _explained(uri, "read"):
            answer = self.client.get_object(**self._object(uri))
            # Not `with body`: botocore gives its raw stream there, which does not notice that it is cut off.
            with closing(answer["Body"]) as body:
                return body.read(), answer["ETag"]

    def download(self, uri: str, path: Path) -> None:
        """Copy an object into a file by boto3's transfer manager; ConditionError if it is replaced meanwhile."""
        # Only a ranged GET is sent with If-Match on the ETag of the HEAD before it: so every GET is one.
        with _explained(uri, "read"):
            self.client.download_file(*split_uri(uri), str(path), ExtraArgs=self._owner, Config=_transfer(1))

    def upload(self, path: Path, uri: str, content_type: str, *, sha256: str) -> None:
        """Upload a file, in parts if it is large, with its SHA-256 in hexadecimal in the object's metadata."""
        # With the checksum S3 itself refuses bytes that arrive otherwise than sent.
        extra: dict[str, Any] = {"Metadata": {"sha256": sha256}, "ChecksumAlgorithm": "SHA256"}
        extra |= self._owner | self._written(content_type)
        with _explained(uri, "written"):
            self.client.upload_file(str(path), *split_uri(uri), ExtraArgs=extra, Config=_transfer(MULTIPART_BYTES))

    def try_upload(self, prefix_uri: str) -> None:
        """Begin an upload below an address and break it off; S3Error if it is refused."""
        where = self._object(f"{prefix_uri}.athena-reports-check")
        with _explained(prefix_uri, "written"):
            begun = self.client.create_multipart_upload(**where, **self._written("text/plain"))
            self.client.abort_multipart_upload(**where, UploadId=begun["UploadId"])

    def write(self, uri: str, body: bytes, content_type: str, *, replacing: str | None) -> None:
        """Write a small object if the one there has the ETag `replacing`, or if there is none; else ConditionError."""
        condition: Any = {"IfMatch": replacing} if replacing else {"IfNoneMatch": "*"}
        with _explained(uri, "written"):
            self.client.put_object(**self._object(uri), **self._written(content_type), **condition, Body=body)

    def list(self, prefix_uri: str) -> Iterator[StoredObject]:
        """Yield the objects whose address begins with `prefix_uri`, by key."""
        for uri, each in self._listed(prefix_uri, "Contents", "Key"):
            yield StoredObject(uri=uri, bytes=each["Size"], modified=each["LastModified"])

    def folders(self, prefix_uri: str) -> Iterator[str]:
        """Return the addresses of the folders directly below `prefix_uri`, each with its closing slash."""
        return (uri for uri, _ in self._listed(prefix_uri, "CommonPrefixes", "Prefix", Delimiter="/"))

    def delete(self, uris: Sequence[str]) -> None:
        """Delete objects of one bucket; a missing one counts as deleted. After an error some may be gone."""
        for start in range(0, len(uris), _DELETED_AT_ONCE):
            some = uris[start : start + _DELETED_AT_ONCE]
            bucket = split_uri(some[0])[0]
            delete: Any = {"Objects": [{"Key": split_uri(uri)[1]} for uri in some], "Quiet": True}
            with _explained(some[0], "deleted"):
                answer = self.client.delete_objects(Bucket=bucket, Delete=delete, **self._owner)
            for failure in answer.get("Errors", []):
                reason = f"{failure['Code']}: {failure.get('Message')}. {_ADVICE.get(failure['Code'], '')}"
                raise S3Error(f"s3://{bucket}/{failure['Key']} cannot be deleted: {reason}")

    def _listed(self, prefix_uri: str, kind: str, name: str, **options: Any) -> Iterator[tuple[str, Any]]:
        bucket, prefix = split_uri(prefix_uri)
        pages: Any = self.client.get_paginator("list_objects_v2")
        with _explained(prefix_uri, "listed"):
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, **options, **self._owner):
                yield from ((f"s3://{bucket}/{each[name]}", each) for each in page.get(kind, []))

    def _object(self, uri: str) -> dict[str, Any]:
        bucket, key = split_uri(uri)
        return {"Bucket": bucket, "Key": key, **self._owner}

    @property
    def _owner(self) -> dict[str, Any]:
        return {"ExpectedBucketOwner": self.owner} if self.owner else {}

    def _written(self, content_type: str) -> dict[str, Any]:
        return {"ContentType": content_type} | (self.encryption.arguments if self.encryption else {})


def _transfer(multipart_threshold: int) -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=multipart_threshold, max_concurrency=4)


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
        # boto3 wraps the error of an upload, whose answer says more, and the last one of a download.
        wrapped = error.__context__ if isinstance(error.__context__, ClientError) else error
        cause = getattr(wrapped, "last_exception", wrapped)
        response: Any = cause.response if isinstance(cause, ClientError) else {}
        code = str(response.get("Error", {}).get("Code", "")).replace("403", "AccessDenied")  # of a HEAD
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        missing, conflict = ("NoSuchKey", "404"), ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
        kind = MissingObjectError if code in missing else ConditionError if code in conflict else S3Error
        message = f"{uri} cannot be {done}: {cause}. {_ADVICE.get(code, '')}".rstrip()
        raise kind(message, retryable=not 300 <= status < 500) from error
