from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_reports.errors import QueryError
from athena_reports.queries.execution import QueryExecution, console_url, elapsed_since
from athena_reports.queries.failures import has_succeeded
from athena_reports.queries.wait_policy import PATIENT, STATE_MACHINE, WaitPolicy

RESPONSE = {
    "QueryExecution": {
        "QueryExecutionId": "11111111-2222-3333-4444-555555555555",
        "Status": {
            "State": "SUCCEEDED",
            "SubmissionDateTime": datetime(2026, 11, 22, 0, 5, 1, 23456, tzinfo=ZoneInfo("Asia/Tokyo")),
        },
        "Statistics": {
            "DataScannedInBytes": 123_456_789,
            "QueryQueueTimeInMillis": 1500,
            "EngineExecutionTimeInMillis": 2500,
        },
        "ResultConfiguration": {"OutputLocation": "s3://results/q.csv"},
        "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
    }
}


def execution(state: str, reason: str = "", scanned_bytes: int = 0) -> QueryExecution:
    return QueryExecution("q-1", state, reason, "", "", scanned_bytes, 0, 0, "")


def test_an_execution_is_read_from_what_athena_answers() -> None:
    assert QueryExecution.from_response(RESPONSE) == QueryExecution(
        id="11111111-2222-3333-4444-555555555555",
        state="SUCCEEDED",
        reason="",
        output_location="s3://results/q.csv",
        submitted_at="2026-11-21T15:05:01.023+00:00",
        scanned_bytes=123_456_789,
        queue_milliseconds=1500,
        run_milliseconds=2500,
        engine_version="Athena engine version 3",
    )


def test_an_unload_says_what_it_is_where_it_listed_its_files_and_in_which_database_it_ran() -> None:
    found = QueryExecution.from_response(
        {
            "QueryExecution": {
                "StatementType": "DML",
                "SubstatementType": "UNLOAD",
                "QueryExecutionContext": {"Database": "database_dev", "Catalog": "awsdatacatalog"},
                "Statistics": {"DataManifestLocation": "s3://results/q-1-manifest.csv"},
            }
        }
    )

    assert found.statement == "UNLOAD"
    assert found.data_manifest == "s3://results/q-1-manifest.csv"
    assert found.database == "database_dev"


def test_an_execution_that_an_older_release_put_into_xcom_is_read() -> None:
    facts = execution("SUCCEEDED").to_dict()
    for added in ("statement", "data_manifest", "database"):
        del facts[added]

    assert QueryExecution.from_dict(facts) == execution("SUCCEEDED")


@pytest.mark.parametrize("response", [{}, {"QueryExecution": {}}, {"QueryExecution": {"Status": {}}}])
def test_what_athena_leaves_out_is_empty_and_no_error(response: dict[str, Any]) -> None:
    assert QueryExecution.from_response(response) == QueryExecution("", "", "", "", "", 0, 0, 0, "")


def test_an_execution_survives_xcom() -> None:
    found = QueryExecution.from_response(RESPONSE)

    assert QueryExecution.from_dict(json.loads(json.dumps(found.to_dict()))) == found


TIMES = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001
    datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"]).map(ZoneInfo),
)


@given(TIMES, TIMES)
def test_submission_times_sort_as_texts_as_they_do_in_time(one: datetime, other: datetime) -> None:
    def text(at: datetime) -> str:
        response = {"QueryExecution": {"Status": {"SubmissionDateTime": at}}}
        return QueryExecution.from_response(response).submitted_at

    def to_milliseconds(at: datetime) -> datetime:
        return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)

    assert (text(one) < text(other)) == (to_milliseconds(one) < to_milliseconds(other))


def test_a_query_that_has_succeeded() -> None:
    assert (
        has_succeeded(replace(execution("SUCCEEDED"), submitted_at="2026-11-21T15:05:01.023+00:00")) is True
    )


def test_a_success_without_its_time_of_submission_is_not_taken_for_one() -> None:
    with pytest.raises(QueryError, match="Clear wait_for_query"):
        has_succeeded(execution("SUCCEEDED"))


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_query_that_is_under_way_is_no_success_and_no_failure(state: str) -> None:
    assert has_succeeded(execution(state)) is False


@pytest.mark.parametrize(("state", "usd"), [("FAILED", "0.00000"), ("CANCELLED", "0.01000")])
def test_a_failure_says_which_query_why_what_it_scanned_and_what_to_do(state: str, usd: str) -> None:
    with pytest.raises(QueryError) as caught:
        has_succeeded(execution(state, "TABLE_NOT_FOUND: line 1:15", 2_000_000_000))

    message = str(caught.value)
    assert message.startswith(f"Query q-1 is {state}: TABLE_NOT_FOUND: line 1:15")
    assert f"2,000,000,000 bytes scanned (about {usd} USD)" in message
    assert "category none, type none" in message
    assert "Clear run_query" in message


def test_a_failure_without_a_reason_says_so() -> None:
    with pytest.raises(QueryError, match="Athena gives no reason"):
        has_succeeded(execution("FAILED"))


