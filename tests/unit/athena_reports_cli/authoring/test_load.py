"""What a file becomes as a table; tests/services/test_load.py has the command and Athena."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from rich.console import Console

from athena_reports import Input
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports_cli.authoring.load import LoadedTable, Source, load, show
from athena_reports_cli.authoring.text_files import LoadError
from athena_reports_cli.local.lake import Lake

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def lake(glue: GlueClient, s3: S3Client, database: str, bucket: str) -> Lake:
    return Lake(s3, glue, bucket, database)


def printed(loaded: LoadedTable) -> list[str]:
    output = StringIO()
    show(loaded, Console(file=output, width=200))
    return output.getvalue().splitlines()


def cells(lines: list[str]) -> list[list[str]]:
    """The rows of the table that is printed, without its header."""
    return [
        [cell.strip() for cell in line[1:-1].split("│")] for line in lines if line.startswith("│")
    ]


def compressed(file: Path) -> Path:
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    return packed


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("score", "score"),
        ("Score", "score"),
        ("Played At", "played_at"),
        (" score ", "score"),
        ("a.b-c/d", "a_b_c_d"),
        ("2nd", "_2nd"),
        ("2", "_2"),
        ("größe", "gr_e"),
        ("_x", "_x"),
    ],
)
def test_a_column_has_a_name_of_athena_and_the_table_says_which_it_had(
    written: str, name: str, tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.parquet"
    columns = f'1::BIGINT AS "{written}", 2::BIGINT AS other'
    duckdb.sql(f"COPY (SELECT {columns}) TO '{file}' (FORMAT parquet)")
    loaded = load(Source("names", file), lake, tmp_path / ".lake")
    assert loaded.kept.columns == {name: "bigint", "other": "bigint"}
    assert loaded.renamed == ({} if written == name else {written: name})
    lines = printed(loaded)
    assert lines[0] == "names: 1 rows, no partitions"
    in_the_file = "" if written == name else written.strip()
    assert cells(lines) == [[name, "bigint", in_the_file], ["other", "bigint", ""]]
    assert lines[-1] == 'In the report, write Input("names", columns=())'


QUOTES = (
    "a double quote is not closed, or has text after it. Put the whole value in double quotes, and"
    " write a quote in it twice."
)
NAMES = "The first line has to be the names of the columns. Remove what stands above them."
NO_NAME = (
    "it has no name. Write one in the file, or leave the column out: pandas writes it without"
    " `index=False`."
)
NO_END = "the names of the columns do not end. Close the double quotes around each of them."
COMMAS = "Put a value that has ',' in it in double quotes."
LINES = "Write one JSON object on each line."
PROPERTY = "Expecting property name enclosed in double quotes"
EMPTY = "For a value that is missing, leave the field empty."
LONG = (
    "the row has more than 2,000,000 bytes, the most that is read of CSV. Write the file as"
    " Parquet."
)
TWO = "would both have the name 'a_b' in Athena. Rename one in the file."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        # The header.
        ("a b,a_b\n1,2\n", f", line 1: columns 1 ('a b') and 2 ('a_b') {TWO}"),
        ("A-B,c,a_b\n1,1,1\n", f", line 1: columns 1 ('A-B') and 3 ('a_b') {TWO}"),
        ("a_b,c,a_b\n1,1,1\n", f", line 1: columns 1 ('a_b') and 3 ('a_b') {TWO}"),
        ("\n\na_b,A_B\n1,1\n", f", line 3: columns 1 ('a_b') and 2 ('A_B') {TWO}"),
        (",a,b\n0,1,2\n", f", line 1, column 1: {NO_NAME}"),
        ('a," "\n1,2\n', f", line 1, column 2: {NO_NAME}"),
        ("sep=;\na;b\n1;2\n", f", line 1: {NAMES}"),
        ("sep=\t\na\tb\n1\t2\n", f", line 1: {NAMES}"),
        ('\na,"b\n1,2\n', f", line 2: {NO_END}"),
        ('a,"b\n' + "1,2\n" * 50_000, f", line 1: {NO_END}"),
        ("a,日付\n1,2\n", ", line 1, column 2: '日付' has no letter or digit that Athena takes in"),
        ("\n \t\n", " has no header. Its first line has the names of the columns."),
        # The rows.
        ("a,b\n1,2\n3,4,5,6\n7,8\n", f", line 3: expected 2 fields (a, b), found more. {COMMAS}"),
        ("a,b\n1,2\n3\n6,7\n", f", line 3: expected 2 fields (a, b), found 1. {EMPTY}"),
        ("a,b\n1,2,3\n3,4,5\n", f", line 2: expected 2 fields (a, b), found more. {COMMAS}"),
        ("# of May\na,b\n1,2\n", f", line 2: expected 1 field (# of May), found more. {NAMES}"),
        (
            "a;b\n1;2;3\n",
            ", line 2: expected 2 fields (a, b), found more. Put a value that has ';' in",
        ),
        ("a;b\n1;2\n3\n", f", line 3: expected 2 fields (a, b), found 1. {EMPTY}"),
        ('a,b\r\n"1\r\n2\n3",4\r\n\r\n5\r\n', ", line 6: expected 2 fields (a, b), found 1."),
        ("a,b\n" + "1,2\n" * 50_000 + "3\n", ", line 50002: expected 2 fields (a, b), found 1."),
        ('a,b\n1,"x"y\n3,4\n', f", line 2, column 2: {QUOTES}"),
        ('a,b\n1,"2\n3,4\n', f", line 2, column 2: {QUOTES}"),
        (
            "a,b\r\n1,2\r\n3,4\n",
            r": its lines do not all end alike. Let all of them end with \n, or all with \r\n.",
        ),
        ("a,b\n1,2\n" + "x" * 2_000_000 + ",4\n", f", line 3: {LONG}"),
        (
            "a,b\n1,2,\n3,4\n",
            ": its rows are not alike. Perhaps some end with ',', and others do not.",
        ),
        # The rows, after what moves the count of DuckDB, or what Python's csv reads otherwise.
        ("\n \n\na,b\n1,2\n\n3\n", ", line 7: expected 2 fields (a, b), found 1."),
        ('a,b\n"x" ,"1\n2"\n"y" ,2\n3\n', ", line 5: expected 2 fields (a, b), found 1."),
        ("a,b\n1,2,\n3,4,\n5\n6,7,\n", ", line 4: expected 2 fields (a, b), found 1."),
        ('"a\nb";c\n"1\n2";3\n4;5;6\n', ", line 5: expected 2 fields (a\nb, c), found more."),
        ('a|b\r"1\r2"|3\r\r"x"y|4\r', f", line 5, column 1: {QUOTES}"),
        ('\ufeff"a" , "b"\n"1\n2",3\n' + "x" * 2_000_000 + ",4\n", f", line 4: {LONG}"),
        ('a,b\n"1\n2",3\n4', ", line 4: expected 2 fields (a, b), found 1."),
    ],
)
def test_csv_that_is_not_a_table_is_refused_with_the_place(
    content: str, problem: str, tmp_path: Path, lake: Lake
) -> None:
    """What DuckDB calls the line is the row: after a line break in quotes, the line is another."""
    file = tmp_path / "rows.csv"
    file.write_bytes(content.encode())
    for kept_file in (file, compressed(file)):
        with pytest.raises(LoadError) as refused:
            load(Source("bad", kept_file), lake, tmp_path / ".lake")
        assert str(refused.value).startswith(f"{kept_file}{problem}")


@pytest.mark.parametrize("content", ['a,b\n"n\nm" ,ü\n1,é\n', "ä,b\n1,2\n"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_text_that_is_not_utf_8_is_told_with_the_line_and_the_byte(
    content: str, encoding: str, tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content.encode(encoding))
    line, byte = 1, "FF"
    if encoding == "latin-1":
        line, byte = (1, "E4") if content.startswith("ä") else (3, "FC")
    with pytest.raises(LoadError) as refused:
        load(Source("bad", file), lake, tmp_path / ".lake")
    assert str(refused.value) == (
        f"{file}, line {line}: expected text in UTF-8, found the byte 0x{byte}."
        " Save the file as UTF-8."
    )


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n1,"x, ""y""\nz"\n2,\n',
        '\ufeffa,"b"\r\n1,"x, ""y""\nz"\r\n2,\r\n\r\n',
        '\n\n"a", b\n1, "x, ""y""\nz"\n\n2,""',
        'a;b\n1;"x, ""y""\nz"\n2;\n',
        'a\t"b"\r1\t"x, ""y""\nz"\r2\t\r',
    ],
)
def test_csv_has_quotes_and_a_header_and_what_separates_its_fields_is_seen_in_the_header(
    content: str, tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content.encode())
    kept = load(Source("quoted", file), lake, tmp_path / ".lake").kept
    assert kept.columns == {"a": "bigint", "b": "string"}
    stored = next((tmp_path / ".lake").rglob("*.parquet"))
    assert duckdb.sql(f"FROM '{stored}'").fetchall() == [(1, 'x, "y"\nz'), (2, None)]


@pytest.mark.parametrize(
    ("header", "row", "names", "text"),
    [
        ("a,b\n", '"x" ,{}\n', ["a", "b"], "x"),
        ("a,b\n", "x,{},\n", ["a", "b"], "x"),
        ("a,b\n", 'x"y,{}\n', ["a", "b"], 'x"y'),
        ('"a\nb";c\n', "x;{}\n", ["a\nb", "c"], "x"),
        ("a|b\n", 'x|"{}"\n', ["a", "b"], "x"),
        ("\n \n a\tb \n", "x\t{}\n", ["a", "b"], "x"),
        ('"a" , "b"\r\n', '"x\ny",{}\r\n\r\n', ["a", "b"], "x\ny"),
        ('5" wide;6" tall\n', "x;{}\n", ['5" wide', '6" tall'], "x"),
        ('"Doe; J; K",x\n', "x,{}\n", ["Doe; J; K", "x"], "x"),
    ],
)
def test_what_duckdb_reads_as_csv_is_loaded_and_its_rows_are_counted(
    header: str, row: str, names: list[str], text: str, tmp_path: Path, lake: Lake
) -> None:
    """Python's csv reads some of these otherwise."""
    values = [*map(str, range(9)), "n/a"]
    file = tmp_path / "rows.csv"
    file.write_bytes((header + "".join(row.format(value) for value in values)).encode())
    loaded = load(Source("odd", file), lake, tmp_path / ".lake")
    stored = next((tmp_path / ".lake").rglob("*.parquet"))
    assert duckdb.sql(f"FROM '{stored}'").fetchall() == [(text, value) for value in values]
    in_the_table = dict(zip(names, loaded.kept.columns, strict=True))
    assert loaded.renamed == {
        written: name for written, name in in_the_table.items() if written != name
    }
    assert loaded.notes == (
        f"The column {names[1]!r} is text: 9 of its 10 values are numbers, but 'n/a' in row 10 is"
        " not. Correct the file if it should have numbers only.",
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("f.jsonl", '{"a": 1}\n{"a": \n', ", line 2, column 6: it is not JSON: Expecting value."),
        ("f.jsonl", '{\n"a": 1}\n', f", line 1, column 2: it is not JSON: {PROPERTY}. {LINES}"),
        ("f.jsonl", '{"a": 1}\n{"a": x}', ", line 2, column 7: it is not JSON: Expecting value."),
        ("f.ndjson", '\n{"a": 1}\r\n\n{"a": x}', ", line 4, column 7: it is not JSON: Expecting"),
        (
            "f.jsonl",
            '{"a": 1}\n{"a": 2} {"a": 3}\n',
            f", line 2, column 10: it is not JSON: Extra data. {LINES}",
        ),
        ("f.json", '[{"a": 1},\n {"a": 2\n]', ", line 3, column 1: it is not JSON: Expecting ','"),
        ("f.json", '\n{"a": 1}\n{"a":\n1}\n\n{x', ", line 6, column 2: it is not JSON: Expecting"),
        ("f.jsonl", b'{"a": 1}\n{"a": "\xe9"}', ", line 2: expected text in UTF-8, found the byte"),
        (
            "f.json",
            b'[{"a": 1},\n{"a": "\xe9"}]',
            ", line 2: expected text in UTF-8, found the byt",
        ),
        (
            "f.jsonl",
            '{"a": 1, "a": 2}\n',
            ' cannot be read: Invalid Input Error: JSON transform error in file "f.jsonl", in line'
            ' 1: Object {"a":1,"a":2} has duplicate key "a".',
        ),
        ("f.jsonl", "[" * 200_000, " cannot be read: Invalid Input Error: Malformed JSON in file"),
        ("f.json", "[" * 200_000, " cannot be read: Invalid Input Error: Malformed JSON in file"),
        ("f.jsonl", f'{{"a": {"1" * 5000}}}\n{{"a": x}}', ", line 2, column 7: it is not JSON: "),
        ("f.json", f'{{"a": {"1" * 5000}}}\n{{"a": x}}', ", line 2, column 7: it is not JSON: "),
        (
            "f.parquet",
            "PAR1",
            " cannot be read: Invalid Input Error: File 'f.parquet' too small to be a Parquet fi",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_the_file_and_the_place(
    name: str, content: str | bytes, problem: str, tmp_path: Path, lake: Lake
) -> None:
    """DuckDB names a copy, and counts a line too many."""
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(LoadError) as refused:
        load(Source("bad", file), lake, tmp_path / ".lake")
    assert str(refused.value).startswith(f"{file}{problem}")


def test_a_file_that_is_not_compressed_although_its_name_says_so_is_refused(
    tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv.gz"
    for content, problem in (
        (b"a,b\n1,2\n", "cannot be decompressed: Not a gzipped file"),
        (gzip.compress(b"a,b\n1,2\n")[:-9], "cannot be read: IO Error: Unexpected end of GZIP st"),
    ):
        file.write_bytes(content)
        with pytest.raises(LoadError) as refused:
            load(Source("bad", file), lake, tmp_path / ".lake")
        assert str(refused.value).startswith(f"{file} {problem}")


def test_two_columns_of_one_name_are_refused_in_other_files_too(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a b": 1, "c": 2, "a_b": 3}\n')
    with pytest.raises(LoadError) as refused:
        load(Source("twice", file), lake, tmp_path / ".lake")
    assert str(refused.value) == f"{file}: columns 1 ('a b') and 3 ('a_b') {TWO}"


@pytest.mark.parametrize("name", ["_x", "2nd", "x" * 129, "größe", ""])
def test_what_is_no_name_of_athena_is_refused_as_a_table_and_as_a_key(
    name: str, tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("at,n\n2026-03-01,1\n")
    for source in (Source(name, file, "at"), Source("names", file, "at", key=name)):
        with pytest.raises(LoadError) as refused:
            load(source, lake, tmp_path / ".lake")
        assert str(refused.value) == (
            f"{name!r} is not a name of Athena: use lower-case letters, digits and '_', and begin"
            " with a letter."
        )
    longest = "x" * 128
    load(Source(longest, file, "at", key=longest), lake, tmp_path / ".lake")


def test_the_partition_key_is_no_column_in_whatever_case(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("at,DT\n2026-03-01,1\n")
    with pytest.raises(LoadError, match="has a column dt already, which cannot be the partition"):
        load(Source("keyed", file, "at"), lake, tmp_path / ".lake")


def test_what_is_not_known_by_its_name_is_told_with_the_names_that_are(
    tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.xlsx"
    file.write_text("n\n1\n")
    with pytest.raises(LoadError) as refused:
        load(Source("sheet", file), lake, tmp_path / ".lake")
    assert str(refused.value) == (
        f"{file} is not known by its name. It has to end with .csv, .parquet, .jsonl, .ndjson,"
        " .json, and may be compressed (.gz) unless it is Parquet."
    )
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(LoadError, match=r"There is no file .*/folder\.csv\."):
        load(Source("sheet", tmp_path / "folder.csv"), lake, tmp_path / ".lake")


# How a value is written as SQL of DuckDB, and the type that the table has for it.
TYPES = {
    "true": "boolean",
    "1::TINYINT": "tinyint",
    "1::SMALLINT": "smallint",
    "1::INTEGER": "int",
    "1::BIGINT": "bigint",
    "255::UTINYINT": "smallint",
    "65535::USMALLINT": "int",
    "4294967295::UINTEGER": "bigint",
    "18446744073709551615::UBIGINT": "decimal(20,0)",
    "1.5::FLOAT": "float",
    "1.5::DOUBLE": "double",
    "1.50::DECIMAL(5,2)": "decimal(5,2)",
    "'a'": "string",
    "'\\x00'::BLOB": "binary",
    "uuid()": "string",
    "DATE '2026-03-01'": "date",
    "TIMESTAMP '2026-03-01 10:00:00'": "timestamp",
    "TIMESTAMPTZ '2026-03-01 10:00:00+09:00'": "timestamp",
    "TIME '10:00:00'": "string",
    "[1, 2]": "array<int>",
    "[255::UTINYINT]": "array<smallint>",
    "{'a': 1, 'b': TIME '10:00'}": "struct<a:int,b:string>",
    "MAP {'a': 1}": "map<string,int>",
    "INTERVAL 1 DAY": "string",
    "TIMESTAMP_NS '2026-03-01 10:00:00.123456789'": "timestamp",
    "TIMETZ '10:00:00+09:00'": "string",
    "TIMESTAMPTZ_NS '2026-03-01 10:00:00.123456789+09:00'": "timestamp",
}


def test_each_type_of_a_file_is_one_of_the_table(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "types.parquet"
    columns = ", ".join(f"{value} AS c{number}" for number, value in enumerate(TYPES))
    duckdb.sql(f"COPY (SELECT {columns}) TO '{file}' (FORMAT parquet)")
    kept = load(Source("types", file), lake, tmp_path / ".lake").kept
    assert dict(zip(TYPES, kept.columns.values(), strict=True)) == TYPES

    stored = next((tmp_path / ".lake").rglob("*.parquet"))
    (row,) = duckdb.sql(f"SELECT c8, c16, c17, c18 FROM '{stored}'").fetchall()
    assert [str(value) for value in row] == [
        "18446744073709551615",
        "2026-03-01 10:00:00",
        "2026-03-01 01:00:00",  # in UTC
        "10:00:00",
    ]


def test_a_structure_whose_names_athena_does_not_take_is_refused(
    tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text(json.dumps({"id": "a", "person": {"first name": "Ada"}}))
    with pytest.raises(LoadError) as refused:
        load(Source("people", file), lake, tmp_path / ".lake")
    assert str(refused.value) == (
        f"{file}: the column 'person' is a STRUCT(\"first name\" VARCHAR), which no table of"
        " Athena has. Write it as text in the file."
    )
    assert lake.glue.get_tables(DatabaseName=lake.database)["TableList"] == []


def test_instants_within_lists_and_structures_are_timestamps(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "nested.parquet"
    naive, zoned = "TIMESTAMP '2026-03-01 10:00:00.5'", "TIMESTAMPTZ '2026-03-01 10:00:00+09:00'"
    values = (f"[{naive}]", f"[{zoned}]", f"{{'at': {naive}}}", f"MAP {{'a': {zoned}}}", naive)
    columns = ", ".join(f"{value} AS c{number}" for number, value in enumerate(values))
    duckdb.sql(f"COPY (SELECT {columns}) TO '{file}' (FORMAT parquet)")
    kept = load(Source("nested", file), lake, tmp_path / ".lake").kept
    assert list(kept.columns.values()) == [
        *("array<timestamp>", "array<timestamp>", "struct<at:timestamp>"),
        *("map<string,timestamp>", "timestamp"),
    ]
    stored = next((tmp_path / ".lake").rglob("*.parquet"))
    (row,) = duckdb.sql(f"SELECT c0[1], c1[1], c2.at, c3['a'], c4 FROM '{stored}'").fetchall()
    half, utc = "2026-03-01 10:00:00.500000", "2026-03-01 01:00:00"
    assert [str(value) for value in row] == [half, utc, half, utc, half]
    source = Source("nested", file).partitioned("c0")
    with pytest.raises(LoadError, match=r"the column 'c0' is a TIMESTAMP\[\], not a timestamp"):
        load(source, lake, tmp_path / ".lake")


LAST_NANOSECOND = "2005-10-31 23:59:59.999999999"
BEFORE_1970 = "1965-10-31 23:59:59.999999999"


@pytest.mark.parametrize("written", [LAST_NANOSECOND, BEFORE_1970])
@pytest.mark.parametrize(
    ("offset", "zone", "hour_in_utc"),
    [("", "UTC", "23"), ("+00", "UTC", "23"), ("+09", "Asia/Tokyo", "14")],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_a_time_has_below_milliseconds_is_cut_off_in_each_format(
    suffix: str, offset: str, zone: str, hour_in_utc: str, written: str, tmp_path: Path, lake: Lake
) -> None:
    """A period of pandas ends with such a time. If it was rounded, it would be in the next one."""
    file = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        file.write_text(f"seen\n{written}{offset}\n")
    elif suffix == "jsonl":
        file.write_text(json.dumps({"seen": f"{written}{offset}"}))
    else:
        kind = "TIMESTAMPTZ_NS" if offset else "TIMESTAMP_NS"
        duckdb.sql(f"COPY (SELECT {kind} '{written}{offset}' AS seen) TO '{file}' (FORMAT parquet)")
    source = Source("last", file).partitioned("seen", zone=zone)
    kept = load(source, lake, tmp_path / ".lake").kept
    assert kept.dates == (written[:10],)
    stored = next((tmp_path / ".lake").rglob("*.parquet"))
    cut_off = f"{written[:10]} {hour_in_utc}:59:59.999"
    assert duckdb.sql(f"SELECT seen::VARCHAR FROM '{stored}'").fetchall() == [(cut_off,)]


def test_what_a_time_within_a_list_or_a_structure_has_below_milliseconds_is_cut_off_too(
    tmp_path: Path, lake: Lake
) -> None:
    last = f"TIMESTAMP_NS '{LAST_NANOSECOND}'"
    zoned = f"TIMESTAMPTZ_NS '{LAST_NANOSECOND}+00'"
    columns = {
        "a": f"[{last}, NULL]",
        "b": f"[[{zoned}], []]",
        "source": f"{{'at': {last}, 'x': 1, 'm': MAP {{'k': TIMESTAMP '{LAST_NANOSECOND}'}}}}",
        "x": f"MAP {{'k': {{'at': {zoned}}}}}",
        "f": f"[{last}]::TIMESTAMP_NS[1]",
    }
    values = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    nothing = ", ".join("NULL" for _ in columns)
    file = tmp_path / "nested.parquet"
    duckdb.sql(f"COPY (SELECT {values} UNION ALL SELECT {nothing}) TO '{file}' (FORMAT parquet)")
    load(Source("nested", file), lake, tmp_path / ".lake")
    stored = next((tmp_path / ".lake").rglob("*.parquet"))
    cut = "2005-10-31 23:59:59.999"
    texts = ", ".join(f"{name}::VARCHAR" for name in columns)
    assert duckdb.sql(f"SELECT {texts} FROM '{stored}'").fetchall() == [
        (
            f"['{cut}', NULL]",
            f"[['{cut}'], []]",
            f"{{'at': '{cut}', 'x': 1, 'm': {{k='{cut}'}}}}",
            f"{{k={{'at': '{cut}'}}}}",
            f"['{cut}']",
        ),
        (None,) * len(columns),
    ]


def test_values_of_json_that_tell_no_type_are_texts(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [
        {"nothing": None, "mixed": 1, "id": "a"},
        {"nothing": None, "mixed": {"a": 1}, "id": "b"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    kept = load(Source("untold", file), lake, tmp_path / ".lake").kept
    assert kept.columns == {"nothing": "string", "mixed": "string", "id": "string"}


def test_the_first_line_of_csv_has_the_names_also_if_they_are_numbers(
    tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("2024,2025\n1,2\n")
    kept = load(Source("years", file), lake, tmp_path / ".lake").kept
    assert (kept.columns, kept.rows) == ({"_2024": "bigint", "_2025": "bigint"}, 1)


def test_whole_numbers_beyond_64_bits_are_decimals(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("n\n18446744073709551616\n-1\n")
    assert load(Source("wide", file), lake, tmp_path / ".lake").kept.columns == {
        "n": "decimal(38,0)"
    }


# --- Partitions

INSTANTS = {
    # How the file writes it, and its date in UTC and in Tokyo.
    "2026-03-01 14:59:59.9999": ("2026-03-01", "2026-03-01"),
    "2026-03-01 15:00:00": ("2026-03-01", "2026-03-02"),
    "2026-03-01 23:59:59.9999": ("2026-03-01", "2026-03-02"),
    "2026-03-02T00:00:00": ("2026-03-02", "2026-03-02"),
}
WITH_ZONES = {
    "2026-03-01T23:30:00-05:00": ("2026-03-02", "2026-03-02"),
    "2026-03-02T00:30:00+09:00": ("2026-03-01", "2026-03-02"),
    "2026-03-01T15:30:00Z": ("2026-03-01", "2026-03-02"),
}
DATES = {"2026-03-01": ("2026-03-01", "2026-03-01"), "2026-03-02": ("2026-03-02", "2026-03-02")}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("instants", [INSTANTS, WITH_ZONES, DATES], ids=["UTC", "zones", "dates"])
def test_the_partition_of_a_row_is_the_date_of_its_instant_in_the_zone(
    instants: dict[str, tuple[str, str]], zone: str, tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["Seen At,n", *(f"{text},1" for text in instants), ""]))
    source = Source("seen", file).partitioned("Seen At", zone="" if zone == "UTC" else zone)
    loaded = load(source, lake, tmp_path / ".lake")
    place = 0 if zone == "UTC" else 1
    expected = Counter(dates[place] for dates in instants.values())
    assert loaded.kept.dates == tuple(sorted(expected))
    assert loaded.kept.key == "dt"
    for day, number in expected.items():
        (stored,) = (tmp_path / ".lake" / "seen" / loaded.kept.version / f"dt={day}").iterdir()
        assert duckdb.sql(f"SELECT count(*) FROM '{stored}'").fetchall() == [(number,)]
    lines = printed(loaded)
    assert lines[0] == (
        f"seen: {len(instants)} rows, {len(expected)} partitions,"
        f" {min(expected)} to {max(expected)}"
    )
    assert ["dt", "string", f"the date of Seen At, {zone}"] in cells(lines)
    told_zone = "" if zone == "UTC" else ', zone="Asia/Tokyo"'
    assert lines[-1] == f'In the report, write Input("seen", "dt"{told_zone})'


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("10:00:00", "the column 'at' is a TIME, not a timestamp. Write it as one in the file, su"),
        ("12026-03-01 10:00:00", "'12026-03-01' in the column 'at' is not a date of the years 1 t"),
        (
            "infinity",
            "'infinity' in the column 'at' is not a date of the years 1 to 9999. Correct the",
        ),
    ],
)
def test_a_time_without_a_date_of_a_partition_is_refused(
    written: str, problem: str, tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"at,n\n{written},1\n")
    with pytest.raises(LoadError) as refused:
        load(Source("timeless", file, "at"), lake, tmp_path / ".lake")
    assert str(refused.value).startswith(f"{file}: {problem}")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_time_that_is_none_is_told_with_its_row(suffix: str, tmp_path: Path, lake: Lake) -> None:
    times = ["2026-03-01", None, "yesterday" * 5, "soon"]
    file = tmp_path / f"rows.{suffix}"
    values = ", ".join(f"('a\nb', {time!r})" for time in times).replace("None", "NULL")
    rows = f'FROM (VALUES {values}) r(n, "Seen At")'
    file_format = "json" if suffix == "jsonl" else suffix
    duckdb.sql(f"COPY ({rows}) TO '{file}' (FORMAT {file_format})")
    with pytest.raises(LoadError) as refused:
        load(Source("timeless", file, "seen_at"), lake, tmp_path / ".lake")
    assert str(refused.value) == (
        f"{file}: '{'yesterday' * 4}yest…' in row 3 of the column 'Seen At' is not a timestamp, so"
        " the row has no partition. Correct the file."
    )


def test_rows_without_a_time_are_counted(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("n,Seen At\n1,2026-03-01\n2,\n3,\n")
    with pytest.raises(LoadError) as refused:
        load(Source("timeless", file, "seen_at"), lake, tmp_path / ".lake")
    assert str(refused.value) == (
        f"{file}: 2 of 3 rows have no Seen At, so they have no partition. Correct the file."
    )


def test_a_column_of_text_in_which_9_of_10_values_are_numbers_is_noted(
    tmp_path: Path, lake: Lake
) -> None:
    columns = {
        "Wind [m/s]": [str(n / 2) for n in range(300)],
        "code": [f"{n:03}" for n in range(300)],
        "9 of 10": [*map(str, range(270)), *["x" * 41] * 30],
        "fewer": [*map(str, range(269)), *["x"] * 31],
        "row": [str(n) for n in range(1, 301)],
        "n": [str(n) for n in range(300)],
    }
    columns["Wind [m/s]"][199:202] = ["[bold]", "", "fast"]  # a style's words are but a text
    columns["row"][6] = "007"
    file = tmp_path / "rows.csv"
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    file.write_text("\n".join(",".join(row) for row in rows))
    loaded = load(Source("winds", file), lake, tmp_path / ".lake")
    assert [cell[1] for cell in cells(printed(loaded))] == [*["string"] * 5, "bigint"]
    correct = "is not. Correct the file if it should have numbers only."
    notes = [
        "The column 'Wind [m/s]' is text: 297 of its 299 values are numbers, but '[bold]' in row"
        f" 200 {correct}",
        "The column '9 of 10' is text: 270 of its 300 values are numbers, but"
        f" '{'x' * 40}…' in row 271 {correct}",
        "The column 'row' is text: 299 of its 300 values are numbers, but '007' in row 7"
        f" {correct}",
    ]
    assert printed(loaded)[-4:-1] == notes
    assert list(loaded.notes) == notes


def test_lines_that_are_copied_are_not_broken_in_a_narrow_terminal(
    tmp_path: Path, lake: Lake
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("at,n\n2026-03-01,1\n")
    source = Source("a_table_of_a_long_name", file).partitioned("at", zone="Asia/Tokyo")
    output = StringIO()
    show(load(source, lake, tmp_path / ".lake"), Console(file=output, width=20))
    lines = output.getvalue().splitlines()
    assert lines[0] == "a_table_of_a_long_name: 1 rows, 1 partitions, 2026-03-01 to 2026-03-01"
    assert lines[-1] == (
        'In the report, write Input("a_table_of_a_long_name", "dt", zone="Asia/Tokyo")'
    )


@pytest.mark.parametrize(
    ("key", "declared"),
    [("day", '"day"'), ("event_date", '"event_date", format="%Y-%m-%d"')],
)
def test_the_declaration_of_a_key_of_any_name_is_an_input(
    tmp_path: Path, lake: Lake, key: str, declared: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("at,n\n2026-03-01,1\n")
    source = Source("seen", file).partitioned("at", key=key)
    declaration = printed(load(source, lake, tmp_path / ".lake"))[-1].partition("write ")[2]
    assert declaration == f'Input("seen", {declared})'
    assert eval(declaration, {"Input": Input}).layout.keys[0].format == "%Y-%m-%d"


def test_a_date_is_that_of_its_partition_also_west_of_utc(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["day,n", *(f"{text},1" for text in DATES), ""]))
    source = Source("seen", file).partitioned("day", zone="America/New_York")
    assert load(source, lake, tmp_path / ".lake").kept.dates == tuple(DATES)


def test_glue_has_the_columns_and_each_partition_where_its_files_are(
    tmp_path: Path, lake: Lake
) -> None:
    """More partitions than one call of Glue takes."""
    file = tmp_path / "rows.csv"
    duckdb.sql(
        "COPY (SELECT TIMESTAMP '2025-01-01' + INTERVAL (n) DAY AS at, n FROM range(101) r(n))"
        f" TO '{file}'"
    )
    source = Source("many", file).partitioned("at", key="day")
    kept = load(source, lake, tmp_path / ".lake").kept
    assert (len(kept.dates), kept.rows) == (101, 101)
    table = lake.glue.get_table(DatabaseName=lake.database, Name="many")["Table"]
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("day", "string")]
    assert table["TableType"] == "EXTERNAL_TABLE"
    # By the mark a later load knows that the table may be replaced.
    mark = {"written_by": "athena_reports load", "classification": "parquet"}
    assert table["Parameters"] == mark
    columns = {"at": "timestamp", "n": "bigint"}
    folder = f"s3://{lake.bucket}/many/{kept.version}"
    assert table["StorageDescriptor"] == parquet_descriptor(columns, f"{folder}/")
    stored = {}
    pages = lake.glue.get_paginator("get_partitions").paginate(
        DatabaseName=lake.database, TableName="many"
    )
    for page in pages:
        for partition in page["Partitions"]:
            (day,) = partition["Values"]
            stored[day] = partition["StorageDescriptor"]
    assert stored == {
        day: parquet_descriptor(columns, f"{folder}/day={day}/") for day in kept.dates
    }
    for day in (kept.dates[0], kept.dates[-1]):
        found = lake.s3.list_objects_v2(
            Bucket=lake.bucket, Prefix=f"many/{kept.version}/day={day}/"
        )
        assert found["KeyCount"] == 1


def test_a_file_of_json_may_be_an_array(tmp_path: Path, lake: Lake) -> None:
    file = tmp_path / "rows.json"
    file.write_text('[{"id": "a", "n": 1},\n {"id": "b", "n": 2}]')
    kept = load(Source("array", file), lake, tmp_path / ".lake").kept
    assert (kept.columns, kept.rows) == ({"id": "string", "n": "bigint"}, 2)
