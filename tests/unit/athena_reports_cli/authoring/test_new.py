"""What `new` writes is a report, whatever valid name, table, columns and owner it gets."""

from __future__ import annotations

import ast
import csv
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlglot
import trino_sql_validator
import yaml
from airflow.dag_processing.dagbag import DagBag
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import Environment

from athena_reports.inputs.input import Input
from athena_reports.periods.calendar import weekly
from athena_reports.reports.report import NAME_PATTERN
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context
from athena_reports.workflows.dag_files import dag_files
from athena_reports_cli.authoring import new as new_module
from athena_reports_cli.authoring.new import NewReport, write_report
from athena_reports_cli.authoring.report_name import (
    NewReportError,
    require_column_name,
    require_date,
    require_name,
    require_owner,
    require_partition_key,
    require_table_name,
)
from athena_reports_cli.local.project import Project
from tests.support.sql_words import words_of_sql

FIELDS: dict[str, Any] = {
    "table": "plays",
    "ranked": "user_id",
    "time": "played_at",
    "owner": "analytics",
}
FIELDS |= {"name": "busy_users", "since": date(2025, 1, 1)}


def new_report(**changed: Any) -> NewReport:
    return NewReport(**FIELDS | changed)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repository")


@pytest.fixture(autouse=True)
def _folders(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_SQL_FOLDER", str(root / "include" / "sql"))
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(root / "dags"))


def write(root: Path, **changed: Any) -> list[Path]:
    """The files of a report in a repository of it alone."""
    shutil.rmtree(root, ignore_errors=True)
    return write_report(new_report(**changed), Project(root))


def parsed(root: Path, *reports: NewReport) -> dict[str, Any]:
    """The DAGs by id, as Airflow finds them in a repository of these reports alone."""
    shutil.rmtree(root, ignore_errors=True)
    for report in reports:
        write_report(report, Project(root))
    bag: Any = DagBag(root / "dags", bundle_path=root / "dags")
    assert bag.import_errors == {}
    dags: dict[str, Any] = bag.dags
    return dags


def ids(names: set[str]) -> set[str]:
    return {f"{name}_{cadence}" for name in names for cadence in ("weekly", "monthly")}


IN_USE = {"class", "lambda", "match", "print", "weekly", "monthly", "checks", "report", "airflow"}


# What Python or the file itself uses, and any other.
@example(IN_USE | {"build_dag", "athena_reports"})
@given(st.sets(st.from_regex(NAME_PATTERN, fullmatch=True), min_size=1, max_size=5))
def test_every_valid_name_is_a_report(root: Path, names: set[str]) -> None:
    assert parsed(root, *(new_report(name=name) for name in names)).keys() == ids(names)


LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(
    str.strip
)


@given(LINES | st.text("""'"\\{}[]%#🦊é \u200d\u3000""", min_size=1).filter(str.strip))
def test_the_owner_is_read_as_it_was_given(root: Path, owner: str) -> None:
    file, *_ = write(root, owner=owner)
    source = file.read_text(encoding="utf-8")

    (written,) = (
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.keyword) and node.arg == "owner"
    )

    assert ast.literal_eval(written) == owner
    assert set(owner) <= set(source)  # readable, not escaped


@pytest.mark.parametrize(
    "owner", ["{{ x }}", "{% x %}", "{# x #}", "[[ report.name ]]", "[% if %]", "[# x #]"]
)
def test_an_owner_that_looks_like_a_template_is_text(root: Path, owner: str) -> None:
    dags = parsed(root, new_report(owner=owner))
    assert {dag.default_args["owner"] for dag in dags.values()} == {owner}


def test_digits_and_underscores_may_stand_in_names(root: Path) -> None:
    report = new_report(table="plays_2", ranked="_user_2", time="_at_2", partition="_dt_2")
    assert parsed(root, report).keys() == ids({"busy_users"})
    sql = (root / "include" / "sql" / "busy_users.sql").read_text()
    assert "FROM plays_2\n" in sql
    dag_file = (root / "dags" / "busy_users.py").read_text()
    assert 'Input("plays_2", "_dt_2", format="%Y-%m-%d")' in dag_file
    assert "_user_2,\n    COUNT(*) AS events\n" in sql


@pytest.mark.parametrize("until", [None, date(2025, 1, 1), date(2025, 6, 30)])
def test_a_report_goes_on_or_ends_as_it_was_said(root: Path, until: date | None) -> None:
    dags = parsed(root, new_report(until=until))
    last_dates = {dag.end_date.date() if dag.end_date else None for dag in dags.values()}
    assert last_dates == {until}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("since", [date(2025, 3, 9), date(2025, 3, 10)], ids=["Sunday", "Monday"])
