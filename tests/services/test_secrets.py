"""The pipeline's connection from Secrets Manager, as on MWAA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow.sdk.configuration
import boto3
import pytest
from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.sts import StsHook

from athena_reports_cli.local.services import Services
from tests.support.airflow_run import TaskInstance
from tests.support.dag_files import load_dags
from tests.support.published import manifest_of
from tests.support.stacks import secrets_backend
from tests.support.task_runner import run_dag

BACKEND, KWARGS = secrets_backend("dev")
PREFIX = "airflow/dev/connections"
ROLE = "arn:aws:iam::123456789012:role/reports"
REPORTS = {"conn_type": "aws", "extra": {"role_arn": ROLE, "region_name": "us-east-1"}}
ELSEWHERE = "eu-central-1"


@pytest.fixture
def secrets_manager(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Secrets Manager in the region of the process, which is not that of the lake."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", ELSEWHERE)
    client = boto3.client("secretsmanager")
    yield client
    for secret in client.list_secrets()["SecretList"]:
        client.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)


def forget_backends() -> None:
    """Let Airflow build its secrets backends again: from 3.3.2 on it does so once per process."""
    forget = getattr(airflow.sdk.configuration, "clear_secrets_backends_cache", None)
    if forget is not None:
        forget()


@pytest.fixture
def backend(secrets_manager: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Secrets Manager, where Airflow looks for connections as in an environment of the stack."""
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", BACKEND)
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps(KWARGS))
    forget_backends()
    yield secrets_manager
    forget_backends()


def report(dags_folder: Path) -> TaskInstance:
    dag = load_dags(dags_folder / "carriers.py")["carriers_monthly"]
    return run_dag(dag, period="2013-02")


@pytest.mark.usefixtures("flights_lake")
def test_a_report_runs_with_a_connection_that_secrets_manager_alone_has(
    services: Services, backend: Any, dags_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_REPORTS_AWS_CONN_ID", "aws_reports")
    backend.create_secret(Name=f"{PREFIX}/aws_reports", SecretString=json.dumps(REPORTS))

    assert manifest_of(services.s3, report(dags_folder))["rows"] > 0

    identity = StsHook(aws_conn_id="aws_reports").get_conn().get_caller_identity()
    assert identity["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/reports/")


@pytest.mark.parametrize(
    ("pattern", "region"), [(KWARGS["connections_lookup_pattern"], ELSEWHERE), (None, "xx-1")]
)
def test_the_pattern_keeps_aws_default_out_of_secrets_manager(
    backend: Any, monkeypatch: pytest.MonkeyPatch, pattern: str | None, region: str
) -> None:
    """The pattern of the stack decides, as the same look-up without it shows."""
    monkeypatch.setenv(
        "AIRFLOW__SECRETS__BACKEND_KWARGS",
        json.dumps(KWARGS | {"connections_lookup_pattern": pattern}),
    )
    secret = {"conn_type": "aws", "extra": {"region_name": "xx-1"}}
    backend.create_secret(Name=f"{PREFIX}/aws_default", SecretString=json.dumps(secret))

    assert AthenaHook(aws_conn_id="aws_default").conn_region_name == region
