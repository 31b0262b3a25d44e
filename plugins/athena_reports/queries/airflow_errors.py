"""Translates errors into AirflowException (retry the task) or AirflowFailException (do not retry)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from athena_reports.errors import AthenaReportsError, QueryError, SkipPeriodError
from athena_reports.queries.failures import Decision, Verdict, call_verdict

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook


def describe(dag_id: str, period_id: str, environment: str) -> str:
    """Return whose query it is, for the beginning of a message; period and environment may be empty."""
    parts = [dag_id, period_id and f"period {period_id}", environment and f"environment {environment}"]
    return ", ".join(filter(None, parts))


def error_verdict(error: ClientError | BotoCoreError) -> Verdict:
    """Return what an error of an API call means."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return call_verdict(error.response.get("Error", {}).get("Code", ""), status)
    if isinstance(error, NoRegionError):
        hint = "Set AWS_DEFAULT_REGION, or the region of the Airflow connection."
        return Verdict(Decision.FAIL, "no region is set", hint)
    if isinstance(error, NoCredentialsError):
        hint = "Give the Airflow connection some, or the environment: AWS_ACCESS_KEY_ID, or a role."
        return Verdict(Decision.RETRY_CALL, "there are no credentials", hint)
    return call_verdict("", 0)


@contextmanager
def aws_errors(about: str) -> Iterator[None]:
    """Translate AWS errors and QueryError: only a call that was not served leads to a retry."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        verdict = error_verdict(error)
        kind = AirflowException if verdict.decision is Decision.RETRY_CALL else AirflowFailException
        raise kind(f"{about}: {error} [{verdict.meaning}]. {verdict.advice}") from error
    except QueryError as error:
        raise AirflowFailException(f"{about}: {error}") from error


@contextmanager
def report_errors(about: str = "") -> Iterator[None]:
    """Translate this package's errors: what is `retryable` is retried, SkipPeriodError skips."""
    try:
        yield
    except SkipPeriodError as error:
        raise AirflowSkipException(str(error)) from error
    except AthenaReportsError as error:
        kind = AirflowException if error.retryable else AirflowFailException
        raise kind(f"{about}{error}") from error


def require_connection(hook: AthenaHook, about: str) -> None:
    """Refuse a named connection that does not exist: the hook would use whatever credentials there are.

    Without the default connection that is right: on MWAA they are the execution role's. A secrets backend
    that does not answer looks the same, so the task's retries apply.
    """
    if hook.aws_conn_id in (None, hook.default_conn_name):
        return
    try:
        hook.get_connection(hook.aws_conn_id)
    except AirflowNotFoundException as error:
        raise AirflowException(
            f"{about}: there is no Airflow connection {hook.aws_conn_id!r}. Create it, or let "
            f"ATHENA_REPORTS_AWS_CONN_ID name another."
        ) from error
