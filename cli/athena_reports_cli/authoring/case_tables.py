"""The input tables of a case: CSV files become tables of a database of the case."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from athena_reports.inputs.published import Source
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.settings import settings
from athena_reports_cli.authoring.csv_files import (
    DataFileError,
    explained_errors,
    name_columns,
    read_csv,
    typed_header,
)
from athena_reports_cli.authoring.text_values import read_values
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.lake import create_glue_table, upload_files, write_files

EXPECTED_FILE = "expected.csv"


def input_files(folder: Path) -> list[Path]:
    """Return the CSV files of a case that become tables."""
    return [path for path in sorted(folder.glob("*.csv")) if path.name != EXPECTED_FILE]


@contextmanager
def case_tables(folder: Path, inputs: Sequence[Source], aws: Aws) -> Iterator[str]:
    """Create a database with a table for each CSV file of a case, and remove it afterwards.

    A table has the partition keys that its input declares. Yields the database's name.
    """
    database = f"case_{uuid4().hex[:12]}"
    database_uri = f"s3://{settings().report_bucket}/_cases/{database}/"
    keys_of_tables = {source.table: source.columns for source in inputs}
    aws.glue.create_database(DatabaseInput={"Name": database})
    try:
        with open_engine(settings().memory_limit, about=str(folder)) as engine:
            for path in input_files(folder):
                keys = keys_of_tables.get(path.stem, ())
                _load(path, database, f"{database_uri}{path.stem}/", keys, engine, aws)
        yield database
    finally:
        aws.glue.delete_database(Name=database)
        aws.s3.delete([stored.uri for stored in aws.s3.list(database_uri)])


def _load(
    path: Path, database: str, table_uri: str, keys: Sequence[str], engine: Engine, aws: Aws
) -> None:
    """Create the table of a CSV file."""
    csv = read_csv(path, engine)
    names, types = typed_header(csv)
    rows = name_columns(csv.rows, names, csv.header_place)
    columns = dict(zip(rows.columns, types, strict=True))
    for key in keys:
        if key not in columns:
            raise DataFileError(
                f"{csv.header_place}: the partition column {key} of the report's input is missing."
                f" Add it, such as `{key} string`."
            )
    with explained_errors(path, engine):
        values = read_values(
            rows, columns, required=keys, advice="Correct the value, or the type in the header."
        )
        table_files, _ = write_files(values, keys, engine)
    key_types = {key: columns.pop(key) for key in keys}
    upload_files(table_files, table_uri, aws.s3)
    create_glue_table(
        aws.glue,
        database,
        path.stem,
        columns=columns,
        keys=key_types,
        files=table_files,
        table_uri=table_uri,
    )
