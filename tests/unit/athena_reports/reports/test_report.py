from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from athena_reports import Column, Input, Report, checks, transforms
from athena_reports.errors import ReportError
from athena_reports.reports.column import private_names
from tests.support.declared import MakeReport

MISTAKES: list[tuple[str, Any]] = [
    *(("name", name) for name in ("User Ranking", "2025_ranking", "", "a" * 65, "plays\n")),
    *(("since", day) for day in ("1066-10-14", "1899-12-31", "2200-01-01", date(2200, 1, 1))),
    ("since", 2025),
    ("until", "soon"),
    ("late_by", timedelta(days=-1)),
    ("late_by", timedelta(367)),
    ("transform", "movement"),
    ("transform", [transforms.movement(), 1]),
    ("outputs", ["xlsx"]),
    ("outputs", []),
    ("outputs", ["csv", "csv"]),
    ("owner", ""),
    ("sql", ""),
    ("sql", "../settings.sql"),
    ("sql", "/etc/passwd"),
    ("sql", "link.sql"),
    ("sql", "latin.sql"),
    ("columns", {"a": Column("int", "a"), "A": Column("int", "a")}),
    ("columns", ["a"]),
    *(("columns", {name: Column("int", "a")}) for name in ("Period", "", "a\nb", "é" * 128)),
    ("key", "user_id"),
    ("key", ["user_id", "user_id"]),
    ("max_scan", 0),
]


@pytest.mark.parametrize(("field", "value"), MISTAKES)
def test_a_mistake_names_the_report_and_the_field(
    make_report: MakeReport, sql_folder: Path, tmp_path: Path, field: str, value: object
) -> None:
    (tmp_path / "secret.sql").write_text("SELECT 1")
    (sql_folder / "link.sql").symlink_to(tmp_path / "secret.sql")
    (sql_folder / "latin.sql").write_bytes("SELECT 'é'".encode("latin-1"))
    with pytest.raises(ReportError) as caught:
        make_report(**{field: value})

    report = str(value) if field == "name" else "plays"
    assert (caught.value.declaration, caught.value.field) == (f"Report {report!r}", field)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"since": "1st of May"},
            "'1st of May' is not valid: expected a date, such as 2025-01-31.",
        ),
        ({"since": "1899-12-31"}, "expected a date in the years 1900 to 2199."),
        (
            {"until": "2024-12-31"},
            "2024-12-31 is before since (2025-01-01). Set until to the last date with data.",
        ),
        (
            {"transform": lambda rows: rows},
            "expected a function that takes (rows, period), or a call such as movement().",
        ),
        ({"inputs": [Input("plays"), Input("plays", "day")]}, "list each item only once."),
        (
            {"sql": "plaiz.sql"},
            "Correct the name (files there: plays.sql), or set ATHENA_REPORTS_SQL_FOLDER.",
        ),
        ({"key": ["user_id", ""]}, "a column has no name."),
        (
            {"columns": {"period": Column("int", "a")}},
            "'period' is not a valid column name. Use one short line, and not `period`, which is"
            " the partition key.",
        ),
        ({"may_lose_rows": True}, 'requires empty="publish". Set both, or remove it.'),
        ({"max_scan": 10**9}, "requires the report's inputs. Declare them."),
        ({"max_scan": "20"}, "'20' is not valid: expected a size with its unit, such as '20 GB'."),
        ({"params": {"ids": []}}, "or a non-empty list of these."),
    ],
)
def test_a_mistake_names_the_way_out(
    make_report: MakeReport, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ReportError) as caught:
        make_report(**fields)
    (field,) = fields
    assert caught.value.field.partition("[")[0] == field
    assert str(caught.value).endswith(problem)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"top ten": 10}, "params['top ten']"),
        ({"1st": 10}, "params['1st']"),
        ({3: 10}, "params[3]"),
        ({"ids": []}, "params['ids']"),
    ],
)
def test_a_param_that_the_sql_cannot_have_is_named(
    make_report: MakeReport, params: Any, field: str
) -> None:
    with pytest.raises(ReportError) as caught:
        make_report(params=params)
    assert caught.value.field == field


def test_sql_may_lie_in_a_sub_folder_and_is_never_taken_for_a_file_name(
    make_report: MakeReport, sql_folder: Path
) -> None:
    """Airflow reads a template that ends in .sql from the file of that name."""
    (sql_folder / "games").mkdir()
    (sql_folder / "games" / "a.sql").write_text("SELECT 1 FROM t -- see also\n-- plays.sql")

    of_one_line_end = make_report(sql="games/a.sql")
    assert of_one_line_end.sql_text == "SELECT 1 FROM t -- see also\n-- plays.sql\n"
    with (sql_folder / "games" / "a.sql").open("a") as file:
        file.write("\n\n  \n")
    of_several = make_report(sql="games/a.sql")
    assert (of_several.sql_text, of_several.logic) == (
        of_one_line_end.sql_text,
        of_one_line_end.logic,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a" * 64},
        {"since": "1900-01-01", "until": "2199-12-31"},
        {"late_by": timedelta(days=366)},
        {"params": {"_1": 1}},
        {"columns": {"é" * 127: Column("int", "a" * 255)}},
        {"columns": {"a": Column("int", "a" * 250, unit="kg")}},
    ],
)
def test_a_field_may_have_the_least_and_the_most(
    make_report: MakeReport, fields: dict[str, Any]
) -> None:
    make_report(**fields)


