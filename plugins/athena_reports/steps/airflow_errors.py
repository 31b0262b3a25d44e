"""Translates errors into AirflowException, which retries the task, or AirflowFailException."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat import sdk
from botocore.exceptions import BotoCoreError, ClientError

from athena_reports.aws.errors import call_verdict
from athena_reports.errors import AthenaReportsError, SkipPeriodError
from athena_reports.periods.calendar import Period


def describe(dag_id: str, period: Period | None, environment: str) -> str:
    """Return whose query it is, for the beginning of a message.

    Args:
        dag_id: The DAG.
        period: The period; None for a query without one.
        environment: Name of the environment; empty to leave it out.
    """
    about = dag_id
    if period is not None:
        about += f", period {period.id}"
    if environment:
        about += f", environment {environment}"
    return about


@contextmanager
def aws_errors(about: str, *, task: str = "run_query") -> Iterator[None]:
    """Translate errors as `report_errors` does. For errors of botocore, say which task to clear.

    Args:
        about: Whose call it is, for the beginning of the message.
        task: The task that the message says to clear.

    Raises:
        AirflowException: AWS did not serve the call, or an error of this package is `retryable`.
        AirflowFailException: AWS refused the call, or an error of this package is not `retryable`.
        AirflowSkipException: The block raised SkipPeriodError.
    """
    advice = f" Clear {task} and its downstream tasks to try again."
    with report_errors(f"{about}: ", advice=advice):
        yield


@contextmanager
def report_errors(about: str = "", *, advice: str = "") -> Iterator[None]:
    """Translate this package's errors: what is `retryable` is retried, SkipPeriodError skips.

    Errors of botocore are translated too. Those of S3 and Glue are mostly errors of this package
    already. What is left comes from calls to Athena, and from clients that cannot be made.

    Args:
        about: The beginning of the message; empty if the messages of the errors have it.
        advice: The end of the message for an error of botocore. It begins with a space.

    Raises:
        AirflowException: The error is `retryable`.
        AirflowFailException: The error is not `retryable`.
        AirflowSkipException: It is a SkipPeriodError.
    """
    try:
        yield
    except SkipPeriodError as error:
        raise sdk.AirflowSkipException(str(error)) from error
    except AthenaReportsError as error:
        raise _airflow_error(f"{about}{error}", retryable=error.retryable) from error
    except (ClientError, BotoCoreError) as error:
        verdict = call_verdict(error)
        message = f"{about}{error} [{verdict.meaning}]. {verdict.hint}{advice}"
        raise _airflow_error(message, retryable=verdict.retryable) from error


@contextmanager
def required_xcoms(problem: str) -> Iterator[None]:
    """Fail for good where an XCom is missing that an earlier task should have pushed.

    It is missing if somebody marked that task as success. Airflow raises XComNotFound for it when
    it renders the arguments of a task (`PlainXComArg.resolve`), and without this it would retry the
    task.

    Args:
        problem: The message of the failure.

    Raises:
        AirflowFailException: An XCom is missing.
    """
    try:
        yield
    except sdk.XComNotFound as error:
        raise sdk.AirflowFailException(problem) from error


def _airflow_error(message: str, *, retryable: bool) -> sdk.AirflowException:
    if retryable:
        return sdk.AirflowException(message)
    return sdk.AirflowFailException(message)


def require_connection(hook: AthenaHook, about: str) -> None:
    """Refuse a named connection that does not exist.

    The hook would use whatever other credentials it finds.

    Args:
        hook: The hook whose connection it is.
        about: Whose call it is, for the beginning of the message.

    Raises:
        AirflowException: There is no such connection.
    """
    connection_id = hook.aws_conn_id
    if connection_id in (None, hook.default_conn_name):
        return  # none is named, so the credentials of the environment are right, as on MWAA
    try:
        hook.get_connection(connection_id)
    except sdk.AirflowNotFoundException as error:
        problem = f"{about}: there is no Airflow connection {connection_id!r}."
        advice = "Create it, or set ATHENA_REPORTS_AWS_CONN_ID to another one."
        # A secrets backend that does not answer gives the same error, so the task is retried.
        raise sdk.AirflowException(f"{problem} {advice}") from error
