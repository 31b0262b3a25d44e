"""Translates errors into AirflowException, which retries the task, or AirflowFailException.

It also reads the status of an error from Airflow's API.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat import sdk
from airflow.sdk.exceptions import AirflowRuntimeError
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import as_sentence, error_kind
from athena_reports.errors import AthenaReportsError, SkipPeriodError
from athena_reports.periods.calendar import Period

_CLEAR_TASK = "Clear this task and its downstream tasks to try again."


def run_label(dag_id: str, period: Period | None, environment: str) -> str:
    """Return whose query it is, for the beginning of a message."""
    about = dag_id
    if period is not None:
        about += f", period {period.id}"
    if environment:
        about += f", environment {environment}"
    return about


@contextmanager
def report_errors(about: str = "") -> Iterator[None]:
    """Translate errors of this package and of botocore into Airflow's.

    An error that is retryable becomes AirflowException, SkipPeriodError becomes
    AirflowSkipException, any other AirflowFailException. `about` begins the message, such as
    `plays_weekly: `; empty if the errors have it.
    """
    try:
        yield
    except SkipPeriodError as error:
        raise sdk.AirflowSkipException(str(error)) from error
    except AthenaReportsError as error:
        raise _airflow_error(f"{about}{error}", retryable=error.retryable) from error
    except (ClientError, BotoCoreError) as error:
        kind = error_kind(error)
        message = f"{about}{as_sentence(error)} {kind.advice} {_CLEAR_TASK}"
        raise _airflow_error(message, retryable=kind.retryable) from error


@contextmanager
def required_xcoms(problem: str) -> Iterator[None]:
    """Raise AirflowFailException where an XCom is missing that an earlier task should have pushed.

    It is missing if somebody marked that task as success.
    """
    try:
        yield
    except sdk.XComNotFound as error:  # of `PlainXComArg.resolve`; Airflow would retry the task
        raise sdk.AirflowFailException(problem) from error


def _airflow_error(message: str, *, retryable: bool) -> sdk.AirflowException:
    error_type = sdk.AirflowException if retryable else sdk.AirflowFailException
    return error_type(message)


def require_connection(hook: AthenaHook, about: str) -> None:
    """Raise AirflowException for a named connection that does not exist.

    The hook would use whatever other credentials it finds.
    """
    connection_id = hook.aws_conn_id
    if connection_id in (None, hook.default_conn_name):
        return  # none is named, so the credentials of the environment are right, as on MWAA
    try:
        hook.get_connection(connection_id)
    except sdk.AirflowNotFoundException as error:
        # A secrets backend that does not answer gives the same error, so the task is retried.
        raise sdk.AirflowException(
            f"{about}: Airflow connection {connection_id!r} does not exist. Create it, or set "
            "ATHENA_REPORTS_AWS_CONN_ID to another one."
        ) from error


def status_code(error: AirflowRuntimeError) -> int | None:
    """Return the HTTP status code of an error from Airflow's API; None if it has none."""
    detail = error.error.detail or {}
    status: int | None = detail.get("status_code")
    return status
