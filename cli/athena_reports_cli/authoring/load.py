"""Loads a file into a table of the local services, and keeps it, so that later services have it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich.console import Console

from athena_reports.periods.zones import zone_of
from athena_reports.rows.columns import (
    columns_of,
    duckdb_literal,
    glue_name,
    is_number,
    read_parquet,
    rewritten,
    stored_type,
)
from athena_reports.rows.engine import Engine, open_engine
from athena_reports.sql.names import quoted
from athena_reports_cli.authoring.csv_files import (
    DataFileError,
    column_name,
    copy_into,
    explained_errors,
    name_columns,
    read_csv,
    typed_header,
)
from athena_reports_cli.authoring.report_name import require_partition_key, require_table_name
from athena_reports_cli.authoring.tables import rows_table
from athena_reports_cli.authoring.text_values import (
    DATE_TYPES,
    TYPES_OF_CSV,
    TYPES_OF_TEXT,
    infer_types,
    milliseconds,
    read_values,
)
from athena_reports_cli.local.lake import (
    KeptTable,
    Lake,
    create_table,
    keep,
    location_of_loaded,
    locked,
    write_files,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

Unit = Literal["day", "hour"]

_MEMORY = "1GB"  # the author's machine has more than a task
_JSON = (".jsonl", ".ndjson", ".json")
_FORMATS = {"day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H"}  # of the partition key


class Source(NamedTuple):
    """What is to be loaded: a file of CSV, Parquet or JSON lines."""

    table: str
    file: Path
    types: Mapping[str, str] = {}  # Glue's, by column, in the place of those that the file tells
    date_format: str = ""  # of `strptime`, beside ISO 8601
    time: str = ""  # the column whose day or hour is the partition; empty for no partitions
    unit: Unit = "day"  # of a partition
    key: str = "dt"  # the partition key, a new column
    zone: str = "UTC"  # IANA zone of the partitions


class _Rows(NamedTuple):
    """The rows of a file, and Glue's types of the columns that are read from texts."""

    relation: "DuckDBPyRelation"
    types: dict[str, str]


def load(source: Source, lake: Lake, folder: Path) -> KeptTable:
    """Make a table of a file, in place of one that was loaded before, and keep it in a folder.

    DataFileError if the file cannot become a table. Then all stays as it was.
    """
    require_table_name(source.table)
    require_partition_key(source.key)
    zone_of(source.zone)
    location_of_loaded(source.table, lake)
    with open_engine(_MEMORY, about=str(source.file), again="run the command again") as engine:
        with explained_errors(source.file, engine):
            kept, files = _write(source, engine)
        with locked(folder):
            kept_files = keep(source.table, kept, files, folder)
            create_table(source.table, kept, kept_files, lake)
    return kept


def parse_types(declarations: Sequence[str]) -> dict[str, str]:
    """Return Glue's types by column, of declarations such as `price=decimal(10,2)`."""
    types = {}
    for declaration in declarations:
        column, equals, kind = declaration.partition("=")
        if not equals:
            raise DataFileError(
                f'--type "{declaration}" has no type. Use the format --type column=type.'
            )
        try:
            types[column] = glue_name(kind)
        except ValueError as error:
            raise DataFileError(f"--type {declaration}: {error}") from error
    return types


def show(source: Source, kept: KeptTable, removed: Collection[str], console: Console) -> None:
    """Print what was loaded, which columns the table has lost, and how a report declares it."""
    console.print(f"{source.table}: {kept.amount()}", highlight=False, soft_wrap=True)
    rows = list(kept.columns.items())
    if source.time:
        rows.append((source.key, f"string, the {source.unit} of {source.time} in {source.zone}"))
    console.print(rows_table(["column", "type"], rows))
    if removed:
        names = ", ".join(sorted(removed))
        console.print(f"Removed columns: {names}", highlight=False, soft_wrap=True)
    console.print("In the report, use", _declaration(source), highlight=False, soft_wrap=True)


def _declaration(source: Source) -> str:
    """Return how a report declares the table as its input."""
    if not source.time:
        return f'Input("{source.table}", columns=())'
    key_format = _FORMATS[source.unit]
    return f'Input("{source.table}", "{source.key}", format="{key_format}", zone="{source.zone}")'


def _write(source: Source, engine: Engine) -> tuple[KeptTable, Path]:
    """Write the rows of a file as the files of a table, and return what it is and their folder."""
    rows = _read(source, engine)
    time = column_name(source.time)
    values = read_values(
        rows.relation,
        rows.types,
        required=[time] if time else [],
        advice="Correct the value, or describe the column with --type or --date-format.",
        date_format=source.date_format,
    )
    columns = _glue_columns(values, source.file)
    key = ""
    if time:
        key = source.key
        partition = _partition(time, columns[time], source)
        values = values.select(f"*, {partition} AS {quoted(key)}")
    files, number = write_files(values, [key] if key else [], engine)
    if not number:
        raise DataFileError(f"{source.file} has no rows.")
    partitions = sorted(folder.name.partition("=")[2] for folder in files.glob("*=*"))
    return KeptTable(columns=columns, key=key, rows=number, partitions=tuple(partitions)), files


