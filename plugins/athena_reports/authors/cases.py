"""Cases: a few input rows per table, a period, and the rows that a report has to make of them.

A case is a folder `tests/reports/<report>/<case>/`: `case.yaml` (a `CaseFile`), a CSV file for each
input table, and `expected.csv`. The header of an input names and types the columns as Athena does:
`user_id string,price decimal(10,2)`. As in what is published, an empty field is NULL and `""` is
the empty text.
"""

import re
import time
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from os import environ
from pathlib import Path
from typing import Literal, NamedTuple

import yaml  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError
from rich.console import Console, RenderableType
from rich.text import Text

from athena_reports.authors.case_csv import CaseError, CsvFile, CsvRow, Row, read_csv
from athena_reports.authors.case_tables import EXPECTED_FILE, case_tables, input_files
from athena_reports.authors.cte import CteError, select_from
from athena_reports.authors.report_files import (
    Declared,
    DeclaredReport,
    UnknownReportError,
    find_dags,
    find_report,
)
from athena_reports.authors.tables import Heading, LabelledRow, fitting_table
from athena_reports.authors.trial import Aws, trial
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.reports.input import mistake
from athena_reports.rows.checks import failures
from athena_reports.rows.writer import write_files

CASE_FILE = "case.yaml"
# How a query fails whose SQL may be right, but which the local Athena cannot run.
_NOT_DONE = re.compile(r"NOT_SUPPORTED: (line \d+:\d+: )?the local Athena")
_SHOWN_DIFFERENCES = 10


class CaseFile(BaseModel, frozen=True, extra="forbid"):
    """What `case.yaml` says."""

    period: str  # its id
    cadence: str = ""  # needed where the id does not tell
    cte: str = ""  # a CTE of the SQL whose rows are expected; empty for those of the report


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
    seconds: float
    problem: str = ""
    expected: tuple[Row, ...] = ()  # the header first; empty unless other rows came out
    found: tuple[Row, ...] = ()  # what came out, the header first


