"""The compose file without a Docker engine: what Compose makes of it, and its services run by hand."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest

from airflow_local.client import AirflowClient
from airflow_local.services import Services
from athena_reports.errors import SettingsError
from athena_reports.settings import read_settings
from tests.e2e.compose_by_hand import ByHand, compose, services
from tests.e2e.report_run import until

pytestmark = [pytest.mark.e2e, pytest.mark.ci]

DAG_ID = "user_ranking_weekly"
WEEK = dt.datetime(2025, 6, 22, tzinfo=ZoneInfo("Asia/Tokyo"))
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
ACCOUNT = {
    "AWS_ENDPOINT_URL": "",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_SESSION_TOKEN": "token",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://?region_name=eu-west-1",
    "ATHENA_REPORTS_ENV": "stg",
    "ATHENA_REPORTS_BUCKET": "acme-reports",
    "ATHENA_REPORTS_QUERY_RESULTS": "s3://acme-results/",
    "ATHENA_REPORTS_DATABASE": "events",
    "ATHENA_REPORTS_WORKGROUP": "analysts",
    "ATHENA_REPORTS_REPORT_DATABASE": "results",
    "ATHENA_REPORTS_BUCKET_OWNER": "123456789012",
    "ATHENA_REPORTS_ENCRYPTION": "AES256",
    "ATHENA_REPORTS_AWS_CONN_ID": "aws_reports",
}


def given(service: dict[str, Any]) -> dict[str, str]:
    """The variables that a container gets."""
    return {name: value for name, value in service["environment"].items() if value is not None}


def test_by_default_everything_works_with_the_local_services() -> None:
    defined = services()
    assert [defined[name].get("scale", 1) for name in ("local-aws", "lake")] == [1, 1]
    for name in COMPONENTS:
        variables = given(defined[name])
        assert variables["AWS_ENDPOINT_URL"] == "http://local-aws:4566"
        assert variables["AWS_ACCESS_KEY_ID"] == variables["AWS_SECRET_ACCESS_KEY"] == "local"
        assert read_settings(variables).environment == "dev"


def test_a_shell_that_is_set_up_for_an_account_does_not_reach_the_local_services() -> None:
    shell = {name: value for name, value in ACCOUNT.items() if name != "AWS_ENDPOINT_URL"}
    assert services(shell) == services({"ATHENA_REPORTS_ENV": "stg"})
    dotenv = "".join(f"{name}={value}\n" for name, value in shell.items())
    assert given(services(dotenv=dotenv)["worker"]) == given(services(shell)["worker"])
    assert given(services(shell)["worker"])["AWS_DEFAULT_REGION"] == Services("").environment["AWS_DEFAULT_REGION"]


def test_another_endpoint_is_refused() -> None:
    with pytest.raises(AssertionError, match="scale"):
        services({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})


def test_with_an_empty_endpoint_all_components_work_in_the_account() -> None:
    defined = services(ACCOUNT)
    assert [defined[name]["scale"] for name in ("local-aws", "lake")] == [0, 0]
    for name in ("migrate", *COMPONENTS):
        variables = given(defined[name])
        assert {key: variables[key] for key in ACCOUNT} == ACCOUNT
        assert variables["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] == "true"
        assert read_settings(variables).report_bucket == "acme-reports"
    program = "import boto3; print(boto3.client('athena').meta.endpoint_url)"
    asked = subprocess.run(
        [sys.executable, "-c", program],
        env=given(defined["worker"]) | {"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert asked.stdout == "https://athena.eu-west-1.amazonaws.com\n"


def test_in_an_account_nothing_has_a_default() -> None:
    variables = given(services({"AWS_ENDPOINT_URL": ""})["worker"])
    assert [variables[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION")] == [""] * 3
    with pytest.raises(SettingsError, match="ATHENA_REPORTS_ENV is not set"):
        read_settings(variables)


def test_a_file_of_settings_does_the_same_and_hides_no_misspelt_one() -> None:
    dotenv = "".join(f"{name}={value}\n" for name, value in ACCOUNT.items())
    assert services(dotenv=dotenv) == services(ACCOUNT)
    variables = given(services(dotenv=dotenv + "ATHENA_REPORTS_BUKET=x\n")["migrate"])
    with pytest.raises(SettingsError, match="ATHENA_REPORTS_BUKET"):
        read_settings(variables)


@pytest.mark.parametrize("environment", [{}, ACCOUNT])
def test_the_lake_is_filled_nowhere_but_in_the_local_services(environment: dict[str, str]) -> None:
    lake = services(environment)["lake"]
    assert given(lake) == {"AWS_ENDPOINT_URL": "http://local-aws:4566"}


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    with ByHand(services(), tmp_path_factory.mktemp("compose") / "airflow") as running:
        yield running


def test_a_report_is_backfilled_by_the_worker(by_hand: ByHand) -> None:
    client = AirflowClient(by_hand.url, "admin", by_hand.secrets["admin-password"])
    try:
        until(lambda: DAG_ID in client.parsed_dags(), "the report is parsed")
        assert client.import_errors() == []
        client.backfill(DAG_ID, WEEK, WEEK)
        (run,) = client.wait_for_runs(DAG_ID, timeout_seconds=120)
        assert (run.run_type, run.state) == ("backfill", "success")
    finally:
        client.close()
    until(lambda: by_hand.log("worker").count("succeeded in") >= 4, "the worker has run the tasks")
    key = "user_ranking/weekly/2025-06-22/manifest.json"
    published = Services(by_hand.aws_url).s3.get_object(Bucket="athena-report-dev", Key=key)
    assert json.loads(published["Body"].read())["rows"] == 100


def test_all_that_goes_on_is_within_its_limit(by_hand: ByHand) -> None:
    for name, service in by_hand.services.items():
        if "healthcheck" not in service:
            continue
        used = sum(memory_of(process) for process in by_hand.running[name].members())
        limit = int(service["deploy"]["resources"]["limits"]["memory"])
        print(f"{name}: {used / 2**20:.0f} of {limit / 2**20:.0f} MB")
        assert used < 0.8 * limit, name


def memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def test_it_says_where_to_look_and_no_more(by_hand: ByHand) -> None:
    said = by_hand.log("ready")
    assert by_hand.url in said
    assert f"docker compose exec api-server cat {by_hand.home}/secrets/admin-password" in said
    assert by_hand.aws_url in said
    for path in by_hand.home.glob("*.log"):
        text = path.read_text(errors="replace")
        assert [name for name, secret in by_hand.secrets.items() if secret in text] == [], path


def test_secrets_are_made_once_and_are_for_those_who_need_them(by_hand: ByHand) -> None:
    before = by_hand.secrets
    assert by_hand.start("secrets").process.wait(30) == 0
    assert by_hand.secrets == before
    for_group = {"database-password", "broker-password", "redis.conf"}
    for path in (by_hand.home / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == (0o640 if path.name in for_group else 0o600), path
    assert len({before[name] for name in before}) == len(before)


def test_no_secret_is_in_the_file(by_hand: ByHand) -> None:
    printed = compose("config")
    assert "/opt/airflow/secrets/fernet-key" in printed
    assert not [name for name, secret in by_hand.secrets.items() if secret in printed]
