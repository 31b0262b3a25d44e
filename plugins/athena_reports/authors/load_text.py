"""Text files that are to be loaded: the header of a CSV file, and where a file is wrong.

DuckDB reads the rows. Of a file that it refuses it often tells no line, or a wrong one. So such a
file is read again here, by Python.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from athena_reports.authors.case_csv import not_utf8, wrong_number_of_fields
from athena_reports.errors import AthenaReportsError

_DELIMITERS = ",;\t"
_NO_SPACE = re.compile(r"\S")
_QUOTED = re.compile(r'"[^"]*"')
_LONGEST_FIELD = 2_097_152  # of a line, as DuckDB has it unless it is told another one
_FIRST_SURROGATE = 0xDC00  # stands for the byte 0 (PEP 383)


class LoadError(AthenaReportsError):
    """A file cannot become a table."""


class TextFile(NamedTuple):
    """A file of text.

    Attributes:
        path: What is read. It is compressed if its name ends with `.gz`.
        name: What the author calls it.
    """

    path: Path
    name: Path


class CsvSource(NamedTuple):
    """A CSV file: the line of its header, from 1, the names there, and what separates fields."""

    file: TextFile
    header_line: int
    names: tuple[str, ...]
    delimiter: str


class _Record(NamedTuple):
    line: int
    values: list[str]
    line_end: str  # empty at the end of the file


def csv_source(file: TextFile) -> CsvSource:
    """Read the header of a CSV file.

    What separates the fields is a comma, unless the header has none but semicolons or tabs.

    Raises:
        LoadError: There is none, or it is not CSV in UTF-8.
    """
    for line in _lines(file):
        if line.strip("\r\n"):
            unquoted = _QUOTED.sub("", line)
            break
    else:
        raise LoadError(f"{file.name} has no header. Its first line has the names of the columns.")
    delimiter = next((sign for sign in _DELIMITERS if sign in unquoted), ",")
    record = next(_records(file, delimiter))
    return CsvSource(file, record.line, tuple(record.values), delimiter)


def require_csv(source: CsvSource) -> None:
    """Raise LoadError for the first row that cannot be read."""
    line_end = ""
    for record in _records(source.file, source.delimiter):
        about = f"{source.file.name}, line {record.line}"
        number = len(record.values)
        if number != len(source.names):
            advice = "For a value that is missing, leave the field empty."
            if number > len(source.names):
                advice = f"Put a value that has {source.delimiter!r} in it in double quotes."
            problem = wrong_number_of_fields(source.names, number)
            raise LoadError(f"{about}: {problem} {advice}")
        line_end = line_end or record.line_end
        if record.line_end and record.line_end != line_end:
            raise LoadError(
                f"{about}: the row ends with {record.line_end!r}, the header with {line_end!r}."
                " Let all of them end alike."
            )


def csv_line(source: CsvSource, column: str, value: str) -> int | None:
    """Return the line of the first row that has a value in a column; None if there is none."""
    place = source.names.index(column)
    for record in _records(source.file, source.delimiter):
        if record.line > source.header_line and record.values[place] == value:
            return record.line
    return None


def require_json_lines(file: TextFile) -> None:
    """Raise LoadError for the first line that is not JSON."""
    for number, line in enumerate(_lines(file), start=1):
        document = line.rstrip()
        if not document:
            continue
        try:
            json.loads(document)
        except json.JSONDecodeError as error:
            problem = _not_json(file, number, error)
            raise LoadError(f"{problem} Write one JSON object on each line.") from error


def require_json(file: TextFile) -> None:
    """Raise LoadError for what is not JSON. There may be several values, one after another."""
    decoder = json.JSONDecoder()
    text = "".join(_lines(file))
    place = 0
    try:
        while begin := _NO_SPACE.search(text, place):
            _, place = decoder.raw_decode(text, begin.start())
    except json.JSONDecodeError as error:
        raise LoadError(f"{_not_json(file, error.lineno, error)} Correct the file.") from error


def _not_json(file: TextFile, line: int, error: json.JSONDecodeError) -> str:
    return f"{file.name}, line {line}, column {error.colno}: it is not JSON: {error.msg}."


def _lines(file: TextFile) -> Iterator[str]:
    """Return the lines of a file, with their ends; LoadError for one that is not UTF-8."""
    opens: Callable[..., TextIO] = gzip.open if file.path.suffix == ".gz" else open
    try:
        with opens(
            file.path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    line.encode()
                except UnicodeEncodeError as error:
                    byte = ord(line[error.start]) - _FIRST_SURROGATE
                    raise LoadError(f"{file.name}, line {number}: {not_utf8(byte)}") from error
                yield line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LoadError(f"{file.name} cannot be decompressed: {error}.") from error


def _records(file: TextFile, delimiter: str) -> Iterator[_Record]:
    """Return the header and the rows of a CSV file, without empty lines."""
    csv.field_size_limit(_LONGEST_FIELD)
    line_end = ""

    def lines() -> Iterator[str]:
        nonlocal line_end
        for line in _lines(file):
            line_end = line[len(line.rstrip("\r\n")) :]
            yield line

    # DuckDB leaves out the space before a quote too.
    reader = csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    first_line = 1
    try:
        for values in reader:
            if values:
                yield _Record(first_line, values, line_end)
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise LoadError(
            f"{file.name}, line {first_line}: it is not CSV: {error}. Put the whole value in double"
            " quotes, and write a quote in it twice."
        ) from error
