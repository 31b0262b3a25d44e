"""What is refused before anything is changed, and what is said then."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from athena_reports.local.project import Project
from athena_reports.mwaa.config import CONFIG, ask_config, read_config
from tests.library.mwaa.repository import Repository, keys
from tests.library.mwaa.stub import NAME, StubAws


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            "UPDATE_IN_PROGRESS",
            f"wait stack-update-complete --region us-east-1 --stack-name {NAME}",
        ),
        (
            "CREATE_IN_PROGRESS",
            "under way. Wait until it is over (aws cloudformation wait stack-create-complete",
        ),
        (
            "UPDATE_ROLLBACK_FAILED",
            "let the rollback end (aws cloudformation continue-update-rollback --region",
        ),
        (
            "ROLLBACK_COMPLETE",
            f"Remove it (aws cloudformation delete-stack --region us-east-1 --stack-name {NAME})",
        ),
        ("", "There is no stack athena-reports-stg in us-east-1 of the account 123456789012."),
        ("REVIEW_IN_PROGRESS", "or create it: `make deploy-guided ENV=stg` asks what is needed"),
    ],
)
def test_a_stack_that_cannot_be_changed_is_named_with_the_next_command(
    stub: StubAws, repository: Repository, status: str, said: str
) -> None:
    stub.status = status
    assert said in repository.deploy(code=1)
    assert set(stub.operations) <= {"DescribeStacks", "DescribeStackEvents"}


def test_an_environment_that_nobody_has_configured_is_refused(
    stub: StubAws, repository: Repository
) -> None:
    (repository.folder / CONFIG).unlink()
    assert "`make deploy-guided ENV=stg` asks what is needed" in repository.deploy(code=1)
    (repository.folder / CONFIG).write_text("[stg.deploy.parameters]\nregion = 1\n")
    assert (
        "samconfig.toml does not say where stg is deployed to: KeyError('parameter_overrides')"
        in (repository.deploy(code=1))
    )


def test_answers_that_end_early_leave_nothing_behind(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.folder / CONFIG).unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO("us-east-1\narn:aws:s3:::lake\n"))
    assert "The answers ended at: Address that alerts are sent to" in repository.deploy(
        "--guided", code=1
    )
    assert not (repository.folder / CONFIG).exists()
    assert stub.operations == []


def test_who_wants_no_alerts_is_asked_for_a_network(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.folder / CONFIG).unlink()
    answers = "us-east-1\narn:aws:s3:::lake\n\nsubnet-1,subnet-2\nsg-1\n\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    ask_config(Project.usual(repository.folder), "stg", boto3.Session())

    config = read_config(Project.usual(repository.folder), "stg")
    assert config is not None
    assert config.parameters == {
        "Environment": "stg",
        "SourceDataArns": "arn:aws:s3:::lake",
        "SubnetIds": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
    }


def test_without_credentials_it_says_how_to_choose_some(
    stub: StubAws, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    said = repository.deploy(code=1)
    assert (
        "Unable to locate credentials\nChoose credentials (AWS_PROFILE=..., or `aws sso login`),"
        " then" in said
    )


def test_prd_takes_only_what_is_committed(stub: StubAws, repository: Repository) -> None:
    repository.configure("prd")
    repository.commit()
    assert "There is no stack athena-reports-prd" in repository.deploy(environment="prd", code=1)
    repository.write("dags/new.py", "# airflow dag\n")
    said = repository.deploy(environment="prd", code=1)
    assert "prd takes only what is committed." in said
    assert "?? dags/new.py" in said


CHECK_FAILED = "The check has failed: nothing was deployed."


def test_a_bundle_that_fails_the_check_in_the_twin_is_not_deployed(
    stub: StubAws,
    bucket: Any,
    repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program stands for the Python that would make a twin, which takes minutes."""
    stub.status = "UPDATE_COMPLETE"
    noted, python = tmp_path / "noted", tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$*" >> {noted}\nexit 3\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    said = repository.deploy(check=True, code=1)
    assert CHECK_FAILED in said
    assert noted.read_text() == "-m athena_reports.mwaa.check --version 3.3.1\n"
    assert keys(bucket) == {}
    assert set(stub.operations) <= {"DescribeStacks", "DescribeStackEvents"}

    # Of the version that the environment is about to have.
    repository.configure(AirflowVersion="3.4.0")
    assert CHECK_FAILED in repository.deploy(check=True, code=1)
    assert noted.read_text().splitlines()[1:] == ["-m athena_reports.mwaa.check --version 3.4.0"]


def test_what_is_wrong_with_the_bundle_is_said_before_aws_is_asked(
    stub: StubAws, repository: Repository
) -> None:
    repository.write("dags/plays.py", "def broken(:\n")
    assert "plays.py, line 1 is not Python" in repository.deploy(code=1)
    assert stub.operations == []
