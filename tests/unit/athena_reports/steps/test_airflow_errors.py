import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)
from botocore.exceptions import NoRegionError

from athena_reports import errors
from athena_reports.aws.errors import error_kind
from athena_reports.periods.calendar import yearly
from athena_reports.steps.airflow_errors import (
    report_errors,
    require_connection,
    run_label,
)
from tests.support.aws_errors import LOST
from tests.support.retried import raises_retried


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (errors.MissingPartitionsError("dt=1"), AirflowException),
        (errors.InputError("no table"), AirflowFailException),
        (errors.PublishError("lost"), AirflowException),
        (errors.PublishError("not ours", retryable=False), AirflowFailException),
        (errors.QueryError("Query q-1 is FAILED"), AirflowFailException),
        (errors.SkipPeriodError("no rows"), AirflowSkipException),
        (errors.EmptyResultError("no rows"), AirflowFailException),
    ],
)
def test_only_what_may_pass_is_left_to_the_retries(
    error: Exception, raised: type[Exception]
) -> None:
    with (
        pytest.raises(AirflowException) as caught,
        report_errors(f"{run_label('plays', yearly().period('2025'), '')}: "),
    ):
        raise error

    assert type(caught.value) is raised
    assert str(caught.value) == (
        "" if raised is AirflowSkipException else "plays, period 2025: "
    ) + str(error)


@pytest.mark.parametrize(
    ("error", "raised"), [(LOST, AirflowException), (NoRegionError(), AirflowFailException)]
)
def test_an_error_of_botocore_says_what_to_do(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(AirflowException) as caught, report_errors("plays: "):
        raise error
    assert type(caught.value) is raised
    assert str(caught.value) == (
        f"plays: {str(error).rstrip('.')}. {error_kind(error).advice} "
        "Clear this task and its downstream tasks to try again."
    )


def test_errors_of_others_pass_through() -> None:
    with pytest.raises(KeyError), report_errors():
        raise KeyError("of somebody else")


def test_a_named_connection_has_to_exist_and_the_default_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On MWAA there is no connection `aws_default`: the credentials are those of its role."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    for connection_id in ("aws_default", None):
        require_connection(AthenaHook(aws_conn_id=connection_id), "reports")

    # A secrets backend that does not answer gives the same error.
    says = (
        "reports: Airflow connection 'aws_reports' does not exist. Create it, or set"
        " ATHENA_REPORTS_AWS_CONN_ID to another one."
    )
    with raises_retried(f"^{says}$"):
        require_connection(AthenaHook(aws_conn_id="aws_reports"), "reports")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_REPORTS", "aws://")
    require_connection(AthenaHook(aws_conn_id="aws_reports"), "reports")
