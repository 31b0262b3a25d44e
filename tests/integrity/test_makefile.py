"""What make takes for a yes, where a wrong guess would change an environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SWITCHES = {
    "DRY_RUN": "--dry-run",
    "REPLACE": "--replace",
    "ROLLBACK": " rollback ",
    "TAKE_OVER": "--take-over",
}


def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Asks make what it would run."""
    command = ["make", "--dry-run", "deploy", "ENV=stg", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=ROOT, env=environment | variables, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "option"), SWITCHES.items())
def test_a_switch_is_on_with_1_and_off_when_it_is_left_out(name: str, option: str) -> None:
    assert option in make(f"{name}=1").stdout
    left_out = make()
    assert left_out.returncode == 0
    assert "-m deploy deploy --env 'stg'" in left_out.stdout
    assert option not in left_out.stdout


@pytest.mark.parametrize("name", ["DRY_RUN", "REPLACE", "TAKE_OVER"])
def test_a_rollback_has_the_same_switches(name: str) -> None:
    assert SWITCHES[name] in make("ROLLBACK=1", f"{name}=1").stdout


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["0", "no", "true", "1 1", ""])
def test_any_other_value_is_refused(name: str, value: str) -> None:
    refused = make(f"{name}={value}")
    assert refused.returncode == 2
    assert f"write {name}=1 after make, or leave it out" in refused.stderr


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_from_the_shell_is_refused(name: str) -> None:
    refused = make(**{name: "1"})
    assert refused.returncode == 2
    assert f"{name} is '1', from the environment" in refused.stderr
