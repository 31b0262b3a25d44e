"""CSV files as people have them. DuckDB reads the values as text, and rejects what is no row.

The header decides what separates the fields. An empty field is NULL, and `""` is the empty text, as
in what a report publishes.
"""

import csv
import gzip
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO
from uuid import uuid4

from athena_reports.errors import AthenaReportsError, ResultError
from athena_reports.rows.columns import duckdb_literal, glue_name, read_parquet
from athena_reports.rows.engine import Engine, open_engine, reason
from athena_reports.settings import settings
from athena_reports.sql.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_DELIMITERS = ",;\t|"
_READ = """
COPY (FROM read_csv(
    {file}, auto_detect = false, columns = {{{columns}}}, header = false, skip = {header_end},
    delim = {delimiter}, quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false,
    store_rejects = true, rejects_limit = 1
)) TO {texts} (FORMAT parquet)
"""
# DuckDB counts a row with line breaks in a value as one line.
_REJECTED = """
SELECT line, error_type, error_message, csv_line FROM reject_errors
ORDER BY line_byte_position LIMIT 1
"""
_MIXED_LINE_ENDS = "state machine reached an invalid state"
_WRONG_VALUE = re.compile(r"row \d+, column .*", re.DOTALL)  # of `read_values`
_NOT_UTF8 = "the text is not UTF-8. Save the file as UTF-8."
_PROBLEMS = {  # by DuckDB's type of a rejected row
    "MISSING COLUMNS": (
        "the row has fewer fields than the header. For a missing value, leave the field empty."
    ),
    "TOO MANY COLUMNS": (
        "the row has more fields than the header. Enclose a value that contains the separator in"
        " double quotes."
    ),
    "UNQUOTED VALUE": (
        "a double quote is not closed, or is followed by text. Enclose the whole value in double"
        " quotes, and double each quote inside it."
    ),
    "INVALID ENCODING": _NOT_UTF8,
}
_SHOWN_CHARACTERS = 60  # of a row in a message
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_]+")


class DataFileError(AthenaReportsError):
    """A file of data cannot be read, or a value is not one of its column's type."""


class Header(NamedTuple):
    """The header of a CSV file: its fields, their separator, and its first and last line."""

    fields: tuple[str, ...]
    delimiter: str
    line: int
    end: int


@dataclass(frozen=True)
class CsvFile:
    """A CSV file that an engine has read. The rows are texts in columns `0`, `1` and so on."""

    path: Path
    header: Header
    rows: "DuckDBPyRelation"

    @property
    def header_place(self) -> str:
        """The file and the line of its header."""
        return f"{self.path}, line {self.header.line}"

    def lines(self) -> list[str]:
        """Return the names of the columns and each row as a line of text."""
        names = self.header.fields
        lines = [", ".join(names)]
        for row in self.rows.fetchall():
            values = [f"{name}={shown(value)}" for name, value in zip(names, row, strict=True)]
            lines.append(", ".join(values))
        return lines


def read_csv(path: Path, engine: Engine) -> CsvFile:
    """Read a CSV file in UTF-8, which may be compressed (.gz).

    In its header a separator in brackets is part of the field, as in `price decimal(10,2)`.
    DataFileError if it cannot be read, or a row does not have as many fields as the header.
    """
    with explained_errors(path, engine):
        copy = copy_into(engine, path)
        texts = copy.with_suffix(".texts")
        headers = [_read_header(copy, delimiter) for delimiter in _DELIMITERS]
        header = max(headers, key=lambda header: len(header.fields))
        if not header.fields:
            raise DataFileError(f"{path} is empty. Put the column names on its first line.")
        if "\N{REPLACEMENT CHARACTER}" in "".join(header.fields):
            raise DataFileError(f"{path}, line {header.line}: {_NOT_UTF8}")
        columns = [f"'{number}': 'VARCHAR'" for number in range(len(header.fields))]
        sql = _READ.format(
            file=duckdb_literal(str(copy)),
            columns=", ".join(columns),
            header_end=header.end,
            delimiter=duckdb_literal(header.delimiter),
            texts=duckdb_literal(str(texts)),
        )
        engine.connection.execute(sql)
        rejected = engine.connection.execute(_REJECTED).fetchone()
        rows = engine.connection.sql(f"FROM {read_parquet(texts)}")
    if rejected is not None:
        line, kind, problem, text = rejected
        problem = _PROBLEMS.get(kind, problem)
        names = shown(header.delimiter.join(header.fields)[:_SHOWN_CHARACTERS])
        row = shown(text.strip()[:_SHOWN_CHARACTERS])
        raise DataFileError(f"{path}, line {line}: {problem} Header: {names}; row: {row}.")
    return CsvFile(path, header, rows)


