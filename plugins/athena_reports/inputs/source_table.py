"""The table of an input as Glue has it, and whether it is laid out as the input says.

A declaration that does not fit is refused. Otherwise the query would find no rows, or would be paid
and fail.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from athena_reports.errors import InputError
from athena_reports.inputs.input import Input
from athena_reports.inputs.layout import PartitionValues
from athena_reports.inputs.projection import Projection

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

# The kind of a partition key by its type in Glue, without the length of `varchar(10)`.
_KIND_OF_TYPE = {
    "string": "string",
    "varchar": "string",
    "char": "string",
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "integer": "integer",
    "bigint": "integer",
    "date": "date",
}


@dataclass(frozen=True)
class SourceTable:
    """The table of an input; for a view, the table below it."""

    source: Input
    database: str
    table: str
    keys: Mapping[str, str]  # its partition keys with their types, in Glue's order
    location: str  # its `s3://` folder; empty for a view
    projection: Projection | None  # None if Glue has its partitions

    @classmethod
    def read(cls, source: Input, database: str, glue: "GlueClient") -> "SourceTable":
        """Return the table of an input; `database` is that of an input that names none.

        InputError if Glue has no such table, it is laid out otherwise than the input says, its
        projection is not supported, or it cannot be waited for.
        """
        database = source.database or database
        name = source.table
        if source.of is not None:
            *of_database, name = source.of.split(".")
            database = of_database[0] if of_database else database
        response = _get_table(database, name, glue)
        partition_keys = response.get("PartitionKeys", [])
        descriptor = response.get("StorageDescriptor", {})
        parameters = response.get("Parameters", {})
        projection = Projection.of(f"{database}.{name}", parameters)
        table = cls(
            source=source,
            database=database,
            # As Glue spells it. The response for a resource link may name what it leads to.
            table=name.lower(),
            keys={key["Name"]: key.get("Type", "") for key in partition_keys},
            location=descriptor.get("Location", ""),
            projection=projection,
        )
        table._require_keys()
        table._require_only()
        if table.projection is not None and source.is_partitioned:
            table.projection.require(source.layout)
            table._require_success_marker()
        return table

    @property
    def name(self) -> str:
        """The table with its database."""
        return f"{self.database}.{self.table}"

    @property
    def selected_keys(self) -> Sequence[str]:
        """The keys whose values the input says: those that tell time, and those of `only`."""
        return [*self.source.columns, *self.source.only]

    def selected_values(self, partition: PartitionValues) -> dict[str, str]:
        """Return the values of a partition by the `selected_keys`, whose order they have."""
        return dict(zip(self.selected_keys, partition, strict=True))

    @property
    def has_free_keys(self) -> bool:
        """Whether it has keys of which the input says no value."""
        return len(self.keys) > len(self.selected_keys)

    @property
    def kinds(self) -> Sequence[str]:
        """The kind of each of the `selected_keys`."""
        return [_kind_of_type(self.keys[key]) for key in self.selected_keys]

    def _require_success_marker(self) -> None:
        if self.source.wait is not None and self.source.done is None:
            raise InputError(
                f"The input {self.name} has wait=, but its partitions are projected and not in"
                " Glue. Set a success marker, such as"
                " done='s3://lake/plays/dt={date}/_SUCCESS', or remove wait=."
            )

    def _require_keys(self) -> None:
        declared_keys = self.source.layout.keys if self.source.is_partitioned else ()
        declared = {key.name: key.kind for key in declared_keys}
        stored = {key: _kind_of_type(type) or type for key, type in self.keys.items()}
        has_declared_keys = declared.items() <= stored.items()
        if has_declared_keys and bool(declared) == bool(stored):
            return
        raise InputError(
            f"{self.name} is partitioned by {_listed(stored)}, but the input declares"
            f" {_listed(declared)}. Declare the keys of type string, integer or date that hold the"
            " date or hour, with their kind= and format=. Use columns=() for a table without"
            " partition keys in Glue, such as an Iceberg table, and of= for a view of a partitioned"
            " table. For other tables, omit the Input and filter only by period.contains."
        )

    def _require_only(self) -> None:
        types = {"string": str, "integer": int}
        for key, values in self.source.only.items():
            expected = types.get(_kind_of_type(self.keys.get(key, "")))
            if any(type(value) is not expected for value in values):
                raise InputError(
                    f"The input {self.name}, only=: {key!r} must be a partition key of type"
                    f" string or int, with values of that type. The table is partitioned by"
                    f" {_listed(self.keys)}. Filter by {key} in the SQL, or correct only=."
                )


def _get_table(database: str, name: str, glue: "GlueClient") -> Mapping[str, Any]:
    try:
        response = glue.get_table(DatabaseName=database, Name=name)
    except glue.exceptions.EntityNotFoundException as error:
        raise InputError(
            f"The input {database}.{name} does not exist in Glue. Correct the input, or create the"
            " table."
        ) from error
    return response["Table"]


def _listed(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({type})" for name, type in keys.items()) or "nothing"


def _kind_of_type(glue_type: str) -> str:
    name, _, _ = glue_type.partition("(")
    return _KIND_OF_TYPE.get(name.strip().lower(), "")  # empty for a type that is not supported
