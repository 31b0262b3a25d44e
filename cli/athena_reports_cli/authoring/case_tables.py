"""The input tables of a case: CSV files become tables of a database of the case."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from athena_reports.inputs.published import Source
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.rows.columns import TABLE_TYPES, duckdb_literal, table_type
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.rows.formats import CONTENT_TYPES
from athena_reports.settings import settings
from athena_reports.sql.names import quoted
from athena_reports_cli.authoring.case_csv import CaseError, CsvFile, read_csv
from athena_reports_cli.authoring.trial import Aws

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

EXPECTED_FILE = "expected.csv"
_LOAD_ROWS = """
CREATE TABLE {table} AS
SELECT {columns}
FROM read_json({file}, format = 'array', columns = {{{fields}}})
"""
_DATE = r"\d{4}-\d{2}-\d{2}"
_INTEGER = re.compile(r"[+-]?\d+")
# How a value is written. DuckDB reads more, and rounds it or drops a part of it without a word.
_FORMS = {
    "TINYINT": _INTEGER,
    "SMALLINT": _INTEGER,
    "INTEGER": _INTEGER,
    "BIGINT": _INTEGER,
    "DATE": re.compile(_DATE),
    "TIMESTAMP_MS": re.compile(rf"{_DATE}([ T]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,3}}0*)?)?)?"),
}
_DECIMAL = re.compile(r"DECIMAL\(\d+,(?P<scale>\d+)\)")
_EXAMPLES = {
    "DATE": "2025-06-15",
    "TIMESTAMP_MS": "2025-06-15 09:30:00.000, in UTC",
}


def input_files(folder: Path) -> list[Path]:
    """Return the CSV files of a case that become tables."""
    return [path for path in sorted(folder.glob("*.csv")) if path.name != EXPECTED_FILE]


@contextmanager
def case_tables(folder: Path, inputs: Sequence[Source], aws: Aws) -> Iterator[str]:
    """Create a database with a table for each CSV file of a case, and remove it afterwards.

    Args:
        folder: The folder of the case.
        inputs: The report's inputs. A table has the partition keys that its input declares.
        aws: The services to write to.

    Yields:
        The name of the database.

    Raises:
        CaseError: If the case has no CSV file, or one that cannot become a table.
    """
    database = f"case_{uuid4().hex[:12]}"
    prefix = f"s3://{settings().report_bucket}/_cases/{database}/"
    files = input_files(folder)
    if not files:
        raise CaseError(
            f"{folder} has no input: write a CSV file for each table, such as plays.csv."
        )
    keys_of_tables = {}
    for source in inputs:
        keys_of_tables[source.table] = source.columns
    aws.glue.create_database(DatabaseInput={"Name": database})
    try:
        with open_engine(settings().memory_limit, about=str(folder)) as engine:
            for path in files:
                partition_keys = keys_of_tables.get(path.stem, ())
                _load(path, database, f"{prefix}{path.stem}/", partition_keys, engine, aws)
        yield database
    finally:
        aws.glue.delete_database(Name=database)
        aws.s3.delete([stored.uri for stored in aws.s3.list(prefix)])


def _load(
    path: Path,
    database: str,
    table_uri: str,
    partition_keys: Sequence[str],
    engine: Engine,
    aws: Aws,
) -> None:
    """Create the table of a CSV file and upload its rows, one Parquet file for each partition."""
    file = read_csv(path)
    types = _types(file)
    missing = [key for key in partition_keys if key not in types]
    if missing:
        raise CaseError(
            f"{path}, line {file.header_line}: expected the column {', '.join(missing)}, by which"
            f" the report's input is partitioned; found {', '.join(types)}."
        )
    _require_partitions(file, list(types), partition_keys)
    rows = _relation(file, list(types), engine)
    _require_values(file, types, rows, engine)

    # The value of a partition key is in the folder's name, not in the files.
    stored_types = dict(types)
    glue_keys: list[Any] = []
    for key in partition_keys:
        glue_type = stored_types.pop(key)
        glue_keys.append({"Name": key, "Type": glue_type})
    descriptor: Any = parquet_descriptor(stored_types, table_uri)
    aws.glue.create_table(
        DatabaseName=database,
        TableInput={
            "Name": path.stem,
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": descriptor,
            "PartitionKeys": glue_keys,
        },
    )

    if not partition_keys:
        _upload(rows, stored_types, table_uri, engine, aws)
        return
    for values in _partition_values(rows, partition_keys):
        partition_uri = table_uri
        conditions = []
        for key, value in zip(partition_keys, values, strict=True):
            partition_uri += f"{key}={value}/"
            conditions.append(f"{quoted(key)} = {duckdb_literal(value)}")
        partition = rows.filter(" AND ".join(conditions))
        _upload(partition, stored_types, partition_uri, engine, aws)
        descriptor = parquet_descriptor(stored_types, partition_uri)
        aws.glue.create_partition(
            DatabaseName=database,
            TableName=path.stem,
            PartitionInput={"Values": list(values), "StorageDescriptor": descriptor},
        )


def _types(file: CsvFile) -> dict[str, str]:
    """Return the type of each column by name, as the header has them; CaseError for a wrong one."""
    types: dict[str, str] = {}
    about = f"{file.path}, line {file.header_line}"
    for place, field in enumerate(file.header, start=1):
        name, _, written_type = field.strip().partition(" ")
        if not name or not written_type:
            raise CaseError(
                f"{about}, column {place}: each column of the header needs a type; expected name"
                f" and type, such as `score bigint`, found {field!r}."
            )
        if name.lower() in (known.lower() for known in types):
            raise CaseError(
                f"{about}: the column {name!r} occurs twice; expected each column once, found"
                f" {', '.join(file.header)}."
            )
        glue_type = "".join(written_type.lower().split())
        try:
            table_type(glue_type)
        except ValueError as error:
            problem = f"the column {name!r} has the type {written_type.strip()!r}"
            known_types = ", ".join(TABLE_TYPES)
            raise CaseError(
                f"{about}: {problem}, which no table has. The types are {known_types}."
            ) from error
        types[name] = glue_type
    return types


def _require_partitions(file: CsvFile, names: Sequence[str], partition_keys: Sequence[str]) -> None:
    """Raise CaseError for a row without a partition."""
    for row in file.rows:
        for key in partition_keys:
            if row.values[names.index(key)] is None:
                raise CaseError(
                    f"{file.path}, line {row.line}, column {key}: expected a value, since the"
                    " table is partitioned by this column; found NULL."
                )


def _relation(file: CsvFile, names: Sequence[str], engine: Engine) -> "DuckDBPyRelation":
    """Return the rows of a file as texts, in columns of these names."""
    identifier = uuid4().hex
    places = [str(place) for place in range(len(names))]
    records = [dict(zip(places, row.values, strict=True)) for row in file.rows]
    path = engine.folder / f"{identifier}.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    columns = []
    fields = []
    for place, name in zip(places, names, strict=True):
        columns.append(f"{quoted(place)} AS {quoted(name)}")
        fields.append(f"{quoted(place)}: 'VARCHAR'")
    engine.connection.execute(
        _LOAD_ROWS.format(
            table=quoted(identifier),
            columns=", ".join(columns),
            file=duckdb_literal(str(path)),
            fields=", ".join(fields),
        )
    )
    return engine.connection.table(quoted(identifier))


def _require_values(
    file: CsvFile, types: Mapping[str, str], rows: "DuckDBPyRelation", engine: Engine
) -> None:
    """Raise CaseError for the first value that is not one of its column's type."""
    for place, (name, glue_type) in enumerate(types.items()):
        duckdb_type = table_type(glue_type)
        form = _form(duckdb_type)
        unread = _unread(rows, name, duckdb_type, engine)
        for number, row in enumerate(file.rows):
            value = row.values[place]
            if value is None:
                continue
            has_other_form = form is not None and form.fullmatch(value) is None
            if has_other_form or number in unread:
                expected = glue_type
                if duckdb_type in _EXAMPLES:
                    expected = f"{glue_type} such as {_EXAMPLES[duckdb_type]}"
                raise CaseError(
                    f"{file.path}, line {row.line}, column {name}: expected a value of type"
                    f" {expected}; found {value!r}."
                )