def read_lines(path: Path) -> list[str]:
    """Return `CsvFile.lines` of a small CSV file."""
    with open_engine(settings().memory_limit, about=str(path)) as engine:
        return read_csv(path, engine).lines()


def typed_header(file: CsvFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a file's columns and their types in Glue, as the header declares them.

    DataFileError if a column has no type, or one that no table has.
    """
    names = []
    types = []
    for field in file.header.fields:
        name, _, written_type = field.partition(" ")
        about = f"{file.header_place}, column {name}"
        if not written_type:
            raise DataFileError(
                f"{about}: the header declares no type. Add one after the name, such as"
                f" `{name} bigint`."
            )
        try:
            types.append(glue_name(written_type))
        except ValueError as error:
            raise DataFileError(f"{about}: {error}") from error
        names.append(name)
    return tuple(names), tuple(types)


def column_name(written: str) -> str:
    """Return the name of a column in the table: lower-case letters, digits and `_`."""
    name = _NOT_IN_A_NAME.sub("_", written.strip().lower())
    if name[:1].isdigit():
        name = f"_{name}"
    return name


def name_columns(
    rows: "DuckDBPyRelation", written_names: Sequence[str], about: str
) -> "DuckDBPyRelation":
    """Return rows whose columns have the names that they have in a table.

    `about` is the place of the written names. DataFileError if a column has no name in a table, or
    two have the same.
    """
    numbers: dict[str, int] = {}
    columns = []
    for number, (column, written) in enumerate(zip(rows.columns, written_names, strict=True), 1):
        name = column_name(written)
        if not name.strip("_"):
            raise DataFileError(
                f"{about}, column {number}: {written!r} is not a valid column name in Athena. Use"
                " letters from a to z, digits and _, or remove the column."
            )
        if name in numbers:
            raise DataFileError(
                f"{about}: columns {numbers[name]} and {number} are both named {name}. Rename one"
                " of them."
            )
        numbers[name] = number
        columns.append(f"{quoted(column)} AS {quoted(name)}")
    return rows.select(", ".join(columns))


def copy_into(engine: Engine, file: Path) -> Path:
    """Copy a file into the folder of an engine, which reads no other one."""
    return Path(shutil.copyfile(file, engine.folder / f"{uuid4().hex}{file.suffix.lower()}"))


@contextmanager
def explained_errors(file: Path, engine: Engine) -> Iterator[None]:
    """Raise DataFileError, or what the engine knows better, if a file or a value cannot be read."""
    import duckdb

    try:
        yield
    except (duckdb.Error, csv.Error, OSError, EOFError, zlib.error) as error:
        explained = engine.explain(error)
        if explained is None or isinstance(explained, ResultError):  # it is no query's result
            explained = DataFileError(f"{file}{_problem(error, file, engine)}")
        raise explained from error


def _problem(error: Exception, file: Path, engine: Engine) -> str:
    wrong_value = _WRONG_VALUE.search(str(error))
    if wrong_value is not None:
        return f", {wrong_value[0]}"
    copy = rf"{re.escape(str(engine.folder))}/[0-9a-f]+[.\w]*"
    system_reason = error.strerror if isinstance(error, OSError) else None
    problem = system_reason or re.sub(copy, str(file), reason(error))
    if _MIXED_LINE_ENDS in problem:
        problem = "the file mixes \\n and \\r\\n as line endings; use one of them throughout"
    return f" cannot be read: {problem}."


def shown(value: str | None) -> str:
    """Return a value as text. A text has quotes, so that NULL and the empty text are two things."""
    if value is None:
        return "NULL"
    return repr(value)


def _read_header(copy: Path, delimiter: str) -> Header:
    """Return the first record that is not empty as the header; without fields if there is none."""
    opens: Callable[..., TextIO] = gzip.open if copy.suffix == ".gz" else open
    # A byte that is not UTF-8 is replaced.
    with opens(copy, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
        line = 1
        for record in reader:
            if any(record):
                return Header(_fields(record, delimiter), delimiter, line, reader.line_num)
            line = reader.line_num + 1
    return Header((), delimiter, 1, 1)


def _fields(record: Sequence[str], delimiter: str) -> tuple[str, ...]:
    """Return the fields of a header, where those that a delimiter in brackets parts are one."""
    fields: list[str] = []
    for part in record:
        if fields and _is_open(fields[-1]):
            fields[-1] += f"{delimiter}{part}"
        else:
            fields.append(part)
    return tuple(field.strip() for field in fields)


def _is_open(text: str) -> bool:
    return text.count("(") + text.count("<") > text.count(")") + text.count(">")
