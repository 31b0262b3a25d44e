"""The decision table: which failure of a query or of a call means what.

Sources: "Understand Amazon Athena error categories and types" in the Athena user guide, the exceptions of
each action in the API reference, and recordings of real errors. One number stands for several errors, so the
name of the error decides first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState


class Decision(StrEnum):
    """What to do: start the query again, send the request again, or fail, since neither would help."""

    RESUBMIT = "resubmit"
    RETRY_CALL = "retry the call"
    FAIL = "fail now"


class Verdict(NamedTuple):
    """What a failure means, what to do about it, and what a person can correct."""

    decision: Decision
    meaning: str
    hint: str

    @property
    def advice(self) -> str:
        """The next step for a person, when the failure is final."""
        return f"{self.hint} Clear run_query with all that is downstream to try again.".lstrip()


_RESUBMIT, _RETRY, _FAIL = Decision
_NO_ACCESS = "Grant what is missing to the role of the Airflow workers."
_QUOTA = "Run fewer queries at once, or raise the account's quota."
_BUCKET = "See that the query result bucket exists and may be written to."
_ROWS: tuple[tuple[Decision, str, str, Iterable[str | int]], ...] = (
    # Failed queries: name of the error, AthenaError.ErrorType
    (_RESUBMIT, "resources exhausted", "Make the query lighter if it happens again.", range(9)),
    (_FAIL, "query timed out", "Make it smaller, or raise the workgroup's timeout quota.", (206, 210)),
    (_RESUBMIT, "an Iceberg table changed meanwhile", "", [233]),
    (_FAIL, "the result could not be written", _BUCKET, (401, 402)),
    (_FAIL, "the SQL is not valid", "Correct it.", ("SYNTAX_ERROR", "COLUMN_NOT_FOUND", "TYPE_MISMATCH")),
    (_FAIL, "the SQL is not valid", "Correct it.", ("CATALOG_NOT_FOUND", "FUNCTION_NOT_FOUND")),
    (_FAIL, "the SQL is not valid", "Correct it.", ("NOT_SUPPORTED", 1002, 1006, 1200, 1303)),
    (_FAIL, "a value does not fit", "Correct the SQL, or the data.", ("DIVISION_BY_ZERO", 1001)),
    (_FAIL, "a value does not fit", "Correct the SQL, or the data.", ("INVALID_CAST_ARGUMENT", 1100)),
    (_FAIL, "a table does not exist", "Create it, or correct the SQL.", ("TABLE_NOT_FOUND", 1301)),
    (_FAIL, "a database does not exist", "Create it, or correct the SQL.", ["SCHEMA_NOT_FOUND"]),
    (_FAIL, "the table exists already", "Correct the SQL.", ("TABLE_ALREADY_EXISTS", 1110)),
    (_FAIL, "Athena rejected the query", "Correct what its reason says.", [1008]),
    (_FAIL, "somebody cancelled the query", "See who did, and why.", (1011, 1014)),
    (_RESUBMIT, "throttled by a service that Athena reads from", "", (1400, 1401, *range(1403, 1407))),
    (_FAIL, "a Glue table has too many versions", "Delete old ones.", [1402]),
    (_FAIL, "permission denied", _NO_ACCESS, (234, 1500, 1501)),
    (_FAIL, "Glue refused the table", "Correct what the reason says.", [1502]),
    (_RESUBMIT, "no capacity", "", [1602]),
    # Failed calls: code of the error
    (_RETRY, "throttled", _QUOTA, ("ThrottlingException", "TooManyRequestsException", "Throttling")),
    (_RETRY, "throttled", _QUOTA, ("RequestLimitExceeded", "SlowDown")),
    (_FAIL, "permission denied", _NO_ACCESS, ("AccessDeniedException", "AccessDenied")),
    (_FAIL, "permission denied", _NO_ACCESS, ("UnrecognizedClientException", "ExpiredTokenException")),
    (_FAIL, "Athena refused the request", "Correct what its reason says.", ["InvalidRequestException"]),
)
VERDICTS: Mapping[str | int | None, Verdict] = {
    key: Verdict(decision, meaning, hint) for decision, meaning, hint, keys in _ROWS for key in keys
}
"""Verdicts by name of the error, ErrorType, and code of an API error."""
CANCELLED = VERDICTS[1011]
_SCAN_LIMIT = Verdict(
    _FAIL,
    "the workgroup's scan limit was exceeded",
    "See why the query reads so much (is every partition filter there?), or raise the limit.",
)
_TRANSIENT = Verdict(_RESUBMIT, "a fault of Athena's that may pass", "")
_UNKNOWN = Verdict(_FAIL, "no known reason", "Look at the query in the console.")
_NO_ANSWER = Verdict(_RETRY, "Athena did not answer", "See the AWS health dashboard and the network.")


def execution_verdict(execution: QueryExecution) -> Verdict:
    """Return what it means that a query is FAILED or CANCELLED.

    The name of the error decides, then its number. `Retryable: false` overrules a resubmission. An unknown
    error is resubmitted only if Athena calls it its own fault and retryable.
    """
    if "bytes scanned limit" in execution.reason.lower():
        return _SCAN_LIMIT
    if execution.state is QueryState.CANCELLED:
        return CANCELLED
    name = execution.reason.partition(":")[0]
    verdict = VERDICTS.get(name) or VERDICTS.get(execution.error_type)
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
    if code not in VERDICTS and (http_status == 0 or http_status >= 500):
        return _NO_ANSWER
    return VERDICTS.get(code) or Verdict(_FAIL, f"Athena refused the request ({code})", "Correct it.")


def is_current(execution: QueryExecution) -> bool:
    """Return whether the execution is active, succeeded, or failed for good.

    A query that was cancelled, or that Athena failed for a reason that passes, may be submitted again.
    """
    if execution.state not in (QueryState.FAILED, QueryState.CANCELLED):
        return True
    verdict = execution_verdict(execution)
    return verdict != CANCELLED and verdict.decision is Decision.FAIL


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
