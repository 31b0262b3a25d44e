"""What a query asks of Glue and S3: a few questions, each about what is there now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class FoundPartition(NamedTuple):
    """A partition that Glue has registered.

    Attributes:
        location: The `s3://` prefix of its files.
        columns: Names and Glue's types of its own columns, as far as Glue knows any.
    """

    values: tuple[str, ...]
    location: str
    columns: tuple[tuple[str, str], ...]


class FoundObject(NamedTuple):
    """An object in S3.

    Attributes:
        etag: Its ETag, in quotes.
    """

    bucket: str
    key: str
    etag: str
    size: int

    @property
    def path(self) -> str:
        """Bucket and key."""
        return f"{self.bucket}/{self.key}"


class Lake(Protocol):
    """Glue and S3 in one region."""

    def table(self, database: str, name: str) -> Mapping[str, Any] | None:
        """The table as Glue describes it (`Table` in its service model); None if there is none."""

    def has_database(self, name: str) -> bool:
        """Return whether Glue has a database."""

    def partitions(self, database: str, table: str) -> Sequence[FoundPartition]:
        """Return all registered partitions of a table, in the order of their registration."""

    def objects(self, bucket: str, prefix: str) -> Sequence[FoundObject]:
        """Return the objects under a prefix, by key."""

    def read(self, found: FoundObject, offset: int, length: int) -> bytes:
        """Return a part of an object."""
