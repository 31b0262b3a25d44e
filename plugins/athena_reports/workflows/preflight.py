"""Whether a query may be paid: the account has what it needs, and the folder is the report's own.

The folder is looked at before each query, the account before the first one of a report. The command
`check-account` looks at the account too.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import error_kind
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.errors import AthenaReportsError
from athena_reports.inputs.input import Input
from athena_reports.inputs.published import Published, Source
from athena_reports.inputs.source_table import SourceTable
from athena_reports.inputs.success_markers import has_success_marker
from athena_reports.periods.calendar import Cadence
from athena_reports.publication.folder import PublishedCalendar, require_calendar
from athena_reports.publication.glue_table import published_tables
from athena_reports.publication.location import ReportLocation
from athena_reports.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient


class AccountError(AthenaReportsError):
    """The account lacks what the settings name."""


class AccountCheck(NamedTuple):
    """What came of looking at one thing that the settings name.

    Attributes:
        name: The thing, such as "workgroup dev".
        problem: Why it cannot be used, and what to do; empty if it can.
        retryable: Whether the problem may pass by itself.
    """

    name: str
    problem: str = ""
    retryable: bool = False


def require_place(
    hook: SharedSessionHook,
    *,
    settings: Settings,
    location: ReportLocation,
    cadence: Cadence,
    has_table: bool,
) -> None:
    """Require what a report needs to be published, before its query is paid.

    Args:
        hook: Gives the clients of AWS.
        settings: What the account must have.
        location: Where the report is published.
        cadence: The kind of periods that it is published for.
        has_table: Whether it has a table in Glue.

    Raises:
        AccountError: Nothing is published yet, and the account lacks something.
        CalendarError: The folder has another environment or calendar.
        PublishError: What lies there is not of this package, or of a newer release.
        S3Error: S3 refused a call, or did not serve it.
    """
    require_account(hook, settings=settings, location=location, has_table=has_table)
    s3 = S3(hook.client("s3"), settings.bucket_owner, settings.encryption)
    calendar = PublishedCalendar(
        environment=settings.environment, report=location.name, cadence=cadence
    )
    require_calendar(location, calendar, s3)


def require_account(
    hook: SharedSessionHook, *, settings: Settings, location: ReportLocation, has_table: bool
) -> None:
    """Require what the settings name, if nothing of the report is published yet.

    Args:
        hook: Gives the clients of AWS.
        settings: What the account must have.
        location: Where the report is published.
        has_table: Whether it has a table in Glue.

    Raises:
        AccountError: Something is missing. The message has a line for each problem.
    """
    s3 = S3(hook.client("s3"), settings.bucket_owner, settings.encryption)
    if _is_published(location, s3):
        return
    athena = hook.client("athena")
    checks = check_account(settings, athena, hook.client("glue"), s3, has_table=has_table)
    problems = [check for check in checks if check.problem]
    if not problems:
        return
    lines = [f"{check.name}: {check.problem}" for check in problems]
    # A retry checks all of them again, and one problem that may pass is enough for it.
    raise AccountError(
        "\n".join(["The first run cannot start; no query was submitted.", *lines]),
        retryable=any(check.retryable for check in problems),
    )


def check_account(
    settings: Settings,
    athena: "AthenaClient",
    glue: "GlueClient",
    s3: S3,
    *,
    has_table: bool = True,
    inputs: Iterable[Source] = (),
) -> Iterator[AccountCheck]:
    """Look at workgroup, buckets, databases, source tables and success markers.

    It yields a check for each.

    In the report bucket an upload is begun and aborted, which shows that the role may write there.
    No object is written.

    Args:
        settings: What the account must have.
        athena: Client of Athena.
        glue: Client of Glue.
        s3: The client of S3.
        has_table: Whether a database for published tables is needed.
        inputs: The inputs of all reports. A table that several of them read is looked at once.
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
    inputs_by_table: dict[tuple[str, str], list[Input]] = {}
    success_markers: set[str] = set()
    for source in inputs:
        if isinstance(source, Published):
            continue  # nothing of it need be published yet
        table = (source.database or settings.database, source.table)
        inputs_by_table.setdefault(table, []).append(source)
        if source.done is not None:
            success_markers.add(source.done)
    for (database, name), sources in sorted(inputs_by_table.items()):
        yield _check(f"table {database}.{name}", partial(_require_table, database, sources, glue))
    for done in sorted(success_markers):
        yield _check(f"success markers {done}", partial(has_success_marker, done, s3))


def _is_published(location: ReportLocation, s3: S3) -> bool:
    """Return whether a period is published, which writes the object of the latest one."""
    try:
        s3.read(location.latest_uri)
    except S3Error:  # it does not exist, or the check of the report bucket gives the reason
        return False
    return True


def _require_table(database: str, sources: Iterable[Input], glue: "GlueClient") -> None:
    """Require that a source table is there, and is laid out as its inputs say."""
    for source in sources:
        SourceTable.read(source, database, glue)


def _require_workgroup(settings: Settings, athena: "AthenaClient") -> None:
    workgroup: Any = athena.get_work_group(WorkGroup=settings.workgroup)["WorkGroup"]
    if workgroup.get("State", "ENABLED") != "ENABLED":
        raise AccountError(
            "it is disabled. Enable it, or set ATHENA_REPORTS_WORKGROUP to another workgroup."
        )
    managed_results = workgroup.get("Configuration", {}).get("ManagedQueryResultsConfiguration", {})
    is_managed = managed_results.get("Enabled", False)
    if is_managed and settings.query_results:
        raise AccountError(
            "it manages its query results. Set ATHENA_REPORTS_QUERY_RESULTS=managed."
        )
    if not is_managed and not settings.query_results:
        raise AccountError(
            "it does not manage query results. Set ATHENA_REPORTS_QUERY_RESULTS to an S3 location."
        )


def _check(name: str, look: Callable[[], object]) -> AccountCheck:
    """Return the check of one thing; `look` raises if it cannot be used."""
    try:
        look()
    except AthenaReportsError as error:
        return AccountCheck(name, str(error), error.retryable)
    except (ClientError, BotoCoreError) as error:
        kind = error_kind(error)
        return AccountCheck(name, f"{error}. {kind.advice}", kind.retryable)
    return AccountCheck(name)
