"""Imports the files of the DAGs folder, and finds the reports that their DAGs were built of."""

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from airflow.configuration import conf
from jinja2 import Environment

from athena_reports.errors import AthenaReportsError, PeriodError, SettingsError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import require_complete
from athena_reports.publication.folder import PublishedCalendar
from athena_reports.publication.location import ReportLocation
from athena_reports.reports.report import Report
from athena_reports.reports.sql_params import sql_environment
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context, template_errors
from athena_reports.settings import settings
from athena_reports.workflows.dag_files import dag_files
from athena_reports.workflows.report_dag import BuiltDag


class UnknownReportError(AthenaReportsError):
    """There is no such report, or no such period of it."""


class DagFileError(AthenaReportsError):
    """A DAG file is not text."""


@dataclass(frozen=True)
class DeclaredReport:
    """A report in one cadence, with its DAG."""

    dag: BuiltDag

    @property
    def report(self) -> Report:
        """The report, with the params of the cadence."""
        return self.dag.report

    @property
    def cadence(self) -> Cadence:
        """The periods of the DAG."""
        return self.dag.cadence

    def sql(self, period: Period, context: Any = None) -> str:
        """Return the SQL of a period, rendered as its run renders it, or in another context.

        Raises:
            SqlTemplateError: The template cannot be rendered.
        """
        report = self.report
        if context is None:
            sql_period = SqlPeriod(period, report.late_by)
            context = template_context(sql_period, report.params, report.inputs)
        with template_errors(report.params, report.inputs):
            template = self.template_environment.from_string(report.sql_text)
            return "".join(template.generate(context)).strip()

    @property
    def template_environment(self) -> Environment:
        """The environment in which its runs render its SQL."""
        return sql_environment(self.dag.get_template_env())

    @property
    def prefix(self) -> str:
        """Address of all that it publishes."""
        return self.location.folder_uri

    @property
    def location(self) -> ReportLocation:
        """Where it is published."""
        return ReportLocation.of(settings().report_bucket, self.report.name, self.cadence)

    @property
    def calendar(self) -> PublishedCalendar:
        """Whose folder that has to be, and what its periods mean."""
        return PublishedCalendar(
            environment=settings().environment, report=self.report.name, cadence=self.cadence
        )

    @property
    def database(self) -> str | None:
        """Glue database of its table; None for no table."""
        if not self.report.has_table:
            return None
        return settings().report_database

    @property
    def logic(self) -> str:
        """The digest of what makes its rows today."""
        return self.report.logic

    @property
    def first_period(self) -> Period:
        """The first whole period that has data."""
        start: Any = self.dag.start_date  # a report has one
        return self.cadence.first_from(start)

    def latest_period(self) -> Period:
        """Return the last period that is complete, and that the report has data for."""
        last_complete = self.cadence.last_complete(datetime.now(UTC))
        end_date = self.dag.end_date
        if end_date is None:
            return last_complete
        last_with_data = self.cadence.containing(end_date)
        return min(last_complete, last_with_data)


class BrokenFile(NamedTuple):
    """A DAG file that cannot be imported."""

    path: Path
    reason: str

    @property
    def problem(self) -> str:
        """What its author is told."""
        return f"{self.path} cannot be imported: {self.reason}"


class Declared(NamedTuple):
    """The reports of a DAGs folder, and its files that cannot be imported."""

    reports: list[DeclaredReport]
    broken_files: list[BrokenFile]


def declared_reports() -> Declared:
    """Import the files of Airflow's `dags_folder`; return their reports, and the broken files.

    As in Airflow, a file that `.airflowignore` names is not read, and only Ctrl-C ends the import
    of all files.
    """
    folder = Path(conf.get_mandatory_value("core", "dags_folder"))
    reports: list[DeclaredReport] = []
    broken_files = []
    # Those without the word "airflow" too, which Airflow leaves out: `check` says so.
    for path in dag_files(folder):
        try:
            dags = _report_dags(path)
        except (KeyboardInterrupt, SettingsError):
            raise  # no fault of the file
        except BaseException as error:  # whatever a file of an author raises, SystemExit too
            reason = f"{_place(path, error)}{_reason(error)}"
            broken_files.append(BrokenFile(path, reason))
            continue
        reports += [DeclaredReport(dag) for dag in dags]
    return Declared(reports, broken_files)


