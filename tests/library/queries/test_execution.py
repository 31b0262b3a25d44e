from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from athena_reports.queries.execution import QueryExecution, QueryState

RESPONSE = {
    "QueryExecution": {
        "QueryExecutionId": "11111111-2222-3333-4444-555555555555",
        "Query": "UNLOAD ...",
        "StatementType": "DML",
        "SubstatementType": "UNLOAD",
        "QueryExecutionContext": {"Database": "database_dev", "Catalog": "awsdatacatalog"},
        "Status": {
            "State": "FAILED",
            "StateChangeReason": "TABLE_NOT_FOUND: line 1:15",
            "SubmissionDateTime": datetime(2026, 11, 22, 0, 5, 1, 23456, tzinfo=ZoneInfo("Asia/Tokyo")),
            "CompletionDateTime": datetime(2026, 11, 22, 0, 5, 3, tzinfo=ZoneInfo("Asia/Tokyo")),
            "AthenaError": {"ErrorCategory": 2, "ErrorType": 1301, "Retryable": False},
        },
        "Statistics": {
            "DataScannedInBytes": 123_456_789,
            "QueryQueueTimeInMillis": 1500,
            "EngineExecutionTimeInMillis": 2500,
            "DataManifestLocation": "s3://results/q-1-manifest.csv",
        },
        "ResultConfiguration": {"OutputLocation": "s3://results/q-1"},
        "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
    }
}


def test_an_execution_is_read_from_what_athena_answers() -> None:
    assert QueryExecution.from_response(RESPONSE) == QueryExecution(
        id="11111111-2222-3333-4444-555555555555",
        state=QueryState.FAILED,
        reason="TABLE_NOT_FOUND: line 1:15",
        output_location="s3://results/q-1",
        submitted_at="2026-11-21T15:05:01.023+00:00",
        completed_at="2026-11-21T15:05:03.000+00:00",
        scanned_bytes=123_456_789,
        queue_milliseconds=1500,
        run_milliseconds=2500,
        engine_version="Athena engine version 3",
        error_category=2,
        error_type=1301,
        retryable=False,
        statement="UNLOAD",
        data_manifest="s3://results/q-1-manifest.csv",
        database="database_dev",
    )


@pytest.mark.parametrize("response", [{}, {"QueryExecution": {}}, {"QueryExecution": {"Status": {}}}])
def test_what_athena_leaves_out_is_empty_and_no_error(response: dict[str, Any]) -> None:
    assert QueryExecution.from_response(response) == QueryExecution()


PRICES = [("SUCCEEDED", 0, 5e-5), ("SUCCEEDED", 2 * 10**11, 1.0), ("CANCELLED", 10**12, 5.0), ("FAILED", 10**12, 0.0)]


@pytest.mark.parametrize(("state", "scanned_bytes", "usd"), PRICES)
def test_a_scan_costs_five_dollars_a_terabyte_and_ten_megabytes_at_least(
    state: str, scanned_bytes: int, usd: float
) -> None:
    assert QueryExecution(state=QueryState(state), scanned_bytes=scanned_bytes).price_usd == pytest.approx(usd)
