"""The CSV files of a case become tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports import Input
from athena_reports.publication.glue_table import parquet_descriptor
from athena_reports_cli.authoring.case_tables import case_tables
from athena_reports_cli.authoring.trial import Aws
from athena_reports_cli.local.services import Services
from tests.unit.athena_reports_cli.authoring.scores import PLAYS, run

HEADER = PLAYS.partition("\n")[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "user_id string,score bigint,at timestamp\na,1,2025-06-16\n",
            "line 1: the partition column dt of the report's input is missing. Add it, such as"
            " `dt string`.",
        ),
        (
            HEADER.replace("score", "User_id") + "\n",
            "line 1: columns 1 and 2 are both named user_id. Rename one of them.",
        ),
        (
            PLAYS.replace("b,,", '"b\nb",,') + "c,one,2025-06-16,2025-06-16\n",
            'row 5, column score: expected bigint; found "one". Correct the value, or the type'
            " in the header.",
        ),
        (
            PLAYS + "c,1,2025-06-16,\n",
            "row 5, column dt: the value is missing, but the table is partitioned by this column."
            " Correct the value, or the type in the header.",
        ),
    ],
)
def test_a_file_that_cannot_become_a_table_fails_the_case(
    case: Path, text: str, problem: str
) -> None:
    plays = case / "plays.csv"
    plays.write_text(text)
    result = run(case)
    assert (result.outcome, result.problem) == ("failed", f"{plays}, {problem}")


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
