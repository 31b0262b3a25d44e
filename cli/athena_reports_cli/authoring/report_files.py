"""Imports the files of the DAGs folder, and finds the reports that their DAGs were built of."""

import importlib.util
import linecache
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from airflow.configuration import conf
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.contextmanager import DagContext
from jinja2 import Environment, Template

from athena_reports.errors import AthenaReportsError, PeriodError, SettingsError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.run_period import require_complete
from athena_reports.publication.folder import PublishedCalendar
from athena_reports.publication.glue_table import Table
from athena_reports.publication.location import ReportLocation
from athena_reports.publication.manifest import PartitionFacts
from athena_reports.reports.report import Report
from athena_reports.reports.sql_params import sql_environment
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context, template_errors
from athena_reports.settings import settings
from athena_reports.workflows.dag_files import dag_files
from athena_reports.workflows.report_dag import BuiltDag

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient


class UnknownReportError(AthenaReportsError):
    """There is no such report, or no such period of it."""


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

    @property
    def sql_path(self) -> Path:
        """The file of its SQL."""
        return self.report.sql_folder / self.report.sql

    def sql(self, period: Period, context: Any = None) -> str:
        """Return the SQL of a period, rendered as its run renders it, or in another context.

        SqlTemplateError if the template cannot be rendered.
        """
        if context is None:
            context = self.template_context(period)
        with template_errors(self.report.params, self.report.inputs):
            return "".join(self._template.generate(context)).strip()

    def template_context(self, period: Period) -> dict[str, Any]:
        """Return what the template of a run sees."""
        report = self.report
        return template_context(SqlPeriod(period, report.late_by), report.params, report.inputs)

    @cached_property
    def template_environment(self) -> Environment:
        """The environment in which its runs render its SQL."""
        return sql_environment(self.dag.get_template_env())

    @cached_property
    def _template(self) -> Template:
        return self.template_environment.from_string(self.report.sql_text)

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

    def table(self, glue: "GlueClient") -> Table | None:
        """Return its table; None if it has no table."""
        if not self.report.has_table:
            return None
        return Table(settings().report_database, self.location, glue)

    def published_periods(self, glue: "GlueClient") -> Mapping[Period, PartitionFacts]:
        """Return the published periods of its table; none if it has no table."""
        table = self.table(glue)
        return table.periods_of(self.cadence) if table is not None else {}

    @property
    def first_period(self) -> Period:
        """The first whole period that has data."""
        start: Any = self.dag.start_date  # a report has one
        return self.cadence.first_from(start)

    def latest_period(self) -> Period:
        """Return the last period that is complete, and that the report has data for."""
        last_complete = self.cadence.last_complete(datetime.now(UTC))
        if self.dag.end_date is None:
            return last_complete
        return min(last_complete, self.cadence.containing(self.dag.end_date))


class ImportedFile(NamedTuple):
    """A DAG file with its DAGs, or with the reason why it cannot be imported, and its line."""

    path: Path
    dags: Sequence[DAG] = ()
    reason: str = ""
    line: int | None = None  # None if it is not known

    @property
    def problem(self) -> str:
        """The file, the line and the reason, with the code, which tells which report it is."""
        if self.line is None:
            return f"{shown_path(self.path)}: {self.reason}"
        place = f"{shown_path(self.path)}, line {self.line}: {self.reason}"
        code = linecache.getline(str(self.path), self.line).strip()  # empty if it is not UTF-8
        return f"{place} (`{code}`)" if code else place

    @property
    def reports(self) -> list[DeclaredReport]:
        """The reports of its DAGs."""
        return [DeclaredReport(dag) for dag in self.dags if isinstance(dag, BuiltDag)]


class Declared(NamedTuple):
    """The reports of a DAGs folder, and its files that cannot be imported."""

    reports: list[DeclaredReport]
    broken_files: list[ImportedFile]

    @classmethod
    def of(cls, files: Sequence[ImportedFile]) -> Self:
        """Return what files declare."""
        reports = [report for file in files for report in file.reports]
        return cls(reports, [file for file in files if file.reason])


