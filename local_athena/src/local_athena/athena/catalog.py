"""Tables as Glue describes them, and their Parquet files in S3 as one dataset for each scan."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from local_athena.athena import projection
from local_athena.athena.errors import QueryFailed, not_supported
from local_athena.athena.lake import FoundObject, Lake
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
        columns: Types of its columns in the table's order; a type that is not done here has the
            base "unsupported".
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
    """

    database: str
    name: str
    sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    """A partition of a table.

    Attributes:
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
        scanned_bytes: Compressed bytes of the column chunks that the query needs. Athena bills
            them so.
    """

    dataset: ds.Dataset
    scanned_bytes: int


def glue_type(text: str) -> Type:
    """Return a type of Glue (Hive) as one of Trino."""
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
    """Return the Arrow type that a column of a type has, with timestamps in a unit."""
    inner = [arrow_type(each, timestamp_unit) for each in type_.of]
    if type_.base == "array":
        return pa.list_(inner[0])
    if type_.base == "map":
        return pa.map_(*inner)
    if type_.base == "row":
        return pa.struct(list(zip(type_.shown_fields, inner, strict=True)))
    if type_.base == "timestamp":
        return pa.timestamp(timestamp_unit)
    return pa.decimal128(*type_.digits) if type_.base == "decimal" else _ARROW_TYPES[type_.base]


class Footers:
    """Parquet files with their footers, remembered from one query to the next."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._fragments: dict[tuple[str, ...], ds.ParquetFileFragment] = {}
        self.format = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")

    def fragment(
        self, found: FoundObject, values: tuple[str, ...], expression: ds.Expression
    ) -> ds.ParquetFileFragment:
        """Return a file of a partition, opened as far as its footer."""
        key = (found.path, found.etag, *values)
        fragment = self._fragments.get(key)
        if fragment is None:
            file = pa.PythonFile(_ObjectFile(self._lake, found), mode="r")
            fragment = self.format.make_fragment(file, partition_expression=expression)
            try:
                fragment.ensure_complete_metadata()
            except (pa.ArrowInvalid, OSError) as error:
                message = f"s3://{found.path} is not valid Parquet: {error}"
                raise QueryFailed("HIVE_BAD_DATA", message) from None
            if len(self._fragments) >= _REMEMBERED_FILES:
                self._fragments.clear()
            self._fragments[key] = fragment
        return fragment


class _ObjectFile(io.RawIOBase):
    """An object of S3 as a file."""

    def __init__(self, lake: Lake, found: FoundObject) -> None:
        self._lake = lake
        self._found = found
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def size(self) -> int:  # what Arrow asks first
        return self._found.size

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._found.size}
        self._position = origin[whence] + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        length = self._found.size - self._position if size < 0 else size
        try:
            part = self._lake.read(self._found, self._position, length)
        except LookupError as error:
            raise OSError(str(error)) from None
        self._position += len(part)
        return part


class _ObjectsDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """Files that Python reads, as DuckDB scans them."""

    def scanner(self, **options: Any) -> Any:
        """Return what DuckDB asks for a reader."""
        return _ObjectsScanner(super().scanner(**options))


class _MixedDataset(ds.UnionDataset):  # type: ignore[misc]
    """Files that Python reads beside rows in memory, as DuckDB scans them."""

    def scanner(self, **options: Any) -> Any:
        """Return what DuckDB asks for a reader."""
        return _ObjectsScanner(super().scanner(**options))


class _ObjectsScanner:
    """A scanner that begins without the GIL.

    pyarrow's `to_reader` holds the GIL while Arrow waits for a lock. If the thread that has the
    lock waits for the GIL, to read a file, neither goes on. `to_batches` lets the GIL go.
    """

    def __init__(self, scanner: ds.Scanner) -> None:
        self._scanner = scanner

    def to_reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(
            self._scanner.projected_schema, self._scanner.to_batches()
        )


class Catalog:
    """Glue's data catalog in one region, as one query sees it; `now` is what NOW stands for."""

    def __init__(self, lake: Lake, footers: Footers, now: dt.datetime) -> None:
        self.now = now
        self._lake = lake
        self._footers = footers

    def table(self, database: str, name: str) -> Table | View:
        """Return the table, or the view."""
        table = self._lake.table(database, name)
        if table is None:
            if not self._lake.has_database(database):
                raise QueryFailed("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist")
            message = f"Table 'awsdatacatalog.{database}.{name}' does not exist"
            raise QueryFailed("TABLE_NOT_FOUND", message)
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
            found = projection.partitions(
                f"{database}.{name}", list(keys), parameters, location, self.now
            )
            projected = tuple(Partition(*each) for each in found)
        columns = _types(storage.get("Columns", []))
        return Table(database, name, columns, keys, location, projected, text)

    def partitions(self, table: Table) -> list[Partition]:
        """Return the projected or registered partitions; a table without partition keys is one."""
        if table.projected is not None:
            return list(table.projected)
        if not table.partition_types:
            return [Partition((), table.location)]
        registered = self._lake.partitions(table.database, table.name)
        return [
            Partition(found.values, found.location, _partition_types(found.columns))
            for found in registered
        ]

    def read(self, scan: Scan, partitions: Sequence[Partition]) -> Reading:
        """Return the files of partitions, opened as far as their footers."""
        table = scan.table
        if table.text is not None:
            return self._read_text(table, table.text, scan, partitions)
        types = {**table.columns, **table.partition_types}
        if PATH in scan.columns:
            types[PATH] = VARCHAR
        columns = scan.columns - {PATH}
        _check_supported(table, columns)
        supported = {name: type_ for name, type_ in types.items() if type_.base != "unsupported"}
        schema = pa.schema([(name, arrow_type(type_)) for name, type_ in supported.items()])
        read = columns | set(table.partition_types) | {PATH}
        fragments = []
        respelt = []
        scanned_bytes = 0
        for partition in partitions:
            _check_columns(table, partition)
            expression = _expression(table, partition)
            for found in self._list(partition.location):
                path = found.path
                values, whole = partition.values, expression
                if PATH in scan.columns:
                    values = (*values, PATH)
                    whole = expression & (ds.field(PATH) == ds.scalar(f"s3://{path}"))
                fragment = self._footers.fragment(found, values, whole)
                spellings = _spellings(fragment, columns, path)
                _check_types(
                    fragment, {name: table.columns[name] for name in columns}, spellings, path
                )
                scanned_bytes += _column_bytes(fragment, set(spellings.values()))
                if all(name == spelling for name, spelling in spellings.items()):
                    fragments.append(fragment)
                else:
                    respelt.append(self._respelt(fragment, schema, read, spellings))
        dataset = _ObjectsDataset(fragments, schema, self._footers.format)
        if respelt:
            in_memory = ds.dataset(pa.concat_tables(respelt))
            dataset = _MixedDataset(schema, [dataset, in_memory])
        return Reading(dataset, scanned_bytes)

    def _respelt(
        self,
        fragment: ds.ParquetFileFragment,
        schema: pa.Schema,
        read: set[str],
        spellings: Mapping[str, str],
    ) -> pa.Table:
        """The rows of a file that spells its columns otherwise than the table, in memory."""
        wanted = [field for field in schema if field.name in read]
        of_file = [field.with_name(spellings.get(field.name, field.name)) for field in wanted]
        file = ds.FileSystemDataset([fragment], pa.schema(of_file), self._footers.format)
        rows = file.to_table().rename_columns([field.name for field in wanted])
        columns = [
            rows[field.name] if field.name in read else pa.nulls(rows.num_rows, field.type)
            for field in schema
        ]
        return pa.table(columns, schema=schema)

    def _read_text(
        self, table: Table, text: TextFormat, scan: Scan, partitions: Sequence[Partition]
    ) -> Reading:
        """The lines of partitions; all bytes of a file count, as Athena has to read them."""
        types = {**table.columns, **table.partition_types, PATH: VARCHAR}
        read = table.partition_types.keys() | scan.columns
        schema = pa.schema([(name, arrow_type(types[name])) for name in types if name in read])
        columns = {name: table.columns[name] for name in table.columns if name in schema.names}
        _check_supported(table, columns)
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
                content = self._lake.read(found, 0, found.size)
                rows = text.rows(content, found.path, table.columns)
                scanned_bytes += found.size
                constant = {**values, PATH: pa.scalar(f"s3://{found.path}")}
                batches.append(_batch(rows, constant, schema))
        return Reading(ds.dataset(pa.Table.from_batches(batches, schema)), scanned_bytes)

    def _list(self, location: str) -> Iterator[FoundObject]:
        bucket, _, prefix = location.partition("://")[2].partition("/")
        prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        try:
            for found in self._lake.objects(bucket, prefix):
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


