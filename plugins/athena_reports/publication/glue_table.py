"""The Glue table of a report in a cadence.

A version may add columns, leave some out, or widen their types. A column that a period does not
have is NULL there.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import ErrorKind, error_code, error_kind
from athena_reports.errors import PublishError, SchemaError
from athena_reports.periods.calendar import Cadence, Period, periods_among
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition, PartitionFacts
from athena_reports.rows.columns import TableColumn

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_MARK = {"written_by": "athena-reports"}  # parameter of our tables
ATTEMPTS = 10  # of a change that other writers may come before
_INTEGERS = ("tinyint", "smallint", "int", "bigint")  # each holds the values of those before it
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
_ADVICE = {  # by the code of Glue's error
    "EntityNotFoundException": (
        " Create the database, or set ATHENA_REPORTS_REPORT_DATABASE to another one."
    ),
    "AccessDeniedException": " Allow it for the connection's role in IAM and in Lake Formation.",
}


class TableError(PublishError):
    """Glue refused a call, or the table is not ours."""


def changed_by_others(what: str) -> PublishError:
    """Return the error for something that other writers change whenever this one is about to."""
    return PublishError(
        f"{what} was changed by others at each of {ATTEMPTS} attempts. "
        "Find that program, then clear publish."
    )


@dataclass(frozen=True)
class Table:
    """The table of a report in a cadence, in a Glue database.

    Its methods raise TableError if Glue refuses a call or does not serve it.
    """

    database: str
    location: ReportLocation
    glue: "GlueClient"
    # The types of the table's columns, by the columns of a version that it was prepared for. A
    # publication prepares it twice: before the manifest, and for the partition.
    _prepared: dict[Sequence[TableColumn], dict[str, str]] = field(
        default_factory=dict, compare=False
    )

    @property
    def name(self) -> str:
        """Name of the table, `<report>_<cadence>`."""
        return self.location.table_name

    def columns(self) -> tuple[TableColumn, ...] | None:
        """Return the columns of the table, with Glue's types only.

        None if there is no table, or no column.
        """
        table = self._find()
        if table is None:
            return None
        columns = []
        for name, glue_type in _types(table).items():
            columns.append(TableColumn(name=name, type="", glue=glue_type))
        if not columns:
            return None
        return tuple(columns)

    def prepare(self, columns: Sequence[TableColumn], *, commented: bool = False) -> dict[str, str]:
        """Make the table take a version with these columns, and return the types of its columns.

        Args:
            columns: The columns of the version.
            commented: Whether the descriptions of the columns become comments in the table. They
                do for a publication. They do not for a repair of an old period, whose descriptions
                may be older than those of the table.

        Raises:
            SchemaError: The columns do not fit the table.
            TableError: Glue refused a call, or the table is not ours.
            PublishError: Others change the table each time.
        """
        wanted = self._glue_types(columns)
        comments = {}
        if commented:
            comments = _comments(columns)
        key = tuple(columns)
        if key in self._prepared:
            return self._prepared[key]
        for _ in range(ATTEMPTS):
            table = self._find()
            if table is None:
                types = wanted
                is_ready = self._create(types, comments)
            else:
                types = self._merged(_types(table), wanted)
                is_ready = _has(table, types, comments)
                if not is_ready:
                    is_ready = self._update(table, types, comments)
            if is_ready:
                self._prepared[key] = types
                return types
        raise changed_by_others(self._about)

    def put_partition(
        self, period_id: str, columns: Sequence[TableColumn], partition: Partition
    ) -> None:
        """Create the partition of a period, or replace it.

        Args:
            period_id: The id of the period.
            columns: The columns of the period's version.
            partition: What Glue is to say of the period.

        Raises:
            SchemaError: The columns do not fit the table.
            TableError: Glue refused a call, or the table is not ours.
            PublishError: Others change the table each time.
        """
        # Some readers go by the position of a column: so the partition has the table's columns in
        # their order. The types are those of its files, and Athena widens them.
        types = dict(self.prepare(columns))
        types.update(self._glue_types(columns))
        partition_input = {
            "Values": [period_id],
            "StorageDescriptor": parquet_descriptor(types, partition.location),
            "Parameters": dict(partition.parameters),
        }
        problem = "the period cannot be written to it"
        created = self._call(
            problem,
            self.glue.create_partition,
            expected={ErrorKind.ENTITY_EXISTS},
            TableName=self.name,
            PartitionInput=partition_input,
        )
        if created is None:
            self._call(
                problem,
                self.glue.update_partition,
                TableName=self.name,
                PartitionInput=partition_input,
                PartitionValueList=[period_id],
            )

    def mark_broken(self, period_id: str, listed: Partition, why: str) -> None:
        """Let the partition of a period say why it is broken, unless it has changed meanwhile.

        Args:
            period_id: The id of the period.
            listed: The partition as it was when the period was found broken.
            why: What is wrong with the period.
        """
        partitions = self._call(
            "its partitions cannot be listed",
            _listing(self.glue, "get_partitions", "Partitions"),
            TableName=self.name,
            Expression=f"period = '{period_id}'",
        )
        for partition in partitions:
            if partition.get("Parameters", {}) != listed.parameters:
                continue
            partition_input = {
                "Values": partition["Values"],
                "StorageDescriptor": partition["StorageDescriptor"],
                "Parameters": {**listed.parameters, "broken": why},
            }
            self._call(
                "the period cannot be marked",
                self.glue.update_partition,
                TableName=self.name,
                PartitionValueList=[period_id],
                PartitionInput=partition_input,
            )

    def partitions(self) -> Mapping[str, Partition]:
        """Return each partition by the first of its values, which is the period id.

        There are none if there is no table.
        """
        partitions: dict[str, Partition] = {}
        all_listed = self._call(
            "its partitions cannot be listed",
            _listing(self.glue, "get_partitions", "Partitions"),
            expected={ErrorKind.NO_ENTITY},
            TableName=self.name,
            ExcludeColumnSchema=True,
        )
        if all_listed is None:
            return partitions
        for listed in all_listed:
            folder = listed["StorageDescriptor"].get("Location", "")
            period_id = listed["Values"][0]
            partitions[period_id] = Partition(folder, listed.get("Parameters", {}))
        return partitions

    def published_periods(self) -> Mapping[str, PartitionFacts]:
        """Return what each partition of ours says, by period id."""
        published = {}
        for period_id, partition in self.partitions().items():
            with suppress(ValueError):  # it is not of ours
                published[period_id] = PartitionFacts.from_parameters(partition.parameters)
        return published

    def periods_of(self, cadence: Cadence) -> Mapping[Period, PartitionFacts]:
        """Return what the partitions of ours say, by period.

        Those whose ids are of another cadence are left out.
        """
        published = self.published_periods()
        return {period: published[period.id] for period in periods_among(cadence, published)}

    @property
    def _about(self) -> str:
        return f"Glue table {self.database}.{self.name}"

    def _glue_types(self, columns: Sequence[TableColumn]) -> dict[str, str]:
        """Return the types of a version's columns, by their names in Glue.

        SchemaError if Glue has no type for a column, or if it has the name of the partition key.
        """
        types = {}
        for column in columns:
            name = column.name.lower()
            problem = ""
            if name == "period":
                problem = "has the name of the partition key. Name it differently in the SQL (AS)."
            elif not column.glue:
                problem = f"is a {column.type}, which Glue does not have. CAST it to varchar."
            if problem:
                raise SchemaError(
                    f"{self._about}: the column {column.name!r} {problem} Nothing is published."
                )
            types[name] = column.glue
        return types

    def _find(self) -> Mapping[str, Any] | None:
        """Return the table as Glue has it; None if there is none, TableError if it is not ours."""
        response = self._call(
            "it cannot be read",
            self.glue.get_table,
            expected={ErrorKind.NO_ENTITY},
            Name=self.name,
        )
        if response is None:
            return None
        table: Mapping[str, Any] = response["Table"]
        folder = table.get("StorageDescriptor", {}).get("Location", "")
        if not _is_ours(table) or folder != self.location.folder_uri:
            raise TableError(
                f"{self._about} is not the table of {self.location.folder_uri}: its location is "
                f"{folder!r}, or another program wrote it. Move it away, or let "
                "ATHENA_REPORTS_REPORT_DATABASE name another database.",
                retryable=False,
            )
        return table

    def _merged(self, present: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
        """Return the types that hold the values of both; the columns of the table come first."""
        types = dict(present)
        for name, wanted_type in wanted.items():
            present_type = present.get(name, wanted_type)  # a new column has the wanted type
            if _holds(wanted_type, present_type):
                types[name] = wanted_type
            elif not _holds(present_type, wanted_type):
                raise SchemaError(
                    f"{self._about}: the column {name!r} cannot change from {present_type} to "
                    f"{wanted_type}. The table has {_as_text(present)}; the version "
                    f"{_as_text(wanted)}. Nothing is published. CAST or rename the column."
                )
        return types

    def _create(self, types: Mapping[str, str], comments: Mapping[str, str]) -> bool:
        """Create the table; False if somebody else has created it meanwhile."""
        descriptor = parquet_descriptor({}, self.location.folder_uri)
        descriptor["Columns"] = _columns(types, comments, {})
        table_input = {
            "Name": self.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **_MARK},
            "StorageDescriptor": descriptor,
            "PartitionKeys": [{"Name": "period", "Type": "string"}],
        }
        response = self._call(
            "it cannot be changed",
            self.glue.create_table,
            expected=_CHANGED_MEANWHILE,
            TableInput=table_input,
        )
        return response is not None

    def _update(
        self, table: Mapping[str, Any], types: Mapping[str, str], comments: Mapping[str, str]
    ) -> bool:
        """Give the table other columns; False if somebody else has changed it since it was read."""
        table_input = {name: value for name, value in table.items() if name in _TABLE_INPUT}
        columns = {column["Name"]: column for column in table["StorageDescriptor"]["Columns"]}
        descriptor = dict(table["StorageDescriptor"])
        descriptor["Columns"] = _columns(types, comments, columns)
        table_input["StorageDescriptor"] = descriptor
        arguments: dict[str, Any] = {"TableInput": table_input}
        if "VersionId" in table:  # Glue refuses the update of another version than the present one
            arguments["VersionId"] = table["VersionId"]
        response = self._call(
            "it cannot be changed",
            self.glue.update_table,
            expected=_CHANGED_MEANWHILE,
            **arguments,
        )
        return response is not None

    def _call(
        self,
        problem: str,
        call: Callable[..., Any],
        *,
        expected: Collection[ErrorKind] = (),
        **arguments: Any,
    ) -> Any:
        """Return Glue's response to a call about this table.

        None if Glue refuses for an expected reason; any other refusal is a TableError.
        """
        return _response(
            f"{self._about}: {problem}",
            call,
            expected=expected,
            DatabaseName=self.database,
            **arguments,
        )


def published_tables(database: str, glue: "GlueClient") -> Iterator[Table]:
    """Yield each table of ours in a database. A copy under another name is left out.

    Raises:
        TableError: Glue refused a call, or did not serve it.
    """
    problem = f"Glue database {database}: its tables cannot be listed"
    list_tables = _listing(glue, "get_tables", "TableList")
    for listed in _response(problem, list_tables, DatabaseName=database):
        folder = listed.get("StorageDescriptor", {}).get("Location", "")
        table = Table(database, ReportLocation.of_folder(folder), glue)
        is_copy = table.name != listed["Name"] or table.location.folder_uri != folder
        if _is_ours(listed) and not is_copy:
            yield table


def _listing(glue: "GlueClient", operation: Any, items: str) -> Callable[..., list[Any]]:
    """Return a function that lists the items of all pages of an operation."""

    def list_items(**arguments: Any) -> list[Any]:
        response = glue.get_paginator(operation).paginate(**arguments).build_full_result()
        # The API reference does not require the list in a response, not even an empty one.
        listed: list[Any] = response.get(items, [])
        return listed

    return list_items


def _is_ours(table: Mapping[str, Any]) -> bool:
    return bool(table.get("Parameters", {}).items() >= _MARK.items())


def _types(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the types of a table's columns, in their order."""
    return {
        column["Name"]: column.get("Type", "") for column in table["StorageDescriptor"]["Columns"]
    }


