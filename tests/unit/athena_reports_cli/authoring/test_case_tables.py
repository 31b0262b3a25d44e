"""The CSV files of a case become tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from athena_reports import Input
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports_cli.authoring.case_csv import read_csv
from athena_reports_cli.authoring.case_tables import case_tables
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.services import Services
from tests.unit.athena_reports_cli.authoring.scores import PLAYS, run

HEADER = PLAYS.partition("\n")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "user_id,score\na,1\n",
            "line 1, column 1: each column of the header needs a type; expected name and type,"
            " such as `score bigint`, found 'user_id'.",
        ),
        (
            "\nuser_id string,score\na,1\n",
            "line 2, column 2: each column of the header needs a type; expected name and type,"
            " such as `score bigint`, found 'score'.",
        ),
        (
            "user_id string,score bigint,at timestamp\na,1,2025-06-16\n",
            "line 1: expected the column dt, by which the report's input is partitioned;"
            " found user_id, score, at.",
        ),
        (
            HEADER.replace("score", "User_id"),
            "line 1: the column 'User_id' occurs twice; expected each column once, found"
            " user_id string, User_id bigint, at timestamp, dt string.",
        ),
        (
            HEADER.replace("user_id", "User_Id").replace("score", "user_id"),
            "line 1: the column 'user_id' occurs twice; expected each column once, found"
            " User_Id string, user_id bigint, at timestamp, dt string.",
        ),
        ("", "line 1: the file is empty; expected the names of the columns."),
        (
            PLAYS.replace("a,1", "a,one"),
            "line 2, column score: expected a value of type bigint; found 'one'.",
        ),
        (
            PLAYS.replace("a,1", "a,1.5"),
            "line 2, column score: expected a value of type bigint; found '1.5'.",
        ),
        (
            PLAYS.replace("score bigint", '"score decimal(10,2)"').replace("a,1", "a,1.505"),
            "line 2, column score: expected a value of type decimal(10,2); found '1.505'.",
        ),
        (
            PLAYS.replace("b,5", 'b,""'),
            "line 5, column score: expected a value of type bigint; found ''.",
        ),
        (
            PLAYS.replace("b,5", "b,99999999999999999999"),
            "line 5, column score: expected a value of type bigint; found '99999999999999999999'.",
        ),
        (
            PLAYS.replace("59.999", "59.9996"),
            "line 3, column at: expected a value of type timestamp such as"
            " 2025-06-15 09:30:00.000, in UTC; found '2025-06-21 14:59:59.9996'.",
        ),
        (
            PLAYS.replace("59.999", "59+09:00"),
            "line 3, column at: expected a value of type timestamp such as"
            " 2025-06-15 09:30:00.000, in UTC; found '2025-06-21 14:59:59+09:00'.",
        ),
        (
            PLAYS.replace("2025-06-21 14", "2025-06-31 14"),
            "line 3, column at: expected a value of type timestamp such as"
            " 2025-06-15 09:30:00.000, in UTC; found '2025-06-31 14:59:59.999'.",
        ),
        (
            PLAYS + '"c\nd",1\n',
            "line 6: expected 4 fields (user_id string, score bigint, at timestamp, dt string),"
            " found 2.",
        ),
        (
            PLAYS.replace("b,,", '"b\nb",,') + "c,one,2025-06-16,2025-06-16\n",
            "line 7, column score: expected a value of type bigint; found 'one'.",
        ),
        (
            PLAYS + "c,1,2025-06-16,\n",
            "line 6, column dt: expected a value, since the table is partitioned by this column;"
            " found NULL.",
        ),
        (
            PLAYS.replace("a,2", '"a,2'),
            "line 3, column user_id string: expected a closing quote, found none to the end of the"
            ' file: "a,2,2025-06-21 14:59:59.999,2025-06-21',
        ),
        (
            PLAYS.replace("a,2", '"a"b,2'),
            "line 3, column user_id string: expected a comma or the end of the line beside quotes,"
            ' found "a"b,2,2025-06-21 14:59:59.999,2025-06-2 Put the whole value in quotes, and'
            " write a quote in it twice.",
        ),
        (
            PLAYS.replace("59.999,2025-06-21", '59.999,2025-06-21,"x"y'),
            "line 3, column 5: expected a comma or the end of the line beside quotes, found"
            ' "x"y Put the whole value in quotes, and write a quote in it twice.',
        ),
        (
            "\ufeff" + PLAYS.replace("a,2", "\udce9,2"),
            "line 3: expected text in UTF-8, found the byte 0xE9. Save the file as UTF-8.",
        ),
        (
            PLAYS.replace("a,2", "caf\udce9,2"),
            "line 3: expected text in UTF-8, found the byte 0xE9. Save the file as UTF-8.",
        ),
    ],
)
def test_a_file_that_cannot_become_a_table_says_where_and_what_is_expected(
    case: Path, text: str, problem: str
) -> None:
    plays = case / "plays.csv"
    plays.write_text(text, encoding="utf-8", errors="surrogateescape")
    result = run(case)
    assert result.outcome == "failed"
    assert result.problem == f"{plays}, {problem}"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PLAYS,  # as Excel writes UTF-8
        PLAYS.replace("\n", "\r\n"),
        PLAYS.rstrip("\n"),
        PLAYS + "\n\n",
        "\n" + PLAYS,
        PLAYS.replace("2025-06-14 15:00:00", "2025-06-14T15:00:00.000000"),
        PLAYS.replace("a,1,", '"a","1",'),
        PLAYS.replace("string,score", "string, score"),
        PLAYS.replace("score bigint", "score decimal(10,2)"),
        PLAYS.replace("score bigint", "score decimal(10, 2)").replace("a,1", "a,1.000"),
        PLAYS.replace("score bigint", '"score decimal(10,2)"'),
        PLAYS.replace("bigint", "BIGINT"),
    ],
)
def test_what_editors_and_spreadsheets_write_is_read(case: Path, text: str) -> None:
    (case / "plays.csv").write_bytes(text.encode())
    (case / "expected.csv").unlink()
    assert run(case, accept=True).outcome == "accepted"
    rows = (case / "expected.csv").read_text().splitlines()
    assert rows[0] == '"user_id",score'
    assert [row.partition(",")[0] for row in rows[1:]] == ['"A"', '"B"']
    assert [row.partition(",")[2].removesuffix(".00") for row in rows[1:]] == ["3", ""]


NESTED = {
    "decimal(10,2)": ("1.50", '"1.5x"'),
    "map<string,int>": ('"{a=1, b=2}"', '"{a=x}"'),
    "struct<a:int,b:array<string>>": ("\"{'a': 1, 'b': [x]}\"", "\"{'a': x, 'b': []}\""),
    "array<int>": ('"[1, 2]"', '"[1, x]"'),
    # DuckDB would read the one, and round the other.
    "date": ("2025-06-15", "2025-6-15"),
    **dict.fromkeys(("tinyint", "smallint", "int"), ("1", "1.5")),
    "boolean": ("true", "maybe"),
    "double": ("1e3", "1e3x"),
}


def with_more_columns(columns: Sequence[tuple[str, str]]) -> str:
    """The file with more columns before the others: of each type, the same value in every row."""
    header, *rows = PLAYS.splitlines()
    names = [f"extra_{number} {kind}" for number, (kind, _) in enumerate(columns)]
    rows = [",".join([*(value for _, value in columns), row]) for row in rows]
    return "\n".join([",".join([*names, header]), *rows, ""])


def test_a_type_with_a_comma_needs_no_quotes_in_the_header(case: Path) -> None:
    (case / "plays.csv").write_text(
        with_more_columns([(kind, right) for kind, (right, _) in NESTED.items()])
    )
    assert run(case).outcome == "passed"


@pytest.mark.parametrize("kind", NESTED)
def test_a_value_of_another_type_is_refused(case: Path, kind: str) -> None:
    _, wrong = NESTED[kind]
    plays = case / "plays.csv"
    plays.write_text(with_more_columns([(kind, wrong)]))
    expected = kind + (" such as 2025-06-15" if kind == "date" else "")
    found = wrong.strip('"')
    assert run(case).problem == (
        f"{plays}, line 2, column extra_0: expected a value of type {expected}; found {found!r}."
    )


WRITTEN = [
    *(("bigint", value) for value in ("-5", "+5", "007")),
    *(("decimal(10,2)", value) for value in ("-1.5", "+1.50", ".5", "15", "1.500")),
    *(
        ("timestamp", f"2025-06-15{time}")
        for time in ("", " 09:30", "T09:30", " 09:30:15", " 09:30:15.5", " 09:30:15.120000")
    ),
    *(("double", value) for value in ("-1", "1.25", "1e3")),
]


def test_a_value_may_be_written_in_several_ways(case: Path) -> None:
    (case / "plays.csv").write_text(with_more_columns(WRITTEN))
    assert run(case).problem == ""


def test_a_table_has_its_keys_with_their_types_and_a_database_of_its_own(
    tmp_path: Path,
    services: Services,
    memory_limits: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "days.csv").write_text("n bigint,day int,kind string\n1,20250616,a\n2,20250617,b\n")
    monkeypatch.setenv("ATHENA_REPORTS_MEMORY_LIMIT", "200MB")
    inputs = [Input("days", "day", kind="integer")]
    aws = Aws.connect()
    glue = services.glue
    with case_tables(tmp_path, inputs, aws) as database, case_tables(tmp_path, (), aws) as other:
        table = glue.get_table(DatabaseName=database, Name="days")["Table"]
        assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("day", "int")]
        assert table["TableType"] == "EXTERNAL_TABLE"
        columns = {"n": "bigint", "kind": "string"}
        folder = f"s3://athena-report-dev/_cases/{database}/days/"
        assert table["StorageDescriptor"] == parquet_descriptor(columns, folder)
        partitions = glue.get_partitions(DatabaseName=database, TableName="days")["Partitions"]
        found = {tuple(each["Values"]): each["StorageDescriptor"] for each in partitions}
        assert found == {
            (day,): parquet_descriptor(columns, f"{folder}day={day}/")
            for day in ("20250616", "20250617")
        }
        # No input declares its keys, so it has none.
        table = glue.get_table(DatabaseName=other, Name="days")["Table"]
        columns = table["StorageDescriptor"]["Columns"]
        assert [column["Name"] for column in columns] == ["n", "day", "kind"]
        assert table["PartitionKeys"] == []
    assert memory_limits == ["200MB"] * 2
    for name in (database, other):
        with pytest.raises(glue.exceptions.EntityNotFoundException):
            glue.get_database(Name=name)


def test_a_table_without_rows_is_a_table(case: Path) -> None:
    (case / "plays.csv").write_text(PLAYS.partition("\n")[0] + "\n")
    (case / "expected.csv").write_text("user_id,score\n")
    assert run(case).outcome == "passed"


@pytest.mark.parametrize(
    "kind", ["bigit", "bigint)", "array<strng>", "array<string", "decimal(99,2)"]
)
def test_an_unknown_type_is_named_beside_the_types_that_there_are(case: Path, kind: str) -> None:
    plays = case / "plays.csv"
    # Spaces around a type are no part of it.
    plays.write_text(PLAYS.replace("score bigint", f'"score  {kind} "'))
    result = run(case)
    assert result.outcome == "failed"
    problem = f"{plays}, line 1: the column 'score' has the type {kind!r}, which no table has. "
    assert result.problem.startswith(problem)

    (types,) = re.findall(r"The types are (.*)\.$", result.problem)
    assert {"bigint", "string", "timestamp"} < set(types.split(", "))
    header, *rows = PLAYS.splitlines()
    for number, known in enumerate(types.split(", ")):
        header += f",column_{number} {known}"
        rows = [f"{row}," for row in rows]
    plays.write_text("\n".join([header, *rows, ""]))
    assert run(case).outcome == "passed"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("score\n1\n\n2\n", [("1",), (None,), ("2",)]),
        ('score\n1\n""\n2\n', [("1",), ("",), ("2",)]),
        ("user,score\na,1\n\nb,2\n", [("a", "1"), ("b", "2")]),
    ],
)
def test_an_empty_line_is_a_null_where_there_is_one_column(
    tmp_path: Path, text: str, rows: list[tuple[str | None, ...]]
) -> None:
    file = tmp_path / "expected.csv"
    file.write_text(text)
    assert list(read_csv(file).values[1:]) == rows


def test_a_case_without_input_is_told(case: Path) -> None:
    (case / "plays.csv").unlink()
    (case / "case.yaml").write_text("period: 2025-06-15\ncte: current")
    assert run(case).problem == (
        f"{case} has no input: write a CSV file for each table, such as plays.csv."
    )
