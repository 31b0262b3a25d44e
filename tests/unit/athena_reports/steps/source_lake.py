"""A lake in memory: the tables that reports read, and what hooks see of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from athena_reports import Published
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.periods.calendar import Period
from tests.support.memory_store import MemoryGlue, MemoryS3
from tests.support.partition_facts import facts

DATABASE = "database_dev"


def nothing(action: str) -> None:
    """No fault."""


@dataclass
class SourceLake:
    """Glue and S3, with tables that are partitioned by `dt`.

    Attributes:
        before: Called with each action before it is done; what it raises is the answer.
        calls: The actions that were asked for.
    """

    before: Callable[[str], None] = nothing
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.glue = MemoryGlue(self._call, lambda _: None)
        self.s3 = MemoryS3(self._call)

    @property
    def counts(self) -> Counter[str]:
        """How often each action was asked for; of S3 without the object's name."""
        return Counter(call.partition(" ")[0] for call in self.calls)

    def create(self, table: str = "plays", dates: Sequence[str] = (), **parameters: str) -> None:
        """Make a table with some partitions."""
        self.glue.tables[DATABASE, table] = {
            "Name": table,
            "PartitionKeys": [{"Name": "dt", "Type": "string"}],
            "Parameters": parameters,
            "StorageDescriptor": {"Location": f"s3://lake/{table}"},
        }
        for date in dates:
            self.land(date, table)

    def land(self, date: str, table: str = "plays") -> None:
        """Register a partition."""
        partition = {"Values": [date], "StorageDescriptor": {"Location": f"s3://lake/{date}"}}
        self.glue.partitions[DATABASE, table, date] = partition

    def publish(self, report: Published, part: Period, **changes: Any) -> None:
        """Publish a part that another report reads: final and whole, but for the changes."""
        self.glue.tables[report.database, report.table] = {"Name": report.table}
        self.glue.partitions[report.database, report.table, part.id] = {
            "Values": [part.id],
            "StorageDescriptor": {"Location": f"s3://reports/{part.id}"},
            "Parameters": facts(part, **changes).as_parameters(),
        }

    def mark(self, place: str) -> None:
        """Put a done object, by bucket and key."""
        bucket, _, key = place.partition("/")
        MemoryS3(objects=self.s3.objects).put_object(Bucket=bucket, Key=key, Body=b"")

    def serve(self, patch: pytest.MonkeyPatch) -> None:
        """Let every hook of this process talk to it."""
        clients: dict[str, Any] = {"glue": self.glue, "s3": self.s3}
        patch.setattr(SharedSessionHook, "client", lambda _, service: clients[service])

    def _call(self, action: str, effect: Callable[[], Any]) -> Any:
        self.calls.append(action)
        self.before(action)
        return effect()
