"""Glue and S3 as queries see them, read from moto's state in this process.

Athena asks GetPartitions with a filter, and lists the prefix of each partition that is left. Here
all partitions are filtered. moto takes half a millisecond over HTTP for each partition that it
describes and five for each table and each listing, more than most queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from moto.glue.exceptions import EntityNotFoundException
from moto.glue.models import FakePartition, glue_backends
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeDeleteMarker, FakeKey, s3_backends

from local_athena.athena.clients import ACCOUNT
from local_athena.athena.lake import FoundObject, FoundPartition


class Lookups:
    """The `Lake` of one region."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._described: WeakKeyDictionary[FakePartition, FoundPartition] = WeakKeyDictionary()

    def table(self, database: str, name: str) -> Mapping[str, Any] | None:
        """Return the table as Glue describes it; None if there is none."""
        try:
            described: dict[str, Any] = self._glue.get_table(database, name).as_dict()
        except EntityNotFoundException:
            return None
        return described

    def has_database(self, name: str) -> bool:
        """Return whether Glue has a database."""
        return name in self._glue.databases

    def partitions(self, database: str, table: str) -> Sequence[FoundPartition]:
        """Return all registered partitions of a table, in the order of their registration."""
        registered = self._glue.get_partitions(database, table, expression="")
        return [self._partition(partition) for partition in registered]

    def _partition(self, registered: FakePartition) -> FoundPartition:
        """A partition as Glue describes it; an update makes a new object."""
        found = self._described.get(registered)
        if found is None:
            described = registered.as_dict()
            storage = described.get("StorageDescriptor", {})
            columns = tuple((each["Name"], each["Type"]) for each in storage.get("Columns", []))
            values = tuple(described["Values"])
            found = FoundPartition(values, storage.get("Location", ""), columns)
            self._described[registered] = found
        return found

    def objects(self, bucket: str, prefix: str) -> Sequence[FoundObject]:
        """Return the objects under a prefix, by key."""
        held = self._keys(bucket)
        found = []
        # moto's own listing copies all keys with their versions for each prefix.
        for key in sorted(name for name in list(held) if name.startswith(prefix)):
            newest = held.get(key)
            if newest is not None and not isinstance(newest, FakeDeleteMarker):
                found.append(FoundObject(bucket, key, newest.etag, newest.size))
        return found

    def read(self, found: FoundObject, offset: int, length: int) -> bytes:
        """Return a part of an object."""
        newest = self._keys(found.bucket).get(found.key)
        if not isinstance(newest, FakeKey) or newest.etag != found.etag:
            raise LookupError(f"s3://{found.path} has changed since the query began")
        with newest.lock:
            # Its public `value` reads the whole object for each part.
            buffer = newest._value_buffer
            buffer.seek(offset)
            part: bytes = buffer.read(length)
        return part

    def _keys(self, bucket: str) -> Any:
        try:
            return s3_backends[ACCOUNT]["aws"].get_bucket(bucket).keys
        except MissingBucket:
            raise LookupError(f"bucket {bucket} does not exist") from None

    @property
    def _glue(self) -> Any:
        return glue_backends[ACCOUNT][self._region]
