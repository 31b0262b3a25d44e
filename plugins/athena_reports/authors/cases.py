"""Cases: a few input rows per table, a period, and the rows that a report has to make of them.

A case is a folder `tests/reports/<report>/<case>/`: `case.yaml` (a `CaseFile`), a CSV file for each input table, whose
header names and types the columns as Athena does (`user_id string,score bigint`), and `expected.csv`. As in what is
published, an empty field is NULL and `""` is the empty text.
"""

import re
import time
from collections.abc import Sequence
from datetime import date
from difflib import SequenceMatcher
from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from pydantic import BaseModel, BeforeValidator, ValidationError
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from athena_reports.authors.case_tables import EXPECTED_FILE, CaseError, Row, case_tables, csv_rows
from athena_reports.authors.cte import select_from
from athena_reports.authors.declared import Declared, DeclaredReport, find_report
from athena_reports.authors.trial import Aws, trial
from athena_reports.errors import AthenaReportsError
from athena_reports.periods.calendar import Period
from athena_reports.rows.checks import failures
from athena_reports.rows.engine import open_engine
from athena_reports.rows.writer import write_files
from athena_reports.settings import settings

CASE_FILE = "case.yaml"
_NOT_DONE = re.compile(r"NOT_SUPPORTED: (line \d+:\d+: )?the local Athena")


class CaseFile(BaseModel, frozen=True, extra="forbid"):
    """`case.yaml`: the period, the cadence if its id does not tell, and a CTE of the SQL whose rows are expected."""

    period: Annotated[str, BeforeValidator(lambda given: str(given) if isinstance(given, date | int) else given)]
    cadence: str = ""
    cte: str = ""


class CaseResult(BaseModel, frozen=True):
    """What became of a case. `not run` is what the local Athena does not do: it says nothing of the report."""

    report: str
    case: str
    outcome: Literal["passed", "failed", "not run", "accepted"]
    seconds: float
    problem: str = ""
    expected: tuple[Row, ...] = ()  # the header first
    found: tuple[Row, ...] = ()


def case_folders(root: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders of all cases below `root`, or of the named reports and cases (`report` or `report/case`)."""
    folders = sorted(path.parent for path in root.glob(f"*/*/{CASE_FILE}"))
    found = [each for each in folders if not names or {each.parent.name, f"{each.parent.name}/{each.name}"} & {*names}]
    if not found:
        known = ", ".join(f"{each.parent.name}/{each.name}" for each in folders) or "none"
        raise CaseError(f"There is no such case in {root}. It has: {known}. A case is a folder with a {CASE_FILE}.")
    return found


def run_case(folder: Path, reports: Declared, aws: Aws, *, accept: bool = False) -> CaseResult:
    """Run a case in a database of its own in the local services; with `accept` keep what came out as expected."""
    if not environ.get("AWS_ENDPOINT_URL"):
        raise CaseError("Cases write their tables into the local services: run `make cases`, or set AWS_ENDPOINT_URL.")
    started = time.monotonic()

    def result(outcome: Any, **facts: Any) -> CaseResult:
        seconds = round(time.monotonic() - started, 3)
        return CaseResult(report=folder.parent.name, case=folder.name, outcome=outcome, seconds=seconds, **facts)

    path = folder / EXPECTED_FILE
    try:
        found = _rows(folder, reports, aws)
        if accept:
            path.write_bytes(found.content)
            return result("accepted", found=found.rows)
        if not path.is_file():
            return result("failed", problem=f"{path} is missing. --accept writes what came out.", found=found.rows)
        with open_engine(settings().memory_limit, about=str(path)) as engine:
            expected = csv_rows(path, engine)
    except (AthenaReportsError, ClientError) as error:
        return result("not run" if _NOT_DONE.search(str(error)) else "failed", problem=str(error))
    if expected != found.rows:
        return result("failed", problem="Other rows came out.", expected=expected, found=found.rows)
    return result("failed" if found.failed else "passed", problem=found.failed)


class _Rows(BaseModel, frozen=True):
    content: bytes
    rows: tuple[Row, ...]
    failed: str  # checks


def _rows(folder: Path, reports: Declared, aws: Aws) -> _Rows:
    try:
        case = CaseFile.model_validate(yaml.safe_load((folder / CASE_FILE).read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise CaseError(f"{folder / CASE_FILE}: {error}") from error
    name = f"{folder.parent.name}_{case.cadence}" if case.cadence else folder.parent.name
    declared, period = find_report(name, case.period, reports)
    with case_tables(folder, declared.report.inputs, aws) as database:
        return _made(case, declared, period, database, aws)


def _made(case: CaseFile, declared: DeclaredReport, period: Period, database: str, aws: Aws) -> _Rows:
    sql = declared.sql(period)
    sql = select_from(case.cte, sql) if case.cte else sql
    with trial(declared, period, aws, sql=sql, database=database, is_whole=not case.cte) as done:
        (file,) = write_files(done.table, ["csv"], done.engine)
        return _Rows(
            content=file.path.read_bytes(), rows=csv_rows(file.path, done.engine), failed=failures(done.checks)
        )


def show(result: CaseResult, console: Console) -> None:
    """Print what became of a case, and of other rows than expected the differences."""
    style = {"passed": "green", "accepted": "cyan", "not run": "yellow", "failed": "red"}[result.outcome]
    console.print(
        Text.assemble((f"{result.outcome:8}", style), f" {result.report}/{result.case}  {result.seconds:.1f} s")
    )
    if result.problem:
        console.print(f"  {result.problem}", markup=False, highlight=False, soft_wrap=True)
    if not (result.expected and result.found):
        return
    grid = Grid("", *(str(name) for name in result.found[0]))
    for kind, a, b, c, d in SequenceMatcher(None, result.expected, result.found, autojunk=False).get_opcodes():
        rows = [] if kind == "equal" else [("expected", row) for row in result.expected[a:b]]
        rows += [] if kind == "equal" else [("found", row) for row in result.found[c:d]]
        for word, row in rows:
            values = ("NULL" if value is None else value for value in row)
            grid.add_row(word, *values, style="red" if word == "expected" else "green")
    console.print(grid)
