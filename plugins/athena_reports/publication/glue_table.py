"""The Glue table of a report in a cadence.

A version may add columns, leave some out, or widen their types. A column that a period does not
have is NULL there.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import ErrorKind, as_sentence, error_kind
from athena_reports.errors import PublishError, SchemaError
from athena_reports.periods.calendar import Cadence, Period, periods_among
from athena_reports.publication.documents import ContestedError, retry_if_contested
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition, PartitionFacts, partitions_by_period
from athena_reports.rows.columns import TableColumn

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_MARK = {"written_by": "athena-reports"}  # parameter of our tables
# A type, and one that holds each of its values.
_WIDENED = {("float", "double"), *combinations(("tinyint", "smallint", "int", "bigint"), 2)}
_DECIMAL = re.compile(r"decimal\((?P<precision>\d+),(?P<scale>\d+)\)")
# The fields of GetTable's response that UpdateTable takes, without the columns.
_TABLE_INPUT = {
    "Name",
    "Description",
    "Owner",
    "Retention",
    "PartitionKeys",
    "TableType",
    "Parameters",
}
_HIVE = "org.apache.hadoop.hive.ql.io.parquet"
_CHANGED_MEANWHILE = {ErrorKind.ENTITY_EXISTS, ErrorKind.ENTITY_CHANGED}


class TableError(PublishError):
    """Glue refused a call, or the table is not ours."""


@dataclass(frozen=True)
class Table:
    """The table of a report in a cadence. Its methods raise TableError if Glue refuses a call."""

    database: str
    location: ReportLocation
    glue: "GlueClient"

    @property
    def name(self) -> str:
        """Name of the table, `<report>_<cadence>`."""
        return self.location.table_name

    def columns(self) -> tuple[TableColumn, ...] | None:
        """Return the table's columns, with Glue's types only; None for no table or no column."""
        table = self._find()
        if table is None:
            return None
        columns = tuple(
            TableColumn(name=column["Name"], type="", glue=column["Type"])
            for column in table["StorageDescriptor"]["Columns"]
        )
        return columns or None

    @retry_if_contested
    def prepare(
        self, columns: Sequence[TableColumn], *, commented: bool = False
    ) -> list[dict[str, str]]:
        """Make the table take a version with these columns, and return its own, as Glue has them.

        With `commented`, descriptions become comments in the table: for a publication, and not for
        a repair, whose descriptions may be older. SchemaError if the columns do not fit the table.
        """
        for column in columns:
            self._require_place(column)
        table = self._find()
        if table is None:
            columns_of_table = self._merged([], columns, commented=commented)
            self._create(columns_of_table)
            return columns_of_table
        present = table["StorageDescriptor"]["Columns"]
        columns_of_table = self._merged(present, columns, commented=commented)
        if columns_of_table != present:
            self._update(table, columns_of_table)
        return columns_of_table

    def put_partition(
        self,
        period_id: str,
        columns: Sequence[TableColumn],
        partition: Partition,
        table_columns: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        """Create the partition of a period, or replace it; SchemaError if the columns do not fit.

        `table_columns` are those that `prepare` returned; None to prepare the table here.
        """
        if table_columns is None:
            table_columns = self.prepare(columns)
        # Some readers go by the position of a column: so the partition has the table's columns in
        # their order. The types are those of its files, and Athena widens them.
        types = {column["Name"]: column["Type"] for column in table_columns}
        types.update({column.name.lower(): column.glue for column in columns})
        partition_input = {
            "Values": [period_id],
            "StorageDescriptor": parquet_descriptor(types, partition.location),
            "Parameters": partition.facts.as_parameters(),
        }
        created = self._call(
            self.glue.create_partition,
            expected={ErrorKind.ENTITY_EXISTS},
            TableName=self.name,
            PartitionInput=partition_input,
        )
        if created is None:
            self._replace(partition_input)

    def mark_broken(self, period_id: str, listed: Partition, why: str) -> None:
        """Note in a partition why it is broken, unless it has changed since it was `listed`."""
        marked = listed.facts.model_copy(update={"broken": why})
        for stored in self._stored_partitions(Expression=f"period = '{period_id}'"):
            if Partition.of(stored) == listed:
                partition_input = {
                    "Values": stored["Values"],
                    "StorageDescriptor": stored["StorageDescriptor"],
                    "Parameters": marked.as_parameters(),
                }
                self._replace(partition_input)

    def partitions(self, first_id: str = "") -> Mapping[str, Partition]:
        """Return our partitions by period id, from `first_id` on; none without a table.

        `first_id` is a period id or the beginning of one.
        """
        options: dict[str, Any] = {"ExcludeColumnSchema": True}
        if first_id:
            options["Expression"] = f"period >= '{first_id}'"
        return partitions_by_period(self._stored_partitions(**options))

    def published_periods(self, first_id: str = "") -> Mapping[str, PartitionFacts]:
        """Return the facts of each partition of ours, as `partitions` has them, by period id."""
        partitions = self.partitions(first_id)
        return {period_id: partition.facts for period_id, partition in partitions.items()}

    def periods_of(self, cadence: Cadence) -> Mapping[Period, PartitionFacts]:
        """Return the facts of the partitions of ours, by period, without ids of other cadences."""
        published = self.published_periods()
        return {period: published[period.id] for period in periods_among(cadence, published)}

    @property
    def _about(self) -> str:
        return f"Glue table {self.database}.{self.name}"

    def _require_place(self, column: TableColumn) -> None:
        if column.name.lower() == "period":
            problem = "has the same name as the partition key. Rename it in the SQL (AS)."
        elif not column.glue:
            problem = f"has type {column.type}, which Glue does not support. CAST it to varchar."
        else:
            return
        raise SchemaError(f"{self._about}: column {column.name!r} {problem} Nothing was published.")

    def _find(self) -> Mapping[str, Any] | None:
        response = self._call(self.glue.get_table, expected={ErrorKind.NO_ENTITY}, Name=self.name)
        if response is None:
            return None
        table: Mapping[str, Any] = response["Table"]
        folder = table.get("StorageDescriptor", {}).get("Location", "")
        if not _is_ours(table) or folder != self.location.folder_uri:
            raise TableError(
                f"{self._about} is not the table for {self.location.folder_uri}: its location is "
                f"{folder!r}, or another program created it. Move it elsewhere, or set "
                "ATHENA_REPORTS_REPORT_DATABASE to another database.",
                retryable=False,
            )
        return table

    def _merged(
        self,
        present: Sequence[Mapping[str, str]],
        columns: Sequence[TableColumn],
        *,
        commented: bool,
    ) -> list[dict[str, str]]:
        # What other programs wrote into the table's columns stays.
        merged = {column["Name"]: dict(column) for column in present}
        for column in columns:
            name = column.name.lower()
            entry = merged.setdefault(name, {"Name": name, "Type": column.glue})
            if _can_store(column.glue, entry["Type"]):
                entry["Type"] = column.glue
            elif not _can_store(entry["Type"], column.glue):
                raise SchemaError(
                    f"{self._about}: column {name!r} cannot change from {entry['Type']} to "
                    f"{column.glue}. CAST or rename the column. Nothing was published."
                )
            if commented and column.description:
                entry["Comment"] = column.description
        return list(merged.values())

    def _create(self, columns: Sequence[Mapping[str, str]]) -> None:
        descriptor = parquet_descriptor({}, self.location.folder_uri)
        descriptor["Columns"] = columns
        table_input = {
            "Name": self.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **_MARK},
            "StorageDescriptor": descriptor,
            "PartitionKeys": [{"Name": "period", "Type": "string"}],
        }
        self._call(self.glue.create_table, TableInput=table_input)

    def _update(self, table: Mapping[str, Any], columns: Sequence[Mapping[str, str]]) -> None:
        table_input = {name: value for name, value in table.items() if name in _TABLE_INPUT}
        table_input["StorageDescriptor"] = {**table["StorageDescriptor"], "Columns": columns}
        # Glue refuses the update of another version than the present one.
        self._call(self.glue.update_table, TableInput=table_input, VersionId=table["VersionId"])

    def _replace(self, partition_input: Mapping[str, Any]) -> None:
        self._call(
            self.glue.update_partition,
            TableName=self.name,
            PartitionInput=partition_input,
            PartitionValueList=partition_input["Values"],
        )

    def _stored_partitions(self, **options: Any) -> list[Any]:
        stored: list[Any] | None = self._call(
            _listing(self.glue, "get_partitions", "Partitions"),
            expected={ErrorKind.NO_ENTITY},
            TableName=self.name,
            **options,
        )
        return stored or []

    def _call(
        self, call: Callable[..., Any], *, expected: Collection[ErrorKind] = (), **arguments: Any
    ) -> Any:
        return _response(
            self._about, call, expected=expected, DatabaseName=self.database, **arguments
        )


def published_tables(database: str, glue: "GlueClient") -> Iterator[Table]:
    """Yield each table of ours in a database. A copy under another name is left out."""
    list_tables = _listing(glue, "get_tables", "TableList")
    for listed in _response(f"Glue database {database}", list_tables, DatabaseName=database):
        folder = listed.get("StorageDescriptor", {}).get("Location", "")
        table = Table(database, ReportLocation.of_folder(folder), glue)
        is_copy = table.name != listed["Name"] or table.location.folder_uri != folder
        if _is_ours(listed) and not is_copy:
            yield table


def parquet_descriptor(types: Mapping[str, str], location_uri: str) -> dict[str, Any]:
    """Return Glue's StorageDescriptor of Parquet files with these columns and types."""
    serde = {
        "SerializationLibrary": f"{_HIVE}.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    }
    return {
        "Columns": [{"Name": name, "Type": glue_type} for name, glue_type in types.items()],
        "Location": location_uri,
        "InputFormat": f"{_HIVE}.MapredParquetInputFormat",
        "OutputFormat": f"{_HIVE}.MapredParquetOutputFormat",
        "SerdeInfo": serde,
    }


def _is_ours(table: Mapping[str, Any]) -> bool:
    return bool(table.get("Parameters", {}).items() >= _MARK.items())


def _listing(glue: "GlueClient", operation: Any, items: str) -> Callable[..., list[Any]]:

    def list_items(**arguments: Any) -> list[Any]:
        response = glue.get_paginator(operation).paginate(**arguments).build_full_result()
        # The API reference does not require the list in a response, not even an empty one.
        return list(response.get(items, []))

    return list_items


def _response(
    about: str, call: Callable[..., Any], *, expected: Collection[ErrorKind] = (), **arguments: Any
) -> Any:
    # None if it refuses for an expected reason.
    try:
        return call(**arguments)
    except (ClientError, BotoCoreError) as error:
        kind = error_kind(error)
        if kind in expected:
            return None
        if kind in _CHANGED_MEANWHILE:
            raise ContestedError(f"{about} was changed by another process.") from error
        message = f"{about}: {as_sentence(error)} {kind.advice}".rstrip()
        raise TableError(message, retryable=kind.retryable) from error


def _can_store(wide: str, narrow: str) -> bool:
    if wide == narrow or (narrow, wide) in _WIDENED:
        return True
    wide_digits = _digits(wide)
    narrow_digits = _digits(narrow)
    if wide_digits is None or narrow_digits is None:
        return False
    wide_whole, wide_scale = wide_digits
    narrow_whole, narrow_scale = narrow_digits
    return wide_whole >= narrow_whole and wide_scale >= narrow_scale


def _digits(kind: str) -> tuple[int, int] | None:
    """Return how many digits a decimal has before and after its point; None for another type."""
    decimal = _DECIMAL.fullmatch(kind)
    if decimal is None:
        return None
    scale = int(decimal["scale"])
    return int(decimal["precision"]) - scale, scale
