"""What the tests of what is built and installed share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.installed import build_wheels
from tests.support.run_folder import one_at_a_time


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the wheels. The first process of a run that needs them builds them for all."""
    with one_at_a_time(tmp_path_factory, worker_id, "wheels") as folder:
        root = folder / "wheels-of-the-run"
        if not (root / "dist").exists():
            build_wheels(root)
    return root / "dist"
