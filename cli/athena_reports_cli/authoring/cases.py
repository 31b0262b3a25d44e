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
from pydantic import BaseModel, Field, ValidationError
from rich.console import Console, RenderableType
from rich.text import Text

from athena_reports.declaration import explain
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.reports.sql_period import SqlPeriod
from athena_reports.reports.sql_template import template_context
from athena_reports.rows.checks import failures
from athena_reports.rows.writer import write_files
from athena_reports_cli.authoring.case_csv import CaseError, CsvFile, CsvRow, Row, read_csv
from athena_reports_cli.authoring.case_tables import EXPECTED_FILE, case_tables, input_files
from athena_reports_cli.authoring.cte import CteError, select_from
from athena_reports_cli.authoring.report_files import (
    Declared,
    DeclaredReport,
    UnknownReportError,
    find_dags,
    find_report,
)
from athena_reports_cli.authoring.tables import Heading, LabelledRow, fitting_table
from athena_reports_cli.authoring.trial import Aws, trial
from athena_reports_cli.local.local_endpoint import remote_endpoint

CASE_FILE = "case.yaml"
# How a query fails whose SQL may be right, but which the local Athena cannot run.
_NOT_DONE = re.compile(r"NOT_SUPPORTED: (line \d+:\d+: )?the local Athena")
_SHOWN_DIFFERENCES = 10


class CaseFile(BaseModel, frozen=True, extra="forbid"):
    """What `case.yaml` says."""

    period: str = Field(min_length=1)  # its id
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
    folders = sorted(file.parent for file in root.glob(f"*/*/{CASE_FILE}"))
    known_names: set[str] = set()
    asked_for = []
    for folder in folders:
        names_of_case = {folder.parent.name, _name(folder)}
        known_names |= names_of_case
        if not names or not names_of_case.isdisjoint(names):
            asked_for.append(folder)
    unknown = [name for name in names if name not in known_names]
    if unknown or not folders:
        raise CaseError(_no_such_case(root, folders, unknown))
    return asked_for


def _no_such_case(root: Path, folders: Sequence[Path], unknown: Sequence[str]) -> str:
    asked = ""
    if unknown:
        asked = f": {', '.join(unknown)}"
    cases = "none"
    if folders:
        cases = ", ".join(_name(folder) for folder in folders)
    return (
        f"There is no such case in {root}{asked}. It has: {cases}."
        f" A case is a folder with a {CASE_FILE}."
    )


