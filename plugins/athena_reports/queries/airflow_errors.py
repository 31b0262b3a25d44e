"""What an error means for Airflow: retry the task, or fail it for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from athena_reports.compat import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)
from athena_reports.errors import (
    AthenaReportsError,
    QueryError,
    SkipPeriodError,
)
from athena_reports.queries.failures import Decision, Verdict, of_call
from athena_reports.queries.submission import (
    Start,
    Submission,
)

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    from athena_reports.periods.calendar import Period


def period_facts(period: Period) -> dict[str, str]:
    """Return what a task shows, and hands on, of its period: id, cadence, zone, local and UTC bounds."""
    return {
        "id": period.id,
        "cadence": period.cadence.name,
        "timezone": period.cadence.timezone,
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "start_utc": period.start_utc.isoformat(),
        "end_utc": period.end_utc.isoformat(),
    }


def describe(dag_id: str, period: Mapping[str, str] | None, environment: str) -> str:
    """Return whose query it is, for the beginning of a message."""
    parts = [dag_id, f"period {period['id']}" if period else "", environment and f"environment {environment}"]
    return ", ".join(part for part in parts if part)


def verdict_of(error: ClientError | BotoCoreError) -> Verdict:
    """Return what an error of an API call means."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return of_call(error.response.get("Error", {}).get("Code", ""), status)
    if isinstance(error, NoRegionError):
        where = "Set AWS_DEFAULT_REGION, or the region of the Airflow connection."
        return Verdict(Decision.FAIL, "no region is set", where)
    if isinstance(error, NoCredentialsError):
        where = "Give the Airflow connection some, or the environment: AWS_ACCESS_KEY_ID, or a role."
        return Verdict(Decision.RETRY_CALL, "no credentials are there", where)
    return of_call("", 0)


def refusal(error: ClientError | BotoCoreError) -> str:
    """Return what an error of an API call means, in words."""
    verdict = verdict_of(error)
    return f"{error} [{verdict.meaning}]. {verdict.advice}"


@contextmanager
def called(about: str) -> Iterator[None]:
    """Turn a failed call into what Airflow is to do: retry the task, or fail it for good.

    Raises:
        AirflowException: The call was not served; the task's retries apply.
        AirflowFailException: It was refused, or the query failed for good.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        again = verdict_of(error).decision is Decision.RETRY_CALL
        raise (AirflowException if again else AirflowFailException)(f"{about}: {refusal(error)}") from error
    except QueryError as error:
        raise AirflowFailException(f"{about}: {error}") from error


@contextmanager
def worked(about: str = "") -> Iterator[None]:
    """Turn an error of our own into what Airflow is to do: retry the task, or fail it for good.

    Raises:
        AirflowSkipException: There is nothing to publish, and that is right.
        AirflowException: S3 or Glue did not serve a call; the task's retries apply.
        AirflowFailException: The same would happen again.
    """
    try:
        yield
    except SkipPeriodError as error:
        raise AirflowSkipException(str(error)) from error
    except AthenaReportsError as error:
        kind = AirflowException if error.retryable else AirflowFailException
        raise kind(f"{about}{error}") from error


def require_connection(hook: AthenaHook, about: str) -> None:
    """Refuse a named connection that does not exist: the hook would take whatever credentials there are.

    Without the default one that is right: on MWAA they are the execution role's.

    Raises:
        AirflowException: It is not found. The task's retries apply, since a secrets backend that did not
            answer looks the same: Airflow passes over it.
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


def starter(hook: AthenaHook) -> Start:
    """Return a function that starts a submission through the provider's hook."""

    def start(submission: Submission, token: str) -> str:
        query_execution_id: str = hook.run_query(
            submission.sql,
            submission.context,
            dict(submission.result_configuration),
            token,
            submission.workgroup,
        )
        return query_execution_id

    return start
