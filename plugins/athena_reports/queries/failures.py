"""The decision table: which failure of a query means what.

Sources: Athena's user guide ("error categories and types"), its API reference, recordings of real
errors, and the names in Trino's `StandardErrorCode`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from athena_reports.aws.errors import GRANT_ACCESS
from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState

_ERROR_NAME = re.compile("[A-Z][A-Z0-9_]*_[A-Z0-9_]+")
_CLEAR_RUN_QUERY = "Clear run_query and its downstream tasks to try again."


class Decision(StrEnum):
    """What to do: start the query again, or fail, since that would not help."""

    RESUBMIT = "resubmit"
    FAIL = "fail now"


@dataclass(frozen=True)
class Verdict:
    """What a failure means, and what to do about it."""

    decision: Decision
    meaning: str
    hint: str = ""  # what a person can correct


# Final: else nobody could stop a runaway query.
_CANCELLED = Verdict(Decision.FAIL, "the query was cancelled")

# Started again only if Athena says that it helps: the same query usually needs the same again.
_RESOURCES_EXHAUSTED = Verdict(
    Decision.FAIL, "resources exhausted", "Reduce the query's memory use."
)
_TIMED_OUT = Verdict(
    Decision.FAIL, "query timed out", "Make it smaller, or raise the workgroup's timeout quota."
)
_ICEBERG_CHANGED = Verdict(Decision.RESUBMIT, "an Iceberg table changed meanwhile")
_NO_RESULT = Verdict(
    Decision.FAIL,
    "the result could not be written",
    "Check that the query result bucket can be written to.",
)
_SQL_NOT_VALID = Verdict(Decision.FAIL, "the SQL is not valid", "Correct it.")
_VALUE_DOES_NOT_FIT = Verdict(
    Decision.FAIL, "a value does not fit", "Correct the SQL, or the data."
)
_NO_TABLE = Verdict(Decision.FAIL, "a table does not exist", "Create it, or correct the SQL.")
_NO_DATABASE = Verdict(Decision.FAIL, "a database does not exist", "Create it, or correct the SQL.")
_TABLE_EXISTS = Verdict(Decision.FAIL, "the table exists already", "Correct the SQL.")
# Such as an UNLOAD that is started twice under one token, which names its folder. A cleared run has
# another one.
_FOLDER_NOT_EMPTY = Verdict(Decision.FAIL, "the folder that it writes into is not empty")
_REJECTED = Verdict(Decision.FAIL, "Athena rejected the query", "Correct what its reason says.")
_THROTTLED = Verdict(Decision.RESUBMIT, "throttled by a service that Athena reads from")
_TOO_MANY_VERSIONS = Verdict(
    Decision.FAIL, "a Glue table has too many versions", "Delete old ones."
)
_PERMISSION_DENIED = Verdict(Decision.FAIL, "permission denied", GRANT_ACCESS)
_GLUE_REFUSED = Verdict(Decision.FAIL, "Glue refused the table", "Correct what the reason says.")
_NO_CAPACITY = Verdict(Decision.RESUBMIT, "no capacity")
_SCAN_LIMIT = Verdict(
    Decision.FAIL,
    "the workgroup's scan limit was exceeded",
    "Check each partition filter, or the limit.",
)
_TRANSIENT = Verdict(Decision.RESUBMIT, "a transient fault of Athena")
_UNKNOWN = Verdict(Decision.FAIL, "no known reason", "Look at the query in the console.")

# By the name of the error, with which the reason begins, before a colon. Athena gives one number to
# several errors, so the name decides first.
VERDICTS_BY_NAME: Mapping[str, Verdict] = {
    "SYNTAX_ERROR": _SQL_NOT_VALID,
    "COLUMN_NOT_FOUND": _SQL_NOT_VALID,
    "TYPE_MISMATCH": _SQL_NOT_VALID,
    "CATALOG_NOT_FOUND": _SQL_NOT_VALID,
    "FUNCTION_NOT_FOUND": _SQL_NOT_VALID,
    "NOT_SUPPORTED": _SQL_NOT_VALID,
    "AMBIGUOUS_NAME": _SQL_NOT_VALID,
    "DUPLICATE_COLUMN_NAME": _SQL_NOT_VALID,
    "EXPRESSION_NOT_AGGREGATE": _SQL_NOT_VALID,
    "EXPRESSION_NOT_IN_DISTINCT": _SQL_NOT_VALID,
    "EXPRESSION_NOT_SCALAR": _SQL_NOT_VALID,
    "INVALID_COLUMN_REFERENCE": _SQL_NOT_VALID,
    "INVALID_LITERAL": _SQL_NOT_VALID,
    "MISMATCHED_COLUMN_ALIASES": _SQL_NOT_VALID,
    "MISSING_COLUMN_NAME": _SQL_NOT_VALID,
    "MISSING_GROUP_BY": _SQL_NOT_VALID,
    "MISSING_OVER": _SQL_NOT_VALID,
    "NESTED_AGGREGATION": _SQL_NOT_VALID,
    "TYPE_NOT_FOUND": _SQL_NOT_VALID,
    "DIVISION_BY_ZERO": _VALUE_DOES_NOT_FIT,
    "INVALID_CAST_ARGUMENT": _VALUE_DOES_NOT_FIT,
    "INVALID_FUNCTION_ARGUMENT": _VALUE_DOES_NOT_FIT,
    "NUMERIC_VALUE_OUT_OF_RANGE": _VALUE_DOES_NOT_FIT,
    "SUBQUERY_MULTIPLE_ROWS": _VALUE_DOES_NOT_FIT,
    "TABLE_NOT_FOUND": _NO_TABLE,
    "SCHEMA_NOT_FOUND": _NO_DATABASE,
    "TABLE_ALREADY_EXISTS": _TABLE_EXISTS,
    "HIVE_PATH_ALREADY_EXISTS": _FOLDER_NOT_EMPTY,
}

# By AthenaError.ErrorType.
VERDICTS_BY_TYPE: Mapping[int, Verdict] = {
    0: _RESOURCES_EXHAUSTED,
    1: _RESOURCES_EXHAUSTED,
    2: _RESOURCES_EXHAUSTED,
    3: _RESOURCES_EXHAUSTED,
    4: _RESOURCES_EXHAUSTED,
    5: _RESOURCES_EXHAUSTED,
    6: _RESOURCES_EXHAUSTED,
    7: _RESOURCES_EXHAUSTED,
    8: _RESOURCES_EXHAUSTED,
    206: _TIMED_OUT,
    210: _TIMED_OUT,
    233: _ICEBERG_CHANGED,
    234: _PERMISSION_DENIED,
    401: _NO_RESULT,
    402: _NO_RESULT,
    1001: _VALUE_DOES_NOT_FIT,
    1002: _VALUE_DOES_NOT_FIT,  # or, with the name TYPE_MISMATCH, a mistake in the SQL
    1006: _SQL_NOT_VALID,
    1008: _REJECTED,
    1011: _CANCELLED,
    1014: _CANCELLED,
    1100: _VALUE_DOES_NOT_FIT,
    1110: _TABLE_EXISTS,
    1200: _SQL_NOT_VALID,
    1301: _NO_TABLE,
    1303: _SQL_NOT_VALID,
    1400: _THROTTLED,
    1401: _THROTTLED,
    1402: _TOO_MANY_VERSIONS,
    1403: _THROTTLED,
    1404: _THROTTLED,
    1405: _THROTTLED,
    1406: _THROTTLED,
    1500: _PERMISSION_DENIED,
    1501: _PERMISSION_DENIED,
    1502: _GLUE_REFUSED,
    1602: _NO_CAPACITY,
}


def execution_verdict(execution: QueryExecution) -> Verdict:
    """Return what it means that a query has not succeeded."""
    # Athena itself cancels such a query, so the reason is looked at before the state.
    if "bytes scanned limit" in execution.reason.lower():
        return _SCAN_LIMIT
    if execution.state is QueryState.CANCELLED:
        return _CANCELLED
    verdict = _known_verdict(execution)
    if verdict is None:
        is_athenas_fault = execution.error_category == 1
        if is_athenas_fault and execution.retryable:
            return _TRANSIENT
        return _UNKNOWN
    if verdict is _RESOURCES_EXHAUSTED and execution.retryable:
        return replace(verdict, decision=Decision.RESUBMIT)
    # Athena says that another try does not help. None would mean that it says nothing.
    if verdict.decision is Decision.RESUBMIT and execution.retryable is False:
        return replace(verdict, decision=Decision.FAIL)
    return verdict


class QueryFailedError(QueryError):
    """A query has ended, and has not succeeded.

    Attributes:
        execution: The execution that Athena described.
        execution_id: Its id.
        category: AthenaError.ErrorCategory; None if Athena gives none.
        type: AthenaError.ErrorType; None if Athena gives none.
        verdict: What the failure means, and whether the query may be started again.
        advice: The next step for a person.
        link: Address of the query in Athena's console; empty if it is not known.
    """

    def __init__(
        self,
        execution: QueryExecution,
        *,
        about: str = "",
        link: str = "",
        try_again: str = _CLEAR_RUN_QUERY,
    ) -> None:
        """Decide what the failure means.

        Args:
            execution: The execution.
            about: Whose query it is, for the beginning of the message.
            link: Address of the query in Athena's console.
            try_again: How a person starts the query again, as a sentence. By default it is the
                query of a DAG run.
        """
        self.execution = execution
        self.execution_id = execution.id
        self.category = execution.error_category
        self.type = execution.error_type
        self.verdict = execution_verdict(execution)
        self.advice = try_again
        if self.verdict.hint:
            self.advice = f"{self.verdict.hint} {try_again}"
        self.link = link
        self._about = about
        super().__init__(self._message(execution.reason or "Athena gives no reason"))

    @property
    def message_without_values(self) -> str:
        """The message with the name of the error in the place of Athena's reason.

        A reason can quote a value of a row, such as `Cannot cast 'a@example.com' to BIGINT`.
        """
        reason = "the log of the task has Athena's reason"
        name = _error_name(self.execution)
        if name:
            reason = f"{name}, {reason}"
        return self._message(reason)

    def _message(self, reason: str) -> str:
        problem = f"Query {self.execution_id} is {self.execution.state}: {reason}"
        message = f"{problem} [{self._explanation}]. {self.advice}"
        if self._about:
            message = f"{self._about}: {message}"
        if self.link:
            message = f"{message} {self.link}"
        return message

    @property
    def _explanation(self) -> str:
        scanned = f"{self.execution.scanned_bytes:,} bytes scanned"
        if self.execution.price_usd is not None:
            scanned += f" (about {self.execution.price_usd:.5f} USD)"
        return f"{self.verdict.meaning}; category {self.category}, type {self.type}; {scanned}"


def _error_name(execution: QueryExecution) -> str:
    """Return the name that the reason begins with, such as `SYNTAX_ERROR`; empty for none."""
    name, colon, _ = execution.reason.partition(":")
    if colon and _ERROR_NAME.fullmatch(name):
        return name
    return ""


def _known_verdict(execution: QueryExecution) -> Verdict | None:
    name = _error_name(execution)
    if name in VERDICTS_BY_NAME:
        return VERDICTS_BY_NAME[name]
    if execution.error_type is None:
        return None
    return VERDICTS_BY_TYPE.get(execution.error_type)
