"""What a query looks up by the hundred before it reads: partitions in Glue, objects in S3.

Athena asks GetPartitions with a filter, and lists the prefix of each partition that is left. Here
all partitions are filtered. moto takes half a millisecond over HTTP for each partition that it
describes and five for each listing, more than most queries.
So both are read from its state in this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from moto.glue.models import FakePartition, glue_backends
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeDeleteMarker, s3_backends

from local_athena.athena.clients import ACCOUNT


class FoundObject(NamedTuple):
    """An object in S3.

    Attributes:
        bucket: Its bucket.
        key: Its key.
        etag: Its ETag, in quotes.
        size: Its bytes.
    """

    bucket: str
    key: str
    etag: str
    size: int

    @property
    def path(self) -> str:
        """Bucket and key."""
        return f"{self.bucket}/{self.key}"


class Lookups:
    """Glue and S3 in one region, as far as a query looks something up there.

    Args:
        region: The region.
    """

    def __init__(self, region: str) -> None:
        self._region = region

    def partitions(self, database: str, table: str) -> list[FakePartition]:
        """All partitions of a table, in the order of their registration.

        An update makes a new object.
        """
        return glue_backends[ACCOUNT][self._region].get_partitions(database, table, expression="")

    def objects(self, bucket: str, prefix: str) -> Iterator[FoundObject]:
        """The objects under a prefix, by key.

        Raises:
            LookupError: There is no such bucket.
        """
        try:
            held = s3_backends[ACCOUNT]["aws"].get_bucket(bucket).keys
        except MissingBucket:
            raise LookupError(f"there is no bucket {bucket}") from None
        # moto's own listing copies all keys with their versions for each prefix.
        for key in sorted(name for name in list(held) if name.startswith(prefix)):
            newest = held.get(key)
            if newest is not None and not isinstance(newest, FakeDeleteMarker):
                yield FoundObject(bucket, key, newest.etag, newest.size)
