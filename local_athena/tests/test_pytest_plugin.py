"""The fixture for the tests of others, in a pytest of its own that finds it by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os

import boto3
import pytest


@pytest.fixture(params=["http://127.0.0.1:1", None])
def shell(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        if request.param:
            patch.setenv("AWS_ENDPOINT_URL", request.param)
        yield
        assert os.environ.get("AWS_ENDPOINT_URL") == request.param


def test_a_query_of_an_empty_account(shell, local_aws):
    s3 = boto3.client("s3")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="results")
    athena = local_aws.client("athena")
    configuration = {"OutputLocation": "s3://results/"}
    query = boto3.client("athena").start_query_execution(
        QueryString="SELECT 1", ResultConfiguration=configuration
    )
    athena.get_query_execution(QueryExecutionId=query["QueryExecutionId"])
"""


def test_each_test_has_services_without_anything_in_them_and_leaves_the_shell_as_it_was(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_account.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q"]
    shell = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    shell["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    done = subprocess.run(command, cwd=tmp_path, env=shell, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
