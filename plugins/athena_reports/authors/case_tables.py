"""The input tables of a case: CSV files become tables of a database that lasts as long as the case."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from athena_reports.authors.trial import Aws
from athena_reports.errors import AthenaReportsError
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.reports.input import Input
from athena_reports.rows.columns import literal, quoted, table_type
from athena_reports.rows.engine import Engine, open_engine, reason
from athena_reports.rows.writer import CONTENT_TYPES
from athena_reports.settings import settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

EXPECTED_FILE = "expected.csv"

Row = tuple[str | None, ...]


class CaseError(AthenaReportsError):
    """A case cannot be run as it is written."""


def csv_rows(path: Path, engine: Engine) -> tuple[Row, ...]:
    """Return the header and the rows of a CSV file as texts: an empty field is None, `""` the empty text."""
    relation = _relation(path, engine)
    return (tuple(relation.columns), *relation.fetchall())


@contextmanager
def case_tables(folder: Path, inputs: Sequence[Input], aws: Aws) -> Iterator[str]:
    """Create a database with a table for each CSV file of a case, and remove it afterwards; yields its name.

    Tables have the partition keys that the report's inputs declare.
    """
    database = f"case_{uuid4().hex[:12]}"
    prefix = f"s3://{settings().report_bucket}/_cases/{database}/"
    files = [path for path in sorted(folder.glob("*.csv")) if path.name != EXPECTED_FILE]
    if not files:
        raise CaseError(f"{folder} has no input: write a CSV file for each table, such as plays.csv.")
    keys = {source.table: source.columns for source in inputs}
    aws.glue.create_database(DatabaseInput={"Name": database})
    try:
        with open_engine(settings().memory_limit, about=str(folder)) as engine:
            for path in files:
                _load(path, database, f"{prefix}{path.stem}/", keys.get(path.stem, ()), engine, aws)
        yield database
    finally:
        aws.glue.delete_database(Name=database)
        aws.s3.delete([each.uri for each in aws.s3.list(prefix)])


def _load(path: Path, database: str, folder_uri: str, keys: Sequence[str], engine: Engine, aws: Aws) -> None:
    import duckdb

    rows = _relation(path, engine)
    types = _types(path, rows.columns)
    if missing := [key for key in keys if key not in types]:
        raise CaseError(f"{path} has no column {', '.join(missing)}, by which the report's input is partitioned.")
    stored = {name: kind for name, kind in types.items() if name not in keys}
    table: Any = {"Name": path.stem, "TableType": "EXTERNAL_TABLE"}
    table["StorageDescriptor"] = parquet_descriptor(stored, folder_uri)
    table["PartitionKeys"] = [{"Name": key, "Type": types[key]} for key in keys]
    aws.glue.create_table(DatabaseName=database, TableInput=table)
    named = rows.select(
        ", ".join(f"{quoted(column)} AS {quoted(name)}" for column, name in zip(rows.columns, types, strict=True))
    )
    casts = ", ".join(f"{quoted(name)}::{table_type(kind)} AS {quoted(name)}" for name, kind in stored.items())
    partitions = named.select(", ".join(map(quoted, keys))).distinct().fetchall() if keys else [()]
    for number, values in enumerate(partitions):
        if None in values:
            raise CaseError(f"{path}: a row has no {' or '.join(keys)}, by which the table is partitioned.")
        of = dict(zip(keys, values, strict=True))
        local = engine.folder / f"{path.stem}-{number}.parquet"
        try:
            where = " AND ".join(f"{quoted(key)} = {literal(value)}" for key, value in of.items())
            named.filter(where or "true").select(casts).write_parquet(str(local))
        except duckdb.Error as error:
            raise CaseError(f"{path}: {reason(error)}.") from error
        below = "".join(f"{key}={value}/" for key, value in of.items())
        aws.s3.upload(local, f"{folder_uri}{below}part-0.parquet", CONTENT_TYPES["parquet"], sha256="")
        if keys:
            entry: Any = {"Values": [*values], "StorageDescriptor": parquet_descriptor(stored, folder_uri + below)}
            aws.glue.create_partition(DatabaseName=database, TableName=path.stem, PartitionInput=entry)


def _relation(path: Path, engine: Engine) -> "DuckDBPyRelation":
    import duckdb

    name = uuid4().hex
    local = engine.folder / f"{name}.csv"
    local.write_bytes(path.read_bytes())
    options = "header=true, all_varchar=true, delim=',', quote='\"', escape='\"', nullstr='', allow_quoted_nulls=false"
    try:
        engine.connection.execute(f"CREATE TABLE {quoted(name)} AS FROM read_csv({literal(str(local))}, {options})")
    except duckdb.Error as error:
        raise CaseError(f"{path} does not read as CSV: {reason(error)}.") from error
    return engine.connection.table(quoted(name))


def _types(path: Path, header: Sequence[str]) -> Mapping[str, str]:
    """Return name and type of each column, as the header says them."""
    cells = [cell.strip().partition(" ") for cell in header]
    if not all(name and kind for name, _, kind in cells):
        raise CaseError(f"{path}: each column of the header needs a type, such as `score bigint`. It has {[*header]}.")
    return {name: kind.strip().lower() for name, _, kind in cells}