@pytest.mark.parametrize("is_private", [True, False])
def test_a_report_knows_whether_it_has_private_columns(
    make_report: MakeReport, is_private: bool
) -> None:
    columns = {"a": Column("int", "a"), "Salary": Column("int", "a", private=is_private)}
    assert make_report(columns=columns).has_private_columns == is_private
    assert private_names(columns) == ({"salary"} if is_private else set())


def names_of_checks(report: Report) -> list[tuple[str, str]]:
    return [(check.name, check.severity) for check in report.all_checks]


def test_a_key_is_a_check_of_the_report(make_report: MakeReport) -> None:
    columns = {"department": Column("varchar", "it"), "age": Column("bigint", "it")}
    report = make_report(
        key=["department", "age"], columns=columns, checks=[checks.rows(at_least=1)]
    )
    assert report.row_key == ("department", "age")
    assert names_of_checks(report) == [
        ("columns", "fail"),
        ("unique(department, age)", "fail"),
        ("rows(at_least=1)", "fail"),
    ]
    assert report.with_params("weekly", {}).row_key == ("department", "age")


@pytest.mark.parametrize("columns", [("department", "age"), ("age", "department")])
def test_a_key_that_is_checked_already_is_not_checked_twice(
    make_report: MakeReport, columns: tuple[str, ...]
) -> None:
    warning = checks.unique(*columns, severity="warn")
    report = make_report(key=["department", "age"], checks=[warning])
    assert names_of_checks(report) == [(warning.name, "warn")]
    assert report.row_key == ("department", "age")

    other = make_report(key=["department"], checks=[warning])
    assert names_of_checks(other) == [("unique(department)", "fail"), (warning.name, "warn")]


def test_without_a_key_the_first_check_of_columns_that_are_unique_names_it(
    make_report: MakeReport,
) -> None:
    report = make_report(
        checks=[checks.rows(at_least=1), checks.unique("a", "b"), checks.unique("c")]
    )
    assert report.row_key == ("a", "b")
    assert names_of_checks(report)[1:] == [("unique(a, b)", "fail"), ("unique(c)", "fail")]
    assert make_report(checks=[checks.not_null("a")]).row_key == ()


def test_a_key_that_the_report_does_not_promise_is_a_mistake(make_report: MakeReport) -> None:
    columns = {"department": Column("varchar", "it"), "sales": Column("bigint", "it")}
    with pytest.raises(ReportError) as caught:
        make_report(key=["department", "age"], columns=columns)
    assert str(caught.value) == (
        "Report 'plays', field 'key': 'age' is not a column of the report."
        " Use one of department, sales."
    )


def test_a_report_cannot_be_changed_through_what_it_was_made_of(make_report: MakeReport) -> None:
    params, outputs = {"top": 1}, ["csv"]
    report = make_report(params=params, outputs=outputs, since="2025-01-01")
    params["top"] = 2
    outputs.append("parquet")

    assert (dict(report.params), report.outputs, report.since) == (
        {"top": 1},
        ("csv",),
        date(2025, 1, 1),
    )
    with pytest.raises(TypeError):
        report.params["top"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    ("overrides", "field", "says"),
    [
        ({"topp": 1}, "params['topp']", "sets int topp; the report declares int top, str game"),
        ({"top": "1000"}, "params['top']", "sets str top; the report declares int top"),
        ({"top": True}, "params['top']", "sets bool top; the report declares int top"),
        ({"top": None}, "params['top']", "sets NoneType top; the report declares int top"),
        ({"game": "a\0b"}, "params['game']", "NUL"),
    ],
)
def test_params_of_a_cadence_lie_over_those_of_the_report_if_they_fit(
    make_report: MakeReport, overrides: dict[str, Any], field: str, says: str
) -> None:
    report = make_report(params={"top": 100, "game": "go"})
    assert dict(report.with_params("monthly", {"top": 1000}).params) == {"top": 1000, "game": "go"}
    assert report.with_params("weekly", {}) is report

    with pytest.raises(ReportError) as caught:
        report.with_params("monthly", overrides)
    assert (caught.value.declaration, caught.value.field) == ("Report 'plays'", field)
    assert says in str(caught.value)
