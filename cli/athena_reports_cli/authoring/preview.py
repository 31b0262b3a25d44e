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
from rich.syntax import Syntax
from rich.table import Table as Grid
from rich.text import Text

from athena_reports.aws.s3 import S3Error
from athena_reports.errors import (
    AthenaReportsError,
    MissingPartitionsError,
    PublishError,
)
from athena_reports.inputs.coverage import InputPartitions
from athena_reports.periods.calendar import Period
from athena_reports.publication.folder import CalendarError, conflict_in_folder
from athena_reports.publication.glue_table import Table
from athena_reports.publication.manifest import PartitionFacts, PublishedPeriod
from athena_reports.publication.scan_estimate import ScanEstimate, estimate_scans
from athena_reports.queries.execution import price_usd
from athena_reports.rows.checks import CheckResult
from athena_reports.settings import settings
from athena_reports.steps.airflow_errors import describe
from athena_reports.steps.input_coverage import find_partitions
from athena_reports.steps.scan_limit import ScanLimitError, measured_scan, require_within
from athena_reports_cli.authoring.delivery_preview import DeliveryPreview, require_deliverable
from athena_reports_cli.authoring.dry_run import Verdict
from athena_reports_cli.authoring.report_files import DeclaredReport
from athena_reports_cli.authoring.tables import rows_table
from athena_reports_cli.authoring.trial import (
    CALLS_AT_ONCE,
    Aws,
    Trial,
    run_request,
    trial,
    warn,
    why_not_published,
)

_SHOWN_ROWS = 10
_FIRST_ROWS = "SELECT columns(*)::VARCHAR FROM {source} LIMIT {rows}"


class InputPreview(BaseModel, frozen=True):
    """What a period needs of a table: its partitions, or all of it."""

    table: str  # with its database
    is_partitioned: bool
    partitions: tuple[str, ...]  # those that are there
    missing: tuple[str, ...]
    # Of all columns of these partitions, or of the table. None for a view: only Athena knows.
    bytes: int | None


class Estimate(BaseModel, frozen=True):
    """What the query will scan.

    It is measured by published periods, as a run measures it for `max_scan`. Before the first run
    of a report every column of the partitions counts once.
    """

    bytes: int
    price_usd: float | None
    basis: str
    is_measured: bool


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
    sent_to: str = ""  # the address that the mails were sent to; empty if they were not sent


