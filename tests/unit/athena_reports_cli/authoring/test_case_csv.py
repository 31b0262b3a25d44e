"""The CSV files of a case, read with their lines; test_case_tables.py has what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports_cli.authoring.case_csv import CaseError, read_csv

# The signs that have a meaning in CSV, and some that have none.
VALUES = st.none() | st.text(st.sampled_from(list('a",\n\r 茶(<')), max_size=4)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def tables(draw: st.DrawFn) -> list[list[str | None]]:
    width = draw(st.integers(2, 4))
    return draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), max_size=5))


def written(value: str | None, *, is_quoted: bool) -> str:
    """A field: nothing for NULL, and in quotes what needs them or is to have them."""
    if value is None:
        return ""
    if not is_quoted and value and not set(value) & set('",\n\r'):
        return value
    return '"' + value.replace('"', '""') + '"'


def lines_of(text: str) -> int:
    """The number of lines, the last one included, as Python's universal newlines count them."""
    return len(io.StringIO(text, newline=None).read().split("\n"))


@given(tables(), LINE_ENDS, st.booleans(), st.booleans())
def test_each_row_is_read_with_its_values_and_the_line_on_which_it_begins(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str | None]],
    line_end: str,
    is_quoted: bool,
    is_ended: bool,
) -> None:
    header = [f"column {number}" for number in range(len(rows[0]) if rows else 2)]
    text = ",".join(header)
    lines = []
    for row in rows:
        text += line_end
        lines.append(lines_of(text))
        text += ",".join(written(value, is_quoted=is_quoted) for value in row)
    if is_ended:
        text += line_end
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_bytes(text.encode())
    file = read_csv(path)
    assert file.path == path
    assert (file.header, file.header_line) == (tuple(header), 1)
    assert [list(row.values) for row in file.rows] == rows
    assert [row.line for row in file.rows] == lines


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("a decimal(10,2),b bigint", ["a decimal(10,2)", "b bigint"]),
        ("a map<string,array<int>>,b bigint", ["a map<string,array<int>>", "b bigint"]),
        ('"a struct<b:int,c:int>",d bigint', ["a struct<b:int,c:int>", "d bigint"]),
        ("a struct<b:decimal(3,1),c:int>,d date", ["a struct<b:decimal(3,1),c:int>", "d date"]),
        # A bracket that is not closed is a mistake in its own field, and not in those after it.
        ("a decimal(10,b bigint,c date", ["a decimal(10", "b bigint", "c date"]),
        ("a>,b bigint", ["a>", "b bigint"]),
    ],
)
def test_a_comma_in_brackets_parts_no_columns(
    header: str, columns: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{header}\n{',' * (len(columns) - 1)}\n")
    file = read_csv(path)
    assert list(file.header) == columns
    assert [row.values for row in file.rows] == [(None,) * len(columns)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1\n", "line 2: expected 2 fields (a, b), found 1."),
        ("a,b\n1,2,3\n", "line 2: expected 2 fields (a, b), found 3."),
        ("a,b\n1,2,\n", "line 2: expected 2 fields (a, b), found 3."),
        ("a,b\n1,2,", "line 2: expected 2 fields (a, b), found 3."),
        ('a,b\n"x\r\ny",1\n1\n', "line 4: expected 2 fields (a, b), found 1."),
        (
            '"a"b\n',
            "line 1, column 1: expected a comma or the end of the line beside quotes, found",
        ),
        ('a,b\n1,2"\n', "line 2, column b: expected a comma or the end of the line beside quotes"),
        ('a,b\n1,"2\n', "line 2, column b: expected a closing quote, found none to the end of the"),
        ('a,b\n1,2,"3', "line 2, column 3: expected a closing quote, found none to the end of the"),
        ('a decimal(3,1),b int\n1,2,"3', "line 2, column 3: expected a closing quote, found none"),
        ('a decimal(3,1),b int\n1,"2', "line 2, column b int: expected a closing quote, found"),
        ('a,b\r"x\r\ry",1\r1,"2\r3', "line 5, column b: expected a closing quote, found none to"),
    ],
)
def test_a_row_that_is_none_is_told_with_its_line_and_column(
    text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    with pytest.raises(CaseError) as refused:
        read_csv(path)
    assert str(refused.value).startswith(f"{path}, {problem}")
