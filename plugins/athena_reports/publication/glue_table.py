"""The Glue table of a report in one cadence: a partition for each published period.

The table is EXTERNAL, of Parquet, and partitioned by `period`. A partition lies on the Parquet of the version
that its period's manifest names, and carries the manifest's main facts as parameters, so that a list of
periods needs no manifest. The manifest is the truth; the partition follows it.

When the columns of a report change, the table follows if every partition can still be read: a column may be
added (NULL in earlier periods), left out (NULL from then on) or widened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.errors import PublishError, SchemaError
from athena_reports.stage import Location
from athena_reports.storage import split_uri

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

MARK = {"written_by": "athena-reports"}
"""Table parameter by which a table is known as ours."""

PARTITION_KEY = "period"

_ATTEMPTS = 10
_WIDER = (("tinyint", "smallint", "int", "bigint"), ("float", "double"))
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
# What UpdateTable takes of what GetTable answers.
_TABLE_INPUT = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "TableType",
    "Parameters",
)
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}
_ABSENT = "EntityNotFoundException"
_PRESENT = "AlreadyExistsException"
_CHANGED_MEANWHILE = frozenset({"ConcurrentModificationException", "VersionMismatchException"})
_PASSING = frozenset(
    {
        "ThrottlingException",
        "TooManyRequestsException",
        "InternalServiceException",
        "OperationTimeoutException",
        "ResourceNotReadyException",
    }
)


class TableError(PublishError):
    """Glue did not do what it was asked to; the message names the table, the reason and what to do.

    Attributes:
        retryable: Whether the same call may succeed later as it is.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message, retryable=retryable)


@dataclass(frozen=True)
class Column:
    """A column as Glue names it.

    Attributes:
        name: Its name, in lower case.
        type: Glue's name of its type.
    """

    name: str
    type: str