@pytest.mark.parametrize(
    ("state", "named"), [("", "'missing'"), ("PAUSED", "'PAUSED'"), ("succeeded", "'succ")]
)
def test_an_unknown_or_missing_state_is_an_error_and_no_success(state: str, named: str) -> None:
    with pytest.raises(QueryError, match="neither success nor failure") as caught:
        has_succeeded(execution(state))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("scanned_bytes", "usd"), [(0, 0.00005), (10_000_000, 0.00005), (10**12, 5.0), (2 * 10**11, 1.0)]
)
def test_a_scan_costs_five_dollars_a_terabyte_and_ten_megabytes_at_least(
    scanned_bytes: int, usd: float
) -> None:
    assert execution("SUCCEEDED", scanned_bytes=scanned_bytes).price_usd == pytest.approx(usd)


def test_only_a_failed_query_is_free() -> None:
    assert execution("FAILED", scanned_bytes=10**12).price_usd == 0
    assert execution("CANCELLED", scanned_bytes=10**12).price_usd == pytest.approx(5.0)


POLICIES = st.builds(
    lambda first, factor, longest: WaitPolicy(first, factor, first + longest),
    st.floats(0.5, 10),
    st.floats(1, 3),
    st.floats(0, 100),
)


def looks_until(end: float, policy: WaitPolicy) -> list[float]:
    """When somebody who looks first at 0 looks at a query that ends at `end` seconds."""
    looks = [0.0]
    while looks[-1] < end:
        looks.append(looks[-1] + policy.pause_after(looks[-1]))
    return looks


@given(POLICIES, st.floats(0, 500))
def test_each_pause_is_the_one_before_times_the_factor_until_the_longest(
    policy: WaitPolicy, end: float
) -> None:
    looks = looks_until(end, policy)
    expected = policy.first_poll_seconds
    for before, after in pairwise(looks):
        assert after - before == pytest.approx(min(expected, policy.longest_pause_seconds))
        expected *= policy.factor


@given(st.floats(0, 3600))
@example(59.999)
@example(60.0)
def test_by_default_no_end_is_noticed_later_than_a_fifth_of_the_time_plus_a_second(end: float) -> None:
    assert looks_until(end, WaitPolicy())[-1] - end <= 0.2 * end + 1 + 1e-9


@given(st.floats(0, 3600), st.floats(0, 3600))
def test_whoever_takes_a_wait_over_at_any_time_is_no_later_than_who_began_it(
    taken: float, more: float
) -> None:
    """A look that a crash adds shifts the schedule, and never by more than a pause of that time."""
    policy = WaitPolicy()
    end = taken + more
    look = taken
    while look < end:
        look += policy.pause_after(look)

    assert look - end <= 0.2 * end + 1 + 1e-9


def test_a_clock_that_lags_behind_athenas_gives_the_first_pause() -> None:
    assert WaitPolicy().pause_after(-30) == WaitPolicy().first_poll_seconds


def test_the_state_machines_wait_is_ten_pauses_from_5_seconds_by_a_fifth_more() -> None:
    looks = looks_until(STATE_MACHINE.give_up_after.total_seconds(), STATE_MACHINE)
    pauses = [after - before for before, after in pairwise(looks)]

    # 5 * 1.2**n as a person would write it down
    written = [5, 6, 7.2, 8.64, 10.368, 12.4416, 14.92992, 17.915904, 21.4990848, 25.79890176]
    assert pauses[:10] == pytest.approx(written)
    assert sum(written) < STATE_MACHINE.give_up_after.total_seconds() < sum(written) + 25.8


def test_patience_looks_more_seldom_and_gives_up_later() -> None:
    usual = WaitPolicy()

    assert PATIENT.first_poll_seconds > usual.first_poll_seconds
    assert PATIENT.longest_pause_seconds > usual.longest_pause_seconds
    assert PATIENT.give_up_after > usual.give_up_after


@pytest.mark.parametrize(
    "fields",
    [
        {"first_poll_seconds": 0},
        {"first_poll_seconds": -1},
        {"factor": 0.9},
        {"longest_pause_seconds": 0.9},
        {"give_up_after": timedelta(0)},
    ],
)
def test_a_policy_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="WaitPolicy"):
        WaitPolicy(**fields)


def test_the_time_since_a_submission_is_told_by_the_clock_of_any_zone() -> None:
    now = datetime.now(UTC)
    tokyo = (now - timedelta(minutes=5)).astimezone(ZoneInfo("Asia/Tokyo")).isoformat()

    assert timedelta(minutes=5) <= elapsed_since(tokyo) < timedelta(minutes=6)
    assert elapsed_since("") == timedelta(0)


def test_progress_says_state_queue_time_and_bytes() -> None:
    running = replace(execution("RUNNING", scanned_bytes=1_234_567), queue_milliseconds=2345)

    assert running.progress() == "Query q-1 is RUNNING: queued for 2.3 s, 1,234,567 bytes scanned so far."


def test_the_console_page_of_a_query() -> None:
    url = console_url("q-1", "ap-northeast-1")

    assert url.startswith("https://ap-northeast-1.console.aws.amazon.com/athena/home?region=ap-northeast-1#")
    assert url.endswith("/q-1")
    assert console_url("q-1", "cn-north-1", "amazonaws.cn").startswith(
        "https://cn-north-1.console.amazonaws.cn/athena/home?region=cn-north-1#"
    )
