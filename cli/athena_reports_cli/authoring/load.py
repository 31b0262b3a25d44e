"""Loads a file into a table of the local services, and keeps it, so that later services have it."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from rich.console import Console
from rich.table import Table as Grid

from athena_reports.errors import ResultError
from athena_reports.inputs.layout import format_argument
from athena_reports.periods.zones import zone_of
from athena_reports.rows.columns import (
    children,
    columns_of,
    duckdb_literal,
    read_parquet,
    rewritten,
)
from athena_reports.rows.engine import Engine, open_engine, reason
from athena_reports.sql.names import is_reserved, quoted
from athena_reports_cli.authoring.text_files import (
    CopiedFile,
    CsvSource,
    LoadError,
    csv_source,
    raise_csv_fault,
    require_json,
    require_json_lines,
)
from athena_reports_cli.local.lake import (
    KeptTable,
    Lake,
    create_table,
    keep,
    new_version,
    remove_other_objects,
    require_loaded,
    upload,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

DEFAULT_KEY = "dt"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}")  # of a table or a partition key
_MEMORY = "1GB"  # the author's machine has more than a task
# How DuckDB reads a file, by the end of its name.
_READERS = {
    ".csv": "read_csv({file}, sample_size = -1, names = [{names}], {dialect})",
    ".parquet": "read_parquet({file})",
    ".jsonl": "read_json({file}, format = 'newline_delimited', sample_size = -1)",
    ".ndjson": "read_json({file}, format = 'newline_delimited', sample_size = -1)",
    ".json": "read_json({file}, sample_size = -1)",
}
_COMPRESSED = ".gz"
# DuckDB's types that a table has under another name. The numbers are wide enough for every value.
_STORED_TYPES = {
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "UUID": "VARCHAR",
    "JSON": "VARCHAR",
    "TIME": "VARCHAR",
    "INTERVAL": "VARCHAR",
    '"NULL"': "VARCHAR",
}
_WRITE = "COPY ({rows}) TO {path} (FORMAT parquet, COMPRESSION zstd)"
_WRITE_PARTITIONS = """
COPY (SELECT *, strftime({date}, '%Y-%m-%d') AS {key} FROM {source}) TO {path}
(FORMAT parquet, COMPRESSION zstd, PARTITION_BY ({key}), FILENAME_PATTERN 'part-{{i}}')
"""
_MAY_BE_NUMBERS = "count(TRY_CAST({column} AS DOUBLE)) >= count({column}) * 0.9"
# A text such as 007 is no number.
_FEW_OTHERS = """
SELECT
    count(value), count(*) FILTER (is_number),
    first(row) FILTER (NOT is_number), first(value) FILTER (NOT is_number)
