"""The command line for authors, in this process."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from athena_reports_cli.authoring.command_line import main
from tests.support.variables import kept_environment


class Shell:
    """Runs a command of `athena-reports` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys
        self.output, self.errors = "", ""  # what the last command printed

    def __call__(self, *arguments: str, answer: str = "") -> tuple[int, str]:
        """Return the exit code and what was printed; `answer` is what stands on standard input.

        Of a command that failed it is what stands on standard error, if anything does.
        """
        self._patch.setattr(sys, "argv", ["athena_reports", *arguments])
        self._capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            if answer:
                patch.setattr(sys, "stdin", io.StringIO(answer))
            with kept_environment(), pytest.raises(SystemExit) as stopped:
                main()
        code = int(stopped.value.code or 0)
        printed = self._capsys.readouterr()
        self.output, self.errors = printed
        return code, (printed.err or printed.out) if code else printed.out

    def json(self, *arguments: str) -> Any:
        code, printed = self(*arguments, "--json")
        assert code == 0, printed
        return json.loads(printed)

    def status(self, dag_id: str) -> Any:
        """What `status` tells of the only DAG of that name."""
        (status,) = self.json("status", dag_id)
        return status
