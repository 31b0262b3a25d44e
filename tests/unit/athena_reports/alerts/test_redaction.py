"""What an alert says of an error; those of Athena are tested with their tasks."""

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from athena_reports.alerts.redaction import error_text
from athena_reports.errors import CheckError, PublishError, QueryError, ResultError, TransformError
from athena_reports.steps.airflow_errors import report_errors

VALUE = "alice@example.com"


def raised(error: Exception) -> AirflowException:
    """An error of this package as its task raises it."""
    with pytest.raises(AirflowException) as caught, report_errors("plays: "):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        raised(CheckError("rows(at_most=3): 10 rows")),
        raised(PublishError("the manifest is gone")),
        raised(QueryError("Query q-1 is of another run")),
        AirflowFailException("the query had not ended after an hour"),
    ],
)
def test_what_was_written_for_people_is_told(error: AirflowException) -> None:
    for has_private_columns in (False, True):
        assert error_text(error, has_private_columns=has_private_columns) == str(error)


@pytest.mark.parametrize("error", [ValueError(VALUE), KeyError(VALUE), OSError(VALUE)])
def test_of_an_error_that_nobody_expected_only_the_kind_is_told(error: Exception) -> None:
    assert VALUE in error_text(error, has_private_columns=False)
    told = error_text(error, has_private_columns=True)
    assert told.startswith(f"{type(error).__name__} (its text may quote")
    assert VALUE not in told


@pytest.mark.parametrize("kind", [ResultError, TransformError])
def test_of_a_transform_or_a_result_only_the_kind_of_what_went_wrong_is_told(
    kind: type[ResultError | TransformError],
) -> None:
    """Their texts quote what DuckDB or the author's code says."""
    without_cause = raised(kind(f"transform: {VALUE}"))
    caused = kind(f"transform: {VALUE}")
    caused.__cause__ = ZeroDivisionError(VALUE)
    for error, name in ((without_cause, kind.__name__), (raised(caused), "ZeroDivisionError")):
        assert VALUE in error_text(error, has_private_columns=False)
        told = error_text(error, has_private_columns=True)
        assert told == f"{name} (its text may quote a private column; see the task log)"
