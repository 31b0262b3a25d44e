"""Cases: a few input rows per table, a period, and the rows that a report has to make of them.

A case is a folder `tests/reports/<report>/<case>/`: `case.yaml` (a `CaseFile`), a CSV file for each
input table, and `expected.csv`. The header of an input names and types the columns as Athena does:
`user_id string,price decimal(10,2)`. As in what is published, an empty field is NULL and `""` is
the empty text.
"""

import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from pydantic import BaseModel, Field, ValidationError
from rich.console import Console
from rich.text import Text

from athena_reports.declaration import explain
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context
from athena_reports.rows.checks import failures
from athena_reports.rows.writer import write_file
from athena_reports_cli.authoring.case_tables import EXPECTED_FILE, case_tables, input_files
from athena_reports_cli.authoring.csv_files import read_lines
from athena_reports_cli.authoring.report_files import (
    Declared,
    DeclaredReport,
    UnknownReportError,
    find_report,
)
from athena_reports_cli.authoring.tables import difference
from athena_reports_cli.authoring.trial import (
    NOT_SUPPORTED_LOCALLY,
    Aws,
    TrialRequest,
    query_request,
    recipe_of,
    trial,
    without_history,
)
from athena_reports_cli.local.local_endpoint import require_local

CASE_FILE = "case.yaml"


class CaseError(AthenaReportsError):
    """A case cannot be run as it is written."""


class CaseFile(BaseModel, frozen=True, extra="forbid"):
    """What `case.yaml` says."""

    period: str = Field(min_length=1)  # its id
    cadence: str = ""  # needed where the id does not tell


Outcome = Literal["passed", "failed", "not run", "accepted"]
_STYLES: dict[Outcome, str] = {
    "passed": "green",
    "failed": "red",
    "not run": "yellow",
    "accepted": "cyan",
}


class CaseResult(BaseModel, frozen=True):
    """What became of a case.

    A case is not run if the local Athena cannot run its SQL. The report may be right.
    """

    report: str
    case: str
    outcome: Outcome
    seconds: float = 0
    problem: str = ""


def case_folders(root: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders of cases, sorted: of reports (`report`) or cases (`report/case`), or all.

    CaseError if there is no case at all, or none of one of the names.
    """
    folders = {}
    for file in sorted(root.glob(f"*/*/{CASE_FILE}")):
        case = file.parent
        folders[case] = {case.parent.name, f"{case.parent.name}/{case.name}"}
    unknown = sorted(set(names).difference(*folders.values()))
    if not folders:
        raise CaseError(f"{root} has no cases. A case is a folder with a {CASE_FILE}.")
    if unknown:
        known = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
        raise CaseError(f"{root} has no case {', '.join(unknown)}. Available: {known}.")
    return [folder for folder, known in folders.items() if not names or known.intersection(names)]


def run_case(folder: Path, reports: Declared, aws: Aws, *, accept: bool = False) -> CaseResult:
    """Run a case in a database of its own in the local services.

    With `accept` the rows that come out are written as the expected ones, and compared with
    nothing. A case has failed if a check does, or if it cannot be run as it is written.
    """
    require_local(aws.athena, aws.glue, aws.s3.client)
    started = time.monotonic()
    try:
        result = _run(folder, reports, aws, accept)
    except (AthenaReportsError, ClientError) as error:
        problem = str(error)
        outcome: Outcome = "failed"
        if re.search(NOT_SUPPORTED_LOCALLY, problem):
            outcome = "not run"
        if "TABLE_NOT_FOUND" in problem or "COLUMN_NOT_FOUND" in problem:
            files = ", ".join(file.name for file in input_files(folder)) or "no table"
            problem += (
                f" Or, if the SQL is right, add the table or column to the case: {folder} has"
                f" {files}."
            )
        result = CaseResult(
            report=folder.parent.name, case=folder.name, outcome=outcome, problem=problem
        )
    return result.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _run(folder: Path, reports: Declared, aws: Aws, accept: bool) -> CaseResult:
    """Run a case, and compare its rows with the expected ones; then its checks have to pass."""
    declared, period = _find_report(folder, reports)
    report = declared.report
    # The tables of a case are all in one database.
    context = template_context(
        SqlPeriod(period, report.late_by), report.params, report.inputs, has_published=False
    )
    expected_file = folder / EXPECTED_FILE
    with case_tables(folder, report.inputs, aws) as database:
        query = query_request(declared.sql(period, context), database, aws, command="test")
        recipe = without_history(recipe_of(declared))
        with trial(TrialRequest(declared, period, query, recipe), aws) as done:
            actual_file = write_file(done.table, "csv", done.engine).path
            actual = read_lines(actual_file)
            problem = failures(done.checks)
            if accept:
                shutil.copyfile(actual_file, expected_file)
    if accept and problem:
        problem = f"{expected_file} was written, but a run would not publish it: {problem}"
    elif not accept and not expected_file.is_file():
        problem = f"{expected_file} is missing. Add --accept to write it."
    elif not accept:
        # Line 1 is the header.
        differing = difference(read_lines(expected_file), actual, context=0)
        if differing:
            problem = f"{expected_file}: the rows differ.\n{differing}"
    outcome: Outcome = "passed"
    if problem:
        outcome = "failed"
    elif accept:
        outcome = "accepted"
    return CaseResult(report=folder.parent.name, case=folder.name, outcome=outcome, problem=problem)


def _find_report(folder: Path, reports: Declared) -> tuple[DeclaredReport, Period]:
    file = folder / CASE_FILE
    case = _read(file)
    name = folder.parent.name
    if case.cadence:
        name = f"{name}_{case.cadence}"
    try:
        return find_report(name, case.period, reports)
    except UnknownReportError as error:
        raise CaseError(f"{file}: {error}") from error


def _read(file: Path) -> CaseFile:
    try:
        # This loader makes all values texts, also `2026-11-15` and `2026`.
        fields = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (ValueError, yaml.YAMLError) as error:  # it is not UTF-8, or not YAML
        raise CaseError(f"{file} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise CaseError(f"{file}: expected fields, such as `period: 2026-11-15`.")
    try:
        return CaseFile.model_validate(fields)
    except ValidationError as error:
        field, problem = explain(error, CaseFile, fields)
        raise CaseError(f"{file}, field {field!r}: {problem}") from error


def show(result: CaseResult, console: Console) -> None:
    """Print what became of a case."""
    outcome = Text(f"{result.outcome:8}", _STYLES[result.outcome])
    case = f" {result.report}/{result.case}  {result.seconds:.1f} s"
    console.print(Text.assemble(outcome, case))
    for line in result.problem.splitlines():
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def show_numbers(results: Sequence[CaseResult], console: Console) -> None:
    """Print how many cases have which outcome."""
    number_of_outcome = Counter(result.outcome for result in results)
    numbers = [f"{number} {outcome}" for outcome, number in number_of_outcome.items()]
    console.print(", ".join(numbers))
