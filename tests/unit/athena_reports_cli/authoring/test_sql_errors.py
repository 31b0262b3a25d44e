"""Where an error of Athena lies, and which columns there are; test_messages.py has whole cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from athena_reports import build_dag
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.sql_errors import failed_place
from tests.support.aws_errors import api_error
from tests.support.calendars import WEEK, WEEKS
from tests.support.declared import MakeReport

SQL = """SELECT p.user_id, t.name, o.x
FROM plays AS p
JOIN sports.teams AS t ON p.team = t.id
JOIN gone AS g ON g.id = t.id
JOIN bare AS b ON b.id = t.id
JOIN slow AS o ON o.id = t.id
"""
COLUMNS = {
    ("lake", "plays"): {
        "StorageDescriptor": {"Columns": [{"Name": "user_id", "Type": "string"}]},
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
    },
    ("sports", "teams"): {
        "StorageDescriptor": {"Columns": [{"Name": "id", "Type": "int"}, {"Name": "name"}]}
    },
    ("lake", "bare"): {},
}


def get_table(*, DatabaseName: str, Name: str) -> Any:
    if Name == "gone":
        raise api_error("EntityNotFoundException")
    if Name == "slow":
        raise EndpointConnectionError(endpoint_url="https://glue")
    return {"Table": COLUMNS[DatabaseName, Name]}


Declare = Callable[[str], DeclaredReport]


@pytest.fixture
def declare(make_report: MakeReport, sql_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Declares a report of a template, in the folder above that of the SQL."""
    monkeypatch.chdir(sql_folder.parent)

    def declare(template: str) -> DeclaredReport:
        (sql_folder / "plays.sql").write_text(template)
        return DeclaredReport(build_dag(make_report(), WEEKS))

    return declare


@pytest.fixture
def declared(declare: Declare) -> DeclaredReport:
    return declare(SQL)


def place_of(declared: DeclaredReport, reason: str) -> str:
    glue: Any = SimpleNamespace(get_table=get_table)
    sql = declared.sql(WEEK)
    return failed_place(reason, declared, WEEK, sql, database="lake", glue=glue, files={})


def test_of_a_column_that_is_not_found_the_columns_of_every_table_are_told(
    declared: DeclaredReport,
) -> None:
    """Of those that Glue tells nothing of, the error of the query is enough."""
    reason = "COLUMN_NOT_FOUND: line 1:19: Column 't.name' cannot be resolved"
    assert place_of(declared, reason) == (
        "It is in sql/plays.sql, line 1. The columns of plays are user_id string, dt string."
        " The columns of sports.teams are id int, name."
    )


@pytest.mark.parametrize(
    ("reason", "place"),
    [
        ("TYPE_MISMATCH: line 3:30: '=' cannot be applied", "It is in sql/plays.sql, line 3."),
        ("line 2:1: mismatched input 'FORM'", "It is in sql/plays.sql, line 2."),
        ("DIVISION_BY_ZERO: Division by zero", ""),
        ("See line 2:1: of the manual", ""),
        ("", ""),
    ],
)
def test_a_reason_names_a_place_or_none(reason: str, place: str, declared: DeclaredReport) -> None:
    assert place_of(declared, reason) == place


def test_of_a_column_of_a_cte_those_of_the_cte_are_told(declare: Declare) -> None:
    template = "WITH a AS (SELECT user_id AS player FROM plays)\nSELECT playr FROM a\n"
    declared = declare(template)
    reason = "COLUMN_NOT_FOUND: line 2:8: Column 'playr' cannot be resolved"
    assert place_of(declared, reason) == (
        "It is in sql/plays.sql, line 2: there is no column 'playr' in the CTE a. Did you mean"
        " player? The columns are player."
    )


def test_where_sqlglot_cannot_read_the_sql_only_the_line_is_told(declare: Declare) -> None:
    declared = declare("SELECT usr FROM plays WHERE (")
    reason = "COLUMN_NOT_FOUND: line 1:8: Column 'usr' cannot be resolved"
    assert place_of(declared, reason) == "It is in sql/plays.sql, line 1."


@pytest.mark.parametrize(("column", "line"), [(1, 1), (3, 1), (4, 2), (8, 2)])
def test_the_first_sign_after_a_tag_is_on_its_own_line(
    column: int, line: int, declare: Declare
) -> None:
    """One line of SQL, of two lines of the template: `a, bb, cc`."""
    declared = declare("a, {% if true\n%}bb, cc{% endif %}")
    told = place_of(declared, f"TYPE_MISMATCH: line 1:{column}: no")
    assert told.endswith(f"plays.sql, line {line}.")


def test_where_the_line_is_not_known_that_of_the_rendered_sql_is_named(declare: Declare) -> None:
    """A template that looks at its own text, which the search for the lines changes."""
    sql = "{% set s %}ab{% endset %}SELECT {{ s | length }} AS n,\n scroe FROM plays"
    declared = declare(sql)
    place = place_of(declared, "TYPE_MISMATCH: line 2:2: no")
    assert place == "It is in sql/plays.sql, line 2 of the rendered SQL."
