"""The Glue table of a report in one cadence: one partition for each published period.

The table is EXTERNAL, of Parquet, and partitioned by `period`. A partition names the Parquet of the version
that the period's manifest names, and has the main facts of the manifest as parameters.

If the columns of a report change, the table follows as long as every partition can still be read: a column
may be added (NULL in earlier periods), left out (NULL from then on) or widened.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from athena_reports.errors import PublishError, SchemaError
from athena_reports.publication.location import Location
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.rows.columns import Column
from athena_reports.s3 import split_uri

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

MARK = {"written_by": "athena-reports"}
"""Table parameter that marks a table as ours."""

PARTITION_KEY = "period"

_Types = Mapping[str, str]  # Glue's type of each column, by name

_log = logging.getLogger(__name__)
_ATTEMPTS = 10
_WIDER = (("tinyint", "smallint", "int", "bigint"), ("float", "double"))
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_TABLE_INPUT = {"Name", "Description", "Owner", "Retention", "PartitionKeys", "TableType", "Parameters"}
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
_CHANGED_MEANWHILE = {"ConcurrentModificationException", "VersionMismatchException"}
_THROTTLED = {"ThrottlingException", "TooManyRequestsException"}
_PASSING = {"InternalServiceException", "OperationTimeoutException", "ResourceNotReadyException", *_THROTTLED}


class TableError(PublishError):
    """Glue refused a call, or the table is not ours."""


class Partition(NamedTuple):
    """What Glue says of a period: the `s3://` folder of its Parquet, and the parameters."""

    location: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The table of one report in one cadence. Every method raises TableError if Glue refuses a call.

    Attributes:
        database: Glue database of the reports.
        location: Where its periods are published; the period has no meaning here.
        glue: A boto3 client of Glue.
    """

    database: str
    location: Location
    glue: GlueClient
    _prepared: dict[frozenset[tuple[str, str]], _Types] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """Name of the table, `<report>_<cadence>`."""
        return f"{self.location.report}_{self.location.cadence}"

    def columns(self) -> tuple[Column, ...] | None:
        """Return the columns of the table, with Glue's types only; None if there is no table."""
        found = self._find()
        if found is None:
            return None
        return tuple(Column(name=name, type="", glue=kind) for name, kind in _types(found).items())

    def prepare(self, columns: Sequence[Column]) -> _Types:
        """Make the table one that can take a version with these columns; its partitions do not change.

        Returns:
            Glue's type of each column of the table, by name.

        Raises:
            SchemaError: A column has no place in the table, or its type does not fit.
        """
        wanted = self._glue_types(columns)
        key = frozenset(wanted.items())
        if key not in self._prepared:
            self._prepared[key] = self._with_columns(wanted)
        return self._prepared[key]

    def put_partition(self, period_id: str, columns: Sequence[Column], partition: Partition) -> None:
        """Create the partition of a period whose version has these columns, or replace what it says."""
        # A partition has the table's columns in the table's order, because readers may go by position, but
        # the types that its files have, from which Athena widens.
        types = {**self.prepare(columns), **self._glue_types(columns)}
        entry = {
            "Values": [period_id],
            "StorageDescriptor": _descriptor(types, partition.location),
            "Parameters": dict(partition.parameters),
        }
        arguments = {"TableName": self.name, "PartitionInput": entry}
        create = (self.glue.create_partition, {_PRESENT, _ABSENT}, arguments)
        update = (self.glue.update_partition, {_ABSENT}, {**arguments, "PartitionValueList": [period_id]})
        for call, expected, arguments in (create, update, create, update):
            if self._call("the period cannot be written to it", expected, call, **arguments) is not None:
                return
        raise TableError(
            f"{self._about} was deleted meanwhile. The period is published. Clear publish to create the "
            f"table again and to add the period to it."
        )

    def partitions(self) -> Mapping[str, Partition]:
        """Return each partition by period id; none if there is no table."""
        pages = self.glue.get_paginator("get_partitions")
        arguments = {"TableName": self.name, "ExcludeColumnSchema": True}
        listed = self._call("its partitions cannot be listed", {_ABSENT}, _all(pages), **arguments)
        found = [partition for page in listed or () for partition in page["Partitions"]]
        folders = [each.get("StorageDescriptor", {}).get("Location", "") for each in found]
        return {
            each["Values"][0]: Partition(folder, each.get("Parameters", {}))
            for each, folder in zip(found, folders, strict=True)
        }

    def published_periods(self) -> Mapping[str, PartitionFacts]:
        """Return what each partition of ours says, by period id."""
        found = {}
        for period_id, partition in self.partitions().items():
            try:
                found[period_id] = PartitionFacts.from_parameters(partition.parameters)
            except ValueError:
                _log.warning("%s: the partition %s is not of a published period", self._about, period_id)
        return found

    @property
    def _about(self) -> str:
        return f"Glue table {self.database}.{self.name}"

    def _glue_types(self, columns: Sequence[Column]) -> dict[str, str]:
        types: dict[str, str] = {}
        for column in columns:
            name, problem = column.name.lower(), ""
            if name == PARTITION_KEY:
                problem = "is what the table is partitioned by. Name it differently in the SQL (AS)."
            elif name in types:
                problem = "differs from another one only by case, which Glue ignores. Rename one."
            elif not column.glue:
                problem = f"is a {column.type}, which Glue does not have. CAST it in the SQL, to varchar say."
            if problem:
                raise SchemaError(f"{self._about}: the column {name!r} {problem} Nothing is published.")
            types[name] = column.glue
        return types

    def _find(self) -> Mapping[str, Any] | None:
        answer = self._call("it cannot be read", {_ABSENT}, self.glue.get_table, Name=self.name)
        if answer is None:
            return None
        found: Mapping[str, Any] = answer["Table"]
        folder = found.get("StorageDescriptor", {}).get("Location", "")
        if not _is_ours(found) or folder != self.location.folder_uri:
            writer = found.get("Parameters", {}).get("written_by", "another program")
            raise TableError(
                f"{self._about} is not the table of {self.location.folder_uri}: its location is "
                f"{folder or 'empty'}, and {writer} wrote it. Nothing is published. Move it away, or let "
                f"ATHENA_REPORTS_REPORT_DATABASE name a database of this environment's own.",
                retryable=False,
            )
        return found

    def _with_columns(self, wanted: _Types) -> _Types:
        """Create the table, or merge the columns of a version into it."""
        for _ in range(_ATTEMPTS):
            found = self._find()
            if found is None:
                if self._create(wanted):
                    return wanted
                continue
            present = _types(found)
            merged = self._merged(present, wanted)
            if merged == present or self._update(found, merged):
                return merged
        raise TableError(
            f"{self._about} was changed by others at each of {_ATTEMPTS} attempts. Nothing is published. See "
            f"who writes it, then clear publish."
        )

    def _merged(self, present: _Types, wanted: _Types) -> _Types:
        merged = {**present, **wanted}
        for name in present.keys() & wanted.keys():
            widest = _widest(present[name], wanted[name])
            if widest is None:
                raise SchemaError(
                    f"{self._about}: the column {name!r} cannot change from {present[name]} to "
                    f"{wanted[name]}. The table has {_listed(present)}; the version {_listed(wanted)}. "
                    f"Nothing is published. CAST it to {present[name]}, or give the column a new name."
                )
            merged[name] = widest
        return merged

    def _create(self, types: _Types) -> bool:
        """Create the table; False if another run creates it."""
        table = {
            "Name": self.name,
            "Description": "Published by athena-reports, one partition for each period.",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": PARTITION_KEY, "Type": "string"}],
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **MARK},
            "StorageDescriptor": _descriptor(types, self.location.folder_uri),
        }
        expected = {_PRESENT, *_CHANGED_MEANWHILE}
        answer = self._call("it cannot be created", expected, self.glue.create_table, TableInput=table)
        return answer is not None

    def _update(self, found: Mapping[str, Any], types: _Types) -> bool:
        """Give the table other columns; False if it was changed meanwhile."""
        descriptor = found["StorageDescriptor"]
        kept = {entry["Name"]: entry for entry in descriptor["Columns"]}
        columns = [{**kept.get(name, {}), "Name": name, "Type": kind} for name, kind in types.items()]
        arguments: dict[str, Any] = {name: found[name] for name in ("VersionId",) if name in found}
        arguments["TableInput"] = {
            **{name: value for name, value in found.items() if name in _TABLE_INPUT},
            "StorageDescriptor": {**descriptor, "Columns": columns},
        }
        call = self.glue.update_table
        return self._call("it cannot be changed", _CHANGED_MEANWHILE, call, **arguments) is not None

    def _call(self, problem: str, expected: Collection[str], call: Callable[..., Any], **arguments: Any) -> Any:
        return _answer(f"{self._about}: {problem}", expected, call, DatabaseName=self.database, **arguments)


