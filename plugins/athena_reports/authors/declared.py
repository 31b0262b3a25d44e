"""The reports of the DAGs folder, as the DAGs carry them that were built of them."""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from airflow.configuration import conf
from airflow.utils.file import list_py_file_paths

from athena_reports.errors import AthenaReportsError, PeriodError
from athena_reports.periods.calendar import Cadence, Period
from athena_reports.periods.sql_period import SqlPeriod
from athena_reports.publication.location import ReportLocation
from athena_reports.reports.report import Report
from athena_reports.reports.sql_template import template_context
from athena_reports.settings import settings
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
        """Return the SQL of a period, rendered as its run renders it, or in another context."""
        report = self.report
        if context is None:
            context = template_context(SqlPeriod(period, report.late_by), report.params, report.inputs)
        template = self.dag.get_template_env().from_string(report.sql_text)
        return template.render(context).strip()

    @property
    def prefix(self) -> str:
        """Address of all that it publishes."""
        return self.location.folder_uri

    @property
    def location(self) -> ReportLocation:
        """Where it is published."""
        return ReportLocation.of(settings().report_bucket, self.report.name, self.cadence)

    @property
    def database(self) -> str | None:
        """Glue database of its table; None for no table."""
        return settings().report_database if self.report.has_table else None

    @property
    def logic(self) -> str:
        """The digest of what makes its rows today."""
        return self.report.logic

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that a check declares as unique; empty if none does."""
        return next((check.key for check in self.report.checks if check.key), ())

    def latest_period(self) -> Period:
        """Return the last period that is complete, and that the report has data for."""
        complete, end = self.cadence.last_complete(datetime.now(UTC)), self.dag.end_date
        return min(complete, self.cadence.containing(end)) if end else complete


class Declared(NamedTuple):
    """The reports of a DAGs folder, and why its other files have none."""

    reports: list[DeclaredReport]
    problems: list[str]


def declared_reports() -> Declared:
    """Import the files of Airflow's `dags_folder`; return their reports, and why a file has none.

    As in Airflow, a file that `.airflowignore` names is not read, and only Ctrl-C ends the import of all files.
    """
    reports: list[DeclaredReport] = []
    problems = []
    for path in _dag_files(Path(conf.get_mandatory_value("core", "dags_folder"))):
        try:
            if "build_dag" in _source(path):
                reports += [DeclaredReport(dag) for dag in _dags(path)]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a file of an author raises, SystemExit too
            problems.append(f"{path} cannot be imported: {_reason(error)}")
    return Declared(reports, problems)


def find_dags(name: str, declared: Declared) -> list[DeclaredReport]:
    """Return the DAGs of a report, or the one of an id; UnknownReportError if there is none."""
    known = declared.reports
    named = [each for each in known if name in (each.report.name, each.dag.dag_id)]
    if not named:
        names = sorted({text for each in known for text in (each.report.name, each.dag.dag_id)})
        near = ", ".join(get_close_matches(name, names, n=3, cutoff=0.3)) or ", ".join(names) or "none"
        raise UnknownReportError(f"There is no report {name!r}. Is it one of these: {near}?")
    return named


def find_report(name: str, period_id: str, declared: Declared) -> tuple[DeclaredReport, Period]:
    """Return the report of a name or a DAG id, and a period of it: the last complete one without an id.

    A name without a cadence means the first DAG that has such a period. UnknownReportError if there is none.
    """
    problems = []
    for each in find_dags(name, declared):
        try:
            return each, each.cadence.period(period_id) if period_id else each.latest_period()
        except PeriodError as error:
            problems.append(str(error))
    raise UnknownReportError(f"{name}: " + "; ".join(problems))


def _dag_files(folder: Path) -> list[Path]:
    # Not in safe mode: that leaves out a file without the word "airflow", which `make check` explains.
    paths = map(Path, list_py_file_paths(folder, safe_mode=False))
    return sorted(path for path in paths if path.suffix == ".py")


def _source(path: Path) -> str:
    try:
        return importlib.util.decode_source(path.read_bytes())
    except (SyntaxError, UnicodeDecodeError) as error:
        raise DagFileError(f"{error}. Save the file as UTF-8.") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, AthenaReportsError):
        return str(error)
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind


def _dags(path: Path) -> Iterator[BuiltDag]:
    spec = importlib.util.spec_from_file_location(f"report_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Sequence[object] = list(vars(module).values())
    yield from (each for each in found if isinstance(each, BuiltDag))
