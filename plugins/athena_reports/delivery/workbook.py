"""A content as a file: a workbook of Excel, or a CSV.

XlsxWriter writes it row by row. Equal rows give equal bytes. No text is a formula or a link.

Excel's limits are those of "Excel specifications and limits" in Microsoft's support: 1,048,576 rows
with the header, 16,384 columns, 32,767 characters in a cell, 15 digits in a number,
numbers from 2.2251E-308 to 9.99999999999999E+307.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.language import (
    Language,
    instant_in_words,
    number_in_words,
    one_line,
    period_in_words,
    value_in_words,
)
from athena_reports.delivery.phrases import phrase
from athena_reports.delivery.sentences import sentences
from athena_reports.delivery.shown_table import is_grouped, width_of, with_unit
from athena_reports.errors import MissingPackageError
from athena_reports.rows.columns import is_number
from athena_reports.rows.formats import copy_rows

if TYPE_CHECKING:
    from athena_reports.delivery.published_rows import PublishedRows

XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_TYPE = "text/csv; charset=utf-8"

_MOST_ROWS = 1_048_575  # besides the header
_MOST_COLUMNS = 16_384
_LONGEST_TEXT = 32_767  # units of UTF-16
_MOST_DIGITS = 15
_SMALLEST_FLOAT = 2.2251e-308
_GREATEST_FLOAT = 9.99999999999999e307
_FIRST_YEAR = 1900
# XlsxWriter moves some earlier timestamps: the hours of 28 February 1900 become those of a 29th.
_FIRST_DATETIME = datetime(1900, 3, 1)  # noqa: DTZ001
# Excel would round the last milliseconds of 9999 up to the year 10000, which it does not have.
_LAST_DATETIME = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001
_LONGEST_SHEET_NAME = 31
_NARROWEST = 8
_WIDEST = 60
# A text that begins so would become a formula when somebody edits its cell.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def write_csv(rows: PublishedRows, path: Path) -> None:
    """Write all rows as the format `csv_for_spreadsheets` has them.

    Args:
        rows: The rows, without private columns.
        path: The file, in the engine's folder.
    """
    copy_rows(rows.source, "csv_for_spreadsheets", path, rows.engine)


def write_workbook(
    content: Content, rows: Iterable[Sequence[tuple[Any, ...]]], path: Path, language: Language
) -> None:
    """Write a workbook: a sheet with all rows, and one that says what the report is.

    Args:
        content: The content. The widths of the columns are those of its rows.
        rows: All rows, some at a time, as `PublishedRows.batches` yields them.
        path: The file. Temporary files are beside it.
        language: The language of the second sheet.

    Raises:
        DeliveryError: Excel does not take so many rows or columns, or so long a text. A file that
            is there is not complete.
        MissingPackageError: XlsxWriter is not installed here.
    """
    try:
        from xlsxwriter import Workbook
    except ImportError as error:
        raise MissingPackageError(
            f"{_about(content)}: XlsxWriter cannot be imported here: {error}. Workbooks need it:"
            " install athena-reports[delivery], or attach a CSV."
        ) from error

    _refuse_too_many(content)
    # Only write_string and write_rich_string write a text, so none becomes a formula or a link.
    options = {"constant_memory": True, "tmpdir": str(path.parent)}
    with Workbook(str(path), options) as book:
        # Otherwise the file would have the time at which it is made, and other bytes each time.
        created = content.published_at.astimezone(UTC).replace(tzinfo=None)
        book.set_properties({"created": created})
        _RowsSheet(book, content, language).write(rows)
        _AboutSheet(book, content, language).write()


def _about(content: Content) -> str:
    return f"Report {content.report!r}, period {content.period.id}"


def _refuse_too_many(content: Content) -> None:
    if content.total_rows > _MOST_ROWS:
        raise DeliveryError(
            f"{_about(content)}: it has {content.total_rows:,} rows, and a workbook has at most"
            f" {_MOST_ROWS:,}. Attach a CSV, or publish fewer rows."
        )
    if len(content.columns) > _MOST_COLUMNS:
        raise DeliveryError(
            f"{_about(content)}: it has {len(content.columns):,} columns, and a workbook has at"
            f" most {_MOST_COLUMNS:,}. Attach a CSV, or publish fewer columns."
        )


class _Sheet:
    """A sheet, and the formats of its cells."""

    def __init__(self, book: Any, name: str) -> None:
        self.sheet = book.add_worksheet(name)
        self.bold = book.add_format({"bold": True})
        # So that a text is not read as a formula when its cell is edited.
        self.quoted = book.add_format({"quote_prefix": True})

    def write_text(self, row: int, column: int, text: str, format: Any = None) -> None:
        if format is None and text.startswith(_FORMULA):
            format = self.quoted
        if not (text.startswith("<r>") and text.endswith("</r>")):
            self.sheet.write_string(row, column, text, format)
            return
        # XlsxWriter takes a text of this form for XML that it has made itself. What it makes of
        # three parts of a text, it escapes.
        parts = [text[:1], text[1:2], text[2:]]
        if format is not None:
            parts.append(format)
        self.sheet.write_rich_string(row, column, *parts)


class _RowsSheet(_Sheet):
    """The sheet with the rows."""

    def __init__(self, book: Any, content: Content, language: Language) -> None:
        super().__init__(book, content.report[:_LONGEST_SHEET_NAME])
        self.content = content
        self.language = language
        self.date = book.add_format({"num_format": "yyyy-mm-dd"})
        self.datetime = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.time = book.add_format({"num_format": "hh:mm:ss"})
        self.number_formats = []
        for number, column in enumerate(content.columns):
            pattern = _number_pattern(column.type, grouped=is_grouped(content, number))
            self.number_formats.append(book.add_format({"num_format": pattern}))

    def write(self, rows: Iterable[Sequence[tuple[Any, ...]]]) -> None:
        self._write_header()
        number = 0
        for batch in rows:
            for row in batch:
                number += 1
                for column, value in enumerate(row):
                    if value is not None:
                        self._write_value(number, column, value)

    def _write_header(self) -> None:
        zone = self.content.period.cadence.timezone
        for number, column in enumerate(self.content.columns):
            header = with_unit(one_line(column.name), one_line(column.unit), self.language)
            if column.type == "TIMESTAMP WITH TIME ZONE":
                header = with_unit(header, zone, self.language)
            self.write_text(0, number, header, self.bold)
            widths = [width_of(header) + 1]
            for row in self.content.rows:
                text = value_in_words(row[number], self.language, grouped=is_number(column.type))
                widths.append(width_of(text) + 1)
            self.sheet.set_column(number, number, min(max([_NARROWEST, *widths]), _WIDEST))
        self.sheet.freeze_panes(1, 0)

    def _write_value(self, row: int, column: int, value: Any) -> None:
        if isinstance(value, str):
            self._refuse_long(row, column, value)
            self.write_text(row, column, value)
        elif isinstance(value, bool):
            self.sheet.write_boolean(row, column, value)
        elif isinstance(value, int | float | Decimal):
            if _fits(value):
                self.sheet.write_number(row, column, value, self.number_formats[column])
            else:
                self.write_text(row, column, _number_text(value))
        elif isinstance(value, datetime):
            self._write_datetime(row, column, value)
        elif isinstance(value, date):
            if value.year < _FIRST_YEAR:
                self.write_text(row, column, value.isoformat())
            else:
                self.sheet.write_datetime(row, column, value, self.date)
        elif isinstance(value, time):
            self.sheet.write_datetime(row, column, value, self.time)
        else:
            self.write_text(row, column, str(value))

    def _write_datetime(self, row: int, column: int, value: datetime) -> None:
        """Write what a clock of the period's zone shows: Excel knows no time zones."""
        if value.tzinfo is UTC:  # the zone cannot show it
            self.write_text(row, column, value.isoformat(" "))
            return
        wall = value.replace(tzinfo=None)
        if not _FIRST_DATETIME <= wall <= _LAST_DATETIME:
            self.write_text(row, column, wall.isoformat(" "))
        else:
            self.sheet.write_datetime(row, column, wall, self.datetime)

    def _refuse_long(self, row: int, column: int, text: str) -> None:
        if len(text) * 2 <= _LONGEST_TEXT:
            return
        units = len(text.encode("utf-16-le")) // 2
        if units > _LONGEST_TEXT:
            name = self.content.columns[column].name
            raise DeliveryError(
                f"{_about(self.content)}: column {name!r}, row {row:,}: a text of {units:,}"
                f" characters, and a workbook has at most {_LONGEST_TEXT:,} in a cell. Attach a"
                " CSV, or publish less of it."
            )


