"""The Glue table of a report in a cadence; its columns may be added or left out (NULL in other periods) or widened."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from athena_reports.aws.errors import ErrorKind, error_code, error_kind
from athena_reports.errors import PublishError, SchemaError
from athena_reports.periods.calendar import Cadence, Period, periods_among
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import Partition, PartitionFacts
from athena_reports.rows.columns import Column

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_MARK = {"written_by": "athena-reports"}  # parameter of our tables
ATTEMPTS = 10
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_TABLE_INPUT = {"Name", "Description", "Owner", "Retention", "PartitionKeys", "TableType", "Parameters"}
_HIVE = "org.apache.hadoop.hive.ql.io.parquet"
_SERDE = {"SerializationLibrary": f"{_HIVE}.serde.ParquetHiveSerDe", "Parameters": {"serialization.format": "1"}}
_FORMATS = {f"{kind}Format": f"{_HIVE}.MapredParquet{kind}Format" for kind in ("Input", "Output")}
_PARQUET: dict[str, Any] = {**_FORMATS, "SerdeInfo": _SERDE}
_CHANGED_MEANWHILE = {ErrorKind.ENTITY_EXISTS, ErrorKind.ENTITY_CHANGED}
_ADVICE = {  # by the code of Glue's error
    "EntityNotFoundException": " Create the database, or set ATHENA_REPORTS_REPORT_DATABASE to another one.",
    "AccessDeniedException": " Allow it for the connection's role in IAM and in Lake Formation.",
}


class TableError(PublishError):
    """Glue refused a call, or the table is not ours."""


def changed_by_others(what: str) -> PublishError:
    """Return the error for something that other writers change whenever this one is about to."""
    return PublishError(
        f"{what} was changed by others at each of {ATTEMPTS} attempts. Find that program, then clear publish."
    )


@dataclass(frozen=True)
class Table:
    """The table of a report in a cadence, in a Glue database."""

    database: str
    location: ReportLocation
    glue: "GlueClient"
    _prepared: dict[Sequence[Column], dict[str, str]] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """Name of the table, `<report>_<cadence>`."""
        return self.location.table_name

    def columns(self) -> tuple[Column, ...] | None:
        """Return the columns of the table, with Glue's types only; None if there is no table."""
        types = _types(self._find())
        return tuple(Column(name=name, type="", glue=kind) for name, kind in types.items()) or None

    def prepare(self, columns: Sequence[Column], *, commented: bool = False) -> dict[str, str]:
        """Make the table take a version with these columns, and return its types; SchemaError if they do not fit."""
        key, wanted = tuple(columns), self._glue_types(columns)
        # Only who publishes comments: who repairs an old period may know older words.
        comments = {each.name.lower(): each.description for each in columns if commented and each.description}
        for _ in range(ATTEMPTS):
            if key in self._prepared:
                return self._prepared[key]
            found = self._find()
            types = self._merged(_types(found), wanted)
            call = self.glue.update_table if found else self.glue.create_table
            arguments = _changed(found, types, comments) if found else self._new(types, comments)
            is_same = found and types == _types(found) and comments.items() <= _types(found, "Comment").items()
            if is_same or self._call("it cannot be changed", _CHANGED_MEANWHILE, call, **arguments) is not None:
                return self._prepared.setdefault(key, types)
        raise changed_by_others(self._about)

    def put_partition(self, period_id: str, columns: Sequence[Column], partition: Partition) -> None:
        """Create the partition of a period whose version has these columns, or replace what it says."""
        # Readers may go by position: the table's columns in their order, with its files' types. Athena widens them.
        descriptor = parquet_descriptor(self.prepare(columns) | self._glue_types(columns), partition.location)
        entry = {"Values": [period_id], "StorageDescriptor": descriptor, "Parameters": dict(partition.parameters)}
        put = partial(self._call, "the period cannot be written to it", TableName=self.name, PartitionInput=entry)
        if put({ErrorKind.ENTITY_EXISTS}, self.glue.create_partition) is None:
            put((), self.glue.update_partition, PartitionValueList=[period_id])

    def mark_broken(self, period_id: str, listed: Partition, why: str) -> None:
        """Let the partition of a period say why it is broken, unless it has changed since it was listed."""
        which = {"TableName": self.name, "Expression": f"period = '{period_id}'"}
        call = _all(self.glue, "get_partitions")
        found = self._call("its partitions cannot be listed", (), call, **which)["Partitions"]
        for each in (each for each in found if each.get("Parameters", {}) == listed.parameters):
            entry = {name: each[name] for name in ("Values", "StorageDescriptor")}
            entry["Parameters"] = {**listed.parameters, "broken": why}
            put = {"TableName": self.name, "PartitionValueList": [period_id], "PartitionInput": entry}
            self._call("the period cannot be marked", (), self.glue.update_partition, **put)

    def partitions(self) -> Mapping[str, Partition]:
        """Return each partition by period id; none if there is no table."""
        call, options = _all(self.glue, "get_partitions"), {"TableName": self.name, "ExcludeColumnSchema": True}
        listed = self._call("its partitions cannot be listed", {ErrorKind.NO_ENTITY}, call, **options) or {}
        return {
            each["Values"][0]: Partition(each["StorageDescriptor"].get("Location", ""), each.get("Parameters", {}))
            for each in listed.get("Partitions", [])
        }

    def published_periods(self) -> Mapping[str, PartitionFacts]:
        """Return what each partition of ours says, by period id."""
        found = {}
        for period_id, partition in self.partitions().items():
            with suppress(ValueError):
                found[period_id] = PartitionFacts.from_parameters(partition.parameters)
        return found

    def periods_of(self, cadence: Cadence) -> Mapping[Period, PartitionFacts]:
        """Return what each partition of ours says whose id is that of a period of the cadence, by period."""
        published = self.published_periods()
        return {period: published[period.id] for period in periods_among(cadence, published)}

    @property
    def _about(self) -> str:
        return f"Glue table {self.database}.{self.name}"

    def _glue_types(self, columns: Sequence[Column]) -> dict[str, str]:
        for column in columns:
            problem = "" if column.glue else f"is a {column.type}, which Glue does not have. CAST it to varchar."
            if column.name.lower() == "period":
                problem = "has the name of the partition key. Name it differently in the SQL (AS)."
            if problem:
                raise SchemaError(f"{self._about}: the column {column.name!r} {problem} Nothing is published.")
        return {column.name.lower(): column.glue for column in columns}

    def _find(self) -> Mapping[str, Any] | None:
        answer = self._call("it cannot be read", {ErrorKind.NO_ENTITY}, self.glue.get_table, Name=self.name)
        found: Mapping[str, Any] | None = answer and answer["Table"]
        folder = found.get("StorageDescriptor", {}).get("Location", "") if found else ""
        if found and (not _is_ours(found) or folder != self.location.folder_uri):
            raise TableError(
                f"{self._about} is not the table of {self.location.folder_uri}: its location is {folder!r}, or another "
                f"program wrote it. Move it away, or let ATHENA_REPORTS_REPORT_DATABASE name another database.",
                retryable=False,
            )
        return found

    def _merged(self, present: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
        merged = {**present, **wanted}
        for name in present.keys() & wanted.keys():
            pair = present[name], wanted[name]
            wider = [one for one, other in (pair, pair[::-1]) if _holds(one, other)]
            if not wider:
                listed = [", ".join(f"{name} {kind}" for name, kind in types.items()) for types in (present, wanted)]
                raise SchemaError(
                    f"{self._about}: the column {name!r} cannot change from {pair[0]} to {pair[1]}. The table has "
                    f"{listed[0]}; the version {listed[1]}. Nothing is published. CAST or rename the column."
                )
            merged[name] = wider[0]
        return merged

    def _new(self, types: Mapping[str, str], comments: Mapping[str, str]) -> dict[str, Any]:
        keys, marks = [{"Name": "period", "Type": "string"}], {"EXTERNAL": "TRUE", "classification": "parquet", **_MARK}
        descriptor = parquet_descriptor({}, self.location.folder_uri) | {"Columns": _columns(types, comments, {})}
        described = {"StorageDescriptor": descriptor, "PartitionKeys": keys}
        return {"TableInput": {"Name": self.name, "TableType": "EXTERNAL_TABLE", "Parameters": marks, **described}}

    def _call(self, problem: str, expected: Collection[ErrorKind], call: Callable[..., Any], **arguments: Any) -> Any:
        return _answer(f"{self._about}: {problem}", expected, call, DatabaseName=self.database, **arguments)


def published_tables(database: str, glue: "GlueClient") -> Iterator[Table]:
    """Yield each table of ours in a database; a copy under another name is not one."""
    problem = f"Glue database {database}: its tables cannot be listed"
    for found in _answer(problem, (), _all(glue, "get_tables"), DatabaseName=database)["TableList"]:
        folder = found.get("StorageDescriptor", {}).get("Location", "")
        table = Table(database, ReportLocation.of_folder(folder), glue)
        if _is_ours(found) and (table.name, table.location.folder_uri) == (found["Name"], folder):
            yield table


def _all(glue: "GlueClient", operation: Any) -> Callable[..., Any]:
    return lambda **arguments: glue.get_paginator(operation).paginate(**arguments).build_full_result()


def _is_ours(found: Mapping[str, Any]) -> bool:
    return bool(found.get("Parameters", {}).items() >= _MARK.items())


def _types(found: Mapping[str, Any] | None, what: str = "Type") -> dict[str, str]:
    columns = found["StorageDescriptor"]["Columns"] if found else []
    return {entry["Name"]: entry.get(what, "") for entry in columns}


def _columns(types: Mapping[str, str], comments: Mapping[str, str], kept: Mapping[str, Any]) -> list[dict[str, str]]:
    said = {name: {"Comment": comment} for name, comment in comments.items()}
    return [{**kept.get(name, {}), "Name": name, "Type": types[name], **said.get(name, {})} for name in types]


def _changed(found: Mapping[str, Any], types: Mapping[str, str], comments: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of UpdateTable for other columns; it is refused if the table has changed since."""
    columns = _columns(types, comments, {entry["Name"]: entry for entry in found["StorageDescriptor"]["Columns"]})
    table = {name: value for name, value in found.items() if name in _TABLE_INPUT}
    table["StorageDescriptor"] = {**found["StorageDescriptor"], "Columns": columns}
    return {"TableInput": table} | {name: found[name] for name in ("VersionId",) if name in found}


def _answer(problem: str, expected: Collection[ErrorKind], call: Callable[..., Any], **arguments: Any) -> Any:
    """Return what Glue answers; None if it refuses for an expected reason."""
    from botocore.exceptions import BotoCoreError, ClientError

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
    return {"Columns": [{"Name": name, "Type": types[name]} for name in types], "Location": location_uri, **_PARQUET}


def _holds(wide: str, narrow: str) -> bool:
    """Whether a type holds every value of another."""
    if wide in _INTEGERS and narrow in _INTEGERS:
        return _INTEGERS.index(wide) >= _INTEGERS.index(narrow)
    found, wanted = _DECIMAL.fullmatch(wide), _DECIMAL.fullmatch(narrow)
    if found and wanted:
        (digits, scale), (narrow_digits, narrow_scale) = map(int, found.groups()), map(int, wanted.groups())
        return scale >= narrow_scale and digits - scale >= narrow_digits - narrow_scale
    return wide == narrow or (wide, narrow) == ("double", "float")
