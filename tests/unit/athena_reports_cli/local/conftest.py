"""A guard of this machine."""

from __future__ import annotations

import psutil
import pytest


@pytest.fixture(autouse=True)
def _this_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test kill this process or those above it.

    With a mistake in `processes` the first of them would be followed by all others of the machine.
    """
    kill = psutil.Process.kill

    def kill_another(process: psutil.Process) -> None:
        this = psutil.Process()
        assert process not in (this, *this.parents()), f"{process} would be killed"
        kill(process)

    monkeypatch.setattr(psutil.Process, "kill", kill_another)