def find_dags(name: str, declared: Declared) -> list[DeclaredReport]:
    """Return the DAGs of a report, or the one of an id; UnknownReportError if there is none."""
    matching = []
    known_names = set()
    for declared_report in declared.reports:
        names = {declared_report.report.name, declared_report.dag.dag_id}
        known_names |= names
        if name in names:
            matching.append(declared_report)
    if not matching:
        broken_paths = [file.path for file in declared.broken_files]
        raise UnknownReportError(_no_such_report(name, sorted(known_names), broken_paths))
    return matching


def _no_such_report(name: str, known_names: list[str], broken_paths: Sequence[Path]) -> str:
    problem = f'There is no report "{name}".'
    if broken_paths:
        files = " or ".join(map(str, broken_paths))
        problem += f" It may be in {files}, which cannot be imported: correct that first."
    close_names = get_close_matches(name, known_names)
    if close_names:
        return f"{problem} Did you mean {', '.join(close_names)}?"
    return f"{problem} `athena-reports list` shows all reports."


def find_report(name: str, period_id: str, declared: Declared) -> tuple[DeclaredReport, Period]:
    """Return the report of a name or a DAG id, and a period of it.

    A name without a cadence means the first DAG that has such a period.

    Args:
        name: Name of a report, or the id of its DAG.
        period_id: Id of the period; empty for the last complete one.
        declared: The reports to look among.

    Raises:
        UnknownReportError: There is no such report, or no such period of it.
    """
    problems = []
    for declared_report in find_dags(name, declared):
        try:
            if not period_id:
                return declared_report, declared_report.latest_period()
            return declared_report, declared_report.cadence.period(period_id)
        except PeriodError as error:
            problems.append(str(error))
    raise UnknownReportError(f"{name}: " + "; ".join(problems))


def find_complete_period(
    name: str, period_id: str, declared: Declared
) -> tuple[DeclaredReport, Period]:
    """Return what `find_report` does, if the period is over; else raise RunPeriodError."""
    declared_report, period = find_report(name, period_id, declared)
    require_complete(period, datetime.now(UTC))
    return declared_report, period


def _report_dags(path: Path) -> list[BuiltDag]:
    """Import a DAG file and return the DAGs of reports in it.

    A file without the word `build_dag` has none, and is not imported.
    """
    if "build_dag" not in _source(path):
        return []
    spec = importlib.util.spec_from_file_location(f"report_file_{path.stem}", path)
    assert spec is not None  # each name that ends in .py has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except PeriodError as error:
        # A cadence does not know its report, which stands before it in the file.
        reports = [value.name for value in vars(module).values() if isinstance(value, Report)]
        if not reports:
            raise
        raise PeriodError(f"Report {', '.join(map(repr, reports))}: {error}") from error
    dags = [value for value in vars(module).values() if isinstance(value, BuiltDag)]
    for dag in dags:
        dag.fileloc = str(path)  # as Airflow sets it
    return dags


def _source(path: Path) -> str:
    try:
        return importlib.util.decode_source(path.read_bytes())
    except (SyntaxError, UnicodeDecodeError) as error:
        raise DagFileError(f"{error}. Save the file as UTF-8.") from error


def _place(path: Path, error: BaseException) -> str:
    """Return the last line of a file that an error came through; empty if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if lines:
        return f"line {lines[-1]}: "
    if error.__cause__ is not None:
        return _place(path, error.__cause__)
    return ""


def _reason(error: BaseException) -> str:
    """Return what an import raised as one message; an error of this package is one already."""
    text = str(error)
    if isinstance(error, AthenaReportsError):
        return text
    kind = type(error).__name__
    if not text:
        return kind
    return f"{kind}: {text}"
