"""The rows of a version as a workbook of Excel.

XlsxWriter writes it row by row. Equal rows give equal bytes. No text is a formula or link.

Excel's limits are those of "Excel specifications and limits" in Microsoft's support: 1,048,576 rows
with the header, 32,767 characters in a cell, 15 digits in a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from typing import Any

from athena_reports.delivery.content import Content
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.language import Language, number_text
from athena_reports.delivery.shown_table import is_grouped, shown_table, width_of, with_unit
from athena_reports.errors import MissingPackageError
from athena_reports.rows.columns import is_number

_MOST_ROWS = 1_048_575  # besides the header
_LONGEST_TEXT = 32_767
_MOST_DIGITS = 15
_FIRST_YEAR = 1901  # Excel takes 1900 for a leap year
_LONGEST_SHEET_NAME = 31
_NARROWEST = 8
_WIDEST = 60
_WITH_ZONE = "TIMESTAMP WITH TIME ZONE"
_FORMAT_OF_DATES = "yyyy-mm-dd"
_FORMAT_OF_TIMESTAMPS = "yyyy-mm-dd hh:mm:ss"


def write_workbook(
    content: Content, rows: Iterable[tuple[Any, ...]], path: Path, language: Language
) -> None:
    """Write a workbook with a sheet of all rows.

    Args:
        content: The content. The widths of the columns are those of its rows.
        rows: All rows.
        path: The file. Temporary files are beside it.
        language: The language of the header.

    Raises:
        DeliveryError: Excel does not take so many rows, or so long a text. The file is not complete
            then.
        MissingPackageError: XlsxWriter is not installed here.
    """
    about = f"Report {content.report!r}, period {content.period.id}"
    try:
        from xlsxwriter import Workbook
    except ImportError as error:
        raise MissingPackageError(
            f"{about}: could not import XlsxWriter: {error}. Install athena-reports[delivery], or"
            " attach a CSV."
        ) from error

    if content.total_rows > _MOST_ROWS:
        raise DeliveryError(
            f"{about}: {content.total_rows:,} rows exceed a workbook's limit of {_MOST_ROWS:,}."
            " Attach a CSV, or publish fewer rows."
        )
    options = {
        "constant_memory": True,
        "tmpdir": str(path.parent),
        "remove_timezone": True,  # a cell has what a clock of the period's zone shows
    }
    with Workbook(str(path), options) as book:
        # Otherwise the file would have the time at which it is made, and other bytes each time.
        created = content.published_at.astimezone(UTC).replace(tzinfo=None)
        book.set_properties({"created": created})
        sheet = book.add_worksheet(content.report[:_LONGEST_SHEET_NAME])
        _write_header(sheet, book, content, language)
        formats = [book.add_format(format) for format in _formats(content)]
        for row_number, row in enumerate(rows, start=1):
            for place, value in enumerate(row):
                if value is None:
                    continue
                shown = _for_excel(value)
                # No text is taken for a formula, a link or an empty cell.
                write = sheet.write_string if isinstance(shown, str) else sheet.write
                problem = write(row_number, place, shown, formats[place])
                if problem:
                    column = content.columns[place].name
                    raise DeliveryError(
                        f"{about}: column {column!r}, row {row_number:,}: the text exceeds a"
                        f" workbook cell's limit of {_LONGEST_TEXT:,} characters. Attach a CSV, or"
                        " shorten the text."
                    )


def _write_header(sheet: Any, book: Any, content: Content, language: Language) -> None:
    bold = book.add_format({"bold": True, "quote_prefix": True})
    for place, column in enumerate(shown_table(content, content.column_names, longest=_WIDEST)):
        header = with_unit(column.header, column.unit, language)
        if content.columns[place].type == _WITH_ZONE:
            header = with_unit(header, content.period.cadence.timezone, language)
        sheet.write_string(0, place, _for_excel(header), bold)
        widest = max(width_of(text) for text in (header, *column.texts))
        sheet.set_column(place, place, min(max(widest + 1, _NARROWEST), _WIDEST))
    sheet.freeze_panes(1, 0)


def _formats(content: Content) -> list[dict[str, Any]]:
    """Return the format of the cells of each column."""
    formats: list[dict[str, Any]] = []
    for place, column in enumerate(content.columns):
        if is_number(column.type):
            pattern = _number_pattern(column.type, grouped=is_grouped(content, place))
        elif column.type.startswith("TIMESTAMP"):  # DuckDB has one type for each precision
            pattern = _FORMAT_OF_TIMESTAMPS
        else:
            pattern = _FORMAT_OF_DATES if column.type == "DATE" else ""
        # A text with this prefix is not read as a formula when its cell is edited.
        formats.append({"num_format": pattern} if pattern else {"quote_prefix": True})
    return formats


def _number_pattern(kind: str, *, grouped: bool) -> str:
    """Return how Excel shows the numbers of a column."""
    if kind in ("FLOAT", "DOUBLE"):
        return "General"
    pattern = "#,##0" if grouped else "0"
    scale = int(kind.rstrip(")").rpartition(",")[2]) if kind.startswith("DECIMAL") else 0
    return f"{pattern}.{'0' * scale}" if scale else pattern


def _for_excel(value: Any) -> Any:
    """Return a value of a row, as text if Excel has no such number or date."""
    if isinstance(value, str) and value.startswith("<r>"):
        return f" {value}"  # XlsxWriter would take it for XML of its own
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, date) and value.year < _FIRST_YEAR:
        return str(value)
    if isinstance(value, int | Decimal):
        digits = "".join(map(str, Decimal(value).as_tuple().digits))
        if len(digits.strip("0")) > _MOST_DIGITS:  # Excel would round it
            return number_text(value, grouped=False)
    return value
