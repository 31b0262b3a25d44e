"""What a run of a period would do: its bounds, SQL, partitions and price.

With its query, which is paid, also its first rows and what the checks say.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console, Group
from rich.filesize import decimal
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text

from athena_reports.aws.s3 import S3Error
from athena_reports.delivery.errors import DeliveryError
from athena_reports.errors import PublishError
from athena_reports.inputs.coverage import InputCoverage, InputPartitions
from athena_reports.periods.calendar import Period
from athena_reports.publication.folder import conflict_in_folder
from athena_reports.publication.manifest import PartitionFacts, PublishedPeriod
from athena_reports.publication.scan_estimate import ScanEstimate, estimate_scans
from athena_reports.queries.execution import price_usd
from athena_reports.rows.checks import CheckResult
from athena_reports.settings import settings
from athena_reports.steps.airflow_errors import run_label
from athena_reports.steps.input_coverage import find_partitions
from athena_reports.steps.scan_limit import ScanLimitError, require_within
from athena_reports_cli.authoring.delivery_preview import write_deliveries
from athena_reports_cli.authoring.dry_run import Verdict
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.tables import rows_table
from athena_reports_cli.authoring.trial import (
    CALLS_AT_ONCE,
    Aws,
    Trial,
    run_request,
    trial,
    why_not_published,
)
from athena_reports_cli.local.words import counted, print_note

_SHOWN_ROWS = 10
_FIRST_ROWS = "SELECT columns(*)::VARCHAR FROM {source} LIMIT {rows}"


class InputPreview(BaseModel, frozen=True):
    """What exists of an input for a period, and the bytes of all columns; None for a view."""

    coverage: InputCoverage
    bytes: int | None


class TrialPreview(BaseModel, frozen=True):
    """What the query gave."""

    scanned_bytes: int
    price_usd: float | None
    rows: int
    columns: dict[str, str]  # name and type, as DuckDB calls it
    first_rows: list[tuple[str | None, ...]]  # values as DuckDB writes them; None for NULL
    checks: tuple[CheckResult, ...]
    failed: str = ""  # why it would not be published, such as a failed check; empty if it would
    deliveries: tuple[str, ...] = ()  # paths of what the channels would get, if that was asked for


class Preview(BaseModel, frozen=True):
    """A period of a report before its run; `trial` is None if its query was not paid."""

    dag_id: str
    period: PublishedPeriod
    sql: str
    inputs: tuple[InputPreview, ...]
    estimate: ScanEstimate | None  # None: the report declares no inputs, and has published nothing
    max_scan: int | None  # bytes
    not_validated: str  # why the dry run cannot judge the report; empty if it can
    outdated_tables: tuple[str, ...]  # inputs whose columns differ between tables.yaml and Glue
    refused: str  # why a run would not start the query; empty if it would
    trial: TrialPreview | None = None


def preview(
    declared: DeclaredReport,
    period: Period,
    aws: Aws,
    verdict: Verdict,
    outdated_tables: Sequence[str] = (),
) -> Preview:
    """Look at a period, and pay nothing.

    `verdict` is that of a dry run of the period, which has found no mistake. `outdated_tables` are
    the inputs whose columns differ between `tables.yaml` and Glue.
    """
    partitions_of_inputs = find_partitions(
        declared.report.inputs,
        period,
        database=settings().database,
        glue=aws.glue,
        late_by=declared.report.late_by,
        now=datetime.now(UTC),
        s3=aws.s3,
    )
    inputs = tuple(_input(partitions, aws) for partitions in partitions_of_inputs)
    scan = estimate_scans([period], declared.published_periods(aws.glue)).get(period)
    refused = (
        _folder_conflict(declared, aws)
        or _missing_partitions(inputs)
        or _scan_problem(declared, scan)
    )
    if refused:
        refused = f"{_about(declared, period)}: {refused}"
    return Preview(
        dag_id=declared.dag.dag_id,
        period=PublishedPeriod.of(period),
        sql=declared.sql(period),
        inputs=inputs,
        estimate=_estimate(scan, inputs, declared.report.max_scan, aws),
        max_scan=declared.report.max_scan,
        not_validated=verdict.problem,
        outdated_tables=tuple(outdated_tables),
        refused=refused,
    )


def run_preview(
    unpaid: Preview,
    declared: DeclaredReport,
    period: Period,
    aws: Aws,
    *,
    deliver_into: Path | None = None,
) -> Preview:
    """Pay the query of a period, and add what it gave to an unpaid preview; nothing is published.

    `deliver_into` is a folder for what the channels of the report would send; None for none.
    DeliveryError if the report has no channels; raised before the query is paid.
    """
    if deliver_into is not None and not declared.dag.channels:
        raise DeliveryError(f"{declared.dag.dag_id} has no channels. Set deliver= in build_dag.")
    with trial(run_request(declared, period, aws, command="preview"), aws) as done:
        result = _trial_preview(declared, done)
        if deliver_into is not None:
            gaps = [gap for source in unpaid.inputs for gap in source.coverage.gaps]
            files = write_deliveries(
                declared, period, done, aws, deliver_into, missing_partitions=gaps
            )
            result = result.model_copy(update={"deliveries": tuple(map(str, files))})
    return unpaid.model_copy(update={"trial": result})


def _about(declared: DeclaredReport, period: Period) -> str:
    return run_label(declared.dag.dag_id, period, settings().environment)


def _folder_conflict(declared: DeclaredReport, aws: Aws) -> str:
    """Return why a run could not publish to its folder; empty if it could.

    It is only a warning if the folder cannot be read: an author may have no access to the report
    bucket, or it may not be there yet.
    """
    try:
        return conflict_in_folder(declared.location, declared.calendar, aws.s3)
    except PublishError as error:
        return str(error)
    except S3Error as error:
        print_note(f"{error} Could not check whether a run may publish to the folder.")
        return ""


def _missing_partitions(inputs: Sequence[InputPreview]) -> str:
    """Return which missing partitions keep a run from its query; empty if none do."""
    for source in inputs:
        coverage = source.coverage
        if coverage.stops_run:
            return f'{coverage}. {coverage.remedy}, or declare missing="partial".'
    return ""


def _scan_problem(declared: DeclaredReport, scan: ScanEstimate | None) -> str:
    """Return why a run would not start a query that scans so much; empty if it would."""
    if declared.report.max_scan is None or scan is None:
        return ""
    try:
        require_within(declared.report.max_scan, scan)
    except ScanLimitError as error:
        return str(error)
    return ""


def _estimate(
    scan: ScanEstimate | None, inputs: Sequence[InputPreview], max_scan: int | None, aws: Aws
) -> ScanEstimate | None:
    """Return what a query will scan, by published periods or else by the inputs; None without."""
    if scan is not None or not inputs:
        return scan
    basis = "all columns of the inputs; the query reads only the columns that it names"
    if max_scan is not None:
        basis += "; max_scan is not checked before the first publication"
    scanned_bytes = sum(source.bytes or 0 for source in inputs)
    return ScanEstimate(scanned_bytes, basis, price_usd(scanned_bytes, aws.athena.meta.region_name))


def expected_cost(
    declared: DeclaredReport,
    periods: Sequence[Period],
    published: Mapping[Period, PartitionFacts],
) -> str:
    """Say what the queries of periods will scan and cost, by the published periods near to them.

    ScanLimitError if a run of one of the periods would not start its query.
    """
    scans = estimate_scans(periods, published)
    for period, scan in scans.items():
        problem = _scan_problem(declared, scan)
        if problem:
            raise ScanLimitError(f"{_about(declared, period)}: {problem}")
    prices = [scan.price_usd for scan in scans.values() if scan.price_usd is not None]
    price = sum(prices) if len(prices) == len(scans) else None
    return f"about {_cost(sum(scan.bytes for scan in scans.values()), price)}"


def _input(partitions: InputPartitions, aws: Aws) -> InputPreview:
    coverage = partitions.coverage
    if not coverage.is_partitioned and not partitions.folders:  # a view
        return InputPreview(coverage=coverage, bytes=None)
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        sizes = threads.map(partial(_stored_bytes, aws=aws), partitions.folders.values())
    return InputPreview(coverage=coverage, bytes=sum(sizes))


def _stored_bytes(folder_uri: str, aws: Aws) -> int:
    return sum(stored.bytes for stored in aws.s3.list(f"{folder_uri.rstrip('/')}/"))


def _trial_preview(declared: DeclaredReport, done: Trial) -> TrialPreview:
    sql = _FIRST_ROWS.format(source=done.table.source, rows=_SHOWN_ROWS)
    return TrialPreview(
        scanned_bytes=done.execution.scanned_bytes,
        price_usd=done.execution.price_usd,
        rows=done.table.rows,
        columns={column.name: column.type for column in done.table.columns},
        first_rows=done.engine.connection.sql(sql).fetchall(),
        checks=done.checks,
        failed=why_not_published(declared, done),
    )


def show(result: Preview, console: Console) -> None:
    """Print a preview for a person."""
    console.print(Group(Text(result.dag_id, style="bold"), _facts(result), Text()))
    syntax = Syntax(result.sql, "sql", theme="ansi_dark")
    console.print(syntax.highlight(result.sql), soft_wrap=True)
    # Above a long SQL they would be out of sight.
    for source in result.inputs:
        if source.coverage.gaps:
            console.print(Text(str(source.coverage), style="red"), soft_wrap=True)
    for table in result.outdated_tables:
        problem = f"{table}: the columns in tables.yaml differ from Glue."
        console.print(Text(f"{problem} Run `athena-reports check --tables`."), soft_wrap=True)
    if result.not_validated:
        console.print(Text(f"not validated: {result.not_validated}"), soft_wrap=True)
    if result.trial is not None:
        show_trial(result.trial, console)
    elif result.refused:
        problem = "The query was not run, because a run of this period would be rejected."
        console.print(Text(f"\n{problem}\n{result.refused}", style="red"))
    else:
        advice = "\nThe query was not run. To run it and see its first rows, add --run."
        console.print(Text(advice, style="dim"))


def _facts(result: Preview) -> Grid:
    period = result.period
    facts = Grid.grid(padding=(0, 2))
    facts.add_column(overflow="fold")
    facts.add_column(overflow="fold")
    facts.add_row("period", f"{period.id}, {period.cadence}")
    facts.add_row("local", f"{period.start} to {period.end} ({period.timezone})")
    facts.add_row("UTC", f"{period.start_utc} to {period.end_utc}")
    for source in result.inputs:
        facts.add_row(source.coverage.table, _what_is_read(source))
    if result.estimate is not None:
        cost = _cost(result.estimate.bytes, result.estimate.price_usd)
        facts.add_row("will scan", f"about {cost}")
        facts.add_row("", Text(f"({result.estimate.basis})", style="dim"))
    if result.max_scan is not None:
        facts.add_row("max_scan", decimal(result.max_scan))
    return facts


def _what_is_read(source: InputPreview) -> str:
    """Say which partitions of a table are read, and how many bytes they have."""
    if source.bytes is None:
        return "a view: size unknown, missing partitions not checked"
    coverage = source.coverage
    bytes_of_all = f"{decimal(source.bytes)} in all columns"
    if not coverage.is_partitioned:
        return f"no partitions, {bytes_of_all}"
    needed = counted(coverage.needed, "partition")
    count = f"{len(coverage.present)} of {needed}, {bytes_of_all}"
    if not coverage.present:
        return count
    ends = dict.fromkeys([coverage.present[0], coverage.present[-1]])  # one partition is one end
    return f"{count}: {' to '.join(ends)}"


def show_trial(result: TrialPreview, console: Console) -> None:
    """Print the rows of a query, and what the checks say of them."""
    headings = [f"{name}\n{kind.lower()}" for name, kind in result.columns.items()]
    caption = f"{len(result.first_rows)} of {result.rows:,} rows"
    console.print(rows_table(headings, result.first_rows, caption=caption))
    for check in result.checks:
        outcome, style = ("passed", "green") if check.passed else (check.severity, "red")
        console.print(Text.assemble((f"{outcome:7}", style), f"{check.name}: {check.message}"))
    if result.failed:
        console.print(Text(f"The period would not be published. {result.failed}", style="red"))
    for path in result.deliveries:
        console.print(Text(f"wrote {path}"), soft_wrap=True)
    cost = _cost(result.scanned_bytes, result.price_usd)
    console.print(f"Scanned {cost}. Nothing was published.")


def _cost(scanned_bytes: int, price_usd: float | None) -> str:
    if price_usd is None:
        return f"{decimal(scanned_bytes)}, no per-byte price"
    return f"{decimal(scanned_bytes)}, {price_usd:.5f} USD"
