"""What a query looks up by the hundred before it reads: partitions in Glue, objects in S3.

Athena asks GetPartitions with a filter, and lists the prefix of each partition that is left. Here all
partitions are filtered. moto takes half a millisecond over HTTP for each partition that it describes and five
for each listing, more than most queries; so both are read from its state in this process, and noted as the
requests that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from moto.glue.models import FakePartition, glue_backends
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeDeleteMarker, s3_backends

from local_aws.actions import ACCOUNT, ActionLog, Permission, of_glue
from local_aws.athena.clients import OWN_KEY


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
        log: Where to note what is asked.
        region: The region.
    """

    def __init__(self, log: ActionLog, region: str) -> None:
        self._log = log
        self._region = region

    def partitions(self, database: str, table: str) -> list[FakePartition]:
        """All partitions of a table, in the order of their registration; an update makes a new object."""
        place = {"DatabaseName": database, "TableName": table}
        self._log.add(OWN_KEY, of_glue("GetPartitions", place, self._region))
        return glue_backends[ACCOUNT][self._region].get_partitions(database, table, expression="")

    def objects(self, bucket: str, prefix: str) -> Iterator[FoundObject]:
        """The objects under a prefix, by key.

        Raises:
            LookupError: There is no such bucket.
        """
        self._log.add(OWN_KEY, [Permission("s3:ListBucket", f"arn:aws:s3:::{bucket}")])
        try:
            held = s3_backends[ACCOUNT]["aws"].get_bucket(bucket).keys
        except MissingBucket:
            raise LookupError(f"there is no bucket {bucket}") from None
        # moto's own listing copies all keys with their versions for each prefix.
        for key in sorted(name for name in list(held) if name.startswith(prefix)):
            newest = held.get(key)
            if newest is not None and not isinstance(newest, FakeDeleteMarker):
                yield FoundObject(bucket, key, newest.etag, newest.size)