def _comments(columns: Sequence[TableColumn]) -> dict[str, str]:
    """Return the descriptions of a version's columns, by their names in Glue."""
    comments = {}
    for column in columns:
        if column.description:
            comments[column.name.lower()] = column.description
    return comments


def _has(table: Mapping[str, Any], types: Mapping[str, str], comments: Mapping[str, str]) -> bool:
    """Whether a table has exactly these columns, with these comments.

    A column for which there is no comment here may have any in the table.
    """
    if types != _types(table):
        return False
    for column in table["StorageDescriptor"]["Columns"]:
        name = column["Name"]
        if name in comments and comments[name] != column.get("Comment", ""):
            return False
    return True


def _columns(
    types: Mapping[str, str], comments: Mapping[str, str], present: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str]]:
    """Return the columns of a table for Glue.

    Args:
        types: The types of the columns, in their order.
        comments: The comments of some columns.
        present: Glue's descriptions of the columns that the table has. What other programs wrote
            there stays.
    """
    columns = []
    for name, glue_type in types.items():
        column = dict(present.get(name, {}))
        column["Name"] = name
        column["Type"] = glue_type
        if name in comments:
            column["Comment"] = comments[name]
        columns.append(column)
    return columns


def _as_text(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {glue_type}" for name, glue_type in types.items())


def _response(
    problem: str,
    call: Callable[..., Any],
    *,
    expected: Collection[ErrorKind] = (),
    **arguments: Any,
) -> Any:
    """Return Glue's response to a call; None if it refuses for an expected reason."""
    try:
        return call(**arguments)
    except (ClientError, BotoCoreError) as error:
        kind = error_kind(error)
        if kind in expected:
            return None
        advice = _ADVICE.get(error_code(error), "")
        raise TableError(f"{problem}: {error}.{advice}", retryable=kind.retryable) from error


def parquet_descriptor(types: Mapping[str, str], location_uri: str) -> dict[str, Any]:
    """Return Glue's StorageDescriptor of Parquet files with these columns and types."""
    return {
        "Columns": [{"Name": name, "Type": glue_type} for name, glue_type in types.items()],
        "Location": location_uri,
        "InputFormat": f"{_HIVE}.MapredParquetInputFormat",
        "OutputFormat": f"{_HIVE}.MapredParquetOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": f"{_HIVE}.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1"},
        },
    }


def _holds(wide: str, narrow: str) -> bool:
    """Whether a type holds every value of another."""
    if wide == narrow:
        return True
    if wide == "double" and narrow == "float":
        return True
    if wide in _INTEGERS and narrow in _INTEGERS:
        return _INTEGERS.index(wide) > _INTEGERS.index(narrow)
    wide_decimal = _DECIMAL.fullmatch(wide)
    narrow_decimal = _DECIMAL.fullmatch(narrow)
    if wide_decimal is None or narrow_decimal is None:
        return False
    wide_scale = int(wide_decimal["scale"])
    narrow_scale = int(narrow_decimal["scale"])
    wide_whole_digits = int(wide_decimal["precision"]) - wide_scale
    narrow_whole_digits = int(narrow_decimal["precision"]) - narrow_scale
    return wide_scale >= narrow_scale and wide_whole_digits >= narrow_whole_digits