class _AboutSheet(_Sheet):
    """The sheet that says what the report is."""

    def __init__(self, book: Any, content: Content, language: Language) -> None:
        super().__init__(book, phrase(language, "about_sheet"))
        self.content = content
        self.language = language
        self.row = 0

    def write(self) -> None:
        content = self.content
        language = self.language
        zone = content.period.cadence.zone
        self.sheet.set_column(0, 0, 28)
        self.sheet.set_column(1, 2, 24)
        self.sheet.set_column(3, 3, _WIDEST)
        facts = {
            "about_report": content.report,
            "about_period": period_in_words(content.period, language),
            "about_start": content.period.start.isoformat(),
            "about_end": content.period.end.isoformat(),
            "about_zone": content.period.cadence.timezone,
            "about_published": instant_in_words(content.published_at, zone, language),
            "about_version": content.version,
            "about_environment": content.environment,
            "about_rows": number_in_words(content.total_rows, language),
        }
        for name, text in facts.items():
            self._write_line([phrase(language, name), one_line(text)], is_fact=True)

        self.row += 1
        titles = ("about_column", "about_type", "about_unit", "about_description")
        self._write_line([phrase(language, title) for title in titles], is_title=True)
        for column in content.columns:
            texts = [column.name, column.type, column.unit, column.description]
            self._write_line([one_line(text) for text in texts])

        said = sentences(content, language)
        texts = [notice.text for notice in said.notices]
        texts.extend(said.differences)
        if said.empty:
            texts.append(said.empty)
        if texts:
            self.row += 1
            self._write_line([phrase(language, "about_notices")], is_title=True)
            for text in texts:
                self._write_line([text])

    def _write_line(
        self, texts: Sequence[str], *, is_title: bool = False, is_fact: bool = False
    ) -> None:
        for column, text in enumerate(texts):
            is_bold = is_title or (is_fact and column == 0)
            self.write_text(self.row, column, text, self.bold if is_bold else None)
        self.row += 1


