"""The decision table: which failure of a query or of a call means what.

Sources: "Understand Amazon Athena error categories and types" in the Athena user guide, the exceptions of
each action in the API reference, and recordings of real errors. One number stands for several errors, so the
name of the error decides first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState


class Decision(StrEnum):
    """What to do about a failure."""

    RESUBMIT = "resubmit"
    """Start the query again: Athena failed it for a reason that passes."""
    RETRY_CALL = "retry the call"
    """Send the request again after a pause: it was not served."""
    FAIL = "fail now"
    """Trying again would cost and change nothing."""


class Verdict(NamedTuple):
    """What a failure means, what to do about it, and what a person can do when it is final."""

    decision: Decision
    meaning: str
    hint: str = ""

    @property
    def advice(self) -> str:
        """The next step for a person."""
        return f"{self.hint} Clear run_query with all that is downstream to try again.".lstrip()


_RESUBMIT, _RETRY, _FAIL = Decision
CANCELLED = Verdict(_FAIL, "somebody cancelled the query", "See who did, and why.")
_CUTOFF = Verdict(
    _FAIL,
    "the workgroup's scan limit was exceeded",
    "See why the query reads so much (is every partition filter there?), or raise the limit.",
)
_TRANSIENT = Verdict(_RESUBMIT, "a fault of Athena's that may pass")
_UNKNOWN = Verdict(_FAIL, "no known reason", "Look at the query in the console.")
_NO_ANSWER = Verdict(_RETRY, "Athena did not answer", "See the AWS health dashboard and the network.")
_NO_ACCESS = Verdict(_FAIL, "permission denied", "Grant what is missing to the role of the Airflow workers.")
_BAD_SQL = Verdict(_FAIL, "the SQL is not valid", "Correct the report's SQL.")
_BAD_VALUE = Verdict(_FAIL, "a value does not fit", "Correct the report's SQL, or the data.")
_NO_TABLE = Verdict(_FAIL, "a table does not exist", "Create it, or correct the SQL or the database.")
_REFUSED = Verdict(_FAIL, "Athena refused the request", "Correct what its reason says.")
_THROTTLED = Verdict(_RETRY, "throttled", "Run fewer queries at once, or raise the account's quota.")

VERDICTS: Mapping[str | int | None, Verdict] = {
    key: verdict
    for keys, verdict in (
        # Failed queries: name of the error, AthenaError.ErrorType
        (range(9), Verdict(_RESUBMIT, "resources exhausted", "Make the query lighter if it happens again.")),
        ((206, 210), Verdict(_FAIL, "query timed out", "Make it smaller, or raise the timeout quota.")),
        ([233], Verdict(_RESUBMIT, "an Iceberg table changed meanwhile")),
        ((401, 402), Verdict(_FAIL, "the result could not be written", "See the query result bucket.")),
        (("SYNTAX_ERROR", "COLUMN_NOT_FOUND", "CATALOG_NOT_FOUND", 1006), _BAD_SQL),
        (("TYPE_MISMATCH", 1002, "FUNCTION_NOT_FOUND", 1303, "NOT_SUPPORTED", 1200), _BAD_SQL),
        (("DIVISION_BY_ZERO", 1001, "INVALID_CAST_ARGUMENT", 1100), _BAD_VALUE),
        (("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", 1301), _NO_TABLE),
        (("TABLE_ALREADY_EXISTS", 1110), Verdict(_FAIL, "the table exists already", "Correct the SQL.")),
        ([1008], Verdict(_FAIL, "Athena rejected the query", "Correct what its reason says.")),
        ((1011, 1014), CANCELLED),
        ((1400, 1401, *range(1403, 1407)), Verdict(_RESUBMIT, "throttled by a service that Athena reads")),
        ([1402], Verdict(_FAIL, "a Glue table has too many versions", "Delete old versions of the table.")),
        ((234, 1500, 1501), _NO_ACCESS),
        ([1502], Verdict(_FAIL, "Glue refused the table", "Correct what the reason says.")),
        ([1602], Verdict(_RESUBMIT, "no capacity")),
        # Failed calls: code of the error
        (("ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown"), _THROTTLED),
        (["RequestLimitExceeded"], _THROTTLED),
        (("InternalServerException", "InternalServerError", "InternalFailure"), _NO_ANSWER),
        (["ServiceUnavailable"], _NO_ANSWER),
        (("AccessDeniedException", "AccessDenied"), _NO_ACCESS),
        (("UnrecognizedClientException", "ExpiredTokenException"), _NO_ACCESS),
        (["InvalidRequestException"], _REFUSED),
    )
    for key in keys
}
"""Verdicts by name of the error, ErrorType, and code of an API error."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]+(?=:)")