def test_the_case_has_the_first_whole_week_and_the_instants_around_its_bounds(
    since: date, zone: str, root: Path
) -> None:
    """Of New York, the clocks go forward on that Sunday."""
    write(root, since=since, timezone=zone)
    case = root / "tests" / "reports" / "busy_users" / "bounds"
    assert yaml.safe_load((case / "case.yaml").read_text())["period"] == date(2025, 3, 10)

    of_zone = ZoneInfo(zone)
    start = datetime(2025, 3, 10, tzinfo=of_zone).astimezone(UTC)
    end = datetime(2025, 3, 17, tzinfo=of_zone).astimezone(UTC)
    tick = timedelta(milliseconds=1)
    instants = {"first": start, "last": end - tick, "before": start - tick, "after": end}
    header, *rows = csv.reader((case / "plays.csv").read_text().splitlines())
    assert header == ["user_id string", "played_at timestamp", "dt string"]
    expected = []
    for name, instant in instants.items():
        written = instant.replace(tzinfo=None).isoformat(" ", "milliseconds")
        day = written.partition(" ")[0]
        expected.append([name, written, day])
    assert rows == expected
    names, *reported = csv.reader((case / "expected.csv").read_text().splitlines())
    assert names == ["user_id", "events"]
    assert reported == [[row[0], "1"] for row in expected[:2]]


@pytest.mark.parametrize("key", ["dt", "date", "day", "event_date", "hour", "year"])
def test_the_format_of_a_key_of_dates_is_declared_unless_its_name_tells_it(
    key: str, root: Path
) -> None:
    file, *_ = write(root, partition=key)
    declaration = re.search(r"Input\(.*\)", file.read_text())
    assert declaration is not None
    source = eval(declaration[0], {"Input": Input})
    assert [part.format for part in source.layout.keys] == ["%Y-%m-%d"]
    assert ("format=" in declaration[0]) == (key not in ("dt", "date", "day"))


def test_the_templates_of_a_report_are_no_dag_files() -> None:
    folder = Path(new_module.__file__).with_name("templates")
    assert len(list(folder.glob("*.jinja"))) == 7
    assert dag_files(folder) == []


@pytest.mark.ci
def test_the_sql_names_what_it_was_given_whatever_sql_reserves(root: Path) -> None:
    words = words_of_sql()
    assert {"order", "select", "user", "end", "limit", "date"} <= set(words)
    for table, key, time in zip(words, words[1:] + words[:1], words[2:] + words[:2], strict=True):
        _, file, *_ = write(root, table=table, ranked=key, time=time)
        context = template_context(
            SqlPeriod(weekly().period("2025-01-05")), {"top": 10}, [Input(table, "dt")]
        )
        sql = Environment().from_string(file.read_text(encoding="utf-8")).render(context)

        verdict = trino_sql_validator.validate(sql, jinja="reject")
        assert (verdict.error, verdict.statement_count) == (None, 1), sql
        query = sqlglot.parse_one(sql, read="athena")
        assert [found.name for found in query.find_all(sqlglot.exp.Table)] == [table]
        assert {found.name for found in query.find_all(sqlglot.exp.Column)} == {
            key,
            time,
            "dt",
            "events",
        }, sql
        assert query.named_selects == [key, "events"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"ranked": "played_at"},
            "The column to rank, the event time and the partition key must be different columns.",
        ),
        (
            {"until": date(2024, 12, 31)},
            "The last date 2024-12-31 is before the first date 2025-01-01.",
        ),
    ],
)
def test_what_could_not_run_is_refused_and_nothing_is_written(
    root: Path, changed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(NewReportError, match=re.escape(problem)):
        write(root, **changed)
    assert not root.exists()


LETTERS = "use lower-case letters, digits and _"


@pytest.mark.parametrize(
    ("require", "text", "problem"),
    [
        (
            require_name,
            "busy-users",
            '"busy-users" is not a valid report name: use up to 64 lower-case letters, digits and'
            " _, and begin with a letter.",
        ),
        (
            require_table_name,
            "_plays",
            f'"_plays" is not a valid table name: {LETTERS}, and begin with a letter.',
        ),
        (require_column_name, "2nd", f'"2nd" is not a valid column name: {LETTERS}.'),
        (require_partition_key, "order", 'The partition key "order" is a reserved word in SQL.'),
        (require_date, "June 1st", '"June 1st" is not a date. Use a date such as 2025-06-01.'),
        *(
            (require_owner, owner, "The owner must be one line of text.")
            for owner in ("", " ", "a\nb", "a\r", "a\u2028b", "a\u2029b", "a\x85b")
        ),
    ],
)
def test_an_answer_that_is_not_valid_is_told_with_what_is(
    require: Callable[[str], None], text: str, problem: str
) -> None:
    with pytest.raises(NewReportError) as refused:
        require(text)
    assert str(refused.value) == problem


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_there_already_is_named_and_left_alone(number: int, root: Path) -> None:
    dag_file, sql_file, *others = write(root)
    for path in others:
        path.unlink()
    if number == 1:
        sql_file.unlink()
    dag_file.write_text("mine")
    existing = ["dags/busy_users.py", "include/sql/busy_users.sql"][:number]
    with pytest.raises(NewReportError) as refused:
        write_report(new_report(), Project(root))
    assert str(refused.value) == (
        f"Already in the project: {', '.join(existing)}. Choose another name, or delete them."
        " Nothing was written."
    )
    assert dag_file.read_text() == "mine"
    assert not any(path.exists() for path in others)