def case_folders(root: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders of cases, sorted.

    Args:
        root: The folder of the folders of reports.
        names: Reports (`report`) or cases (`report/case`); empty for all.

    Raises:
        CaseError: If there is no case at all, or none of one of the names.
    """
    folders = sorted(path.parent for path in root.glob(f"*/*/{CASE_FILE}"))
    cases = [_name(folder) for folder in folders]
    reports = {folder.parent.name for folder in folders}
    unknown = [name for name in names if name not in cases and name not in reports]
    if unknown or not folders:
        asked = ""
        if unknown:
            asked = f": {', '.join(unknown)}"
        known = ", ".join(cases) or "none"
        raise CaseError(
            f"There is no such case in {root}{asked}. It has: {known}."
            f" A case is a folder with a {CASE_FILE}."
        )
    if not names:
        return folders
    return [folder for folder in folders if folder.parent.name in names or _name(folder) in names]


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


class _Verdict(NamedTuple):
    """The part of a case's result that follows from its rows."""

    outcome: Outcome
    problem: str = ""
    expected: tuple[Row, ...] = ()
    found: tuple[Row, ...] = ()


def run_case(folder: Path, reports: Declared, aws: Aws, *, accept: bool = False) -> CaseResult:
    """Run a case in a database of its own in the local services.

    Args:
        folder: The folder of the case, in the folder of its report.
        reports: The reports of the DAGs folder.
        aws: The local services.
        accept: Write the rows that come out as the expected ones, and compare nothing.

    Returns:
        What became of it. A case that cannot be run as it is written has failed.

    Raises:
        CaseError: If the services are not local ones.
        BotoCoreError: They do not answer.
    """
    if not environ.get("AWS_ENDPOINT_URL"):
        raise CaseError(
            "Cases write their tables into the local services:"
            " run `make cases`, or set AWS_ENDPOINT_URL."
        )
    started = time.monotonic()
    try:
        verdict = _verdict(folder, reports, aws, accept)
    except (AthenaReportsError, ClientError) as error:
        outcome: Outcome = "failed"
        if _NOT_DONE.search(str(error)):
            outcome = "not run"
        problem = str(error)
        if "TABLE_NOT_FOUND" in problem:
            tables = ", ".join(path.stem for path in input_files(folder))
            problem += f" The case has a table for each of its CSV files: {tables}."
        verdict = _Verdict(outcome, problem=problem)
    return CaseResult(
        report=folder.parent.name,
        case=folder.name,
        outcome=verdict.outcome,
        seconds=round(time.monotonic() - started, 3),
        problem=verdict.problem,
        expected=verdict.expected,
        found=verdict.found,
    )


def _verdict(folder: Path, reports: Declared, aws: Aws, accept: bool) -> _Verdict:
    """Run a case and hold its rows against the expected ones, then its checks."""
    result = _run(folder, reports, aws)
    expected_file = folder / EXPECTED_FILE
    if accept:
        expected_file.write_bytes(result.content)
        return _Verdict("accepted", found=result.rows)
    if not expected_file.is_file():
        problem = f"{expected_file} is missing. --accept writes what came out."
        return _Verdict("failed", problem=problem, found=result.rows)
    expected = read_csv(expected_file)
    differences = _differences(expected, result.rows)
    if differences:
        problem = "\n".join([f"{expected_file}: other rows came out.", *differences])
        return _Verdict("failed", problem=problem, expected=expected.values, found=result.rows)
    if result.failed_checks:
        return _Verdict("failed", problem=result.failed_checks)
    return _Verdict("passed")


class _Result(NamedTuple):
    """What came out of a case."""

    content: bytes  # the rows as a CSV file
    rows: tuple[Row, ...]
    failed_checks: str  # what the failed checks say; empty if none failed


def _run(folder: Path, reports: Declared, aws: Aws) -> _Result:
    case, lines = _read(folder / CASE_FILE)
    declared, period = _find_report(folder, case, lines, reports)
    sql = declared.sql(period)
    if case.cte:
        try:
            sql = select_from(case.cte, sql)
        except CteError as error:
            raise CaseError(f"{folder / CASE_FILE}, line {lines['cte']}: {error}") from error
    else:
        _require_inputs(folder, declared)

    with (
        case_tables(folder, declared.report.inputs, aws) as database,
        trial(
            declared,
            period,
            aws,
            command="test",
            sql=sql,
            database=database,
            is_whole=not case.cte,
        ) as done,
    ):
        file = write_files(done.table, ["csv"], done.engine)[0]
        return _Result(
            content=file.path.read_bytes(),
            rows=read_csv(file.path).values,
            failed_checks=failures(done.checks),
        )


def _find_report(
    folder: Path, case: CaseFile, lines: Mapping[str, int], reports: Declared
) -> tuple[DeclaredReport, Period]:
    """Return the report and the period of a case; CaseError names the line that is wrong."""
    file = folder / CASE_FILE
    name = folder.parent.name
    try:
        find_dags(name, reports)
    except UnknownReportError as error:
        raise CaseError(f"{folder}: {error}") from error
    if case.cadence:
        name = f"{name}_{case.cadence}"
        try:
            find_dags(name, reports)
        except UnknownReportError as error:
            raise CaseError(f"{file}, line {lines['cadence']}: {error}") from error
    try:
        return find_report(name, case.period, reports)
    except UnknownReportError as error:
        raise CaseError(f"{file}, line {lines['period']}: {error}") from error


def _require_inputs(folder: Path, declared: DeclaredReport) -> None:
    """Raise CaseError if an input of the report has no file in the case."""
    tables = {path.stem for path in input_files(folder)}
    for source in declared.report.inputs:
        if source.table in tables or source.database is not None:
            continue
        file = folder / f"{source.table}.csv"
        raise CaseError(
            f"{file} is missing: the report {declared.report.name!r} reads the table"
            f" {source.table!r}. Write its rows, below a header such as `id string,score bigint`."
        )


def _read(path: Path) -> tuple[CaseFile, dict[str, int]]:
    """Return what a case says, and the line of each field."""
    try:
        text = path.read_text(encoding="utf-8")
        # All values are texts, also `2026-11-15` and `2026`.
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        fields = yaml.load(text, Loader=yaml.BaseLoader)  # it makes texts only
    except yaml.MarkedYAMLError as error:
        line = 1
        if error.problem_mark is not None:
            line = error.problem_mark.line + 1
        raise CaseError(f"{path}, line {line}: it is not YAML: {error.problem}.") from error
    except (ValueError, yaml.YAMLError) as error:  # not UTF-8
        raise CaseError(f"{path}: {error}. Save the file as UTF-8.") from error
    if not isinstance(fields, dict):
        raise CaseError(
            f"{path}, line 1: expected fields, such as `period: 2026-11-15`; found"
            f" {text.strip()!r:.80}."
        )
    lines = {key.value: key.start_mark.line + 1 for key, _ in root.value}
    try:
        return CaseFile.model_validate(fields), lines
    except ValidationError as error:
        field, problem = mistake(error, CaseFile.model_fields)
        line = lines.get(field, 1)
        raise CaseError(f"{path}, line {line}, field {field!r}: {problem}") from error


def _differences(expected: CsvFile, found: Sequence[Row]) -> list[str]:
    """Return how the rows that came out differ from the expected ones, a line for each value."""
    found_header, *found_rows = found
    if expected.header != found_header:
        columns = ", ".join(expected.header)
        found_columns = ", ".join(str(name) for name in found_header)
        return [
            f"line {expected.header_line}: expected the columns {columns}; found {found_columns}."
        ]
    expected_rows = [row.values for row in expected.rows]
    differences = []
    matcher = SequenceMatcher(None, expected_rows, found_rows, autojunk=False)
    for operation, expected_start, expected_end, found_start, found_end in matcher.get_opcodes():
        if operation == "equal":
            continue
        last_line = expected.header_line
        if expected_start > 0:
            last_line = expected.rows[expected_start - 1].line
        missing = list(expected.rows[expected_start:expected_end])
        unexpected = list(found_rows[found_start:found_end])
        while missing and unexpected:
            row = missing.pop(0)
            last_line = row.line
            differences += _different_values(expected.header, row, unexpected.pop(0))
        for row in missing:
            differences.append(
                f"line {row.line}: expected the row {_shown_row(row.values)}; found no row."
            )
        for values in unexpected:
            differences.append(
                f"after line {last_line}: expected no row; found the row {_shown_row(values)}."
            )
    if len(differences) > _SHOWN_DIFFERENCES:
        number = len(differences) - _SHOWN_DIFFERENCES
        differences = [*differences[:_SHOWN_DIFFERENCES], f"... and {number} more."]
    return differences


def _different_values(header: Sequence[str], expected: CsvRow, found: Row) -> list[str]:
    """Return the values in which two rows differ."""
    differences = []
    for name, value, found_value in zip(header, expected.values, found, strict=True):
        if value != found_value:
            about = f"line {expected.line}, column {name}"
            differences.append(f"{about}: expected {_shown(value)}; found {_shown(found_value)}.")
    return differences


def _shown_row(values: Row) -> str:
    return ", ".join(_shown(value) for value in values)


def _shown(value: str | None) -> str:
    """Return a value as text. A text has quotes, so that NULL and the empty text are two things."""
    if value is None:
        return "NULL"
    return f"'{value}'"


def show(result: CaseResult, console: Console) -> None:
    """Print what became of a case, and of other rows than expected the differences."""
    outcome = Text(f"{result.outcome:8}", _STYLES[result.outcome])
    case = f" {result.report}/{result.case}  {result.seconds:.1f} s"
    console.print(Text.assemble(outcome, case))
    for line in result.problem.splitlines():
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if result.expected and result.found and result.expected[0] == result.found[0]:
        console.print(_differing_rows(result.expected, result.found, console))


def _differing_rows(
    expected: Sequence[Row], found: Sequence[Row], console: Console
) -> RenderableType:
    """Return the rows that differ, under their header."""
    headings = [Heading(str(name)) for name in found[0]]
    rows: list[LabelledRow] = []
    matcher = SequenceMatcher(None, expected, found, autojunk=False)
    for operation, expected_start, expected_end, found_start, found_end in matcher.get_opcodes():
        if operation == "equal":
            continue
        rows.extend(
            LabelledRow("expected", values, style="red")
            for values in expected[expected_start:expected_end]
        )
        rows.extend(
            LabelledRow("found", values, style="green") for values in found[found_start:found_end]
        )
    return fitting_table(console, headings, rows)
