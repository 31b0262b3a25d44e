"""Cases: a few input rows per table, a period, and the rows that a report has to make of them.

A case is a folder `tests/reports/<report>/<case>/`: `case.yaml` (a `CaseFile`), a CSV file for each
input table, and `expected.csv`. The header of an input names and types the columns as Athena does:
`user_id string,score bigint`. As in what is published, an empty field is NULL and `""` is the empty
text.
"""

import re
import time
from collections.abc import Sequence
from datetime import date
from difflib import SequenceMatcher
from os import environ
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import yaml  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from pydantic import BaseModel, BeforeValidator
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from athena_reports.authors.case_tables import EXPECTED_FILE, CaseError, Row, case_tables, csv_rows
from athena_reports.authors.cte import select_from
from athena_reports.authors.report_files import Declared, find_report
from athena_reports.authors.trial import Aws, trial
from athena_reports.errors import AthenaReportsError
from athena_reports.rows.checks import failures
from athena_reports.rows.engine import open_engine
from athena_reports.rows.writer import write_files
from athena_reports.settings import settings

CASE_FILE = "case.yaml"
# How a query fails whose SQL may be right, but which the local Athena cannot run.
_NOT_DONE = re.compile(r"NOT_SUPPORTED: (line \d+:\d+: )?the local Athena")


def _as_text(period_id: object) -> object:
    """Return a period id as a text. YAML reads `2026-11-15` as a date, and `2026` as a number."""
    if isinstance(period_id, date | int):
        return str(period_id)
    return period_id


class CaseFile(BaseModel, frozen=True, extra="forbid"):
    """What `case.yaml` says."""

    period: Annotated[str, BeforeValidator(_as_text)]  # its id
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
        verdict = _Verdict(outcome, problem=str(error))
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
    with open_engine(settings().memory_limit, about=str(expected_file)) as engine:
        expected = csv_rows(expected_file, engine)
    if expected != result.rows:
        problem = "Other rows came out."
        return _Verdict("failed", problem=problem, expected=expected, found=result.rows)
    if result.failed_checks:
        return _Verdict("failed", problem=result.failed_checks)
    return _Verdict("passed")


class _Result(NamedTuple):
    """What came out of a case."""

    content: bytes  # the rows as a CSV file
    rows: tuple[Row, ...]
    failed_checks: str  # what the failed checks say; empty if none failed


def _run(folder: Path, reports: Declared, aws: Aws) -> _Result:
    case = _read(folder / CASE_FILE)
    report = folder.parent.name
    if case.cadence:
        report = f"{report}_{case.cadence}"
    declared, period = find_report(report, case.period, reports)
    sql = declared.sql(period)
    if case.cte:
        sql = select_from(case.cte, sql)

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
            rows=csv_rows(file.path, done.engine),
            failed_checks=failures(done.checks),
        )


def _read(path: Path) -> CaseFile:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        return CaseFile.model_validate(fields)
    except (ValueError, yaml.YAMLError) as error:  # not UTF-8, no YAML, no date, no such field
        raise CaseError(f"{path}: {error}") from error


def show(result: CaseResult, console: Console) -> None:
    """Print what became of a case, and of other rows than expected the differences."""
    outcome = Text(f"{result.outcome:8}", _STYLES[result.outcome])
    case = f" {result.report}/{result.case}  {result.seconds:.1f} s"
    console.print(Text.assemble(outcome, case))
    if result.problem:
        console.print(f"  {result.problem}", markup=False, highlight=False, soft_wrap=True)
    if result.expected and result.found:
        console.print(_differences(result.expected, result.found))


def _differences(expected: Sequence[Row], found: Sequence[Row]) -> Grid:
    """Return the rows that differ, under the header of what came out."""
    header = [str(name) for name in found[0]]
    grid = Grid("", *header)
    matcher = SequenceMatcher(None, expected, found, autojunk=False)
    for operation, expected_start, expected_end, found_start, found_end in matcher.get_opcodes():
        if operation == "equal":
            continue
        for row in expected[expected_start:expected_end]:
            grid.add_row("expected", *_cells(row), style="red")
        for row in found[found_start:found_end]:
            grid.add_row("found", *_cells(row), style="green")
    return grid


def _cells(row: Row) -> list[str]:
    return ["NULL" if value is None else value for value in row]