def _form(duckdb_type: str) -> re.Pattern[str] | None:
    """Return how a value of a type is written; None if all that DuckDB reads as one is a value."""
    decimal = _DECIMAL.fullmatch(duckdb_type)
    if decimal is not None:
        return re.compile(rf"[+-]?\d*(\.\d{{0,{decimal['scale']}}}0*)?")
    return _FORMS.get(duckdb_type)


def _unread(rows: "DuckDBPyRelation", name: str, duckdb_type: str, engine: Engine) -> set[int]:
    """Return the numbers of the rows, from 0, whose value DuckDB cannot read as one of a type."""
    import duckdb

    column = quoted(name)
    # Inside of a list or a struct TRY_CAST makes NULL of a part, and CAST raises an error.
    is_nested = duckdb_type.endswith(("]", ")")) and not duckdb_type.startswith("DECIMAL")
    if not is_nested:
        numbered = rows.select(
            f"row_number() OVER () - 1 AS number, {column} IS NOT NULL"
            f" AND TRY_CAST({column} AS {duckdb_type}) IS NULL AS is_unread"
        )
        return {number for (number,) in numbered.filter("is_unread").select("number").fetchall()}
    unread = set()
    for number, (value,) in enumerate(rows.select(column).fetchall()):
        try:
            sql = f"SELECT CAST($value AS {duckdb_type})"
            engine.connection.execute(sql, {"value": value}).fetchall()
        except duckdb.Error:
            unread.add(number)
    return unread


def _partition_values(
    rows: "DuckDBPyRelation", partition_keys: Sequence[str]
) -> list[tuple[Any, ...]]:
    columns = ", ".join(quoted(key) for key in partition_keys)
    return rows.select(columns).distinct().fetchall()


def _upload(
    rows: "DuckDBPyRelation",
    types: Mapping[str, str],
    folder_uri: str,
    engine: Engine,
    aws: Aws,
) -> None:
    """Upload rows of texts as one Parquet file of the columns' types."""
    casts = []
    for name, glue_type in types.items():
        casts.append(f"{quoted(name)}::{table_type(glue_type)} AS {quoted(name)}")
    local = engine.folder / f"{uuid4().hex}.parquet"
    rows.select(", ".join(casts)).write_parquet(str(local))
    aws.s3.upload(local, f"{folder_uri}part-0.parquet", CONTENT_TYPES["parquet"], sha256="")
