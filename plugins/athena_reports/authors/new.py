"""Writes a new report: its DAG file, its SQL and a case. They run as they are, and are meant to be edited."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path

from pydantic import BaseModel

from athena_reports.authors.case_tables import EXPECTED_FILE
from athena_reports.authors.cases import CASE_FILE
from athena_reports.authors.sql_names import is_reserved, sql_name
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import weekly
from athena_reports.reports.report import NAME_PATTERN

# The variables do not have the report's name, which may be a keyword of Python or a name that the file imports.
_DAG = '''"""
# {title}

How many events each {key} had.

**Schedule.** The Airflow DAGs run five minutes after each week and month of {timezone}.

**Input.** `{table}`, partitioned by the UTC date `{partition}`.

**Rerun.** Any run may be cleared at any time: it reports the same period again.

**Permissions.** Athena on the workgroup; read `{table}`; write the query results and the report bucket.
"""

from athena_reports import Input, Report, build_dag, checks, monthly, weekly

report = Report(
    name="{name}",
    sql="{name}.sql",
    owner={owner},
    since="{since}",{until_line}
    params={{"top": 100}},
    inputs=[Input("{table}", "{partition}")],
    checks=[checks.unique("{key}"), checks.not_null("{key}")],
    doc=__doc__,
)

weekly_dag = build_dag(report, weekly("monday", "{timezone}"))
monthly_dag = build_dag(report, monthly("{timezone}"))
'''
_SQL = """-- One row per {key} of the period, most events first.
SELECT
    {key_column},
    COUNT(*) AS {count}
FROM {table_name}
WHERE {{{{ inputs.{table}.partitions }}}}
    AND {{{{ period.contains({time_text}) }}}}
    AND {key_name} IS NOT NULL
GROUP BY {key_name}
ORDER BY {count} DESC, {key_name} ASC
LIMIT {{{{ params.top }}}}
"""
_CASE = "# The first and the last instant of a week are in it, those around it are not.\n"
_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")
_TABLE = re.compile(r"[a-z][a-z0-9_]*")  # a template cannot read `inputs._table`
_NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}  # categories of Unicode: control characters, surrogates, line separators


class NewReportError(AthenaReportsError):
    """The report cannot be written."""


class NewReport(BaseModel, frozen=True):
    """What a new report is made of.

    Attributes:
        name: Name of the report.
        table: The table of events.
        key: The column whose values are ranked.
        time: The event time, a timestamp in UTC.
        owner: Who is asked when it fails.
        since: First date that has data.
        until: Last date that has data; None if it goes on.
        partition: The partition key, a UTC date as text.
        timezone: IANA zone of its weeks and months.
    """

    name: str
    table: str
    key: str
    time: str
    owner: str
    since: date
    until: date | None = None
    partition: str = "dt"
    timezone: str = "UTC"


def write_report(report: NewReport, root: Path) -> list[Path]:
    """Write the files of a report below the root of the repository, and return them; none if one is there already.

    NewReportError if the report could not run as it is written.
    """
    _require_names(report)
    _require_owner(report.owner)
    if report.until is not None and report.until < report.since:
        raise NewReportError(f"The last date, {report.until}, is before the first one, {report.since}.")
    files = {root / path: text for path, text in _files(report).items()}
    if there := [str(path) for path in files if path.exists()]:
        raise NewReportError(f"{', '.join(there)} exists already, so nothing is written. Choose another name.")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        for path in filter(Path.is_file, files):
            path.unlink()
        raise NewReportError(f"{error}, so nothing is written.") from error
    return list(files)


def _require_names(report: NewReport) -> None:
    if not re.fullmatch(NAME_PATTERN, report.name):
        raise NewReportError(f"{report.name!r} is not a name: use up to 64 lower-case letters, digits and '_'.")
    columns = {"key": report.key, "time": report.time, "partition": report.partition}
    wrong = {field: name for field, name in columns.items() if not _COLUMN.fullmatch(name)}
    if not _TABLE.fullmatch(report.table):
        wrong["table"] = report.table
    if wrong:
        way_out = "use lower-case letters, digits and '_', and begin a table with a letter."
        raise NewReportError(f"{wrong} are not names of Athena: {way_out}")
    if len(set(columns.values())) < len(columns):
        raise NewReportError(f"{columns} are not three columns. Name a different one for each.")
    if is_reserved(report.partition):
        raise NewReportError(
            f"The partition key {report.partition!r} is a reserved word of SQL. Write the report by hand."
        )


def _require_owner(owner: str) -> None:
    if not owner.strip() or any(unicodedata.category(character) in _NOT_IN_A_LINE for character in owner):
        raise NewReportError(f"{owner!r} is not an owner: give one line of text.")


def _python_text(text: str) -> str:
    """Return a line of text as Python writes it, in the quotes that the formatter chooses."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"


def _files(report: NewReport) -> Mapping[str, str]:
    key, event_time = sql_name(report.key), sql_name(report.time)
    count = "events" if report.key != "events" else "event_count"
    texts = {
        "title": report.name.replace("_", " ").capitalize(),
        "owner": _python_text(report.owner),
        "until_line": f'\n    until="{report.until}",' if report.until else "",
        "count": count,
        "key_name": key,
        # With AS, since the linter takes a quoted name alone for a text.
        "key_column": key if key == report.key else f"{key} AS {key}",
        "time_text": f'"{event_time}"' if event_time == report.time else f"'{event_time}'",
        "table_name": sql_name(report.table),
    }
    fields = report.model_dump(mode="json") | texts
    weeks, tick = weekly("monday", report.timezone), timedelta(milliseconds=1)
    week = weeks.first_from(datetime.combine(report.since, time.min, weeks.zone))
    start, end = week.start_utc, week.end_utc
    events = {"first": start, "last": end - tick, "before": start - tick, "after": end}
    rows = [f"{key},{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03},{at:%Y-%m-%d}" for key, at in events.items()]
    header = f"{report.key} string,{report.time} timestamp,{report.partition} string"
    case = f"tests/reports/{report.name}/bounds"
    return {
        f"dags/{report.name}.py": _DAG.format(**fields),
        f"include/sql/{report.name}.sql": _SQL.format(**fields),
        f"{case}/{CASE_FILE}": f"{_CASE}period: {week.id}\n",
        f"{case}/{report.table}.csv": "\n".join([header, *rows, ""]),
        f"{case}/{EXPECTED_FILE}": f'"{report.key}",{count}\n"first",1\n"last",1\n',
    }