def execution_verdict(execution: QueryExecution) -> Verdict:
    """Return what it means that a query is FAILED or CANCELLED.

    The name of the error decides, then its number. `Retryable: false` overrules a resubmission. An unknown
    error is resubmitted only if Athena calls it its own fault and retryable.
    """
    if "bytes scanned limit" in execution.reason.lower():
        return _CUTOFF
    if execution.state is QueryState.CANCELLED:
        return CANCELLED
    name = _NAME.match(execution.reason)
    verdict = VERDICTS.get(name[0] if name else None) or VERDICTS.get(execution.error_type)
    if verdict is None:
        return _TRANSIENT if execution.error_category == 1 and execution.retryable else _UNKNOWN
    if verdict.decision is Decision.RESUBMIT and execution.retryable is False:
        return verdict._replace(decision=Decision.FAIL)
    return verdict


def call_verdict(code: str, http_status: int) -> Verdict:
    """Return what an API error means.

    Args:
        code: Code of the error, such as `ThrottlingException`; empty where no answer arrived.
        http_status: HTTP status; 0 where no answer arrived.
    """
    if verdict := VERDICTS.get(code):
        return verdict
    if http_status == 0 or http_status >= 500:
        return _NO_ANSWER
    return Verdict(Decision.FAIL, f"Athena refused the request ({code})", "Correct the request.")


def is_current(execution: QueryExecution) -> bool:
    """Return whether the execution is active, succeeded, or failed for good.

    A query that was cancelled, or that Athena failed for a reason that passes, may be submitted again.
    """
    if execution.state not in (QueryState.FAILED, QueryState.CANCELLED):
        return True
    verdict = execution_verdict(execution)
    return verdict is not CANCELLED and verdict.decision is Decision.FAIL


def has_succeeded(execution: QueryExecution) -> bool:
    """Return whether the query has succeeded; False while it is running.

    Raises:
        QueryError: The query failed or was cancelled, or its state is unknown.
    """
    if execution.is_running:
        return False
    if execution.state is QueryState.SUCCEEDED:
        if not execution.submitted_at:
            raise QueryError(
                f"Query {execution.id} has succeeded, but Athena does not say when it was submitted. "
                f"Clear wait_for_query to ask again."
            )
        return True
    scanned = f"{execution.scanned_bytes:,} bytes scanned (about {execution.price_usd:.5f} USD)"
    if execution.state is QueryState.UNKNOWN:
        raise QueryError(
            f"Query {execution.id}: {execution.reason}, which is neither success nor failure [{scanned}]. "
            f"Look at it in the Athena console before clearing run_query."
        )
    verdict = execution_verdict(execution)
    category = {1: "system", 2: "user", 3: "other"}.get(execution.error_category or 0, "none")
    number = "none" if execution.error_type is None else execution.error_type
    raise QueryError(
        f"Query {execution.id} is {execution.state}: {execution.reason or 'Athena gives no reason'} "
        f"[{verdict.meaning}; category {category}, type {number}; {scanned}]. {verdict.advice}"
    )
