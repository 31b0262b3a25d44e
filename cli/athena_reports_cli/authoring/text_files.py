"""The text files of `load`: the header of a CSV file, and where a file is wrong.

DuckDB reads the rows, and rejects what does not fit. Its errors are reworded, with the line of the
author's file.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from athena_reports.errors import AthenaReportsError
from athena_reports.rows.columns import duckdb_literal
from athena_reports.rows.engine import Engine
from athena_reports_cli.authoring.case_csv import expected_fields, not_utf8

_DELIMITERS = ",;\t|"
_NO_SPACE = re.compile(r"\S")
_FIRST_SURROGATE = 0xDC00  # stands for the byte 0 (PEP 383)
_READ_AS_TEXT = """
SELECT count(COLUMNS(*)) FROM read_csv(
    {file}, auto_detect = false, columns = {{{columns}}}, {dialect},
    store_rejects = true, rejects_limit = 1
)
"""
_REJECTED = "SELECT error_type, line_byte_position, column_idx FROM reject_errors"
_MIXED_LINE_ENDS = "state machine reached an invalid state"
_NOT_ALIKE = "Error when sniffing file"
_NAMES_FIRST = "The first line has to be the names of the columns. Remove what stands above them."
_DECODER = json.JSONDecoder(  # which keeps no object
    object_pairs_hook=lambda _: None, parse_int=str, parse_float=str
)


class LoadError(AthenaReportsError):
    """A file cannot become a table."""


class CopiedFile(NamedTuple):
    """A file that is to be loaded.

    Attributes:
        copy: What is read. It is compressed if its name ends with `.gz`.
        original: What the author calls it.
    """

    copy: Path
    original: Path


class CsvSource(NamedTuple):
    """A CSV file.

    Attributes:
        file: The file.
        header_line: The line on which its header begins, from 1.
        names: The names in the header, without the blanks around them.
        delimiter: What separates fields.
    """

    file: CopiedFile
    header_line: int
    names: tuple[str, ...]
    delimiter: str

    @property
    def dialect(self) -> str:
        """How DuckDB reads the file: arguments of `read_csv`."""
        return (
            f"header = true, skip = {self.header_line - 1}, delim = '{self.delimiter}',"
            " quote = '\"', escape = '\"', comment = ''"
        )


def csv_source(file: CopiedFile) -> CsvSource:
    """Read the header of a CSV file.

    The delimiter is the one that makes the most names of the header.

    Raises:
        LoadError: There is none, or it is not in UTF-8.
    """
    for number, line in enumerate(_lines(file), start=1):
        if line.strip():
            header_line = number
            break
    else:
        raise LoadError(
            f"{file.original} has no header. Its first line has the names of the columns."
        )
    sources = [
        CsvSource(file, header_line, _names(file, header_line, delimiter), delimiter)
        for delimiter in _DELIMITERS
    ]
    source = max(sources, key=lambda each: len(each.names))  # the first of those with the most
    if source.names == ("sep=", ""):  # by which Excel is told the delimiter
        raise LoadError(f"{file.original}, line {header_line}: {_NAMES_FIRST}")
    return source


def raise_csv_fault(source: CsvSource, engine: Engine, refusal: Exception) -> None:
    """Raise LoadError for what is wrong with a CSV file that DuckDB has refused, if it is known.

    Args:
        source: The file.
        engine: The engine, which reads it once more, as text.
        refusal: What DuckDB said of it.
    """
    import duckdb

    columns = ", ".join(f"{duckdb_literal(name)}: 'VARCHAR'" for name in source.names)
    sql = _READ_AS_TEXT.format(
        file=duckdb_literal(str(source.file.copy)), columns=columns, dialect=source.dialect
    )
    try:
        engine.connection.execute(sql).fetchall()
        rejected = engine.connection.execute(_REJECTED).fetchall()
    except duckdb.Error as error:
        if _MIXED_LINE_ENDS in str(error):
            raise LoadError(
                f"{source.file.original}: its lines do not all end alike. Let all of them end with"
                r" \n, or all with \r\n."
            ) from error
        return
    for error_type, byte, column in rejected:
        if problem := _csv_problem(source, error_type, column):
            line = _line_at(source.file, byte)
            raise LoadError(f"{source.file.original}, line {line}{problem}")
        if error_type == "INVALID ENCODING":
            _require_utf8(source.file)
    if not rejected and _NOT_ALIKE in str(refusal):
        raise LoadError(
            f"{source.file.original}: its rows are not alike. Perhaps some end with"
            f" {source.delimiter!r}, and others do not."
        )


def _csv_problem(source: CsvSource, error_type: str, column: int | None) -> str:
    """Say what DuckDB rejects, after the line; empty for what has no other words than its own.

    Args:
        source: The file.
        error_type: What DuckDB calls it.
        column: The number of the column; of a row that is too short, the number of its fields.
    """
    expected = expected_fields(source.names)
    if error_type == "MISSING COLUMNS":
        return f": {expected}, found {column}. For a value that is missing, leave the field empty."
    if error_type == "TOO MANY COLUMNS":
        advice = f"Put a value that has {source.delimiter!r} in it in double quotes."
        if len(source.names) == 1:
            advice = _NAMES_FIRST
        return f": {expected}, found more. {advice}"
    if error_type == "UNQUOTED VALUE":
        return (
            f", column {column}: a double quote is not closed, or has text after it. Put the whole"
            " value in double quotes, and write a quote in it twice."
        )
    if error_type == "LINE SIZE OVER MAXIMUM":
        return (
            ": the row has more than 2,000,000 bytes, the most that is read of CSV. Write the file"
            " as Parquet."
        )
    return ""


def require_json_lines(file: CopiedFile) -> None:
    """Raise LoadError for the first line that is not JSON."""
    for number, line in enumerate(_lines(file), start=1):
        document = line.rstrip()
        if not document:
            continue
        try:
            _DECODER.decode(document)
        except json.JSONDecodeError as error:
            problem = _not_json(file, number, error)
            raise LoadError(f"{problem} Write one JSON object on each line.") from error
        except RecursionError:  # it is too deep for Python
            return


def require_json(file: CopiedFile) -> None:
    """Raise LoadError for what is not JSON. There may be several values, one after another."""
    _require_utf8(file)
    with _opened(file, "utf-8-sig") as stream:
        text = stream.read()
    place = 0
    try:
        while begin := _NO_SPACE.search(text, place):
            _, place = _DECODER.raw_decode(text, begin.start())
    except json.JSONDecodeError as error:
        raise LoadError(f"{_not_json(file, error.lineno, error)} Correct the file.") from error
    except RecursionError:  # it is too deep for Python
        return


def _not_json(file: CopiedFile, line: int, error: json.JSONDecodeError) -> str:
    return f"{file.original}, line {line}, column {error.colno}: it is not JSON: {error.msg}."


def _names(file: CopiedFile, header_line: int, delimiter: str) -> tuple[str, ...]:
    """Return the names of a header; LoadError if its quotes have no end."""
    lines = islice(_lines(file), header_line - 1, None)
    # DuckDB leaves out the blanks before a quote too.
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        names = next(reader)
    except csv.Error:  # a field has more characters than Python takes
        names = []
    is_the_whole_file = reader.line_num > 1 and next(lines, None) is None
    if not names or is_the_whole_file:
        raise LoadError(
            f"{file.original}, line {header_line}: the names of the columns do not end. Close the"
            " double quotes around each of them."
        )
    return tuple(name.strip() for name in names)


@contextmanager
def _opened(file: CopiedFile, encoding: str) -> Iterator[TextIO]:
    """Open a file as text with its line ends; LoadError if it cannot be decompressed."""
    opens: Callable[..., TextIO] = gzip.open if file.copy.suffix == ".gz" else open
    try:
        with opens(
            file.copy, "rt", encoding=encoding, errors="surrogateescape", newline=""
        ) as stream:
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LoadError(f"{file.original} cannot be decompressed: {error}.") from error


def _lines(file: CopiedFile) -> Iterator[str]:
    """Return the lines of a file, with their ends; LoadError for one that is not UTF-8."""
    with _opened(file, "utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.encode()
            except UnicodeEncodeError as error:
                byte = ord(line[error.start]) - _FIRST_SURROGATE
                raise LoadError(f"{file.original}, line {number}: {not_utf8(byte)}") from error
            yield line


def _require_utf8(file: CopiedFile) -> None:
    for _ in _lines(file):
        pass


def _line_at(file: CopiedFile, byte: int) -> int:
    """Return the line of the row that DuckDB finds at a byte, from 1.

    DuckDB counts rows instead of lines. Its byte may be in the line ends before the row.
    """
    passed = 0
    number = 0
    with _opened(file, "latin-1") as stream:  # a character for each byte
        for number, line in enumerate(stream, start=1):
            passed += len(line)
            if passed > byte and line.strip("\r\n"):
                return number
    return number  # a row of one byte ends the file