@dataclass(frozen=True)
class Table:
    """The table of one report in one cadence.

    Attributes:
        database: Glue database of the reports.
        location: Where its periods lie; which period makes no difference.
        glue: A boto3 client of Glue.
    """

    database: str
    location: Location
    glue: GlueClient

    @property
    def name(self) -> str:
        """Name of the table, `<report>_<cadence>`."""
        return f"{self.location.report}_{self.location.cadence}"

    def prepare(self, columns: Sequence[Mapping[str, str]]) -> list[Column]:
        """Make the table one that can take a version with these columns; nothing that it holds changes.

        Args:
            columns: As `StagedVersion.columns` has them.

        Returns:
            The table's columns, which are those and maybe others.

        Raises:
            SchemaError: A column has no place in the table, or its type does not fit.
            TableError: The database is not there, the table is somebody else's, or Glue refused.
        """
        wanted = self._glue_columns(columns)
        for _ in range(_ATTEMPTS):
            found = self._find()
            if found is None:
                if self._create(wanted):
                    return wanted
                continue
            present = [
                Column(entry["Name"], entry["Type"]) for entry in found["StorageDescriptor"]["Columns"]
            ]
            merged = self._merged(present, wanted)
            if merged == present or self._update(found, merged):
                return merged
        raise TableError(
            f"{self._about} was changed by others at each of {_ATTEMPTS} attempts. Nothing was published; "
            f"see who writes it, then clear publish.",
            retryable=True,
        )

    def put_partition(
        self,
        period_id: str,
        columns: Sequence[Mapping[str, str]],
        *,
        within: Sequence[Column],
        location_uri: str,
        parameters: Mapping[str, str],
        is_new: bool,
    ) -> None:
        """Create the partition of a period, or replace what it says.

        Args:
            period_id: The period.
            columns: Those of the version, as `StagedVersion.columns` has them.
            within: Those of the table, as `prepare` returned them.
            location_uri: `s3://` address of the version's Parquet, with the closing slash.
            parameters: The facts that the partition carries.
            is_new: Whether it is probably not there yet; saves a call when right.

        Raises:
            TableError: The table is not there any more, or Glue refused.
        """
        own = {column.name: column.type for column in self._glue_columns(columns)}
        # A partition has the table's columns in the table's order, because readers may go by position, but
        # the types that its files have, from which Athena widens.
        declared = [Column(column.name, own.get(column.name, column.type)) for column in within]
        partition = {
            "Values": [period_id],
            "StorageDescriptor": _descriptor(declared, location_uri),
            "Parameters": dict(parameters),
        }
        steps = (self._create_partition, self._update_partition)
        for step in (*steps, *steps) if is_new else (*reversed(steps), *reversed(steps)):
            if step(partition):
                return
        raise TableError(
            f"{self._about} is not there any more. The period is published; clear publish to create the "
            f"table again and add the period to it.",
            retryable=True,
        )

    def partitions(self) -> Mapping[str, Mapping[str, str]]:
        """Return the parameters of each partition, by period id; none where there is no table.

        Raises:
            TableError: Glue refused.
        """
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=self.name, ExcludeColumnSchema=True
        )
        found = self._call("its partitions cannot be listed", {_ABSENT}, lambda: list(pages))
        return {
            partition["Values"][0]: partition.get("Parameters", {})
            for page in found or ()
            for partition in page["Partitions"]
        }

    @property
    def _about(self) -> str:
        return f"Glue table {self.database}.{self.name}"

    def _glue_columns(self, columns: Sequence[Mapping[str, str]]) -> list[Column]:
        names = [column["name"].lower() for column in columns]
        for name, column in zip(names, columns, strict=True):
            problem = ""
            if name == PARTITION_KEY:
                problem = "is what the table is partitioned by. Name it differently in the SQL (AS)."
            elif names.count(name) > 1:
                problem = "differs from another one only by case, which Glue does not tell apart. Rename one."
            elif not column["glue"]:
                problem = (
                    f"is a {column['type']}, for which Glue has no type. CAST it in the SQL, to varchar say."
                )
            if problem:
                raise SchemaError(
                    f"{self._about}: the column {column['name']!r} {problem} Nothing was published."
                )
        return [Column(name, column["glue"]) for name, column in zip(names, columns, strict=True)]

    def _find(self) -> Mapping[str, Any] | None:
        answer = self._call(
            "it cannot be read", {_ABSENT}, self.glue.get_table, DatabaseName=self.database, Name=self.name
        )
        if answer is None:
            return None
        found: Mapping[str, Any] = answer["Table"]
        parameters = found.get("Parameters", {})
        lies_on = found.get("StorageDescriptor", {}).get("Location", "")
        if not _is_ours(found) or lies_on != self.location.folder_uri:
            raise TableError(
                f"{self._about} is not the table of {self.location.folder_uri}: it lies on "
                f"{lies_on or 'nothing'} and was written by {parameters.get('written_by', 'somebody else')}. "
                f"Nothing was published. Move it away, or let ATHENA_REPORTS_REPORT_DATABASE name a database "
                f"of this environment's own."
            )
        return found

    def _merged(self, present: Sequence[Column], wanted: Sequence[Column]) -> list[Column]:
        """Return the table's columns with those of a version brought in."""
        types = {column.name: column.type for column in wanted}
        merged = []
        for column in present:
            type_ = types.pop(column.name, column.type)
            widest = _widest(column.type, type_)
            if widest is None:
                raise SchemaError(
                    f"{self._about}: the column {column.name!r} cannot turn from {column.type} into {type_}. "
                    f"The table has {_listed(present)}; the version {_listed(wanted)}. Nothing was "
                    f"published. CAST it to {column.type}, or give the column a new name."
                )
            merged.append(Column(column.name, widest))
        return [*merged, *(Column(name, type_) for name, type_ in types.items())]

    def _create(self, columns: Sequence[Column]) -> bool:
        """Create the table; False if it is there by now, or somebody else creates it at this moment."""
        table = {
            "Name": self.name,
            "Description": "Published by athena-reports, one partition for each period.",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": PARTITION_KEY, "Type": "string"}],
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **MARK},
            "StorageDescriptor": _descriptor(columns, self.location.folder_uri),
        }
        return self._done(
            "it cannot be created",
            {_PRESENT, *_CHANGED_MEANWHILE},
            self.glue.create_table,
            DatabaseName=self.database,
            TableInput=table,
        )

    def _update(self, found: Mapping[str, Any], columns: Sequence[Column]) -> bool:
        """Give the table other columns; False if somebody else changed it meanwhile."""
        kept = {entry["Name"]: entry for entry in found["StorageDescriptor"]["Columns"]}
        entries = [{**kept.get(c.name, {}), "Name": c.name, "Type": c.type} for c in columns]
        table = {name: found[name] for name in _TABLE_INPUT if name in found}
        table["StorageDescriptor"] = {**found["StorageDescriptor"], "Columns": entries}
        version = {"VersionId": found["VersionId"]} if "VersionId" in found else {}
        return self._done(
            "it cannot be changed",
            _CHANGED_MEANWHILE,
            self.glue.update_table,
            DatabaseName=self.database,
            TableInput=table,
            **version,
        )

    def _create_partition(self, partition: Mapping[str, Any]) -> bool:
        """Create a partition; False if it is there by now, or the table is not."""
        return self._done(
            "the period cannot be added to it",
            {_PRESENT, _ABSENT},
            self.glue.create_partition,
            DatabaseName=self.database,
            TableName=self.name,
            PartitionInput=partition,
        )

    def _update_partition(self, partition: Mapping[str, Any]) -> bool:
        """Replace a partition; False if it is not there."""
        return self._done(
            "the period cannot be changed in it",
            {_ABSENT},
            self.glue.update_partition,
            DatabaseName=self.database,
            TableName=self.name,
            PartitionValueList=partition["Values"],
            PartitionInput=partition,
        )

    def _done(
        self, problem: str, expected: Collection[str], call: Callable[..., Any], **arguments: Any
    ) -> bool:
        return self._call(problem, expected, call, **arguments) is not None

    def _call(
        self, problem: str, expected: Collection[str], call: Callable[..., Any], **arguments: Any
    ) -> Any:
        return _answer(f"{self._about}: {problem}", expected, self.database, call, **arguments)