def published_tables(database: str, glue: GlueClient) -> Iterator[Table]:
    """Yield each table of ours in a database; a copy under another name is not one.

    Raises:
        TableError: The database is missing, or Glue refused.
    """
    pages = glue.get_paginator("get_tables")
    problem = f"Glue database {database}: its tables cannot be listed"
    for page in _answer(problem, (), _all(pages), DatabaseName=database):
        for found in filter(_is_ours, page["TableList"]):
            folder = found["StorageDescriptor"].get("Location", "")
            bucket, key = split_uri(folder)
            report, cadence, *_ = f"{key}//".split("/")
            table = Table(database, Location(bucket, report, cadence, ""), glue)
            if (table.name, table.location.folder_uri) == (found["Name"], folder):
                yield table
            else:
                _log.warning("%s.%s is skipped: its location is %s", database, found["Name"], folder)


def _all(pages: Any) -> Callable[..., list[Any]]:
    return lambda **arguments: list(pages.paginate(**arguments))


def _is_ours(found: Mapping[str, Any]) -> bool:
    return bool(found.get("Parameters", {}).items() >= MARK.items())


def _types(found: Mapping[str, Any]) -> dict[str, str]:
    return {entry["Name"]: entry["Type"] for entry in found["StorageDescriptor"]["Columns"]}


