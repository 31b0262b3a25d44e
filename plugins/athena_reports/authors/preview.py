"""What a run of a period would do: bounds, SQL, partitions, price; and with its query, rows and checks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import BaseModel
from rich.console import Console, Group
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text

from athena_reports.authors.report_files import DeclaredReport
from athena_reports.authors.trial import CALLS_AT_ONCE, Aws, trial
from athena_reports.periods.calendar import Period
from athena_reports.publication.manifest import PublishedPeriod
from athena_reports.queries.input_partitions import InputPartitions, find_partitions
from athena_reports.queries.prices import price_usd
from athena_reports.rows.checks import CheckResult
from athena_reports.settings import settings
from athena_reports.steps.airflow_errors import describe
from athena_reports.steps.scan_limit import ScanEstimate, ScanLimitError, measured_scan, require_within

_SHOWN_ROWS = 10


class InputPreview(BaseModel, frozen=True):
    """The partitions of a table that a period needs; `bytes` are those of all its columns."""

    table: str
    partitions: tuple[str, ...]  # that are there
    missing: tuple[str, ...]
    bytes: int


class Estimate(BaseModel, frozen=True):
    """What the query will scan. Before the first run of a report every column counts, so it is an upper bound."""

    bytes: int
    price_usd: float | None
    basis: str
    is_measured: bool  # by published periods, as `max_scan` is checked


class TrialPreview(BaseModel, frozen=True):
    """What the query gave; values are texts, as DuckDB writes them, NULL is None."""

    scanned_bytes: int
    price_usd: float | None
    rows: int
    columns: dict[str, str]
    first_rows: list[tuple[str | None, ...]]
    checks: tuple[CheckResult, ...]


class Preview(BaseModel, frozen=True):
    """A period of a report, before it is paid; `trial` is None if its query was not run."""

    dag_id: str
    period: PublishedPeriod
    sql: str
    inputs: tuple[InputPreview, ...]
    estimate: Estimate | None  # None: the report declares no inputs, and has published nothing
    max_scan: int | None  # bytes
    refused: str  # why a run would not start the query; empty if it would
    trial: TrialPreview | None = None


def preview(declared: DeclaredReport, period: Period, aws: Aws) -> Preview:
    """Look at a period, without its query."""
    sql = declared.sql(period)
    report = declared.report
    found = find_partitions(
        report.inputs,
        period,
        database=settings().database,
        glue=aws.glue,
        late_by=report.late_by,
        now=datetime.now(UTC),
    )
    inputs = tuple(_input(each, aws) for each in found)
    expected = estimate(declared, period, inputs, aws)
    return Preview(
        dag_id=declared.dag.dag_id,
        period=PublishedPeriod.of(period),
        sql=sql,
        inputs=inputs,
        estimate=expected,
        max_scan=report.max_scan,
        refused=_refused(declared, period, expected),
    )


def run_preview(seen: Preview, declared: DeclaredReport, period: Period, aws: Aws) -> Preview:
    """Pay the query of a period that was looked at; nothing is published. ScanLimitError if a run would not start it.

    Args:
        seen: What `preview` found.
        declared: The report.
        period: The period.
        aws: The services.
    """
    if seen.refused:
        raise ScanLimitError(seen.refused)
    return seen.model_copy(update={"trial": _trial(declared, period, aws)})


def estimate(declared: DeclaredReport, period: Period, inputs: Sequence[InputPreview], aws: Aws) -> Estimate | None:
    """Return what the nearest published periods scanned, or before the first one the bytes of the partitions."""
    measured = _measured_scan(declared, period, aws)
    if measured is not None:
        price = _price(measured.bytes, aws)
        return Estimate(bytes=measured.bytes, price_usd=price, basis=measured.basis, is_measured=True)
    if not inputs:
        return None
    scanned = sum(each.bytes for each in inputs)
    basis = "every column of the partitions: no period is published yet, and the query reads only the columns it names"
    return Estimate(bytes=scanned, price_usd=_price(scanned, aws), basis=basis, is_measured=False)


def expected_cost(declared: DeclaredReport, periods: Sequence[Period], aws: Aws) -> str:
    """Say what the queries of published periods will scan and cost. ScanLimitError if a run would not start one."""
    scans = _measured_scans(declared, periods, aws)
    scanned = sum(scan.bytes for scan in scans)
    prices = [_price(scan.bytes, aws) for scan in scans]
    price = None if None in prices else sum(each for each in prices if each)
    return f"about {_cost(scanned, price)}"


def _measured_scans(declared: DeclaredReport, periods: Sequence[Period], aws: Aws) -> list[ScanEstimate]:
    scans = []
    for period in periods:
        scan = _measured_scan(declared, period, aws)
        if scan is not None:
            _require_within(declared, period, scan)
            scans.append(scan)
    return scans


def _measured_scan(declared: DeclaredReport, period: Period, aws: Aws) -> ScanEstimate | None:
    if declared.database is None:
        return None
    return measured_scan(period, aws.glue, database=declared.database, location=declared.location)


def _refused(declared: DeclaredReport, period: Period, expected: Estimate | None) -> str:
    if expected is None or not expected.is_measured:
        return ""
    try:
        _require_within(declared, period, ScanEstimate(expected.bytes, expected.basis))
    except ScanLimitError as error:
        return str(error)
    return ""


def _require_within(declared: DeclaredReport, period: Period, scan: ScanEstimate) -> None:
    """Refuse what the run of a period refuses, in its words."""
    max_scan = declared.report.max_scan
    if max_scan is None:
        return
    try:
        require_within(max_scan, scan)
    except ScanLimitError as error:
        about = describe(declared.dag.dag_id, period, settings().environment)
        raise ScanLimitError(f"{about}: {error}") from None


def _input(found: InputPartitions, aws: Aws) -> InputPreview:
    def stored(folder: str) -> int:
        return sum(each.bytes for each in aws.s3.list(f"{folder.rstrip('/')}/"))

    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        sizes = sum(threads.map(stored, found.folders.values()))
    missing = (*found.coverage.absent, *found.coverage.outside)
    return InputPreview(table=found.coverage.table, partitions=tuple(found.folders), missing=missing, bytes=sizes)


def _trial(declared: DeclaredReport, period: Period, aws: Aws) -> TrialPreview:
    with trial(declared, period, aws) as done:
        shown = done.engine.connection.sql(f"SELECT columns(*)::VARCHAR FROM {done.table.source} LIMIT {_SHOWN_ROWS}")
        return TrialPreview(
            scanned_bytes=done.execution.scanned_bytes,
            price_usd=done.execution.price_usd,
            rows=done.table.rows,
            columns={column.name: column.type for column in done.table.columns},
            first_rows=shown.fetchall(),
            checks=done.checks,
        )


def _price(scanned_bytes: int, aws: Aws) -> float | None:
    return price_usd(scanned_bytes, aws.athena.meta.region_name)


def show(found: Preview, console: Console) -> None:
    """Print a preview for a person."""
    period = found.period
    facts = Grid.grid(padding=(0, 2))
    facts.add_row("period", f"{period.id}, {period.cadence}")
    facts.add_row("local", f"{period.start} to {period.end} ({period.timezone})")
    facts.add_row("UTC", f"{period.start_utc} to {period.end_utc}")
    for each in found.inputs:
        there = f"{len(each.partitions)} of {len(each.partitions) + len(each.missing)} partitions"
        facts.add_row(each.table, f"{there}, {size(each.bytes)} in all columns: {_range(each.partitions)}")
        if each.missing:
            facts.add_row("", Text(f"missing: {_range(each.missing)}", style="red"))
    if found.estimate:
        facts.add_row("will scan", f"about {_cost(found.estimate.bytes, found.estimate.price_usd)}")
        facts.add_row("", Text(f"({found.estimate.basis})", style="dim"))
    if found.max_scan:
        facts.add_row("max_scan", _limit(found, found.max_scan))
    title = Text(found.dag_id, style="bold")
    console.print(Group(title, facts, Text()))
    console.print(Syntax(found.sql, "sql", theme="ansi_dark").highlight(found.sql), soft_wrap=True)
    if found.trial:
        show_trial(found.trial, console)
    elif found.refused:
        console.print(Text("\nNothing was run. A run of this period would be refused.", style="red"))
    else:
        console.print(Text("\nNothing was run. --run pays the query and shows the first rows.", style="dim"))


def _limit(found: Preview, max_scan: int) -> Text:
    if found.refused:
        return Text(f"{size(max_scan)}, less than that", style="red")
    if found.estimate is None or not found.estimate.is_measured:
        return Text(f"{size(max_scan)}, not checked: no published period to measure by")
    return Text(size(max_scan))


def show_trial(done: TrialPreview, console: Console) -> None:
    """Print the rows of a query, and what the checks say of them."""
    grid = Grid(caption=f"{len(done.first_rows)} of {done.rows:,} rows")
    for name, kind in done.columns.items():
        grid.add_column(f"{name}\n{kind.lower()}", overflow="fold")
    for row in done.first_rows:
        grid.add_row(*(Text("NULL", style="dim") if value is None else Text(value) for value in row))
    console.print(grid)
    for check in done.checks:
        word, style = ("passed", "green") if check.passed else (check.severity, "red")
        console.print(Text.assemble((f"{word:7}", style), f"{check.name}: {check.message}"))
    console.print(f"It scanned {_cost(done.scanned_bytes, done.price_usd)}. Nothing is published.")


def _cost(scanned_bytes: int, price_usd: float | None) -> str:
    price = "no price by the byte" if price_usd is None else f"{price_usd:.5f} USD"
    return f"{size(scanned_bytes)}, {price}"


def size(number: int) -> str:
    """Return a number of bytes for a person."""
    amount, units = float(number), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 1000 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"


def _range(partitions: Sequence[str]) -> str:
    some = [*partitions] if len(partitions) <= 3 else [partitions[0], "...", partitions[-1]]
    return ", ".join(some) or "none"
