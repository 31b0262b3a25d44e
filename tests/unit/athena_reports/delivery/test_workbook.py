"""Workbooks, read back by openpyxl."""

from __future__ import annotations

import io
import math
import sys
import tempfile
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.cell.cell import Cell

from athena_reports.delivery.content import Content, ContentColumn
from athena_reports.delivery.errors import DeliveryError
from athena_reports.delivery.language import Language
from athena_reports.delivery.workbook import write_workbook
from athena_reports.errors import MissingPackageError
from tests.unit.athena_reports.delivery.contents import (
    HOSTILE,
    LANGUAGES,
    TOKYO,
    bare_content,
    content,
    tables,
)


def written(made: Content, language: Language = "en", rows: Any = None) -> bytes:
    """The workbook of a content, with its rows unless others are given."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.xlsx"
        write_workbook(made, made.rows if rows is None else rows, path, language)
        assert [file.name for file in path.parent.iterdir()] == ["rows.xlsx"]
        return path.read_bytes()


def opened(workbook: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(workbook))


def cells(made: Content, language: Language = "en") -> list[list[Cell]]:
    """The cells of the rows, without the header."""
    sheet = opened(written(made, language)).worksheets[0]
    columns = range(1, len(made.columns) + 1)
    rows = range(2, len(made.rows) + 2)
    return [[sheet.cell(row, column) for column in columns] for row in rows]


def one_cell(kind: str, value: Any, *, name: str = "c") -> Cell:
    return cells(bare_content([ContentColumn(name, kind)], (value,)))[0][0]


def significant_digits(number: int | Decimal) -> int:
    _, digits, _ = Decimal(number).as_tuple()
    return len("".join(map(str, digits)).strip("0"))


@given(tables(), st.sampled_from(LANGUAGES))
def test_each_cell_is_the_value(made: Content, language: Language) -> None:
    for row, values in zip(cells(made, language), made.rows, strict=True):
        for cell, value in zip(row, values, strict=True):
            assert cell.hyperlink is None
            assert cell.data_type != "f"
            if value is None:
                assert cell.value is None
            elif isinstance(value, bool):
                assert cell.value is value
            elif isinstance(value, float):
                assert cell.value == pytest.approx(value, rel=1e-14, abs=0)
            elif isinstance(value, int | Decimal):
                if significant_digits(value) <= 15:
                    assert Decimal(str(cell.value)) == value
                else:
                    assert cell.data_type in ("s", "inlineStr")
                    assert Decimal(cell.value) == value
            elif isinstance(value, datetime):
                wall = value.replace(tzinfo=None)
                assert abs(cell.value - wall) < timedelta(milliseconds=2)
            elif isinstance(value, date):
                assert cell.value == datetime.combine(value, time())
            else:
                text = openpyxl.utils.escape.unescape(cell.value or "")
                assert cell.data_type in ("s", "inlineStr")
                assert text.removeprefix(" ") == value.removeprefix(" ")


@pytest.mark.parametrize(
    "text",
    [
        *filter(None, HOSTILE),
        *("<r></r>", "<r> a\n</r>"),
        *(f"{character}1" for character in "=+-@\t\r\n＝＋－＠"),
    ],
)
def test_a_text_is_text_whatever_it_says(text: str) -> None:
    cell = one_cell("VARCHAR", text)
    assert cell.data_type in ("s", "inlineStr")
    shown = f" {text}" if text.startswith("<r>") else text
    assert openpyxl.utils.escape.unescape(cell.value) == shown
    # Excel makes no formula of it either if somebody edits the cell.
    assert cell.quotePrefix


@pytest.mark.parametrize("title", ["<r>a</r>", "=a"])
def test_a_header_that_looks_like_xml_or_a_formula_of_excel_is_bold_text(title: str) -> None:
    made = bare_content([ContentColumn(title, "VARCHAR")], ("x",))
    header = opened(written(made)).worksheets[0].cell(1, 1)
    assert header.data_type in ("s", "inlineStr")
    assert header.value.strip() == title
    assert header.font.b


@pytest.mark.parametrize("language", LANGUAGES)
def test_equal_rows_give_equal_bytes(language: Language) -> None:
    made = content(provisional=True)
    assert written(made, language) == written(made, language)
    published_at = datetime(2026, 11, 21, 15, 7, 12)  # noqa: DTZ001
    in_tokyo = content(published_at=made.published_at.astimezone(TOKYO))
    properties = opened(written(in_tokyo)).properties
    assert (properties.created, properties.modified) == (published_at, published_at)
    with zipfile.ZipFile(io.BytesIO(written(made))) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


@pytest.mark.parametrize(
    ("number", "is_text"),
    [
        (999_999_999_999_999, False),
        (-999_999_999_999_999, False),
        (1_000_000_000_000_001, True),
        (10**20, False),
        (Decimal("1234567890123.45"), False),
        (Decimal("12345678901234.56"), True),
        (Decimal("0.000000000000001"), False),
        (Decimal("0.000000001234567890123456"), True),
        (Decimal("100000000000000000.00"), False),
        (0.0, False),
        (-1e300, False),
        (0.1 + 0.2, False),
    ],
)
def test_a_number_that_excel_would_round_is_text(
    number: int | float | Decimal, is_text: bool
) -> None:
    cell = one_cell("DECIMAL(38,15)", number)
    assert (cell.data_type != "n") == is_text
    if isinstance(number, int | Decimal):
        assert Decimal(str(cell.value)) == number
        assert not is_text or cell.value == f"{Decimal(number):f}"
    else:
        assert cell.value == pytest.approx(number, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("kind", "value", "of_a_figure", "of_an_id"),
    [
        ("BIGINT", 12_345, "#,##0", "0"),
        ("BIGINT", 123, "0", "0"),
        ("DOUBLE", 12_345.5, "General", "General"),
        ("FLOAT", 12_345.5, "General", "General"),
        ("DECIMAL(38,0)", Decimal(12_345), "#,##0", "0"),
        ("DECIMAL(38,2)", Decimal("12345.60"), "#,##0.00", "0.00"),
        ("DECIMAL(38,2)", Decimal("0.10"), "0.00", "0.00"),
    ],
)
def test_a_number_has_the_decimals_of_its_column_and_separators_if_it_is_no_id(
    kind: str, value: Any, of_a_figure: str, of_an_id: str
) -> None:
    assert one_cell(kind, value, name="score").number_format == of_a_figure
    assert one_cell(kind, value, name="user_id").number_format == of_an_id


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("DATE", date(1900, 1, 1), "1900-01-01"),
        ("DATE", date(1901, 1, 1), datetime(1901, 1, 1)),  # noqa: DTZ001
        ("DATE", date(9999, 12, 31), datetime(9999, 12, 31)),  # noqa: DTZ001
        ("TIMESTAMP", datetime(1850, 1, 2, 3, 4, 5), "1850-01-02 03:04:05"),  # noqa: DTZ001
        ("TIMESTAMP", datetime(1900, 1, 1), "1900-01-01 00:00:00"),  # noqa: DTZ001
        ("TIMESTAMP_MS", datetime(2026, 11, 21, 15), datetime(2026, 11, 21, 15)),  # noqa: DTZ001
        (
            "TIMESTAMP WITH TIME ZONE",
            datetime(2026, 11, 21, 15, 30, tzinfo=UTC).astimezone(TOKYO),
            datetime(2026, 11, 22, 0, 30),  # noqa: DTZ001
        ),
    ],
)
def test_dates_are_dates_and_those_before_excels_are_text(kind: str, value: Any, read: Any) -> None:
    cell = one_cell(kind, value)
    assert cell.value == read
    assert cell.is_date != isinstance(read, str)
    if cell.is_date:
        expected = "yyyy-mm-dd" if kind == "DATE" else "yyyy-mm-dd hh:mm:ss"
        assert cell.number_format == expected


@pytest.mark.parametrize(("value", "read"), [(math.nan, "nan"), (-math.inf, "-inf"), (1.5, 1.5)])
def test_a_float_that_is_no_number_is_text(value: float, read: object) -> None:
    assert one_cell("DOUBLE", value).value == read


def test_a_column_is_as_wide_as_its_texts_within_bounds() -> None:
    titles = ("a", "千葉千葉千葉", "long", "text", "score", "most")
    values = ("x", "x", "x" * 20, "千" * 11, 123_456_789, "x" * 100)
    columns = [ContentColumn(title, "VARCHAR") for title in titles]
    columns[4] = ContentColumn("score", "BIGINT")
    sheet = opened(written(bare_content(columns, values))).worksheets[0]
    widths = [int(sheet.column_dimensions[letter].width) for letter in "ABCDEF"]
    # A place more than the widest text, of which a number has separators.
    assert widths == [8, 13, 21, 23, 12, 60]


def test_temporary_files_are_beside_the_workbook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    path = tmp_path / "rows.xlsx"
    write_workbook(content(), content().rows, path, "en")
    assert [file.name for file in tmp_path.iterdir()] == ["rows.xlsx"]


def test_a_header_names_unit_and_zone_and_stays_in_sight() -> None:
    columns = [
        ContentColumn("sco\nre", "BIGINT", "points"),
        ContentColumn("seen", "TIMESTAMP WITH TIME ZONE"),
    ]
    seen_at = datetime(2026, 11, 21, 15, tzinfo=UTC).astimezone(TOKYO)
    sheet = opened(written(bare_content(columns, (12_345, seen_at)))).worksheets[0]
    assert sheet.title == "ranking"
    assert sheet.freeze_panes == "A2"
    assert [cell.value for cell in sheet[1]] == ["sco re (points)", "seen (Asia/Tokyo)"]
    assert all(cell.font.bold for cell in sheet[1])


def test_what_excel_does_not_take_is_refused_and_named() -> None:
    made = bare_content([ContentColumn("note", "VARCHAR")], ("short",), ("x" * 32_768,))
    with pytest.raises(DeliveryError) as refused:
        written(made)
    assert str(refused.value) == (
        "Report 'ranking', period 2026-11-15: column 'note', row 2: the text exceeds a workbook"
        " cell's limit of 32,767 characters. Attach a CSV, or shorten the text."
    )
    assert written(made, rows=[("x" * 32_767,)])
    assert written(content(total_rows=1_048_575))
    with pytest.raises(DeliveryError) as refused:
        written(content(total_rows=1_048_576))
    assert str(refused.value) == (
        "Report 'ranking', period 2026-11-15: 1,048,576 rows exceed a workbook's limit of"
        " 1,048,575."
        " Attach a CSV, or publish fewer rows."
    )


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(MissingPackageError, match=r"Install athena-reports\[delivery\]"):
        written(content())
