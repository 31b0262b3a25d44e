"""The result of a query, from its process to S3."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from local_athena.athena.clients import Clients
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.limits import RESULT_BYTES


class Output:
    """The files of one result: first on this machine, where they have no names, then in S3."""

    def __init__(
        self, clients: Clients, region: str, owner: str | None, check_stop: Callable[[], None]
    ) -> None:
        self._clients = clients
        self._region = region
        self._owner = owner
        self._check_stop = check_stop
        self._files: dict[int, BinaryIO] = {}
        self._bytes = 0

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()

    def write(self, number: int, data: bytes) -> None:
        """Take the next bytes of a file."""
        self._bytes += len(data)
        if self._bytes > RESULT_BYTES:
            raise not_supported(f"results of more than {RESULT_BYTES >> 20} MB")
        self._file(number).write(data)

    def read(self, number: int) -> bytes:
        """Return all of a file."""
        file = self._file(number)
        file.seek(0)
        return file.read()

    def put_file(self, location: str, number: int) -> None:
        """Write a file to an `s3://` URL."""
        self._upload(location, self._file(number), self._owner)

    def put(self, location: str, data: bytes) -> None:
        """Write an object to an `s3://` URL."""
        self._upload(location, io.BytesIO(data), self._owner)

    def unload(self, target: str, files: Sequence[tuple[str, int]]) -> list[str]:
        """Write UNLOAD's files below an `s3://` prefix, and return their URLs.

        The expected owner is not that of the target (user guide, "UNLOAD").
        """
        written = []
        for name, number in files:
            self._upload(f"{target}{name}", self._file(number), None)
            written.append(f"{target}{name}")
        return written

    def check_empty(self, target: str) -> None:
        """Require that an `s3://` prefix is empty, else raise HIVE_PATH_ALREADY_EXISTS."""
        bucket, _, prefix = target.removeprefix("s3://").partition("/")
        with _writing(target):
            found = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        if found["KeyCount"]:
            message = f"Target directory {target} already exists. Name an empty prefix."
            raise QueryFailed("HIVE_PATH_ALREADY_EXISTS", message)

    @property
    def _s3(self) -> Any:
        return self._clients.get("s3", self._region)

    def _file(self, number: int) -> BinaryIO:
        if number not in self._files:
            self._files[number] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
        return self._files[number]

    def _upload(self, location: str, file: BinaryIO, owner: str | None) -> None:
        self._check_stop()
        bucket, _, key = location.removeprefix("s3://").partition("/")
        file.seek(0)
        with _writing(location):
            self._s3.upload_fileobj(
                file,
                bucket,
                key,
                ExtraArgs={"ExpectedBucketOwner": owner} if owner is not None else {},
                Callback=lambda _bytes: self._check_stop(),
            )


@contextmanager
def _writing(location: str) -> Iterator[None]:
    """Name what S3 refuses as a query's failure."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        names = {"NoSuchBucket": "RESULT_BUCKET", "AccessDenied": "PERMISSION_DENIED"}
        message = f"cannot write the result to {location}: {error}"
        raise QueryFailed(names.get(code, "RESULT_WRITE"), message) from error
