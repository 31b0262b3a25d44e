"""Whether the account has what the settings name: looked at before the first query of a report is paid."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import call_verdict
from athena_reports.aws.hook import SharedSessionHook
from athena_reports.aws.s3 import S3, S3Error
from athena_reports.errors import AthenaReportsError
from athena_reports.publication.glue_table import Table, published_tables
from athena_reports.publication.location import ReportLocation
from athena_reports.reports.input import Input
from athena_reports.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient


class AccountError(AthenaReportsError):
    """The account lacks what the settings name."""


class AccountCheck(NamedTuple):
    """Something that the settings name; `problem` is empty if it can be used."""

    name: str
    problem: str = ""
    retryable: bool = False


def require_account(hook: SharedSessionHook, *, names: Settings, location: ReportLocation, has_table: bool) -> None:
    """Check the account if nothing of the report is published yet; AccountError names each problem."""
    glue = hook.client("glue")
    with suppress(AthenaReportsError):
        if has_table and Table(names.report_database, location, glue).columns():
            return
    s3 = S3(hook.client("s3"), names.bucket_owner, names.encryption)
    with suppress(S3Error):
        s3.read(location.latest_uri)
        return
    found = [*check_account(names, hook.client("athena"), glue, s3, has_table=has_table)]
    if problems := [each for each in found if each.problem]:
        listed = "\n".join(f"{each.name}: {each.problem}" for each in problems)
        why = "the first run needs what is not there. No query was started."
        raise AccountError(f"{why}\n{listed}", retryable=any(each.retryable for each in problems))


def check_account(
    names: Settings,
    athena: "AthenaClient",
    glue: "GlueClient",
    s3: S3,
    *,
    has_table: bool = True,
    inputs: Iterable[Input] = (),
) -> Iterator[AccountCheck]:
    """Yield what was looked at: workgroup, buckets, databases, and tables of the source database.

    An upload is begun in the report bucket and broken off, which shows that the role may write. Nothing stays.
    """
    yield _checked(f"workgroup {names.workgroup}", lambda: _require_workgroup(names, athena))
    if results := names.query_results:
        yield _checked(f"query results {results}", lambda: next(s3.list(results), None))
    yield _checked(f"report bucket {names.report_bucket}", lambda: s3.try_upload(f"s3://{names.report_bucket}/"))
    if has_table:
        listed = f"report database {names.report_database}"
        yield _checked(listed, lambda: next(published_tables(names.report_database, glue), None))
    for database, table in sorted({(each.database or names.database, each.table) for each in inputs}):
        yield _checked(f"table {database}.{table}", partial(glue.get_table, DatabaseName=database, Name=table))


def _require_workgroup(names: Settings, athena: "AthenaClient") -> None:
    found: Any = athena.get_work_group(WorkGroup=names.workgroup)["WorkGroup"]
    if found.get("State", "ENABLED") != "ENABLED":
        raise AccountError("it is disabled. Enable it in Athena, or let ATHENA_REPORTS_WORKGROUP name another.")
    is_managed = found["Configuration"].get("ManagedQueryResultsConfiguration", {}).get("Enabled", False)
    if is_managed and names.query_results:
        raise AccountError("it manages its query results. Set ATHENA_REPORTS_QUERY_RESULTS=managed.")
    if not is_managed and not names.query_results:
        raise AccountError("it does not manage query results. Let ATHENA_REPORTS_QUERY_RESULTS name an S3 location.")


def _checked(name: str, look: Callable[[], object]) -> AccountCheck:
    try:
        look()
    except AthenaReportsError as error:
        return AccountCheck(name, str(error), error.retryable)
    except (ClientError, BotoCoreError) as error:
        verdict = call_verdict(error)
        return AccountCheck(name, f"{error}. {verdict.hint}", verdict.retryable)
    return AccountCheck(name)