def _read(source: Source, engine: Engine) -> _Rows:
    """Return the rows of a file, and the types of what is text in it."""
    suffix = Path(source.file.name.lower().removesuffix(".gz")).suffix
    if suffix == ".csv":
        rows = _read_csv(source, engine)
    elif suffix in _JSON:
        rows = _read_json(source, engine)
    elif suffix == ".parquet":
        rows = _read_parquet(source, engine)
    else:
        raise DataFileError(
            f"{source.file} has an unknown format. Its name must end with .csv, .parquet,"
            f" {', '.join(_JSON)}, or one of these followed by .gz."
        )
    if source.time and source.key in rows.relation.columns:
        raise DataFileError(
            f"{source.file} already has a column {source.key}, the name of the partition key."
            " Choose another name with --partition-key."
        )
    for written, glue_type in source.types.items():
        rows.types[_column(written, rows, source.file)] = glue_type
    if source.time:
        time = _column(source.time, rows, source.file)
        types = _glue_columns(rows.relation, source.file) | rows.types
        if types[time] not in DATE_TYPES:
            rows.types[time] = "timestamp"
    return rows


def _read_csv(source: Source, engine: Engine) -> _Rows:
    csv = read_csv(source.file, engine)
    names = csv.header.fields
    declared_types: Sequence[str] = ()
    with suppress(DataFileError):  # most headers declare no types
        names, declared_types = typed_header(csv)
    relation = name_columns(csv.rows, names, csv.header_place)
    if declared_types:
        types = dict(zip(relation.columns, declared_types, strict=True))
    else:
        candidates = dict.fromkeys(relation.columns, TYPES_OF_CSV)
        types = infer_types(relation, candidates, date_format=source.date_format)
    return _Rows(relation, types)


def _read_json(source: Source, engine: Engine) -> _Rows:
    """Return the rows of JSON. Its strings are texts, whatever DuckDB takes them for."""
    file = duckdb_literal(str(copy_into(engine, source.file)))
    declared = {column_name(written) for written in source.types}
    path = engine.folder / "rows.parquet"  # JSON is slow to read
    guessed = engine.connection.sql(f"FROM read_json({file}, sample_size = -1)")
    fields = []
    candidates: dict[str, Sequence[str]] = {}
    for name, kind in zip(guessed.columns, guessed.types, strict=True):
        column = column_name(name)
        read_as = rewritten(kind, _json_type)
        if str(kind) == "DOUBLE":  # which has not every whole number that JSON has
            read_as = "VARCHAR"
            candidates[column] = TYPES_OF_CSV
        elif column in declared:
            read_as = "VARCHAR"
        elif read_as == "VARCHAR":
            candidates[column] = TYPES_OF_TEXT
        fields.append(f"{duckdb_literal(name)}: {duckdb_literal(read_as)}")
    rows = engine.connection.sql(f"FROM read_json({file}, columns = {{{', '.join(fields)}}})")
    relation = name_columns(rows, rows.columns, str(source.file))
    relation.write_parquet(str(path))
    relation = engine.connection.sql(f"FROM {read_parquet(path)}")
    _require_all_keys(relation, guessed, source.file)
    return _Rows(relation, infer_types(relation, candidates, date_format=source.date_format))


def _require_all_keys(rows: "DuckDBPyRelation", guessed: "DuckDBPyRelation", file: Path) -> None:
    """Raise DataFileError if a column has lost its values.

    Of two keys that differ in case only, DuckDB calls one by another name, which no object has.
    """
    lost = [f"count(*) > 0 AND count({quoted(column)}) = 0" for column in rows.columns]
    are_lost = rows.aggregate(", ".join(lost)).fetchall()[0]
    for name, kind, is_lost in zip(rows.columns, guessed.types, are_lost, strict=True):
        if is_lost and str(kind) != '"NULL"':
            raise DataFileError(
                f"{file}, column {name}: two keys differ only in upper and lower case. Rename one"
                " in the file."
            )


def _json_type(guessed: str) -> str:
    """Return the type that a value of JSON is read as, which is text unless JSON tells a type."""
    if is_number(guessed) or guessed == "BOOLEAN":
        return stored_type(guessed)
    return "VARCHAR"


def _read_parquet(source: Source, engine: Engine) -> _Rows:
    rows = engine.connection.sql(f"FROM {read_parquet(copy_into(engine, source.file))}")
    stored = []
    for name, kind in zip(rows.columns, rows.types, strict=True):
        value = f"{quoted(name)}::{rewritten(kind, stored_type)}"
        if kind.id.startswith("timestamp"):
            value = milliseconds(f"{quoted(name)}::VARCHAR")  # any other cast rounds nanoseconds
        stored.append(f"{value} AS {quoted(name)}")
    return _Rows(name_columns(rows.select(", ".join(stored)), rows.columns, str(source.file)), {})


def _column(written: str, rows: _Rows, file: Path) -> str:
    """Return the name of a column in the table. A person may write that of the file too."""
    name = column_name(written)
    if name not in rows.relation.columns:
        known = ", ".join(rows.relation.columns)
        raise DataFileError(f'{file} has no column "{written}". It has {known}.')
    return name


def _glue_columns(rows: "DuckDBPyRelation", file: Path) -> dict[str, str]:
    columns = {}
    for column in columns_of(rows):
        if not column.glue:
            raise DataFileError(
                f"{file}, column {column.name}: Athena has no column type for {column.type}."
                f" Load it as text: --type {column.name}=string"
            )
        columns[column.name] = column.glue
    return columns


def _partition(time: str, kind: str, source: Source) -> str:
    """Return SQL for the partition of a row: the day or the hour that a clock in the zone shows."""
    moment = quoted(time)
    if kind == "timestamp":  # in UTC; a date is one of the zone already
        moment = f"(({moment} AT TIME ZONE 'UTC') AT TIME ZONE {duckdb_literal(source.zone)})"
    return f"strftime({moment}, {duckdb_literal(_FORMATS[source.unit])})"
