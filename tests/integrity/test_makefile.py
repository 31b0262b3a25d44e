"""What make takes for a yes, where a wrong guess would change an environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Asks make what a deployment would run."""
    return dry_run("deploy", "ENV=stg", *arguments, **variables)


def dry_run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--dry-run", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=ROOT, env=environment | variables, capture_output=True, text=True)


def test_a_dry_run_is_on_with_1_and_off_when_it_is_left_out() -> None:
    assert "--dry-run" in make("DRY_RUN=1").stdout
    left_out = make()
    assert left_out.returncode == 0
    assert "-m deploy deploy --env 'stg'" in left_out.stdout
    assert "--dry-run" not in left_out.stdout


@pytest.mark.parametrize("value", ["0", "no", "true", "1 1", ""])
def test_any_other_value_is_refused(value: str) -> None:
    refused = make(f"DRY_RUN={value}")
    assert refused.returncode == 2
    assert "write DRY_RUN=1 after make, or leave it out" in refused.stderr


def test_one_from_the_shell_is_refused() -> None:
    refused = make(DRY_RUN="1")
    assert refused.returncode == 2
    assert "DRY_RUN is '1', from the environment" in refused.stderr


@pytest.mark.parametrize(("given", "pays"), [([], False), (["RUN=1"], True)])
def test_a_preview_pays_when_it_is_told_to(given: list[str], pays: bool) -> None:
    told = dry_run("preview", "REPORT=user_ranking", *given).stdout
    assert ".venv/bin/python -m athena_reports preview 'user_ranking'" in told
    assert ("--run" in told) == pays
