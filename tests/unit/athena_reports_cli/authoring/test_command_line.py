"""What the commands need beside the library; tests/services/commands types each of them."""

from __future__ import annotations

import sys

import pytest

from athena_reports import __version__
from tests.support.shell import Shell


def test_a_command_names_the_extra_that_it_requires(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)  # as where it is not installed
    code, printed = shell("mwaa-check", "--version", "3.3.1")
    assert code == 1
    assert printed.strip() == (
        "mwaa-check requires uv, which is not installed."
        " Install it: python -m pip install 'athena-reports-cli[mwaa]'"
    )


def test_help_shows_what_is_in_brackets(shell: Shell) -> None:
    code, printed = shell("-h")
    assert code == 0
    assert "with a [tool.athena-reports] table in pyproject.toml." in " ".join(printed.split())
    _, printed = shell("init", "--help")
    assert "[required]" not in printed.partition("Options:")[2]  # it asks


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell("--version") == (0, f"athena-reports {__version__}\n")
