from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from athena_reports import Input, Report, checks, transforms
from athena_reports.errors import AthenaReportsError, InputError, ReportError

MakeReport = Callable[..., Report]


@pytest.fixture
def make_report(sql_folder: Path) -> MakeReport:
    """Declares a report that is right except where a test says otherwise."""

    def make(**fields: Any) -> Report:
        return Report(**{"name": "plays", "sql": "plays.sql", "since": "2025-01-01"} | fields)

    return make


def test_the_least_that_a_report_needs(make_report: MakeReport) -> None:
    report = make_report()

    assert report.late_by == timedelta(0)
    assert report.outputs == ("parquet", "csv")
    assert report.transform is None
    assert dict(report.params) == {}
    assert report.since == date(2025, 1, 1)


MISTAKES: list[tuple[str, Any, str, str]] = [
    ("name", "User Ranking", "name", "[a-z][a-z0-9_]{0,63}"),
    ("name", "user-ranking", "name", "[a-z][a-z0-9_]{0,63}"),
    ("name", "2025_ranking", "name", "[a-z][a-z0-9_]{0,63}"),
    ("name", "", "name", "[a-z][a-z0-9_]{0,63}"),
    ("name", "a" * 65, "name", "[a-z][a-z0-9_]{0,63}"),
    ("name", "plays\n", "name", "[a-z][a-z0-9_]{0,63}"),
    ("name", None, "name", "valid string"),
    ("since", "1st of May", "since", "isoformat"),
    ("since", "2025-02-30", "since", "day"),
    ("since", "1066-10-14", "since", "1900 to 2199"),
    ("since", 2025, "since", "valid string"),
    ("until", "2024-12-31", "until", "2024-12-31 is before since, 2025-01-01"),
    ("until", "soon", "until", "isoformat"),
    ("late_by", timedelta(days=-1), "late_by", "greater than or equal to 0"),
    ("late_by", 1, "late_by", "valid timedelta"),
    ("transform", "movement", "transform", "callable"),
    ("transform", [transforms.movement(), 1], "transform", "callable"),
    ("transform", lambda rows: rows, "transform", "function of (rows, period)"),
    ("checks", "rows", "checks", "Sequence"),
    ("checks", [lambda _: True], "checks", "instance of Check"),
    ("inputs", "plays", "inputs", "Sequence"),
    ("inputs", ["plays"], "inputs", "instance of Input"),
    ("inputs", [Input("plays"), Input("plays", "day")], "inputs", "name each once"),
    ("empty", "ignore", "empty", "'fail', 'publish' or 'skip'"),
    ("unload", "yes", "unload", "valid boolean"),
    ("unload", None, "unload", "valid boolean"),
    ("outputs", ["parquet", "xlsx"], "outputs", "'parquet', 'csv', 'csv_for_spreadsheets' or 'jsonl'"),
    ("outputs", "csv", "outputs", "Sequence"),
    ("outputs", [], "outputs", "at least 1 item"),
    ("outputs", None, "outputs", "Sequence"),
    ("outputs", ["csv", "csv"], "outputs", "name each once"),
    ("params", {"top ten": 10}, "params['top ten']", "[A-Za-z_]"),
    ("params", {3: 10}, "params[3]", "valid string"),
    ("params", {"top": object()}, "params['top']", "no SQL literal"),
    ("params", {"ids": []}, "params['ids']", "no SQL literal"),
    ("params", ["top"], "params", "valid dictionary"),
    ("owner", "", "owner", "at least 1 character"),
    ("owner", None, "owner", "valid string"),
    ("sql", "plaiz.sql", "sql", "plays.sql"),
    ("sql", "", "sql", "plays.sql"),
    ("sql", "../settings.sql", "sql", "into that folder"),
    ("sql", "/etc/passwd", "sql", "into that folder"),
    ("sql", None, "sql", "valid string"),
    ("trasnform", None, "trasnform", "Did you mean transform?"),
]


@pytest.mark.parametrize(("field", "value", "named", "way_out"), MISTAKES)
def test_a_mistake_names_the_report_the_field_and_the_way_out(
    make_report: MakeReport, field: str, value: object, named: str, way_out: str
) -> None:
    with pytest.raises(ReportError) as caught:
        make_report(**{field: value})

    report = str(value) if field == "name" else "plays"
    assert (caught.value.report, caught.value.field) == (report, named)
    assert str(caught.value).startswith(f"Report {report!r}, field {named!r}: ")
    assert way_out in str(caught.value)
    assert isinstance(caught.value, AthenaReportsError)


def test_a_missing_sql_file_is_named_with_its_folder_and_the_files_there(
    make_report: MakeReport, sql_folder: Path
) -> None:
    with pytest.raises(ReportError) as caught:
        make_report(sql="plaiz.sql")

    for part in ("'plaiz.sql'", str(sql_folder), "files there: plays.sql", "ATHENA_REPORTS_SQL_FOLDER"):
        assert part in str(caught.value)


