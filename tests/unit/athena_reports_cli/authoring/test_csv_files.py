"""CSV files, read with their lines; test_text_values.py has what their values become."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.rows.engine import Engine, open_engine
from athena_reports_cli.authoring.csv_files import (
    DataFileError,
    column_name,
    name_columns,
    read_csv,
    typed_header,
)

# The signs that have a meaning in CSV, and some that have none.
VALUES = st.none() | st.text(st.sampled_from(list('a",;\n\r 茶(<')), max_size=4)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("100MB") as engine:
        yield engine


@st.composite
def tables(draw: st.DrawFn) -> list[list[str | None]]:
    width = draw(st.integers(2, 4))
    return draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), max_size=5))


def written(value: str | None, delimiter: str, *, is_quoted: bool) -> str:
    """A field: nothing for NULL, and in quotes what needs them or is to have them."""
    if value is None:
        return ""
    if not is_quoted and value and not set(value) & set(f'{delimiter}"\n\r'):
        return value
    return '"' + value.replace('"', '""') + '"'


def read_named(path: Path, engine: Engine) -> None:
    file = read_csv(path, engine)
    name_columns(file.rows, file.header.fields, file.header_place)


@given(tables(), LINE_ENDS, st.sampled_from(",;\t|"), st.booleans(), st.booleans(), st.booleans())
def test_each_row_is_read_with_its_values(
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str | None]],
    line_end: str,
    delimiter: str,
    is_quoted: bool,
    is_ended: bool,
    is_compressed: bool,
) -> None:
    header = [f"column {number}" for number in range(len(rows[0]) if rows else 2)]
    text = delimiter.join(header)
    for row in rows:
        text += line_end
        text += delimiter.join(written(value, delimiter, is_quoted=is_quoted) for value in row)
    if is_ended:
        text += line_end
    path = tmp_path_factory.getbasetemp() / ("table.csv.gz" if is_compressed else "table.csv")
    path.write_bytes(gzip.compress(text.encode()) if is_compressed else text.encode())

    file = read_csv(path, engine)
    assert (file.header.fields, file.header.delimiter) == (tuple(header), delimiter)
    assert [list(row) for row in file.rows.fetchall()] == rows
    # Python's csv module reads the same, but does not tell NULL from the empty text.
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert read[1:] == [[value or "" for value in row] for row in rows]


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n1,"x, ""y""\nz"\n2,\n',
        '\ufeffa,"b"\r\n1,"x, ""y""\nz"\r\n2,\r\n\r\n',
        '\n\n"a", b\n1, "x, ""y""\nz"\n\n2,',
        'a;b\n1;"x, ""y""\nz"\n2;\n',
        'a\t"b"\r1\t"x, ""y""\nz"\r2\t\r',
        'a,b\n1,"x, ""y""\nz",\n2,,\n',
    ],
    ids=["plain", "Excel", "blank lines", "semicolons", "tabs", "a separator at the end"],
)
def test_what_spreadsheets_and_editors_write_is_read(
    content: str, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows [*] 'name'.CSV"
    path.write_bytes(content.encode())
    file = read_csv(path, engine)
    assert file.header.fields == ("a", "b")
    assert file.rows.fetchall() == [("1", 'x, "y"\nz'), ("2", None)]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("score\n1\n\n2\n", [("1",), (None,), ("2",)]),
        ('score\n1\n""\n2\n', [("1",), ("",), ("2",)]),
        ("user,score\na,1\n\nb,2\n", [("a", "1"), ("b", "2")]),
    ],
)
def test_an_empty_line_is_null_where_there_is_one_column(
    tmp_path: Path, engine: Engine, text: str, rows: list[tuple[str | None, ...]]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    assert read_csv(path, engine).rows.fetchall() == rows


@pytest.mark.parametrize(
    ("header", "names", "types"),
    [
        ("a decimal(10,2),b BIGINT", ("a", "b"), ("decimal(10,2)", "bigint")),
        ("a map<string,array<int>>, b int", ("a", "b"), ("map<string,array<int>>", "int")),
        (
            '"a struct<b:int,c:int>",d varchar(20)',
            ("a", "d"),
            ("struct<b:int,c:int>", "string"),
        ),
        (
            "a struct<b:decimal( 3, 1),c:int>,d  date",
            ("a", "d"),
            ("struct<b:decimal(3,1),c:int>", "date"),
        ),
        ("a decimal(3,1);b int", ("a", "b"), ("decimal(3,1)", "int")),
    ],
)
def test_a_header_may_have_types_and_a_separator_in_brackets_parts_no_columns(
    header: str,
    names: tuple[str, ...],
    types: tuple[str, ...],
    tmp_path: Path,
    engine: Engine,
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n")
    assert typed_header(read_csv(path, engine)) == (names, types)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Played At", "played_at"),
        (" score ", "score"),
        ("a.b-c/d", "a_b_c_d"),
        ("2nd", "_2nd"),
        ("größe", "gr_e"),
        ("_x", "_x"),
    ],
)
def test_a_column_has_a_name_of_athena(written: str, name: str) -> None:
    assert column_name(written) == name


FEWER = "the row has fewer fields than the header. For a missing value, leave the field empty."
MORE = (
    "the row has more fields than the header. Enclose a value that contains the separator in"
    " double quotes."
)
QUOTE = (
    "a double quote is not closed, or is followed by text. Enclose the whole value in double"
    " quotes, and double each quote inside it."
)
NOT_UTF8 = "the text is not UTF-8. Save the file as UTF-8."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", " is empty. Put the column names on its first line."),
        ("\n\n", " is empty."),
        # The header.
        ("ä,b\n1,2\n".encode("latin-1"), f", line 1: {NOT_UTF8}"),
        ("a,b\n1,2\n".encode("utf-16"), f", line 1: {NOT_UTF8}"),
        ('\n"a\nb",a_b\n1,1\n', ", line 2: columns 1 and 2 are both named a_b. Rename one"),
        (
            "a,日付\n1,2\n",
            ", line 1, column 2: '日付' is not a valid column name in Athena. Use lett",
        ),
        (",a\n0,1\n", ", line 1, column 1: '' is not a valid column name in Athena."),
        # The rows.
        ("a,b\n1,2\n3\n6,7\n", f", line 3: {FEWER} Header: 'a,b'; row: '3'."),
        ("a;b\n1;2;3\n3;4;5\n", f", line 2: {MORE} Header: 'a;b'; row: '1;2;3'."),
        ('a,b\n1,"x"y\n3,4\n', f", line 2: {QUOTE} Header: 'a,b'; row: '1,\"x\"y'."),
        ('a,b\n1,2\n3,"4\n' + "5,6\n" * 9, f", line 3: {QUOTE} Header: 'a,b'; row: "),
        ("a,b\n1,é\n2,ü\n".encode("latin-1"), f", line 2: {NOT_UTF8} Header: 'a,b'; row: "),
        ("a,b\n1,2\n" + "x" * 2_000_000 + ",4\n", ", line 3: Maximum line size of 2000000 bytes"),
        ("\n \n\na,b\n1,2\n\n3\n", f", line 7: {FEWER}"),
        ('a|b\r1|3\r\r"x"y|4\r', f", line 4: {QUOTE}"),
        ("a,b\n" + "1,2\n" * 50_000 + "3", f", line 50002: {FEWER}"),
    ],
)
def test_a_fault_is_reported_with_its_line(
    content: str | bytes, problem: str, tmp_path: Path
) -> None:
    plain = tmp_path / "rows.csv"
    plain.write_bytes(content.encode() if isinstance(content, str) else content)
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        with open_engine("100MB") as engine, pytest.raises(DataFileError) as refused:
            read_named(path, engine)
        assert str(refused.value).startswith(f"{path}{problem}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,2\n", "Not a gzipped file"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 50_000)[:-9], "IO Error: Unexpected end of GZIP"),
    ],
)
def test_a_file_that_cannot_be_decompressed_is_reported(
    content: bytes, problem: str, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DataFileError) as refused:
        read_csv(path, engine)
    assert str(refused.value).startswith(f"{path} cannot be read: {problem}")
    assert str(engine.folder) not in str(refused.value)


def test_a_file_that_does_not_exist_is_reported(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "rows.csv"
    with pytest.raises(DataFileError) as refused:
        read_csv(path, engine)
    assert str(refused.value) == f"{path} cannot be read: No such file or directory."


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("a int,score", "column score: the header declares no type. Add one after the name, suc"),
        ("a bigit,b int", "column a: bigit is not a supported type. Use one of boolean, tinyint,"),
        ("a array<strng>", "column a: strng is not a supported type."),
        ("a decimal(99,2)", "column a: decimal(99,2) is not a supported type."),
    ],
)
def test_a_header_without_a_type_for_each_column_is_reported(
    header: str, problem: str, tmp_path: Path, engine: Engine
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(DataFileError) as refused:
        typed_header(read_csv(path, engine))
    assert str(refused.value).startswith(f"{path}, line 1, {problem}")