def published_tables(
    database: str, glue: GlueClient
) -> Iterator[tuple[str, Mapping[str, Mapping[str, str]]]]:
    """Yield the name of each table of ours in a database, and the parameters of its partitions by period id.

    Raises:
        TableError: The database is not there, or Glue refused.
    """
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
    problem = f"Glue database {database}: its tables cannot be listed"
    for page in _answer(problem, (), database, lambda: list(pages)):
        for found in page["TableList"]:
            if _is_ours(found):
                bucket, key = split_uri(found["StorageDescriptor"]["Location"])
                report, cadence, _ = key.split("/")
                table = Table(database, Location(bucket, report, cadence, ""), glue)
                yield table.name, table.partitions()


def _is_ours(found: Mapping[str, Any]) -> bool:
    return bool(found.get("Parameters", {}).items() >= MARK.items())


def _answer(
    problem: str, expected: Collection[str], database: str, call: Callable[..., Any], **arguments: Any
) -> Any:
    """Return what Glue answers, or None if that is an error whose code is expected."""
    try:
        return call(**arguments)
    except (ClientError, BotoCoreError) as error:
        response = error.response if isinstance(error, ClientError) else {}
        code = str(response.get("Error", {}).get("Code", ""))
        if code in expected:
            return None
        raise TableError(
            f"{problem}: {error}. {_advice(code, str(error), database)}".rstrip(),
            retryable=not response or code in _PASSING,
        ) from error


def _advice(code: str, message: str, database: str) -> str:
    if code == _ABSENT:
        return (
            f"Create the database {database}, or let ATHENA_REPORTS_REPORT_DATABASE name another; then clear "
            f"the task."
        )
    if "Lake Formation" in message:
        return "Grant it to the connection's role in Lake Formation, then clear the task."
    if code == "AccessDeniedException":
        return "Allow it for the connection's role in IAM, then clear the task."
    return ""


def _descriptor(columns: Sequence[Column], location_uri: str) -> dict[str, Any]:
    entries = [{"Name": column.name, "Type": column.type} for column in columns]
    return {"Columns": entries, "Location": location_uri, **_PARQUET}


def _widest(one: str, other: str) -> str | None:
    """Return the one of two types that holds every value of the other, or None if neither does."""
    if one == other:
        return one
    for types in _WIDER:
        if one in types and other in types:
            return max(one, other, key=types.index)
    for wide, narrow in ((one, other), (other, one)):
        if _holds_decimal(wide, narrow):
            return wide
    return None


def _holds_decimal(wide: str, narrow: str) -> bool:
    found, wanted = _DECIMAL.fullmatch(wide), _DECIMAL.fullmatch(narrow)
    if found is None or wanted is None:
        return False
    digits, scale = int(found[1]), int(found[2])
    narrow_digits, narrow_scale = int(wanted[1]), int(wanted[2])
    return scale >= narrow_scale and digits - scale >= narrow_digits - narrow_scale


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(f"{column.name} {column.type}" for column in columns)