class Preview(BaseModel, frozen=True):
    """A period of a report before its run; `trial` is None if its query was not paid."""

    dag_id: str
    period: PublishedPeriod
    sql: str
    inputs: tuple[InputPreview, ...]
    estimate: Estimate | None  # None: the report declares no inputs, and has published nothing
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

    Args:
        declared: The report.
        period: The period.
        aws: The services.
        verdict: What a dry run of the period says; it has found no mistake.
        outdated_tables: Inputs whose columns differ between `tables.yaml` and Glue.

    Raises:
        AthenaReportsError: Glue or S3 refused a call, or did not serve it.
        ClientError: Likewise.
        BotoCoreError: A call was not sent or not answered.
    """
    partitions_of_inputs = _find_partitions(declared, period, aws)
    inputs = tuple(_input(partitions, aws) for partitions in partitions_of_inputs)
    expected = estimate(declared, period, inputs, aws)
    problem = _why_not_started(declared, period, partitions_of_inputs, aws)
    refused = ""
    if problem is not None:
        refused = str(problem)
    elif expected is not None and expected.is_measured:
        refused = _refusal(declared, period, ScanEstimate(expected.bytes, expected.basis))
    return Preview(
        dag_id=declared.dag.dag_id,
        period=PublishedPeriod.of(period),
        sql=declared.sql(period),
        inputs=inputs,
        estimate=expected,
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
    send_to: str = "",
) -> Preview:
    """Pay the query of a period that was looked at, and add what it gave; nothing is published.

    Args:
        unpaid: What `preview` returned.
        declared: The report.
        period: The period.
        aws: The services.
        deliver_into: A folder that gets what the channels of the report would get; None for none.
        send_to: An address that gets the mails of the report; empty for none.

    Raises:
        DeliveryError: What the channels would get cannot be made, or not be sent.
        CalendarError: No run would start the query, because of what the report's folder is.
        MissingPartitionsError: Likewise, because a partition is missing.
        ScanLimitError: Likewise, because of what the query would scan.
        QueryFailedError: The query does not succeed.
        AthenaReportsError: Its result cannot be read, or a transform fails.
        ClientError: AWS refused a call, or did not serve it.
        BotoCoreError: Likewise, if a call was not sent or not answered.
    """
    partitions_of_inputs = _find_partitions(declared, period, aws)
    problem = _why_not_started(declared, period, partitions_of_inputs, aws)
    if problem is not None:
        raise problem
    scan = _measured(declared, period, aws)
    if scan is not None:
        _require_small_scan(declared, period, scan)
    if deliver_into is not None:
        require_deliverable(declared, send_to)
    with trial(run_request(declared, period, aws, command="preview"), aws) as done:
        result = _trial_preview(declared, done)
        if deliver_into is not None:
            gaps = [gap for source in partitions_of_inputs for gap in source.coverage.gaps]
            deliveries = DeliveryPreview.of(declared, period, done, aws, missing_partitions=gaps)
            files = [str(path) for path in deliveries.write(deliver_into)]
            result = result.model_copy(update={"deliveries": tuple(files)})
            if send_to and not result.failed:  # no row leaves with a failed check
                deliveries.send(send_to)
                result = result.model_copy(update={"sent_to": send_to})
    return unpaid.model_copy(update={"trial": result})


def _why_not_started(
    declared: DeclaredReport,
    period: Period,
    partitions_of_inputs: Sequence[InputPartitions],
    aws: Aws,
) -> AthenaReportsError | None:
    """Return why a run would not start the query, whatever it scans; None if it would start it."""
    conflict = _folder_conflict(declared, period, aws)
    if conflict:
        return CalendarError(conflict)
    missing = _missing_partitions(declared, period, partitions_of_inputs)
    if missing:
        return MissingPartitionsError(missing)
    return None


def _folder_conflict(declared: DeclaredReport, period: Period, aws: Aws) -> str:
    """Return why a run could not publish to its folder, in the run's words; empty if it could.

    It is only a warning if the folder cannot be read: an author may have no access to the report
    bucket, or it may not be there yet.
    """
    try:
        conflict = conflict_in_folder(declared.location, declared.calendar, aws.s3)
    except PublishError as error:
        conflict = str(error)
    except S3Error as error:
        warn(f"{error} So it is not known whether a run could publish to the folder.")
        return ""
    if not conflict:
        return ""
    about = describe(declared.dag.dag_id, period, settings().environment)
    return f"{about}: {conflict}"


def _find_partitions(declared: DeclaredReport, period: Period, aws: Aws) -> list[InputPartitions]:
    return find_partitions(
        declared.report.inputs,
        period,
        database=settings().database,
        glue=aws.glue,
        late_by=declared.report.late_by,
        now=datetime.now(UTC),
        s3=aws.s3,
    )


def _missing_partitions(
    declared: DeclaredReport, period: Period, partitions_of_inputs: Sequence[InputPartitions]
) -> str:
    """Return which missing partitions keep a run from its query; empty if none do."""
    for partitions in partitions_of_inputs:
        coverage = partitions.coverage
        if coverage.stops_run:
            about = describe(declared.dag.dag_id, period, settings().environment)
            way_out = f'{coverage.remedy}, or declare missing="partial".'
            return f"{about}: {coverage}. {way_out}"
    return ""


def would_fail(paid: Preview) -> bool:
    """Return whether something would keep a run from publishing the rows of a paid preview."""
    return paid.trial is not None and paid.trial.failed != ""


def estimate(
    declared: DeclaredReport, period: Period, inputs: Sequence[InputPreview], aws: Aws
) -> Estimate | None:
    """Return what a period's query will scan, by the partitions that it needs.

    None if no period is published and there are no inputs: then nothing says what it will be.
    """
    scan = _measured(declared, period, aws)
    if scan is not None:
        return Estimate(
            bytes=scan.bytes,
            price_usd=_price(scan.bytes, aws),
            basis=scan.basis,
            is_measured=True,
        )
    if not inputs:
        return None
    all_columns = 0
    for source in inputs:
        if source.bytes is not None:
            all_columns += source.bytes
    return Estimate(
        bytes=all_columns,
        price_usd=_price(all_columns, aws),
        basis=(
            "every column of the inputs: no period is published yet, and the query reads only the"
            " columns it names"
        ),
        is_measured=False,
    )


def _measured(declared: DeclaredReport, period: Period, aws: Aws) -> ScanEstimate | None:
    """Return what a period's query will scan, by published periods.

    None if there are none, or if the report has no table, which is where their bytes are kept.
    """
    if declared.database is None:
        return None
    return measured_scan(period, aws.glue, database=declared.database, location=declared.location)


def _require_small_scan(declared: DeclaredReport, period: Period, scan: ScanEstimate) -> None:
    """Raise ScanLimitError, in the words of a run, if the scan is larger than `max_scan`."""
    if declared.report.max_scan is None:
        return
    try:
        require_within(declared.report.max_scan, scan)
    except ScanLimitError as error:
        about = describe(declared.dag.dag_id, period, settings().environment)
        raise ScanLimitError(f"{about}: {error}") from error


def _refusal(declared: DeclaredReport, period: Period, scan: ScanEstimate) -> str:
    """Return why a run of a period refuses its query; empty if it does not."""
    try:
        _require_small_scan(declared, period, scan)
    except ScanLimitError as error:
        return str(error)
    return ""


def expected_cost(declared: DeclaredReport, periods: Sequence[Period], aws: Aws) -> str:
    """Say what the queries of periods will scan and cost, by the published periods near to them.

    Raises:
        ScanLimitError: A run of one of the periods would not start its query.
    """
    published: Mapping[Period, PartitionFacts] = {}
    if declared.database is not None:
        table = Table(declared.database, declared.location, aws.glue)
        published = table.periods_of(declared.cadence)
    scans = []
    for period, scan in estimate_scans(periods, published).items():
        _require_small_scan(declared, period, scan)
        scans.append(scan.bytes)
    return cost_of(scans, aws)


def cost_of(scans: Sequence[int], aws: Aws) -> str:
    """Say what queries will scan and cost together, from what each scans in bytes."""
    return f"about {_cost(sum(scans), _total_price(scans, aws))}"


def _price(scanned_bytes: int, aws: Aws) -> float | None:
    return price_usd(scanned_bytes, aws.athena.meta.region_name)


def _total_price(scans: Sequence[int], aws: Aws) -> float | None:
    total = 0.0
    for scanned_bytes in scans:
        price = _price(scanned_bytes, aws)
        if price is None:
            return None
        total += price
    return total


def _input(partitions: InputPartitions, aws: Aws) -> InputPreview:
    with ThreadPoolExecutor(CALLS_AT_ONCE) as threads:
        sizes = threads.map(partial(_stored_bytes, aws=aws), partitions.folders.values())
    coverage = partitions.coverage
    names: tuple[str, ...] = ()
    if coverage.is_partitioned:
        names = tuple(partitions.folders)
    stored_bytes: int | None = sum(sizes)
    if not coverage.is_partitioned and not partitions.folders:  # a view
        stored_bytes = None
    return InputPreview(
        table=coverage.table,
        is_partitioned=coverage.is_partitioned,
        partitions=names,
        missing=(*coverage.absent, *coverage.outside, *coverage.unpublished),
        bytes=stored_bytes,
    )


def _stored_bytes(folder_uri: str, aws: Aws) -> int:
    objects = aws.s3.list(f"{folder_uri.rstrip('/')}/")
    return sum(stored.bytes for stored in objects)


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


def show(result: Preview, console: Console, *, with_refusal: bool = True) -> None:
    """Print a preview for a person.

    Args:
        result: The preview.
        console: Where to.
        with_refusal: Whether to say why a run would be refused. An error that follows says it too.
    """
    title = Text(result.dag_id, style="bold")
    console.print(Group(title, _facts(result), Text()))
    sql = Syntax(result.sql, "sql", theme="ansi_dark").highlight(result.sql)
    console.print(sql, soft_wrap=True)
    # Above a long SQL they would be out of sight.
    for problem in _problems(result):
        console.print(problem, soft_wrap=True)
    if result.trial is not None:
        show_trial(result.trial, console)
    elif result.refused:
        lines = ["", "Nothing was run. A run of this period would be refused."]
        if with_refusal:
            lines.append(result.refused)
        console.print(Text("\n".join(lines), style="red"))
    else:
        next_step = "--run pays the query and shows the first rows."
        console.print(Text(f"\nNothing was run. {next_step}", style="dim"))


def _problems(result: Preview) -> list[Text]:
    """Return a line for each thing that its author should know before a run."""
    problems = []
    for source in result.inputs:
        if source.missing:
            lacking = f"{source.table} lacks {_range(source.missing)}"
            problems.append(Text(lacking, style="red"))
    for table in result.outdated_tables:
        advice = "Run `athena-reports check --tables`."
        problems.append(Text(f"{table}: the columns in tables.yaml differ from Glue. {advice}"))
    if result.not_validated:
        problems.append(Text(f"not validated: {result.not_validated}"))
    return problems


def _facts(result: Preview) -> Grid:
    period = result.period
    facts = Grid.grid(padding=(0, 2))
    facts.add_column(overflow="fold")
    facts.add_column(overflow="fold")
    facts.add_row("period", f"{period.id}, {period.cadence}")
    facts.add_row("local", f"{period.start} to {period.end} ({period.timezone})")
    facts.add_row("UTC", f"{period.start_utc} to {period.end_utc}")
    for source in result.inputs:
        facts.add_row(source.table, _what_is_read(source))
    if result.estimate is not None:
        cost = _cost(result.estimate.bytes, result.estimate.price_usd)
        facts.add_row("will scan", f"about {cost}")
        facts.add_row("", Text(f"({result.estimate.basis})", style="dim"))
    if result.max_scan is not None:
        facts.add_row("max_scan", _limit(result, result.max_scan))
    return facts


def _what_is_read(source: InputPreview) -> str:
    """Say which partitions of a table are read, and how many bytes they have."""
    if source.bytes is None:
        return "a view: its size is not known, and gaps in its tables are not noticed"
    bytes_of_all = f"{size(source.bytes)} in all columns"
    if not source.is_partitioned:
        return f"no partitions, {bytes_of_all}"
    needed = len(source.partitions) + len(source.missing)
    count = f"{len(source.partitions)} of {needed} partitions"
    return f"{count}, {bytes_of_all}: {_range(source.partitions)}"


def _limit(result: Preview, max_scan: int) -> Text:
    if result.estimate is None or not result.estimate.is_measured:
        return Text(f"{size(max_scan)}, not checked: no published period to measure by")
    if result.estimate.bytes > max_scan:
        return Text(f"{size(max_scan)}, less than that", style="red")
    return Text(size(max_scan))


def show_trial(result: TrialPreview, console: Console) -> None:
    """Print the rows of a query, and what the checks say of them."""
    headings = [f"{name}\n{kind.lower()}" for name, kind in result.columns.items()]
    caption = f"{len(result.first_rows)} of {result.rows:,} rows"
    console.print(rows_table(headings, result.first_rows, caption=caption))
    for check in result.checks:
        console.print(_outcome(check))
    if result.failed:
        console.print(Text(f"It would not be published. {result.failed}", style="red"))
    for path in result.deliveries:
        console.print(Text(f"written {path}"), soft_wrap=True)
    if result.sent_to:
        console.print(f"sent to {result.sent_to}")
    cost = _cost(result.scanned_bytes, result.price_usd)
    console.print(f"It scanned {cost}. Nothing is published.")


def _outcome(check: CheckResult) -> Text:
    finding = f"{check.name}: {check.message}"
    if check.passed:
        return Text.assemble((f"{'passed':7}", "green"), finding)
    return Text.assemble((f"{check.severity:7}", "red"), finding)


def _cost(scanned_bytes: int, price_usd: float | None) -> str:
    if price_usd is None:
        return f"{size(scanned_bytes)}, no price by the byte"
    return f"{size(scanned_bytes)}, {price_usd:.5f} USD"


def size(number: int) -> str:
    """Return a number of bytes for a person."""
    if number < 1000:
        return f"{number} bytes"
    amount = float(number)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 1000:
            return f"{amount:,.1f} {unit}"
    return f"{amount / 1000:,.1f} TB"


def _range(partitions: Sequence[str]) -> str:
    """Return partitions as text, from the first to the last if they are many."""
    if not partitions:
        return "none"
    if len(partitions) <= 3:
        return ", ".join(partitions)
    return f"{partitions[0]}, ..., {partitions[-1]}"
