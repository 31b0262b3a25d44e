"""The local services, as a process and by their names; local_athena/tests has what they do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from athena_reports_cli.local import services
from athena_reports_cli.local.services import (
    Services,
    ServicesError,
    environment_without,
    local_services,
)


def test_what_a_started_process_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_TOKEN", "AWS_PROFILE")
    for name in ("OURS", *left_out):
        monkeypatch.setenv(name, "x")
    inherited = environment_without("AWS_")
    assert "OURS" in inherited
    assert not inherited.keys() & set(left_out)


def test_a_client_reaches_them_by_the_variables_that_they_name(
    running_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running_services.environment == {
        "AWS_ENDPOINT_URL": running_services.endpoint_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }
    for name, value in running_services.environment.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):  # the second one finds all of it
        running_services.prepare("yankee")
    buckets = {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]}
    names = {"athena-lake-yankee", "athena-query-result-yankee", "athena-report-yankee"}
    assert {name for name in buckets if name.endswith("yankee")} == names
    databases = boto3.client("glue").get_databases()["DatabaseList"]
    found = {item["Name"] for item in databases if item["Name"].endswith("yankee")}
    assert found == {"database_yankee", "report_yankee"}
    group = boto3.client("athena").get_work_group(WorkGroup="yankee")["WorkGroup"]
    assert group["Configuration"]["EnforceWorkGroupConfiguration"] is True
    location = group["Configuration"]["ResultConfiguration"]["OutputLocation"]
    assert location == "s3://athena-query-result-yankee/"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import sys; sys.exit('no port is free')", "no port is free\n"),
        ("print('ready')", ""),
        # Of a long log the end is told.
        ("import sys; sys.exit('begin' + 'x' * 4000 + ' no port')", "x{1000,} no port\n"),
    ],
)
def test_services_that_end_are_told_with_their_log(
    script: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    popen = subprocess.Popen

    def start(_: list[str], **options: Any) -> subprocess.Popen[str]:
        return popen([sys.executable, "-S", "-c", script], **options)

    monkeypatch.setattr(services.subprocess, "Popen", start)
    log = tmp_path / "log"
    with pytest.raises(ServicesError) as ended, local_services(log):
        raise AssertionError("they have started")
    problem = re.escape(f"The local services stopped. Log: {log}\n")
    assert re.fullmatch(problem + says, str(ended.value))
