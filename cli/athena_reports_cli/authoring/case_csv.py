"""The CSV files of a case, with the line of each row, and NULL apart from the empty text.

DuckDB does not tell on which line of the file a row stands. Python's csv module, before 3.12, does
not tell an empty field from `""`.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from athena_reports.errors import AthenaReportsError

# A field in quotes, in which two quotes are one; or one without quotes.
_FIELD = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^",\r\n]*)')
_SEPARATOR = re.compile(r",|\r\n|\n|\r|\Z")
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_OPENING = "(<"
_CLOSING = ")>"

Row = tuple[str | None, ...]


class CaseError(AthenaReportsError):
    """A case cannot be run as it is written."""


class CsvRow(NamedTuple):
    """A row of a file, and the line on which it begins, from 1."""

    line: int
    values: Row


class CsvFile(NamedTuple):
    """A CSV file. An empty field is None, and `""` the empty text."""

    path: Path
    header: tuple[str, ...]
    header_line: int
    rows: tuple[CsvRow, ...]

    @property
    def values(self) -> tuple[Row, ...]:
        """The header and the rows, without their lines."""
        return (self.header, *(row.values for row in self.rows))


def read_csv(path: Path) -> CsvFile:
    """Read a CSV file of a case.

    In its header a comma in brackets does not separate columns, as in `price decimal(10,2)`.

    Raises:
        CaseError: The file is not a CSV file in UTF-8 whose rows have as many fields as its header.
    """
    records = _records(path, _text(path))
    if not records:
        raise CaseError(f"{path}, line 1: the file is empty; expected the names of the columns.")
    header = _header(records[0].values)
    rows = []
    for record in records[1:]:
        is_empty_line = record.values == (None,)
        if is_empty_line and len(header) > 1:
            continue
        if len(record.values) != len(header):
            expected = expected_fields(header)
            raise CaseError(f"{path}, line {record.line}: {expected}, found {len(record.values)}.")
        rows.append(record)
    return CsvFile(path, header, records[0].line, tuple(rows))


def expected_fields(header: Sequence[str]) -> str:
    """Say how many fields a row should have: as many as its header."""
    fields = "1 field" if len(header) == 1 else f"{len(header)} fields"
    return f"expected {fields} ({', '.join(header)})"


def not_utf8(byte: int) -> str:
    """Say that a text has a byte that is not UTF-8."""
    # Excel's "CSV" is in the code page of the machine.
    return f"expected text in UTF-8, found the byte 0x{byte:02X}. Save the file as UTF-8."


def _text(path: Path) -> str:
    content = path.read_bytes().removeprefix(BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        text_before = content[: error.start].decode()
        line = len(_LINE_BREAK.findall(text_before)) + 1
        problem = not_utf8(content[error.start])
        raise CaseError(f"{path}, line {line}: {problem}") from error


def _records(path: Path, text: str) -> list[CsvRow]:
    """Return the records of a file, the header among them; empty lines before it are left out."""
    records: list[CsvRow] = []
    values: list[str | None] = []
    place = 0  # in the text
    line = 1  # of this place
    first_line = 1  # of the record
    while place < len(text):
        field = _FIELD.match(text, place)
        assert field is not None  # an empty field matches everywhere
        separator = _SEPARATOR.match(text, field.end())
        if separator is None:
            # Neither a comma nor the end of a line follows the field.
            raise CaseError(_quote_problem(path, line, len(values), records, text[place:]))
        quoted = field["quoted"]
        if quoted is not None:
            values.append(quoted.replace('""', '"'))
            line += len(_LINE_BREAK.findall(quoted))
        else:
            values.append(field["plain"] or None)
        place = separator.end()
        if separator[0] == "," and place < len(text):
            continue
        if separator[0] == ",":  # the file ends after a comma, with an empty field
            values.append(None)
        if records or values != [None]:
            records.append(CsvRow(first_line, tuple(values)))
        values = []
        line += 1
        first_line = line
    return records


def _quote_problem(path: Path, line: int, number: int, records: list[CsvRow], rest: str) -> str:
    """Say what is wrong with the quotes of a field.

    Args:
        path: The file.
        line: The line on which the field begins.
        number: How many fields of the record stand before it.
        records: The records before its own, the header first.
        rest: The text from the field on.
    """
    column = f"column {number + 1}"
    if records:
        header = _header(records[0].values)
        if number < len(header):
            column = f"column {header[number]}"
    shown = _LINE_BREAK.split(rest, maxsplit=1)[0][:40]
    about = f"{path}, line {line}, {column}"
    field = _FIELD.match(rest)
    assert field is not None  # an empty field matches everywhere
    if field.end() == 0:  # the rest begins with a quote that is not closed
        return f"{about}: expected a closing quote, found none to the end of the file: {shown}"
    problem = f"{about}: expected a comma or the end of the line beside quotes, found {shown}"
    return f"{problem} Put the whole value in quotes, and write a quote in it twice."


def _header(fields: Row) -> tuple[str, ...]:
    """Return the fields of a header, where those that a comma in brackets has parted are one."""
    header: list[str] = []
    parted: list[str] = []
    for field in fields:
        parted.append(field or "")
        if _is_closed(",".join(parted)):
            header.append(",".join(parted))
            parted = []
    # A bracket that is not closed is a mistake in its own field, and not in those after it.
    return (*header, *parted)


def _is_closed(text: str) -> bool:
    opened = sum(text.count(bracket) for bracket in _OPENING)
    closed = sum(text.count(bracket) for bracket in _CLOSING)
    return opened <= closed
