"""What the commands for authors know of a report is what its DAG carries, and what its run does."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import time_machine

from athena_reports import (
    Cadence,
    Input,
    Published,
    build_dag,
    daily,
    monthly,
    quarterly,
    weekly,
    yearly,
)
from athena_reports.errors import RunPeriodError, SettingsError
from athena_reports.publication.folder import PublishedCalendar
from athena_reports.publication.location import ReportLocation
from athena_reports.settings import Settings
from athena_reports_cli.authoring.report_files import (
    Declared,
    DeclaredReport,
    ImportedFile,
    UnknownReportError,
    declared_reports,
    find_complete_period,
    find_report,
)
from tests.support.airflow_run import DagRun, context
from tests.support.declared import MakeReport
from tests.support.virtual_clock import START as NOW

SQL = """
SELECT '{{ period.id }}' AS id, {{ params.top }} AS top FROM plays, {{ inputs.days_daily.table }}
WHERE {{ inputs.plays.partitions }} AND {{ period.contains("played_at") }}
"""
FILE = """
# For Airflow.
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from airflow.sdk import DAG

from athena_reports import Report, build_dag, monthly, weekly

report = Report(name="plays", sql="plays.sql", since="2025-01-01")
plays_weekly = build_dag(report, weekly("monday"))
plays_monthly = build_dag(report, monthly())
by_hand = DAG("by_hand", schedule=None, tags=["athena-report"])


@dataclass
class OfTheTeam:
    names: ClassVar[list[str]]
"""


@pytest.fixture
def dags(sql_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the DAG files, whose SQL is in its own folder."""
    (sql_folder / "plays.sql").write_text("SELECT 1")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "cadence", [daily("Asia/Tokyo"), weekly("monday"), monthly(), quarterly(), yearly()], ids=str
)
def test_the_sql_is_that_of_the_run(
    cadence: Cadence, make_report: MakeReport, sql_folder: Path
) -> None:
    (sql_folder / "plays.sql").write_text(SQL)
    inputs = [
        Input("plays", "dt", previous=True),
        Published("days", daily("Asia/Tokyo"), parts="overlapping"),
    ]
    report = make_report(params={"top": 100}, inputs=inputs, late_by=timedelta(days=2))
    dag = build_dag(report, cadence, params={"top": 5})
    period = cadence.last_complete(NOW)

    task: Any = dag.get_task("run_query")
    run = DagRun(data_interval_start=period.start_utc, data_interval_end=period.end_utc)
    task.render_template_fields(context(run), dag.get_template_env())
    assert DeclaredReport(dag).sql(period) == task.query.strip()
    assert f"'{period.id}' AS id, 5 AS top" in task.query


@pytest.mark.parametrize("outputs", [["parquet"], ["csv"]])
def test_it_is_published_where_the_run_publishes_it(
    outputs: list[str], make_report: MakeReport, deployment: Settings
) -> None:
    weeks = weekly("sunday")
    dag = build_dag(make_report(outputs=outputs), weeks)
    declared = DeclaredReport(dag)
    publish: Any = dag.get_task("publish")
    nobody: Any = None
    location = ReportLocation.of(publish.bucket, publish.report, weeks)
    assert declared.location == location
    table = declared.table(nobody)
    assert (table and table.database) == publish.database
    assert declared.calendar == PublishedCalendar(
        environment=deployment.environment, report="plays", cadence=weeks
    )


def test_reports_are_the_dags_that_were_built_and_no_others(dags: Path) -> None:
    (dags / "plays.py").write_text(FILE)
    found = declared_reports()
    assert found.broken_files == []
    assert [declared.dag.dag_id for declared in found.reports] == ["plays_weekly", "plays_monthly"]
    assert {declared.dag.fileloc for declared in found.reports} == {str(dags / "plays.py")}
    declared, period = find_report("plays", "2025-05", found)
    assert (declared.dag.dag_id, period) == ("plays_monthly", monthly().period("2025-05"))


