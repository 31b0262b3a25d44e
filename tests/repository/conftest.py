"""What the tests of what is built and installed share."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.repository.installed import build_wheels


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the wheels. The first process of a run that needs them builds them for all."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":  # each process of pytest-xdist has a folder of its own
        folder = folder.parent
    root = folder / "wheels-of-the-run"
    with (folder / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "dist").exists():
            build_wheels(root)
    return root / "dist"
