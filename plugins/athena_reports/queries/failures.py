"""The decision table: which failure of a query means what.

Sources: Athena's user guide ("error categories and types"), its API reference, and recordings of real errors.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from athena_reports.aws.errors import GRANT_ACCESS
from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState


class Decision(StrEnum):
    """What to do: start the query again, or fail, since that would not help."""

    RESUBMIT = "resubmit"
    FAIL = "fail now"


class Verdict(NamedTuple):
    """What a failure means, and what to do about it."""

    decision: Decision
    meaning: str
    hint: str  # what a person can correct

    @property
    def advice(self) -> str:
        """The next step for a person, when the failure is final."""
        return f"{self.hint} Clear run_query and its downstream tasks to try again.".lstrip()


_RESUBMIT, _FAIL = Decision
_ROWS: tuple[tuple[Decision, str, str, Iterable[str | int]], ...] = (
    # Name of the error, AthenaError.ErrorType; one number stands for several, so the name decides first
    (_RESUBMIT, "resources exhausted", "Make the query lighter if it happens again.", range(9)),
    (_FAIL, "query timed out", "Make it smaller, or raise the workgroup's timeout quota.", (206, 210)),
    (_RESUBMIT, "an Iceberg table changed meanwhile", "", [233]),
    (_FAIL, "the result could not be written", "Check that the query result bucket can be written to.", (401, 402)),
    (_FAIL, "the SQL is not valid", "Correct it.", ("SYNTAX_ERROR", "COLUMN_NOT_FOUND", "TYPE_MISMATCH", 1002, 1006)),
    (_FAIL, "the SQL is not valid", "Correct it.", ("CATALOG_NOT_FOUND", "FUNCTION_NOT_FOUND", 1200, 1303)),
    (_FAIL, "the SQL is not valid", "Correct it.", ["NOT_SUPPORTED"]),
    (_FAIL, "a value does not fit", "Correct the SQL, or the data.", ("DIVISION_BY_ZERO", 1001)),
    (_FAIL, "a value does not fit", "Correct the SQL, or the data.", ("INVALID_CAST_ARGUMENT", 1100)),
    (_FAIL, "a table does not exist", "Create it, or correct the SQL.", ("TABLE_NOT_FOUND", 1301)),
    (_FAIL, "a database does not exist", "Create it, or correct the SQL.", ["SCHEMA_NOT_FOUND"]),
    (_FAIL, "the table exists already", "Correct the SQL.", ("TABLE_ALREADY_EXISTS", 1110)),
    (_FAIL, "Athena rejected the query", "Correct what its reason says.", [1008]),
    (_FAIL, "somebody cancelled the query", "Find out who did, and why.", (1011, 1014)),
    (_RESUBMIT, "throttled by a service that Athena reads from", "", (1400, 1401, *range(1403, 1407))),
    (_FAIL, "a Glue table has too many versions", "Delete old ones.", [1402]),
    (_FAIL, "permission denied", GRANT_ACCESS, (234, 1500, 1501)),
    (_FAIL, "Glue refused the table", "Correct what the reason says.", [1502]),
    (_RESUBMIT, "no capacity", "", [1602]),
)
VERDICTS: Mapping[str | int | None, Verdict] = {key: Verdict(*row[:3]) for row in _ROWS for key in row[3]}
CANCELLED = VERDICTS[1011]
_TRANSIENT = Verdict(_RESUBMIT, "a transient fault of Athena", "")
_UNKNOWN = Verdict(_FAIL, "no known reason", "Look at the query in the console.")


def execution_verdict(execution: QueryExecution) -> Verdict:
    """Return what it means that a query has not succeeded."""
    if "bytes scanned limit" in execution.reason.lower():
        return Verdict(_FAIL, "the workgroup's scan limit was exceeded", "Check each partition filter, or the limit.")
    if execution.state is QueryState.CANCELLED:
        return CANCELLED
    verdict = VERDICTS.get(execution.reason.partition(":")[0]) or VERDICTS.get(execution.error_type)
    if verdict is None:  # only Athena's own faults are retryable without being known
        return _TRANSIENT if execution.error_category == 1 and execution.retryable else _UNKNOWN
    if verdict.decision is Decision.RESUBMIT and execution.retryable is False:
        return verdict._replace(decision=Decision.FAIL)
    return verdict


def is_current(execution: QueryExecution) -> bool:
    """Return whether the execution is active, succeeded, or failed for good: else it may be submitted again."""
    if execution.state not in (QueryState.FAILED, QueryState.CANCELLED):
        return True
    verdict = execution_verdict(execution)
    return verdict != CANCELLED and verdict.decision is Decision.FAIL


def has_succeeded(execution: QueryExecution) -> bool:
    """Return whether the query has succeeded; False while it is running, else QueryError."""
    if execution.is_running or execution.state is QueryState.SUCCEEDED:
        return execution.state is QueryState.SUCCEEDED
    verdict = execution_verdict(execution)
    price = "" if execution.price_usd is None else f" (about {execution.price_usd:.5f} USD)"
    scanned = f"{execution.scanned_bytes:,} bytes scanned{price}"
    said = f"Query {execution.id} is {execution.state}: {execution.reason or 'Athena gives no reason'}"
    why = f"{verdict.meaning}; category {execution.error_category}, type {execution.error_type}; {scanned}"
    raise QueryError(f"{said} [{why}]. {verdict.advice}")