HEAD = "# build_dag\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{HEAD}raise ValueError('no')", "line 2: ValueError: no"),
        (f"{HEAD}raise RuntimeError", "line 2: RuntimeError"),
        (f"{HEAD}raise SystemExit(3)", "line 2: SystemExit: 3 (`raise SystemExit(3)`)"),
        (f"{HEAD}def f():\n    1 / 0\nf()\n", "line 3: ZeroDivisionError: division by zero"),
        (
            f"{HEAD}import json\njson.loads('{{')\n",
            "line 3: JSONDecodeError: Expecting property name",
        ),
        (f"{HEAD}def f(:\n", "line 2: SyntaxError: invalid syntax (`def f(:`)"),
        (f"'Café'  {HEAD}", "line 1: SyntaxError: "),  # it is not UTF-8
        # An error of this package is one message already, where it is raised in another file too.
        (
            f"{HEAD}from athena_reports import weekly\nweekly('someday')\n",
            "line 3: first_day 'someday'",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_and_hides_no_other(
    text: str, problem: str, dags: Path
) -> None:
    broken = dags / "broken.py"
    broken.write_text(text, encoding="latin-1")
    (dags / "plays.py").write_text(FILE)
    (dags / "other.py").write_text("raise ValueError('it has no report')")
    found = declared_reports()
    assert len(found.reports) == 2
    (broken_file,) = found.broken_files
    told = broken_file.problem
    assert told.startswith(f"{broken}, {problem}")
    if "weekly" in text:
        assert "PeriodError" not in told


def test_a_file_may_have_the_name_of_a_module_and_other_names_for_ours(dags: Path) -> None:
    text = FILE.replace("build_dag,", "build_dag as make,").replace("= build_dag(", "= make(")
    (dags / "json.py").write_text(text)
    found = declared_reports()
    assert [declared.dag.dag_id for declared in found.reports] == ["plays_weekly", "plays_monthly"]
    assert sys.modules["json"] is json


def test_ctrl_c_ends_the_import_of_all_files(dags: Path) -> None:
    (dags / "stops.py").write_text(f"{HEAD}raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        declared_reports()


def test_a_setting_that_is_missing_is_no_fault_of_a_file(dags: Path) -> None:
    (dags / "plays.py").write_text(
        f"{HEAD}from athena_reports.settings import read_settings\nread_settings({{}})\n"
    )
    with pytest.raises(SettingsError, match="ATHENA_REPORTS_ENV is not set"):
        declared_reports()


def test_files_are_read_in_the_order_of_their_names_and_ignored_ones_are_not(dags: Path) -> None:
    for name in ("c", "a", "b", "ignored"):
        text = FILE.replace('name="plays"', f'name="{name}"').replace("# For Airflow.", "")
        (dags / f"{name}.py").write_text(text)
    (dags / ".airflowignore").write_text("ignored.py\n")
    # Airflow reads an archive too, but no report can be in one: its SQL is a file.
    with ZipFile(dags / "archive.zip", "w") as archive:
        archive.writestr("more.py", FILE)
    found = declared_reports()
    assert found.broken_files == []
    ids = [declared.dag.dag_id for declared in found.reports]
    assert ids == [f"{name}_{cadence}" for name in "abc" for cadence in ("weekly", "monthly")]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("plaus", "Did you mean plays?"),
        ("playsweekly", "Did you mean plays_weekly, plays?"),
        ("zzz", "For all reports, run `athena-reports list`."),
    ],
)
def test_an_unknown_name_is_told_with_those_that_are_close(
    name: str, advice: str, make_report: MakeReport
) -> None:
    plays = make_report(name="plays")
    dags = [build_dag(plays, weekly("sunday")), build_dag(plays, monthly())]
    dags.append(build_dag(make_report(name="matches"), daily()))
    declared = Declared([DeclaredReport(dag) for dag in dags], [])
    with pytest.raises(UnknownReportError) as unknown:
        find_report(name, "", declared)
    assert str(unknown.value) == f'There is no report "{name}". {advice}'


def test_a_file_that_is_broken_may_have_an_unknown_report() -> None:
    broken_files = [ImportedFile(Path(path)) for path in ("dags/plays.py", "dags/x.py")]
    with pytest.raises(UnknownReportError) as unknown:
        find_report("plays", "", Declared([], broken_files))
    assert str(unknown.value).startswith(
        'There is no report "plays". It may be in dags/plays.py or dags/x.py, which cannot be'
        " imported; fix that first."
    )


@pytest.mark.parametrize("period_id", ["2025-06", "2099-01"])
def test_a_period_that_is_not_over_is_refused(period_id: str, make_report: MakeReport) -> None:
    declared = Declared([DeclaredReport(build_dag(make_report(name="plays"), monthly()))], [])
    with time_machine.travel("2025-06-15 00:00:00+00:00"):
        _, period = find_complete_period("plays", "2025-05", declared)
        assert period.id == "2025-05"
        with pytest.raises(RunPeriodError):
            find_complete_period("plays", period_id, declared)


def test_a_period_that_no_dag_has_is_told_for_each_of_them(make_report: MakeReport) -> None:
    plays = make_report(name="plays")
    dags = [build_dag(plays, weekly("sunday")), build_dag(plays, monthly())]
    declared = Declared([DeclaredReport(dag) for dag in dags], [])
    with pytest.raises(UnknownReportError) as unknown:
        find_report("plays", "2025-W01", declared)
    week, month = str(unknown.value).removeprefix("plays: ").split("; ")
    assert week.startswith("'2025-W01' is not the id of a week")
    assert month.startswith("'2025-W01' is not the id of a month")


@pytest.mark.parametrize(
    ("cadence", "now", "until", "last"),
    [
        (daily(), "2025-06-11 00:00:00", None, "2025-06-10"),
        (daily(), "2025-06-10 23:59:59", None, "2025-06-09"),
        (daily(), "2025-06-11 00:00:00", "2025-06-05", "2025-06-05"),
        (daily(), "2025-06-03 12:00:00", "2025-06-05", "2025-06-02"),
        # The last one has data of a part of its days.
        (weekly("monday"), "2025-07-01 00:00:00", "2025-06-05", "2025-06-02"),
        (monthly("Asia/Tokyo"), "2025-09-01 00:00:00", "2025-06-01", "2025-06"),
    ],
)
def test_the_latest_period_is_complete_and_has_data(
    cadence: Cadence, now: str, until: str | None, last: str, make_report: MakeReport
) -> None:
    fields = {} if until is None else {"until": until}
    declared = DeclaredReport(build_dag(make_report(**fields), cadence))
    with time_machine.travel(f"{now}+00:00"):
        assert declared.latest_period().id == last
