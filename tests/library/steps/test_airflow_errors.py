import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from athena_reports import errors
from athena_reports.periods.calendar import yearly
from athena_reports.steps.airflow_errors import aws_errors, describe, report_errors


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
        aws_errors(describe("plays", yearly().period("2025"), "")),
    ):
        raise error

    assert type(caught.value) is raised
    assert str(caught.value) == (
        "" if raised is AirflowSkipException else "plays, period 2025: "
    ) + str(error)


def test_errors_of_others_pass_through() -> None:
    with pytest.raises(KeyError), aws_errors(""), report_errors():
        raise KeyError("of somebody else")