def declared_reports() -> Declared:
    """Import the files of Airflow's `dags_folder`; return their reports, and the broken files.

    A file that `.airflowignore` names is not read, as in Airflow, nor one without `build_dag`.
    """
    folder = Path(conf.get_mandatory_value("core", "dags_folder"))
    # Those without the word "airflow" too, which Airflow leaves out: `check` says so.
    paths = [path for path in dag_files(folder) if b"build_dag" in path.read_bytes()]
    return Declared.of([import_file(path) for path in paths])


def import_file(path: Path) -> ImportedFile:
    """Import a DAG file. As in Airflow, only Ctrl-C ends the command.

    SettingsError if a setting is missing, which is no fault of the file.
    """
    spec = importlib.util.spec_from_file_location(f"report_file_{path.stem}", path)
    assert spec is not None  # each name that ends in .py has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # Airflow also finds DAGs that have no name in the file.
    DagContext.autoregistered_dags.clear()
    DagContext.current_autoregister_module_name = spec.name
    try:
        spec.loader.exec_module(module)
    except (KeyboardInterrupt, SettingsError):
        raise
    except BaseException as error:  # whatever a file of an author raises, SystemExit too
        reason = str(error)
        if not isinstance(error, AthenaReportsError):
            # The text of a SyntaxError names file and line too.
            text = error.msg if isinstance(error, SyntaxError) else error
            reason = f"{type(error).__name__}: {text}".removesuffix(": ")
        return ImportedFile(path, reason=reason, line=_line_of(error, path))
    finally:
        DagContext.current_autoregister_module_name = None
    found = [*vars(module).values(), *(dag for dag, _ in DagContext.autoregistered_dags)]
    # A DAG may have two names in the file.
    dags = {id(value): value for value in found if isinstance(value, DAG)}
    for dag in dags.values():
        dag.fileloc = str(path)  # as Airflow sets it
    return ImportedFile(path, list(dags.values()))


def _line_of(error: BaseException, path: Path) -> int | None:
    """Return the line of a file that an error is about; None if it is not known."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    frames_of_file = [frame for frame in frames if frame.filename == str(path)]
    if not frames_of_file:
        return None
    field = re.search(r"field '(\w+)'", str(error))
    return line_with(f"{field[1]}=" if field else "", frames_of_file[-1])


def shown_path(path: Path) -> str:
    """Return a path relative to the working directory if it lies in it."""
    path = path.resolve()
    folder = Path.cwd().resolve()
    if path.is_relative_to(folder):
        path = path.relative_to(folder)
    return str(path)


def line_with(text: str, frame: traceback.FrameSummary) -> int | None:
    """Return the first line with a text in the statement of a frame; else its first line."""
    if frame.lineno and frame.end_lineno:
        for line in range(frame.lineno, frame.end_lineno + 1):
            if text in linecache.getline(frame.filename, line):
                return line
    return frame.lineno


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
        raise UnknownReportError(_no_such_report(name, known_names, declared.broken_files))
    return matching


def _no_such_report(name: str, known_names: Iterable[str], broken: Sequence[ImportedFile]) -> str:
    problem = f'There is no report "{name}".'
    if broken:
        files = " or ".join(str(file.path) for file in broken)
        problem += f" It may be in {files}, which cannot be imported; fix that first."
    close_names = get_close_matches(name, sorted(known_names))
    if close_names:
        return f"{problem} Did you mean {', '.join(close_names)}?"
    return f"{problem} For all reports, run `athena-reports list`."


def find_report(name: str, period_id: str, declared: Declared) -> tuple[DeclaredReport, Period]:
    """Return the report of a name or a DAG id, and a period of it.

    A name without a cadence means the first DAG that has such a period. An empty id is that of the
    last complete period. UnknownReportError if there is no such report, or no such period of it.
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
