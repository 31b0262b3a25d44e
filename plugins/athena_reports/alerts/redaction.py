"""The text of an error in an alert. An alert leaves S3, so it has no private values."""

from airflow.providers.common.compat.sdk import AirflowException

from athena_reports.errors import ResultError, TransformError
from athena_reports.queries.failures import QueryFailedError


def error_text(error: BaseException, *, has_private_columns: bool) -> str:
    """Return the text of an error for an alert, without private values.

    The texts of Athena, of DuckDB, of a transform and of a bug can quote a value of a row. If a
    column is private, the kind of the error stands in for them. The log of the task has
    the text.

    Args:
        error: What the task has raised.
        has_private_columns: Whether a column of the report is private.
    """
    if not has_private_columns:
        return str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, QueryFailedError):
            return cause.message_without_values
        if isinstance(cause, ResultError | TransformError):
            return _kind(cause.__cause__ or cause)
        cause = cause.__cause__
    # The errors of this package are made exceptions of Airflow. Their texts have no values.
    if isinstance(error, AirflowException):
        return str(error)
    return _kind(error)


def _kind(error: BaseException) -> str:
    kind = type(error).__name__
    return f"{kind} (its text may quote a private column; see the task log)"
