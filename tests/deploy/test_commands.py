"""`python -m deploy`, as make calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.__main__ import main
from tests.deploy.conftest import NAME, Account, Repository

ROOT = Path(__file__).resolve().parents[2]


def test_the_commands_deploy_and_roll_back(account: Account, repository: Repository) -> None:
    """As make calls them, each in a process of its own."""
    for path in ("deploy", "plugins/athena_reports"):
        shutil.copytree(
            ROOT / path,
            repository.folder / path,
            ignore=shutil.ignore_patterns("__pycache__", "environments", "constraints.txt"),
            dirs_exist_ok=True,
        )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy", *arguments, "--env", "stg"],
            cwd=repository.folder,
            env=os.environ | {"PYTHONPATH": "plugins"},
            input="",
            capture_output=True,
            text=True,
        )

    repository.target(mwaa_environment="not-yet")
    failed = run("deploy", "--no-check")
    assert failed.returncode == 1
    assert "no MWAA environment 'not-yet'" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert run("guided", "--mwaa-environment", NAME, "--take-defaults").returncode == 0
    dry = run("deploy", "--dry-run")
    assert dry.stdout.endswith("this was a dry run: nothing was changed\n")
    assert account.everything() == []

    repository.deploy()
    repository.write("include/sql/plays.sql", "SELECT 2\n")
    assert run("deploy", "--no-check").returncode == 0
    assert account.dags()["include/sql/plays.sql"] == b"SELECT 2\n"
    assert run("rollback").returncode == 0
    assert account.dags()["include/sql/plays.sql"] == b"SELECT 1\n"


def test_what_aws_refuses_is_told_in_a_line(
    account: Account,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("deploy.__main__.ROOT", repository.folder)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert main(["rollback", "--env", "stg"]) == 1
    assert "AWS: Unable to locate credentials" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "goes_on"), [("deploy", True), ("rollback", True), ("guided", False)])
def test_an_interrupt_says_that_an_update_goes_on(
    command: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"deploy.__main__._{command}", interrupted)
    assert main([command, "--env", "stg"]) == 130
    said = capsys.readouterr().err
    assert ("it goes on in AWS" in said) == goes_on
    assert "has been stopped" not in said
