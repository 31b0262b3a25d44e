from datetime import datetime
from typing import Any

import pytest

from athena_reports.queries.execution import QueryExecution, QueryState, price_usd


def test_an_execution_is_read_from_what_athena_answers() -> None:
    description = {
        "QueryExecutionId": "q-1",
        "Query": "UNLOAD ...",
        "SubstatementType": "UNLOAD",
        "QueryExecutionContext": {"Database": "database_dev", "Catalog": "awsdatacatalog"},
        "Status": {
            "State": "FAILED",
            "StateChangeReason": "TABLE_NOT_FOUND: line 1:15",
            "SubmissionDateTime": datetime.fromisoformat("2026-11-22T00:05:01.023456+09:00"),
            "CompletionDateTime": datetime.fromisoformat("2026-11-22T00:05:03+09:00"),
            "AthenaError": {"ErrorCategory": 2, "ErrorType": 1301, "Retryable": False},
        },
        "Statistics": {
            "DataScannedInBytes": 123,
            "DataManifestLocation": "s3://results/m.csv",
            "QueryQueueTimeInMillis": 1500,
        },
        "ResultConfiguration": {"OutputLocation": "s3://results/q-1"},
        "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
    }

    expected = QueryExecution(
        id="q-1",
        state=QueryState.FAILED,
        reason="TABLE_NOT_FOUND: line 1:15",
        submitted_at="2026-11-21T15:05:01.023+00:00",
        error_category=2,
        error_type=1301,
        retryable=False,
        statement="UNLOAD",
        output_location="s3://results/q-1",
        data_manifest="s3://results/m.csv",
        scanned_bytes=123,
        queue_milliseconds=1500,
        engine_version="Athena engine version 3",
    )
    assert QueryExecution.from_response(description) == expected
    unknown = QueryExecution.from_response({"Status": {}})
    assert (unknown.state, unknown.is_running) == ("UNKNOWN", False)


@pytest.mark.parametrize(
    ("state", "usd"), [("SUCCEEDED", 5.0), ("CANCELLED", 5.0), ("FAILED", 0.0)]
)
def test_a_query_costs_what_it_scanned_and_nothing_on_a_reservation_or_if_it_failed(
    state: str, usd: float
) -> None:
    answer: dict[str, Any] = {
        "Status": {"State": state},
        "Statistics": {"DataScannedInBytes": 10**12},
    }
    assert QueryExecution.from_response(answer, "us-east-1").price_usd == pytest.approx(usd)
    for dpu_count in (4.0, 0.0):
        answer["Statistics"]["DpuCount"] = dpu_count
        execution = QueryExecution.from_response(answer, "us-east-1")
        assert execution.price_usd is None


def test_progress_is_one_sentence_with_its_units() -> None:
    execution = QueryExecution(
        id="q-1", state=QueryState.RUNNING, queue_milliseconds=1540, scanned_bytes=20_000_000
    )
    says = "Query q-1 is RUNNING: queued for 1.5 s, 20,000,000 bytes scanned so far."
    assert execution.progress == says


@pytest.mark.parametrize(
    ("region", "scanned_bytes", "usd"),
    [
        ("us-east-1", 0, 5e-5),  # 10 MB at least
        ("us-east-1", 10**7, 5e-5),
        ("us-east-1", 2 * 10**11, 1.0),
        ("sa-east-1", 10**12, 9.0),
    ],
)
def test_a_scan_costs_by_the_terabyte_and_region(
    region: str, scanned_bytes: int, usd: float
) -> None:
    assert price_usd(scanned_bytes, region) == pytest.approx(usd)


def test_a_region_whose_price_is_not_known_has_none() -> None:
    assert price_usd(10**12, "mars-east-1") is None
