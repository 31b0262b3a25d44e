"""What the processes of one run of pytest share."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def one_at_a_time(factory: pytest.TempPathFactory, worker_id: str, name: str) -> Iterator[Path]:
    """The folder of the run, for one process at a time of those that give this name."""
    folder = factory.getbasetemp()
    if worker_id != "master":  # each process of pytest-xdist has a folder of its own
        folder = folder.parent
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
