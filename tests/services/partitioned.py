"""Tables of plays in the lake of the local services, partitioned as somebody else has chosen."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports_cli.local.services import Services

TYPES = {"event_id": "string", "user_id": "string", "score": "bigint", "played_at": "timestamp"}
_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("score", pa.int64()),
        ("played_at", pa.timestamp("ms")),
    ]
)


class Play(NamedTuple):
    event_id: str
    user_id: str
    score: int
    played_at: datetime  # in UTC
    region: str = "jp"


@dataclass(frozen=True)
class Partitioning:
    """How a table is partitioned.

    Attributes:
        keys: Its partition keys with their types.
        values: The values of its keys that tell time, for what a clock shows.
        projection: Parameters of the table below `projection.`, if its partitions can be projected.
        regions: The values of its key `region`, which is its last one, if it has that key.
    """

    keys: Mapping[str, str]
    values: Callable[[datetime], tuple[str, ...]]
    projection: Mapping[str, str] = field(default_factory=dict)
    regions: Sequence[str] = ()

    def partitions(self, moments: Iterable[datetime]) -> list[tuple[str, ...]]:
        """The partitions of some times that a clock shows, each once."""
        of_time = dict.fromkeys(map(self.values, moments))
        if not self.regions:
            return list(of_time)
        return [(*values, region) for values, region in product(of_time, self.regions)]

    def of_play(self, play: Play, face: datetime) -> tuple[str, ...]:
        """The partition of a play that a clock has shown some time for."""
        return (*self.values(face), play.region) if self.regions else self.values(face)

    def path(self, partition: Sequence[str]) -> str:
        return "/".join(f"{key}={value}" for key, value in zip(self.keys, partition, strict=True))


@dataclass(frozen=True)
class Lake:
    """A bucket and a database of a test.

    Attributes:
        services: The local services.
        bucket: The bucket, which `create` makes.
        database: The Glue database, which `create` makes.
    """

    services: Services
    bucket: str
    database: str

    def create(self) -> None:
        region: Any = {"LocationConstraint": "ap-northeast-1"}
        self.services.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=region)
        self.services.glue.create_database(DatabaseInput={"Name": self.database})

    def add_table(
        self,
        name: str,
        partitioning: Partitioning,
        plays: Iterable[tuple[Play, datetime]],
        registered: Iterable[Sequence[str]] | None,
    ) -> None:
        """Create a table with its files.

        Args:
            name: The name of the table.
            partitioning: How it is partitioned.
            plays: Its plays, each with what the clock of its partitions has shown.
            registered: The partitions that Glue has; None for a table whose partitions are
                projected.
        """
        location = f"s3://{self.bucket}/{name}/"
        parameters = {}
        if registered is None:
            parameters = {"projection.enabled": "true"}
            for parameter, value in partitioning.projection.items():
                parameters[f"projection.{parameter}"] = value
        keys: Any = [{"Name": key, "Type": type_} for key, type_ in partitioning.keys.items()]
        table: Any = {
            "Name": name,
            "PartitionKeys": keys,
            "StorageDescriptor": parquet_descriptor(TYPES, location),
            "Parameters": parameters,
        }
        self.services.glue.create_table(DatabaseName=self.database, TableInput=table)
        self._put_plays(name, partitioning, plays)
        inputs: list[Any] = []
        for values in dict.fromkeys(map(tuple, registered or ())):
            uri = f"{location}{partitioning.path(values)}/"
            inputs.append(
                {"Values": [*values], "StorageDescriptor": parquet_descriptor(TYPES, uri)}
            )
        for start in range(0, len(inputs), 100):
            self.services.glue.batch_create_partition(
                DatabaseName=self.database,
                TableName=name,
                PartitionInputList=inputs[start : start + 100],
            )

    def _put_plays(
        self, name: str, partitioning: Partitioning, plays: Iterable[tuple[Play, datetime]]
    ) -> None:
        rows: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for play, face in plays:
            values = play._asdict()
            row = {column: values[column] for column in TYPES}
            row["played_at"] = play.played_at.replace(tzinfo=None)
            rows[partitioning.of_play(play, face)].append(row)
        for partition, of_partition in rows.items():
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(of_partition, _SCHEMA), sink)
            key = f"{name}/{partitioning.path(partition)}/part-0.parquet"
            self.services.s3.put_object(Bucket=self.bucket, Key=key, Body=sink.getvalue())
