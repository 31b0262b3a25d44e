"""S3 and Glue in memory, in so far as the library uses their clients. The names of arguments are boto3's.

S3 has conditional writes and a listing in pages that is no snapshot; Glue has neither conditions nor order.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.simulation.memory_athena import api_error

PAGE = 3  # entries of a listing
Call = Callable[[str, Callable[[], Any]], Any]


@dataclass(frozen=True)
class Stored:
    """An object; its ETag is that of S3 for a single part, so equal bytes have equal ones."""

    body: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass
class MemoryS3:
    """Attributes: what surrounds each call, the objects by key, and every body that a key ever had."""

    call: Call
    objects: dict[str, Stored] = field(default_factory=dict)
    history: dict[str, list[bytes]] = field(default_factory=dict)

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        def get() -> dict[str, Any]:
            if Key not in self.objects:
                raise api_error("NoSuchKey", status=404)
            found = self.objects[Key]
            return {"Body": io.BytesIO(found.body), "ETag": found.etag}

        answer: dict[str, Any] = self.call("GetObject", get)
        return answer

    def put_object(
        self,
        *,
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
        **_: Any,
    ) -> None:
        def put() -> None:
            present = self.objects.get(Key)
            if (IfNoneMatch and present) or (IfMatch and (present is None or present.etag != IfMatch)):
                raise api_error("PreconditionFailed", status=412)
            self.objects[Key] = Stored(Body, datetime.now(UTC))
            self.history.setdefault(Key, []).append(Body)

        self.call(f"PutObject {Key.rpartition('/')[2]}", put)

    def upload_file(self, path: str, _: str, key: str, **__: Any) -> None:
        self.put_object(Key=key, Body=Path(path).read_bytes())

    def download_file(self, _: str, key: str, path: str, **__: Any) -> None:
        Path(path).write_bytes(self.get_object(Key=key)["Body"].read())

    def delete_objects(self, *, Delete: Mapping[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        def delete() -> dict[str, Any]:
            for each in Delete["Objects"]:
                self.objects.pop(each["Key"], None)
            return {}

        answer: dict[str, Any] = self.call("DeleteObjects", delete)
        return answer

    def get_paginator(self, _: str) -> MemoryS3:
        return self

    def paginate(self, *, Prefix: str, Delimiter: str = "", **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        after = ""
        while True:
            page, after = self.call("ListObjectsV2", lambda: self._page(Prefix, Delimiter, after))  # noqa: B023
            yield page
            if not after:
                return

    def _page(self, prefix: str, delimiter: str, after: str) -> tuple[dict[str, Any], str]:
        found: dict[str, dict[str, Any]] = {}
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            folder, slash, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            stored = self.objects[key]
            entry = {"Key": key, "Size": len(stored.body), "LastModified": stored.modified}
            found[f"{prefix}{folder}/" if slash else key] = {} if slash else entry
        names = [name for name in sorted(found) if name > after]
        page = {"CommonPrefixes": [{"Prefix": name} for name in names[:PAGE] if not found[name]]}
        page |= {"Contents": [found[name] for name in names[:PAGE] if found[name]]}
        return page, names[PAGE - 1] if len(names) > PAGE else ""


@dataclass
class MemoryGlue:
    """Attributes: what surrounds each call, the tables by name, and the partitions by table and period id."""

    call: Call
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    partitions: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def get_table(self, *, Name: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        answer: dict[str, Any] = self.call("GetTable", lambda: {"Table": dict(_present(self.tables, Name))})
        return answer

    def create_table(self, *, TableInput: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        def create() -> dict[str, Any]:
            _absent(self.tables, TableInput["Name"])
            self.tables[TableInput["Name"]] = {**TableInput, "VersionId": "0"}
            return {}

        answer: dict[str, Any] = self.call("CreateTable", create)
        return answer

    def update_table(self, **_: Any) -> None:
        raise AssertionError("all versions have the same columns")

    def create_partition(self, **given: Any) -> dict[str, Any]:
        return self._put_partition("CreatePartition", _absent, **given)

    def update_partition(self, **given: Any) -> dict[str, Any]:
        return self._put_partition("UpdatePartition", _present, **given)

    def _put_partition(
        self,
        action: str,
        require: Callable[[Mapping[Any, Any], Any], Any],
        *,
        TableName: str,  # noqa: N803
        PartitionInput: dict[str, Any],  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        def put() -> dict[str, Any]:
            key = (TableName, PartitionInput["Values"][0])
            require(self.partitions, key)
            self.partitions[key] = PartitionInput
            return {}

        answer: dict[str, Any] = self.call(action, put)
        return answer

    def get_paginator(self, name: str) -> _Listing:
        return _Listing(self, name)


@dataclass(frozen=True)
class _Listing:
    glue: MemoryGlue
    name: str

    def paginate(self, *, TableName: str = "", **_: Any) -> _Listing:  # noqa: N803
        return _Listing(self.glue, f"{self.name} {TableName}")

    def build_full_result(self) -> dict[str, Any]:
        operation, _, table = self.name.partition(" ")
        answer: dict[str, Any] = self.glue.call(operation, lambda: self._list(table))
        return answer

    def _list(self, table: str) -> dict[str, Any]:
        if not table:
            return {"TableList": list(self.glue.tables.values())}
        _present(self.glue.tables, table)
        return {"Partitions": [found for (name, _), found in self.glue.partitions.items() if name == table]}


def _present(found: Mapping[Any, Any], key: Any) -> Any:
    if key not in found:
        raise api_error("EntityNotFoundException")
    return found[key]


def _absent(found: Mapping[Any, Any], key: Any) -> None:
    if key in found:
        raise api_error("AlreadyExistsException")
