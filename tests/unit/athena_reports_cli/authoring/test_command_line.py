"""What the commands need beside the library; tests/services/commands types each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_reports import __version__
from athena_reports_cli.local.services import Services
from tests.support.flown import Flown, write
from tests.support.shell import Shell

pytestmark = pytest.mark.filterwarnings("ignore")  # Airflow prints a warning on standard output
# As where the extra is not installed.
WITHOUT = """
import sys
sys.modules["uv"] = None
from athena_reports_cli.authoring.command_line import main
main()
"""
NOWHERE = {"AWS_ENDPOINT_URL": "", "ATHENA_REPORTS_ENV": ""}


@pytest.fixture
def alone(tmp_path: Path) -> Flown:
    """The folder of the report `flown`, beside services that do not answer."""
    root = tmp_path / "flown"
    write(root)
    return Flown(root, Services("http://127.0.0.1:9"))


def run(flown: Flown, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run a command where the extra is not installed."""
    with flown.start(*arguments, program=("-c", WITHOUT), **variables) as process:
        printed, errors = process.communicate("")
    return process.returncode, printed, errors


@pytest.fixture
def deployable(alone: Flown) -> Flown:
    """The project, with what a bundle is made of."""
    (alone.root / "requirements.txt").touch()
    (alone.root / "deploy" / "environments").mkdir(parents=True)
    (alone.root / "deploy" / "environments" / "prd.env").touch()
    (alone.root / "include" / "sql").mkdir(parents=True)
    (alone.root / "plugins").mkdir()
    return alone


def test_a_command_names_the_extra_that_it_requires(deployable: Flown) -> None:
    code, _, errors = run(deployable, "mwaa-check", "--version=3.3.1", **NOWHERE)
    assert errors.strip() == (
        "This command requires uv, which is not installed."
        " Install it: python -m pip install 'athena-reports-cli[mwaa]'"
    )
    assert code == 1


def test_help_is_there_without_the_extra(alone: Flown) -> None:
    for arguments in (["--help"], ["-h"], ["mwaa-check", "--help"]):
        code, printed, errors = run(alone, *arguments)
        assert (code, errors) == (0, "")
        assert "Usage: athena-reports" in printed


def test_help_shows_what_is_in_brackets(alone: Flown) -> None:
    _, printed, _ = run(alone, "--help")
    assert "has a table [tool.athena-reports]." in " ".join(printed.split())
    _, printed, _ = run(alone, "init", "--help")
    assert "[required]" not in printed.partition("Options:")[2]  # it asks


def test_a_module_that_no_extra_brings_is_an_error_of_python(
    shell: Shell, flown: Flown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr("athena_reports_cli.authoring.rules.check.check", check)
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        shell("check")


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell("--version") == (0, f"athena-reports {__version__}\n")
