"""Tables in Glue, as others have made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


def create_table(
    glue: GlueClient,
    database: str,
    keys: Mapping[str, str],
    partitions: Sequence[Sequence[str]] = (),
    *,
    name: str = "plays",
    columns: Mapping[str, str] | None = None,
    view: bool = False,
    **projection: str,
) -> None:
    """Create a table.

    Args:
        glue: The client.
        database: Its database.
        keys: Its partition keys with their types.
        partitions: The values of its partitions.
        name: Its name.
        columns: Its columns with their types.
        view: Whether it is a view.
        projection: Parameters below `projection.`, such as `dt__type="date"`.
    """
    parameters = {}
    if projection:
        parameters["projection.enabled"] = "true"
    for parameter, value in projection.items():
        parameters[f"projection.{parameter.replace('__', '.')}"] = value

    def described(columns: Mapping[str, str]) -> Any:
        return [{"Name": name, "Type": type_} for name, type_ in columns.items()]

    location = f"s3://lake/{name}/"
    table: Any = {
        "Name": name,
        "PartitionKeys": described(keys),
        "Parameters": parameters,
        "StorageDescriptor": {"Columns": described(columns or {}), "Location": location},
    }
    if view:
        table["TableType"] = "VIRTUAL_VIEW"
    glue.create_table(DatabaseName=database, TableInput=table)
    inputs: list[Any] = []
    for values in partitions:
        path = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
        descriptor = {"Location": f"{location}{path}/"}
        inputs.append({"Values": [*values], "StorageDescriptor": descriptor})
    for start in range(0, len(inputs), 100):
        glue.batch_create_partition(
            DatabaseName=database,
            TableName=name,
            PartitionInputList=inputs[start : start + 100],
        )
