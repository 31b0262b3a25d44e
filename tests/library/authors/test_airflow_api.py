"""Airflow's REST API, at its own address and on Amazon MWAA."""

from __future__ import annotations

from http import HTTPStatus

import boto3
import pytest
from botocore.stub import Stubber

from athena_reports.authors.airflow_api import (
    AirflowApiError,
    MwaaAirflow,
    check_pool,
    connect,
    require_dag,
    restate,
)
from tests.rest_api import TOKEN, rest_api


def test_at_an_address_airflow_is_asked_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", TOKEN)
    known = {
        "GET /api/v2/dags/best_monthly": HTTPStatus.OK,
        "GET /api/v2/pools/athena": HTTPStatus.OK,
        "POST /api/v2/dags/best_monthly/dagRuns": HTTPStatus.OK,
    }
    with rest_api(known) as api:
        airflow = connect(f"{api.url}/")
        require_dag(airflow, "best_monthly")
        assert not check_pool(airflow, "athena").problem
        restate(airflow, "best_monthly", "2025-06")
        assert [request for request, _ in api.requests] == list(known)
        assert api.requests[-1][1] == {"logical_date": None, "conf": {"period": "2025-06"}}

        assert "404 Not Found" in check_pool(airflow, "other").problem
        with pytest.raises(AirflowApiError, match=r"GET /dags/best_weekly: .*404 Not Found"):
            require_dag(airflow, "best_weekly")
        monkeypatch.setenv("AIRFLOW_TOKEN", "expired")
        with pytest.raises(AirflowApiError, match="401 Unauthorized"):
            require_dag(connect(api.url), "best_monthly")


def test_on_mwaa_airflow_is_reached_by_invoke_rest_api() -> None:
    client = boto3.client("mwaa", region_name="us-east-1")
    pool = {"Name": "reports-stg", "Path": "/pools/athena", "Method": "GET"}
    body = {"logical_date": None, "conf": {"period": "2025-06"}}
    run = {
        "Name": "reports-stg",
        "Path": "/dags/best_monthly/dagRuns",
        "Method": "POST",
        "Body": body,
    }
    mwaa = MwaaAirflow(client, "reports-stg")
    with Stubber(client) as stubber:
        for asked in (pool, run):
            stubber.add_response(
                "invoke_rest_api", {"RestApiStatusCode": 200, "RestApiResponse": {}}, asked
            )
            stubber.add_client_error(
                "invoke_rest_api", "RestApiClientException", expected_params=asked
            )
        assert not check_pool(mwaa, "athena").problem
        assert "ATHENA_REPORTS_POOL" in check_pool(mwaa, "athena").problem
        restate(mwaa, "best_monthly", "2025-06")
        with pytest.raises(AirflowApiError, match="POST /dags/best_monthly/dagRuns"):
            restate(mwaa, "best_monthly", "2025-06")
        stubber.assert_no_pending_responses()
