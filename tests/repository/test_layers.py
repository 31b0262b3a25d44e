"""Who may import whom: the rooms, by the rules in pyproject.toml, and what a deployment ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def test_the_rooms_keep_their_layers() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    path = ":".join(
        str(ROOT / folder) for folder in ("plugins", "cli", "local_athena/src", "dev", ".")
    )
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": path}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