def _answer(problem: str, expected: Collection[str], call: Callable[..., Any], **arguments: Any) -> Any:
    """Return what Glue answers; None if it refuses with an expected code."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**arguments)
    except (ClientError, BotoCoreError) as error:
        response = error.response if isinstance(error, ClientError) else {}
        code = str(response.get("Error", {}).get("Code", ""))
        if code in expected:
            return None
        advice = ""
        if code == _ABSENT:
            database = arguments["DatabaseName"]
            advice = f"Create the database {database}, or let ATHENA_REPORTS_REPORT_DATABASE name another."
        elif code == "AccessDeniedException":
            service = "Lake Formation" if "Lake Formation" in str(error) else "IAM"
            advice = f"Allow it for the connection's role in {service}."
        retryable = not response or code in _PASSING
        raise TableError(f"{problem}: {error}. {advice}".rstrip(), retryable=retryable) from error


def _descriptor(types: _Types, location_uri: str) -> dict[str, Any]:
    columns = [{"Name": name, "Type": kind} for name, kind in types.items()]
    return {"Columns": columns, "Location": location_uri, **_PARQUET}


def _widest(one: str, other: str) -> str | None:
    """Return the one of two types that holds every value of the other, or None if neither does."""
    if one == other:
        return one
    for types in _WIDER:
        if one in types and other in types:
            return max(one, other, key=types.index)
    pairs = ((one, other), (other, one))
    return next((wide for wide, narrow in pairs if _holds_decimal(wide, narrow)), None)


def _holds_decimal(wide: str, narrow: str) -> bool:
    found, wanted = _DECIMAL.fullmatch(wide), _DECIMAL.fullmatch(narrow)
    if found is None or wanted is None:
        return False
    (digits, scale), (narrow_digits, narrow_scale) = map(int, found.groups()), map(int, wanted.groups())
    return scale >= narrow_scale and digits - scale >= narrow_digits - narrow_scale


def _listed(types: _Types) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())
