"""Which failure means what: one table, read by the operator, the sensor and the trigger alike.

Sources: the AthenaError section of the Athena user guide ("Understand Amazon Athena error categories and
types") and the exceptions of each action in the API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution

_FAILED = frozenset({"FAILED", "CANCELLED"})


class Decision(StrEnum):
    """What to do about a failure."""

    RESUBMIT = "resubmit"
    """Start the query again: Athena failed it for a reason that passes."""
    RETRY_CALL = "retry the call"
    """Send the same request again after a pause: it was not served."""
    FAIL = "fail now"
    """Trying again would cost and change nothing."""


@dataclass(frozen=True)
class Verdict:
    """What a failure means.

    Attributes:
        decision: What to do about it.
        meaning: What it is, in a few words.
        advice: What a person can do when it is final.
    """

    decision: Decision
    meaning: str
    advice: str


SYSTEM, USER = 1, 2
"""ErrorCategory: Athena's own fault, and the query's. 3 is neither."""

_AGAIN = "Clear run_query with all that is downstream to try again"
_RESOURCES = Verdict(
    Decision.RESUBMIT, "resources exhausted", f"Make the query lighter if it happens again. {_AGAIN}."
)
_TIMEOUT = Verdict(
    Decision.FAIL,
    "query timed out",
    f"Make the query smaller, or raise the workgroup's DML timeout quota. {_AGAIN}.",
)
_THROTTLED = Verdict(Decision.RESUBMIT, "throttled by a service that Athena reads from", f"{_AGAIN}.")
_NO_ACCESS = Verdict(
    Decision.FAIL, "permission denied", f"Grant what is missing to the role of the Airflow workers. {_AGAIN}."
)
_BAD_SQL = Verdict(Decision.FAIL, "the SQL is not valid", f"Correct the report's SQL. {_AGAIN}.")
CANCELLED = Verdict(Decision.FAIL, "somebody cancelled the query", f"See who did, and why. {_AGAIN}.")
_RESULT_WRITE = Verdict(
    Decision.FAIL,
    "the result could not be written",
    f"See that the query result bucket exists and may be written to. {_AGAIN}.",
)
_CUTOFF = Verdict(
    Decision.FAIL,
    "the workgroup's scan limit was exceeded",
    f"See why the query reads so much (is every partition filter there?), or raise the limit. {_AGAIN}.",
)
_TRANSIENT = Verdict(Decision.RESUBMIT, "a fault of Athena's that may pass", f"{_AGAIN}.")
_UNKNOWN = Verdict(Decision.FAIL, "no known reason", f"Look at the query in the console. {_AGAIN}.")

ERROR_TYPES: Mapping[int, Verdict] = {
    **dict.fromkeys(range(9), _RESOURCES),
    206: _TIMEOUT,
    210: _TIMEOUT,
    233: Verdict(Decision.RESUBMIT, "an Iceberg table changed meanwhile", f"{_AGAIN}."),
    234: _NO_ACCESS,
    401: _RESULT_WRITE,
    402: _RESULT_WRITE,
    1006: _BAD_SQL,
    1008: Verdict(Decision.FAIL, "Athena rejected the query", f"Correct what its reason says. {_AGAIN}."),
    1011: CANCELLED,
    1014: CANCELLED,
    1110: Verdict(
        Decision.FAIL, "a table does not exist", f"Create it, or correct the SQL or the database. {_AGAIN}."
    ),
    **dict.fromkeys(range(1400, 1407), _THROTTLED),
    1500: _NO_ACCESS,
    1501: _NO_ACCESS,
    1602: Verdict(Decision.RESUBMIT, "no capacity", f"{_AGAIN}."),
}
"""Verdicts by AthenaError.ErrorType."""

_CALLS: Mapping[str, Verdict] = {
    **dict.fromkeys(
        ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"),
        Verdict(Decision.RETRY_CALL, "throttled", "Run fewer queries at once, or raise the account's quota."),
    ),
    **dict.fromkeys(
        ("InternalServerException", "InternalServerError", "ServiceUnavailable", "InternalFailure"),
        Verdict(Decision.RETRY_CALL, "Athena did not answer", "See the AWS health dashboard."),
    ),
    **dict.fromkeys(
        ("AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException"),
        _NO_ACCESS,
    ),
    "InvalidRequestException": Verdict(
        Decision.FAIL, "Athena refused the request", f"Correct what its reason says. {_AGAIN}."
    ),
}
"""Verdicts by the code of an API error."""


def of_execution(execution: QueryExecution) -> Verdict:
    """Return what it means that a query is FAILED or CANCELLED.

    A known ErrorType decides. Athena's own `Retryable: false` overrules a resubmission. An unknown type is
    tried again only if Athena calls it its own fault and retryable.
    """
    reason = execution.reason.lower()
    if "bytes scanned limit" in reason:
        return _CUTOFF
    if execution.state == "CANCELLED":
        return CANCELLED
    known = ERROR_TYPES.get(execution.error_type) if execution.error_type is not None else None
    if known is None:
        return _TRANSIENT if execution.error_category == SYSTEM and execution.retryable else _UNKNOWN
    if known.decision is Decision.RESUBMIT and execution.retryable is False:
        return Verdict(Decision.FAIL, known.meaning, known.advice)
    return known


def of_call(code: str, http_status: int) -> Verdict:
    """Return what an API error means; an unknown code is retried if the server is at fault (HTTP 5xx).

    Args:
        code: Error code, such as `ThrottlingException`; empty where no answer arrived at all.
        http_status: HTTP status; 0 where no answer arrived.
    """
    if code in _CALLS:
        return _CALLS[code]
    if http_status == 0 or http_status >= 500:
        return Verdict(Decision.RETRY_CALL, "Athena did not answer", "See the network and its endpoints.")
    return Verdict(Decision.FAIL, f"Athena refused the request ({code})", f"Correct the request. {_AGAIN}.")


def has_succeeded(execution: QueryExecution) -> bool:
    """Return whether the query has succeeded; False while it is still under way.

    A state that is missing or unknown is neither: guessing would publish a result that is not there.

    Raises:
        QueryError: The query failed or was cancelled, or its state is unknown.
    """
    if execution.state == "SUCCEEDED":
        if not execution.submitted_at:
            raise QueryError(
                f"Query {execution.id} has succeeded, but Athena does not say when it was submitted. "
                f"Clear wait_for_query to ask again."
            )
        return True
    if execution.is_running:
        return False
    scanned = f"{execution.scanned_bytes:,} bytes scanned (about {execution.price_usd:.5f} USD)"
    if execution.state in _FAILED:
        verdict = of_execution(execution)
        raise QueryError(
            f"Query {execution.id} is {execution.state}: {execution.reason or 'Athena gives no reason'} "
            f"[{verdict.meaning}; {execution.error_facts}; {scanned}]. {verdict.advice}"
        )
    raise QueryError(
        f"Query {execution.id} is in the state {execution.state or 'missing'!r}, which is neither success "
        f"nor failure [{scanned}]. Look at it in the Athena console before clearing run_query."
    )
