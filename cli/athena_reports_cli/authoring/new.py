"""Writes a new report: its DAG file, its SQL and a case.

They run as they are, and are meant to be edited. Their texts are the templates in `templates/`.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path

from pydantic import BaseModel

from athena_reports.inputs.layout import DATE_KEYS
from athena_reports.periods.calendar import weekly
from athena_reports.sql.names import sql_name
from athena_reports_cli.authoring.case_tables import EXPECTED_FILE
from athena_reports_cli.authoring.cases import CASE_FILE
from athena_reports_cli.authoring.report_name import (
    NewReportError,
    dag_file,
    require_absent,
    sql_file,
)
from athena_reports_cli.authoring.text_templates import text_templates
from athena_reports_cli.local.project import Project

_TICK = timedelta(milliseconds=1)  # the smallest step of Athena's timestamp


class NewReport(BaseModel, frozen=True):
    """What a new report is made of.

    The command line parses a date into a datetime at midnight, of which pydantic takes the date.
    """

    name: str
    table: str  # of events
    ranked: str  # the column whose values are ranked
    time: str  # the event time, a timestamp in UTC
    owner: str
    since: date  # the first date with data
    until: date | None = None  # the last date with data
    partition: str = "dt"  # the partition key, a UTC date as text
    timezone: str = "UTC"  # IANA zone of the weeks and months


def write_report(report: NewReport, project: Project) -> list[Path]:
    """Write the files of a report into the folders of a project, and return them.

    NewReportError if the report could not run, or one of its files exists or cannot be written.
    Then none is written.
    """
    if len({report.ranked, report.time, report.partition}) < 3:
        raise NewReportError(
            "The column to rank, the event time and the partition key must be different columns."
        )
    if report.until is not None and report.until < report.since:
        raise NewReportError(
            f"The last date {report.until} is before the first date {report.since}."
        )
    files = _files(report, project)
    require_absent(files, project)
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        # None of them was there before.
        for path in files:
            if path.is_file():
                path.unlink()
        raise NewReportError(f"{error}. Nothing was written.") from error
    return list(files)


def _files(report: NewReport, project: Project) -> Mapping[Path, str]:
    """Return the texts of a report's files by their paths."""
    weeks = weekly("monday", report.timezone)
    week = weeks.first_from(datetime.combine(report.since, time.min, weeks.zone))
    instants = {
        "first": week.start_utc,
        "last": week.end_utc - _TICK,
        "before": week.start_utc - _TICK,
        "after": week.end_utc,
    }
    values: dict[str, object] = {
        "report": report,
        "title": report.name.replace("_", " ").capitalize(),
        "key_column": _key_column(report.ranked),
        # What an `Input` needs for a key that is not named after a date.
        "input_format": "" if report.partition in DATE_KEYS else ', format="%Y-%m-%d"',
        "count": "event_count" if report.ranked == "events" else "events",
        "week": week,
        "events": [_event(key, instant) for key, instant in instants.items()],
    }
    case = project.tests / report.name / "bounds"
    paths = {
        "report.py.jinja": dag_file(report.name, project),
        "report.sql.jinja": sql_file(report.name, project),
        "case.yaml.jinja": case / CASE_FILE,
        "events.csv.jinja": case / f"{report.table}.csv",
        "expected.csv.jinja": case / EXPECTED_FILE,
    }
    return {
        path: text_templates().get_template(template).render(values)
        for template, path in paths.items()
    }


def _key_column(key: str) -> str:
    """Return the column of the key in a SELECT."""
    name = sql_name(key)
    if name == key:
        return name
    # The linter takes a quoted name without AS for a text.
    return f"{name} AS {name}"


def _event(key: str, instant: datetime) -> list[str]:
    """Return the values of a row of the case's input."""
    milliseconds = instant.microsecond // 1000
    return [key, f"{instant:%Y-%m-%d %H:%M:%S}.{milliseconds:03}", f"{instant:%Y-%m-%d}"]
