"""The input tables of a case: CSV files become tables of a database of the case."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from athena_reports.authors.trial import Aws
from athena_reports.errors import AthenaReportsError
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports.reports.input import Input
from athena_reports.rows.columns import TABLE_TYPES, duckdb_literal, quoted, table_type
from athena_reports.rows.engine import Engine, open_engine, reason
from athena_reports.rows.writer import CONTENT_TYPES
from athena_reports.settings import settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

EXPECTED_FILE = "expected.csv"
_READ_CSV = """
CREATE TABLE {table} AS FROM read_csv(
    {file}, header = true, all_varchar = true, delim = ',', quote = '"', escape = '"',
    nullstr = '', allow_quoted_nulls = false
)
"""

Row = tuple[str | None, ...]


class CaseError(AthenaReportsError):
    """A case cannot be run as it is written."""


def csv_rows(path: Path, engine: Engine) -> tuple[Row, ...]:
    """Return the header and the rows of a CSV file as texts.

    An empty field is None, and `""` the empty text.
    """
    relation = _relation(path, engine)
    header = tuple(relation.columns)
    return (header, *relation.fetchall())


@contextmanager
def case_tables(folder: Path, inputs: Sequence[Input], aws: Aws) -> Iterator[str]:
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
    files = [path for path in sorted(folder.glob("*.csv")) if path.name != EXPECTED_FILE]
    if not files:
        raise CaseError(
            f"{folder} has no input: write a CSV file for each table, such as plays.csv."
        )
    keys_of_tables = {source.table: source.columns for source in inputs}
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
    texts = _relation(path, engine)
    types = _types(path, texts.columns)
    missing = [key for key in partition_keys if key not in types]
    if missing:
        raise CaseError(
            f"{path} has no column {', '.join(missing)},"
            " by which the report's input is partitioned."
        )

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

    rows = _renamed(texts, list(types))
    if not partition_keys:
        _upload(rows, stored_types, path, table_uri, engine, aws)
        return
    for values in _partition_values(rows, partition_keys):
        if None in values:
            raise CaseError(
                f"{path}: a row has no {' or '.join(partition_keys)},"
                " by which the table is partitioned."
            )
        partition_uri = table_uri
        conditions = []
        for key, value in zip(partition_keys, values, strict=True):
            partition_uri += f"{key}={value}/"
            conditions.append(f"{quoted(key)} = {duckdb_literal(value)}")
        partition = rows.filter(" AND ".join(conditions))
        _upload(partition, stored_types, path, partition_uri, engine, aws)
        descriptor = parquet_descriptor(stored_types, partition_uri)
        aws.glue.create_partition(
            DatabaseName=database,
            TableName=path.stem,
            PartitionInput={"Values": list(values), "StorageDescriptor": descriptor},
        )


def _relation(path: Path, engine: Engine) -> "DuckDBPyRelation":
    """Return the rows of a CSV file as texts, under the header as it is written."""
    import duckdb

    name = uuid4().hex
    # The engine reads files of its own folder only.
    copy = engine.folder / f"{name}.csv"
    copy.write_bytes(path.read_bytes())
    try:
        engine.connection.execute(
            _READ_CSV.format(table=quoted(name), file=duckdb_literal(str(copy)))
        )
    except duckdb.Error as error:
        raise CaseError(f"{path} does not read as CSV: {reason(error)}.") from error
    return engine.connection.table(quoted(name))


def _types(path: Path, header: Sequence[str]) -> dict[str, str]:
    """Return the type of each column by name, as the header has them; CaseError for a wrong one."""
    types = {}
    for cell in header:
        name, _, written_type = cell.strip().partition(" ")
        if not name or not written_type:
            raise CaseError(
                f"{path}: each column of the header needs a type, such as `score bigint`."
                f" It has {list(header)}."
            )
        glue_type = written_type.strip().lower()
        try:
            table_type(glue_type)
        except ValueError as error:
            problem = f"the column {name!r} has the type {glue_type!r}, which no table has"
            known = ", ".join(TABLE_TYPES)
            raise CaseError(f"{path}: {problem}. The types are {known}.") from error
        types[name] = glue_type
    return types


def _renamed(relation: "DuckDBPyRelation", names: Sequence[str]) -> "DuckDBPyRelation":
    columns = []
    for column, name in zip(relation.columns, names, strict=True):
        columns.append(f"{quoted(column)} AS {quoted(name)}")
    return relation.select(", ".join(columns))


def _partition_values(
    rows: "DuckDBPyRelation", partition_keys: Sequence[str]
) -> list[tuple[Any, ...]]:
    columns = ", ".join(quoted(key) for key in partition_keys)
    return rows.select(columns).distinct().fetchall()


def _upload(
    rows: "DuckDBPyRelation",
    types: Mapping[str, str],
    path: Path,
    folder_uri: str,
    engine: Engine,
    aws: Aws,
) -> None:
    """Upload rows of texts as one Parquet file of the columns' types."""
    import duckdb

    casts = []
    for name, glue_type in types.items():
        casts.append(f"{quoted(name)}::{table_type(glue_type)} AS {quoted(name)}")
    local = engine.folder / f"{uuid4().hex}.parquet"
    try:
        rows.select(", ".join(casts)).write_parquet(str(local))
    except duckdb.Error as error:
        raise CaseError(f"{path}: {reason(error)}.") from error
    aws.s3.upload(local, f"{folder_uri}part-0.parquet", CONTENT_TYPES["parquet"], sha256="")
