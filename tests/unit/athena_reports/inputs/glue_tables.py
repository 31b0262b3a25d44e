"""Tables in Glue, as others have made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports import Input
from athena_reports.errors import InputError
from athena_reports.inputs.source_table import SourceTable

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


@dataclass(frozen=True)
class Lake:
    """A database of tables."""

    glue: GlueClient
    database: str

    def create(
        self,
        keys: Mapping[str, str],
        partitions: Iterable[Sequence[str]] = (),
        *,
        name: str = "plays",
        **projection: str,
    ) -> None:
        """Create a table.

        Args:
            keys: Its partition keys with their types.
            partitions: The values of its partitions.
            name: Its name.
            projection: Parameters below `projection.`, such as `dt__type="date"`.
        """
        parameters = {"projection.enabled": "true"} if projection else {}
        for parameter, value in projection.items():
            parameters[f"projection.{parameter.replace('__', '.')}"] = value
        location = f"s3://lake/{name}/"
        table: Any = {
            "Name": name,
            "PartitionKeys": [{"Name": key, "Type": type_} for key, type_ in keys.items()],
            "Parameters": parameters,
            "StorageDescriptor": {"Columns": [], "Location": location},
        }
        self.glue.create_table(DatabaseName=self.database, TableInput=table)
        inputs: list[Any] = []
        for values in partitions:
            path = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
            descriptor = {"Location": f"{location}{path}/"}
            inputs.append({"Values": [*values], "StorageDescriptor": descriptor})
        for start in range(0, len(inputs), 100):
            self.glue.batch_create_partition(
                DatabaseName=self.database,
                TableName=name,
                PartitionInputList=inputs[start : start + 100],
            )

    def read(self, source: Input) -> SourceTable:
        return SourceTable.read(source, self.database, self.glue)

    def refusal(self, source: Input) -> str:
        """Why the table does not fit its input."""
        with pytest.raises(InputError) as refused:
            self.read(source)
        assert f"{self.database}." in str(refused.value)
        return str(refused.value)
