"""What the failure of a query means.

Sources: Athena's user guide ("error categories and types"), its API reference, and recordings of
real errors.
"""

import re
from collections.abc import Mapping

from athena_reports.aws.errors import ErrorKind
from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState

_ERROR_NAME = re.compile("[A-Z][A-Z0-9_]*_[A-Z0-9_]+")
_CLEAR_RUN_QUERY = "Clear run_query and its downstream tasks to try again."

_ICEBERG = 233  # any error of an Iceberg table: a conflict that passes, or metadata that is lost

_KINDS_BY_TYPE: Mapping[int | None, ErrorKind] = {  # by AthenaError.ErrorType
    **dict.fromkeys(range(9), ErrorKind.RESOURCES_EXHAUSTED),
    **dict.fromkeys((206, 210), ErrorKind.TIMED_OUT),
    **dict.fromkeys((234, 1500, 1501), ErrorKind.DENIED),
    **dict.fromkeys((401, 402), ErrorKind.NOT_WRITTEN),
    **dict.fromkeys((1011, 1014), ErrorKind.CANCELLED),
    # Not 1402: a table in Glue has too many versions.
    **dict.fromkeys((1400, 1401, 1403, 1404, 1405, 1406), ErrorKind.THROTTLED),
    1602: ErrorKind.TRANSIENT,  # no capacity
}


def execution_kind(execution: QueryExecution) -> ErrorKind:
    """Return what it means that a query has ended without success."""
    # Athena itself cancels such a query, so the reason is looked at before the state.
    if "bytes scanned limit" in execution.reason.lower():
        return ErrorKind.SCAN_LIMIT
    if execution.state is QueryState.CANCELLED:
        return ErrorKind.CANCELLED
    # As of an UNLOAD that is started twice under one token, which names its folder.
    if execution.reason.startswith("HIVE_PATH_ALREADY_EXISTS"):
        return ErrorKind.FOLDER_IN_USE
    kind = _KINDS_BY_TYPE.get(execution.error_type)
    if kind is not None:
        return kind
    may_be_resubmitted = execution.error_category == 1 or execution.error_type == _ICEBERG
    if may_be_resubmitted and execution.retryable:
        return ErrorKind.TRANSIENT
    return ErrorKind.FAILED


def may_pass(execution: QueryExecution) -> bool:
    """Return whether the failed query may succeed if it is started again.

    A cancelled query may not: otherwise nobody could stop a runaway query.
    """
    kind = execution_kind(execution)
    if kind is ErrorKind.RESOURCES_EXHAUSTED:
        # The same query usually needs the same again, so Athena has to say that it helps.
        return execution.retryable is True
    return kind.retryable and execution.retryable is not False


class QueryFailedError(QueryError):
    """A query has ended without success; `link` leads to Athena's console, if that is known."""

    def __init__(
        self,
        execution: QueryExecution,
        *,
        about: str,
        link: str = "",
        try_again: str = _CLEAR_RUN_QUERY,
    ) -> None:
        """Classify the failure; the message ends with how to `try_again`, and the link."""
        self.execution = execution
        self.kind = execution_kind(execution)
        self.advice = f"{self.kind.advice} {try_again}".lstrip()
        self.link = link
        self._about = about
        super().__init__(self._message(execution.reason or "Athena gave no reason"))

    @property
    def message_without_values(self) -> str:
        """The message with the name of the error in the place of Athena's reason."""
        # A reason can quote a value of a row, such as `Cannot cast 'a@example.com' to BIGINT`.
        reason = "see the task log for Athena's reason"
        name, colon, _ = self.execution.reason.partition(":")
        if colon and _ERROR_NAME.fullmatch(name):
            reason = f"{name}, {reason}"
        return self._message(reason)

    def _message(self, reason: str) -> str:
        execution = self.execution
        scanned = f"{execution.scanned_bytes:,} bytes scanned"
        if execution.price_usd is not None:
            scanned += f" (about {execution.price_usd:.5f} USD)"
        return (
            f"{self._about}: Query {execution.id} is {execution.state}: {reason} "
            f"[{self.kind.meaning}; category {execution.error_category}, "
            f"type {execution.error_type}; {scanned}]. {self.advice} {self.link}"
        ).rstrip()
