from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.queries import failures
from athena_reports.queries.execution import QueryExecution
from athena_reports.queries.failures import ERROR_TYPES, SYSTEM, USER, Decision, of_call, of_execution

RESUBMIT, RETRY, FAIL = Decision.RESUBMIT, Decision.RETRY_CALL, Decision.FAIL

# Written down from the user guide, apart from the table.
DOCUMENTED: list[tuple[int, Decision, str]] = [
    *((type_, RESUBMIT, "resources exhausted") for type_ in range(9)),
    (206, FAIL, "timed out"),
    (210, FAIL, "timed out"),
    (233, RESUBMIT, "Iceberg"),
    (234, FAIL, "permission"),
    (401, FAIL, "result could not be written"),
    (402, FAIL, "result could not be written"),
    (1006, FAIL, "SQL is not valid"),
    (1008, FAIL, "rejected"),
    (1011, FAIL, "cancelled"),
    (1014, FAIL, "cancelled"),
    (1110, FAIL, "table does not exist"),
    *((type_, RESUBMIT, "throttled") for type_ in range(1400, 1407)),
    (1500, FAIL, "permission"),
    (1501, FAIL, "permission"),
    (1602, RESUBMIT, "no capacity"),
]


def failed(
    error_type: int | None = None,
    *,
    category: int | None = None,
    retryable: bool | None = None,
    reason: str = "",
    state: str = "FAILED",
) -> QueryExecution:
    return QueryExecution("q-1", state, reason, "", "", 0, 0, 0, "", category, error_type, retryable)


@pytest.mark.parametrize(("error_type", "decision", "meaning"), DOCUMENTED)
@pytest.mark.parametrize("retryable", [None, True])
def test_every_documented_type_has_its_verdict(
    error_type: int, decision: Decision, meaning: str, retryable: bool | None
) -> None:
    verdict = of_execution(failed(error_type, category=USER, retryable=retryable))

    assert verdict.decision is decision
    assert meaning in verdict.meaning


def test_the_table_holds_the_documented_types_and_no_others() -> None:
    assert set(ERROR_TYPES) == {error_type for error_type, _, _ in DOCUMENTED}


@given(st.sampled_from(sorted(ERROR_TYPES)), st.sampled_from([None, 1, 2, 3]))
def test_what_athena_calls_not_retryable_is_never_started_again(
    error_type: int, category: int | None
) -> None:
    verdict = of_execution(failed(error_type, category=category, retryable=False))

    assert verdict.decision is FAIL
    assert verdict.meaning == ERROR_TYPES[error_type].meaning


@given(
    st.none() | st.integers().filter(lambda type_: type_ not in ERROR_TYPES),
    st.sampled_from([None, 1, 2, 3, 9]),
    st.sampled_from([None, False, True]),
)
def test_an_unknown_type_is_started_again_only_if_athena_blames_itself_and_says_so(
    error_type: int | None, category: int | None, retryable: bool | None
) -> None:
    verdict = of_execution(failed(error_type, category=category, retryable=retryable))

    assert (verdict.decision is RESUBMIT) == (category == SYSTEM and retryable is True)
    assert verdict.decision in (RESUBMIT, FAIL)


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
@pytest.mark.parametrize("error_type", [None, 0, 1402, 1011])
def test_a_scan_cutoff_fails_now_however_athena_ends_it(state: str, error_type: int | None) -> None:
    reason = "Bytes scanned limit was exceeded"
    verdict = of_execution(failed(error_type, category=SYSTEM, retryable=True, reason=reason, state=state))

    assert verdict.decision is FAIL
    assert "scan limit" in verdict.meaning
    assert "partition filter" in verdict.advice


@given(st.sampled_from([None, *ERROR_TYPES]), st.sampled_from([None, True, False]))
def test_a_cancelled_query_is_never_started_again(error_type: int | None, retryable: bool | None) -> None:
    verdict = of_execution(failed(error_type, category=SYSTEM, retryable=retryable, state="CANCELLED"))

    assert verdict is failures.CANCELLED
    assert verdict.decision is FAIL


@pytest.mark.parametrize(
    ("code", "status", "decision", "meaning"),
    [
        ("InvalidRequestException", 400, FAIL, "refused the request"),
        ("InternalServerException", 500, RETRY, "did not answer"),
        ("TooManyRequestsException", 400, RETRY, "throttled"),
        ("ThrottlingException", 400, RETRY, "throttled"),
        ("AccessDeniedException", 400, FAIL, "permission"),
        ("ExpiredTokenException", 403, FAIL, "permission"),
        ("ServiceUnavailable", 503, RETRY, "did not answer"),
        # unknown ones: the server's fault passes, the request's does not, and no answer is nobody's
        ("SomethingNew", 400, FAIL, "SomethingNew"),
        ("SomethingNew", 500, RETRY, "did not answer"),
        ("", 0, RETRY, "did not answer"),
    ],
)
def test_every_documented_exception_of_a_call_has_its_verdict(
    code: str, status: int, decision: Decision, meaning: str
) -> None:
    verdict = of_call(code, status)

    assert verdict.decision is decision
    assert meaning in verdict.meaning


@given(st.text(), st.integers(400, 599))
def test_a_failed_call_never_starts_a_query_again_by_itself(code: str, status: int) -> None:
    assert of_call(code, status).decision in (RETRY, FAIL)


def test_every_final_verdict_says_what_to_do_next() -> None:
    for verdict in ERROR_TYPES.values():
        assert verdict.advice.endswith(".")
        assert "Clear run_query" in verdict.advice
