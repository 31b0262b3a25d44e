from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from athena_reports import errors
from athena_reports.queries.airflow_errors import aws_errors, describe, report_errors


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (errors.MissingPartitionsError("dt=1"), AirflowException),
        (errors.InputError("no table"), AirflowFailException),
        (errors.PublishError("lost"), AirflowException),
        (errors.PublishError("not ours", retryable=False), AirflowFailException),
        (errors.CheckError("unique"), AirflowFailException),
        (errors.SkipPeriodError("no rows"), AirflowSkipException),
        (errors.EmptyResultError("no rows"), AirflowFailException),
    ],
)
def test_only_what_may_pass_is_left_to_the_retries(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(AirflowException) as caught, report_errors("about: "):
        raise error

    assert type(caught.value) is raised
    assert str(error) in str(caught.value)


def test_a_query_that_failed_is_not_retried_and_other_errors_pass_through() -> None:
    about = describe("plays", "2025", "")
    with pytest.raises(AirflowFailException, match=r"^plays, period 2025: Query q-1"), aws_errors(about):
        raise errors.QueryError("Query q-1 is FAILED")
    with pytest.raises(KeyError), aws_errors(""), report_errors():
        raise KeyError("of somebody else")