def _name(folder: Path) -> str:
    """Return the name of a case: that of its report and its own."""
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
        accept: Write the rows that come out as the expected ones, and compare nothing. The case has
            failed if a check does.

    Returns:
        What became of it. A case that cannot be run as it is written has failed.

    Raises:
        CaseError: If the services are not local ones.
        BotoCoreError: They do not answer.
    """
    _require_local(aws)
    started = time.monotonic()
    try:
        verdict = _verdict(folder, reports, aws, accept)
    except (AthenaReportsError, ClientError) as error:
        outcome: Outcome = "failed"
        if _NOT_DONE.search(str(error)):
            outcome = "not run"
        problem = str(error)
        if "TABLE_NOT_FOUND" in problem:
            tables = ", ".join(_tables(folder))
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


def _require_local(aws: Aws) -> None:
    """Raise CaseError unless all services are local ones: a case writes into each of them."""
    if not environ.get("AWS_ENDPOINT_URL"):
        raise CaseError(
            "Cases write their tables into the local services:"
            " unset ATHENA_REPORTS_ENV to have some started, or set AWS_ENDPOINT_URL."
        )
    for client in (aws.athena, aws.glue, aws.s3.client):
        endpoint = remote_endpoint(client)
        if endpoint:
            raise CaseError(
                f"{endpoint}, which is not a local endpoint. Cases write their tables into the"
                " local services: unset AWS_ENDPOINT_URL and ATHENA_REPORTS_ENV to have some"
                " started, or set AWS_ENDPOINT_URL to them."
            )


def _verdict(folder: Path, reports: Declared, aws: Aws, accept: bool) -> _Verdict:
    """Run a case, and hold its rows against the expected ones, and then against the checks."""
    result = _run(folder, reports, aws)
    expected_file = folder / EXPECTED_FILE
    if accept:
        expected_file.write_bytes(result.content)
        if result.failed_checks:
            problem = (
                f"The rows that came out are in {expected_file}. A run would not publish them:"
                f" {result.failed_checks}"
            )
            return _Verdict("failed", problem=problem, found=result.rows)
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
    rows: tuple[Row, ...]  # the header first
    failed_checks: str  # what the failed checks say; empty if none failed


def _run(folder: Path, reports: Declared, aws: Aws) -> _Result:
    file = folder / CASE_FILE
    case, lines = _read(file)
    declared, period = _find_report(folder, case, lines, reports)
    report = declared.report
    # The tables of a case are all in one database.
    context = template_context(
        SqlPeriod(period, report.late_by), report.params, report.inputs, has_published=False
    )
    sql = declared.sql(period, context)
    if case.cte:
        # A CTE may read some of the inputs only.
        try:
            sql = select_from(case.cte, sql)
        except CteError as error:
            raise CaseError(f"{file}, line {lines['cte']}: {error}") from error
    else:
        _require_inputs(folder, declared)

    with (
        case_tables(folder, report.inputs, aws) as database,
        trial(
            declared,
            period,
            aws,
            command="test",
            sql=sql,
            database=database,
            files={file.stem.lower(): file for file in input_files(folder)},
            is_whole=not case.cte,
        ) as done,
    ):
        rows_file = write_files(done.table, ["csv"], done.engine)[0]
        return _Result(
            content=rows_file.path.read_bytes(),
            rows=read_csv(rows_file.path).values,
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
    tables = _tables(folder)
    missing = []
    for source in declared.report.inputs:
        # Which a case cannot replace.
        is_of_other_database = source.database is not None and not source.dag_id
        if source.table not in tables and not is_of_other_database:
            missing.append(source.table)
    if not missing:
        return
    files = ", ".join(str(folder / f"{table}.csv") for table in missing)
    verb = "is" if len(missing) == 1 else "are"
    raise CaseError(
        f"{files} {verb} missing: the report {declared.report.name!r} reads {', '.join(missing)}."
        " Write the rows of each, below a header such as `id string,score bigint`."
    )


def _tables(folder: Path) -> list[str]:
    """Return the names of the tables that a case has."""
    return [file.stem for file in input_files(folder)]


def _read(path: Path) -> tuple[CaseFile, dict[str, int]]:
    """Return what a case says, and the line of each field."""
    try:
        text = path.read_text(encoding="utf-8")
        # This loader makes all values texts, also `2026-11-15` and `2026`.
        node = yaml.compose(text, Loader=yaml.BaseLoader)  # it has the lines
        fields = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = 1
        if error.problem_mark is not None:
            line = error.problem_mark.line + 1
        raise CaseError(f"{path}, line {line}: it is not YAML: {error.problem}.") from error
    except (ValueError, yaml.YAMLError) as error:  # it is not UTF-8
        raise CaseError(f"{path}: {error}. Save the file as UTF-8.") from error
    if not isinstance(fields, dict):
        raise CaseError(
            f"{path}, line 1: expected fields, such as `period: 2026-11-15`; found"
            f" {text.strip()!r:.80}."
        )
    lines = {}
    for key, _ in node.value:
        lines[key.value] = key.start_mark.line + 1
    try:
        return CaseFile.model_validate(fields), lines
    except ValidationError as error:
        field, problem = explain(error, CaseFile, fields)
        line = lines.get(field, 1)
        raise CaseError(f"{path}, line {line}, field {field!r}: {problem}") from error


class _Block(NamedTuple):
    """Rows at one place that differ: those from a start to before an end, of each side."""

    expected_start: int
    expected_end: int
    found_start: int
    found_end: int


def _differing_blocks(expected: Sequence[Row], found: Sequence[Row]) -> list[_Block]:
    """Return where rows differ, in order. Rows that are equal on both sides stand between."""
    matcher = SequenceMatcher(None, expected, found, autojunk=False)
    blocks = []
    for operation, *bounds in matcher.get_opcodes():
        if operation != "equal":
            blocks.append(_Block(*bounds))
    return blocks


def _differences(expected: CsvFile, found: Sequence[Row]) -> list[str]:
    """Return how the rows that came out differ from the expected ones, a line for each value.

    Args:
        expected: The expected rows.
        found: What came out, the header first.
    """
    if expected.header != found[0]:
        columns = ", ".join(expected.header)
        found_columns = ", ".join(str(name) for name in found[0])
        return [
            f"line {expected.header_line}: expected the columns {columns}; found {found_columns}."
        ]
    expected_rows = [row.values for row in expected.rows]
    found_rows = found[1:]
    differences = []
    for block in _differing_blocks(expected_rows, found_rows):
        differences += _differences_of_block(block, expected, found_rows)
    if len(differences) > _SHOWN_DIFFERENCES:
        number = len(differences) - _SHOWN_DIFFERENCES
        return [*differences[:_SHOWN_DIFFERENCES], f"... and {number} more."]
    return differences


def _differences_of_block(block: _Block, expected: CsvFile, found: Sequence[Row]) -> list[str]:
    """Hold the rows of both sides against each other, one by one; what is left has no partner."""
    last_line = expected.header_line  # of the row after which one came out that is not expected
    if block.expected_start > 0:
        last_line = expected.rows[block.expected_start - 1].line
    missing = list(expected.rows[block.expected_start : block.expected_end])
    unexpected = list(found[block.found_start : block.found_end])
    differences = []
    while missing and unexpected:
        row = missing.pop(0)
        last_line = row.line
        differences += _different_values(expected.header, row, unexpected.pop(0))
    for row in missing:
        shown = _shown_row(row.values)
        differences.append(f"line {row.line}: expected the row {shown}; found no row.")
    for values in unexpected:
        shown = _shown_row(values)
        differences.append(f"after line {last_line}: expected no row; found the row {shown}.")
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
    has_other_rows = bool(result.expected and result.found)
    if has_other_rows and result.expected[0] == result.found[0]:
        console.print(_differing_rows(result.expected, result.found, console))


def _differing_rows(
    expected: Sequence[Row], found: Sequence[Row], console: Console
) -> RenderableType:
    """Return a table of the rows that differ. Both sides have the same header, which is first."""
    headings = [Heading(str(name)) for name in found[0]]
    expected_rows = expected[1:]
    found_rows = found[1:]
    rows = []
    for block in _differing_blocks(expected_rows, found_rows):
        for values in expected_rows[block.expected_start : block.expected_end]:
            row = LabelledRow("expected", values, style="red")
            rows.append(row)
        for values in found_rows[block.found_start : block.found_end]:
            row = LabelledRow("found", values, style="green")
            rows.append(row)
    return fitting_table(console, headings, rows)
