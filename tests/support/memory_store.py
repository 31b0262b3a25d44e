"""S3 and Glue in memory, in so far as the library uses their clients.
The names of arguments are boto3's.

S3 has conditional writes and a listing in pages that is no snapshot; Glue has neither conditions
nor order.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from athena_reports.aws.s3 import split_uri
from tests.support.aws_errors import api_error

PAGE = 3  # entries of a listing


def _called(method: Callable[..., Any]) -> Callable[..., Any]:
    """An action of a service, which takes effect within what the world does at a call."""
    action = method.__name__.title().replace("_", "")

    @wraps(method)
    def called(service: MemoryS3 | MemoryGlue, **given: Any) -> Any:
        name = given.get("Key", "").rpartition("/")[2]
        return service.call(f"{action} {name}".rstrip(), partial(method, service, **given))

    return called


@dataclass(frozen=True)
class Stored:
    """An object; its ETag is that of S3 for a single part, so equal bytes have equal ones."""

    body: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


class LocalFiles:
    """The files of this machine, by path."""

    def __getitem__(self, path: Path) -> bytes:
        return path.read_bytes()

    def __setitem__(self, path: Path, body: bytes) -> None:
        path.write_bytes(body)


def _do(name: str, action: Callable[[], Any]) -> Any:
    """Nothing surrounds a call."""
    return action()


@dataclass
class MemoryS3:
    call: Callable[[str, Callable[[], Any]], Any] = _do  # what surrounds each call
    objects: dict[str, Stored] = field(default_factory=dict)  # by bucket and key
    history: dict[str, list[bytes]] = field(default_factory=dict)  # every body of each
    # Those that are uploaded and downloaded.
    files: dict[Path, bytes] | LocalFiles = field(default_factory=LocalFiles)
    writes: int = 0

    @classmethod
    def holding(cls, objects: Mapping[str, bytes]) -> MemoryS3:
        """An S3 with these objects, by `s3://` address."""
        service = cls()
        for uri, body in objects.items():
            bucket, key = split_uri(uri)
            service.put_object(Bucket=bucket, Key=key, Body=body)
        return service

    @_called
    def get_object(self, Bucket: str, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        place = f"{Bucket}/{Key}"
        if place not in self.objects:
            raise api_error("NoSuchKey", status=404)
        stored = self.objects[place]
        if not Range:
            return {"Body": io.BytesIO(stored.body), "ETag": stored.etag}
        first, last = map(int, Range.removeprefix("bytes=").split("-"))
        return {
            "Body": io.BytesIO(stored.body[first : last + 1]),
            "ETag": stored.etag,
            "ContentRange": f"bytes {first}-{last}/{len(stored.body)}",
        }

    @_called
    def put_object(
        self,
        Bucket: str,
        Key: str,
        Body: bytes,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        place = f"{Bucket}/{Key}"
        present = self.objects.get(place)
        if (IfNoneMatch and present) or (IfMatch and (present is None or present.etag != IfMatch)):
            raise api_error("PreconditionFailed", status=412)
        self.writes += 1
        stored = Stored(Body, datetime.now(UTC))
        self.objects[place] = stored
        self.history.setdefault(place, []).append(Body)
        return {"ETag": stored.etag}

    def upload_file(self, path: str, bucket: str, key: str, **_: Any) -> None:
        self.put_object(Bucket=bucket, Key=key, Body=self.files[Path(path)])

    def download_file(self, bucket: str, key: str, path: str, **_: Any) -> None:
        self.files[Path(path)] = self.get_object(Bucket=bucket, Key=key)["Body"].read()

    @_called
    def create_multipart_upload(self, Bucket: str, Key: str, **_: Any) -> dict[str, Any]:
        return {"UploadId": "upload"}

    @_called
    def abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str, **_: Any) -> None:
        """No part was uploaded."""

    @_called
    def delete_objects(self, Bucket: str, Delete: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        for each in Delete["Objects"]:
            self.objects.pop(f"{Bucket}/{each['Key']}", None)
        return {}

    def get_paginator(self, _: str) -> MemoryS3:
        return self

    def paginate(self, **given: Any) -> Iterator[dict[str, Any]]:
        page = {"NextContinuationToken": ""}
        while "NextContinuationToken" in page:
            page = self.list_objects_v2(**given, ContinuationToken=page["NextContinuationToken"])
            yield page

    @_called
    def list_objects_v2(
        self, Bucket: str, Prefix: str, ContinuationToken: str = "", Delimiter: str = "", **_: Any
    ) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        places = sorted(place for place in self.objects if place.startswith(f"{Bucket}/{Prefix}"))
        for place in places:
            key = place.removeprefix(f"{Bucket}/")
            folder, slash, _rest = (
                key.removeprefix(Prefix).partition(Delimiter) if Delimiter else ("", "", "")
            )
            stored = self.objects[place]
            entry = {
                "Key": key,
                "Size": len(stored.body),
                "LastModified": stored.modified,
                "ETag": stored.etag,
            }
            found[f"{Prefix}{folder}/" if slash else key] = {} if slash else entry
        names = [name for name in sorted(found) if name > ContinuationToken]
        page = {"CommonPrefixes": [{"Prefix": name} for name in names[:PAGE] if not found[name]]}
        page |= {"Contents": [found[name] for name in names[:PAGE] if found[name]]}
        return page | ({"NextContinuationToken": names[PAGE - 1]} if len(names) > PAGE else {})


@dataclass
class MemoryGlue:
    call: Callable[[str, Callable[[], Any]], Any]  # what surrounds each call
    on_write: Callable[[str], None]  # is told the period of each partition that is written
    # By database and name, and by period id.
    tables: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    partitions: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    writes: int = 0

    @property
    def exceptions(self) -> SimpleNamespace:
        return SimpleNamespace(EntityNotFoundException=EntityNotFoundError)

    @_called
    def get_table(self, DatabaseName: str, Name: str, **_: Any) -> dict[str, Any]:
        _require((DatabaseName, Name) in self.tables)
        return {"Table": dict(self.tables[DatabaseName, Name])}

    @_called
    def create_table(
        self, DatabaseName: str, TableInput: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        key = (DatabaseName, TableInput["Name"])
        _require_none(key in self.tables)
        self.tables[key] = {**TableInput, "VersionId": "0"}
        return {}

    def update_table(self, **_: Any) -> None:
        raise AssertionError("all versions have the same columns")

    @_called
    def batch_get_partition(
        self, DatabaseName: str, TableName: str, PartitionsToGet: list[dict[str, Any]], **_: Any
    ) -> dict[str, Any]:
        assert 0 < len(PartitionsToGet) <= 1000
        _require((DatabaseName, TableName) in self.tables)
        keys = [(DatabaseName, TableName, *wanted["Values"]) for wanted in PartitionsToGet]
        stored = [self.partitions[key] for key in keys if key in self.partitions]
        return {"Partitions": stored, "UnprocessedKeys": []}

    @_called
    def create_partition(
        self, DatabaseName: str, TableName: str, PartitionInput: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        key = (DatabaseName, TableName, *PartitionInput["Values"])
        _require_none(key in self.partitions)
        self.writes += 1
        self.partitions[key] = PartitionInput
        self.on_write(key[-1])
        return {}

    @_called
    def update_partition(
        self, DatabaseName: str, TableName: str, PartitionInput: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        key = (DatabaseName, TableName, *PartitionInput["Values"])
        _require(key in self.partitions)
        self.writes += 1
        self.partitions[key] = PartitionInput
        self.on_write(key[-1])
        return {}

    def get_paginator(self, name: str) -> Any:
        listed = getattr(self, name)
        return SimpleNamespace(
            paginate=lambda **given: SimpleNamespace(build_full_result=partial(listed, **given))
        )

    @_called
    def get_tables(self, DatabaseName: str, **_: Any) -> dict[str, Any]:
        listed = [table for key, table in self.tables.items() if key[0] == DatabaseName]
        return {"TableList": listed}

    @_called
    def get_partitions(self, DatabaseName: str, TableName: str, **_: Any) -> dict[str, Any]:
        table = (DatabaseName, TableName)
        _require(table in self.tables)
        listed = [partition for key, partition in self.partitions.items() if key[:2] == table]
        return {"Partitions": listed}


class EntityNotFoundError(ClientError):
    """What the client calls EntityNotFoundException."""


def _require(is_there: bool) -> None:
    if not is_there:
        raise EntityNotFoundError(api_error("EntityNotFoundException").response, "AnyOperation")


def _require_none(is_there: bool) -> None:
    if is_there:
        raise api_error("AlreadyExistsException")
