"""Tables as Glue describes them, and their Parquet files in S3 as one dataset for each scan."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
from botocore.exceptions import ClientError

from local_athena.athena import projection
from local_athena.athena.clients import OWN_KEY, Clients
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.lookups import FoundObject, Lookups
from local_athena.athena.text_tables import TextFormat
from local_athena.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INTEGER,
    REAL,
    SMALLINT,
    TIMESTAMP,
    TINYINT,
    VARBINARY,
    VARCHAR,
    Type,
    decimal,
    is_integer,
)

if TYPE_CHECKING:
    from moto.glue.models import FakePartition

    from local_athena.athena.relations import Scan

_GLUE_TYPES = {
    "boolean": BOOLEAN,
    "tinyint": TINYINT,
    "smallint": SMALLINT,
    "int": INTEGER,
    "integer": INTEGER,
    "bigint": BIGINT,
    "float": REAL,
    "double": DOUBLE,
    "string": VARCHAR,
    "date": DATE,
    "timestamp": TIMESTAMP,
    "binary": VARBINARY,
}
_ARROW_TYPES = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "varchar": pa.string(),
    "char": pa.string(),
    "date": pa.date32(),
    "varbinary": pa.binary(),
}
PATH = "$path"
"""The hidden column that has the file of a row."""
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_REMEMBERED_FILES = 10_000


@dataclass(frozen=True)
class Table:
    """A table of Glue.

    Attributes:
        database: Its database.
        name: Its name.
        columns: Types of its columns in the table's order; a type that is not done here has the
            base "unsupported".
        partition_types: Types of its partition keys, in order.
        location: The `s3://` prefix of its files, if it has no partition keys.
        projected: Its partitions if they are projected; None if Glue registers them.
        text: How its lines are read; None for Parquet.
    """

    database: str
    name: str
    columns: dict[str, Type]
    partition_types: dict[str, Type]
    location: str
    projected: tuple[Partition, ...] | None = None
    text: TextFormat | None = None


@dataclass(frozen=True)
class View:
    """A view of Athena.

    Attributes:
        database: Where its unqualified tables are.
        name: Its name, in lower case.
        sql: Its query.
        columns: Names of its columns.
    """

    database: str
    name: str
    sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    """A partition of a table.

    Attributes:
        values: Its values as text, in the order of the keys.
        location: The `s3://` prefix of its files.
        columns: Its own columns with their types, as far as Glue knows any.
    """

    values: tuple[str, ...]
    location: str
    columns: Mapping[str, Type] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What one scan reads.

    Attributes:
        dataset: The files, with the partition keys as columns.
        scanned_bytes: Compressed bytes of the column chunks that the query needs. Athena bills
            them so.
    """

    dataset: ds.Dataset
    scanned_bytes: int


def glue_type(text: str) -> Type:
    """A type of Glue (Hive) as one of Trino."""
    text = text.strip().lower()
    nested = re.fullmatch(r"(array|map|struct)\s*<(.*)>", text, flags=re.DOTALL)
    if nested is not None:
        return _nested_type(nested[1], _split_types(nested[2]))
    match = re.fullmatch(r"(decimal|varchar|char)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", text)
    if match is not None and match[1] == "decimal":
        return decimal(int(match[2]), int(match[3] or 0))
    if match is not None:
        return Type(match[1], int(match[2]))
    return decimal(10, 0) if text == "decimal" else _GLUE_TYPES.get(text, Type("unsupported"))


def _nested_type(base: str, held: Sequence[str]) -> Type:
    if base == "struct":
        pairs = [each.partition(":") for each in held]
        types = tuple(glue_type(type_) for _, _, type_ in pairs)
        whole = Type("row", of=types, fields=tuple(name.strip() for name, _, _ in pairs))
    elif len(held) != (1 if base == "array" else 2):
        return Type("unsupported")
    else:
        whole = Type(base, of=tuple(map(glue_type, held)))
    return Type("unsupported") if "unsupported" in whole.bases else whole


