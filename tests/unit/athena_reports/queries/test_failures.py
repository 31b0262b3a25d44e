"""What a failure means, beside the user guide and recordings of the real service."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.aws.errors import ErrorKind
from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState
from athena_reports.queries.failures import QueryFailedError, execution_kind, may_pass

# By AthenaError.ErrorType, from the user guide.
KINDS = {
    **dict.fromkeys(range(9), ErrorKind.RESOURCES_EXHAUSTED),
    206: ErrorKind.TIMED_OUT,
    210: ErrorKind.TIMED_OUT,
    233: ErrorKind.FAILED,  # any error of an Iceberg table
    234: ErrorKind.DENIED,
    401: ErrorKind.NOT_WRITTEN,
    402: ErrorKind.NOT_WRITTEN,
    1011: ErrorKind.CANCELLED,
    1014: ErrorKind.CANCELLED,
    **dict.fromkeys((1400, 1401, 1403, 1404, 1405, 1406), ErrorKind.THROTTLED),
    1402: ErrorKind.FAILED,  # too many versions of a table in Glue
    # Recorded mistakes of authors, such as TABLE_NOT_FOUND, COLUMN_NOT_FOUND and TYPE_MISMATCH.
    **dict.fromkeys((1001, 1002, 1006, 1100, 1110, 1200, 1301, 1303), ErrorKind.FAILED),
    1500: ErrorKind.DENIED,
    1501: ErrorKind.DENIED,
    1602: ErrorKind.TRANSIENT,
}
PASSING = (1400, 1401, 1403, 1404, 1405, 1406, 1602)
RETRYABLE = st.sampled_from([None, False, True])


def failed(error_type: int | None = None, state: str = "FAILED", **fields: Any) -> QueryExecution:
    return QueryExecution(id="q-1", state=QueryState(state), error_type=error_type, **fields)


@pytest.mark.parametrize(("error_type", "kind"), KINDS.items())
def test_every_documented_type_has_its_kind(error_type: int, kind: ErrorKind) -> None:
    assert execution_kind(failed(error_type, error_category=2)) is kind


@pytest.mark.parametrize("error_type", KINDS)
@pytest.mark.parametrize("retryable", [None, False, True])
def test_a_documented_type_is_started_again_if_it_passes_and_athena_does_not_deny_it(
    error_type: int, retryable: bool | None
) -> None:
    """The same query usually needs the same resources again, so there Athena has to say it."""
    execution = failed(error_type, error_category=2, retryable=retryable)
    expected = error_type in PASSING and retryable is not False
    if error_type < 9 or error_type == 233:
        expected = retryable is True
    assert may_pass(execution) is expected


@given(
    st.none() | st.integers().filter(lambda error_type: error_type not in KINDS),
    st.sampled_from([None, 1, 2, 3, 9]),
    RETRYABLE,
    st.text(),
)
def test_an_unknown_error_is_started_again_only_if_athena_blames_itself_and_says_so(
    error_type: int | None, category: int | None, retryable: bool | None, reason: str
) -> None:
    execution = failed(error_type, error_category=category, retryable=retryable, reason=reason)
    assert may_pass(execution) is (category == 1 and retryable is True)


@given(st.sampled_from([None, *KINDS]), RETRYABLE)
def test_a_cancelled_query_is_final(error_type: int | None, retryable: bool | None) -> None:
    execution = failed(error_type, "CANCELLED", error_category=1, retryable=retryable)
    assert execution_kind(execution) is ErrorKind.CANCELLED
    assert not may_pass(execution)


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
@pytest.mark.parametrize("error_type", [None, 0, 1401, 1011])
def test_a_scan_cutoff_is_final_however_athena_ends_it(state: str, error_type: int | None) -> None:
    reason = "Bytes scanned limit was exceeded"
    execution = failed(error_type, state, error_category=1, retryable=True, reason=reason)
    assert execution_kind(execution) is ErrorKind.SCAN_LIMIT
    assert not may_pass(execution)


@pytest.mark.parametrize(("state", "usd"), [("FAILED", "0.00000"), ("CANCELLED", "0.01000")])
def test_the_message_says_whose_query_why_what_it_scanned_and_what_to_do(
    state: str, usd: str
) -> None:
    execution = failed(
        1301,
        state,
        error_category=2,
        reason="TABLE_NOT_FOUND: line 1:15",
        scanned_bytes=2_000_000_000,
        region="us-east-1",
    )
    failure = QueryFailedError(execution, about="plays_weekly", link="https://console")
    kind = execution_kind(execution)
    assert isinstance(failure, QueryError)
    assert not failure.retryable
    assert (failure.execution, failure.kind, failure.link) == (execution, kind, "https://console")
    assert failure.advice == (
        f"{kind.advice} Clear run_query and its downstream tasks to try again.".lstrip()
    )
    assert str(failure) == (
        f"plays_weekly: Query q-1 is {state}: TABLE_NOT_FOUND: line 1:15 [{kind.meaning}; "
        f"category 2, type 1301; 2,000,000,000 bytes scanned (about {usd} USD)]. "
        f"{failure.advice} https://console"
    )


def test_a_failure_without_reason_price_and_link() -> None:
    failure = QueryFailedError(
        failed(1602, dpu_count=4.0), about="plays", try_again="Run it again."
    )
    assert str(failure) == (
        "plays: Query q-1 is FAILED: Athena gave no reason [transient failure; "
        "category None, type 1602; 0 bytes scanned]. Run it again."
    )


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("INVALID_CAST_ARGUMENT: Cannot cast 'a@example.com' to BIGINT", "INVALID_CAST_ARGUMENT"),
        ("HIVE_BAD_DATA: Error parsing field value 'a@example.com'", "HIVE_BAD_DATA"),
        ("a@example.com: it is no number", ""),
        ("A_B", ""),
        ("", ""),
    ],
)
def test_the_message_without_values_has_the_name_in_the_place_of_the_reason(
    reason: str, name: str
) -> None:
    execution = failed(1100, error_category=2, reason=reason)
    failure = QueryFailedError(execution, about="plays", link="https://x")
    told = f"{name}, see" if name else "see"
    assert failure.message_without_values == str(failure).replace(
        reason or "Athena gave no reason", f"{told} the task log for Athena's reason"
    )
