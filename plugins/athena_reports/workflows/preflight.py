"""Whether a query may be paid.

The folder has to be the report's own, and the scan within its limit. Before the first query of a
report the account has to have what it needs, which the command `check-account` looks at too.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import as_sentence, error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.errors import AthenaReportsError
from athena_reports.inputs.partitions import has_success_marker
from athena_reports.inputs.published import Published, Source
from athena_reports.inputs.source_table import SourceTable
from athena_reports.periods.calendar import Period
from athena_reports.publication.folder import PublishedCalendar, require_calendar
from athena_reports.publication.glue_table import published_tables
from athena_reports.publication.location import ReportLocation
from athena_reports.settings import Settings
from athena_reports.steps.scan_limit import measured_scan, require_within

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient

_logger = logging.getLogger(__name__)


class AccountError(AthenaReportsError):
    """The account lacks what the settings name."""


@dataclass(frozen=True)
class AccountCheck:
    """What came of looking at one thing that the settings name."""

    name: str  # such as "workgroup dev"
    problem: str = ""  # empty if it can be used
    retryable: bool = False  # whether the problem may pass by itself


def require_payable(
    hook: SharedSessionHook,
    period: Period,
    *,
    settings: Settings,
    location: ReportLocation,
    has_table: bool,
    max_scan: int | None,
) -> None:
    """Require what the query of a period needs before it is paid.

    AccountError if the account lacks something, and the report has no folder yet; CalendarError for
    a folder of another calendar; ScanLimitError for a scan of more than `max_scan` bytes.
    """
    s3 = S3(hook.client("s3"), settings.bucket_owner, settings.encryption)
    calendar = PublishedCalendar(
        environment=settings.environment, report=location.name, cadence=period.cadence
    )
    look = partial(require_account, hook, s3, settings, has_table=has_table)
    try:
        require_calendar(location, calendar, s3, before_claim=look)
    except S3Error:
        look()  # names all that is missing
        raise
    if max_scan is None:
        return
    estimate = None
    if has_table:
        estimate = measured_scan(
            period, hook.client("glue"), database=settings.report_database, location=location
        )
    if estimate is None:
        _logger.warning("No published periods to estimate the scan from; max_scan is not checked")
    else:
        require_within(max_scan, estimate)


def require_account(
    hook: SharedSessionHook, s3: S3, settings: Settings, *, has_table: bool
) -> None:
    """Require what the settings name; AccountError has a line for each problem."""
    athena = hook.client("athena")
    checks = check_account(settings, athena, hook.client("glue"), s3, has_table=has_table)
    problems = [check for check in checks if check.problem]
    if problems:
        lines = ["The first run cannot start; no query was submitted."]
        lines += [f"{check.name}: {check.problem}" for check in problems]
        # A retry checks all of them again, and one problem that may pass is enough for it.
        may_pass = any(check.retryable for check in problems)
        raise AccountError("\n".join(lines), retryable=may_pass)


def check_account(
    settings: Settings,
    athena: "AthenaClient",
    glue: "GlueClient",
    s3: S3,
    *,
    has_table: bool = True,
    inputs: Iterable[Source] = (),
) -> Iterator[AccountCheck]:
    """Yield a check of the workgroup and of each bucket, database, source table and success marker.

    In the report bucket an upload is begun and aborted. No object is written.
    """
    yield _check(f"workgroup {settings.workgroup}", partial(_require_workgroup, settings, athena))
    if settings.query_results:
        objects = s3.list(settings.query_results)
        yield _check(f"query results {settings.query_results}", partial(next, objects, None))
    report_bucket = f"s3://{settings.report_bucket}/"
    yield _check(f"report bucket {settings.report_bucket}", partial(s3.try_upload, report_bucket))
    if has_table:
        tables = published_tables(settings.report_database, glue)
        yield _check(f"report database {settings.report_database}", partial(next, tables, None))
    # Each declaration of a table is checked, and Glue is asked once for the table.
    source_glue: Any = SimpleNamespace(get_table=cache(glue.get_table), exceptions=glue.exceptions)
    for source in dict.fromkeys(inputs):
        if isinstance(source, Published) or source.catalog is not None:
            continue  # nothing of a report need be published yet, and Glue has no other catalog
        database = source.database or settings.database
        read_table = partial(SourceTable.read, source, database, source_glue)
        yield _check(f"table {database}.{source.table}", read_table)
        if source.done is not None:
            look_for_marker = partial(has_success_marker, source.done, s3)
            yield _check(f"success markers {source.done}", look_for_marker)


def _require_workgroup(settings: Settings, athena: "AthenaClient") -> None:
    workgroup: Any = athena.get_work_group(WorkGroup=settings.workgroup)["WorkGroup"]
    if workgroup.get("State", "ENABLED") != "ENABLED":
        raise AccountError(
            "it is disabled. Enable it, or set ATHENA_REPORTS_WORKGROUP to another workgroup."
        )
    configuration = workgroup.get("Configuration", {})
    is_managed = configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled", False)
    if is_managed and settings.query_results:
        raise AccountError(
            "it manages its query results. Set ATHENA_REPORTS_QUERY_RESULTS=managed."
        )
    if not is_managed and not settings.query_results:
        raise AccountError(
            "it does not manage query results. Set ATHENA_REPORTS_QUERY_RESULTS to an S3 location."
        )


def _check(name: str, look: Callable[[], object]) -> AccountCheck:
    try:
        look()
    except AthenaReportsError as error:
        return AccountCheck(name, str(error), error.retryable)
    except (ClientError, BotoCoreError) as error:
        kind = error_kind(error)
        return AccountCheck(name, f"{as_sentence(error)} {kind.advice}", kind.retryable)
    return AccountCheck(name)