def _split_types(text: str) -> list[str]:
    """What stands between the commas of a nested type, those inside of brackets left alone."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def arrow_type(type_: Type, timestamp_unit: str = "us") -> pa.DataType:
    """The Arrow type that a column of a type has, with timestamps in a unit."""
    inner = [arrow_type(each, timestamp_unit) for each in type_.of]
    if type_.base == "array":
        return pa.list_(inner[0])
    if type_.base == "map":
        return pa.map_(*inner)
    if type_.base == "row":
        return pa.struct(list(zip(type_.fields, inner, strict=True)))
    if type_.base == "timestamp":
        return pa.timestamp(timestamp_unit)
    return pa.decimal128(*type_.digits) if type_.base == "decimal" else _ARROW_TYPES[type_.base]


class Catalog:
    """Glue's data catalog in one region.

    Args:
        clients: Clients of S3 and Glue.
        region: The region.
    """

    def __init__(self, clients: Clients, region: str) -> None:
        self._clients = clients
        self._region = region
        self._lookups = Lookups(region)
        self._files = pyarrow.fs.S3FileSystem(
            endpoint_override=clients.endpoint_url,
            access_key=OWN_KEY,
            secret_key="local",
            region=region,
            request_timeout=60,
        )
        self._format = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")
        self._fragments: dict[tuple[str, ...], ds.ParquetFileFragment] = {}
        self._partitions: WeakKeyDictionary[FakePartition, Partition] = WeakKeyDictionary()

    def table(self, database: str, name: str) -> Table | View:
        """The table, or the view.

        Raises:
            QueryFailed: SCHEMA_NOT_FOUND, TABLE_NOT_FOUND; NOT_SUPPORTED for a view of Hive, a
                format or a projection that is not done here.
        """
        glue = self._clients.get("glue", self._region)
        try:
            table = glue.get_table(DatabaseName=database, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
            if not self._has_database(database):
                message = f"Schema '{database}' does not exist"
                raise QueryFailed("SCHEMA_NOT_FOUND", message) from None
            message = f"Table 'awsdatacatalog.{database}.{name}' does not exist"
            raise QueryFailed("TABLE_NOT_FOUND", message) from None
        parameters = table.get("Parameters", {})
        if table.get("TableType") == "VIRTUAL_VIEW":
            return _view(database, name, table.get("ViewOriginalText", ""))
        storage = table.get("StorageDescriptor", {})
        text = None
        serde = storage.get("SerdeInfo", {}).get("SerializationLibrary", "")
        if "parquet" not in f"{serde} {parameters.get('classification', '')}".lower():
            properties = storage.get("SerdeInfo", {}).get("Parameters", {})
            text = TextFormat.of(serde, properties, parameters)
        keys, location = _types(table.get("PartitionKeys", [])), storage.get("Location", "")
        projected = None
        if parameters.get("projection.enabled", "").lower() == "true" and keys:
            found = projection.partitions(f"{database}.{name}", list(keys), parameters, location)
            projected = tuple(Partition(*each) for each in found)
        columns = _types(storage.get("Columns", []))
        return Table(database, name, columns, keys, location, projected, text)

    def _has_database(self, database: str) -> bool:
        try:
            self._clients.get("glue", self._region).get_database(Name=database)
        except ClientError:
            return False
        return True

    def partitions(self, table: Table) -> list[Partition]:
        """The projected or registered partitions; a table without partition keys is one."""
        if table.projected is not None:
            return list(table.projected)
        if not table.partition_types:
            return [Partition((), table.location)]
        registered = self._lookups.partitions(table.database, table.name)
        return [self._partition(each) for each in registered]

    def _partition(self, registered: FakePartition) -> Partition:
        known = self._partitions.get(registered)
        if known is None:
            described = registered.as_dict()
            storage = described.get("StorageDescriptor", {})
            columns = _types(storage.get("Columns", []))
            known = Partition(tuple(described["Values"]), storage.get("Location", ""), columns)
            self._partitions[registered] = known
        return known

    def read(self, scan: Scan, partitions: Sequence[Partition]) -> Reading:
        """The files of partitions, opened as far as their footers.

        Raises:
            QueryFailed: HIVE_BAD_DATA if a file does not fit the table,
                HIVE_PARTITION_SCHEMA_MISMATCH if a partition does not.
        """
        table = scan.table
        if table.text is not None:
            return self._read_text(table, table.text, scan, partitions)
        types = {**table.columns, **table.partition_types}
        if PATH in scan.columns:
            types[PATH] = VARCHAR
        columns = scan.columns - {PATH}
        supported = {name: type_ for name, type_ in types.items() if type_.base != "unsupported"}
        schema = pa.schema([(name, arrow_type(type_)) for name, type_ in supported.items()])
        fragments = []
        scanned_bytes = 0
        for partition in partitions:
            _check_columns(table, partition)
            expression = _expression(table, partition)
            for found in self._list(partition.location):
                path = found.path
                whole = expression
                if PATH in scan.columns:
                    whole = expression & (ds.field(PATH) == ds.scalar(f"s3://{path}"))
                fragment = self._fragment(found, partition, whole, PATH in scan.columns)
                _check_types(fragment, {name: table.columns[name] for name in columns}, path)
                scanned_bytes += _column_bytes(fragment, columns)
                fragments.append(fragment)
        dataset = ds.FileSystemDataset(fragments, schema, self._format, self._files)
        return Reading(dataset, scanned_bytes)

    def _read_text(
        self, table: Table, text: TextFormat, scan: Scan, partitions: Sequence[Partition]
    ) -> Reading:
        """The lines of partitions; all bytes of a file count, as Athena has to read them."""
        types = {**table.columns, **table.partition_types, PATH: VARCHAR}
        schema = pa.schema(
            [(name, arrow_type(types[name])) for name in types if _is_read(name, table, scan)]
        )
        columns = {name: table.columns[name] for name in table.columns if name in schema.names}
        for name, type_ in columns.items():
            if type_.base == "unsupported":
                raise not_supported(f"the type of the column {name} of {table.database}.{table.name}")
        batches = []
        scanned_bytes = 0
        for partition in partitions:
            values = {
                name: _values(table, [value], type_)[0]
                for (name, type_), value in zip(
                    table.partition_types.items(), partition.values, strict=True
                )
            }
            for found in self._list(partition.location):
                with self._files.open_input_stream(found.path, compression=None) as stream:
                    rows = text.rows(stream.read(), found.path, table.columns)
                scanned_bytes += found.size
                constant = {**values, PATH: pa.scalar(f"s3://{found.path}")}
                batches.append(_batch(rows, constant, schema))
        return Reading(ds.dataset(pa.Table.from_batches(batches, schema)), scanned_bytes)

    def _fragment(
        self,
        found: FoundObject,
        partition: Partition,
        expression: ds.Expression,
        has_path: bool,
    ) -> ds.ParquetFileFragment:
        path = found.path
        key = (path, found.etag, str(has_path), *partition.values)
        fragment = self._fragments.get(key)
        if fragment is None:
            fragment = self._format.make_fragment(
                path, self._files, expression, file_size=found.size
            )
            try:
                fragment.ensure_complete_metadata()
            except (pa.ArrowInvalid, OSError) as error:
                message = f"s3://{path} is not valid Parquet: {error}"
                raise QueryFailed("HIVE_BAD_DATA", message) from None
            if len(self._fragments) >= _REMEMBERED_FILES:
                self._fragments.clear()
            self._fragments[key] = fragment
        return fragment

    def _list(self, location: str) -> Iterator[FoundObject]:
        bucket, _, prefix = location.partition("://")[2].partition("/")
        prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        try:
            for found in self._lookups.objects(bucket, prefix):
                names = found.key.removeprefix(prefix).split("/")
                hidden = any(name.startswith(("_", ".")) for name in names)
                if found.size and not hidden:
                    yield found
        except LookupError as error:
            raise QueryFailed("HIVE_FILESYSTEM_ERROR", f"cannot list {location}: {error}") from None


def _view(database: str, name: str, text: str) -> View:
    """A view as Athena keeps it in Glue: JSON in Base64 in a comment."""
    encoded = re.fullmatch(r"/\* Presto View: ([A-Za-z0-9+/=]+) \*/", text.strip())
    if encoded is None:
        raise not_supported(f"views that Athena has not made ({database}.{name})")
    view = json.loads(base64.b64decode(encoded[1]))
    columns = tuple(column["name"] for column in view["columns"])
    return View(view.get("schema") or database, name, view["originalSql"], columns)


def _is_read(name: str, table: Table, scan: Scan) -> bool:
    return name in table.partition_types or name in scan.columns


def _batch(
    rows: Sequence[Mapping[str, Any]], constant: Mapping[str, pa.Scalar], schema: pa.Schema
) -> pa.RecordBatch:
    arrays = []
    for column in schema:
        if column.name in constant:
            arrays.append(pa.repeat(constant[column.name], len(rows)).cast(column.type))
        else:
            arrays.append(pa.array([row[column.name] for row in rows], column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _types(columns: Sequence[Mapping[str, str]]) -> dict[str, Type]:
    return {column["Name"].lower(): glue_type(column["Type"]) for column in columns}


def _check_columns(table: Table, partition: Partition) -> None:
    """A partition's columns are matched with the table's by name, as those of Parquet are."""
    for name, type_ in table.columns.items():
        own = partition.columns.get(name, type_)
        if own != type_ and not _widens(own, type_):
            values = zip(table.partition_types, partition.values, strict=True)
            keys = "/".join(f"{key}={value}" for key, value in values)
            raise QueryFailed(
                "HIVE_PARTITION_SCHEMA_MISMATCH",
                "There is a mismatch between the table and partition schemas. The types are"
                f" incompatible and cannot be coerced. The column '{name}' in table"
                f" '{table.database}.{table.name}' is declared as type '{type_}', but partition"
                f" '{keys}' declared column '{name}' as type '{own}'.",
            )


def _widens(own: Type, to: Type) -> bool:
    """Whether a partition's type is read as the table's."""
    if is_integer(own) and is_integer(to):
        return own.digits < to.digits
    return (own, to) == (REAL, DOUBLE) or {own.base, to.base} <= {"varchar"}


def partition_values(table: Table, partitions: Sequence[Partition]) -> pa.Table:
    """The partitions' values under the types of their keys, one row each.

    Raises:
        QueryFailed: HIVE_INVALID_PARTITION_VALUE if a value is none of its type.
    """
    arrays = []
    for position, type_ in enumerate(table.partition_types.values()):
        texts = [partition.values[position] for partition in partitions]
        arrays.append(_values(table, texts, type_))
    return pa.table(arrays, names=list(table.partition_types))


def _values(table: Table, texts: Sequence[str], type_: Type) -> pa.Array:
    if type_.base == "unsupported":
        raise not_supported(f"a type among the partition keys of {table.database}.{table.name}")
    known = pa.array([None if text == _NULL_PARTITION else text for text in texts], pa.string())
    try:
        return known.cast(arrow_type(type_))
    except pa.ArrowInvalid:
        if len(texts) > 1:
            return pa.concat_arrays([_values(table, [text], type_) for text in texts])
        message = f"Invalid partition value '{texts[0]}' for {type_} partition key"
        raise QueryFailed("HIVE_INVALID_PARTITION_VALUE", message) from None


def _expression(table: Table, partition: Partition) -> ds.Expression:
    expression = ds.scalar(True)
    for (name, type_), text in zip(table.partition_types.items(), partition.values, strict=True):
        value = _values(table, [text], type_)[0]
        field = ds.field(name)
        equal = field == value if value.is_valid else field.is_null()
        expression = expression & equal
    return expression


def _column_bytes(fragment: ds.ParquetFileFragment, columns: set[str]) -> int:
    total = 0
    for group in range(fragment.metadata.num_row_groups):
        row_group = fragment.metadata.row_group(group)
        for position in range(row_group.num_columns):
            chunk = row_group.column(position)
            if chunk.path_in_schema.partition(".")[0] in columns:
                total += chunk.total_compressed_size
    return total


def _check_types(fragment: ds.ParquetFileFragment, columns: dict[str, Type], path: str) -> None:
    """Athena matches columns by name and converts little: to a wider integer, float to double."""
    schema = fragment.physical_schema
    lower = {name.lower(): name for name in schema.names}
    for name, type_ in columns.items():
        if name not in lower:
            continue
        if lower[name] != name:
            raise not_supported(
                f"Parquet columns with capital letters ({lower[name]} in s3://{path})"
            )
        found = schema.field(name).type
        if not _fits(found, type_):
            message = (
                f"Field {name}'s type {found} in parquet file s3://{path} is incompatible with type"
                f" {type_} defined in table schema"
            )
            raise QueryFailed("HIVE_BAD_DATA", message)


def _fits(found: pa.DataType, type_: Type) -> bool:
    wanted = arrow_type(type_)
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_signed_integer(wanted):
        return bool(pa.types.is_signed_integer(found) and found.bit_width <= wanted.bit_width)
    if type_.base in ("varchar", "char"):
        return bool(
            pa.types.is_string(found)
            or pa.types.is_large_string(found)
            or pa.types.is_string_view(found)
        )
    if type_.base == "varbinary":
        return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found))
    if type_.base == "timestamp":
        return bool(pa.types.is_timestamp(found) and found.tz in (None, "UTC"))
    if type_.of and pa.types.is_nested(found):
        return _same_shape(found, wanted)
    return bool(found == wanted or (type_.base == "double" and found == pa.float32()))


def _same_shape(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether nested types hold the same, whatever Parquet calls the elements of a list."""
    if pa.types.is_struct(wanted):
        if not pa.types.is_struct(found) or found.num_fields != wanted.num_fields:
            return False
        pairs = [(found.field(i), wanted.field(i)) for i in range(wanted.num_fields)]
        return all(
            own.name.lower() == field.name and _same_shape(own.type, field.type)
            for own, field in pairs
        )
    if pa.types.is_map(wanted):
        return bool(
            pa.types.is_map(found)
            and _same_shape(found.key_type, wanted.key_type)
            and _same_shape(found.item_type, wanted.item_type)
        )
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and _same_shape(found.value_type, wanted.value_type)
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_timestamp(found) and found.tz in (None, "UTC"))
    return bool(found == wanted)