def test_a_link_that_leads_out_of_the_sql_folder_is_refused(
    make_report: MakeReport, sql_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.sql").write_text("SELECT 1")
    (sql_folder / "link.sql").symlink_to(tmp_path / "secret.sql")

    with pytest.raises(ReportError, match="lies outside"):
        make_report(sql="link.sql")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("SELECT '{{ ds }}'", "it uses ds"),
        ("SELECT {{ macros.ds_add(ds, 1) }}", "it uses ds, macros"),
        ("SELECT 1\nWHERE {{ period.contains( }}", "line 2"),
        ("{% if period %}SELECT 1", "line 1"),
    ],
)
def test_a_wrong_template_is_found_where_the_report_is_declared(
    make_report: MakeReport, sql_folder: Path, source: str, says: str
) -> None:
    (sql_folder / "wrong.sql").write_text(source)

    with pytest.raises(ReportError, match=r"wrong\.sql") as caught:
        make_report(sql="wrong.sql")
    assert caught.value.field == "sql"
    assert says in str(caught.value)


def test_a_file_that_is_no_utf_8_is_a_mistake_too(make_report: MakeReport, sql_folder: Path) -> None:
    (sql_folder / "latin.sql").write_bytes("SELECT 'é'".encode("latin-1"))

    with pytest.raises(ReportError, match="UTF-8"):
        make_report(sql="latin.sql")


def test_sql_in_a_sub_folder_of_the_sql_folder(make_report: MakeReport, sql_folder: Path) -> None:
    (sql_folder / "games").mkdir()
    (sql_folder / "games" / "a.sql").write_text("SELECT 1")

    assert make_report(sql="games/a.sql").sql_text == "SELECT 1\n"


def test_a_report_cannot_be_changed_through_what_it_was_made_of(make_report: MakeReport) -> None:
    params, outputs = {"top": 1}, ["csv"]
    report = make_report(params=params, outputs=outputs)
    params["top"] = 2
    outputs.append("parquet")

    assert dict(report.params) == {"top": 1}
    assert report.outputs == ("csv",)
    with pytest.raises(ValidationError, match="frozen"):
        report.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        report.params["top"] = 2  # type: ignore[index]


def test_a_field_that_is_missing_is_named(sql_folder: Path) -> None:
    with pytest.raises(ReportError, match="Report 'plays', field 'since': it is missing"):
        Report(name="plays", sql="plays.sql")  # type: ignore[call-arg]


def test_params_of_a_cadence_lie_over_those_of_the_report(make_report: MakeReport) -> None:
    report = make_report(params={"top": 100, "game": "go"})

    assert dict(report.with_params("monthly", {"top": 1000}).params) == {"top": 1000, "game": "go"}
    assert report.with_params("weekly", {}) is report
    assert dict(report.params) == {"top": 100, "game": "go"}


@pytest.mark.parametrize(
    ("overrides", "field", "says"),
    [
        ({"topp": 1}, "params['topp']", "sets int topp; the report declares int top, str game"),
        ({"top": "1000"}, "params['top']", "sets str top; the report declares int top"),
        ({"top": True}, "params['top']", "sets bool top; the report declares int top"),
        ({"top": 1.0}, "params['top']", "sets float top; the report declares int top"),
        ({"top": None}, "params['top']", "sets NoneType top; the report declares int top"),
        ({"game": "a\0b"}, "params['game']", "NUL"),
    ],
)
def test_an_override_that_does_not_fit_is_refused(
    make_report: MakeReport, overrides: dict[str, Any], field: str, says: str
) -> None:
    report = make_report(params={"top": 100, "game": "go"})

    with pytest.raises(ReportError) as caught:
        report.with_params("monthly", overrides)
    assert (caught.value.report, caught.value.field) == ("plays", field)
    assert says in str(caught.value)


def test_the_template_is_never_taken_for_a_file_name(make_report: MakeReport, sql_folder: Path) -> None:
    """Airflow reads a template that ends in .sql from the file of that name."""
    (sql_folder / "odd.sql").write_text("SELECT 1 FROM t -- see also\n-- plays.sql")

    assert not make_report(sql="odd.sql").sql_text.endswith(".sql")


def test_one_transform_several_or_none(make_report: MakeReport) -> None:
    one, other = transforms.movement(), transforms.each_row(lambda row: row)

    assert make_report().transforms == ()
    assert make_report(transform=one).transforms == (one,)
    assert make_report(transform=[one, other]).transforms == (one, other)


def test_checks_and_inputs_are_kept_in_order(make_report: MakeReport) -> None:
    report = make_report(
        checks=[checks.unique("user_id"), checks.rows(at_least=1)],
        inputs=[Input("plays"), Input("users", "day")],
    )

    assert report.checks[0].name == "unique(user_id)"
    assert [source.table for source in report.inputs] == ["plays", "users"]


@pytest.mark.parametrize(
    ("fields", "named", "says"),
    [
        ({"columns": ("y", "m")}, "columns", "one partition key, or three"),
        ({"columns": 1}, "columns", "Sequence"),
        ({"zone": "Asia/Tokio"}, "zone", "did you mean Asia/Tokyo"),
        ({"kind": "varchar"}, "kind", "'string', 'date' or 'integer'"),
        ({"missing": "ignore"}, "missing", "'fail' or 'partial'"),
        ({"previous": 1}, "previous", "valid boolean"),
        ({"mising": "fail"}, "mising", "Did you mean missing?"),
    ],
)
def test_an_input_that_cannot_be_names_the_field(fields: dict[str, Any], named: str, says: str) -> None:
    with pytest.raises(InputError, match=f"Input 'plays', field '{named}'") as caught:
        Input("plays", **fields)
    assert says in str(caught.value)


def test_an_input_keeps_its_keys_as_a_tuple() -> None:
    assert Input("plays", "day").columns == ("day",)
    assert Input("plays", ["y", "m", "d"]).columns == ("y", "m", "d")