def _check_supported(table: Table, columns: Iterable[str]) -> None:
    """Reject a column whose type is not known here."""
    for name in columns:
        if table.columns[name].base == "unsupported":
            raise not_supported(f"the type of the column {name} of {table.database}.{table.name}")


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


@lru_cache(maxsize=1_000)
def _partition_types(columns: tuple[tuple[str, str], ...]) -> Mapping[str, Type]:
    """Types of a partition's columns; most partitions of a table have the same."""
    return {name.lower(): glue_type(type_) for name, type_ in columns}


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
    """Cast the partitions' values to the types of their keys, one row each."""
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


def _spellings(fragment: ds.ParquetFileFragment, columns: set[str], path: str) -> Mapping[str, str]:
    """How a file spells those of some columns that it has: Athena matches them without case."""
    spellings: dict[str, str] = {}
    for spelling in fragment.physical_schema.names:
        name = spelling.lower()
        if name in spellings:
            both = f"{spellings[name]} and {spelling} in s3://{path}"
            raise not_supported(f"Parquet columns that differ in case alone ({both})")
        if name in columns:
            spellings[name] = spelling
    return spellings


def _check_types(
    fragment: ds.ParquetFileFragment,
    columns: dict[str, Type],
    spellings: Mapping[str, str],
    path: str,
) -> None:
    """Athena converts little: to a wider integer, float to double."""
    for name, spelling in spellings.items():
        type_ = columns[name]
        found = fragment.physical_schema.field(spelling).type
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
