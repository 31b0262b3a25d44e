"""The decision table, beside the user guide and recordings of the real service."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, QueryState
from athena_reports.queries.failures import (
    VERDICTS_BY_TYPE,
    Decision,
    QueryFailedError,
    execution_verdict,
)

RESUBMIT, FAIL = Decision

# From the user guide, without the numbers that real errors use differently.
PASSING = [233, 1400, 1401, 1403, 1404, 1405, 1406, 1602]
EXHAUSTED_TYPES = range(9)
FINAL = [206, 210, 234, 401, 402, 1008, 1402, 1500, 1501]
# Recorded from the real service.
RECORDED: list[tuple[str, int, str]] = [
    ("TABLE_NOT_FOUND", 1301, "a table does not exist"),
    ("SCHEMA_NOT_FOUND", 1301, "does not exist"),
    ("COLUMN_NOT_FOUND", 1006, "SQL is not valid"),
    ("CATALOG_NOT_FOUND", 1006, "SQL is not valid"),
    ("FUNCTION_NOT_FOUND", 1303, "SQL is not valid"),
    ("NOT_SUPPORTED", 1200, "SQL is not valid"),
    ("DIVISION_BY_ZERO", 1001, "a value does not fit"),
    ("INVALID_CAST_ARGUMENT", 1100, "a value does not fit"),
    ("TABLE_ALREADY_EXISTS", 1110, "exists already"),
]
# Trino's names (StandardErrorCode) of mistakes of an author. Athena's numbers are not known.
OF_TRINO: list[tuple[str, str]] = [
    ("EXPRESSION_NOT_AGGREGATE", "SQL is not valid"),
    ("MISSING_GROUP_BY", "SQL is not valid"),
    ("NESTED_AGGREGATION", "SQL is not valid"),
    ("AMBIGUOUS_NAME", "SQL is not valid"),
    ("DUPLICATE_COLUMN_NAME", "SQL is not valid"),
    ("MISSING_COLUMN_NAME", "SQL is not valid"),
    ("MISSING_OVER", "SQL is not valid"),
    ("INVALID_COLUMN_REFERENCE", "SQL is not valid"),
    ("EXPRESSION_NOT_SCALAR", "SQL is not valid"),
    ("EXPRESSION_NOT_IN_DISTINCT", "SQL is not valid"),
    ("MISMATCHED_COLUMN_ALIASES", "SQL is not valid"),
    ("INVALID_LITERAL", "SQL is not valid"),
    ("TYPE_NOT_FOUND", "SQL is not valid"),
    ("INVALID_FUNCTION_ARGUMENT", "a value does not fit"),
    ("NUMERIC_VALUE_OUT_OF_RANGE", "a value does not fit"),
    ("SUBQUERY_MULTIPLE_ROWS", "a value does not fit"),
]


def failed(error_type: int | None = None, state: str = "FAILED", **fields: Any) -> QueryExecution:
    return QueryExecution(id="q-1", state=QueryState(state), error_type=error_type, **fields)


@pytest.mark.parametrize("error_type", [*PASSING, *FINAL, 1011, 1014])
def test_every_documented_type_has_its_verdict(error_type: int) -> None:
    for retryable in (None, True):
        execution = failed(error_type, error_category=2, retryable=retryable)
        assert execution_verdict(execution).decision is (
            RESUBMIT if error_type in PASSING else FAIL
        )
    assert execution_verdict(failed(error_type, retryable=False)).decision is FAIL


@pytest.mark.parametrize("error_type", EXHAUSTED_TYPES)
@pytest.mark.parametrize(("retryable", "decision"), [(True, RESUBMIT), (False, FAIL), (None, FAIL)])
def test_exhausted_resources_are_tried_again_only_if_athena_says_so(
    error_type: int, retryable: bool | None, decision: Decision
) -> None:
    execution = failed(error_type, error_category=1, retryable=retryable)
    assert execution_verdict(execution).decision is decision


# By the user guide: what a number means, and the beginning of what a person can do.
EXHAUSTED = ("resources exhausted", "Reduce the query's memory use.")
THROTTLED = ("throttled by a service that Athena reads from", "")
DENIED = ("permission denied", "Grant what is missing to the role of the Airflow workers.")
MEANINGS: dict[int, tuple[str, str]] = {
    **dict.fromkeys(range(9), EXHAUSTED),
    **dict.fromkeys((206, 210), ("query timed out", "Make it smaller, or raise the workgroup's")),
    233: ("an Iceberg table changed meanwhile", ""),
    **dict.fromkeys((234, 1500, 1501), DENIED),
    **dict.fromkeys(
        (401, 402),
        ("the result could not be written", "Check that the query result bucket can be written"),
    ),
    1008: ("Athena rejected the query", "Correct what its reason says."),
    **dict.fromkeys((1011, 1014), ("the query was cancelled", "")),
    **dict.fromkeys((1400, 1401, 1403, 1404, 1405, 1406), THROTTLED),
    1402: ("a Glue table has too many versions", "Delete old ones."),
    1502: ("Glue refused the table", "Correct what the reason says."),
    1602: ("no capacity", ""),
    **dict.fromkeys((1301,), ("a table does not exist", "Create it, or correct the SQL.")),
    1110: ("the table exists already", "Correct the SQL."),
    **dict.fromkeys((1006, 1200, 1303), ("the SQL is not valid", "Correct it.")),
    **dict.fromkeys((1001, 1002, 1100), ("a value does not fit", "Correct the SQL, or the data.")),
}


@pytest.mark.parametrize("error_type", VERDICTS_BY_TYPE)
def test_a_number_without_a_name_says_what_happened_and_what_to_do(error_type: int) -> None:
    verdict = execution_verdict(failed(error_type, error_category=2))
    meaning, hint = MEANINGS[error_type]
    assert verdict.meaning == meaning
    assert verdict.hint.startswith(hint)
    assert bool(verdict.hint) == bool(hint)


def test_each_number_that_is_known_has_a_meaning_here() -> None:
    assert MEANINGS.keys() == VERDICTS_BY_TYPE.keys()


def test_a_failure_of_a_command_says_how_its_author_tries_again() -> None:
    failure = QueryFailedError(failed(1006), try_again="Run the command again.")
    assert failure.advice == "Correct it. Run the command again."
    assert "Clear run_query" not in str(failure)
    assert QueryFailedError(failed(1602)).advice == (
        "Clear run_query and its downstream tasks to try again."
    )


@pytest.mark.parametrize(("name", "error_type", "meaning"), RECORDED)
def test_every_recorded_error_is_known_by_its_name_first_and_then_by_its_number(
    name: str, error_type: int, meaning: str
) -> None:
    """Neither needs Athena to say that another try does not help."""
    reason = f"{name}: line 1:15: Table ... "
    for number, said in ((error_type, reason), (error_type, ""), (1400, reason)):
        for retryable in (None, True, False):
            execution = failed(number, error_category=2, retryable=retryable, reason=said)
            verdict = execution_verdict(execution)
            assert (verdict.decision, meaning in verdict.meaning) == (FAIL, True)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("TYPE_MISMATCH: line 1:15: ...", "the SQL is not valid"),
        ("Cannot cast 'x' to BIGINT", "a value does not fit"),
        ("", "a value does not fit"),
    ],
)
def test_the_number_of_a_type_mismatch_is_that_of_wrong_data_too(reason: str, meaning: str) -> None:
    for retryable in (None, True, False):
        execution = failed(1002, error_category=2, retryable=retryable, reason=reason)
        verdict = execution_verdict(execution)
        assert (verdict.decision, verdict.meaning) == (FAIL, meaning)


@pytest.mark.parametrize(("name", "meaning"), OF_TRINO)
def test_an_error_of_the_sql_that_was_not_recorded_is_known_by_its_name(
    name: str, meaning: str
) -> None:
    execution = failed(1000, error_category=2, reason=f"{name}: line 1:15: ...")
    verdict = execution_verdict(execution)
    assert meaning in verdict.meaning
    assert verdict.decision is FAIL
    assert "Correct" in verdict.hint


@given(
    st.none() | st.integers().filter(lambda type_: type_ not in VERDICTS_BY_TYPE),
    st.sampled_from([None, 1, 2, 3, 9]),
    st.sampled_from([None, False, True]),
    st.text(),
)
def test_an_unknown_error_is_started_again_only_if_athena_blames_itself_and_says_so(
    error_type: int | None, category: int | None, retryable: bool | None, reason: str
) -> None:
    verdict = execution_verdict(
        failed(error_type, error_category=category, retryable=retryable, reason=reason)
    )
    assert verdict.decision is (RESUBMIT if category == 1 and retryable else FAIL)


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
@pytest.mark.parametrize("error_type", [None, 0, 1401, 1011])
def test_a_scan_cutoff_fails_now_however_athena_ends_it(state: str, error_type: int | None) -> None:
    execution = failed(
        error_type,
        state,
        error_category=1,
        retryable=True,
        reason="Bytes scanned limit was exceeded",
    )
    verdict = execution_verdict(execution)

    assert verdict.decision is FAIL
    assert "scan limit" in verdict.meaning
    assert "partition filter" in verdict.hint


@pytest.mark.parametrize(("state", "usd"), [("FAILED", "0.00000"), ("CANCELLED", "0.01000")])
def test_a_failure_says_which_query_why_what_it_scanned_and_what_to_do(
    state: str, usd: str
) -> None:
    execution = failed(
        1301,
        state,
        reason="TABLE_NOT_FOUND: line 1:15",
        scanned_bytes=2_000_000_000,
        region="us-east-1",
    )
    message = str(QueryFailedError(execution))

    assert message.startswith(f"Query q-1 is {state}: TABLE_NOT_FOUND: line 1:15")
    assert f"category None, type 1301; 2,000,000,000 bytes scanned (about {usd} USD)" in message
    assert "Clear run_query and its downstream tasks to try again." in message


@given(
    st.none() | st.sampled_from(sorted(VERDICTS_BY_TYPE)) | st.integers(),
    st.none() | st.integers(1, 3),
    st.sampled_from(["", "TABLE_NOT_FOUND: line 1:15", "Bytes scanned limit was exceeded"]),
    st.sampled_from(["", "plays_weekly, period 2025-06-08"]),
    st.sampled_from(["", "https://console.aws.amazon.com/athena/"]),
)
def test_a_failure_has_as_attributes_what_its_message_says(
    error_type: int | None, category: int | None, reason: str, about: str, link: str
) -> None:
    execution = failed(error_type, error_category=category, reason=reason)
    failure = QueryFailedError(execution, about=about, link=link)

    assert isinstance(failure, QueryError)
    assert not failure.retryable
    assert (failure.execution_id, failure.category, failure.type) == ("q-1", category, error_type)
    assert failure.verdict == execution_verdict(execution)
    message = str(failure)
    parts = [
        about,
        reason or "Athena gives no reason",
        failure.verdict.meaning,
        f"type {error_type}",
    ]
    for part in [*parts, failure.advice, link]:
        assert part in message
    assert message.startswith(f"{about}: Query q-1" if about else "Query q-1")
    assert message.endswith(link or failure.advice)


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
def test_the_message_without_values_has_the_name_and_the_link_in_the_place_of_the_reason(
    reason: str, name: str
) -> None:
    execution = failed(1100, error_category=2, reason=reason)
    message = QueryFailedError(execution, about="plays", link="https://x").message_without_values

    told = f"{name}, the log" if name else "the log"
    assert message.startswith(
        f"plays: Query q-1 is FAILED: {told} of the task has Athena's reason ["
    )
    assert "a@example.com" not in message
    assert "a value does not fit; category 2, type 1100;" in message
    assert message.endswith("Clear run_query and its downstream tasks to try again. https://x")