FROM (
    SELECT
        {column} AS value,
        TRY_CAST({column} AS DOUBLE) IS NOT NULL
            AND NOT regexp_matches({column}, '^[+-]?0[0-9]') AS is_number,
        row_number() OVER () AS row
    FROM {source}
)
WHERE value IS NOT NULL
HAVING count(*) FILTER (is_number) BETWEEN count(value) * 0.9 AND count(value) - 1
"""
_COUNT = "SELECT count(*), count({time}) FROM {source}"
_NOT_A_TIME = """
SELECT row, value
FROM (SELECT {written} AS value, {stored} AS time, row_number() OVER () AS row FROM source)
WHERE value IS NOT NULL AND time IS NULL
ORDER BY row
LIMIT 1
"""
_SHOWN_CHARACTERS = 40  # of a value in a message
_TIMESTAMP = re.compile(r"TIMESTAMP(TZ)?(_\w+| WITH TIME ZONE)?")
# The types that a time may have in the file.
_TIMES = re.compile(rf"{_TIMESTAMP.pattern}|DATE|VARCHAR")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_]+")


class Source(NamedTuple):
    """What is to be loaded.

    Attributes:
        table: The name of the table.
        file: A file of CSV, Parquet or JSON lines.
        time: The column whose date names the partition of a row; empty for no partitions.
        key: The partition key, a new column.
        zone: IANA zone of the partitions' dates.
    """

    table: str
    file: Path
    time: str = ""
    key: str = DEFAULT_KEY
    zone: str = "UTC"

    def partitioned(self, time: str, *, key: str = "", zone: str = "") -> Self:
        """Return this source with partitions; an empty key or zone stands for the default."""
        source = self._replace(time=time)
        if key:
            source = source._replace(key=key)
        if zone:
            source = source._replace(zone=zone)
        return source


class LoadedTable(NamedTuple):
    """What became of a file.

    Attributes:
        source: The file.
        kept: The table.
        renamed: Name in the file to name in the table, where they differ.
        notes: What may be wrong in the file.
    """

    source: Source
    kept: KeptTable
    renamed: dict[str, str]
    notes: tuple[str, ...]


def load(source: Source, lake: Lake, folder: Path) -> LoadedTable:
    """Make a table of a file, in place of one that was loaded before.

    If the file cannot become a table, all stays as it was.

    Args:
        source: The file and the table.
        lake: Where the table is created.
        folder: Where it is kept.

    Raises:
        LoadError: The file cannot become a table.
        LakeError: The database has a table of this name that was not loaded.
        ClientError: The services refused a call.
        BotoCoreError: They did not answer.
    """
    _require_names(source)
    require_loaded(source.table, lake)
    kind = _kind(source.file)
    with new_version(source.table, folder) as version:
        with open_engine(_MEMORY, about=str(source.file)) as engine:
            loaded = _write_files(source, kind, version.name, version.folder, engine)
        # The objects are new ones, and no table names them yet.
        upload(source.table, loaded.kept, version.folder, lake)
        keep(source.table, loaded.kept, version)
        create_table(source.table, loaded.kept, lake)
        remove_other_objects(source.table, version.name, lake)
    return loaded


def show(loaded: LoadedTable, console: Console) -> None:
    """Print what was loaded, and how a report declares it."""
    source = loaded.source
    console.print(f"{source.table}: {loaded.kept.amount()}", highlight=False, soft_wrap=True)
    columns = Grid("column", "type", "in the file")
    written_names = {name: written for written, name in loaded.renamed.items()}
    for name, glue_type in loaded.kept.columns.items():
        columns.add_row(name, glue_type, written_names.get(name, ""))
    if source.time:
        columns.add_row(source.key, "string", f"the date of {source.time}, {source.zone}")
    console.print(columns)
    for note in loaded.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    console.print("In the report, write", _declaration(source), highlight=False, soft_wrap=True)


def _declaration(source: Source) -> str:
    """Return how a report declares the table as its input."""
    if not source.time:
        return f'Input("{source.table}", columns=())'
    zone = ""
    if source.zone != "UTC":
        zone = f', zone="{source.zone}"'
    return f'Input("{source.table}", "{source.key}"{format_argument(source.key)}{zone})'


# --- what is asked for


def _require_names(source: Source) -> None:
    for name in (source.table, source.key):
        if not _NAME.fullmatch(name):
            raise LoadError(
                f"{name!r} is not a name of Athena: use lower-case letters, digits and '_',"
                " and begin with a letter."
            )
    if is_reserved(source.key):
        raise LoadError(
            f"The partition key {source.key!r} is a reserved word of SQL. Name another one."
        )
    zone_of(source.zone)


class _FileKind(NamedTuple):
    """What a file is by its name.

    Attributes:
        format: The end that tells its format: `.csv`.
        suffix: The format and `.gz`, if it is compressed.
    """

    format: str
    suffix: str


def _kind(file: Path) -> _FileKind:
    """Return what a file is; LoadError for one that cannot become a table."""
    if not file.is_file():
        raise LoadError(f"There is no file {file}.")
    if not file.stat().st_size:
        raise LoadError(f"{file} is empty.")
    name = file.name.lower()
    compressed = ""
    if name.endswith(_COMPRESSED):
        compressed = _COMPRESSED
    format_suffix = Path(name.removesuffix(_COMPRESSED)).suffix
    is_compressed_parquet = compressed != "" and format_suffix == ".parquet"
    if format_suffix not in _READERS or is_compressed_parquet:
        known_suffixes = ", ".join(_READERS)
        raise LoadError(
            f"{file} is not known by its name. It has to end with {known_suffixes}, and may be"
            f" compressed ({_COMPRESSED}) unless it is Parquet."
        )
    return _FileKind(format_suffix, f"{format_suffix}{compressed}")


# --- the rows


def _write_files(
    source: Source, kind: _FileKind, version: str, folder: Path, engine: Engine
) -> LoadedTable:
    """Write the rows of a file as the Parquet files of a table, and return what it is."""
    import duckdb

    file = _copy(source.file, kind, engine)
    csv = None
    if kind.format == ".csv":
        csv = csv_source(file)
        _require_columns(csv.names, source, f"{source.file}, line {csv.header_line}")
    try:
        rows = _read(file, kind, csv, engine)
        if csv is None:
            _require_columns(rows.columns, source, str(source.file))
        time = _time_column(rows, source)
        table = _stored(rows, time)
        columns = _glue_columns(table, source)
        # The source is read and cast once. From then on this file is read.
        stored = engine.folder / "part-0.parquet"
        table.create_view("stored")
        engine.connection.execute(
            _WRITE.format(rows="FROM stored", path=duckdb_literal(str(stored)))
        )
        number = _number_of_rows(stored, time, source, engine)
        notes: tuple[str, ...] = ()
        if csv is not None:  # the types of other files are stated in them
            notes = _notes(stored, rows, engine)
        key = ""
        dates: tuple[str, ...] = ()
        if time:
            key = source.key
            dates = _write_partitions(stored, source, folder, time, engine)
        else:
            shutil.move(stored, folder)
    except duckdb.Error as error:
        explained = engine.explain(error)
        if explained is None or isinstance(explained, ResultError):  # it is no query's result
            _raise_fault(file, kind, csv, engine, error)
            problem = reason(error).replace(str(file.copy), source.file.name)
            explained = LoadError(f"{source.file} cannot be read: {problem}.")
        raise explained from error
    kept = KeptTable(version=version, columns=columns, key=key, rows=number, dates=dates)
    renamed = {}
    for written in rows.columns:
        if written != _name(written):
            renamed[written] = _name(written)
    return LoadedTable(source, kept, renamed, notes)


def _copy(file: Path, kind: _FileKind, engine: Engine) -> CopiedFile:
    """Copy a file into the engine's folder: the engine reads no other one.

    The name of the copy has no pattern in it.
    """
    copy = engine.folder / f"source{kind.suffix}"
    try:
        shutil.copyfile(file, copy)
    except PermissionError as error:
        raise LoadError(f"{file} cannot be read: {error.strerror}.") from error
    return CopiedFile(copy, file)


def _read(
    file: CopiedFile, kind: _FileKind, csv: CsvSource | None, engine: Engine
) -> "DuckDBPyRelation":
    """Return the rows of a file as they are."""
    values = {"file": duckdb_literal(str(file.copy))}
    if csv is not None:
        names = ", ".join(duckdb_literal(name) for name in csv.names)
        values |= {"names": names, "dialect": csv.dialect}
    call = _READERS[kind.format].format(**values)
    engine.connection.execute(f"CREATE VIEW source AS FROM {call}")
    return engine.connection.table("source")


def _raise_fault(
    file: CopiedFile, kind: _FileKind, csv: CsvSource | None, engine: Engine, refusal: Exception
) -> None:
    """Raise LoadError for the first place that cannot be read, if it is known."""
    if csv is not None:
        raise_csv_fault(csv, engine, refusal)
    elif kind.format == ".json":
        require_json(file)
    elif kind.format != ".parquet":
        require_json_lines(file)


def _name(written: str) -> str:
    """Return the name of a column in the table: lower-case letters, digits and `_`."""
    name = _NOT_IN_A_NAME.sub("_", written.strip().lower())
    if name[:1].isdigit():
        return f"_{name}"
    return name


def _require_columns(written_names: Sequence[str], source: Source, about: str) -> None:
    """Raise LoadError if a column of the file has no name in the table, or two would have the same.

    Args:
        written_names: The names in the file.
        source: The file.
        about: The place of the names, the first words of an error.
    """
    numbers: dict[str, int] = {}
    for number, written in enumerate(written_names, start=1):
        column = f"{about}, column {number}"
        if not written.strip():
            raise LoadError(
                f"{column}: it has no name. Write one in the file, or leave the column out: pandas"
                " writes it without `index=False`."
            )
        name = _name(written)
        if not name.strip("_"):
            raise LoadError(
                f"{column}: {written!r} has no letter or digit that Athena takes in a name. Rename"
                " it in the file."
            )
        if name in numbers:
            first = numbers[name]
            raise LoadError(
                f"{about}: columns {first} ({written_names[first - 1]!r}) and {number}"
                f" ({written!r}) would both have the name {name!r} in Athena. Rename one in the"
                " file."
            )
        numbers[name] = number
    if source.time and source.key in numbers:
        raise LoadError(
            f"{source.file} has a column {source.key} already, which cannot be the partition key"
            " too. Name another partition key."
        )


def _time_column(rows: "DuckDBPyRelation", source: Source) -> str:
    """Return the time's name in the file; empty for a table without partitions.

    A person may name it as the file writes it, or as the table has it.
    """
    if not source.time:
        return ""
    for written, duckdb_type in zip(rows.columns, rows.types, strict=True):
        if source.time not in (written, _name(written)):
            continue
        if not _TIMES.fullmatch(str(duckdb_type)):
            raise LoadError(
                f"{source.file}: the column {written!r} is a {duckdb_type}, not a timestamp."
                " Write it as one in the file, such as 2026-11-15 09:30:00."
            )
        return str(written)
    raise LoadError(
        f"{source.file} has no column {source.time!r}. It has {', '.join(rows.columns)}."
    )


def _stored(rows: "DuckDBPyRelation", time: str) -> "DuckDBPyRelation":
    """Return the rows with the names and types of the table.

    Args:
        rows: The rows as they are in the file.
        time: The time's name in the file; empty for a table without partitions.
    """
    values = []
    for written, duckdb_type in zip(rows.columns, rows.types, strict=True):
        column = quoted(written)
        if written == time and str(duckdb_type) == "VARCHAR":
            value = _milliseconds(_as_time(column))
        else:
            value = _stored_value(column, duckdb_type)
        values.append(f"{value} AS {quoted(_name(written))}")
    return rows.select(", ".join(values))


def _stored_value(value: str, kind: "DuckDBPyType") -> str:
    """Return a value of the file as the table has it; both are expressions in SQL."""
    type_name = str(kind)
    if _TIMESTAMP.fullmatch(type_name):
        if type_name.endswith("_NS"):
            value = f"{value}::VARCHAR"  # from nanoseconds, any other cast rounds
        return _milliseconds(value)
    parts = children(kind)
    if not parts or not _TIMESTAMP.search(type_name):
        return f"{value}::{rewritten(kind, _stored_type)}"
    if kind.id == "struct":
        fields = []
        for name, child in parts:
            field = f"struct_extract({value}, {duckdb_literal(name)})"
            fields.append(f"{quoted(name)} := {_stored_value(field, child)}")
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(fields)}) END"
    if kind.id == "map":
        (_, keys), (_, values) = parts
        stored_keys = _stored_list(f"map_keys({value})", keys)
        return f"map({stored_keys}, {_stored_list(f'map_values({value})', values)})"
    ((_, child),) = parts
    return _stored_list(value, child)


def _stored_list(values: str, kind: "DuckDBPyType") -> str:
    return f"list_transform({values}, lambda x: {_stored_value('x', kind)})"


def _as_time(column: str) -> str:
    """Return a text as an instant; NULL if it is none. A text without a zone is in UTC."""
    return f"TRY_CAST({column} AS TIMESTAMP WITH TIME ZONE)"


def _milliseconds(timestamp: str) -> str:
    """Return a timestamp as Athena has it: in UTC, with milliseconds.

    What is below is cut off, because rounding could move an event into the next date.
    """
    return f"date_trunc('milliseconds', {timestamp}::TIMESTAMP)::TIMESTAMP_MS"


def _stored_type(duckdb_type: str) -> str:
    """Return the type that a table has for one of the file, neither nested nor a timestamp."""
    if duckdb_type.startswith(("TIME", "ENUM")):
        return "VARCHAR"
    return _STORED_TYPES.get(duckdb_type, duckdb_type)


def _glue_columns(table: "DuckDBPyRelation", source: Source) -> dict[str, str]:
    columns = {}
    for column in columns_of(table):
        if not column.glue:
            raise LoadError(
                f"{source.file}: the column {column.name!r} is a {column.type}, which no table of"
                " Athena has. Write it as text in the file."
            )
        columns[column.name] = column.glue
    return columns


def _number_of_rows(file: Path, time: str, source: Source, engine: Engine) -> int:
    """Return how many rows there are; LoadError for none, or if some have no time.

    Args:
        file: The rows as they are stored.
        time: The time's name in the file; empty for a table without partitions.
        source: Where the rows are from.
        engine: The engine, which still has the file as it is.
    """
    counted = "*"
    if time:
        counted = quoted(_name(time))
    sql = _COUNT.format(time=counted, source=read_parquet(file))
    rows, times = engine.connection.execute(sql).fetchall()[0]
    if not rows:
        raise LoadError(f"{source.file} has no rows.")
    if times == rows:
        return int(rows)
    written = quoted(time)
    sql = _NOT_A_TIME.format(written=written, stored=_as_time(written))
    wrong_values = engine.connection.execute(sql).fetchall()
    if not wrong_values:
        raise LoadError(
            f"{source.file}: {rows - times:,} of {rows:,} rows have no {time}, so they have no"
            " partition. Correct the file."
        )
    row, wrong_value = wrong_values[0]
    raise LoadError(
        f"{source.file}: {_shown(str(wrong_value))} in row {row:,} of the column {time!r} is not a"
        " timestamp, so the row has no partition. Correct the file."
    )


def _notes(file: Path, rows: "DuckDBPyRelation", engine: Engine) -> tuple[str, ...]:
    """Say which columns are text although at least 9 of 10 of their values are numbers.

    Args:
        file: The rows as they are stored.
        rows: The rows as they are in the file.
        engine: The engine.
    """
    texts = [
        (written, quoted(_name(written)))
        for written, duckdb_type in zip(rows.columns, rows.types, strict=True)
        if str(duckdb_type) == "VARCHAR"
    ]
    if not texts:
        return ()
    source = read_parquet(file)
    shares = ", ".join(_MAY_BE_NUMBERS.format(column=column) for _, column in texts)
    (may_be_numbers,) = engine.connection.execute(f"SELECT {shares} FROM {source}").fetchall()
    notes = []
    for (written, column), is_candidate in zip(texts, may_be_numbers, strict=True):
        if not is_candidate:
            continue
        sql = _FEW_OTHERS.format(column=column, source=source)
        for values, numbers, row, other in engine.connection.execute(sql).fetchall():
            notes.append(
                f"The column {written!r} is text: {numbers:,} of its {values:,} values are numbers,"
                f" but {_shown(other)} in row {row:,} is not. Correct the file if it should have"
                " numbers only."
            )
    return tuple(notes)


def _shown(value: str) -> str:
    """Return a value of the file as a message shows it."""
    if len(value) > _SHOWN_CHARACTERS:
        value = f"{value[:_SHOWN_CHARACTERS]}…"
    return repr(value)


def _write_partitions(
    file: Path, source: Source, folder: Path, time: str, engine: Engine
) -> tuple[str, ...]:
    """Write the rows of a file as a folder for each date of the time, and return the dates.

    Args:
        file: The rows as they are stored.
        source: Where the rows are from.
        folder: Where the folders of the dates go.
        time: The time's name in the file.
        engine: The engine, which can write into its own folder only.
    """
    column = quoted(_name(time))
    # A stored timestamp is in UTC. Its date is that of the clocks in the zone.
    date = f"(({column} AT TIME ZONE 'UTC') AT TIME ZONE {duckdb_literal(source.zone)})::DATE"
    rows = engine.connection.sql(f"SELECT {column} FROM {read_parquet(file)}")
    if str(rows.types[0]) == "DATE":  # it is a date of the zone already
        date = column
    written = engine.folder / "partitions"
    sql = _WRITE_PARTITIONS.format(
        date=date,
        key=quoted(source.key),
        source=read_parquet(file),
        path=duckdb_literal(str(written)),
    )
    engine.connection.execute(sql)
    dates = []
    for partition in sorted(written.iterdir()):
        _, _, partition_date = partition.name.partition("=")
        if not _DATE.fullmatch(partition_date):
            raise LoadError(
                f"{source.file}: {partition_date!r} in the column {time!r} is not a date of the"
                " years 1 to 9999. Correct the file."
            )
        dates.append(partition_date)
        shutil.move(partition, folder)
    return tuple(dates)