def _number_pattern(kind: str, *, grouped: bool) -> str:
    """Return how Excel shows the numbers of a column."""
    if not kind.startswith("DECIMAL"):
        is_float = kind in ("FLOAT", "DOUBLE")
        return "General" if is_float or not grouped else "#,##0"
    scale = int(kind.rstrip(")").rpartition(",")[2])
    pattern = "#,##0" if grouped else "0"
    return f"{pattern}.{'0' * scale}" if scale else pattern


def _fits(number: int | float | Decimal) -> bool:
    """Return whether Excel keeps a number as it is.

    Excel keeps 15 digits of a number. A float has 15 that mean something, so it fits if Excel has
    so great and so small numbers.
    """
    if isinstance(number, float):
        return not number or _SMALLEST_FLOAT <= abs(number) <= _GREATEST_FLOAT
    digits = str(number) if isinstance(number, int) else _digits(number)
    return len(digits.strip("-0")) <= _MOST_DIGITS


def _digits(number: Decimal) -> str:
    return "".join(map(str, number.as_tuple().digits))


def _number_text(number: int | float | Decimal) -> str:
    """Return a number with all its digits, without separators."""
    if isinstance(number, float):
        return value_in_words(number, "en")
    return f"{number:f}" if isinstance(number, Decimal) else str(number)
