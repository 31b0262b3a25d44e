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
from moto.s3.models import s3_backends

from local_aws.actions import ACCOUNT, ActionLog, Permission, of_glue
from local_aws.athena.clients import OWN_KEY


class FoundObject(NamedTuple):
    """An object in S3.

    Attributes:
        key: Its key.
        etag: Its ETag, in quotes.
        size: Its bytes.
    """

    key: str
    etag: str
    size: int


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
        s3 = s3_backends[ACCOUNT]["aws"]
        try:
            found = s3.list_objects(s3.get_bucket(bucket), prefix, delimiter=None, marker=None, max_keys=None)
        except MissingBucket:
            raise LookupError(f"there is no bucket {bucket}") from None
        for each in found[0]:
            yield FoundObject(each.name, each.etag, each.size)
