"""`tables.yaml` has the columns of Glue, and says where and when they were read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from athena_reports.settings import settings
from athena_reports_cli.authoring.source_tables import (
    GlueTables,
    ProjectTables,
    TableSchema,
    TablesFileError,
    add_table,
    find_in_file,
    read_tables,
    table_name,
    table_schema,
    write_tables,
)
from tests.support.code_blocks import blocks_of
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

PLAYS = TableSchema(
    environment="dev",
    columns={"id": "string", "price": "decimal(10,2)"},
    partition_keys={"dt": "string"},
)


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_tables(tmp_path) == {}
    assert PLAYS.date == datetime.now(UTC).date()
    users = TableSchema(environment="prd", columns={"tags": "array<struct<a:int>>"})
    write_tables({"raw.users": users, "plays": PLAYS}, tmp_path)
    assert read_tables(tmp_path) == {"plays": PLAYS, "raw.users": users}
    assert list(read_tables(tmp_path)) == ["plays", "raw.users"]
    find = find_in_file(tmp_path)
    assert find(settings().database.upper(), "Plays") == PLAYS
    assert find("raw", "users") == users
    assert find("raw", "plays") is None


def test_the_file_that_the_page_shows_is_read(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "write-a-report.md"
    (block,) = [block for block in blocks_of(page) if block.language == "yaml"]
    (tmp_path / "tables.yaml").write_text(block.text)
    plays = read_tables(tmp_path)["plays"]
    assert (plays.environment, plays.date) == ("prd", date(2026, 11, 30))
    assert list(plays.all_columns) == ["user_id", "score", "played_at", "dt"]


def test_a_loaded_table_does_not_replace_one_of_another_environment(tmp_path: Path) -> None:
    in_prd = PLAYS.model_copy(update={"environment": "prd"})
    write_tables({"plays": in_prd}, tmp_path)
    add_table("plays", PLAYS, tmp_path)
    add_table("users", PLAYS, tmp_path)
    assert read_tables(tmp_path) == {"plays": in_prd, "users": PLAYS}
    add_table("users", PLAYS.model_copy(update={"columns": {}}), tmp_path)
    assert read_tables(tmp_path)["users"].columns == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("plays: [", "while parsing a flow node"),
        ("plays: {columns: {}}", "plays.environment: Field required"),
        ("- plays", "Input should be a valid dictionary"),
    ],
)
def test_a_file_that_is_not_of_tables_is_told_with_the_place(
    text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "tables.yaml").write_text(text)
    with pytest.raises(TablesFileError) as wrong:
        read_tables(tmp_path)
    assert problem in str(wrong.value)
    assert str(wrong.value).endswith(
        "Correct the file, or delete it and run `athena-reports check --tables`."
    )


@pytest.mark.parametrize(
    ("changed", "columns"),
    [
        ({}, {"id": "string"}),
        ({"Parameters": {"table_type": "DELTA"}}, {}),
        ({"StorageDescriptor": {}}, {}),  # a link to a table of another account
    ],
)
def test_columns_are_those_that_glue_has_of_a_table(
    changed: dict[str, Any], columns: dict[str, str]
) -> None:
    old = {"Name": "old", "Type": "int", "Parameters": {"iceberg.field.current": "false"}}
    table = {"StorageDescriptor": {"Columns": [{"Name": "id", "Type": "string"}, old]}}
    assert table_schema(table | changed, "prd").columns == columns


def test_columns_of_glue_come_first_and_those_of_the_file_are_compared(
    glue: GlueClient, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_DATABASE", database)
    descriptor: Any = {"Columns": [{"Name": "id", "Type": "bigint"}]}
    for name in ("plays", "users"):
        table: Any = {"Name": name, "StorageDescriptor": descriptor}
        glue.create_table(DatabaseName=database, TableInput=table)
    in_glue = TableSchema(environment="dev", columns={"id": "bigint"})
    write_tables({"plays": PLAYS, "users": in_glue, "gone": PLAYS}, tmp_path)
    find = ProjectTables(tmp_path, glue)
    assert find(database, "plays") == in_glue
    assert find(database, "users") == in_glue
    assert find(database, "gone") == PLAYS
    assert find(database, "never") is None
    assert find.outdated == ["plays"]


def test_the_databases_of_an_environment_may_have_other_names_than_here(
    glue: GlueClient, database: str
) -> None:
    names = settings().model_copy(update={"database": database, "environment": "prd"})
    table: Any = {"Name": "plays", "StorageDescriptor": {"Columns": []}}
    glue.create_table(DatabaseName=database, TableInput=table)
    find = GlueTables(glue, names)
    assert find(settings().database, "plays") is not None
    assert find("raw", "plays") is None
    assert list(find.found) == [table_name(settings().database, "plays")] == ["plays"]
    assert find.found["plays"].environment == "prd"
